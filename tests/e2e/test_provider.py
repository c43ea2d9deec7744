"""What Airflow finds when our package is installed beside it, and what it does not find."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.harness import AIRFLOW_2, DEMO, EXAMPLES, Environment, Finished, Home, Lab, plain

COMMANDS = {
    "providers": ("airflow", "providers", "list", "--output", "json"),
    "links": ("airflow", "providers", "links", "--output", "json"),
    "config": ("airflow", "config", "get-value", "mlx", "bundle_stacks"),
    "plugins": ("airflow", "plugins", "--output", "json"),
}
ENVIRONMENTS = {"3.3": DEMO, "2.11": AIRFLOW_2}


@pytest.fixture(scope="module")
def homes(make_home: Callable[..., Home]) -> Mapping[str, Home]:
    """An Airflow of each version."""
    return {
        version: make_home(f"provider-{version}", EXAMPLES, environment=environment)
        for version, environment in ENVIRONMENTS.items()
    }


@pytest.fixture(scope="module")
def answers(homes: Mapping[str, Home]) -> Mapping[tuple[str, str], Finished]:
    """What Airflow's command line says, two commands at a time."""
    wanted = [(version, name) for version in homes for name in COMMANDS]
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda key: homes[key[0]].run(*COMMANDS[key[1]]), wanted)
        return dict(zip(wanted, done, strict=True))


def json_of(done: Finished) -> Any:
    """The JSON that stands at the end of a command's output, behind whatever Airflow prints first."""
    assert done.code == 0, done.tail()
    return json.loads(done.stdout[re.search(r"^\[", done.stdout, re.MULTILINE).start() :])  # type: ignore[union-attr]


@pytest.mark.parametrize("version", ENVIRONMENTS)
def test_airflow_discovers_the_provider(answers: Mapping[tuple[str, str], Finished], version: str) -> None:
    providers = {entry["package_name"]: entry for entry in json_of(answers[version, "providers"])}
    assert providers["airflow-provider-mlx"]["version"] == "0.1.0"


@pytest.mark.parametrize("version", ENVIRONMENTS)
def test_the_extra_link_is_registered(answers: Mapping[tuple[str, str], Finished], version: str) -> None:
    links = [entry["extra_link_class_name"] for entry in json_of(answers[version, "links"])]
    assert "airflow_provider_mlx.links.step.JobLink" in links


@pytest.mark.parametrize("version", ENVIRONMENTS)
def test_the_config_section_has_our_defaults(answers: Mapping[tuple[str, str], Finished], version: str) -> None:
    assert answers[version, "config"].stdout.split()[-1] == "allow"


@pytest.mark.parametrize("version", ENVIRONMENTS)
def test_the_plugin_loads(answers: Mapping[tuple[str, str], Finished], version: str) -> None:
    plugins = {entry["name"]: entry for entry in json_of(answers[version, "plugins"])}
    assert "JobLink" in str(plugins["airflow_provider_mlx"]["operator_extra_links"])


@pytest.mark.parametrize("version", ENVIRONMENTS)
def test_no_command_complains_about_us(answers: Mapping[tuple[str, str], Finished], version: str) -> None:
    for name in COMMANDS:
        done = answers[version, name]
        assert complaints(f"{done.stdout}\n{done.stderr}") == [], name


def test_nothing_complains_about_us_at_start(lab: Lab) -> None:
    assert lab.airflow.ask("importErrors")["import_errors"] == []
    assert lab.airflow.ask("plugins/importErrors")["import_errors"] == []
    assert complaints(lab.log_of_start) == []


def test_a_task_instance_offers_the_link(lab: Lab) -> None:
    run = lab.run("script_step")
    place = f"dags/script_step/dagRuns/{run.run_id}/taskInstances/count/links"
    assert "Job" in lab.airflow.ask(place)["extra_links"]


def test_the_command_group_is_in_airflows_own(homes: Mapping[str, Home]) -> None:
    done = homes["3.3"].run("airflow", "mlx", "plan", "--help")
    assert done.code == 0, done.tail()
    assert "--map-index" in done.stdout
    assert "Print what would be submitted for a step" in done.stdout


def test_airflows_own_command_prints_a_plan(homes: Mapping[str, Home]) -> None:
    done = homes["3.3"].run("airflow", "mlx", "plan", "script_step", "count", "--json")
    assert done.code == 0, done.tail()
    assert json.loads(done.stdout)["target"] == "default"


@pytest.mark.parametrize("version", ENVIRONMENTS)
def test_the_package_imports_nothing_but_itself(homes: Mapping[str, Home], version: str) -> None:
    code = (
        "import sys, json; before = set(sys.modules); import airflow_provider_mlx;"
        " print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = homes[version].run("python", "-W", "error", "-c", code)
    assert done.code == 0, done.tail()
    new = json.loads(done.stdout)
    assert [name for name in new if name.startswith("airflow")] == ["airflow_provider_mlx"]
    assert not {name.partition(".")[0] for name in new} & {"pydantic", "yaml", "httpx", "obstore", "packaging"}


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_there_is_no_module_and_no_script_called_mlx(environment: Environment, homes: Mapping[str, Home]) -> None:
    code = """
import importlib.metadata, importlib.util, json
distribution = importlib.metadata.distribution("airflow-provider-mlx")
print(json.dumps({
    "mlx": importlib.util.find_spec("mlx") is not None,
    "groups": sorted({point.group for point in distribution.entry_points}),
    "tops": sorted({path.parts[0] for path in distribution.files}),
}))
"""
    version = next(version for version, known in ENVIRONMENTS.items() if known is environment)
    done = homes[version].run("python", "-c", code)
    found = json.loads(done.stdout)
    assert found["mlx"] is False
    assert found["groups"] == ["airflow.plugins", "apache_airflow_provider"]
    assert found["tops"] == ["airflow_provider_mlx", "airflow_provider_mlx-0.1.0.dist-info"]
    assert not (environment.bin / "mlx").exists()


def test_a_complaint_would_be_seen() -> None:
    assert complaints("fine\n[warning] airflow_provider_mlx is old") == ["[warning] airflow_provider_mlx is old"]


def complaints(text: str) -> list[str]:
    """Lines that name our package and are warnings or errors."""
    ours = [
        line for line in plain(text).splitlines() if "airflow_provider_mlx" in line or "airflow-provider-mlx" in line
    ]
    return [line for line in ours if re.search(r"warn|error|fail|deprecat", line, re.IGNORECASE)]
