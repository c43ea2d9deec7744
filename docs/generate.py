"""
Writes the reference pages, and the capability matrix of the README, from the code.

``python docs/generate.py`` writes; ``--check`` writes nothing and fails with a diff where a page is stale. Airflow is
not imported: the operator is read from its syntax tree, the rest are modules without Airflow.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "airflow_provider_mlx"
sys.path.insert(0, str(ROOT))

from docstrings import cell, fields_of, table, text  # noqa: E402
from error_table import errors  # noqa: E402
from iam_tables import sagemaker_iam  # noqa: E402
from target_keys import kubeflow_cannot, kubeflow_target, kubernetes_target, sagemaker_target  # noqa: E402

NOTE = "<!-- written by docs/generate.py: edit the code, then run `python docs/generate.py` -->\n"
KUBEFLOW_CANNOT = re.compile(r"(<!-- kubeflow-cannot -->\n).*?(<!-- /kubeflow-cannot -->)", re.DOTALL)
MATRIX = re.compile(r"(<!-- capability-matrix -->\n).*?(<!-- /capability-matrix -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them; the number of stale pages is the exit status with ``--check``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail with a diff where a page is stale")
    check = parser.parse_args(arguments).check
    stale = 0
    for path, wanted in pages().items():
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == wanted:
            continue
        stale += 1
        name = path.relative_to(ROOT).as_posix()
        if check:
            lines = difflib.unified_diff(
                found.splitlines(), wanted.splitlines(), name, f"{name}, as the code says", lineterm=""
            )
            print("\n".join(lines))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {name}")
    if check and stale:
        print(f"\n{stale} pages are stale: run `python docs/generate.py`", file=sys.stderr)
    return stale if check else 0


def pages() -> dict[Path, str]:
    """Every generated file and what it should say."""
    reference: Mapping[str, Callable[[], str]] = {
        "settings": settings,
        "operator": operator,
        "kubernetes": kubernetes,
        "kubeflow-pipelines": kubeflow_pipelines,
        "sagemaker-pipeline": sagemaker_pipeline,
        "resources": resources,
        "errors": errors,
        "codecs": codecs,
        "capabilities": capabilities,
        "xcom": xcom,
        "kubernetes-target": kubernetes_target,
        "kubeflow-pipelines-target": kubeflow_target,
        "sagemaker-target": sagemaker_target,
        "sagemaker-iam": sagemaker_iam,
    }
    found = {ROOT / "docs" / "reference" / f"{name}.md": NOTE + page() for name, page in reference.items()}
    readme = ROOT / "README.md"
    found[readme] = MATRIX.sub(lambda match: f"{match[1]}{matrix()}\n{match[2]}", readme.read_text(encoding="utf-8"))
    guide = ROOT / "docs" / "guides" / "kubeflow-pipelines.md"
    told = KUBEFLOW_CANNOT.sub(
        lambda match: f"{match[1]}{kubeflow_cannot()}{match[2]}", guide.read_text(encoding="utf-8")
    )
    found[guide] = told
    return found


def settings() -> str:
    """Every option of the ``[mlx]`` section."""
    from airflow_provider_mlx.settings import OPTIONS

    rows = []
    for name, option in OPTIONS.items():
        default = f"`{option['default']}`" if option["default"] else "empty"
        example = f" Example: `{option['example']}`." if option["example"] else ""
        rows.append((f"`{name}`", f"`AIRFLOW__MLX__{name.upper()}`", default, cell(option["description"]) + example))
    return (
        "\n# Settings\n\nThe section `[mlx]` of `airflow.cfg`, read when a step runs, never while a DAG is parsed. "
        "*Where* steps run is not said here but in [stack files](../guides/stacks.md).\n\n"
        + table(("option", "environment variable", "default", "meaning"), rows)
    )


def operator() -> str:
    """The fields of the operator, and which of them ``@task.mlx`` takes."""
    node = class_of(PACKAGE / "operators" / "step.py", "MlxStepOperator")
    init = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
    defaults = {a.arg: d for a, d in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)}
    documented = fields_of(ast.get_docstring(node) or "")
    templated = templated_fields(node)
    types = {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in init.args.kwonlyargs}
    missing = set(defaults) - set(documented) - {"step_resources"}
    if missing or set(documented) - set(defaults):
        raise SystemExit(
            f"MlxStepOperator: docstring and signature differ in {missing ^ (set(documented) - set(defaults))}"
        )
    decorated = {"entrypoint", "script", "source", "command", "arguments", "argv"}
    rows = [
        (
            f"`{name}`",
            f"`{types[name].removesuffix(' | None')}`".replace("|", "\\|"),
            "yes" if name in templated or (name == "resources" and "step_resources" in templated) else "",
            "" if name in decorated else "yes",
            meaning,
        )
        for name, meaning in documented.items()
    ]
    return (
        "\n# Fields of a step\n\n"
        "`MlxStepOperator(task_id=…, …)` takes the fields below and those of every Airflow operator (`retries`, "
        "`pool`, `execution_timeout`, …). `@task.mlx(…)`, and `mlx_task`, which is the same with types that editors "
        "see, take those marked in the column *decorator*; their arguments are the function's own. Every field may be "
        "left out. "
        "Templated fields are rendered by Airflow before the step is planned.\n\n"
        + table(("field", "type", "templated", "decorator", "meaning"), rows)
        + "\nThe decorator also takes `multiple_outputs`, as every `@task` does.\n\n"
        "## Names that are filled in\n\nA parameter of a decorated function with one of these names, and no argument "
        "of its own, is filled from the run:\n\n"
        + table(("name", "value"), [(f"`{name}`", meaning) for name, meaning in context_names().items()])
        + "\nOther names of Airflow's context hold live objects, which cannot leave Airflow. They are refused when the "
        "DAG is parsed, with the way out:\n\n"
        + table(("name", "way out"), [(f"`{name}`", cell(way)) for name, way in assigned("WAYS_OUT").items()])
    )


def kubernetes() -> str:
    """The fields of the operator and of the sensor for people who bring manifests."""
    parts = [
        ("operators/kubernetes_resource.py", "MlxKubernetesResourceOperator"),
        ("sensors/kubernetes_job.py", "MlxKubernetesSensor"),
    ]
    return (
        "\n# Manifests\n\n[The guide](../guides/kubernetes-manifests.md) has examples. Both take the fields of every "
        "Airflow operator too (`retries`, `pool`, `inlets`, `outlets`, …).\n\n"
        + "\n".join(operator_section(path, name) for path, name in parts)
    )


def kubeflow_pipelines() -> str:
    """The fields of the operators and of the sensor for Kubeflow Pipelines."""
    parts = [
        ("operators/kubeflow_pipelines.py", "KubeflowPipelinesRunOperator"),
        ("operators/kubeflow_registry.py", "KubeflowPipelinesUploadOperator"),
        ("operators/kubeflow_registry.py", "KubeflowPipelinesRecurringRunOperator"),
        ("sensors/kubeflow_pipelines.py", "KubeflowPipelinesRunSensor"),
    ]
    return (
        "\n# Pipelines of Kubeflow\n\n[The guide](../guides/kubeflow-pipelines.md) has examples. All take the fields "
        "of every Airflow operator too (`retries`, `pool`, `inlets`, `outlets`, …).\n\n"
        + "\n".join(operator_section(path, name) for path, name in parts)
    )


def sagemaker_pipeline() -> str:
    """The fields of the operator for pipelines of SageMaker."""
    return (
        "\n# Pipelines of SageMaker\n\n[The guide](../guides/sagemaker-pipelines.md) has examples. It takes the fields "
        "of every Airflow operator too (`retries`, `pool`, `inlets`, `outlets`, …).\n\n"
        + operator_section("operators/sagemaker_pipeline.py", "MlxSageMakerPipelineOperator")
    )


def operator_section(path: str, name: str) -> str:
    """What an operator is, and a row for each of its fields."""
    node = class_of(PACKAGE / path, name)
    doc = ast.get_docstring(node) or ""
    fields = documented_fields(node)
    rows = [(f"`{field}`", f"`{kind}`".replace("|", "\\|"), given, said) for field, kind, given, said in fields]
    head = " ".join(text(part) for part in doc.partition("\n\n:param")[0].split("\n\n"))
    return f"## {name}\n\n{head}\n\n" + table(("field", "type", "templated", "meaning"), rows)


def documented_fields(node: ast.ClassDef) -> list[tuple[str, str, str, str]]:
    """Name, type, whether it is templated, and meaning of every field of an operator; its docstring has all of them."""
    init = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
    types = {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in init.args.kwonlyargs}
    said = fields_of(ast.get_docstring(node) or "")
    if set(types) != set(said):
        raise SystemExit(f"{node.name}: docstring and signature differ in {set(types) ^ set(said)}")
    templated = templated_fields(node)
    return [
        (name, types[name].removesuffix(" | None"), "yes" if name in templated else "", meaning)
        for name, meaning in said.items()
    ]


def templated_fields(node: ast.ClassDef) -> set[str]:
    """The literal ``template_fields`` of a class."""
    return {
        value
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id == "template_fields"
        for value in ast.literal_eval(item.value or ast.Tuple(elts=[]))
    }


def resources() -> str:
    """The fields of ``Resources``."""
    from airflow_provider_mlx.step.resources import Resources

    doc = inspect.getdoc(Resources) or ""
    rows = [(f"`{name}`", meaning) for name, meaning in fields_of(doc).items()]
    head, tail = doc.split("\n")[0], doc.rsplit("\n\n", 1)[1]
    return (
        f"\n# Resources\n\n{text(head)}\n\n"
        '```python\nResources(cpu=2, memory="16Gi", gpu="L4:1", timeout="4h")\n```\n\n'
        + table(("field", "meaning"), rows)
        + f"\n{text(' '.join(tail.split()))}\n\n"
        "What a backend cannot honour is refused before anything is submitted, unless the stack says "
        "`on_unsupported: warn`: see [what each backend can do](capabilities.md).\n"
    )


def codecs() -> str:
    """The codec table, what its rows refuse, and what ``make codecs`` has seen of each."""
    from airflow_provider_mlx.runtime.codecs import CODECS

    rows = [
        (f"`{row.name}`", row.kind, _taken(row), f"`{row.suffix}`" if row.suffix else "the file's own", _packages(row))
        for row in CODECS.values()
    ]
    ways: dict[str, list[str]] = {}
    for row in CODECS.values():
        for name, way in (row.cannot or {}).items():
            ways.setdefault(way, []).append(f"`{name}`")
    return (
        "\n# Codecs\n\nHow a step's result becomes an object, decided by the value's type. Nothing is pickled; a type "
        "that no row takes is an error that names the type. A `model` is never loaded in an Airflow process.\n\n"
        + table(("codec", "class", "takes", "suffix", "packages that the job needs"), rows)
        + "\nA value comes back as what it was, except: a `figure` as the bytes of its picture, a `series` as a list "
        "of its points, a `file` or `directory` as a `Path`, an opened picture as a plain `PIL.Image.Image`. A parquet "
        "object comes back in the library that the parameter's annotation names.\n\n"
        "Packages that a codec needs are added to a step's `requirements`, where it has any; a step without "
        "requirements must find them in its interpreter, which is checked before the user's code starts: for the "
        "inputs, and for the result where the return annotation names its type (`dict[str, torch.Tensor]` too).\n\n"
        "Codecs of other packages: [writing a codec](../codecs.md).\n\n## What is refused\n\n"
        "By name, subclasses too, since the format would not keep what they hold.\n\n"
        + table(("type", "instead"), [(", ".join(names), cell(way)) for way, names in ways.items()])
        + "\n## What was tested\n\n`make codecs` sends a value of each codec on every way, through real jobs with the "
        "real packages: from a step to a step, to a plain Airflow task, and back, on a file system and on S3 (moto's "
        "server). Written by its last whole run.\n\n" + table(("codec", *_WAYS, "with"), _tested(list(CODECS)))
    )


_WAYS = ("step → step", "step → plain task", "plain task → step")


def _taken(row: Any) -> str:
    """The types that a row of the codec table takes, in words."""
    special = {
        "verbatim": "a `dict` with a key `mlx` of its own",
        "directory": "a `pathlib.Path` that is a folder",
        "file": "a `pathlib.Path` that is a file",
        "model_directory": "the same, annotated as a `Model`",
        "model_file": "the same, annotated as a `Model`",
        "series": "what `log_metric` logged with step numbers",
        "sparse": "arrays and matrices of `scipy.sparse` in the forms `bsr`, `coo`, `csc`, `csr`, `dia`",
    }
    names = [f"`{name}`" for name in row.types] + [f"subclasses of `{name}`" for name in row.bases]
    members = " or ".join(f"`{name}`" for name in row.members)
    return special.get(row.name, ", ".join([*names, *([f"a `dict` of text → {members}"] if members else [])]))


def _packages(row: Any) -> str:
    rows = [
        ", ".join(f"`{name}`" for name in needed) + (f" ({kind})" if kind != "*" else "")
        for kind, needed in (row.packages or {}).items()
    ]
    return "; ".join(rows) or "none"


def _tested(names: list[str]) -> list[tuple[str, ...]]:
    """What ``tests/codecs/journeys/table.py`` wrote; a codec without a row was never tested, or is no more."""
    found = json.loads((ROOT / "docs" / "codecs-tested.json").read_text(encoding="utf-8"))
    if set(found) != set(names):
        raise SystemExit(
            f"docs/codecs-tested.json and the codecs differ in {set(found) ^ set(names)}: run `make codecs`"
        )
    return [
        (
            f"`{name}`",
            *(found[name]["ways"][way] for way in _WAYS),
            ", ".join(f"{package} {version}" for package, version in found[name]["packages"].items()),
        )
        for name in names
    ]


def capabilities() -> str:
    """What each backend can do."""
    return (
        "\n# What each backend can do\n\nGenerated from each backend's own table of refusals, which the contract suite "
        "tests.\n\n" + matrix() + "\n"
    )


def xcom() -> str:
    """The keys that a step pushes."""
    doc = ast.get_docstring(ast.parse((PACKAGE / "operators" / "results.py").read_text(encoding="utf-8"))) or ""
    rows = [
        (match[1].replace("``", "`"), text(match[2]))
        for match in re.finditer(r"^(``\w+``)\s{2,}(.+)$", doc, re.MULTILINE)
    ]
    return (
        "\n# XCom layout\n\nWhat a step pushes. Everything is plain JSON, no class of ours.\n\n"
        + table(("key", "value"), rows)
        + "\nWith `multiple_outputs`, Airflow pushes one more XCom per key of the returned dict. "
        "[Results and artifacts](../guides/results-and-artifacts.md) shows the forms of a reference.\n"
    )


def matrix() -> str:
    """The capability matrix of the backends that ship with this package."""
    from airflow_provider_mlx.backends.registry import _OURS, backend_class
    from airflow_provider_mlx.testing.capabilities import capability_matrix

    return capability_matrix([backend_class(name) for name in _OURS]).strip()


# --- reading the code ------------------------------------------------------------------------------------------------


def class_of(path: Path, name: str) -> ast.ClassDef:
    """A class in a module's syntax tree."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def assigned(name: str) -> dict[str, Any]:
    """A literal of ``operators/arguments.py``."""
    return dict(ast.literal_eval(_assignment(name)))


def context_names() -> dict[str, str]:
    """The names of ``CONTEXT_NAMES``, in its order, with what they are."""
    node = _assignment("CONTEXT_NAMES")
    if not isinstance(node, ast.Dict):
        raise SystemExit("CONTEXT_NAMES is no dict any more: correct docs/generate.py")
    meanings = {
        "logical_date": "an aware `datetime`, or `None`",
        "data_interval_start": "an aware `datetime`, or `None`",
        "data_interval_end": "an aware `datetime`, or `None`",
        "params": "a `dict`: the run's params",
        "conf": "a `dict`: what the run was triggered with",
        "map_index": "an `int`, -1 where the step is not mapped",
        "try_number": "an `int`, from 1",
    }
    names = [str(ast.literal_eval(key)) for key in node.keys if key is not None]
    return {name: meanings.get(name, f"text, as in `{{{{ {name} }}}}`") for name in names}


def _assignment(name: str) -> ast.expr:
    tree = ast.parse((PACKAGE / "operators" / "arguments.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.target.id == name
            and node.value
        ):
            return node.value
    raise SystemExit(f"operators/arguments.py has no {name} any more: correct docs/generate.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
