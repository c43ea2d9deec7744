"""Where a step's code comes from: the commit of its DAG file, and the DAG bundle that brought it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from openlineage.client.facet_v2 import source_code_location_job

from airflow_provider_mlx.scrub import scrub

from .custom_facets import PRODUCER, MlxCodeRunFacet
from .git import is_commit, is_dirty, page_of_file, read_checkout, web_page

_LIMIT: Final = 500
"""Characters of a text."""


@dataclass(frozen=True)
class Bundle:
    """
    Airflow's DAG bundle.

    :param version: empty where the bundle has none, or the run is not pinned to one.
    :param url: where its source is shown at that version; empty where it does not say.
    """

    name: str
    version: str = ""
    url: str = ""


@dataclass(frozen=True)
class CodeFacts:
    """
    What is known of a step's code, as it was when its job was submitted; texts are scrubbed.

    :param url: where the DAG file is shown at its commit, or its bundle at its version.
    :param repository: its page.
    :param path: of the DAG file in the repository.
    :param dirty: whether a tracked file differed from the commit; ``None`` where nobody can say.
    """

    url: str | None = None
    repository: str | None = None
    path: str | None = None
    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    bundle: str | None = None
    bundle_version: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Plain JSON: what there is."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_wire(cls, value: Mapping[str, Any]) -> CodeFacts:
        """What :meth:`to_wire` wrote."""
        return cls(**{one.name: value[one.name] for one in fields(cls) if one.name in value})


@lru_cache(maxsize=64)
def code_of(dag_file: str, bundle: Bundle | None = None) -> CodeFacts:
    """
    What is known of the code of a DAG file; asked once per process.

    :raises OSError: a file of git's cannot be read.
    """
    file = Path(dag_file).resolve()
    found = read_checkout(file.parent)
    name, version, url = (bundle.name, bundle.version, bundle.url) if bundle else ("", "", "")
    commit = version if is_commit(version) else None
    if found is None or (commit and found.commit != commit):  # not the bundle's: a repository around it
        return CodeFacts(url=_text(url), commit=commit, bundle=_text(name), bundle_version=_text(version))
    path = file.relative_to(found.root).as_posix()
    repository = web_page(found.remote or "")
    page = page_of_file(repository, found.commit, path) if repository else url
    return CodeFacts(
        url=_text(page), repository=_text(repository), path=path, commit=found.commit, branch=_text(found.branch),
        dirty=is_dirty(found.root), bundle=_text(name), bundle_version=_text(version),
    )  # fmt: skip


def source_facet(code: CodeFacts) -> source_code_location_job.SourceCodeLocationJobFacet | None:
    """The standard's facet, which is nothing without an address."""
    if not code.url:
        return None
    return source_code_location_job.SourceCodeLocationJobFacet(
        type="git", url=code.url, repoUrl=code.repository, path=code.path, version=code.commit or code.bundle_version,
        branch=code.branch, producer=PRODUCER,
    )  # fmt: skip


def code_facet(code: CodeFacts, *, code_sha256: str | None, requirements_sha256: str | None) -> MlxCodeRunFacet | None:
    """
    What ran.

    :param code_sha256: of the bundle of files that went to the job.
    :param requirements_sha256: of the step's requirement lines.
    """
    digests = [f"sha256:{one}" if one else None for one in (code_sha256, requirements_sha256)]
    bundle = {"name": code.bundle, "version": code.bundle_version} if code.bundle else {}
    known = {key: value for key, value in bundle.items() if value}
    if not (code.commit or known or any(digests)):
        return None
    return MlxCodeRunFacet(
        commit=code.commit, branch=code.branch, dirty=code.dirty, bundle=known or None, codeDigest=digests[0],
        requirementsDigest=digests[1], producer=PRODUCER,
    )  # fmt: skip


def _text(value: str | None) -> str | None:
    return scrub(value, limit=_LIMIT) if value else None
