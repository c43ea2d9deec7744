"""
The shape of a stack file, in pydantic; imported only when a file is read.

Each model forbids unknown keys. What the models cannot know (names that refer to each other, the settings of a
backend) is checked in ``validation.py`` and ``candidates.py``.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)
from pydantic_core import PydanticCustomError

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.runtime.uris import split_uri
from airflow_provider_mlx.stacks.browse import template_problem
from airflow_provider_mlx.stacks.durations import parse_duration

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://.+", re.DOTALL)


def _refusal(what: str, remedy: str) -> PydanticCustomError:
    # the words go in as context: a brace in them would be read as a field of the template
    return PydanticCustomError("stack_file", "{what}", {"what": what, "remedy": remedy})


def _duration(value: Any) -> timedelta:
    try:
        return parse_duration(value)
    except InvalidStep as refusal:
        problem = refusal.problems[0]
        raise _refusal(problem.what, problem.remedy) from refusal


def _text(value: Any) -> Any:
    """Whole numbers may stand for text; ``1.10`` and ``yes`` may not, since YAML has changed them already."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _name(value: Any) -> Any:
    if isinstance(value, str) and not NAME.fullmatch(value):
        raise _refusal(
            f"`{value[:40]}` is not a name", "use letters, digits, `_` and `-`, at most 63, a letter or digit first"
        )
    return value


def _variable(value: Any) -> Any:
    if isinstance(value, str) and not _VARIABLE.fullmatch(value):
        raise _refusal(f"`{value[:40]}` is no environment variable", "use letters, digits and `_`, no digit first")
    return value


def _root(value: Any) -> Any:
    if isinstance(value, str) and not _SCHEME.fullmatch(value):
        raise _refusal(f"`{value[:60]}` is not a URI", "write `s3://bucket/prefix` or `file:///folder`")
    try:
        if isinstance(value, str):
            split_uri(value)
    except ValueError as error:  # what no reference could lie under, and no store would open
        raise _refusal(str(error), "write `s3://bucket/prefix` or `file:///folder`") from error
    return value


def _prefix(value: Any) -> Any:
    _root(value)
    if isinstance(value, str) and not value.endswith("/"):
        raise _refusal(
            f"the prefix `{value[:60]}` does not end with `/`", "end it with `/`: `s3://lake` is also `s3://lake-2`"
        )
    return value


def _browse(value: Any) -> Any:
    wrong = template_problem(value) if isinstance(value, str) else ""
    if wrong:
        raise _refusal(
            f"`{value[:80]}` is no address of a folder's page: {wrong}",
            "write an http(s) address with {bucket} and {key}, or {uri}",
        )
    return value


def _reference(value: Any) -> Any:
    if not isinstance(value, dict):
        raise _refusal(
            "a secret's value never stands here",
            "write a reference that the backend understands, as {name: hf, key: token}",
        )
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Span = Annotated[
    Duration,
    # a backend's settings: the ledger and a trigger's order keep them as JSON, and read them again
    PlainSerializer(lambda span: f"{int(span.total_seconds())}s", return_type=str, when_used="json"),
]
Text = Annotated[StrictStr, BeforeValidator(_text)]
Name = Annotated[StrictStr, BeforeValidator(_name)]
Root = Annotated[StrictStr, BeforeValidator(_root)]
Prefix = Annotated[StrictStr, BeforeValidator(_prefix)]
Browse = Annotated[StrictStr, BeforeValidator(_browse)]
Variable = Annotated[StrictStr, BeforeValidator(_variable)]
Reference = Annotated[dict[str, Any], BeforeValidator(_reference)]
Number = StrictInt | StrictFloat
Quantity = StrictStr | StrictInt | StrictFloat


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArtifactsModel(_Model):
    """Of a stack: where artifacts live; the root may be left out where every target is this host."""

    root: Root | None = None
    conn_id: StrictStr | None = None
    allowed: list[Prefix] = []
    browse: Browse | None = None


class ResourcesModel(_Model):
    """The fields of ``Resources``; what their values mean is the step's business."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    gpu: Quantity | None = None
    shm: Quantity | None = None
    disk: Quantity | None = None
    nodes: StrictInt | None = None
    launcher: StrictStr | None = None
    spot: StrictBool | None = None
    timeout: Duration | None = None
    priority: Quantity | None = None


class _TrackerModel(_Model):
    """Of an experiment tracker; what becomes of the settings is in ``tracking.VARIABLES``."""

    secrets: dict[Variable, Reference] = {}


class MlflowModel(_TrackerModel):
    """MLflow."""

    uri: Text | None = None
    registry_uri: Text | None = None
    experiment: Text | None = None


class WandbModel(_TrackerModel):
    """Weights & Biases."""

    project: Text | None = None
    entity: Text | None = None
    base_url: Text | None = None


class NeptuneModel(_TrackerModel):
    """Neptune."""

    project: Text | None = None


class TrackingModel(_Model):
    """Of a stack, a target, or an override of a task."""

    mlflow: MlflowModel = MlflowModel()
    wandb: WandbModel = WandbModel()
    neptune: NeptuneModel = NeptuneModel()


class _SharedFields(_Model):
    """What a target and an override of a task have in common."""

    image: StrictStr | None = None
    max_runtime: Duration | None = None
    max_queue: Duration | None = None
    give_up_pending_after: Duration | None = None
    python: StrictStr | None = None
    wheelhouse: Root | None = None
    env: dict[str, Text] = {}
    secrets: dict[str, Reference] = {}
    tags: dict[str, Text] = {}
    resources: ResourcesModel = ResourcesModel()
    tracking: TrackingModel = TrackingModel()
    preemptions: Annotated[StrictInt, Field(ge=0)] | None = None
    on_demand_fallback: Literal["never", "last"] = "never"


class TargetModel(_SharedFields):
    """A target without the settings of its backend."""

    backend: StrictStr
    conn_id: StrictStr | None = None


class TaskModel(_SharedFields):
    """An override of some tasks, without its sections per backend."""

    target: Name | None = None


class StackModel(_Model):
    """A stack, without the insides of its targets and tasks."""

    artifacts: ArtifactsModel | None = None
    targets: Annotated[dict[Name, Any], Field(min_length=1)]
    tasks: dict[str, Any] = {}
    strict: StrictBool = True
    on_unsupported: Literal["error", "warn"] = "error"
    install_client: StrictBool = False
    tags: dict[str, Text] = {}
    tracking: TrackingModel = TrackingModel()


class RuleModel(_Model):
    """One rule of the policy."""

    dags: list[StrictStr] | None = None
    images: list[StrictStr] | None = None
    service_accounts: list[StrictStr] | None = None
    roles: list[StrictStr] | None = None
    overrides: list[StrictStr] | None = None
    max_gpu: Annotated[Number, Field(ge=0)] | None = None
    max_nodes: Annotated[StrictInt, Field(ge=1)] | None = None
    max_runtime: Duration | None = None
    pool: StrictStr | None = None


class PolicyModel(_Model):
    """The policy of a deployment file."""

    targets: dict[str, RuleModel]


class FileModel(_Model):
    """A whole file, without the insides of its stacks."""

    default: Name | None = None
    stacks: dict[Name, Any] = {}
    policy: PolicyModel | None = None
