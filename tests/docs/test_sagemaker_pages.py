"""The pages on SageMaker say what the code says."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.sagemaker import faults, status
from airflow_provider_mlx.backends.sagemaker.channels import MAX_INPUTS
from tests.docs.snippets import ROOT

GUIDE = ROOT / "docs" / "guides" / "sagemaker.md"
PAGE = ROOT / "docs" / "guides" / "sagemaker-troubleshooting.md"

SENTENCES = {
    **{f"waiting {key}": what for key, what in status.WAITS.items()},
    **{f"limit {key}": limit.reason.partition(" → ")[0] for key, limit in status.LIMITS.items()},
    **{f"fault {number}": row.advice for number, row in enumerate(faults.ROWS) if row.advice},
}


@pytest.mark.parametrize("what", SENTENCES.values(), ids=SENTENCES.keys())
def test_the_troubleshooting_page_has_every_sentence_that_a_user_may_read(what):
    assert what in PAGE.read_text(encoding="utf-8")


def test_the_guide_says_how_many_artifacts_are_brought():
    code_and_context = 2
    row = f"| {MAX_INPUTS['training'] - code_and_context} | {MAX_INPUTS['processing'] - code_and_context} |"
    assert f"| artifacts that SageMaker brings {row}" in GUIDE.read_text(encoding="utf-8")
