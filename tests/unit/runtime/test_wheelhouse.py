"""
Wheelhouses and hashes, with the real pip and uv, and no network: whatever asks for one asks a trap.

The trap is the configured index, and the proxy on the way to every other one; it notes who comes, and gives no answer.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import tarfile
import threading
import venv
import zipfile
from pathlib import Path

import pytest

from tests.unit.runtime.test_checkpoints import s3
from tests.unit.runtime.test_environment import SOURCE, image, installer, make_wheel

__all__ = ["image", "installer", "s3"]


PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")


class Trap:
    """Notes every connection, and closes it."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def trap():
    made = Trap()
    yield made
    made.close()


@pytest.fixture
def offline(job, image, installer, trap):
    """An image and one installer: every way out of it leads into the trap."""
    job.python = image
    for name in ("UV_OFFLINE", "PIP_NO_INDEX"):
        del job.env[name]
    job.env |= {"PIP_INDEX_URL": f"{trap.url}/simple", "UV_DEFAULT_INDEX": f"{trap.url}/simple",
                "UV_HTTP_RETRIES": "0", "PIP_RETRIES": "0", "PIP_TIMEOUT": "2"}  # fmt: skip
    job.env |= dict.fromkeys(PROXIES, trap.url)
    return job


@pytest.fixture
def wheels(tmp_path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    make_wheel(folder, "tiny", "0.3", requires="needed")
    make_wheel(folder, "needed", "1.0", requires="imagepackage")
    return folder


def change(*lines: str, wheelhouse: Path | str = "", allowed: str = "", options=None, **more):
    def apply(context):
        uri = wheelhouse.as_uri() if isinstance(wheelhouse, Path) else wheelhouse
        context["environment"] |= {"requirements": list(lines), "wheelhouse": uri, **more}
        context["store"]["allowed"].append(allowed or uri)
        context["store"]["options"] = options or {}

    return apply


def zipped(folder: Path) -> Path:
    archive = folder.parent / "wheels.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for wheel in folder.glob("*.whl"):
            made.write(wheel, f"deep/inside/{wheel.name}")
        made.writestr("../../outside.txt", "no wheel, and not written")
    return archive


def tarred(folder: Path) -> Path:
    archive = folder.parent / "wheels.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(folder, "wheels")
    return archive


@pytest.mark.parametrize("form", [lambda folder: folder, zipped, tarred], ids=["folder", "zip", "tar"])
def test_requirements_come_from_the_wheelhouse_and_no_index_is_asked(offline, wheels, trap, form):
    done = offline.run(SOURCE, change=change("tiny", wheelhouse=form(wheels)))
    assert done.status == 0, done.output
    assert done.value[:2] == ["0.3", "1.0"]
    assert not list(wheels.parent.rglob("outside.txt"))
    assert trap.connections == 0


@pytest.mark.parametrize("configured", [True, False], ids=["the configured index", "the default one, by the proxy"])
def test_without_the_wheelhouse_an_index_is_asked(offline, trap, configured):
    """The control: the trap stands in every way."""
    for name in () if configured else ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
        del offline.env[name]
    error = offline.run(SOURCE, change=change("tiny")).error
    assert error["reason"] == "JobMisconfigured"
    assert "tiny" in error["message"]
    assert trap.connections > 0


def test_other_sources_that_the_jobs_environment_names_do_not_count_beside_it(offline, wheels, tmp_path):
    others = tmp_path / "others"
    others.mkdir()
    make_wheel(others, "tiny", "0.4")
    offline.env |= {"PIP_FIND_LINKS": str(others), "UV_FIND_LINKS": str(others)}
    assert offline.run(SOURCE, change=change("tiny", wheelhouse=wheels)).value[0] == "0.3"


def test_a_wheelhouse_on_an_object_store_is_downloaded_once_per_environment(offline, wheels, s3, tmp_path):
    from airflow_provider_mlx.runtime.store import Store

    store, uri = Store({"options": {"s3": s3}}), f"s3://mlx-checkpoints/{tmp_path.name}/wheels/"
    for wheel in wheels.iterdir():
        store.upload(wheel, uri + wheel.name)
    offline.env |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    for name in PROXIES:  # the store's client takes the trap for its way, too
        del offline.env[name]
    # This image has no client of S3; these packages lend it one.
    offline.env["PYTHONPATH"] = next(entry for entry in sys.path if entry.endswith("site-packages"))
    apply = change("tiny", wheelhouse=uri, options={"s3": s3})
    first = offline.run(SOURCE, change=apply)
    assert first.status == 0, first.output
    assert first.value[:2] == ["0.3", "1.0"]
    assert offline.run(SOURCE, change=apply).value == first.value
    make_wheel(wheels, "needed", "1.1", requires="imagepackage")
    store.upload(wheels / "needed-1.1-py3-none-any.whl", uri + "needed-1.1-py3-none-any.whl")
    assert offline.run(SOURCE, change=apply).value[2] != first.value[2], "other wheels are another environment"


def test_another_wheel_of_the_same_name_is_another_environment(offline, wheels):
    first = offline.run(SOURCE, change=change("tiny", wheelhouse=wheels))
    make_wheel(wheels, "tiny", "0.3")
    assert offline.run(SOURCE, change=change("tiny", wheelhouse=wheels)).value[2] != first.value[2]


def test_what_the_wheelhouse_lacks_is_an_error_that_names_both(offline, wheels):
    error = offline.run(SOURCE, change=change("tiny", "absent-package", wheelhouse=wheels)).error
    assert error["reason"] == "JobMisconfigured"
    assert "absent-package" in error["message"]
    assert wheels.as_uri() in error["remedy"]


@pytest.mark.parametrize(
    "line", ["--extra-index-url https://example.com/simple", "tiny @ https://example.com/tiny.whl"]
)
def test_beside_a_wheelhouse_no_line_may_ask_a_network(offline, wheels, line):
    error = offline.run(SOURCE, change=change("tiny", line, wheelhouse=wheels)).error
    assert error["reason"] == "JobMisconfigured"
    assert line in error["message"]


def test_a_wheelhouse_outside_the_allowed_prefixes_is_not_read(offline, wheels):
    error = offline.run(SOURCE, change=change("tiny", wheelhouse=Path("/opt/elsewhere"), allowed="s3://none")).error
    assert error["reason"] == "ArtifactError"
    assert "lies outside" in error["message"]


def test_an_empty_wheelhouse_is_said(offline, tmp_path):
    (tmp_path / "empty").mkdir()
    error = offline.run(SOURCE, change=change("tiny", wheelhouse=tmp_path / "empty")).error
    assert "there are no wheels at" in error["message"]


# --- protected packages -----------------------------------------------------------------------------------------------


@pytest.fixture
def gpu_image(offline, tmp_path):
    """An image that is built around a torch of its own."""
    folder = tmp_path / "gpu-image"
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(make_wheel(tmp_path, "torch", "2.9.1+cu130")) as wheel:
        wheel.extractall(packages)
    base = next(Path(offline.python).parent.parent.glob("lib/python*/site-packages"))
    (packages / "image.pth").write_text(f"{base}\n")
    offline.python = str(folder / "bin" / "python")
    return offline


TORCH = "import torch\ndef run():\n    return torch.VERSION"


def test_a_package_that_the_image_is_built_around_is_replaced_only_on_request(gpu_image, wheels):
    make_wheel(wheels, "torch", "2.5.0")
    refused = gpu_image.run(TORCH, change=change("torch==2.5.0", wheelhouse=wheels)).error
    assert "'torch==2.5.0' (the image has torch 2.9.1+cu130)" in refused["message"]
    assert "replace=" in refused["remedy"]
    done = gpu_image.run(TORCH, change=change("torch==2.5.0", wheelhouse=wheels, replace=["torch"]))
    assert done.status == 0, done.output
    assert done.value == "2.5.0"


@pytest.mark.parametrize("line", ["addon==1.0", "{wheel}"], ids=["by its name", "by its path"])
def test_a_dependency_does_not_replace_it_either(gpu_image, wheels, line):
    make_wheel(wheels, "torch", "2.5.0")
    wheel = make_wheel(wheels, "addon", "1.0", requires="torch<2.6")
    error = gpu_image.run(TORCH, change=change(line.format(wheel=wheel), wheelhouse=wheels)).error
    assert error["reason"] == "JobMisconfigured"
    assert "torch" in error["message"]


def test_what_fits_the_image_is_installed_beside_it(gpu_image, wheels):
    make_wheel(wheels, "addon", "1.0", requires="torch>=2.9")
    done = gpu_image.run(
        "import addon, torch\ndef run():\n    return [addon.VERSION, torch.VERSION]",
        change=change("addon==1.0", wheelhouse=wheels),
    )
    assert done.value == ["1.0", "2.9.1+cu130"], done.output


# --- hashes -----------------------------------------------------------------------------------------------------------


def hashed(folder: Path, name: str, version: str, digest: str = "") -> str:
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    return f"{name}=={version} --hash=sha256:{digest or hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def test_hashed_requirements_are_installed_over_the_image(offline, wheels):
    lines = (hashed(wheels, "tiny", "0.3"), hashed(wheels, "needed", "1.0"))
    done = offline.run(SOURCE, change=change(*lines, wheelhouse=wheels))
    assert done.status == 0, done.output
    assert done.value[:2] == ["0.3", "1.0"]


def test_a_wrong_hash_is_refused_and_names_the_package(offline, wheels):
    lines = (hashed(wheels, "tiny", "0.3", "0" * 64), hashed(wheels, "needed", "1.0"))
    done = offline.run(SOURCE, change=change(*lines, wheelhouse=wheels))
    assert done.error["reason"] == "JobMisconfigured"
    assert done.error["message"].startswith("the file of tiny==0.3 is not the one whose hash the requirements name")


def test_a_dependency_without_a_hash_is_refused_and_named(offline, wheels):
    done = offline.run(SOURCE, change=change(hashed(wheels, "tiny", "0.3"), wheelhouse=wheels))
    assert done.error["reason"] == "JobMisconfigured"
    assert "needed" in done.error["message"]
    assert "hash" in done.error["message"]


def test_some_hashes_are_refused_before_anything_is_installed(offline, wheels):
    done = offline.run(SOURCE, change=change(hashed(wheels, "tiny", "0.3"), "needed", wheelhouse=wheels))
    assert "these have none: needed" in done.error["message"]
    assert "venv" not in done.output


def test_a_hashed_requirement_does_not_replace_what_the_image_is_built_around(gpu_image, wheels):
    make_wheel(wheels, "torch", "2.5.0")
    make_wheel(wheels, "addon", "1.0", requires="torch<2.6")
    lines = (hashed(wheels, "addon", "1.0"), hashed(wheels, "torch", "2.5.0"))
    assert "the image has torch" in gpu_image.run(TORCH, change=change(*lines, wheelhouse=wheels)).error["message"]
    error = gpu_image.run(TORCH, change=change(lines[0], wheelhouse=wheels)).error
    assert "torch" in error["message"]
