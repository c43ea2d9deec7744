"""Which versions a job tells of."""

from __future__ import annotations

import sys

from airflow_provider_mlx.runtime.versions import installed


def install(folder, *names):
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.dist-info").mkdir()
    return str(folder)


def test_frameworks_and_what_the_step_requires_are_told_by_version(tmp_path, monkeypatch):
    site = install(tmp_path / "site", "torch-2.8.0+cu126", "scikit_learn-1.7.1", "my.own_package-0.3", "attrs-25.1.0")
    monkeypatch.setattr(sys, "path", [site])
    found = installed(["My-Own.Package>=0.2", "--find-links wheels"])
    assert found["versions"] == {"my-own-package": "0.3", "scikit-learn": "1.7.1", "torch": "2.8.0+cu126"}
    assert found["packages"] == 4


def test_the_first_on_the_path_counts_and_the_digest_is_of_all(tmp_path, monkeypatch):
    first, second = install(tmp_path / "a", "numpy-2.0.0"), install(tmp_path / "b", "numpy-1.26.4", "attrs-25.1.0")
    monkeypatch.setattr(sys, "path", ["/nowhere", first, second])
    found = installed()
    assert found["versions"] == {"numpy": "2.0.0"}
    monkeypatch.setattr(sys, "path", [first])
    assert installed()["packages_sha256"] != found["packages_sha256"]


def test_a_job_says_which_versions_it_had(job):
    done = job.run("def run():\n    return 1")
    assert isinstance(done.result["environment"]["versions"], dict)
