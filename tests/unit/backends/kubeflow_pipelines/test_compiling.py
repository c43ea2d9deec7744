"""Files with pipelines, compiled by the real SDK in an environment of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

from airflow_provider_mlx.backends.kubeflow_pipelines import compiling
from airflow_provider_mlx.backends.kubeflow_pipelines.compile_errors import (
    CompilationFailed,
    choice_error,
    raised_error,
)
from airflow_provider_mlx.backends.kubeflow_pipelines.compiled import CompiledPipeline, Parameter, parse_pipeline
from airflow_provider_mlx.backends.kubeflow_pipelines.compiling import SDK_VERSION, Sdk, SdkUnavailable
from airflow_provider_mlx.backends.kubeflow_pipelines.inputs import resolve_outputs
from airflow_provider_mlx.backends.kubeflow_pipelines.pipeline_source import PipelineSource
from airflow_provider_mlx.exceptions import InvalidStep, JobMisconfigured
from tests.unit.backends.kubeflow_pipelines.schema import check_pipeline
from tests.unit.backends.kubeflow_pipelines.sdk import PIPELINES, compiler, interpreter

TRAINING = PipelineSource(PIPELINES / "training.py")
SCORING = PipelineSource(PIPELINES / "scoring.py", "every", include=("count.yaml", "names.txt"))
ON_GPUS = PipelineSource(PIPELINES / "on_gpus.py", "on_gpus")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:
    """Compiled pipelines that several tests of this module look at."""
    return tmp_path_factory.mktemp("compiled")


def written(folder: Path, text: str, name: str = "pipeline.py") -> PipelineSource:
    (folder / name).write_text(textwrap.dedent(text))
    return PipelineSource(folder / name)


def documents(pipeline: CompiledPipeline) -> list[object]:
    return [dict(one) for one in (pipeline.spec, pipeline.platform) if one is not None]


# --- what comes out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [TRAINING, SCORING, ON_GPUS], ids=lambda source: source.file.stem)
def test_it_is_what_the_published_schema_knows(source, compiled):
    check_pipeline(compiler(compiled).compile(source).pipeline_spec, SDK_VERSION)


def test_a_training_with_a_condition_and_a_module_beside_it(compiled):
    pipeline = compiler(compiled).compile(TRAINING)
    assert pipeline.name == "churn-training"
    assert sorted(pipeline.tasks) == ["condition-1", "condition-1/register", "evaluate", "train"]
    assert pipeline.tasks["evaluate"].artifacts == {"metrics": "system.Metrics"}
    assert pipeline.parameters["depth"] == Parameter("depth", "NUMBER_INTEGER", True, 6.0)
    outputs = resolve_outputs(pipeline, {"model": "train.model", "auc": "evaluate.Output"})
    assert {name: one.kind for name, one in outputs.items()} == {"model": "artifact", "auc": "parameter"}


def test_a_line_feed_in_a_default_stays_a_part_of_it(compiled):
    """The SDK's own file would have the keys `name` and `defaultPipelineRoot`."""
    pipeline = compiler(compiled).compile(TRAINING)
    assert pipeline.parameters["note"].default == "first line\nname: evil\ndefaultPipelineRoot: s3://elsewhere"
    assert sorted(pipeline.spec) == [
        "components", "deploymentSpec", "pipelineInfo", "root", "schemaVersion", "sdkVersion",
    ]  # fmt: skip


def test_a_loop_with_a_pipeline_in_it_and_files_that_are_read_meanwhile(compiled):
    pipeline = compiler(compiled).compile(SCORING)
    assert pipeline.parameters["more"].default == ["eu", "us", "asia"]
    assert pipeline.tasks["for-loop-1/one-table/score"].repeated
    assert not pipeline.tasks["total"].repeated


def test_the_kubernetes_side_is_a_second_document(compiled):
    pipeline = compiler(compiled).compile(ON_GPUS)
    assert pipeline.platform is not None
    config = pipeline.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-work"]
    assert config["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert [mount["mountPath"] for mount in config["pvcMount"]] == ["/data"]
    assert list(yaml.safe_load_all(pipeline.to_yaml())) == documents(pipeline)


def test_it_is_what_the_sdks_own_command_writes(compiled, tmp_path):
    command = [str(Path(interpreter()).with_name("kfp")), "dsl", "compile", "--function", "on_gpus"]
    asked = ["--py", str(ON_GPUS.file), "--output", str(tmp_path / "out.yaml")]
    subprocess.run([*command, *asked], cwd=tmp_path, check=True, capture_output=True)
    theirs = parse_pipeline((tmp_path / "out.yaml").read_text())
    assert documents(compiler(compiled).compile(ON_GPUS)) == documents(theirs)


# --- the environment ------------------------------------------------------------------------------------------------


def test_the_sdk_is_nowhere_in_airflows_own_environment(compiled):
    """Its pins are others than those of Airflow's providers; a file compiles all the same."""
    for name in ("kfp", "kfp_kubernetes", "kfp-pipeline-spec", "kfp-server-api"):
        with pytest.raises(importlib.metadata.PackageNotFoundError):
            importlib.metadata.distribution(name)
    assert importlib.util.find_spec("kfp") is None
    done = subprocess.run([sys.executable, "-c", "import kfp"], capture_output=True, text=True)
    assert "No module named 'kfp'" in done.stderr
    assert compiler(compiled).compile(TRAINING).name == "churn-training"
    assert "kfp" not in sys.modules


def test_nothing_is_asked_of_a_network_once_the_sdk_is_there(tmp_path, monkeypatch):
    interpreter()
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    told: list[str] = []
    compiler(tmp_path, told.append).compile(ON_GPUS)
    assert told == [f"compiling `on_gpus.py` by the SDK of Kubeflow Pipelines {SDK_VERSION}"]


def test_what_was_compiled_is_not_compiled_again_until_something_changes(tmp_path):
    folder, compiled = tmp_path / "dags", tmp_path / "compiled"
    shutil.copytree(PIPELINES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    source = PipelineSource(folder / "training.py")
    told: list[str] = []
    first = compiler(compiled, told.append).compile(source)
    assert len(told) == 1
    nowhere = compiler(compiled, told.append, environments=tmp_path / "nowhere")
    (folder / "scoring.py").write_text("what it does not import does not count")
    assert nowhere.compile(source) == first
    assert len(told) == 1, "neither an environment nor a process"
    shared = folder / "shared/components.py"
    shared.write_text(shared.read_text().replace("ml:1", "ml:2"))
    assert compiler(compiled, told.append).compile(source) != first
    assert len(told) == 2
    assert not list(folder.rglob("__pycache__")), "and nothing is written beside the author's files"


def test_another_version_a_function_and_packages_are_other_pipelines(tmp_path):
    files = TRAINING.files()
    digests = {
        compiler(tmp_path, sdk=sdk)._digest(source, files, sdk.requirements())
        for sdk in (Sdk(), Sdk("2.17.0"), Sdk(packages=("numpy",)))
        for source in (TRAINING, PipelineSource(TRAINING.file, "churn"))
    }
    assert len(digests) == 6


def test_a_file_sees_no_secret_of_airflows(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://airflow:s3cr3t@db/airflow")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    monkeypatch.setenv("PIP_INDEX_URL", "https://ci:s3cr3t@index.example.com/simple")
    monkeypatch.setenv("FLAVOUR", "vanilla")
    source = written(
        tmp_path,
        """
        import json, os
        from kfp import dsl

        @dsl.component
        def nothing():
            pass

        @dsl.pipeline
        def seen(env: str = json.dumps(dict(os.environ))):
            nothing()
        """,
    )
    pipeline = compiler(tmp_path / "compiled", pass_env=("FLAVOUR",)).compile(source)
    seen = json.loads(pipeline.parameters["env"].default)
    assert seen["FLAVOUR"] == "vanilla"
    assert "s3cr3t" not in str(seen)
    assert not [name for name in seen if name.startswith(("AIRFLOW", "AWS", "PIP", "UV"))]


@pytest.mark.parametrize("version", ["", "2", "2.4.0", "1.8.22", "3.0.0", "2.14.3; rm", "latest"])
def test_no_version_of_the_sdk(version):
    with pytest.raises(InvalidStep, match="sdk_version"):
        Sdk(version).requirements()


@pytest.mark.parametrize("version", ["2.14.3", "2.17.0", "2.15.0rc1", "2.18"])
def test_versions_of_the_sdk(version):
    assert Sdk(version, ("numpy",)).requirements() == [f"kfp=={version}", f"kfp-kubernetes=={version}", "numpy"]


def test_without_a_network_it_may_be_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(SdkUnavailable) as refused:
        compiler(tmp_path, environments=tmp_path / "environments").compile(TRAINING)
    assert "look whether this worker reaches its package index" in str(refused.value)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param("there is no version of kfp==2.99.0", JobMisconfigured, id="uv: there is none"),
        pytest.param("ERROR: No matching distribution found for kfp==2.99.0", JobMisconfigured, id="pip: there is none"),
        pytest.param("Request failed\nerror sending request for url (https://…)", SdkUnavailable, id="uv: no index"),
        pytest.param(
            "WARNING: Retrying (Retry(total=4)) after connection broken\nERROR: No matching distribution found",
            SdkUnavailable, id="pip: no index",
        ),
        pytest.param("No space left on device", SdkUnavailable, id="anything else"),
    ],
)  # fmt: skip
def test_why_it_was_not_installed(said, kind):
    error = compiling._not_installed(["kfp==2.99.0", "mine @ https://me:s3cr3t@index.example.com/mine.whl"], said)
    assert type(error) is kind
    assert "s3cr3t" not in str(error)


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_an_error_is_told_at_the_authors_own_lines(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/steps.py").write_text(
        "from kfp import dsl\n\n\n@dsl.component\ndef one(n: int) -> int:\n    return n\n\n\ndef twice():\n    one(m=2)\n"
    )
    source = written(
        tmp_path,
        """\
        from kfp import dsl
        from parts import steps

        @dsl.pipeline
        def broken():
            steps.twice()
        """,
    )
    with pytest.raises(CompilationFailed) as failed:
        compiler(tmp_path / "compiled").compile(source)
    lines = str(failed.value).splitlines()
    assert lines[0].startswith("the pipeline in `pipeline.py` does not compile: TypeError: one() got an unexpected")
    assert lines[1] == "  at parts/steps.py:10, in twice"
    assert lines[2:6] == [
        "  | pipeline.py:4, in <module>", "  | pipeline.py:6, in broken", "  | parts/steps.py:10, in twice", lines[5]
    ]  # fmt: skip
    assert lines[5].startswith("  | kfp/dsl/")
    assert "sdk_version" in lines[-1]
    assert str(tmp_path) not in str(failed.value)
    assert not list((tmp_path / "compiled").glob("*")), "a failure is not kept"


@pytest.mark.parametrize(
    ("line", "message", "remedy"),
    [
        pytest.param("import pandas", "No module named 'pandas'", "name it in `packages`", id="a package"),
        pytest.param("open('x.csv')", "No such file", "name the file in `include`", id="a file"),
    ],
)
def test_what_is_missing_is_named(line, message, remedy, tmp_path):
    with pytest.raises(CompilationFailed) as failed:
        compiler(tmp_path / "compiled").compile(written(tmp_path, f"{line}\n"))
    assert failed.value.where == "pipeline.py:1, in <module>"
    assert message in failed.value.what
    assert remedy in failed.value.remedy


def test_several_pipelines_and_none_is_named(compiled):
    with pytest.raises(InvalidStep) as refused:
        compiler(compiled).compile(PipelineSource(SCORING.file, include=SCORING.include))
    assert str(refused.value.problems[0]) == (
        "function: it has several pipelines, and none is named → name one of `one` (one-table), `every` (all-tables)"
    )


@pytest.mark.parametrize(
    ("function", "pipelines", "kind", "problem"),
    [
        pytest.param("chrun", {"churn": "c", "one": "o"}, "", "did you mean `churn`?", id="a typo"),
        pytest.param("nightly", {"churn": "c"}, "", "it has `churn` (c)", id="another name"),
        pytest.param("train", {"churn": "c"}, "PythonComponent", "call it in a function under", id="a component"),
        pytest.param("", {}, "", "put `@dsl.pipeline` before a function", id="no pipeline"),
        pytest.param("churn", {}, "", "put `@dsl.pipeline` before a function", id="no pipeline, and one is named"),
    ],
)
def test_no_such_pipeline(function, pipelines, kind, problem):
    error = choice_error("p.py", function, {"pipelines": pipelines, "is": kind})
    assert problem in str(error.problems[0])


def test_an_error_that_was_raised_outside_of_the_authors_files_and_says_nothing():
    error = raised_error(
        "p.py", {"type": "KeyboardInterrupt", "message": "", "frames": [], "missing": ""}, Path("/copy")
    )
    assert str(error) == "the pipeline in `p.py` does not compile: KeyboardInterrupt\n  → correct the file"


def test_a_file_that_ends_the_process_says_what_it_printed(tmp_path):
    source = written(tmp_path, "import os\nprint('last words', flush=True)\nos._exit(3)\n")
    with pytest.raises(InvalidStep) as failed:
        compiler(tmp_path / "compiled").compile(source)
    assert "its process ended with exit status 3" in str(failed.value)
    assert "| last words" in str(failed.value)


def test_a_file_that_takes_for_ever(tmp_path):
    with pytest.raises(InvalidStep, match=r"was not compiled: it took longer than 0\.3 s"):
        compiler(tmp_path / "compiled", compile_seconds=0.3).compile(TRAINING)


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    mark = tmp_path / "alive"
    script = f"(while true; do date > {mark}; sleep 0.05; done) & echo begun; sleep 600"
    started = time.monotonic()
    assert compiling._run(["sh", "-c", script], {"PATH": os.environ["PATH"]}, 1.0) == (None, ["begun"])
    assert time.monotonic() - started < 30
    assert mark.exists()
    mark.unlink()
    time.sleep(0.5)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("from airflow.sdk import dag\n", "imports `airflow.sdk.dag` in line 1", id="a DAG file"),
        pytest.param("def broken(:\n", "is not valid Python", id="no Python"),
    ],
)
def test_what_is_seen_without_running_it(text, problem, tmp_path):
    with pytest.raises(InvalidStep, match=r"the pipeline in `pipeline\.py` cannot be compiled") as refused:
        compiler(tmp_path / "compiled", environments=tmp_path / "nowhere").compile(written(tmp_path, text))
    assert problem in str(refused.value)


def test_a_file_that_is_not_there_and_one_outside(tmp_path):
    with pytest.raises(InvalidStep, match="there is no file"):
        PipelineSource(tmp_path / "none.py").files()
    with pytest.raises(InvalidStep, match="lies below none of"):
        PipelineSource(tmp_path / "p.py", search=(tmp_path / "other",)).files()
    with pytest.raises(InvalidStep, match="`nothing` is neither in"):
        PipelineSource(written(tmp_path, "").file, include=("nothing",)).files()


def test_names_of_files_that_are_taken_or_are_no_names(tmp_path):
    """A file called like a module of Python's, and one in a folder from which it imports relatively."""
    pipeline = (
        "from kfp import dsl\n{}\n@dsl.component\ndef nothing():\n    pass\n\n@dsl.pipeline\ndef p():\n    nothing()\n"
    )
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/names.py").write_text("NAME = 1\n")
    (tmp_path / "lib/my-pipe.py").write_text(pipeline.format("from .names import NAME"))
    (tmp_path / "json.py").write_text(pipeline.format(""))
    with_folder = PipelineSource(tmp_path / "lib/my-pipe.py", search=(tmp_path,))
    assert sorted(with_folder.files()) == ["lib/my-pipe.py", "lib/names.py"]
    for source in (with_folder, PipelineSource(tmp_path / "json.py")):
        assert compiler(tmp_path / "compiled").compile(source).name == "p"
