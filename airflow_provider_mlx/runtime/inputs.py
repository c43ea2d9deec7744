"""
Arguments: from wire values to what the parameter's annotation asks for.

====================  =========================================================
``Path``              the artifact is downloaded; a dataset on a mounted store is its path
``Artifact``          the reference is handed over
``Dataset``           the reference, or a plain URI, becomes a ``Dataset``
anything else         the artifact is loaded by its codec, into the annotated library where the codec has a choice
``list[X]`` …         X for each item; so for ``dict[str, X]``, ``X | None`` and ``Annotated[X, …]``
====================  =========================================================
"""

from __future__ import annotations

import inspect
import sys
import typing
from pathlib import Path, PurePath
from typing import Any, Callable, Mapping  # noqa: UP035  (Python 3.9)

from .addresses import allowed_uri
from .codecs import CODECS, IMPORT_NAMES, HashingWriter, codec_named, type_name
from .extraction import extract_tar
from .refusals import ArtifactError, JobMisconfigured
from .store import Store
from .values import ArtifactReference, Dataset

NOTHING = object()
"""No annotation, or one that could not be evaluated."""


class Inputs:
    """
    Fetches and loads artifacts, each once.

    :param allowed: prefixes from which artifacts may be read.
    :param folder: where downloads go.
    """

    def __init__(self, store: Store, allowed: list[str], folder: Path) -> None:
        self._store = store
        self._allowed = allowed
        self._folder = folder
        self._paths: dict[tuple[str, str], Path] = {}
        self._values: dict[tuple[str, str, str], Any] = {}

    def resolve(self, value: Any, annotation: Any = NOTHING) -> Any:
        """
        Give one argument the form that its annotation asks for.

        :raises ArtifactError: an artifact is missing, changed, or must not be read.
        """
        annotation = _bare(annotation)
        if isinstance(value, ArtifactReference):
            return self._artifact(value, annotation)
        if isinstance(value, Dataset):
            return self._dataset_path(value) if _is_path(annotation) else value
        if isinstance(value, list):
            item = _argument(annotation, 0)
            return [self.resolve(member, item) for member in value]
        if isinstance(value, dict):
            item = _argument(annotation, 1)
            return {key: self.resolve(member, item) for key, member in value.items()}
        if isinstance(value, str) and annotation is Dataset:
            return Dataset(value)
        if isinstance(value, str) and _is_path(annotation):
            return Path(value)
        return value

    def _artifact(self, reference: ArtifactReference, annotation: Any) -> Any:
        if annotation is ArtifactReference:
            return reference
        if annotation is Dataset:
            return Dataset(reference.uri, reference.version)
        if _is_path(annotation):
            return self._local_copy(reference)
        wanted = type_name(annotation) if isinstance(annotation, type) else ""
        codec = codec_named(reference.codec)
        if codec is None:
            raise ArtifactError(
                f"the artifact {reference.uri} was written by the codec {reference.codec!r}, which is not known here",
                f"annotate the parameter with `Path` to get the file; known codecs: {', '.join(CODECS)}",
            )
        wanted = wanted if wanted in codec.types else reference.type
        key = (reference.uri, reference.sha256, wanted)
        if key not in self._values:
            require(codec.packages_of(wanted), f"to read {reference.uri} ({reference.type})")
            self._values[key] = codec.load(self._local_copy(reference, extract=False), wanted)
        return self._values[key]

    def _local_copy(self, reference: ArtifactReference, *, extract: bool = True) -> Path:
        """A private, verified copy: the user may change the file that a ``Path`` parameter gets."""
        key = (reference.uri, reference.sha256)
        if key not in self._paths:
            self._paths[key] = self._download(reference, self._folder / str(len(self._paths)))
        path = self._paths[key]
        if not extract or reference.codec != "directory":
            return path
        folder = path.with_name(f"{path.name}.extracted")
        return folder if folder.exists() else extract_tar(path, folder)

    def _download(self, reference: ArtifactReference, folder: Path) -> Path:
        uri = allowed_uri(reference.uri, self._allowed)
        folder.mkdir(parents=True)
        path = folder / (uri.rstrip("/").rpartition("/")[2].replace("%", "_") or "object")
        with path.open("xb") as sink:
            hashing = HashingWriter(sink)
            self._store.read_into(uri, hashing)  # type: ignore[arg-type]
        if hashing.sha256 != reference.sha256:
            path.unlink()
            raise ArtifactError(
                f"the artifact {uri} is not what its reference says: expected SHA-256 {reference.sha256}, "
                f"found {hashing.sha256} ({hashing.size} bytes instead of {reference.size})",
                "somebody has changed or replaced the object: run the step that produced it again",
            )
        return path

    def _dataset_path(self, dataset: Dataset) -> Path:
        path = self._store.local_path(dataset.uri)
        if path is None:
            raise ArtifactError(
                f"a parameter annotated `Path` was given the dataset {dataset.uri}, which is no file of this job",
                "annotate it with `Dataset` and open `.uri`, or mount its store in the target",
            )
        return path


def parameters(function: Callable[..., Any]) -> Callable[[int | str], Any]:
    """
    A lookup of a function's annotations by position or name.

    Each annotation is evaluated on its own, so that one that cannot be (a name that exists for type checkers only)
    leaves the others alone.
    """
    target: Any = inspect.unwrap(function)
    code = getattr(target, "__code__", None)
    if code is None:
        return lambda key: NOTHING
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    surplus = code.co_varnames[len(names) :]
    starred = surplus[0] if code.co_flags & inspect.CO_VARARGS else ""
    keywords = surplus[1 if starred else 0] if code.co_flags & inspect.CO_VARKEYWORDS else ""
    annotations = _annotations(target)

    def lookup(key: int | str) -> Any:
        if isinstance(key, int):
            name = names[key] if key < code.co_argcount else starred
        else:
            name = key if key in names else keywords
        return evaluated(annotations.get(name, NOTHING), getattr(target, "__globals__", {}))

    return lookup


def return_annotation(function: Callable[..., Any]) -> Any:
    """The function's evaluated return annotation, or ``NOTHING``."""
    target: Any = inspect.unwrap(function)
    return _bare(evaluated(_annotations(target).get("return", NOTHING), getattr(target, "__globals__", {})))


def _annotations(target: Any) -> Mapping[str, Any]:
    try:
        return getattr(target, "__annotations__", {})
    except Exception:
        # Python 3.14 evaluates annotations now, all or none; its own module gives those that can be.
        if sys.version_info >= (3, 14):
            import annotationlib

            return annotationlib.get_annotations(target, format=annotationlib.Format.FORWARDREF)
        return {}


def evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    """An annotation's value, evaluated in a module's names if it is text; ``NOTHING`` when it cannot be."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))  # noqa: S307  (the user's own source, about to be run anyway)
    except Exception:
        # `Path | None` fails before Python 3.10; each side of it does not.
        if "|" in annotation and "[" not in annotation:
            members = (evaluated(part.strip(), names) for part in annotation.split("|"))
            return next((member for member in members if member not in (None, NOTHING)), NOTHING)
        return NOTHING


def _bare(annotation: Any) -> Any:
    """Without ``Annotated[…]`` and ``… | None``."""
    origin = typing.get_origin(annotation)
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    if hasattr(annotation, "__metadata__"):
        return _bare(members[0])
    # typing.Union, and types.UnionType of Python 3.10, which 3.9 does not have.
    if (origin is typing.Union or getattr(origin, "__name__", "") == "UnionType") and members:
        return _bare(members[0])
    return annotation


def _argument(annotation: Any, index: int) -> Any:
    arguments = typing.get_args(annotation)
    return arguments[index] if len(arguments) > index else NOTHING


def _is_path(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, PurePath)


def require(packages: tuple[str, ...], purpose: str) -> None:
    """
    Check that packages can be imported, before anything long is run.

    :raises JobMisconfigured: one is missing; all missing ones are named.
    """
    import importlib.util

    missing = [name for name in packages if importlib.util.find_spec(IMPORT_NAMES.get(name, name)) is None]
    if missing:
        raise JobMisconfigured(
            f"{' and '.join(missing)} must be installed {purpose}",
            f"add {', '.join(repr(name) for name in missing)} to requirements=, or use an image that has it",
        )
