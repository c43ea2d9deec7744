"""Names: the same for one task instance everywhere, never the same for two, and valid on every backend."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlx.step.identity import JOB_NAME_LIMIT, TaskInstanceIdentity, path_segment

RFC_1123_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")

texts = st.one_of(st.text(max_size=300), st.from_regex(r"[A-Za-z0-9_.-]{1,250}", fullmatch=True), st.just("-1"))
identities = st.builds(TaskInstanceIdentity, texts, texts, texts, texts, st.integers(-1, 10**6))


def identity(**changes):
    return TaskInstanceIdentity(
        **{"deployment_id": "prod", "dag_id": "churn", "run_id": "manual__1", "task_id": "train", **changes}
    )


@pytest.mark.parametrize(
    ("changes", "attempt", "start", "end"),
    [
        pytest.param({}, 1, "churn-train-a", "-1", id="slug, digest, attempt"),
        pytest.param({"dag_id": "Über_DAG.v2"}, 3, "uber-dag-v2-train-a", "-3", id="other letters become near ones"),
        pytest.param({"dag_id": "日本", "task_id": "語"}, 1, "step-a", "-1", id="nothing readable is left: step"),
        pytest.param({"dag_id": "2026-q1"}, 1, "q1-train-a", "-1", id="a name starts with a letter"),
        pytest.param({"dag_id": "d" * 250, "task_id": "t" * 250}, 12, "d" * 29, "-12", id="cut to the limit"),
    ],
)
def test_job_names_can_be_read(changes, attempt, start, end):
    name = identity(**changes).job_name(attempt)
    assert name.startswith(start)
    assert name.endswith(end)
    assert len(name) <= JOB_NAME_LIMIT


def test_names_of_this_release_are_found_by_the_next():
    """Frozen: a change of these is a new letter of the scheme."""
    step = identity(map_index=3)
    assert step.digest == "0e8f75331cb5e8ddc9257eb2b9dc6316cdaeed1692a6a145e5d7600bb5aa4a79"
    assert step.job_name(2) == "churn-train-a0e8f75331cb5e8dd-2"
    assert step.attempt_folder(2) == "runs/prod/churn/manual__1/train/3/attempt-2"


@given(identities, st.integers(1, 10**6))
def test_every_job_name_is_a_label_of_rfc_1123(step, attempt):
    name = step.job_name(attempt)
    assert RFC_1123_LABEL.fullmatch(name), name


@given(identities, identities)
def test_two_task_instances_share_no_name_and_no_folder(one, other):
    if one != other:
        assert one.digest != other.digest
        assert one.job_name(1) != other.job_name(1)
        assert one.folder != other.folder


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"dag_id": "a", "task_id": "b-c"}, {"dag_id": "a-b", "task_id": "c"}, id="the border moves"),
        pytest.param({"dag_id": "ä"}, {"dag_id": "a"}, id="they slug alike"),
        pytest.param({"task_id": "train"}, {"task_id": "train", "map_index": 0}, id="mapped and not"),
        pytest.param({"deployment_id": "prod"}, {"deployment_id": "staging"}, id="two Airflows"),
        pytest.param({"run_id": "x" * 250}, {"run_id": "x" * 249 + "y"}, id="they differ at the end of 250 letters"),
        pytest.param({"task_id": "1"}, {"run_id": "manual__1/1", "task_id": ""}, id="a slash in an id"),
    ],
)
def test_near_identities_differ_everywhere(one, other):
    first, second = identity(**one), identity(**other)
    assert first.job_name(1) != second.job_name(1)
    assert first.folder != second.folder


@given(texts, texts)
def test_path_segments_are_different_for_different_texts(one, other):
    assert (path_segment(one) == path_segment(other)) == (one == other)


@pytest.mark.parametrize("text", ["checkpoints", "attempt-1", "attempt-x"])
def test_the_names_of_our_own_folders_are_no_segments(text):
    """A wild card of IAM spans slashes: everything of a DAG called so would lie below such a folder."""
    assert path_segment(text) != text
    assert path_segment(text).startswith(f"{text}@")


@given(texts)
def test_path_segments_are_plain_folder_names(text):
    segment = path_segment(text)
    assert re.fullmatch(r"[A-Za-z0-9_.@-]{1,100}", segment)
    assert segment not in (".", "..")


@pytest.mark.parametrize("text", ["churn", "manual__2026-11-23", "-1", "a.b-c_d", "0"])
def test_plain_names_stay_as_they_are(text):
    assert path_segment(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a/b", "../../etc", "manual__2026-11-23T00:00:00+00:00", "ä", "a" * 101]
)
def test_other_names_carry_a_digest(text):
    assert re.fullmatch(r"[A-Za-z0-9_.-]{0,82}@[0-9a-f]{16}", path_segment(text))


def test_a_job_knows_itself():
    step = identity(map_index=2).step(try_number=4, attempt=3)
    assert (step["try_number"], step["attempt"], step["map_index"]) == (4, 3, 2)
    assert step["job"] == identity(map_index=2).job_name(3)
    assert str(identity(map_index=2)) == "step `train[2]` of `churn` in run `manual__1`"
