"""
Arguments: from wire values to what the parameter's annotation asks for.

====================  =========================================================
``Path``              the artifact is downloaded; a dataset on a mounted store is its path
``Artifact``          the reference is handed over
``Dataset``           the reference, or a plain URI, becomes a ``Dataset``
a frame               Parquet is loaded: from an artifact that is a frame, a file or a folder of them, or from a dataset
anything else         the artifact is loaded by its codec, into the annotated library where the codec has a choice
``list[X]`` …         X for each item; so for ``dict[str, X]``, ``X | None`` and ``Annotated[X, …]``
a named tuple …       a dict of named outputs becomes the class, each field as its own annotation asks
====================  =========================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from .addresses import allowed_uri
from .annotations import NOTHING, argument, bare, is_path
from .codecs import CODECS, FOLDER_SUFFIX, IMPORT_NAMES, HashingWriter, codec_named, type_name
from .extraction import extract_tar, name_problem
from .outputs import built, field_annotations
from .partitions import SUFFIX, is_part, no_parts
from .refusals import ArtifactError, JobMisconfigured
from .store import Store
from .uris import is_within
from .values import ArtifactReference, Dataset

FRAMES = CODECS["parquet"].types
"""Annotations that Parquet files are loaded for."""
FOLDERS = ("directory", "model_directory")
"""Codecs whose value is a folder: extracted, whatever the annotation says."""


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
        self._folders = 0
        self._paths: dict[tuple[str, str], Path] = {}
        self._values: dict[tuple[str, str, str], Any] = {}
        self.versions: dict[str, str] = {}
        """Of the datasets whose versions nobody had said, by URI."""

    def resolve(self, value: Any, annotation: Any = NOTHING) -> Any:
        """
        Give one argument the form that its annotation asks for.

        :raises ArtifactError: an artifact is missing, changed, or must not be read.
        """
        annotation = bare(annotation)
        if isinstance(value, ArtifactReference):
            return self._artifact(value, annotation)
        if isinstance(value, Dataset):
            return self._dataset(value, annotation)
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
        if wanted in FRAMES and codec.name in ("file", "directory"):
            if codec.name == "file":
                check_is_parquet(reference.uri, wanted)
            return self._frame(reference.uri, reference.sha256, wanted, lambda: self._local_copy(reference))
        if codec.name in FOLDERS:
            return self._local_copy(reference)
        wanted = wanted if wanted in codec.types else reference.type
        key = (reference.uri, reference.sha256, wanted)
        if key not in self._values:
            require(codec.packages_of(wanted), f"to read {reference.uri} ({reference.type})")
            self._values[key] = codec.load(self._local_copy(reference, as_object=True), wanted)
        return self._values[key]

    def _frame(self, uri: str, sha256: str, wanted: str, fetch: Callable[[], Path]) -> Any:
        """Parquet that we did not write, as a frame."""
        key = (uri, sha256, wanted)
        if key not in self._values:
            codec = CODECS["parquet"]
            require(codec.packages_of(wanted), f"to read {uri} as {wanted}")
            self._values[key] = codec.load(fetch(), wanted)
        return self._values[key]

    def _local_copy(self, reference: ArtifactReference, *, as_object: bool = False) -> Path:
        """
        A private, verified copy: the user may change the file or folder that a ``Path`` parameter gets.

        :param as_object: as a codec reads it, also where the object is a folder's tar.
        """
        key = (reference.uri, reference.sha256)
        if key not in self._paths:
            path = self._download(reference, self._fresh_folder())
            if reference.codec in FOLDERS:
                archive, path = path, extract_tar(path, path.with_name(f"{path.name}.extracted"))
                archive.unlink()  # a large folder is on the disk once
            self._paths[key] = path
        path, row = self._paths[key], codec_named(reference.codec)
        if as_object or reference.codec in FOLDERS or row is None or row.suffix != FOLDER_SUFFIX:
            return path
        folder = path.with_name(f"{path.name}.extracted")
        return folder if folder.exists() else extract_tar(path, folder)

    def _fresh_folder(self) -> Path:
        self._folders += 1
        folder = self._folder / str(self._folders)
        folder.mkdir(parents=True)
        return folder

    def _download(self, reference: ArtifactReference, folder: Path) -> Path:
        uri = allowed_uri(reference.uri, self._allowed)
        path = folder / (uri.rstrip("/").rpartition("/")[2].replace("%", "_") or "object")
        with path.open("xb") as sink:
            hashing = HashingWriter(sink)
            self._store.read_into(uri, hashing)
        if hashing.sha256 != reference.sha256:
            path.unlink()
            raise ArtifactError(
                f"the artifact {uri} is not what its reference says: expected SHA-256 {reference.sha256}, "
                f"found {hashing.sha256} ({hashing.size} bytes instead of {reference.size})",
                "somebody has changed or replaced the object: run the step that produced it again",
            )
        return path

    def _dataset(self, dataset: Dataset, annotation: Any) -> Any:
        dataset = self._with_version(dataset)
        if is_path(annotation):
            return self._dataset_path(dataset)
        wanted = type_name(annotation) if isinstance(annotation, type) else ""
        if wanted not in FRAMES:
            return dataset
        uri = allowed_uri(dataset.uri, self._allowed)
        return self._frame(uri, "", wanted, lambda: self._dataset_files(uri, wanted))

    def _with_version(self, dataset: Dataset) -> Dataset:
        """Which version it has now, for lineage and for the step's code, where it may be asked and the store tells."""
        try:
            known = dataset.version is not None or not is_within(dataset.uri, self._allowed)
        except ValueError:  # no address that we know how to read: the step's code may
            return dataset
        found = None if known else self._store.version(dataset.uri)
        if found is None:
            return dataset
        self.versions[dataset.uri] = found
        return Dataset(dataset.uri, found)

    def _dataset_path(self, dataset: Dataset) -> Path:
        path = self._store.local_path(dataset.uri)
        if path is None:
            raise ArtifactError(
                f"a parameter annotated `Path` was given the dataset {dataset.uri}, which is no file of this job",
                "annotate it with `Dataset` and open `.uri`, or mount its store (on SageMaker: `datasets`)",
            )
        return path

    def _dataset_files(self, uri: str, wanted: str) -> Path:
        """A dataset's file or folder: where it is mounted, else a copy."""
        local = self._store.local_path(uri)
        if local is not None:
            if not local.exists():
                raise ArtifactError(
                    f"there is no object {uri}: this job would have it at {local}",
                    "check the path; on the `local` backend the worker brings artifacts from an object store and no "
                    "datasets, so keep data of your own outside the artifact root there",
                )
            if local.is_file():
                check_is_parquet(uri, wanted)
            return local
        if (uri, "") not in self._paths:
            self._paths[uri, ""] = self._bring(uri, wanted, self._fresh_folder())
        return self._paths[uri, ""]

    def _bring(self, uri: str, wanted: str, folder: Path) -> Path:
        # Listed first: who may list only below some prefixes is refused an answer about an object that is not there.
        names = [item[len(uri) + 1 :] for item in self._store.below(uri)]
        if not names and self._store.exists(uri):
            check_is_parquet(uri, wanted)
            return self._copied(uri, folder / uri.rpartition("/")[2])
        parts = [name for name in names if is_part(name)]
        if not parts:
            raise no_parts(uri, names)
        for name in parts:
            if problem := name_problem(name):
                raise ArtifactError(
                    f"{uri} cannot be brought: {name!r} makes no file here, {problem}", "mount its store in the target"
                )
            self._copied(f"{uri}/{name}", folder / "table" / name)
        return folder / "table"

    def _copied(self, uri: str, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store.download(uri, path)
        return path


def check_is_parquet(uri: str, wanted: str) -> None:
    """
    Refuse a single file that is no Parquet by its name, before it is downloaded.

    :raises ArtifactError: its name ends otherwise.
    """
    if not uri.endswith(SUFFIX):
        raise ArtifactError(
            f"a parameter annotated `{wanted}` was given {uri}, and only files named *{SUFFIX} (or folders of them) "
            "become frames",
            "annotate the parameter with `Path` (or `Dataset`) and read the file with the options that it needs",
        )


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
