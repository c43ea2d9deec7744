"""The events of a child run against the client's own classes and our schemas, and what a large one loses."""

from __future__ import annotations

import json

import jsonschema
import pytest
from openlineage.client.serde import Serde

from airflow_provider_mlx.backends.base import Usage
from airflow_provider_mlx.lineage import custom_facets
from airflow_provider_mlx.lineage.code import CodeFacts
from airflow_provider_mlx.lineage.datasets import references, traffic
from airflow_provider_mlx.lineage.events import (
    EVENT_LIMIT,
    ChildRun,
    JobFacts,
    Outcome,
    end_event,
    fit,
    size_of,
    start_event,
)
from airflow_provider_mlx.lineage.facets import VALUE_LIMIT, StepFacts, parameters_facet
from airflow_provider_mlx.lineage.names import RunName
from airflow_provider_mlx.runtime.values import Dataset
from tests.openlineage.validation import OURS, validator
from tests.unit.lineage.conftest import ARGUMENTS, CANARY, NOW, SHA, artifact

RUN = "018f0000-0000-7000-8000-00000000000"
CHILD = ChildRun(
    RunName("default", "churn.train.fit", RUN + "1"),
    RunName("default", "churn.train", RUN + "2"),
    RunName("default", "churn", RUN + "3"),
)
JOB = JobFacts("kubernetes", "churn-train-1", "uid", {"namespace": "ml"}, "https://console/1", "prod", "gpu", 1, 1, 2)
COMMIT = "c0ffee" * 6 + "c0de"
CODE = CodeFacts(
    "https://github.com/acme/dags/blob/main/churn.py", "https://github.com/acme/dags", "churn.py", COMMIT, "main", True,
    "dags", "v1",
)  # fmt: skip
STEP = StepFacts(
    ARGUMENTS, {"cpu": 2, "gpu": "L4:2", "nodes": 2, "timeout": 60.0}, "registry/img:1", CODE, SHA, SHA
)  # fmt: skip
ENVIRONMENT = {
    "python": "3.12.4", "implementation": "cpython", "platform": "linux-x86_64", "packages_sha256": SHA, "packages": 3,
    "versions": {"torch": "2.8.0+cu126", "odd": "a b", "worse": 3},
}  # fmt: skip
TRACKERS = [
    {"kind": "mlflow", "id": "c0ffee", "url": f"https://u:{CANARY}@mlflow.acme.com/#/runs/c0ffee"},
    {"kind": "wandb", "id": "1a2b", "url": None},
    {"kind": "odd kind", "id": "1"},
    "nonsense",
]
RESULT = {"timings": {"compute": 3.0}, "peak_memory_bytes": 5, "environment": ENVIRONMENT, "trackers": TRACKERS}
USED = Usage(f"registry/img@sha256:{SHA}", "ml.g5.xlarge", 2, 840.0, billable=True, hourly_usd=1.408)
DONE = Outcome("COMPLETE", "succeeded", metrics={"auc": 0.9, "bad": float("inf")}, said=RESULT, usage=USED)


def end(outcome=DONE, step=STEP, found=None):
    found = found or traffic(ARGUMENTS, outputs=[artifact()], task=("churn", "train"))
    return end_event(CHILD, JOB, step, found, outcome, NOW)


def document(event):
    return json.loads(Serde.to_json(event))


def facet_validator(name):
    """Our schema with what it refers to."""
    schema = json.loads((OURS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return validator({"$ref": schema["$id"]})


FACETS = {
    "mlx_remoteJob": "MlxRemoteJobRunFacet",
    "mlx_metrics": "MlxMetricsRunFacet",
    "mlx_resources": "MlxResourcesRunFacet",
    "mlx_code": "MlxCodeRunFacet",
    "mlx_environment": "MlxEnvironmentRunFacet",
    "mlx_cost": "MlxCostRunFacet",
    "mlx_tracker": "MlxTrackerRunFacet",
    "mlx_cache": "MlxCacheRunFacet",
    "mlx_model": "MlxModelDatasetFacet",
}


def own_facets(event):
    yield from event["run"]["facets"].items()
    for dataset in (*event["inputs"], *event["outputs"]):
        yield from dataset["facets"].items()


def test_the_facets_are_what_their_schemas_say():
    seen = set()
    failed = Outcome("FAIL", "failed", "StepFailed", "boom")
    cached = Outcome("COMPLETE", "succeeded", cached=True, cached_from="an earlier run")
    for event in (end(), end(failed), end(cached), start_event(CHILD, JOB, STEP, traffic(ARGUMENTS), NOW)):
        for key, facet in own_facets(document(event)):
            if key.startswith("mlx_"):
                facet_validator(FACETS[key]).validate({key: facet})
                assert facet["_schemaURL"] == custom_facets.schema_url(FACETS[key])
                assert facet["_producer"] == custom_facets.PRODUCER
                seen.add(key)
    assert seen == set(FACETS)


@pytest.mark.parametrize("key", FACETS)
def test_the_schemas_refuse_what_is_none_of_theirs(key):
    with pytest.raises(jsonschema.ValidationError):
        facet_validator(FACETS[key]).validate(
            {
                key: {
                    "_producer": "p",
                    "_schemaURL": "s",
                    "size": "x",
                    "metrics": 1,
                    "peakMemoryBytes": "x",
                    "dirty": "x",
                    "versions": 1,
                    "runs": 1,
                }
            }
        )


@pytest.mark.parametrize("name", FACETS.values())
def test_every_schema_is_published_where_its_facets_say(name):
    schema = json.loads((OURS / f"{name}.json").read_text())
    assert f"{schema['$id']}#/$defs/{name}" == custom_facets.schema_url(name)
    assert getattr(custom_facets, name)._get_schema() == custom_facets.schema_url(name)


def test_what_ran_and_in_what():
    event = document(end())
    facets = event["run"]["facets"]
    code = {key: facets["mlx_code"][key] for key in ("commit", "branch", "dirty", "bundle", "codeDigest")}
    assert code == {
        "commit": COMMIT, "branch": "main", "dirty": True, "bundle": {"name": "dags", "version": "v1"},
        "codeDigest": f"sha256:{SHA}",
    }  # fmt: skip
    assert event["job"]["facets"]["sourceCodeLocation"]["url"] == CODE.url
    assert event["job"]["facets"]["sourceCodeLocation"]["version"] == COMMIT
    environment = facets["mlx_environment"]
    assert (environment["python"], environment["imageDigest"]) == ("3.12.4", f"registry/img@sha256:{SHA}")
    assert environment["versions"] == {"torch": "2.8.0+cu126"}, "what is no version is left out"


def test_what_it_used_and_what_that_cost():
    facets = document(end())["run"]["facets"]
    assert (facets["mlx_resources"]["gpuSeconds"], facets["mlx_resources"]["billableSeconds"]) == (12.0, 840.0)
    cost = facets["mlx_cost"]
    assert (cost["amount"], cost["currency"], cost["estimated"]) == (0.657067, "USD", True)
    assert cost["basis"] == "ml.g5.xlarge × 2 × 840 s billable at 1.408 USD/h from the stack"


def test_where_else_its_code_has_told_of_itself():
    runs = document(end())["run"]["facets"]["mlx_tracker"]["runs"]
    assert [(run["kind"], run["id"], "url" in run) for run in runs] == [
        ("mlflow", "c0ffee", True), ("wandb", "1a2b", False),
    ]  # fmt: skip
    assert runs[0]["url"] == "https://mlflow.acme.com/#/runs/c0ffee"
    assert CANARY not in str(runs)


def test_what_nobody_knows_is_not_told():
    outcome = Outcome("COMPLETE", "succeeded", said={"environment": "x", "timings": {"compute": "x"}})
    facets = document(end(outcome, StepFacts(ARGUMENTS, {"gpu": "{{ params.gpu }}"})))["run"]["facets"]
    assert not {"mlx_code", "mlx_environment", "mlx_cost", "mlx_tracker"} & set(facets)
    assert "gpuSeconds" not in facets["mlx_resources"]


def test_the_terminal_event_says_everything():
    event = document(end())
    assert event["eventType"] == "COMPLETE"
    assert (event["job"]["namespace"], event["job"]["name"]) == ("default", "churn.train.fit")
    parent = event["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["name"]) == (RUN + "2", "churn.train")
    assert (parent["root"]["run"]["runId"], parent["root"]["job"]["name"]) == (RUN + "3", "churn")
    assert event["run"]["facets"]["externalQuery"]["externalQueryId"] == "uid"
    assert event["job"]["facets"]["jobType"]["integration"] == "KUBERNETES"
    assert {item["name"] for item in event["inputs"]} == {"mlx/outputs/prod/churn/prepare/return_value", "raw"}
    (model,) = event["outputs"]
    assert model["name"] == "mlx/outputs/prod/churn/train/return_value"
    assert model["facets"]["datasetType"]["datasetType"] == "MODEL"
    assert model["facets"]["mlx_model"]["digest"] == f"sha256:{SHA}"
    assert model["facets"]["symlinks"]["identifiers"][0]["name"] == artifact().uri.removeprefix("s3://ml/")
    assert model["facets"]["dataSource"]["uri"] == artifact().uri
    assert model["outputFacets"]["outputStatistics"]["size"] == 12
    assert event["run"]["facets"]["mlx_metrics"]["metrics"] == [
        {"name": "auc", "value": 0.9},
        {"name": "bad", "special": "Infinity"},
    ]
    assert event["run"]["facets"]["mlx_resources"]["seconds"] == {"compute": 3.0}


def test_only_plain_scalar_arguments_are_parameters():
    event = document(end())
    given = {item["key"]: item["value"] for item in event["run"]["facets"]["executionParameters"]["parameters"]}
    assert given == {
        "rate": "0.1", "deep": "true", "depth": "3", "start": "2026-01-01T00:00:00+00:00", "api_token": "***",
        "url": "https://***@h/x?***", "max_tokens": "512",
    }  # fmt: skip


def test_a_long_parameter_is_cut_by_bytes():
    facet = parameters_facet({"args": ["ä" * 2000], "kwargs": {}})
    assert facet is not None and facet.parameters
    value = facet.parameters[0].value or ""
    assert len(value.encode()) <= VALUE_LIMIT and value.endswith("…")


def test_no_canary_in_any_event():
    found = traffic(ARGUMENTS, outputs=[artifact()])
    bad = Outcome("FAIL", "failed", "StepFailed", f"ValueError: password={CANARY} at https://u:{CANARY}@h/?t={CANARY}")
    for event in (end(bad), end(), start_event(CHILD, JOB, STEP, found, NOW)):
        assert CANARY not in Serde.to_json(event)


def test_known_secrets_are_masked_too():
    event = end_event(
        CHILD,
        JOB,
        STEP,
        traffic({}),
        Outcome("FAIL", "failed", "X", "blue"),
        NOW,
        mask=lambda text: text.replace("blue", "***"),
    )
    assert document(event)["run"]["facets"]["errorMessage"]["message"] == "X: ***"


def test_references_are_found_wherever_they_stand():
    value = {
        "a": [artifact(), {"b": (Dataset("s3://x/y"), artifact(task="p").to_wire())}],
        "c": {"mlx": "dataset/1"},
        "d": {"mlx": "artifact/1", "uri": 1},
    }
    assert [type(item).__name__ for item in references(value)] == ["ArtifactReference", "Dataset", "ArtifactReference"]


def test_what_another_task_made_and_names_nothing_is_no_output():
    found = traffic({}, outputs=[artifact(task="prepare"), artifact(uri="nowhere")], task=("churn", "train"))
    assert found.outputs == ()


def big(inputs, metrics=0, arguments=0):
    found = traffic(
        [Dataset(f"s3://lake/{'x' * 100}/{index}", "v" * 50) for index in range(inputs)], outputs=[artifact()]
    )
    outcome = Outcome(
        "FAIL", "failed", "StepFailed", "word " * 400, metrics={f"m{i}" * 20: 1.0 for i in range(metrics)}
    )
    return end(outcome, StepFacts({"kwargs": {f"p{i}": "v" * 1000 for i in range(arguments)}}), found)


@pytest.mark.parametrize(
    ("event", "omitted"),
    [
        (lambda: big(10), None),
        (lambda: big(10, arguments=300), ["executionParameters"]),
        (lambda: big(10, metrics=5000), ["executionParameters", "mlx_metrics"]),
        (lambda: big(2000, arguments=1), ["executionParameters", "errorMessage", "dataset facets", "inputs: "]),
    ],
)
def test_an_event_that_is_too_large_loses_what_matters_least(event, omitted):
    made = event()
    assert size_of(made) <= EVENT_LIMIT
    said = document(made)
    assert said["run"]["facets"]["parent"]["root"]
    given = said["run"]["facets"]["mlx_remoteJob"].get("omitted")
    if omitted is None:
        assert given is None
    else:
        assert all(
            any(item.startswith(name) for item in given)
            for name in omitted
            if name != "executionParameters" or "executionParameters" in given
        )
        assert given[-1].startswith(omitted[-1])
    assert said["outputs"], "outputs outlive inputs"


def test_as_many_inputs_are_kept_as_fit():
    made = fit(big(20), 6_000)
    assert size_of(made) <= 6_000
    assert 0 < len(made.inputs or ()) < 20
