"""Requirements over an image: the choice as a table, and real installs of wheels that were made here."""

from __future__ import annotations

import ensurepip
import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from airflow_provider_mlx.runtime.environment import redact
from airflow_provider_mlx.runtime.refusals import JobMisconfigured
from airflow_provider_mlx.runtime.requirements import choose, of_a_network, satisfies, unhashed

IMAGE = {"torch": "2.9.1+cu130", "numpy": "2.4.6", "pandas": "3.1.1", "nvidia-cublas": "13.0", "six": "1.17.0"}


def make_wheel(folder: Path, name: str, version: str, requires: str = "") -> Path:
    """The smallest wheel that pip and uv take."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.mark.parametrize(
    ("requirements", "lines"),
    [
        pytest.param(["pandas", "numpy>=2,<3"], (), id="what the image has is left alone"),
        pytest.param(["torch==2.9.1"], (), id="a local version satisfies its public one"),
        pytest.param(["pandas==2.2.*"], ("pandas==2.2.*",), id="another version of an ordinary package is installed"),
        pytest.param(["pandas[parquet]"], ("pandas[parquet]",), id="an extra may need more"),
        pytest.param(["six==1.17.0 --hash=sha256:aa"], (), id="also with a hash"),
        pytest.param(["Six~=1.16"], (), id="names are compared as indexes do"),
        pytest.param(["xgboost", "--find-links /w"], ("xgboost", "--find-links /w"), id="new packages and options"),
        pytest.param(["./a.whl", "b @ https://x/b.whl"], ("./a.whl", "b @ https://x/b.whl"), id="paths and URLs"),
    ],
)  # fmt: skip
def test_the_choice_of_what_to_install(requirements, lines):
    assert choose(requirements, IMAGE, ()).lines == lines


def test_what_is_not_named_is_held_where_it_is():
    choice = choose(["pandas==2.2.*", "xgboost"], IMAGE, ())
    assert choice.constraints == ("numpy==2.4.6", "nvidia-cublas==13.0", "six==1.17.0", "torch==2.9.1+cu130")


def test_protected_packages_are_replaced_only_on_request():
    with pytest.raises(JobMisconfigured, match=r"'numpy<2' \(the image has numpy 2.4.6\), 'torch==2.5.0'") as refused:
        choose(["numpy<2", "torch==2.5.0", "pandas"], IMAGE, ())
    assert "replace=" in refused.value.remedy
    choice = choose(["numpy<2"], IMAGE, ["NumPy"])
    assert choice.lines == ("numpy<2",)
    assert "numpy==2.4.6" not in choice.constraints
    whole = choose(["torch==2.5.0", "nvidia-cublas==12.4"], IMAGE, ["torch", "nvidia-*"])
    assert whole.constraints == ("numpy==2.4.6", "pandas==3.1.1", "six==1.17.0"), "a glob frees a family"


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        pytest.param(["a==1", "b"], [], id="no hashes at all"),
        pytest.param(["a==1 --hash=sha256:0", "b==2", "--pre"], ["b==2"], id="one without"),
        pytest.param(["a==1 --hash=sha256:0", "b==2 --hash=sha256:1 --hash sha256:2"], [], id="all have one"),
        pytest.param(["--require-hashes", "a==1"], ["a==1"], id="an option wants them"),
    ],
)  # fmt: skip
def test_hashes_are_for_all_or_for_none(lines, missing):
    assert unhashed(lines) == missing


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://x/simple", "-i https://x", "-f https://x", "--extra-index-url=https://x",
        "a @ https://x/a.whl", "https://x/a.whl", "git+https://x/a.git", "a @ git+ssh://git@x/a",
    ],
)  # fmt: skip
def test_a_line_that_asks_a_network(line):
    assert of_a_network(["a==1", line, "--no-index", "b[i] ; python_version > '3'"]) == [line]


def test_a_hash_does_not_hide_that_the_image_has_the_version():
    assert choose(["torch==2.9.1 --hash=sha256:0"], IMAGE, ()).lines == ()
    with pytest.raises(JobMisconfigured, match=r"'torch==2.5.0' \(the image has torch"):
        choose(["torch==2.5.0 --hash=sha256:0"], IMAGE, ())


@pytest.mark.parametrize(
    ("version", "specifier", "met"),
    [
        ("2.4.6", ">=2.4,<3", True), ("2.4.6", "~=2.4.0", True), ("2.5", "~=2.4.0", False), ("2.4", "==2.4.0", True),
        ("2.4.6", "==2.4.*", True), ("2.4.6", "!=2.4.*", False), ("2.10", ">2.9", True), ("2.9", ">2.9.0", False),
        ("2.4.6", "", True), ("2.4.6rc1", ">=2", False), ("2.4.6", "=>2", False), ("1.7", "<=1.7,!=1.6", True),
    ],
)  # fmt: skip
def test_specifiers(version, specifier, met):
    assert satisfies(version, specifier) is met


def test_credentials_of_an_index_are_not_printed():
    assert redact("Looking at https://me:s3cret@pypi.corp/simple, x") == "Looking at https://***@pypi.corp/simple, x"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter in a venv of its own, as images have it, with pip and a package that no index has."""
    tmp_path = tmp_path_factory.mktemp("images")
    folder = tmp_path / "image"
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    # The wheel that `ensurepip` would run for seconds to unpack.
    with zipfile.ZipFile(next(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))) as wheel:
        wheel.extractall(packages)
    with zipfile.ZipFile(make_wheel(tmp_path, "imagepackage", "1.0")) as wheel:
        wheel.extractall(packages)
    return str(folder / "bin" / "python")


@pytest.fixture(params=["pip", "uv"])
def installer(request, job, tmp_path, monkeypatch) -> str:
    """Exactly one installer is on the job's PATH."""
    uv = shutil.which("uv", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    assert uv is not None, "uv belongs to the development environment: make setup"
    binaries = tmp_path / "bin"
    binaries.mkdir()
    if request.param == "uv":
        (binaries / "uv").symlink_to(uv)
    monkeypatch.setenv("PATH", str(binaries))
    job.env.update({"UV_OFFLINE": "1", "PIP_NO_INDEX": "1", "UV_CACHE_DIR": str(tmp_path / "uv")})
    return request.param


def requirements(*lines: str, **more):
    def change(context):
        context["environment"].update({"requirements": list(lines), **more})

    return change


SOURCE = "import tiny, imagepackage, sys\ndef run():\n    return [tiny.VERSION, imagepackage.VERSION, sys.prefix]"


def test_a_requirement_is_installed_over_the_image_once(job, image, installer, tmp_path):
    job.python = image
    wheel = make_wheel(tmp_path, "tiny", "0.3", requires="imagepackage")
    change = requirements(str(wheel))
    first = job.run(SOURCE, change=change)
    assert first.status == 0, first.output
    assert first.value[:2] == ["0.3", "1.0"]
    assert str(tmp_path / "cache") in first.value[2]
    assert first.result["timings"]["install"] > 0.05
    again = job.run(SOURCE, change=change)
    assert again.value == first.value
    assert again.result["timings"]["install"] < first.result["timings"]["install"]
    installed = [path.name for path in Path(first.value[2]).glob("lib/python*/site-packages/imagepackage*")]
    assert installed == [], "what the image has is not installed again"


def test_a_requirement_that_needs_another_version_of_the_images_package_is_refused(job, image, installer, tmp_path):
    job.python = image
    error = job.run(SOURCE, change=requirements(str(make_wheel(tmp_path, "tiny", "0.3", "imagepackage>=2")))).error
    assert error["reason"] == "JobMisconfigured"
    assert "imagepackage" in error["message"]


def test_without_inheritance_the_image_is_not_seen(job, image, tmp_path):
    job.python = image
    job.env.update({"UV_OFFLINE": "1", "PIP_NO_INDEX": "1", "UV_CACHE_DIR": str(tmp_path / "uv")})
    change = requirements(str(make_wheel(tmp_path, "tiny", "0.3")), inherit=False)
    error = job.run(SOURCE, change=change).error
    assert error["type"] == "ModuleNotFoundError"
    assert "imagepackage" in error["message"]


def test_a_requirement_that_does_not_install_is_a_misconfigured_job(job, image, installer):
    job.python = image
    done = job.run(SOURCE, change=requirements("no-such-package-of-ours==1.0"))
    assert done.status == 78
    assert done.error["reason"] == "JobMisconfigured"
    assert "no-such-package-of-ours" in done.error["message"]
    assert "no-such-package-of-ours" in done.output


def hashed(wheel: Path, digest: str = "") -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{digest or hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def test_hashed_requirements_are_installed_without_what_the_image_has(job, image, installer, tmp_path):
    job.python = image
    lines = [hashed(make_wheel(tmp_path, "tiny", "0.3", requires="imagepackage"))]
    lines += ["imagepackage==1.0 --hash=sha256:" + "0" * 64]
    done = job.run(SOURCE, change=requirements(*lines, f"--find-links {tmp_path}"))
    assert done.status == 0, done.output
    assert done.value[:2] == ["0.3", "1.0"]


def test_a_file_that_is_not_the_one_of_the_hash_is_refused_by_name(job, image, installer, tmp_path):
    job.python = image
    line = hashed(make_wheel(tmp_path, "tiny", "0.3"), "0" * 64)
    error = job.run(SOURCE, change=requirements(line, f"--find-links {tmp_path}")).error
    assert error["reason"] == "JobMisconfigured"
    assert "tiny" in error["message"]
    assert "compile the requirements anew" in error["remedy"]


def test_a_half_built_environment_is_built_again(job, image, installer, tmp_path):
    job.python = image
    change = requirements(str(make_wheel(tmp_path, "tiny", "0.3")))
    first = job.run(SOURCE, change=change)
    prefix = Path(first.value[2])
    (prefix / ".mlx-complete").unlink()
    next(prefix.glob("lib/python*/site-packages/tiny/__init__.py")).unlink()
    assert job.run(SOURCE, change=change).value == first.value


def test_two_jobs_build_one_environment_once(job, image, tmp_path):
    job.python = image
    change = requirements(str(make_wheel(tmp_path, "tiny", "0.3")))
    commands = [job.prepare(SOURCE, change=change) for _ in range(2)]
    processes = [job.start(command) for command, _ in commands]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1


def test_requirements_that_the_image_satisfies_cost_nothing(job, image, tmp_path):
    job.python = image
    done = job.run("import sys\ndef run():\n    return sys.executable", change=requirements("imagepackage>=0.9"))
    assert done.value == image
    assert not (tmp_path / "cache").exists()


def test_the_image_of_this_test_has_what_it_says(image):
    code = "import imagepackage, sys; print(imagepackage.VERSION, sys.prefix != sys.base_prefix)"
    assert subprocess.run([image, "-c", code], capture_output=True, text=True, check=True).stdout.split() == [
        "1.0",
        "True",
    ]
    assert sys.executable != image
