"""A Python file with pipelines, and what it imports: read and never run here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.step.packages import collect_packages, find_local_modules


@dataclass(frozen=True)
class PipelineSource:
    """
    A pipeline as its author wrote it.

    :param file: the Python file that holds it.
    :param function: the function under ``@dsl.pipeline``; empty, if the file has only one.
    :param include: further packages, files and folders that are there while it is compiled, as of a step. The modules
        that the file imports from beside it are there by themselves.
    :param search: the folders from which it imports, the first that has a name wins; by default the file's own.
    """

    file: Path
    function: str = ""
    include: Sequence[str] = ()
    search: Sequence[Path] = ()

    @property
    def name(self) -> str:
        """
        The file's path below the folder from which it is imported.

        :raises InvalidStep: it is below none of them.
        """
        for folder in self._search:
            if self.file.is_relative_to(folder):
                return self.file.relative_to(folder).as_posix()
        folders = ", ".join(f"`{folder}`" for folder in self._search)
        raise InvalidStep(f"the file `{self.file}` lies below none of {folders}", remedy="name its own folder, too")

    def files(self) -> dict[str, bytes]:
        """
        Everything that the compiler sees, by its path: what is not here cannot change the pipeline.

        :raises InvalidStep: there is no such file, or something that it needs cannot be taken along; all at once.
        """
        name = self.name
        module = name.removesuffix(".py").replace("/", ".")
        try:
            found = find_local_modules({module}, self._search)
            found |= collect_packages(self.include, search=self._search)
        except InvalidStep as error:
            raise InvalidStep(f"the pipeline in `{name}` cannot be compiled", error.problems) from None
        if name not in found:  # it is called like a module of Python's own, or by no name at all
            if not self.file.is_file():
                problem = Problem(f"there is no file `{self.file}`", "correct the path", "file")
                raise InvalidStep("the pipeline cannot be compiled", [problem])
            found[name] = self.file.read_bytes()
        return found

    @property
    def _search(self) -> Sequence[Path]:
        return self.search or (self.file.parent,)
