"""The job's last word for its backend: what it says, how long it is, and what it never says."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.runtime.last_word import MAX_BYTES, one_line

KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("ValueError: no", "ValueError: no", id="as it is"),
        pytest.param("a\n  b\tc\n", "a b c", id="one line"),
        pytest.param("login with s3cret-token failed", "login with *** failed", id="a secret's value"),
        pytest.param("s3cret-tokens3cret-token", "******", id="as often as it is there"),
        pytest.param("key is\nMIIEvQIBADANBg", "key is ***", id="a line of a key"),
        pytest.param(KEY, "***", id="a key, whole"),
        pytest.param("at https://me:pass@host/x", "at https://***@host/x", id="what a URL holds"),
        pytest.param("plain text of PLAIN", "plain text of PLAIN", id="other variables are no secrets"),
        pytest.param("an empty secret hides nothing", "an empty secret hides nothing", id="an empty secret"),
    ],
)
def test_the_word(text, word):
    variables = {"TOKEN": "s3cret-token", "KEY": KEY, "EMPTY": "", "OTHER": "plain"}
    assert one_line(text, ["TOKEN", "KEY", "EMPTY", "MISSING"], variables) == word


def test_a_long_word_is_cut_and_no_secret_with_it():
    said = one_line("ä" * 505 + "s3cret-token" * 2, ["TOKEN"], {"TOKEN": "s3cret-token"})
    assert len(said.encode()) <= MAX_BYTES
    assert "s3cret" not in said
    assert one_line("ä" * 5000, [], {}) == "ä" * (MAX_BYTES // 2)


@pytest.fixture
def word(job, tmp_path):
    file = tmp_path / "termination-log"
    file.touch()
    job.env["MLX_TERMINATION_LOG"] = str(file)
    return file


def secret(context):
    context["secret_variables"] = ["TOKEN"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param("return 1", "result", id="a result"),
        pytest.param("raise ValueError('no\\nway')", "ValueError: no way", id="the step's own error"),
        pytest.param("import os; os._exit(3)", "StepFailed: the step's process ended with exit code 3", id="no word of it"),
        pytest.param("import os; raise KeyError(os.environ['TOKEN'])", "KeyError: '***'", id="never a secret"),
    ],
)  # fmt: skip
def test_the_end_of_a_job_in_a_line(job, word, body, says):
    job.env["TOKEN"] = "s3cret-token"
    job.run(f"def run():\n    {body}", change=secret)
    assert word.read_text().startswith(says)
    assert "\n" not in word.read_text()


def test_a_context_that_is_refused_is_told_too(job, word):
    command, attempt = job.prepare("def run(): return 1")
    (attempt / "context.json").write_text("{}")
    assert job.finish(command, attempt).status == 79
    assert word.read_text().startswith("JobMisconfigured: context file://")


def test_there_need_be_no_file(job, tmp_path):
    job.env["MLX_TERMINATION_LOG"] = str(tmp_path / "no" / "such")
    assert job.run("def run():\n    return 1").value == 1
    assert not (tmp_path / "no").exists(), "the backend makes it, or nobody reads it"
