"""The page on pipelines of SageMaker says what the code says."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.sagemaker.pipelines import backend, observer, outcome, reading, steps
from tests.docs.snippets import ROOT

PAGE = (ROOT / "docs" / "guides" / "sagemaker-pipelines.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        f"the last {reading.TAIL_LINES} lines of a training or processing job",
        f"The first {outcome.MAX_TASKS} steps are there",
        f"the newest {backend.PAGES_BEFORE_START * 100} before it starts one",
        f"at most about {observer.CALLS} calls a look",
    ],
)
def test_the_numbers(words):
    assert words in PAGE


def test_every_word_of_sagemaker_that_ends_an_execution_has_a_row():
    table = PAGE.partition("| SageMaker says | the task |")[2].partition("\n\n")[0]
    assert {word for word, state in steps.EXECUTION.items() if state.finished} == {
        word for word in steps.EXECUTION if f"`{word}`" in table
    }
