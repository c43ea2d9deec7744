"""What a target may say, and what it cannot say, with the way out."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from airflow_provider_mlx.backends.kubeflow_pipelines.cannot import AFFINITY, CANNOT, DEVICE_CLASS, KEYS, VOLUME
from airflow_provider_mlx.backends.kubeflow_pipelines.settings import KubeflowPipelinesSettings
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings


def refusal(**given) -> str:
    with pytest.raises(ValidationError) as refused:
        KubeflowPipelinesSettings.model_validate(given)
    return str(refused.value)


def test_a_target_needs_no_key_at_all():
    settings = KubeflowPipelinesSettings()
    assert (settings.experiment, settings.keep) == ("Default", "always")


def test_what_the_ledger_keeps_reads_as_the_same():
    given = KubeflowPipelinesSettings.model_validate(
        {
            "namespace": "team-a",
            "gpus": {"L4": {"node_selector": {"gpu": 4}}},
            "volumes": [{"claim": "d", "path": "/d"}],
        }
    )
    assert KubeflowPipelinesSettings.model_validate(given.model_dump(mode="json")) == given


def test_the_page_of_a_run():
    url = "https://kf.example.com/_/pipeline/?ns={namespace}#/runs/details/{run}"
    settings = KubeflowPipelinesSettings(namespace="ml", console_url=url)
    assert settings.page("r-1") == "https://kf.example.com/_/pipeline/?ns=ml#/runs/details/r-1"
    assert KubeflowPipelinesSettings().page("r-1") == ""


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_key_of_a_kubernetes_target_is_refused_with_its_reason(key):
    assert f"`{key}`: {KEYS[key]}" in refusal(**{key: "x"})


def test_every_key_of_a_kubernetes_target_is_a_key_here_or_refused_with_a_reason():
    elsewhere = {"mount_service_account_token", "privilege_escalation", "drop_capabilities", "seccomp", "code"}
    known = set(KubeflowPipelinesSettings.model_fields)
    assert set(KubernetesSettings.model_fields) - known - set(KEYS) == elsewhere


def test_all_that_cannot_be_set_is_said_at_once():
    said = refusal(scheduler="kai", priority_class="high", runtime_class="nvidia")
    assert all(f"`{key}`:" in said for key in ("scheduler", "priority_class", "runtime_class"))


@pytest.mark.parametrize("kind", sorted(AFFINITY))
def test_affinities_that_the_driver_drops_are_refused(kind):
    assert AFFINITY[kind] in refusal(affinity={kind: {"requiredDuringSchedulingIgnoredDuringExecution": []}})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"gpus": {"L4": {"device_class": "gpu.nvidia.com"}}}, DEVICE_CLASS, id="DRA"),
        pytest.param(
            {"volumes": [{"host_path": "/data", "path": "/d"}]}, VOLUME["host_path"], id="a folder of the node"
        ),
        pytest.param(
            {"volumes": [{"claim": "d", "path": "/d", "sub_path": "x"}]}, VOLUME["sub_path"], id="a part of it"
        ),
        pytest.param({"volumes": [{"claim": "d", "secret": "s", "path": "/d"}]}, "a volume has one source", id="two"),
        pytest.param({"affinity": {"nodeAffinty": {}}}, "an affinity has `nodeAffinity`", id="a misspelt affinity"),
        pytest.param({"namespace": "Team A"}, "namespace", id="no namespace"),
        pytest.param({"experimnt": "x"}, "Extra inputs are not permitted", id="a misspelt key"),
    ],
)
def test_refused(given, said):
    assert said in refusal(**given)


def test_every_reason_says_the_way_out():
    assert all(" → " in reason for table in (CANNOT, KEYS, AFFINITY, VOLUME) for reason in table.values())
