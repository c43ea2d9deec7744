"""The pages on Kubernetes say what the code says."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.kubernetes import faults, kueue, waiting
from tests.docs.snippets import ROOT

PAGE = ROOT / "docs" / "guides" / "kubernetes-troubleshooting.md"

SENTENCES = {
    **{f"pod {key}": what for key, (_, what) in faults.POD_REASONS.items()},
    **{f"disruption {key}": what for key, (_, what) in faults.DISRUPTIONS.items()},
    **{f"ended {key}": what for key, (_, what) in faults.ENDED.items()},
    **{f"stuck {key}": what for key, (_, what) in faults.STUCK.items()},
    **{f"refusal {key}": what for key, _, what in waiting.REFUSALS},
    **{f"gone {key}": what for key, what in waiting.TAKEN_EVENTS.items()},
    **{f"pending {key}": what for key, what in waiting.PENDING_EVENTS.items() if key != "Failed"},
    **{f"Kueue {key}": what for key, (what, _) in kueue.HOPELESS.items()},
    **{f"Kueue evicted {key}": what for key, what in kueue._EVICTED.items()},
}


@pytest.mark.parametrize("what", SENTENCES.values(), ids=SENTENCES.keys())
def test_the_troubleshooting_page_has_every_sentence_that_a_user_may_read(what):
    assert what in PAGE.read_text(encoding="utf-8")
