"""
Requirements files beside the DAG file: read where the step is planned, so that a job needs no file.

Source: pip, "Requirements File Format". What a job could not honour (paths, editables, constraints) is refused, with
file and line.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.runtime.requirements import without_hashes
from airflow_provider_mlx.runtime.uris import without_credentials

from .credentials import requirement_problems
from .packages import Node, open_folder

_FILE: Final = re.compile(r"(?:-r|--requirement)(?:\s+|=)(?P<name>.+)")
_CONTINUED: Final = re.compile(r"\\\s*$")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")

PASSED_ON: Final = frozenset(
    {
        "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host", "--pre",
        "--prefer-binary", "--only-binary", "--no-binary", "--require-hashes",
    }
)  # fmt: skip
"""Options that mean the same in a job, to pip and to uv."""

WAYS_OUT: Final = {
    "-c": "write the versions that you mean into the requirements themselves",
    "--constraint": "write the versions that you mean into the requirements themselves",
    "-e": "local packages travel with `include=`",
    "--editable": "local packages travel with `include=`",
}
"""Options that a job cannot honour, and what to do instead."""


def read_requirements(given: Sequence[str] | str, *, search: Sequence[Path]) -> tuple[str, ...]:
    """
    The lines of a step's requirements.

    :param given: lines, among them perhaps ``-r FILE``; or the name of a file.
    :param search: the DAG file's folder, then the bundle's root; the first that has a file of the name wins.
    :raises InvalidStep: all problems at once.
    """
    reader = _Reader(search)
    lines: list[str] = []
    for line in [f"-r {given}"] if isinstance(given, str) and given else given:
        named = _FILE.fullmatch(line.strip())
        lines += reader.lines(named["name"].strip(), asked_by="requirements", above=()) if named else [line]
    if reader.problems:
        raise InvalidStep("the step's requirements cannot be read", reader.problems)
    return tuple(lines)


class _Reader:
    def __init__(self, search: Sequence[Path]) -> None:
        self._roots = [open_folder(folder) for folder in search]
        self.problems: list[Problem] = []

    def lines(self, name: str, *, asked_by: str, above: tuple[str, ...]) -> Iterator[str]:
        """
        :param asked_by: file and line that name it.
        :param above: the files that lead here.
        """
        path = PurePosixPath(posixpath.normpath(name))
        if path.is_absolute() or ".." in path.parts:
            self._refuse(asked_by, f"`{name}` leads out of the folder", "name a file beside the DAG file, or below")
            return
        if str(path) in above:
            self._refuse(asked_by, f"`{name}` names itself", "break the circle")
            return
        file = self._find(path)
        if file is None:
            way = 'correct the name; a single package is written as a list: requirements=["pandas"]'
            self._refuse(asked_by, f"there is no file `{name}` beside the DAG file or in the bundle's root", way)
            return
        for number, line in _logical_lines(file.read_text(encoding="utf-8-sig")):
            where = f"{path}:{number}"
            named = _FILE.fullmatch(line)
            if named:
                beside = posixpath.normpath(posixpath.join(path.parent.as_posix(), named["name"].strip()))
                yield from self.lines(beside, asked_by=where, above=(*above, str(path)))
            elif self._may_travel(line, where):
                yield line

    def _find(self, path: PurePosixPath) -> Node | None:
        for root in self._roots:
            node: Node = functools.reduce(lambda folder, part: folder / part, path.parts, root)
            if node.is_file() and not (isinstance(node, Path) and node.is_symlink()):
                return node
        return None

    def _may_travel(self, line: str, where: str) -> bool:
        before = len(self.problems)
        if line.startswith("-"):
            option = re.split(r"[\s=]", line, maxsplit=1)[0]
            if option not in PASSED_ON:
                way = WAYS_OUT.get(option, "remove it, or set it where the job runs (PIP_…, UV_…)")
                self._refuse(where, f"`{option}` has no meaning in a job", way)
        else:
            self._check_requirement(without_hashes(line), where)
        self.problems += [Problem(problem.what, problem.remedy, where) for problem in requirement_problems([line])]
        return len(self.problems) == before

    def _check_requirement(self, text: str, where: str) -> None:
        if text.startswith((".", "/", "file:")) or text.endswith((".whl", ".tar.gz", ".zip")):
            if "://" not in text:
                self._refuse(where, f"`{text}` is a path, and the job has no such file", "use a wheelhouse, or a URL")
            return
        try:
            Requirement(text)
        except InvalidRequirement as error:
            if not re.match(r"(git\+)?(https?|ssh)://", text):
                reason = str(error).splitlines()[0]
                self._refuse(where, f"`{text[:80]}` is no requirement: {reason}", "write it as `name==1.0`")

    def _refuse(self, where: str, what: str, remedy: str) -> None:
        self.problems.append(Problem(without_credentials(what), remedy, where))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their continuations, without comments, each with its first line's number."""
    whole, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first or number
        if _CONTINUED.search(line):
            whole += _CONTINUED.sub("", line) + " "
            continue
        joined = " ".join(_COMMENT.sub("", whole + line).split())
        if joined:
            yield first, joined
        whole, first = "", 0
    if whole.strip():
        yield first, " ".join(_COMMENT.sub("", whole).split())
