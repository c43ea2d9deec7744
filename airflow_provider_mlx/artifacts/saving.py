"""A plain task's value becomes an artifact, so that a step can be given what is no small JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from airflow_provider_mlx.exceptions import ArtifactError
from airflow_provider_mlx.runtime.codecs import DATA, HashingWriter, codec_for, type_name
from airflow_provider_mlx.runtime.protocol import OUTPUTS_FOLDER, PROTOCOL, RESULT_FILE
from airflow_provider_mlx.runtime.uris import join
from airflow_provider_mlx.runtime.values import ArtifactReference

from .store import ObjectStore

_WAYS: Final = (
    "save plain JSON, text, bytes, a data frame, an array, or a Path to a file or folder; "
    "make models in a step, and hand their references on"
)


def save_value(value: Any, name: str, *, store: ObjectStore, folder: str, producer: Mapping[str, Any]) -> Any:
    """
    Write a value and the record that proves it to later steps.

    :param folder: the URI of a folder that is this value's alone.
    :param producer: the task instance, as in every reference.
    :returns: the reference.
    :raises ArtifactError: no codec takes the value, its package is missing, or another one was saved there.
    """
    codec = codec_for(value)
    if codec is None or codec.kind != DATA:
        what = "a model" if codec else "no codec's"
        raise ArtifactError(f"a {type_name(type(value))} cannot be saved by a plain task: it is {what}", remedy=_WAYS)
    with tempfile.TemporaryDirectory(prefix="mlx-artifact-") as scratch:
        file = Path(scratch, "value")
        with file.open("wb") as sink:
            hashing = HashingWriter(sink)
            try:
                codec.save(value, hashing)
            except (ImportError, ValueError, TypeError) as error:
                raise ArtifactError(
                    f"{name!r} cannot be written as {codec.name}: {error}",
                    remedy="install the package beside Airflow, or change the value as the message says",
                ) from error
        suffix = codec.suffix_of(value)
        uri = join(folder, OUTPUTS_FOLDER, f"{hashing.sha256[:12]}{suffix}")
        reference = ArtifactReference(
            uri=uri, sha256=hashing.sha256, size=hashing.size, codec=codec.name, type=type_name(type(value)), name=name,
            version=hashing.sha256[:12], producer=dict(producer),
        )  # fmt: skip
        store.upload(file, uri)
    _record(reference, store, folder)
    return reference


def _record(reference: ArtifactReference, store: ObjectStore, folder: str) -> None:
    output = {"artifact": reference.to_wire(), "inline": False, "value": None}
    data = json.dumps({"protocol": PROTOCOL, "outputs": {reference.name: output}}, sort_keys=True).encode()
    uri = join(folder, RESULT_FILE)
    if not store.create(uri, data) and store.read(uri) != data:
        raise ArtifactError(
            f"this try of the task has saved another value as {reference.name!r}",
            remedy="give each value a name of its own: `Artifact.save(value, name=…)`",
        )
