"""``init kubernetes``: what it writes can be used as it is, and nothing is lost by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from airflow_provider_mlx.backends.kubernetes.rights import rights
from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.cli.init import check, write_new
from airflow_provider_mlx.cli.init_kubernetes import Wish, manifests, next_steps, stack_file
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import load_stacks

WISHES = [
    pytest.param(Wish(), id="as it is"),
    pytest.param(Wish(scheduler="kai", queue="team-a"), id="KAI with a queue"),
    pytest.param(Wish(scheduler="kueue", queue="7"), id="Kueue with a queue that looks like a number"),
    pytest.param(Wish(scheduler="volcano", trainer=True, devices=True), id="Volcano, Trainer and DRA"),
    pytest.param(
        Wish(image='r/"odd": #1', root="s3://b/päth", root_conn_id="aws: x"), id="names that YAML would change"
    ),
]


@pytest.mark.parametrize("wish", WISHES)
def test_the_stack_file_loads_without_a_problem_and_says_what_was_asked(wish, tmp_path):
    file = tmp_path / "mlx_stacks.yaml"
    file.write_text(stack_file(wish))
    stacks = load_stacks(
        deployment_files=[file], dag_file=None, bundle_root=None, bundle_stacks="deny",
        backend_settings={name: backend_class(name).settings_model for name in ("local", "kubernetes", "trainer")},
        local_root="file:///tmp/mlx",
    )  # fmt: skip
    stack = stacks.stack(stacks.default)
    assert not stack.incomplete
    assert (stack.artifacts.root, stack.artifacts.conn_id) == (wish.root, wish.root_conn_id or None)
    assert list(stack.targets) == ["default", *(["training"] if wish.trainer else [])]
    for [target] in stack.targets.values():
        assert target.refusal is None
        assert (target.conn_id, target.image) == (wish.conn_id, wish.image)
        settings = target.settings
        assert (settings.namespace, settings.scheduler, settings.queue) == (wish.namespace, wish.scheduler, wish.queue)


def test_every_commented_key_of_the_stack_file_is_one(tmp_path):
    lines = stack_file(Wish()).splitlines()
    uncommented = [
        line.replace("# ", "", 1) if line.startswith("        # ") and _is_a_key(line) else line for line in lines
    ]
    assert len([line for line in lines if line.startswith("        # ") and _is_a_key(line)]) == 4
    file = tmp_path / "mlx_stacks.yaml"
    file.write_text("\n".join(uncommented))
    models = {name: backend_class(name).settings_model for name in ("local", "kubernetes")}
    stacks = load_stacks(
        deployment_files=[file], dag_file=None, bundle_root=None, bundle_stacks="deny", backend_settings=models,
        local_root="file:///tmp/mlx",
    )  # fmt: skip
    [target] = stacks.stack("kubernetes").targets["default"]
    assert target.settings.env_from[0].secret == "artifact-root"
    assert target.give_up_pending_after is not None


def _is_a_key(line: str) -> bool:
    return line.strip("# ").split(":")[0] in ("env_from", "secrets", "give_up_pending_after", "gpus")


@pytest.mark.parametrize("wish", WISHES)
def test_the_manifests_are_four_objects_with_the_rights_of_the_table(wish):
    text = manifests(wish)
    assert "&id" not in text, "people read it: no anchors"
    namespace, role, binding, policy = yaml.safe_load_all(text)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert role["rules"] == [
        {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)}
        for right in rights(scheduler=wish.scheduler, trainer=wish.trainer, devices=wish.devices)
    ]
    assert "*" not in str(role["rules"])
    assert not any("secrets" in rule["resources"] or "pods/exec" in rule["resources"] for rule in role["rules"])
    assert [subject["name"] for subject in binding["subjects"]] == list(wish.service_accounts)
    assert {one["metadata"]["namespace"] for one in (role, binding, policy)} == {wish.namespace}


@pytest.mark.parametrize("cidr", ["10.0.0.1/32", "fd00::1/128"])
def test_the_network_policy_bars_the_api_server_where_it_is_named(cidr):
    *_, policy = yaml.safe_load_all(manifests(Wish(api_server=[cidr])))
    blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
    [barred] = [block for block in blocks if cidr in block["except"]]
    assert (":" in barred["cidr"]) is (":" in cidr), "an address is taken out of the range of its own family"
    assert "`--api-server`" in manifests(Wish()), "a reader is told that it is not barred, and how to bar it"
    assert "`--api-server`" not in manifests(Wish(api_server=[cidr]))


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        pytest.param(Wish(scheduler="kueue"), "only through a LocalQueue", id="Kueue without a queue"),
        pytest.param(Wish(queue="team"), "does not read it", id="a queue without a scheduler that has one"),
        pytest.param(Wish(namespace="My Namespace"), "is no namespace", id="a name that is none"),
        pytest.param(Wish(api_server=["10.0.0.1/8"]), "has host bits set", id="a range that is none"),
    ],
)
def test_what_no_target_can_be_made_of_is_refused(wish, said):
    with pytest.raises(InvalidStep, match=said):
        check(wish)


def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path):
    one, other = tmp_path / "one", tmp_path / "new" / "other"
    one.write_text("mine")
    with pytest.raises(InvalidStep, match="would be overwritten"):
        write_new({other: "b", one: "a"}, force=False)
    assert one.read_text() == "mine"
    assert not other.exists()
    write_new({other: "b", one: "a"}, force=True)
    assert (one.read_text(), other.read_text()) == ("a", "b")


def test_the_next_steps_are_those_that_are_left():
    paths = {"stack": Path("/x/mlx_stacks.yaml"), "applied": Path("/x/mlx-kubernetes.yaml")}
    steps = "\n".join(next_steps(Wish(), **paths, deployment_id=""))
    assert "put your own bucket" in steps
    assert "AIRFLOW__MLX__DEPLOYMENT_ID" in steps
    steps = "\n".join(next_steps(Wish(root="s3://b/r", image="r/i:1"), **paths, deployment_id="prod"))
    assert "put your own" not in steps
    assert "DEPLOYMENT_ID" not in steps
    assert "kubectl apply -f /x/mlx-kubernetes.yaml" in steps


def test_the_command_writes_both_files_and_says_what_doctor_thinks(tmp_path):
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [
        sys.executable, "-m", "airflow_provider_mlx", "init", "kubernetes", "--output", str(tmp_path / "out"),
        "--root", (tmp_path / "root").as_uri(), "--service-account", "a", "--service-account", "b",
    ]  # fmt: skip
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mlx_stacks.yaml", "mlx-kubernetes.yaml"}
    for part in (
        "wrote ",
        "next:",
        "kubectl apply",
        "doctor says of it now:",
        "fail     connection kubernetes_default",
    ):
        assert part in done.stdout
    again = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "would be overwritten" in again.stderr
