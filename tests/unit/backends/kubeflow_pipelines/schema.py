"""Requests and answers held against what Kubeflow has published: see ``published/README.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, json_format, message_factory, struct_pb2
from google.rpc import status_pb2

PUBLISHED = Path(__file__).parent / "published"
SERVERS = ("2.14.3", "2.17.0")


def check_pipeline(pipeline_spec: Mapping[str, Any], release: str) -> None:
    """
    A run's ``pipeline_spec`` is what the protobuf messages of this release know, field by field.

    The parts that are ``Struct`` in there (the executors of both halves) are parsed as what they hold.
    """
    spec = pipeline_spec.get("pipeline_spec", pipeline_spec)
    _parse("ml_pipelines.PipelineSpec", spec, release)
    _parse("ml_pipelines.PipelineDeploymentConfig", spec["deploymentSpec"], release)
    if platform := pipeline_spec.get("platform_spec"):
        _parse("ml_pipelines.PlatformSpec", platform, release)
        for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            _parse("kfp_kubernetes.KubernetesExecutorConfig", config, release)


def check_wire(name: str, value: object) -> None:
    """A value is what the swagger calls ``name``, and has no field besides."""
    definitions = _swagger()["definitions"]
    schema = {"$ref": f"#/definitions/{name}", "definitions": definitions}
    jsonschema.Draft4Validator(schema).validate(value)


def paths() -> Mapping[str, list[str]]:
    """The methods of each path of the published API."""
    return _swagger()["paths"]


def _parse(message: str, value: object, release: str) -> None:
    kind = message_factory.GetMessageClass(_pool(release).FindMessageTypeByName(message))
    json_format.ParseDict(value, kind(), descriptor_pool=_pool(release))


@cache
def _pool(release: str) -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for known in (struct_pb2, duration_pb2, _any(), status_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    told = json.loads((PUBLISHED / f"pipeline_spec-{release}.json").read_text())
    for file in json_format.ParseDict(told, descriptor_pb2.FileDescriptorSet()).file:
        pool.Add(file)
    return pool


def _any() -> Any:
    from google.protobuf import any_pb2

    return any_pb2


@cache
def _swagger() -> Any:
    found = json.loads((PUBLISHED / "swagger-2.17.0.json").read_text())
    for definition in found["definitions"].values():
        if "properties" in definition:
            definition.setdefault("additionalProperties", False)
    found["definitions"]["protobufAny"] = {"type": "object"}
    return found
