"""
What the runtime itself refuses, each with the word that Airflow's side knows it by.

The class's name is the ``reason`` of ``error.json`` and the name of a class of ``airflow_provider_mlx.exceptions``.
"""

from __future__ import annotations

from typing import Any, Sequence  # noqa: UP035  (Python 3.9)

from . import protocol


class Refusal(Exception):
    """
    A failure that is not an exception of the user's code.

    :param what: one sentence that says what happened.
    :param remedy: what the reader should do next.
    :param rescued: files that were kept under the attempt's ``rescue/``.
    """

    exit_status = protocol.EXIT_STEP_FAILED
    follows = protocol.OWN

    def __init__(self, what: str, remedy: str = "", rescued: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.rescued = list(rescued)

    @property
    def reason(self) -> str:
        """The word that stands in ``error.json``."""
        return type(self).__name__


class StepFailed(Refusal):
    """The user's code returned, or ended with, something that cannot be a result."""


class ArtifactError(Refusal):
    """An artifact is missing, is not what its reference says, or must not be read."""


class JobMisconfigured(Refusal):
    """The job cannot work as it was set up: a package, a client or a setting is missing."""

    exit_status = protocol.EXIT_MISCONFIGURED


class OutOfMemory(Refusal):
    """The kernel killed the step's process for its memory."""


class JobCancelled(Refusal):
    """The job was told to stop."""

    follows = protocol.STOP
    exit_status = protocol.EXIT_CANCELLED


class BundleRefused(JobMisconfigured):
    """The bundle holds something that must not be extracted."""

    exit_status = protocol.EXIT_TAMPERED

    @property
    def reason(self) -> str:
        """To Airflow's side this is a job that was set up wrongly."""
        return "JobMisconfigured"


class AlreadyWritten(Refusal):
    """The object is there already, with other content: a job overwrites nothing."""

    @property
    def reason(self) -> str:
        """To Airflow's side this concerns an artifact."""
        return "ArtifactError"
