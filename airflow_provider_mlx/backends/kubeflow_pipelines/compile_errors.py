"""Why a file does not compile, in the lines of the file: pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_mlx.exceptions import InvalidStep, Problem


class CompilationFailed(InvalidStep):
    """
    The file, or the SDK on its behalf, raised.

    :ivar traceback: the frames in the author's files, by their own paths, and the place in the SDK.
    """

    def __init__(self, what: str, *, where: str, traceback: Sequence[str], remedy: str) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.traceback = tuple(traceback)

    def __str__(self) -> str:
        lines = super().__str__().splitlines()
        place = next((index for index, line in enumerate(lines) if line.startswith("  → ")), len(lines))
        return "\n".join([*lines[:place], *(f"  | {line}" for line in self.traceback), *lines[place:]])


def raised_error(name: str, said: Mapping[str, Any], root: Path) -> CompilationFailed:
    """
    The error of a file that raised.

    :param said: what ``isolated_compile.py`` tells of it.
    :param root: the folder of the copies.
    """
    frames = [(_shown(file, root), line, function) for file, line, function in said["frames"]]
    own = [one for one, given in zip(frames, said["frames"], strict=True) if Path(given[0]).is_relative_to(root)]
    last = own[-1] if own else None
    traceback = [f"{path}:{line}, in {function}" for path, line, function in own]
    if frames and frames[-1] not in own:
        traceback.append("{}:{}, in {}".format(*frames[-1]))
    message = str(said["message"]).replace(f"{root}/", "")
    raised = f"{said['type']}: {message}" if message else str(said["type"])
    return CompilationFailed(
        f"the pipeline in `{name}` does not compile: {raised}",
        where="{}:{}, in {}".format(*last) if last else "", traceback=traceback, remedy=_remedy(said),
    )  # fmt: skip


def choice_error(name: str, function: str, said: Mapping[str, Any]) -> InvalidStep:
    """The error of a file that has no such pipeline, or several and none is named."""
    pipelines: Mapping[str, str] = said["pipelines"]
    listed = ", ".join(f"`{key}` ({title})" for key, title in pipelines.items())
    if function and said["is"]:
        problem = Problem(f"`{function}` is a component", "call it in a function under `@dsl.pipeline`", "function")
    elif not pipelines:
        problem = Problem("it has no pipeline", "put `@dsl.pipeline` before a function in it", "function")
    elif function:
        near = difflib.get_close_matches(function, list(pipelines), 1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        problem = Problem(f"it has no pipeline `{function}`", f"{hint}it has {listed}", "function")
    else:
        problem = Problem("it has several pipelines, and none is named", f"name one of {listed}", "function")
    return InvalidStep(f"the pipeline in `{name}` cannot be compiled", [problem])


def _shown(file: str, root: Path) -> str:
    """A file's path as its author knows it; a package's, from its name on."""
    if Path(file).is_relative_to(root):
        return Path(file).relative_to(root).as_posix()
    return file.rpartition("site-packages/")[2]


def _remedy(said: Mapping[str, Any]) -> str:
    if said.get("missing"):
        return (
            f"if `{said['missing']}` is a package, name it in `packages`, or import it inside the component; "
            "if it is a file of yours, name it in `include`"
        )
    if said["type"] == "FileNotFoundError":
        return "name the file in `include`: it is compiled in a copy of its folder that has nothing else"
    if said["type"] in ("TypeError", "AttributeError", "ImportError"):
        return "correct the file; if it needs a newer SDK, name its version in `sdk_version`, up to the server's own"
    return "correct the file"
