from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import StepChoice, files, load_stacks, resolve_target


def stack(name, root="s3://a/", extra=""):
    return (
        f"stacks:\n  {name}:\n    artifacts: {{root: '{root}'}}\n    targets: {{default: {{backend: local}}}}\n{extra}"
    )


@pytest.fixture
def find(tmp_path, backends):
    """The stacks that `bundle/team/dag.py` sees."""
    (tmp_path / "bundle" / "team").mkdir(parents=True)

    def load(**options):
        given = {
            "deployment_files": [],
            "dag_file": tmp_path / "bundle/team/dag.py",
            "bundle_root": tmp_path / "bundle",
            "bundle_stacks": "allow",
            "backend_settings": backends,
            "local_root": "file:///local",
        }
        return load_stacks(**{**given, **options})

    return load


def test_without_any_file_there_is_the_built_in_stack(find):
    stacks = find(dag_file=None)
    resolved = resolve_target(stacks, "local", StepChoice("d", "t", target="gpu"))
    assert (resolved.artifacts.root, resolved.targets[0].backend) == ("file:///local", "local")
    assert (stacks.files, stacks.default) == ((), None)
    with pytest.raises(InvalidStep, match=r"there is no stack `prod` and no stack file was found"):
        stacks.stack("prod")


def test_the_nearest_file_of_the_bundle_counts(find, tmp_path):
    (tmp_path / "mlx_stacks.yaml").write_text("outside: the bundle")
    (tmp_path / "bundle/mlx_stacks.yaml").write_text(stack("far", extra="default: far\n"))
    assert find().files == ("bundle/mlx_stacks.yaml",)
    (tmp_path / "bundle/team/mlx_stacks.yaml").write_text(stack("near"))
    assert sorted(find().stacks) == ["local", "near"]
    assert find(bundle_root=None).files == ("team/mlx_stacks.yaml",)
    assert find(bundle_root=tmp_path / "elsewhere").files == ("team/mlx_stacks.yaml",)


def test_a_bundle_may_be_denied_its_file_and_the_error_says_so(find, tmp_path):
    (tmp_path / "bundle/mlx_stacks.yaml").write_text("not: even: yaml")
    with pytest.raises(InvalidStep, match="is not read: `\\[mlx\\] bundle_stacks` does not allow it"):
        find(bundle_stacks="deny").stack("prod")


def test_the_deployment_comes_first(find, tmp_path):
    platform = tmp_path / "platform.yaml"
    platform.write_text(stack("prod", extra="default: prod\npolicy: {targets: {'*': {max_gpu: 1}}}\n"))
    (tmp_path / "bundle/mlx_stacks.yaml").write_text("default: mine\nstacks: {mine: {extends: prod}}")
    stacks = find(deployment_files=[platform])
    assert (stacks.default, stacks.policy[0].max_gpu) == ("prod", 1)
    assert stacks.stack("mine").extends == ("prod",)


def test_a_bundle_cannot_redefine_nor_rule(find, tmp_path):
    platform = tmp_path / "platform.yaml"
    platform.write_text(stack("prod"))
    (tmp_path / "bundle/mlx_stacks.yaml").write_text(stack("prod", extra="policy: {targets: {'*': {}}}\n"))
    with pytest.raises(InvalidStep) as caught:
        find(deployment_files=[platform])
    assert [problem.what for problem in caught.value.problems] == [
        f"stack `prod` is defined in {platform}:2:3 already",
        "`policy` stands in a file of a DAG bundle",
    ]


def test_a_stack_of_the_deployment_cannot_extend_one_of_a_bundle(find, tmp_path):
    platform = tmp_path / "platform.yaml"
    platform.write_text("stacks: {prod: {extends: mine}}")
    (tmp_path / "bundle/mlx_stacks.yaml").write_text(stack("mine"))
    with pytest.raises(InvalidStep, match="stack `prod` extends `mine`, which is not a stack"):
        find(deployment_files=[platform])


def test_a_file_that_is_both_is_the_deployments(find, tmp_path):
    path = tmp_path / "bundle/mlx_stacks.yaml"
    path.write_text(stack("prod", extra="policy: {targets: {}}\n"))
    assert find(deployment_files=[str(path)]).files == (str(path),)


def test_a_missing_file_of_the_deployment_is_refused_with_all_other_problems(find, tmp_path):
    (tmp_path / "bundle/mlx_stacks.yaml").write_text("stacks: []")
    with pytest.raises(InvalidStep) as caught:
        find(deployment_files=["no/such.yaml", tmp_path])
    assert [problem.what for problem in caught.value.problems] == [
        "the file cannot be read: No such file or directory",
        "the file cannot be read: Is a directory",
        "`stacks` of the file: should be a mapping",
    ]


def test_a_file_inside_a_zip_counts_before_one_beside_it(find, tmp_path):
    (tmp_path / "bundle/mlx_stacks.yaml").write_text(stack("beside"))
    archive = tmp_path / "bundle/team/dags.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("inner/dag.py", "")
    assert find(dag_file=archive / "inner/dag.py").files == ("bundle/mlx_stacks.yaml",)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("mlx_stacks.yaml", stack("zipped"))
    stacks = find(dag_file=archive / "inner/dag.py")
    assert stacks.files == ("bundle/team/dags.zip/mlx_stacks.yaml",)
    assert "zipped" in stacks.stacks
    archive.write_bytes(b"no zip")
    assert find(dag_file=archive / "inner/dag.py").files == ("bundle/mlx_stacks.yaml",)


def test_a_file_is_parsed_again_only_when_it_changed(find, tmp_path, monkeypatch):
    path = tmp_path / "bundle/mlx_stacks.yaml"
    path.write_text(stack("one"))
    parses = []
    real = files.parse_document
    monkeypatch.setattr(files, "parse_document", lambda *a: parses.append(a) or real(*a))
    find(), find()
    assert len(parses) == 1
    os.utime(path, ns=(1, 1))
    find()
    assert len(parses) == 2
    monkeypatch.setattr(files, "_CACHE_LIMIT", 0)
    os.utime(path, ns=(2, 2))
    find()
    assert len(files._parsed) == 1


def test_importing_the_room_imports_neither_yaml_nor_pydantic_nor_airflow():
    code = "import sys, airflow_provider_mlx.stacks; print({'yaml', 'pydantic', 'airflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_stack_of_nothing_but_local_targets_may_leave_its_artifacts_to_the_deployment(find, tmp_path):
    (tmp_path / "bundle/mlx_stacks.yaml").write_text("stacks: {dev: {targets: {default: {backend: local}}}}")
    assert find().stack("dev").artifacts.root == "file:///local"


def test_a_stack_with_a_target_elsewhere_must_name_an_artifact_root(find, tmp_path):
    (tmp_path / "bundle/mlx_stacks.yaml").write_text(
        "stacks: {dev: {targets: {default: {backend: local}, far: {backend: kubernetes, namespace: ml}}}}"
    )
    with pytest.raises(InvalidStep, match="stack `dev` lacks `artifacts` → add `artifacts:`"):
        find()


def test_a_local_stack_may_allow_further_prefixes_without_naming_a_root(find, tmp_path):
    (tmp_path / "bundle/mlx_stacks.yaml").write_text(
        "stacks: {dev: {artifacts: {allowed: ['s3://lake/']}, targets: {default: {backend: local}}}}"
    )
    artifacts = find().stack("dev").artifacts
    assert (artifacts.root, artifacts.allowed) == ("file:///local", ("s3://lake/",))
