"""
Which commit a folder is a checkout of, read from git's own files: neither a hook nor a repository's setting is run.

Only whether something was changed since is asked of ``git``, where there is one.
Source of the files' layout: https://git-scm.com/docs/gitrepository-layout. A repository with reftables tells nothing.
"""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

STATUS_SECONDS: Final = 1.0
"""How long a large checkout may take to say whether it was changed."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SCP: Final = re.compile(r"(?:[^@/\s]+@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]+):(?P<path>[^/\s][^\s]*)")
_URL: Final = re.compile(
    r"(?P<scheme>https?|ssh|git)://(?:[^@/\s]*@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)(?P<port>:\d+)?/(?P<path>[^\s?#]+)"
)
_PAGES: Final = (
    ("github", "/blob/{commit}/{path}"),
    ("gitlab", "/-/blob/{commit}/{path}"),
    ("bitbucket.org", "/src/{commit}/{path}"),
)
"""A word of the host → where it shows a file at a commit; of other hosts the repository is all that is known."""


@dataclass(frozen=True)
class Checkout:
    """
    A working tree and what is checked out in it.

    :param root: of the working tree.
    :param branch: ``None`` where a commit is checked out and no branch.
    :param remote: ``origin`` as it is configured, which may hold a credential.
    """

    root: Path
    commit: str
    branch: str | None
    remote: str | None


def is_commit(text: str) -> bool:
    """Whether a text is a commit's full name."""
    return _COMMIT.fullmatch(text) is not None


def read_checkout(folder: Path) -> Checkout | None:
    """
    The checkout that a folder lies in; ``None`` if it lies in none, or in one without a commit.

    :raises OSError: a file of git's cannot be read.
    """
    root = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    if root is None:
        return None
    git = _git_folder(root / ".git")
    common = _common_folder(git)
    head = _first_line(git / "HEAD")
    ref = head.removeprefix("ref: ") if head.startswith("ref: refs/") and ".." not in head else ""
    commit = _commit_of(ref, git, common) if ref else head
    if not is_commit(commit):
        return None
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None
    remote = _remote(common / "config")
    if remote and Path(remote, "config").is_file():  # a clone of a bare one beside it, as Airflow's bundles are
        remote = _remote(Path(remote, "config"))
    return Checkout(root, commit, branch, remote)


def is_dirty(root: Path, seconds: float = STATUS_SECONDS) -> bool | None:
    """Whether a tracked file differs from the commit; ``None`` if there is no ``git``, or no answer of it in time."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    try:
        done = subprocess.run(
            ("git", *settings, "status", "--porcelain", "--untracked-files=no"),  # noqa: S607
            cwd=root, env={**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=seconds, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return bool(done.stdout.strip()) if done.returncode == 0 else None


def web_page(remote: str) -> str | None:
    """A remote as the address of its page, without user and password; ``None`` for a path and what has no page."""
    found = _URL.fullmatch(remote) or _SCP.fullmatch(remote)
    if found is None or found["host"] == "ssh.dev.azure.com":
        return None
    given = found.groupdict()
    over_http = str(given.get("scheme")).startswith("http")
    scheme, port = (given["scheme"], given["port"] or "") if over_http else ("https", "")
    return f"{scheme}://{given['host']}{port}/{given['path'].strip('/').removesuffix('.git')}"


def page_of_file(repository: str, commit: str, path: str) -> str:
    """Where a repository's page shows a file at a commit; the repository where that is not known."""
    host = repository.split("/")[2]
    form = next((form for word, form in _PAGES if word in host), "")
    return repository + form.format(commit=commit, path=quote(path))


def _git_folder(given: Path) -> Path:
    """``.git`` itself, or where the file of that name points to, as in a worktree and a submodule."""
    if given.is_dir():
        return given
    return given.parent / _first_line(given).removeprefix("gitdir: ")


def _common_folder(git: Path) -> Path:
    """What all worktrees of a repository share."""
    pointer = git / "commondir"
    return git / _first_line(pointer) if pointer.is_file() else git


def _commit_of(ref: str, *folders: Path) -> str:
    for folder in folders:
        if (folder / ref).is_file():
            return _first_line(folder / ref)
    packed = folders[-1] / "packed-refs"
    lines = packed.read_text("utf-8", "replace").splitlines() if packed.is_file() else []
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {ref}")), "")


def _remote(config: Path) -> str | None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(config.read_text("utf-8", "replace"))
    except (configparser.Error, OSError):
        return None
    return parser.get('remote "origin"', "url", fallback=None)


def _first_line(file: Path) -> str:
    return file.read_text("utf-8", "replace").strip().split("\n")[0]
