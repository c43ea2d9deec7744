"""
Arguments: from wire values to what the parameter's annotation asks for.

====================  =========================================================
``Path``              the artifact is downloaded; a dataset on a mounted store is its path
``Artifact``          the reference is handed over
``Dataset``           the reference, or a plain URI, becomes a ``Dataset``
anything else         the artifact is loaded by its codec, into the annotated library where the codec has a choice
``list[X]`` …         X for each item; so for ``dict[str, X]``, ``X | None`` and ``Annotated[X, …]``
a named tuple …       a dict of named outputs becomes the class, each field as its own annotation asks
====================  =========================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .addresses import allowed_uri
from .annotations import NOTHING, argument, bare, is_path
from .codecs import CODECS, FOLDER_SUFFIX, IMPORT_NAMES, HashingWriter, codec_named, type_name
from .extraction import extract_tar
from .outputs import built, field_annotations
from .refusals import ArtifactError, JobMisconfigured
from .store import Store
from .values import ArtifactReference, Dataset


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
        annotation = bare(annotation)
        if isinstance(value, ArtifactReference):
            return self._artifact(value, annotation)
        if isinstance(value, Dataset):
            return self._dataset_path(value) if is_path(annotation) else value
        if isinstance(value, list):
            item = argument(annotation, 0)
            return [self.resolve(member, item) for member in value]
        if isinstance(value, dict):
            fields, item = field_annotations(annotation), argument(annotation, 1)
            return built(annotation, {key: self.resolve(part, fields.get(key, item)) for key, part in value.items()})
        if isinstance(value, str) and annotation is Dataset:
            return Dataset(value)
        if isinstance(value, str) and is_path(annotation):
            return Path(value)
        return value

    def _artifact(self, reference: ArtifactReference, annotation: Any) -> Any:
        if annotation is ArtifactReference:
            return reference
        if annotation is Dataset:
            return Dataset(reference.uri, reference.version)
        if is_path(annotation):
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
        path, row = self._paths[key], codec_named(reference.codec)
        if not extract or row is None or row.suffix != FOLDER_SUFFIX:
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
