"""What makes the runs in an experiment tracker lead back to the DAG run whose step has made them; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Final

from airflow_provider_mlx.step.identity import SCHEME, TaskInstanceIdentity

_GROUP_LIMIT: Final = 128
"""Characters of a W&B group, as of all of its names."""


def parent_variables(
    trackers: Collection[str], identity: TaskInstanceIdentity, *, attempt: int, try_number: int,
    lineage: str = "", page: str = "",
) -> dict[str, str]:  # fmt: skip
    """
    Variables by which the trackers' libraries describe each run that the code begins and does not describe itself.

    The same for every process of an attempt, and with one group for all steps of a DAG run.

    :param trackers: those that the stack has settings for.
    :param lineage: ``OPENLINEAGE_CONTEXT`` of the attempt; empty where lineage is off.
    :param page: of the task instance in Airflow's UI.
    """
    name = identity.task_id + (f"[{identity.map_index}]" if identity.map_index >= 0 else "")
    job = identity.job_name(attempt)
    found: dict[str, str] = {}
    if "mlflow" in trackers:
        tags = {"mlflow.runName": name, **_airflow(identity, try_number), "mlx.job": job, **_lineage(lineage)}
        if page:
            tags["mlflow.note.content"] = f"[{identity.dag_id}.{name} in Airflow]({page})"  # shown as Markdown
        # JSON of tags: mlflow/tracking/context/system_environment_context.py
        found["MLFLOW_RUN_CONTEXT"] = json.dumps(tags, sort_keys=True)
    if "wandb" in trackers:
        # https://docs.wandb.ai/guides/track/environment-variables; WANDB_TAGS is left to the step
        notes = {**_airflow(identity, try_number), "mlx.job": job, **_lineage(lineage)}
        found |= {
            "WANDB_RUN_GROUP": _short(f"{identity.dag_id}/{identity.run_id}"),
            "WANDB_JOB_TYPE": _short(identity.task_id),
            "WANDB_NAME": _short(name),
            "WANDB_NOTES": "\n".join([*([page] if page else []), *(f"{key}: {text}" for key, text in notes.items())]),
        }
    if "neptune" in trackers:
        # all processes of an attempt log to one run; a custom id of more than 36 characters would be ignored
        found["NEPTUNE_CUSTOM_RUN_ID"] = f"{SCHEME}{identity.short_digest}-{attempt}"
    return found


def _airflow(identity: TaskInstanceIdentity, try_number: int) -> dict[str, str]:
    """Tags are text."""
    tags = {"airflow.dag_id": identity.dag_id, "airflow.run_id": identity.run_id, "airflow.task_id": identity.task_id}
    mapped = {"airflow.map_index": str(identity.map_index)} if identity.map_index >= 0 else {}
    return {**tags, **mapped, "airflow.try_number": str(try_number)}


def _lineage(context: str) -> dict[str, str]:
    """The run that the attempt is in the lineage, and the one above all, which all steps of a DAG run share."""
    if not context:
        return {}
    parent = json.loads(context)["parent"]
    return {
        "openlineage.run_id": parent["run"]["runId"],
        "openlineage.root_run_id": parent["root"]["run"]["runId"],
    }


def _short(text: str) -> str:
    """A name within the limit, different for different texts."""
    if len(text) <= _GROUP_LIMIT:
        return text
    return f"{text[: _GROUP_LIMIT - 17]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"
