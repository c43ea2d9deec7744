"""OCI images without a container engine: layers from folders, written to a store that ``registry.py`` serves."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .registry import MANIFEST_TYPE

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Blob:
    """Bytes in the store."""

    digest: str
    size: int


@dataclass(frozen=True)
class Layer:
    """A folder in an image: packed as it travels, and the digest of its content unpacked."""

    packed: Blob
    content: str


class Store:
    """
    Images in a folder.

    :param folder: ``blobs/`` by digest, and ``tags.json``: name → digest of a manifest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs").mkdir(parents=True, exist_ok=True)

    def add_layer(self, root: Path) -> Layer:
        """Pack a folder, with the owners, modes and links that its files have, and without devices."""
        with tempfile.TemporaryFile() as raw:
            with tarfile.open(fileobj=raw, mode="w") as tar:
                for entry in sorted(root.iterdir()):
                    tar.add(entry, arcname=entry.name, filter=_without_devices)
            raw.seek(0)
            content = hashlib.file_digest(raw, "sha256").hexdigest()
            raw.seek(0)
            packed = self._add(gzip.compress(raw.read(), compresslevel=1, mtime=0))
        return Layer(packed, f"sha256:{content}")

    def add_image(self, names: Sequence[str], layers: Sequence[Layer], config: Mapping[str, object]) -> None:
        """
        Make an image of layers.

        :param names: each with its tag, without its registry: "library/python:3.11".
        :param config: as the OCI image specification has it: ``Env``, ``Cmd``, ``Entrypoint``, ``User``.
        """
        described = self._add_json(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": config,
                "rootfs": {"type": "layers", "diff_ids": [layer.content for layer in layers]},
                "history": [],
            }
        )
        manifest = self._add_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": _reference(CONFIG_TYPE, described),
                "layers": [_reference(LAYER_TYPE, layer.packed) for layer in layers],
            }
        )
        file = self.folder / "tags.json"
        tags = json.loads(file.read_text()) if file.exists() else {}
        tags |= dict.fromkeys(names, manifest.digest)
        file.write_text(json.dumps(tags, indent=1))

    def _add_json(self, value: object) -> Blob:
        return self._add(json.dumps(value).encode())

    def _add(self, data: bytes) -> Blob:
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs" / digest).write_bytes(data)
        return Blob(f"sha256:{digest}", len(data))


def _reference(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _without_devices(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.isdev() else entry
