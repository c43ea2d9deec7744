from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_mlx.stacks import Stacks
from airflow_provider_mlx.stacks.parsing import parse_document
from airflow_provider_mlx.stacks.validation import StackFile, validate_files


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LocalSettings(_Settings):
    keep: bool = False


class Toleration(_Settings):
    key: str
    effect: str | None = None


class KubernetesSettings(_Settings):
    namespace: str
    queue: str | None = None
    tolerations: list[Toleration] = []
    labels: dict[str, str] = {}
    env_from: list[dict[str, str]] = []
    volumes: list[dict[str, str]] = []
    retention: Annotated[int, Field(ge=1)] = 1


@pytest.fixture(scope="session")
def backends() -> Mapping[str, type[BaseModel]]:
    return {"local": LocalSettings, "kubernetes": KubernetesSettings}


@pytest.fixture
def load(backends) -> Callable[..., Stacks]:
    """The stacks of one text, as a file of the deployment called `dags/mlx_stacks.yaml`."""

    def stacks(text: str | bytes, **options: Any) -> Stacks:
        document = parse_document("dags/mlx_stacks.yaml", text)
        return validate_files([StackFile(document, options.get("of_deployment", True))], backends)

    return stacks
