"""``KubeflowPipelinesRunOperator``: where pipelines come from, what is refused, and what its outlets are told."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, Asset
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_mlx import AssetArtifact
from airflow_provider_mlx.backends.kubeflow_pipelines.runs.outputs import TASK
from airflow_provider_mlx.backends.registry import InstalledSettings
from airflow_provider_mlx.exceptions import InvalidStep, StepFailed
from airflow_provider_mlx.operators.events import fill_events
from airflow_provider_mlx.operators.kubeflow_pipelines import KubeflowPipelinesRunOperator
from airflow_provider_mlx.operators.kubeflow_targets import RunPlacing, run_targets
from airflow_provider_mlx.stacks import load_stacks
from tests.unit.backends.kubeflow_pipelines.sdk import ENVIRONMENTS, PIPELINES, interpreter
from tests.unit.operators.kubeflow import COMPILED, CONN_ID, PIPELINE, TEXT, connected, heard, in_a_dag, server

__all__ = ["connected", "heard", "in_a_dag", "server"]

STACKS = """
default: one
stacks:
  one:
    artifacts: {root: "file:///tmp/mlx"}
    tags: {team: a}
    tracking: {mlflow: {uri: "http://mlflow:5000"}}
    targets:
      default:
        - {backend: local, max_runtime: 2h}
        - {backend: kubeflow_pipelines, conn_id: near, namespace: ml, experiment: nightly, keep: never, image: "i:1",
           max_runtime: 2h, give_up_pending_after: 10m, max_queue: 1h}
      laptop: {backend: local}
"""


@pytest.fixture
def stacks(tmp_path):
    file = tmp_path / "mlx_stacks.yaml"
    file.write_text(STACKS)
    return load_stacks(
        deployment_files=[str(file)], dag_file=None, bundle_root=None, bundle_stacks="allow",
        backend_settings=InstalledSettings(), local_root=tmp_path.as_uri(),
    )  # fmt: skip


@pytest.fixture
def run(in_a_dag):
    """Makes the operator's task, which waits in its slot."""

    def make(**fields):
        return in_a_dag(KubeflowPipelinesRunOperator, **{"conn_id": CONN_ID, "deferrable": False, **fields})

    return make


def rendered(task, **context):
    task.render_template_fields({**context, "dag": task.dag, "task": task})
    return task


# --- where it runs ---------------------------------------------------------------------------------------------------


def resolved(stacks, **said):
    settings = {name: said.pop(name) for name in ("namespace", "experiment") if name in said}
    return run_targets(stacks, "one", RunPlacing("dag", "task", settings, **said), why="it is so")


def test_a_target_says_where_and_the_task_may_say_otherwise(stacks):
    (target,) = resolved(stacks).targets
    assert (target.backend, target.conn_id, target.image) == ("kubeflow_pipeline_run", "near", None)
    assert (target.settings.namespace, target.settings.experiment, target.settings.keep) == ("ml", "nightly", "never")
    assert (target.tags, target.give_up_pending_after, target.max_queue) == ({"team": "a"}, None, None)
    assert target.tracking == {}, "of the stack's steps, and not of what others run"
    found = resolved(stacks, experiment="mine", max_runtime="1h")
    assert found.targets[0].settings.experiment == "mine"
    assert found.targets[0].resources == {"timeout": "1h"}
    assert found.overrides == ("kubeflow_pipelines.experiment",)


def test_a_connection_of_its_own_takes_nothing_of_a_target(stacks):
    found = resolved(stacks, conn_id="own", target="laptop")
    assert (found.targets[0].conn_id, found.targets[0].settings.namespace) == ("own", "")
    assert found.overrides == ("kubeflow_pipelines.conn_id",)


def test_a_run_that_nothing_places_is_refused_with_the_way_out(stacks):
    with pytest.raises(InvalidStep, match="runs on local → name a connection"):
        resolved(stacks, target="laptop")


# --- its fields ------------------------------------------------------------------------------------------------------


def test_all_fields_are_templates_but_those_that_decide_before():
    fields = set(KubeflowPipelinesRunOperator.__init__.__annotations__) - {"kwargs", "return"}
    decided = {"deferrable", "caching", "include", "sdk_packages", "pipeline_conn_id"}
    assert fields - decided == set(KubeflowPipelinesRunOperator.template_fields)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="no pipeline"),
        pytest.param({"pipeline": "a.yaml", "pipeline_name": "churn"}, id="two"),
    ],
)
def test_no_pipeline_and_two_are_refused_while_the_dag_is_parsed(fields):
    with pytest.raises(InvalidStep, match="give `pipeline=` or `pipeline_name=`"):
        KubeflowPipelinesRunOperator(task_id="task", **fields)


def test_what_json_cannot_say_is_refused(run):
    with pytest.raises(InvalidStep, match="give plain JSON values"):
        run(pipeline=TEXT, parameters={"lr": object()}).outline()


@pytest.mark.parametrize("given", [TEXT, dict(PIPELINE.spec)], ids=["YAML", "a dict"])
def test_a_compiled_pipeline_is_no_template_though_its_field_is(run, given):
    """Every executor that the SDK writes has ``{{$}}``, which is nothing to Jinja."""
    assert "{{$}}" in json.dumps(given)
    task = rendered(run(pipeline=given, parameters={"lr": "{{ rate }}"}), rate="0.1")
    assert task.outline().manifest["pipeline"]["spec"] == dict(PIPELINE.spec)
    assert task.parameters == {"lr": "0.1"}


def test_a_pipeline_may_come_from_a_template(run):
    task = rendered(run(pipeline="{{ where }}"), where=TEXT)
    assert task.outline().manifest["pipeline"]["spec"] == dict(PIPELINE.spec)


def test_it_is_mapped_as_any_other(connected):
    with DAG("dag", schedule=None) as dag:
        mapped = KubeflowPipelinesRunOperator.partial(task_id="task", conn_id=CONN_ID, pipeline=dict(PIPELINE.spec))
        mapped.expand(parameters=[{"lr": 0.1}, {"lr": 0.2}])
    task = dag.get_task("task").unmap({"parameters": {"lr": 0.1}})
    dag.get_task("task")._do_render_template_fields(task, task.template_fields, {}, dag.get_template_env(), set())
    assert task.outline().manifest["pipeline"]["spec"] == dict(PIPELINE.spec)


@pytest.mark.parametrize("given", ["pipelines/train.yaml", TEXT, dict(PIPELINE.spec)], ids=["a file", "YAML", "a dict"])
def test_a_dag_with_it_is_stored_and_read_by_airflow(given):
    with DAG("dag", schedule=None) as dag:
        KubeflowPipelinesRunOperator(
            task_id="task", pipeline=given, parameters={"lr": 0.1}, outputs={"model": "train.model"},
            max_runtime=timedelta(hours=2), conn_id=CONN_ID,
        )  # fmt: skip
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    task = DagSerialization.from_dict(stored).get_task("task")
    assert task.template_fields == list(KubeflowPipelinesRunOperator.template_fields)
    (fields,) = [one["__var"] for one in stored["dag"]["tasks"]]
    assert (fields["outputs"], fields["max_runtime"]) == ({"model": "train.model"}, "7200.0s")
    assert "untemplated" not in json.dumps(stored).lower()
    assert task.operator_name == "KubeflowPipelinesRun"


# --- where the pipeline comes from -----------------------------------------------------------------------------------


def test_a_file_lies_beside_the_dags_or_below_the_bundle(run, connected):
    (connected / "pipelines").mkdir()
    shutil.copy(COMPILED, connected / "pipelines" / "train.yaml")
    assert run(pipeline="pipelines/train.yaml").outline().manifest["pipeline"]["spec"] == dict(PIPELINE.spec)
    task = run(pipeline="common/train.yaml")
    with pytest.raises(InvalidStep, match=r"no file `common/train.yaml` in .* → give its path from the DAG file's"):
        task.outline()
    (connected / "bundle" / "common").mkdir(parents=True)
    shutil.copy(COMPILED, connected / "bundle" / "common" / "train.yaml")
    made = task.definition({}, str(connected / "bundle"))
    assert made.manifest["pipeline"]["spec"] == dict(PIPELINE.spec)


def test_an_object_of_a_store(run, tmp_path):
    (tmp_path / "train.yaml").write_text(TEXT)
    found = run(pipeline=(tmp_path / "train.yaml").as_uri()).outline().manifest["pipeline"]
    assert found["spec"] == dict(PIPELINE.spec)
    with pytest.raises(InvalidStep, match="there is no object"):
        run(pipeline=(tmp_path / "none.yaml").as_uri()).outline()


def test_a_python_file_is_compiled_by_the_real_sdk_once(run, connected, heard):
    interpreter()
    folder = connected / "mlx" / "kubeflow-pipelines"
    folder.mkdir(parents=True)
    (folder / "environments").symlink_to(ENVIRONMENTS)
    shutil.copytree(PIPELINES, connected / "pipelines")
    task = run(pipeline="pipelines/training.py", function="churn", parameters={"depth": 3})
    spec = task.outline().manifest["pipeline"]["spec"]
    assert spec["pipelineInfo"]["name"] == "churn-training"
    assert set(spec["root"]["dag"]["tasks"]) >= {"train", "evaluate"}
    said = len(heard)
    assert any("compiling `training.py`" in line for line in heard)
    assert task.outline().manifest["pipeline"]["spec"] == spec
    assert len(heard) == said, "it is kept"


# --- what it runs ----------------------------------------------------------------------------------------------------


def test_a_run_is_made_and_its_result_is_what_was_named(run, execute, server):
    done = execute(run(pipeline=TEXT, parameters={"lr": 0.1}, outputs={"model": "train.model"}))
    (made,) = server.runs.values()
    assert made["runtime_config"] == {"parameters": {"lr": 0.1}}
    assert TASK in made["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
    assert (done.result["run_id"], done.result["pipeline"]) == (made["run_id"], "train-gpu")
    assert done.result["model"] == {"mlx": "dataset/1", "uri": "s3://b/model", "version": None}


def test_a_registered_pipeline_is_run_in_the_version_that_was_named(run, execute, server):
    server.register("churn", "v1", "v2")
    execute(run(pipeline_name="churn", version="v1"))
    (made,) = server.runs.values()
    assert made["pipeline_version_reference"] == {"pipeline_id": "p-0", "pipeline_version_id": "id-v1"}


def test_everything_that_is_wrong_is_said_before_anything_is_started(run, execute, server):
    task = run(pipeline=TEXT, parameters={"lrr": 1, "rows": "many"}, outputs={"m": "trian.model"})
    with pytest.raises(InvalidStep) as refused:
        execute(task)
    assert isinstance(refused.value, AirflowFailException)
    for words in ("no parameter `lrr` → did you mean `lr`?", "'many' is no NUMBER_INTEGER", "no task `trian`"):
        assert words in str(refused.value)
    assert server.calls("POST") == []


def test_no_secret_goes_with_a_run(run, execute, server, monkeypatch):
    from airflow_provider_mlx.operators import masked

    monkeypatch.setattr(masked, "is_masked", lambda value: "s3cret" in str(value))
    with pytest.raises(InvalidStep, match="parameters: its value is a secret"):
        execute(run(pipeline=TEXT, parameters={"model_name": "s3cret"}))
    assert server.calls("POST") == []


def test_a_failed_run_fails_the_task(run, execute, server):
    server.ends = "FAILED"
    with pytest.raises(StepFailed):
        execute(run(pipeline=TEXT))


# --- what its outlets are told ---------------------------------------------------------------------------------------

MODEL, TABLE, SCORES = Asset("s3://b/model"), Asset("s3://elsewhere/table"), Asset(name="model", uri="mlx://scores")


def events_of(done):
    return {asset.uri: event.extra for asset, event in done.outlet_events.items()}


def test_an_event_says_which_run_it_was_and_where_its_outputs_lie(run, execute):
    task = run(pipeline=TEXT, outputs={"model": "train.model", "score": "evaluate.score"}, outlets=[TABLE])
    done = execute(task)
    (extra,) = events_of(done).values()
    assert extra == {"run_id": done.result["run_id"], "pipeline": "train-gpu", "outputs": {"model": "s3://b/model"}}


@pytest.mark.parametrize("asset", [MODEL, SCORES], ids=["by its URI", "by its name"])
def test_an_outlet_is_told_of_the_output_that_it_is(run, execute, asset):
    done = execute(run(pipeline=TEXT, outputs={"model": "train.model"}, outlets=[asset, TABLE]))
    told = events_of(done)
    assert told[asset.uri]["uri"] == "s3://b/model"
    assert "uri" not in told[TABLE.uri]
    event = done.outlet_events[asset]
    event.timestamp = "1"
    taken = fill_events(AssetArtifact(asset), {"triggering_asset_events": {asset: [event]}})
    assert taken == {"mlx": "dataset/1", "uri": "s3://b/model", "version": None}


def test_a_registered_pipeline_is_called_by_its_name_in_an_event(run, execute, server):
    server.register("churn", "v1")
    done = execute(run(pipeline_name="churn", outlets=[TABLE]))
    assert events_of(done)[TABLE.uri]["pipeline"] in ("churn", "train-gpu")
