"""A reference with the means to read it, on Airflow's side."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.runtime.refusals import ArtifactError as RefusedByRuntime
from airflow_provider_mlx.runtime.values import TAG, ArtifactReference

if TYPE_CHECKING:
    from .store import Gate, ObjectStore


class StoredArtifact:
    """
    An artifact, the store that holds it, and the gate before it.

    :param reference: what XCom holds.
    :param store: reads the artifact root.
    :param gate: the URIs that may be read.
    """

    def __init__(self, reference: ArtifactReference, store: ObjectStore, gate: Gate) -> None:
        self.reference = reference
        self._store = store
        self._gate = gate

    @property
    def uri(self) -> str:
        """Where the artifact lies."""
        return self.reference.uri

    def path(self, folder: str | Path | None = None) -> Path:
        """
        Download the artifact, checking its digest.

        :param folder: where to; by default a new temporary folder, which the caller removes.
        :raises ArtifactError: the object is missing, or its bytes are not what the reference says.
        """
        uri = self._gate.check(self.uri)
        target = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="mlx-artifact-"))
        target.mkdir(parents=True, exist_ok=True)
        file = target / uri.rpartition("/")[2]
        try:
            return self._download(uri, file)
        except BaseException:
            file.unlink(missing_ok=True)
            if folder is None:
                target.rmdir()
            raise

    def _download(self, uri: str, file: Path) -> Path:
        found = self._store.download(uri, file)
        if found != self.reference.sha256:
            raise ArtifactError(
                f"the artifact {uri} has changed since it was written: sha256 {found}, "
                f"expected {self.reference.sha256}",
                remedy="somebody overwrote the object; clear the step that produced it",
            )
        return file

    def load(self) -> Any:
        """
        The value. Models are never loaded in an Airflow process: their files may carry code.

        :raises ArtifactError: it is a model, its codec is unknown here, or a package that reads it is missing.
        """
        from airflow_provider_mlx.runtime.codecs import codec_named

        codec = codec_named(self.reference.codec)
        if codec is None:
            raise ArtifactError(
                f"no codec `{self.reference.codec}` is installed in this Airflow",
                remedy="install the package that brings it, or hand the reference to a step",
            )
        if codec.kind != "data":
            raise ArtifactError(
                f"{self.uri} is a model ({self.reference.type}); Airflow processes do not load models",
                remedy="hand the reference to a step, which loads it in its job, or take `.path()`",
            )
        folder = Path(tempfile.mkdtemp(prefix="mlx-artifact-"))
        try:
            return codec.load(self.path(folder), self.reference.type)
        except RefusedByRuntime as error:
            raise ArtifactError(error.what, remedy=error.remedy) from error
        except ImportError as error:
            raise ArtifactError(
                f"reading `{self.reference.codec}` needs the package {error.name}, which this Airflow does not have",
                remedy="read it in a step with `requirements=`, or install the package beside Airflow",
            ) from error
        finally:
            if codec.name not in ("file", "directory"):
                shutil.rmtree(folder, ignore_errors=True)


def read_reference(value: object) -> ArtifactReference:
    """
    The reference that an XCom value holds.

    :raises ArtifactError: it holds none.
    """
    if isinstance(value, ArtifactReference):
        return value
    if not isinstance(value, Mapping) or TAG not in value:
        kind = type(value).__name__
        raise ArtifactError(
            f"a {kind} is no artifact reference",
            remedy="a small JSON result is pushed as it is: use the value itself, "
            "or pull `mlx_artifacts` for the references of all outputs",
        )
    try:
        return ArtifactReference.from_wire(value)
    except ValueError as error:
        raise ArtifactError(str(error)) from error
