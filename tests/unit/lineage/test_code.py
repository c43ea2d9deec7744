"""Which commit a step's code is of: with real repositories of git's own making."""

from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.lineage.code import Bundle, CodeFacts, code_of
from airflow_provider_mlx.lineage.git import page_of_file, read_checkout, web_page
from airflow_provider_mlx.lineage.provider import bundle_of
from tests.unit.lineage.conftest import CANARY


def git(folder, *words):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    names = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True, text=True, env=env)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with one DAG file, and a remote whose address holds a credential."""
    folder = tmp_path / "repository"
    (folder / "dags").mkdir(parents=True)
    (folder / "dags" / "churn.py").write_text("# a DAG\n")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    git(folder, "remote", "add", "origin", f"https://bot:{CANARY}@github.com/acme/dags.git")
    return folder


@pytest.fixture(autouse=True)
def nothing_remembered():
    code_of.cache_clear()


def code(folder, bundle=None):
    return code_of(str(folder / "dags" / "churn.py"), bundle)


def test_commit_branch_and_page_of_a_dag_file(repository):
    commit = git(repository, "rev-parse", "HEAD")
    found = code(repository, Bundle("dags-folder"))
    assert found == CodeFacts(
        url=f"https://github.com/acme/dags/blob/{commit}/dags/churn.py", repository="https://github.com/acme/dags",
        path="dags/churn.py", commit=commit, branch="main", dirty=False, bundle="dags-folder",
    )  # fmt: skip
    assert CodeFacts.from_wire(found.to_wire()) == found


def test_a_changed_file_makes_it_dirty_and_one_that_git_does_not_know_does_not(repository):
    (repository / "notes.txt").write_text("x")
    assert code(repository).dirty is False
    code_of.cache_clear()
    (repository / "dags" / "churn.py").write_text("# another\n")
    assert code(repository).dirty is True


def test_a_worktree_a_packed_reference_and_a_commit_without_a_branch(repository, tmp_path):
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "worktree", "add", "-b", "fix/this", str(tmp_path / "tree"))
    git(repository, "pack-refs", "--all")
    tree = code(tmp_path / "tree")
    assert (tree.commit, tree.branch, tree.repository) == (commit, "fix/this", "https://github.com/acme/dags")
    git(repository, "checkout", "--detach")
    code_of.cache_clear()
    assert (code(repository).commit, code(repository).branch) == (commit, None)


def test_a_clone_of_a_bare_clone_as_airflow_makes_them_names_where_that_came_from(repository, tmp_path):
    git(tmp_path, "clone", "--bare", str(repository), "bare")
    git(tmp_path / "bare", "remote", "set-url", "origin", "git@github.com:acme/dags.git")
    git(tmp_path, "clone", str(tmp_path / "bare"), "tracking")
    assert code(tmp_path / "tracking").repository == "https://github.com/acme/dags"


def test_no_program_of_the_repository_is_run(repository, tmp_path):
    trace = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))
    git(repository, "config", "core.hooksPath", str(tmp_path))
    assert code(repository).dirty is False
    assert not trace.exists()


def test_without_git_the_commit_is_known_and_whether_it_was_changed_is_not(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = code(repository)
    assert found.commit is not None
    assert found.dirty is None


def test_no_repository_is_no_commit(tmp_path):
    assert code_of(str(tmp_path / "churn.py")) == CodeFacts()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("ref: refs/heads/../../../secret", id="a reference that leads out"),
        pytest.param("ref: refs/heads/.invalid", id="a repository with reftables"),
        pytest.param("nonsense", id="no commit"),
    ],
)
def test_a_head_that_names_no_commit_of_the_repository(repository, head):
    (repository / ".git" / "HEAD").write_text(head)
    (repository.parent / "secret").write_text("a" * 40)
    assert read_checkout(repository) is None


def test_a_pinned_bundle_is_a_commit_by_its_version_and_its_page(tmp_path):
    ti = SimpleNamespace(bundle_instance=SimpleNamespace(
        name="acme", version="c" * 40, subdir="dags",
        view_url_template=lambda: "https://github.com/acme/dags/tree/{version}/{subdir}",
    ))  # fmt: skip
    found = code_of(str(tmp_path / "churn.py"), bundle_of(ti))
    assert found == CodeFacts(
        url=f"https://github.com/acme/dags/tree/{'c' * 40}/dags", commit="c" * 40, bundle="acme",
        bundle_version="c" * 40,
    )  # fmt: skip


def test_a_repository_around_a_pinned_bundle_is_not_the_bundles(repository):
    found = code(repository, Bundle("acme", "c" * 40, "https://host/page"))
    assert (found.commit, found.branch, found.url) == ("c" * 40, None, "https://host/page")


def test_airflow_2_has_no_bundle():
    assert bundle_of(SimpleNamespace()) is None


def test_a_bundle_that_cannot_say_its_page_has_none():
    def broken():
        raise RuntimeError("no connection")

    instance = SimpleNamespace(name="acme", version=None, view_url_template=broken)
    assert bundle_of(SimpleNamespace(bundle_instance=instance)) == Bundle("acme")


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:acme/dags.git", "https://github.com/acme/dags"),
        ("ssh://git@gitlab.acme.com:2222/ml/dags.git", "https://gitlab.acme.com/ml/dags"),
        (f"https://oauth2:{CANARY}@gitlab.com/ml/dags.git", "https://gitlab.com/ml/dags"),
        (f"https://{CANARY}@bitbucket.org/acme/dags/", "https://bitbucket.org/acme/dags"),
        ("http://git.acme.com:3000/ml/dags", "http://git.acme.com:3000/ml/dags"),
        ("git://git.acme.com/dags", "https://git.acme.com/dags"),
        ("git@ssh.dev.azure.com:v3/acme/p/dags", None),
        ("/srv/git/dags.git", None),
        ("file:///srv/git/dags.git", None),
        ("../dags", None),
        (f"https://github.com/acme/dags?token={CANARY}", None),
        ("", None),
    ],
)
def test_the_page_of_a_remote_has_no_credential(remote, page):
    assert web_page(remote) == page


@pytest.mark.parametrize(
    ("repository", "page"),
    [
        ("https://github.com/a/b", "https://github.com/a/b/blob/c0/dags/a%20b.py"),
        ("https://gitlab.acme.com/a/b", "https://gitlab.acme.com/a/b/-/blob/c0/dags/a%20b.py"),
        ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/src/c0/dags/a%20b.py"),
        ("https://git.acme.com/a/b", "https://git.acme.com/a/b"),
    ],
)
def test_the_page_of_a_file_at_a_commit(repository, page):
    assert page_of_file(repository, "c0", "dags/a b.py") == page
