"""What a target of a pipeline's executions says: an operator makes it, no stack names it."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field

from airflow_provider_mlx.backends.base import TargetSettings

_ARN: Final = re.compile(r"arn:aws[a-z\-]*:sagemaker:([a-z0-9\-]*):[^:]*:pipeline/(.+)")
CONSOLE: Final = "https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/studio"
"""Where Studio opens, which alone shows executions: their pages' addresses have the domain's id."""


class PipelineSettings(TargetSettings):
    """
    One pipeline.

    :param pipeline: its name or ARN.
    :param region: of AWS; by default that of the ARN, then the connection's.
    :param console_url: address of an execution's page, with ``{region}``, ``{pipeline}`` and ``{execution}``.
    """

    pipeline: Annotated[str, Field(min_length=1)]
    region: str = ""
    console_url: str = CONSOLE

    @property
    def where(self) -> str:
        """The region of the calls; empty for the connection's."""
        return self.region or region_of(self.pipeline)

    def page(self, region: str, pipeline: str, execution: str) -> str:
        """
        The address of an execution's page.

        :raises LookupError, ValueError, AttributeError: it has other names in braces, or braces that do not close.
        """
        return self.console_url.format(region=region, pipeline=pipeline, execution=execution)


def region_of(pipeline: str) -> str:
    """The region that a pipeline's ARN names; empty for a name."""
    found = _ARN.fullmatch(pipeline)
    return found[1] if found else ""


def name_of(pipeline: str) -> str:
    """The name in a pipeline's name or ARN."""
    found = _ARN.fullmatch(pipeline)
    return found[2] if found else pipeline
