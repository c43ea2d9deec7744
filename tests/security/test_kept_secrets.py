"""What an author writes or a template renders into a step is kept: in the DAG, in the ledger, in the job's request."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.credentials import requirement_problems
from tests.security.canaries import files_under

LOGINS = [
    "--index-url https://me:{0}@index.invalid/simple",
    "--extra-index-url=https://{0}@index.invalid/simple",
    "-i https://__token__:{0}@index.invalid/simple",
    "mine @ git+https://oauth2:{0}@git.invalid/mine.git",
    "mine @ https://me:{0}@files.invalid/mine.whl",
    "--find-links https://me:{0}@files.invalid/",
]
HARMLESS = [
    "pandas==2.2", "--index-url https://index.invalid/simple", "mine @ git+ssh://git@git.invalid/mine.git",
    "--index-url https://me:${{TOKEN}}@index.invalid/simple", "mine @ git+https://${{TOKEN}}@git.invalid/mine.git",
    "mine @ https://files.invalid/mine@1.whl",
]  # fmt: skip


@pytest.mark.parametrize("line", LOGINS)
def test_a_requirement_with_a_login_is_a_problem_that_does_not_repeat_it(line, canaries):
    (problem,) = requirement_problems(["pandas", line.format(canaries.plant("login"))])
    assert problem.field == "requirements[1]"
    assert "secrets=" in problem.remedy
    assert canaries.found_in({"the problem": str(problem)}) == []


@pytest.mark.parametrize("line", HARMLESS)
def test_a_requirement_without_a_login_is_none(line):
    assert requirement_problems([line.format()]) == []


KEPT = {
    "requirements": (
        "requirements={0!r}",
        lambda secret: [f"--index-url https://me:{secret}@index.invalid/simple", "x"],
    ),
    "env": ("env={0!r}", lambda secret: {"TOKEN": f"Bearer {secret}"}),
}


@pytest.mark.parametrize(("option", "make"), KEPT.values(), ids=KEPT.keys())
def test_a_secret_in_what_is_kept_is_refused(option, make, load, execute, airflow_home, canaries):
    """As an argument is: a rendered `{{ conn.hf.password }}` would be written to the ledger and to the job's request."""
    secret = canaries.plant("secret")
    mask_secret(secret)
    body = "@task.mlx\ndef step():\n    return 1\nstep()"
    task = load(body.replace("@task.mlx", f"@task.mlx({option.format(make(secret))})"))["step"]
    for file in airflow_home.rglob("dag_file.py"):
        file.write_text("")  # what the author typed is the author's
    with pytest.raises(InvalidStep) as refused:
        execute(task)
    assert "secrets=" in str(refused.value)
    assert canaries.found_in({"the error": refused.value, **files_under(airflow_home)}) == []


@pytest.mark.parametrize(
    "where",
    [
        "text", "in a text", "in a list", "in a dict",
        "as a key",
    ],
)  # fmt: skip
def test_a_masked_argument_is_refused(where, load, execute, airflow_home, canaries):
    secret = canaries.plant("secret")
    mask_secret(secret)
    value = {
        "text": secret, "in a text": f"Bearer {secret}!", "in a list": [[secret]], "in a dict": {"a": {"b": secret}},
        "as a key": {secret: 1},
    }[where]  # fmt: skip
    task = load("@task.mlx\ndef step(x):\n    return 1\nstep(1)")["step"]
    task.op_args = [value]
    with pytest.raises(InvalidStep) as refused:
        execute(task)
    assert canaries.found_in({"the error": refused.value, **files_under(airflow_home)}) == []
