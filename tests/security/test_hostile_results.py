"""
What a job writes into the ledger: its own and others'.

On `local`, and wherever a job may write the whole root, nothing keeps its code from creating files. What holds then is
tested here; what needs the store's own permissions is said in ``docs/security.md``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import pytest

from airflow_provider_mlx.artifacts.artifact import StoredArtifact
from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep, MlxError, ResultMissing
from airflow_provider_mlx.jobs.collection import collect
from airflow_provider_mlx.jobs.inputs import check_inputs
from airflow_provider_mlx.jobs.ledger import AttemptLedger, utc_now
from airflow_provider_mlx.runtime.protocol import Arguments
from airflow_provider_mlx.runtime.values import ArtifactReference
from airflow_provider_mlx.step.identity import TaskInstanceIdentity

IDENTITY = TaskInstanceIdentity("default", "dag", "run", "step")
OTHER = TaskInstanceIdentity("default", "dag", "run", "other")


class Place:
    """A root on disk, as a job of the same user sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder.as_uri()
        self.store = ObjectStore()

    def ledger(self, identity=IDENTITY, attempt=1) -> AttemptLedger:
        return AttemptLedger(self.store, self.root, identity, attempt)

    def path(self, name: str, identity=IDENTITY, attempt=1) -> Path:
        path = self.folder / identity.attempt_folder(attempt) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, data: bytes | str, identity=IDENTITY, attempt=1) -> Path:
        path = self.path(name, identity, attempt)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def collect(self, identity=IDENTITY, attempt=1):
        return collect(self.ledger(identity, attempt), None)  # type: ignore[arg-type]

    def artifact(self, name: str, data: bytes, identity=IDENTITY, **facts) -> dict:
        path = self.write(f"outputs/{name}", data, identity)
        producer = {
            key: getattr(identity, key) for key in ("deployment_id", "dag_id", "run_id", "task_id", "map_index")
        }
        given = {
            "uri": path.as_uri(), "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "codec": "text",
            "type": "str", "name": "return_value", "version": "1", "producer": {**producer, "attempt": 1},
        }  # fmt: skip
        return ArtifactReference(**{**given, **facts}).to_wire()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "root").mkdir()
    return Place(tmp_path / "root")


def result(outputs=None, *, identity=IDENTITY, attempt=1, **more) -> dict:
    outputs = {"return_value": {"artifact": None, "inline": True, "value": 1}} if outputs is None else outputs
    step = {"job": identity.job_name(attempt)}
    return {"protocol": 1, "step": step, "outputs": outputs, "metrics": {}, "skipped": None, **more}


def test_a_good_result_is_collected(place):
    """The control."""
    reference = place.artifact("a", b"text")
    place.write("result.json", json.dumps(result({"return_value": {"artifact": reference, "inline": False}})))
    assert place.collect().outputs["return_value"].artifact.uri == reference["uri"]


MALFORMED = {
    "half": '{"protocol": 1, "outputs": {',
    "nothing": "",
    "a list": "[]",
    "a number": "1",
    "not UTF-8": b"\xff\xfe\x00",
    "UTF-16": json.dumps(result()).encode("utf-16-be") + b"\xd8",
    "digits without end": '{"protocol": ' + "9" * 100_000 + "}",
    "of another attempt": json.dumps(result(attempt=2)),
    "of another task": json.dumps(result(identity=OTHER)),
    "of another protocol": json.dumps({**result(), "protocol": 2}),
    "protocol true": json.dumps({**result(), "protocol": "1"}),
    "no step": json.dumps({**result(), "step": None}),
    "outputs a list": json.dumps(result(["x"])),
    "an output a text": json.dumps(result({"return_value": "x"})),
    "no artifact": json.dumps(result({"return_value": {"inline": True, "value": 1}})),
    "inline a text": json.dumps(result({"return_value": {"artifact": None, "inline": "yes", "value": 1}})),
    "an artifact that is none": json.dumps(
        result({"return_value": {"artifact": {"mlx": "artifact/1"}, "inline": False}})
    ),
    "metrics a text": json.dumps({**result(), "metrics": "abc"}),
    "outside": json.dumps(result({"return_value": {"artifact": "OUTSIDE", "inline": False}})),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_result_is_one_clear_error(text, place):
    if "OUTSIDE" in str(text):
        elsewhere = place.artifact("x", b"text", uri="file:///etc/passwd")
        text = str(text).replace('"OUTSIDE"', json.dumps(elsewhere))
    place.write("result.json", text)
    with pytest.raises(ResultMissing):
        place.collect()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: "[" * 200_000, id="nested"),
        pytest.param(lambda: '{"a":' * 100_000 + "1" + "}" * 100_000, id="nested and whole"),
    ],
)
def test_a_deeply_nested_result_is_one_clear_error(make, place):
    place.write("result.json", make())
    with pytest.raises(ResultMissing):
        place.collect()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_no_result(value, place):
    """It would go into XCom, and a database that stores JSON refuses it there."""
    place.write("result.json", json.dumps(result()).replace('"metrics": {}', f'"metrics": {{"auc": {value}}}'))
    with pytest.raises(ResultMissing):
        place.collect()


def test_a_job_does_not_decide_how_much_goes_into_xcom(place):
    place.write(
        "result.json",
        json.dumps(result({"return_value": {"artifact": None, "inline": True, "value": "x" * 9_000_000}})),
    )
    with pytest.raises(MlxError):
        place.collect()


def test_a_huge_result_is_not_read(place):
    with place.path("result.json").open("wb") as file:
        file.truncate(5 * 1024**3)
    with pytest.raises(ArtifactError, match="over the limit"):
        place.collect()


def test_of_two_keys_of_one_name_every_reader_takes_the_last(place):
    """So that nothing is checked in one of them and used from the other."""
    good, forged = place.artifact("a", b"text"), place.artifact("b", b"other")
    one = json.dumps({"artifact": good, "inline": False})
    other = json.dumps({"artifact": forged, "inline": False})
    text = json.dumps(result({})).replace(
        '"outputs": {}', f'"outputs": {{"return_value": {one}, "return_value": {other}}}'
    )
    place.write("result.json", text)
    assert place.collect().outputs["return_value"].artifact.uri == forged["uri"]
    gate = Gate((place.root,))
    check_inputs(Arguments(args=[forged], kwargs={}), store=place.store, gate=gate, root=place.root)
    with pytest.raises(InvalidStep):
        check_inputs(Arguments(args=[good], kwargs={}), store=place.store, gate=gate, root=place.root)


# --- references that a result may hold --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "s3://elsewhere/x", "http://127.0.0.1:9/x", "other", "sibling", "above"]
)
def test_an_output_of_its_own_lies_in_its_own_folder(where, place):
    other = place.artifact("a", b"text", OTHER)["uri"]
    attempt = (place.folder / IDENTITY.attempt_folder(1)).as_uri()
    uri = {"other": other, "sibling": f"{attempt}0/outputs/a", "above": f"{attempt}/../attempt-2/outputs/a"}.get(
        where, where
    )
    place.write(
        "result.json",
        json.dumps(result({"return_value": {"artifact": place.artifact("b", b"x", uri=uri), "inline": False}})),
    )
    with pytest.raises(ResultMissing, match="is not one that the runtime writes"):
        place.collect()


@pytest.mark.parametrize("where", ["file:///etc/passwd", "s3://elsewhere/x"])
@pytest.mark.parametrize("inline", [False, True])
def test_a_reference_that_is_handed_on_is_checked_by_who_takes_it(where, inline, place):
    """A step may return another's artifact; a forged one goes into XCom, and no further."""
    forged = place.artifact("b", b"x", OTHER, uri=where)
    output = {"artifact": None, "inline": True, "value": [forged]} if inline else {"artifact": forged, "inline": False}
    place.write("result.json", json.dumps(result({"return_value": output})))
    output = place.collect().outputs["return_value"]
    pushed = output.value if inline else output.artifact.to_wire()
    with pytest.raises(InvalidStep, match="cannot be used"):
        check_inputs(Arguments(args=[pushed], kwargs={}), store=place.store, gate=Gate((place.root,)), root=place.root)
    with pytest.raises(ArtifactError):
        StoredArtifact(ArtifactReference.from_wire(forged), place.store, Gate((place.root,))).load()


def test_a_result_among_a_steps_own_outputs_is_no_ledger(place):
    """A step that writes a folder of the ledger's shape below its outputs makes no producer of it."""
    below = "outputs/runs/default/dag/run/other/-1/attempt-1/outputs/a"
    data = b"forged"
    file = place.write(below, data)
    forged = place.artifact("x", b"", uri=file.as_uri(), sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    inner = result({"return_value": {"artifact": forged, "inline": False}}, identity=OTHER)
    place.write("outputs/runs/default/dag/run/other/-1/attempt-1/result.json", json.dumps(inner))
    place.write("result.json", json.dumps(result()))
    with pytest.raises(InvalidStep, match="says another digest"):
        check_inputs(Arguments(args=[forged], kwargs={}), store=place.store, gate=Gate((place.root,)), root=place.root)


def test_an_output_that_was_replaced_after_the_claim_is_not_read(place, tmp_path):
    reference = place.artifact("a", b"text")
    place.write("result.json", json.dumps(result({"return_value": {"artifact": reference, "inline": False}})))
    taken = place.collect().outputs["return_value"].artifact
    place.ledger().claim(try_number=1, max_tries=1, ti_id="t", now=utc_now(), result_sha256="0" * 64)
    place.write("outputs/a", b"tex7")
    with pytest.raises(ArtifactError, match="has changed since it was written"):
        StoredArtifact(taken, place.store, Gate((place.root,))).load()
    assert list(tmp_path.glob("mlx-artifact-*")) == []


# --- files and links where others write -------------------------------------------------------------------------------


def test_a_result_that_is_a_link_tells_nothing_of_its_target(place, tmp_path):
    secret = tmp_path / "secret"
    for text in ("hunter2-canary", json.dumps({"password": "hunter2-canary"}), json.dumps(["hunter2-canary"])):
        secret.write_text(text)
        link = place.path("result.json")
        link.unlink(missing_ok=True)
        link.symlink_to(secret)
        with pytest.raises(ResultMissing) as refused:
            place.collect()
        assert "hunter2-canary" not in f"{refused.value}{refused.value.__cause__}"


def test_a_log_that_is_a_link_is_replaced_and_not_followed(place, tmp_path):
    """The job's folder holds `log.txt` before Airflow writes it, and the link leads to a file of Airflow's."""
    precious = tmp_path / "authorized_keys"
    precious.write_text("mine")
    for name in ("log.txt", "log_shown.json", "claim-1", "stop_requested"):
        place.path(name).symlink_to(precious)
    ledger = place.ledger()
    (tmp_path / "log").write_text("ssh-rsa forged")
    ledger.write_log(tmp_path / "log")
    ledger.claim(try_number=1, max_tries=1, ti_id="t", now=utc_now(), result_sha256="0" * 64)
    ledger.request_stop(reason="x", now=utc_now())
    from airflow_provider_mlx.jobs.ledger import LogShown

    ledger.write_log_shown(LogShown("c", 1, "me"))
    assert precious.read_text() == "mine"
    assert place.path("log.txt").read_text() == "ssh-rsa forged"


def test_a_claim_in_advance_keeps_nobody_from_collecting(load, execute, airflow_home):
    """Claims are told to people and lineage; what is collected is decided by the backend and the result."""
    claim = airflow_home / "mlx/runs/default/dag/run/step/-1/attempt-1/claim-1"
    body = (
        f"@task.mlx\ndef step():\n    for n in range(1, 4):\n        open({str(claim)!r}[:-1] + str(n), 'w').write('{{}}')\n"
        "    return 'honest'\nstep()"
    )
    assert execute(load(body)["step"]).result == "honest"
    assert claim.read_text() == "{}"


def test_a_step_that_changes_its_own_context_gains_nothing(load, execute, airflow_home):
    """It was read and verified before; and the next attempt of this try refuses what was changed."""
    context = airflow_home / "mlx/runs/default/dag/run/step/-1/attempt-1/context.json"
    body = (
        f"@task.mlx\ndef step(x):\n    from pathlib import Path\n    file = Path({str(context)!r})\n"
        "    file.write_text(file.read_text().replace('41', '42'))\n    return x\nstep(41)"
    )
    assert execute(load(body)["step"]).result == 41
    assert "42" in context.read_text(), "the control: it could"


def test_a_step_that_writes_its_result_itself_wins_over_the_runtime(load, execute, airflow_home):
    """The first word counts, and it is the step's own either way: it could have returned the same."""
    file = airflow_home / "mlx/runs/default/dag/run/step/-1/attempt-1/result.json"
    body = (
        f"@task.mlx\ndef step():\n    import json\n    from pathlib import Path\n    file = Path({str(file)!r})\n"
        "    step = json.loads((file.parent / 'context.json').read_text())['step']\n"
        "    outputs = {'return_value': {'artifact': None, 'inline': True, 'value': 'first'}}\n"
        "    file.write_text(json.dumps({'protocol': 1, 'step': step, 'outputs': outputs, 'metrics': {}}))\n"
        "    return 'second'\nstep()"
    )
    assert execute(load(body)["step"]).result == "first"
    assert json.loads(file.read_text())["outputs"]["return_value"]["value"] == "first"


def test_a_result_that_was_there_before_the_job_is_not_the_jobs(load, execute, airflow_home):
    """A step that ran before, or a bucket's writer, leaves a result where a later step of the run will look for its own."""
    body = "@task.mlx\ndef step():\n    return 'honest'\nstep()"
    forged = result({"return_value": {"artifact": None, "inline": True, "value": "forged"}})
    file = airflow_home / "mlx" / IDENTITY.attempt_folder(1) / "result.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(forged))
    with contextlib.suppress(MlxError):  # a refusal is as good
        assert execute(load(body)["step"]).result == "honest"


def test_a_bundle_that_a_step_replaces_is_refused_by_the_next(load, execute, airflow_home):
    marker = airflow_home / "ran"
    body = (
        f"@task.mlx\ndef step():\n    from pathlib import Path\n    with open({str(marker)!r}, 'a') as file:\n"
        f"        file.write('x')\n    for bundle in Path({str(airflow_home / 'mlx' / 'bundles')!r}).iterdir():\n"
        "        data = bundle.read_bytes()\n        bundle.write_bytes(data + b'#')\nstep()"
    )
    task = load(body)["step"]
    execute(task, run_id="first")
    with pytest.raises(ArtifactError, match="is not the one that was submitted"):
        execute(task, run_id="second")
    assert marker.read_text() == "x"


def test_dates_in_records_are_read_as_dates(place):
    """A handle or a record of nonsense is an error with its place."""
    for name in ("job.json", "handle.json"):
        place.write(name, '{"attempt": 1}')
    with pytest.raises(ResultMissing, match="cannot be read"):
        place.ledger().read_record()


AIRFLOWS_OWN = {
    "a class": {
        "__type": "airflow.sdk.definitions.asset.Asset",
        "__var": {"name": "x", "uri": "s3://x", "group": "g", "extra": {}},
    },
    "a set": {"__type": "set", "__var": [1]},
    "a reserved key": {"__classname__": "airflow.sdk.definitions.asset.Asset", "__version__": 1, "__data__": {}},
    "deep": {"a": [{"__type": "set", "__var": [1]}]},
}


@pytest.mark.parametrize("value", AIRFLOWS_OWN.values(), ids=AIRFLOWS_OWN.keys())
def test_a_jobs_json_makes_no_object_in_airflow(value, load, execute):
    """A downstream task that pulls the result gets what the step returned: a dict, or a reference to it."""
    from types import SimpleNamespace

    from airflow.sdk.bases.xcom import BaseXCom

    ti = execute(load(f"@task.mlx(multiple_outputs=False)\ndef step():\n    return {value!r}\nstep()")["step"])
    stored = BaseXCom.serialize_value(ti.result)
    pulled = BaseXCom.deserialize_value(SimpleNamespace(value=stored))
    assert type(pulled) is dict
    assert pulled == value or pulled.get("mlx") == "artifact/1"
