"""``tracking:`` of a stack: what the libraries of experiment trackers read from a job's environment; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Tracking = Mapping[str, Mapping[str, Any]]
"""By tracker, its settings and, as ``secrets``, environment variable → a reference that the backend understands."""

SECRETS: Final = "secrets"

VARIABLES: Final[Mapping[str, Mapping[str, str]]] = {
    # mlflow/environment_variables.py
    "mlflow": {
        "uri": "MLFLOW_TRACKING_URI",
        "registry_uri": "MLFLOW_REGISTRY_URI",  # left out, the registry is at the tracking server
        "experiment": "MLFLOW_EXPERIMENT_NAME",  # made by the client where there is none of that name
    },
    # https://docs.wandb.ai/guides/track/environment-variables
    "wandb": {
        "project": "WANDB_PROJECT",
        "entity": "WANDB_ENTITY",
        "base_url": "WANDB_BASE_URL",  # of a server of one's own
    },
    # https://docs.neptune.ai/api/environment_variables; the server's address is inside of the token
    "neptune": {"project": "NEPTUNE_PROJECT"},
}
"""Tracker → setting → the variable that its library reads."""


def merge_tracking(*levels: Tracking) -> dict[str, dict[str, Any]]:
    """What the later levels say over what the earlier ones say, setting by setting and secret by secret."""
    merged: dict[str, dict[str, Any]] = {}
    for level in levels:
        for tracker, settings in level.items():
            below = merged.get(tracker, {})
            merged[tracker] = {**below, **settings}
            if SECRETS in below and SECRETS in settings:
                merged[tracker][SECRETS] = {**below[SECRETS], **settings[SECRETS]}
    return merged


def tracking_variables(tracking: Tracking) -> dict[str, str]:
    """The settings as environment variables."""
    return {
        VARIABLES[tracker][key]: value
        for tracker, settings in tracking.items()
        for key, value in settings.items()
        if key != SECRETS and value is not None
    }


def tracking_secrets(tracking: Tracking) -> dict[str, Mapping[str, Any]]:
    """Environment variable → reference, of all trackers."""
    return {name: where for settings in tracking.values() for name, where in settings.get(SECRETS, {}).items()}


def with_tracking(
    tracking: Tracking, env: Mapping[str, str], secrets: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, Mapping[str, Any]]]:
    """
    The variables and the secrets of a job. What the step or its target says of a variable itself counts.

    :param env: variables of the step and its target.
    :param secrets: environment variable → reference, of the secrets that the step names.
    """
    ours = {name: where for name, where in tracking_secrets(tracking).items() if name not in env}
    references = {**ours, **secrets}
    settings = {name: value for name, value in tracking_variables(tracking).items() if name not in references}
    return {**settings, **env}, references
