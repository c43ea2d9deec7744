"""
A read-only registry of OCI images for loopback and the nodes: ``registry.py STORE ADDRESS PORT``.

Runs as a process of its own, and so imports nothing of ours. Images are known without their registry's name
("library/python:3.11"), since containerd asks here in the place of every registry there is.
"""

from __future__ import annotations

import json
import shutil
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
NOT_THERE = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "not among the tests' images"}]}).encode()


class Registry(BaseHTTPRequestHandler):
    """The three requests of the OCI distribution specification that a pull makes."""

    protocol_version = "HTTP/1.1"
    store: Path

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts == ["v2"]:
            self._send_head(200, "application/json", 2)
            if with_body:
                self.wfile.write(b"{}")
            return
        kind, reference = parts[-2:] if len(parts) > 3 else ("", "")
        digest = self._digest("/".join(parts[1:-2]), reference) if kind in {"manifests", "blobs"} else ""
        blob = self.store / "blobs" / digest.removeprefix("sha256:")
        if not digest or not blob.is_file():
            self._send_head(404, "application/json", len(NOT_THERE))
            if with_body:
                self.wfile.write(NOT_THERE)
            return
        content_type = MANIFEST_TYPE if kind == "manifests" else "application/octet-stream"
        self._send_head(200, content_type, blob.stat().st_size, digest)
        if with_body:
            with blob.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, 1024 * 1024)

    def _digest(self, name: str, reference: str) -> str:
        if reference.startswith("sha256:"):
            return reference
        tags: dict[str, str] = json.loads((self.store / "tags.json").read_text())
        return tags.get(f"{name}:{reference}", "")

    def _send_head(self, status: int, content_type: str, length: int, digest: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()


if __name__ == "__main__":
    Registry.store = Path(sys.argv[1])
    ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Registry).serve_forever()
