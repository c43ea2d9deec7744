"""What Airflow discovers."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema

from airflow_provider_mlx.provider_info import get_provider_info


def test_provider_info_follows_airflows_schema() -> None:
    schemas = list(Path(airflow.__file__).parent.glob("provider_info.schema.json"))
    assert schemas, "Airflow's provider_info.schema.json has moved"
    jsonschema.validate(get_provider_info(), json.loads(schemas[0].read_text()))


def test_entry_points_name_things_that_exist() -> None:
    for group in ("apache_airflow_provider", "airflow.plugins"):
        ours = [point for point in entry_points(group=group) if point.value.startswith("airflow_provider_mlx")]
        assert ours, group
        for point in ours:
            assert point.load() is not None


def test_every_class_that_provider_info_names_can_be_imported() -> None:
    from importlib import import_module

    info = get_provider_info()
    names = [*info["extra-links"], *info["cli"], *(entry["class-name"] for entry in info["task-decorators"])]
    names += [entry["hook-class-name"] for entry in info["connection-types"]]
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name
    for entry in (*info["operators"], *info["sensors"], *info["hooks"]):
        for module in entry["python-modules"]:
            import_module(module)


def test_a_connection_type_is_that_of_its_hook() -> None:
    from importlib import import_module

    for entry in get_provider_info()["connection-types"]:
        module, _, name = entry["hook-class-name"].rpartition(".")
        hook = getattr(import_module(module), name)
        assert (hook.conn_type, hook.hook_name) == (entry["connection-type"], entry["hook-name"])
        assert hook.default_conn_name.startswith(hook.conn_type)
        old = {key.replace("_", "-"): value for key, value in hook.get_ui_field_behaviour().items()}
        assert old == entry["ui-field-behaviour"], "both generations of Airflow show the same form"


def test_the_description_imports_nothing_of_airflow() -> None:
    code = (
        "import sys\nfrom airflow_provider_mlx.provider_info import get_provider_info\nget_provider_info()\n"
        "assert 'airflow' not in sys.modules and 'httpx' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_integration_is_described() -> None:
    info = get_provider_info()
    known = {entry["integration-name"] for entry in info["integrations"]}
    assert {entry["integration-name"] for kind in ("operators", "sensors", "hooks") for entry in info[kind]} == known


def test_the_package_imports_nothing_until_it_is_asked() -> None:
    code = (
        "import sys, airflow_provider_mlx\n"
        "extra = [m for m in sys.modules if m.startswith('airflow_provider_mlx.') or m.split('.')[0] in "
        "('airflow', 'pydantic', 'yaml', 'obstore', 'pandas', 'numpy')]\n"
        "assert not extra, extra\n"
        "from airflow_provider_mlx import Dataset, Resources\n"
        "assert 'airflow' not in sys.modules and 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_module_or_script_is_called_mlx() -> None:
    """The bare name belongs to another project."""
    from importlib.metadata import distribution

    ours = distribution("airflow-provider-mlx")
    assert [point.name for point in ours.entry_points if point.group == "console_scripts"] == []
    assert (ours.read_text("top_level.txt") or "airflow_provider_mlx").split() == ["airflow_provider_mlx"]
