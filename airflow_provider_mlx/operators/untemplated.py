"""Values as templated fields hold them: a compiled pipeline, a duration. Light: DAG files import it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any


class Untemplated:
    """
    A compiled pipeline in a templated field: its own ``{{$}}`` is Kubeflow's, and no template of Airflow's.

    Airflow asks it for its value in place of rendering it.
    """

    def __init__(self, given: str | Mapping[str, Any]) -> None:
        self.given = given

    def resolve(self, context: Any) -> str | Mapping[str, Any]:
        """What a rendered field holds."""
        return self.given

    def serialize(self) -> str | Mapping[str, Any]:
        """Airflow shows and stores template fields by this method."""
        return self.given


def as_written(pipeline: Any) -> Any:
    """
    A pipeline as an operator's field holds it.

    :param pipeline: a mapping or a text of several lines is a compiled pipeline; anything else may be a template.
    """
    whole = isinstance(pipeline, Mapping) or (isinstance(pipeline, str) and "\n" in pipeline)
    return Untemplated(pipeline) if whole else pipeline


def written(pipeline: Any) -> Any:
    """The same for who reads the field, rendered or not."""
    return pipeline.given if isinstance(pipeline, Untemplated) else pipeline


def span_text(span: timedelta | str | None) -> str | None:
    """A duration as a templated field holds it, ``90.0s``."""
    return f"{span.total_seconds()}s" if isinstance(span, timedelta) else span
