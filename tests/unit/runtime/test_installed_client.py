"""A client for the store, installed by the job itself: the real pip and uv, the real obstore, a real S3 interface."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import signal
import time
import zipfile
from pathlib import Path

import pytest

from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.runtime.store import Store
from tests.unit.runtime.conftest import sha256
from tests.unit.runtime.test_checkpoints import s3
from tests.unit.runtime.test_environment import image, installer, make_wheel

__all__ = ["image", "installer", "s3"]


def real_wheel(folder: Path, name: str) -> Path:
    """A package of this environment as the wheel that it was installed from."""
    found = importlib.metadata.distribution(name)
    tag = next(line[5:] for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: "))
    path = folder / f"{name.replace('-', '_')}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in found.files or ():
            if not str(file).startswith("..") and file.suffix != ".pyc":
                wheel.write(str(file.locate()), str(file))
    return path


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name in ("obstore", "typing-extensions"):
        real_wheel(folder, name)
    make_wheel(folder, "tiny", "0.3")
    return folder


@pytest.fixture
def poor(job, image, installer, s3, wheels):
    """An image without any client; its installer finds the wheels in a folder, and no index."""
    job.python = image
    job.env |= {
        "PIP_FIND_LINKS": str(wheels), "UV_FIND_LINKS": str(wheels), "AWS_ENDPOINT_URL": s3["endpoint_url"],
        "AWS_REGION": s3["region"], "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "MLX_INSTALL_CLIENT": "obstore>=0.6",
    }  # fmt: skip
    return job


class OnS3:
    """A job whose context and outputs lie on S3."""

    def __init__(self, job, s3, folder):
        self.job = job
        self.root = f"s3://mlx-checkpoints/{folder}"
        self.store = Store({"options": {"s3": s3}})
        self.options = {"s3": s3}

    def run(self, source, *, context_there=True, change=None):
        def there(context):
            context["outputs"]["uri"] = self.root
            context["store"] = {"options": self.options, "allowed": [self.root]}
            if change:
                change(context)

        command, attempt = self.job.prepare(source, change=there)
        if context_there:
            self.store.upload(attempt / "context.json", f"{self.root}/context.json")
            command = bootstrap_command(
                python=self.job.python, bundle_path=command[3], bundle_sha256=command[4],
                context=f"{self.root}/context.json", context_sha256=sha256(attempt / "context.json"),
            )  # fmt: skip
        return self.job.finish(command, attempt)

    def result(self):
        return json.loads(self.store.read_bytes(f"{self.root}/result.json"))


@pytest.fixture
def on_s3(poor, s3, tmp_path):
    return OnS3(poor, s3, tmp_path.name)


SOURCE = """
    import importlib.util, sys
    def run():
        return [sys.prefix, importlib.util.find_spec("obstore").origin, sys.path[-1]]
"""


def test_a_context_on_s3_is_read_by_a_client_that_the_job_installs(on_s3, image):
    done = on_s3.run(SOURCE)
    assert done.status == 0, done.output
    result = on_s3.result()
    prefix, client, last = result["outputs"]["return_value"]["value"]
    assert prefix == str(Path(image).parent.parent)
    assert client.startswith(last)
    assert last.endswith("/mlx-client"), "behind whatever the image has"
    assert result["timings"]["install"] > 0.05
    assert "the image has no client for s3://, obstore>=0.6 is installed" in done.output
    assert list(Path(prefix).rglob("obstore*")) == [], "nothing goes into the image"


def test_a_step_with_requirements_of_its_own_has_the_client_too_and_keeps_its_cache(on_s3, wheels):
    """It runs in another interpreter. The client is not the image's, or no cached environment would be found again."""

    def change(context):
        context["environment"] |= {"requirements": [str(wheels / "tiny-0.3-py3-none-any.whl")]}

    source = SOURCE.replace("sys\n", "sys, tiny\n", 1)
    first = on_s3.run(source, change=change)
    assert first.status == 0, first.output
    prefix, client, _ = on_s3.result()["outputs"]["return_value"]["value"]
    assert "cache" in prefix
    assert "/mlx-client/" in client
    assert list(Path(prefix).rglob("obstore*")) == [], "nothing goes into the step's environment"
    assert "mlx-client" not in next(Path(prefix).rglob("_mlx_image.pth")).read_text()
    on_s3.root += "-again"
    assert on_s3.run(source, change=change).status == 0
    assert on_s3.result()["outputs"]["return_value"]["value"][0] == prefix


def test_a_context_that_is_mounted_and_outputs_that_are_not(on_s3):
    """As where a ConfigMap brings the code."""
    assert on_s3.run(SOURCE, context_there=False).status == 0
    assert on_s3.result()["timings"]["install"] > 0.05


def test_an_image_with_a_client_installs_nothing(on_s3):
    import sys

    on_s3.job.python = sys.executable
    done = on_s3.run("def run():\n    return 1")
    assert done.status == 0, done.output
    assert "install" not in on_s3.result()["timings"]


def test_without_leave_nothing_is_installed(on_s3):
    del on_s3.job.env["MLX_INSTALL_CLIENT"]
    done = on_s3.run(SOURCE)
    assert done.status == 78
    assert "its image has no client for it" in done.output


@pytest.mark.parametrize(
    ("requirement", "says"),
    [
        pytest.param("no-such-client-of-ours", "no-such-client-of-ours does not install", id="it does not install"),
        pytest.param("tiny", "tiny is installed, and it is no client for s3://", id="it is none"),
    ],
)
def test_a_client_that_cannot_be_had_is_one_that_the_last_word_names(on_s3, tmp_path, requirement, says):
    word = tmp_path / "termination-log"
    word.touch()
    on_s3.job.env |= {"MLX_INSTALL_CLIENT": requirement, "MLX_TERMINATION_LOG": str(word)}
    done = on_s3.run(SOURCE)
    assert done.status == 78
    assert says in done.output
    assert word.read_text().startswith(f"JobMisconfigured: {says}")


def test_an_image_without_an_installer_is_told_so(job, image, s3, tmp_path, monkeypatch):
    import venv

    bare = tmp_path / "bare"
    venv.create(bare, symlinks=True)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    job.python = str(bare / "bin" / "python")
    job.env |= {"MLX_INSTALL_CLIENT": "obstore"}
    done = OnS3(job, s3, tmp_path.name).run(SOURCE)
    assert done.status == 78
    assert "the image has neither pip nor uv" in done.output


def test_a_job_that_is_stopped_while_it_installs_ends_at_once(on_s3, wheels, tmp_path):
    """The first process of a container gets no signal that it has no handler for."""
    waiting = tmp_path / "bin" / "uv"
    waiting.unlink(missing_ok=True)
    waiting.write_text("#!/bin/sh\necho installing\nexec /bin/sleep 60\n")
    waiting.chmod(0o755)
    command, _ = on_s3.job.prepare(SOURCE)
    process = on_s3.job.start([*command[:5], f"{on_s3.root}/context.json", hashlib.sha256(b"").hexdigest()])
    assert any("installing" in line for line in process.stdout)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=20)[0]
    assert time.monotonic() - began < 5
    assert process.returncode == 143, output
