"""What must be installed besides the image's packages: what the step names, and what its codecs need; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.runtime.codecs import SAME_PACKAGES, codec_named, packages_for
from airflow_provider_mlx.runtime.requirements import has_hash, is_option, normal_name
from airflow_provider_mlx.runtime.values import ArtifactReference

_DEPTH: Final = 10
"""Of requirement files that include each other."""

_STAYS_BEHIND: Final = {
    "-e": "an editable install is a folder of this machine",
    "--editable": "an editable install is a folder of this machine",
    "-c": "a constraints file stays on this machine",
    "--constraint": "a constraints file stays on this machine",
}
"""Options of a requirements file that name what a job does not have."""


@dataclass(frozen=True)
class RequirementLine:
    """One requirement or option, and where it was written."""

    text: str
    where: str


def read_requirements(file: str, read: Callable[[str], str]) -> tuple[RequirementLine, ...]:
    """
    A requirements file as lines that a job can have: included files read, continued lines joined, comments left out.

    Source: pip, "Requirements File Format".

    :param read: a file's text by its path, relative to the DAG file's folder; raises ``OSError``.
    :raises InvalidStep: a file cannot be read, or a line names what stays behind; all problems at once.
    """
    problems: list[Problem] = []
    found = tuple(_lines_of(file, read, problems, depth=0))
    if problems:
        raise InvalidStep(f"the requirements file `{file}` cannot be used", problems)
    return found


def _lines_of(
    file: str, read: Callable[[str], str], problems: list[Problem], *, depth: int
) -> Iterator[RequirementLine]:
    try:
        text = read(file)
    except OSError as error:
        way = "paths are relative to the DAG file's folder; the file travels with the DAG bundle"
        problems.append(Problem(f"it cannot be read: {error.strerror or error}", way, file))
        return
    for number, line in _logical_lines(text):
        where, (option, _, value) = f"{file}:{number}", line.replace("=", " ", 1).partition(" ")
        if option in ("-r", "--requirement"):
            if depth == _DEPTH:
                problems.append(Problem("the files include each other", "remove the circle", where))
                return
            folder = file.rpartition("/")[0]
            other = f"{folder}/{value.strip()}" if folder else value.strip()
            yield from _lines_of(other, read, problems, depth=depth + 1)
        elif option in _STAYS_BEHIND:
            way = "name packages with versions, or bring a folder with `include=`"
            problems.append(Problem(_STAYS_BEHIND[option], way, where))
        elif line.startswith((".", "/")) or "@ file:" in line:
            way = "name a package, a URL, or a wheel of the target's `wheelhouse`"
            problems.append(Problem(f"`{line}` is a path of this machine", way, where))
        else:
            yield RequirementLine(line, where)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Joined at a final backslash, without comments; each with the number of its first line."""
    start, pending = 0, ""
    for number, raw in enumerate([*text.splitlines(), ""], start=1):
        line = "" if raw.lstrip().startswith("#") else raw.split(" #")[0].rstrip()
        start = start or number
        pending += line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        if pending.strip():
            yield start, " ".join(pending.split())
        start, pending = 0, ""


def hash_problems(lines: Sequence[RequirementLine]) -> list[Problem]:
    """With one hash all must have one, and an exact version: an unhashed line could bring anything."""
    packages = [line for line in lines if not is_option(line.text)]
    if not any(has_hash(line.text) for line in packages):
        return []
    way = "compile the file with hashes (`uv pip compile --generate-hashes`), or leave them all out"
    return [
        Problem(f"`{line.text}` has no hash, and other lines do", way, line.where)
        for line in packages
        if not has_hash(line.text)
    ]


def with_codec_packages(
    own: Sequence[str], *, return_types: Iterable[str], inputs: Iterable[ArtifactReference]
) -> tuple[str, ...]:
    """
    A step's requirements, with the packages that the codecs of its inputs and of its results need.

    None if the step names none, or if its requirements have hashes, which leave no room for others: then the image or
    the file has everything, and the job checks for those packages before the step's code starts.
    """
    if not own or any(has_hash(line) for line in own):
        return tuple(own)
    needed = {package for dotted in return_types for package in packages_for(dotted)}
    for reference in inputs:
        codec = codec_named(reference.codec)
        needed |= set(codec.packages_of(reference.type)) if codec else set()
    present = {SAME_PACKAGES.get(name, name) for name in map(_name, own)}
    return (*own, *sorted(package for package in needed if _name(package) not in present))


def _name(requirement: str) -> str:
    head = requirement
    for mark in " [=<>!~;@":
        head = head.partition(mark)[0]
    return normal_name(head)
