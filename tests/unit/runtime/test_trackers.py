"""Which runs of experiment trackers a job tells of; with libraries that remember what the real ones remember."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from airflow_provider_mlx.runtime.trackers import tracked_runs


@pytest.fixture
def loaded(monkeypatch):
    def load(name, **members):
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)

    return load


def mlflow(loaded, *, active=None, last=None, uri="https://bot:secret@mlflow.acme.com/"):
    info = SimpleNamespace(info=SimpleNamespace(run_id=active)) if active else None
    loaded("mlflow", active_run=lambda: info, get_tracking_uri=lambda: uri)
    loaded("mlflow.tracking.fluent", _last_active_run_id=last)


def test_nothing_is_loaded_and_nothing_is_told():
    assert tracked_runs() == []


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"active": "c0ffee"}, id="a run that is active"),
        pytest.param({"last": SimpleNamespace(get=lambda: "c0ffee")}, id="one that has ended"),
        pytest.param({"last": "c0ffee"}, id="one that has ended, in an older MLflow"),
    ],
)
def test_a_run_of_mlflow_and_its_page_without_a_credential(loaded, given):
    mlflow(loaded, **given)
    (run,) = tracked_runs()
    assert (run["kind"], run["id"]) == ("mlflow", "c0ffee")
    assert run["url"] == "https://mlflow.acme.com/#/runs/c0ffee"


def test_a_run_in_a_folder_has_no_page(loaded):
    mlflow(loaded, active="c0ffee", uri="file:///tmp/mlruns")
    assert tracked_runs() == [{"kind": "mlflow", "id": "c0ffee", "url": None}]


def test_a_library_that_was_loaded_and_not_used(loaded):
    mlflow(loaded)
    loaded("wandb", run=None)
    assert tracked_runs() == []


def test_an_open_run_of_weights_and_biases(loaded):
    loaded("wandb", run=SimpleNamespace(id="1a2b", url="https://wandb.ai/acme/churn/runs/1a2b"))
    assert tracked_runs() == [{"kind": "wandb", "id": "1a2b", "url": "https://wandb.ai/acme/churn/runs/1a2b"}]


def test_another_module_of_that_name_is_no_tracker(loaded):
    loaded("mlflow")
    loaded("wandb", run=SimpleNamespace(id=3, url=4))
    assert tracked_runs() == []


def test_a_job_tells_of_it_whether_it_succeeds_or_fails(job):
    source = """
        import sys, types
        def run(fail):
            found = types.ModuleType("wandb")
            found.run = types.SimpleNamespace(id="1a2b", url=None)
            sys.modules["wandb"] = found
            if fail:
                raise ValueError("boom")
    """
    told = [{"kind": "wandb", "id": "1a2b", "url": None}]
    assert job.run(source, args=(False,)).result["trackers"] == told
    assert job.run(source, args=(True,)).error["trackers"] == told
