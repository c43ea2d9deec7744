"""The three forms of the protocol agree: types, schemas, and the files of real jobs."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from airflow_provider_mlx import exceptions
from airflow_provider_mlx.runtime import protocol, refusals
from airflow_provider_mlx.runtime.bootstrap import BOOTSTRAP
from airflow_provider_mlx.runtime.lines import TYPES
from airflow_provider_mlx.runtime.values import ArtifactReference, Dataset

FOLDER = Path(__file__).parents[3] / "docs" / "schemas"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
REGISTRY = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values())


def validate(name: str, value: object) -> None:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(SCHEMAS[name], registry=REGISTRY, format_checker=checker).validate(value)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_one(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize(
    ("schema", "part", "kind"),
    [
        ("context", None, protocol.StepContext), ("context", "step", protocol.StepIdentity),
        ("context", "payload", protocol.Payload), ("context", "arguments", protocol.Arguments),
        ("context", "outputs", protocol.Outputs), ("context", "store", protocol.StoreAccess),
        ("context", "mount", protocol.Mount), ("context", "environment", protocol.Environment),
        ("result", None, protocol.StepResult), ("result", "output", protocol.Output),
        ("result", "timings", protocol.Timings), ("error", None, protocol.StepError),
        ("error", "frame", protocol.Frame), ("error", "timings", protocol.Timings),
    ],
)  # fmt: skip
def test_a_schema_has_the_fields_of_its_type(schema, part, kind):
    found = SCHEMAS[schema] if part is None else SCHEMAS[schema]["$defs"][part]
    assert set(found["properties"]) == set(kind.__annotations__)


def test_reasons_and_line_types_are_the_codes():
    reasons = set(SCHEMAS["error"]["properties"]["reason"]["enum"])
    assert all(issubclass(getattr(exceptions, reason), exceptions.MlxError) for reason in reasons)
    refused = [
        kind for kind in vars(refusals).values() if isinstance(kind, type) and issubclass(kind, refusals.Refusal)
    ]
    assert {kind("x").reason for kind in refused} - {"Refusal"} == reasons
    assert set(SCHEMAS["line"]["properties"]["type"]["enum"]) == set(TYPES)


def test_the_bootstrap_fits_the_narrowest_backend():
    assert len(BOOTSTRAP) <= 256


def test_references_validate():
    validate("dataset", Dataset("s3://lake/a").to_wire())
    validate("artifact", ArtifactReference("s3://b/k", "0" * 64, 1, "text", "str", "n", "v", {}).to_wire())
    with pytest.raises(jsonschema.ValidationError):
        validate("artifact", ArtifactReference("s3://b/k", "0" * 63, 1, "text", "str", "n", "v", {}).to_wire())


def test_the_files_and_lines_of_a_job_that_succeeds(job):
    def change(context):
        context["outputs"]["multiple"] = True

    source = """
        from airflow_provider_mlx import current_step, Dataset
        def run(x):
            current_step.log_metric("loss", float("inf"), step=3); current_step.log_progress(1, 2, "half")
            current_step.log_metric("x" * 10_000, 1)
            current_step.dataset("s3://lake/a", "v")
            return {"a": [x], "b": b"b", "c": None, "d": {"d": Dataset("s3://x/y")}}
    """
    done = job.run(source, args=(float("nan"),), change=change)
    validate("context", done.read("context.json"))
    validate("result", done.result)
    assert {line["type"] for line in done.lines} >= {"metric", "progress", "log"}
    for line in done.lines:
        validate("line", line)
    assert [line for line in done.lines if line.get("truncated")]


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('\\ud800')",
        "import os; os.abort()",
        "return object()",
        "raise SystemExit(4)",
        "raise MemoryError",
    ],
)
def test_the_error_of_a_job_that_fails(job, body):
    done = job.run(f"def run():\n    {body}")
    validate("context", done.read("context.json"))
    validate("error", done.error)
