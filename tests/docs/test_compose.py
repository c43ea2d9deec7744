"""The Compose file and what it mounts, as far as that can be told without Docker."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.settings import OPTIONS
from airflow_provider_mlx.stacks import load_stacks
from tests.docs.snippets import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
AIRFLOW = ("airflow-migrate", "api-server", "scheduler", "dag-processor", "triggerer")

# The Compose Specification's keys of a service, as far as this file uses them: a misspelt one is silently ignored by
# nobody but a reader.
SERVICE_KEYS = {
    "build", "command", "configs", "depends_on", "entrypoint", "environment", "healthcheck", "image", "networks",
    "ports", "restart", "stop_grace_period", "volumes",
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def test_the_file_has_the_specs_top_level_keys_only():
    assert {key for key in COMPOSE if not key.startswith("x-")} <= {
        "name",
        "services",
        "volumes",
        "networks",
        "configs",
        "secrets",
    }


def test_the_first_comment_says_whom_it_is_for():
    comment = " ".join(line.lstrip("# ") for line in TEXT.splitlines()[:3])
    assert "users with Docker" in comment
    assert "not run in our CI" in comment


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_well_formed(name):
    service = SERVICES[name]
    assert set(service) <= SERVICE_KEYS
    assert "image" in service or "build" in service
    image = service["image"]
    tag = image.rpartition(":")[2]
    assert ":" in image.rpartition("/")[2], f"{image} has no tag"
    assert tag != "latest"
    assert service.get("restart", "no") in ("no", "always", "on-failure", "unless-stopped")
    if "build" in service:
        assert (ROOT / service["build"]["context"]).is_dir()
        assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_depends_on_can_be_waited_for(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert how["condition"] in CONDITIONS
        if how["condition"] == "service_healthy":
            assert SERVICES[other]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        if how["condition"] == "service_completed_successfully":
            assert SERVICES[other].get("restart") == "no", f"{other} would be started again and never complete"


def test_nothing_waits_for_itself():
    def reached(name, path=()):
        assert name not in path, f"a circle: {' → '.join((*path, name))}"
        for other in SERVICES[name].get("depends_on", {}):
            reached(other, (*path, name))

    for name in SERVICES:
        reached(name)


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_networks_and_configs_exist(name):
    service = SERVICES[name]
    for volume in service.get("volumes", ()):
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        assert mode in ([], ["ro"], ["rw"])
        if source.startswith("."):
            assert (ROOT / source).exists()
        else:
            assert source in COMPOSE["volumes"]
    assert set(service.get("networks", ())) <= set(COMPOSE["networks"])
    for config in service.get("configs", ()):
        assert (ROOT / COMPOSE["configs"][config["source"]]["file"]).is_file()


def test_every_volume_and_config_is_used():
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert set(COMPOSE["volumes"]) <= used
    assert set(COMPOSE["configs"]) == {c["source"] for service in SERVICES.values() for c in service.get("configs", ())}


def test_ports_are_this_hosts_only_and_do_not_meet():
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)
    host_ports = [port.split(":")[1] for port in published]
    assert len(host_ports) == len(set(host_ports))


def test_every_variable_has_a_demo_value_and_no_secret_stands_in_the_file():
    example = (ROOT / "deploy" / ".env.example").read_text(encoding="utf-8")
    given = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    needed = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    assert needed == set(given)
    assert "DEMO VALUES" in example.splitlines()[0]
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|FERNET_KEY|SQL_ALCHEMY_CONN|AIRFLOW_CONN_", key):
                assert "${" in str(value), f"{name}: {key} is written out"
                assert not set(given.values()) & {str(value)}


def test_airflow_is_a_whole_airflow_with_this_package():
    for name in AIRFLOW:
        environment = SERVICES[name]["environment"]
        options = {
            key.removeprefix("AIRFLOW__MLX__").lower() for key in environment if key.startswith("AIRFLOW__MLX__")
        }
        assert options <= set(OPTIONS)
        assert environment["AIRFLOW__MLX__DEPLOYMENT_ID"]


def test_the_dockerfile_copies_what_exists():
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    base = next(line for line in lines if line.startswith("FROM "))
    assert re.search(r":[\w.-]+$", base)
    assert "latest" not in base
    for line in (line for line in lines if line.startswith("COPY ")):
        *sources, _ = [word for word in shlex.split(line)[1:] if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), f"{source} does not exist"
    assert "airflow_provider_mlx" in "".join(lines)


def test_the_stack_file_loads_and_uses_the_connection_that_compose_makes():
    stacks = load_stacks(
        deployment_files=[ROOT / "deploy" / "mlx_stacks.yaml"], dag_file=None, bundle_root=None, bundle_stacks="deny",
        backend_settings={"local": backend_class("local").settings_model}, local_root="file:///opt/airflow/mlx",
    )  # fmt: skip
    stack = stacks.stack(stacks.default)
    assert f"AIRFLOW_CONN_{stack.artifacts.conn_id.upper()}" in SERVICES["scheduler"]["environment"]
    bucket = re.match(r"s3://([\w-]+)/", stack.artifacts.root)[1]
    assert f"s3/{bucket}" in SERVICES["create-bucket"]["command"][0]
    assert all(target.refusal is None for targets in stack.targets.values() for target in targets)


def test_the_stacks_of_the_examples_stand_beside_the_deployments():
    examples = ROOT / "dags_examples"
    stacks = load_stacks(
        deployment_files=[ROOT / "deploy" / "mlx_stacks.yaml"], dag_file=examples / "with_stacks" / "switch_stack.py",
        bundle_root=examples, bundle_stacks=SERVICES["scheduler"]["environment"]["AIRFLOW__MLX__BUNDLE_STACKS"],
        backend_settings={"local": backend_class("local").settings_model}, local_root="file:///opt/airflow/mlx",
    )  # fmt: skip
    assert stacks.default == "compose"
    assert stacks.stack("laptop").artifacts.root == "file:///opt/airflow/mlx"


def test_the_configuration_of_marquez_parses_and_fits():
    config = yaml.safe_load((ROOT / "deploy" / "marquez.yml").read_text(encoding="utf-8"))
    ports = {connector["port"] for connector in config["server"]["applicationConnectors"]}
    assert ports == {int(port.split(":")[2]) for port in SERVICES["marquez"]["ports"]}
    host, database = re.fullmatch(r"jdbc:postgresql://([\w-]+):5432/(\w+)", config["db"]["url"]).groups()
    assert SERVICES[host]["environment"]["POSTGRES_DB"] == database
    assert SERVICES[host]["environment"]["POSTGRES_USER"] == config["db"]["user"]
    name = re.fullmatch(r"\$\{(\w+)\}", config["db"]["password"])[1]
    assert name in SERVICES["marquez"]["environment"]
