"""What a poisoned XCom refers to is not asked for: one table of URIs through every place that reads one."""

from __future__ import annotations

import hashlib
import socket
import threading
from types import SimpleNamespace

import pytest

from airflow_provider_mlx.artifacts.artifact import StoredArtifact
from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.backends.local.backend import _staged
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep, JobMisconfigured
from airflow_provider_mlx.jobs.collection import _output
from airflow_provider_mlx.jobs.inputs import check_inputs
from airflow_provider_mlx.jobs.ledger import AttemptLedger
from airflow_provider_mlx.lineage.names import canonical
from airflow_provider_mlx.runtime import refusals
from airflow_provider_mlx.runtime.addresses import allowed_uri, file_path
from airflow_provider_mlx.runtime.addresses import split_uri as split_in_job
from airflow_provider_mlx.runtime.inputs import Inputs
from airflow_provider_mlx.runtime.protocol import Arguments
from airflow_provider_mlx.runtime.store import Store
from airflow_provider_mlx.runtime.uris import is_within, normalize, split_uri
from airflow_provider_mlx.runtime.values import ArtifactReference, Dataset
from airflow_provider_mlx.stacks.model import ArtifactsModel
from airflow_provider_mlx.step.identity import TaskInstanceIdentity
from tests.security.uris import BAD, IN, OUT, PREFIXES, SPELLED, TABLE

SHA = "0" * 64
IDENTITY = TaskInstanceIdentity("d", "dag", "run", "task")


class Trap:
    """A server on this host that counts who connects to it."""

    def __init__(self) -> None:
        self.hits = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.where = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.hits += 1
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()

    def close(self) -> None:
        self._server.close()


class WatchedStore(ObjectStore):
    """A store whose every request would go to the trap; what it opens is noted."""

    def __init__(self, trap: Trap) -> None:
        keys = {"access_key_id": "a", "secret_access_key": "b", "token": None, "expires_at": None}
        where = {"endpoint": f"http://{trap.where}", "region": "x", "virtual_hosted_style_request": False}
        super().__init__(where, lambda: keys)
        self.opened: list[str] = []

    def _open(self, uri):
        self.opened.append(uri)
        return super()._open(uri)


@pytest.fixture(scope="module")
def trap():
    made = Trap()
    yield made
    made.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("references") / "root"
    folder.mkdir()
    (folder.parent / "secret").write_text("out of bounds")
    (folder.parent / "root-2").mkdir()
    (folder.parent / "root-2" / "x").write_text("out of bounds")
    (folder / "x").write_text("1")
    (folder / "a b").write_text("1")
    return folder


@pytest.fixture
def store(trap):
    return WatchedStore(trap)


def filled(text: str, root, trap) -> str:
    return text.replace("{root}", str(root)).replace("{trap}", trap.where)


@pytest.fixture
def prefixes(root, trap):
    return [filled(prefix, root, trap) for prefix in PREFIXES]


def reference(uri: str, **facts) -> ArtifactReference:
    given = {"uri": uri, "sha256": SHA, "size": 1, "codec": "text", "type": "str", "name": "n", "version": "1"}
    return ArtifactReference(**{**given, **facts})


def arguments(*values) -> Arguments:
    return Arguments(args=list(values), kwargs={})


# --- the places: each says whether the URI may be read ------------------------------------------------------------------


def gate(uri, prefixes, store):
    return Gate(tuple(prefixes)).check(uri)


def input_dataset(uri, prefixes, store):
    return check_inputs(arguments(Dataset(uri).to_wire()), store=store, gate=Gate(tuple(prefixes)), root=prefixes[0])


def input_in_a_list(uri, prefixes, store):
    wire = {"deep": [{"er": Dataset(uri).to_wire()}]}
    return check_inputs(arguments(wire), store=store, gate=Gate(tuple(prefixes)), root=prefixes[0])


def spelling(uri, prefixes, store):
    if not is_within(uri, prefixes):
        raise ArtifactError("out")


def in_the_job(uri, prefixes, store):
    return allowed_uri(uri, prefixes)


AIRFLOW = (gate, input_dataset, input_in_a_list, spelling)
REFUSALS = (ArtifactError, refusals.ArtifactError, InvalidStep, ValueError)


def test_there_are_sixty():
    assert len({uri for uri, _ in TABLE}) == len(TABLE) >= 60


@pytest.mark.parametrize("place", [*AIRFLOW, in_the_job], ids=lambda place: place.__name__)
def test_every_place_comes_to_the_tables_verdict(place, root, trap, prefixes, store):
    wrong = []
    for text, verdict in TABLE:
        uri = filled(text, root, trap)
        may = verdict == IN or (verdict == SPELLED and place is not in_the_job)
        try:
            place(uri, prefixes, store)
        except REFUSALS:
            if may:
                wrong.append(f"{text!r} was refused")
        else:
            if not may:
                wrong.append(f"{text!r} was let through")
    assert wrong == []
    assert store.opened == [], "a verdict asks nobody"
    assert trap.hits == 0


@pytest.mark.parametrize(
    ("text", "verdict"), [row for row in TABLE if row[1] in (OUT, BAD)], ids=lambda text: repr(text)
)
def test_no_request_leaves_for_what_is_refused(text, verdict, root, trap, prefixes, store, tmp_path):
    uri, allowed = filled(text, root, trap), Gate(tuple(prefixes))
    found = reference(uri)
    with pytest.raises(ArtifactError):
        StoredArtifact(found, store, allowed).load()
    with pytest.raises(ArtifactError):
        StoredArtifact(found, store, allowed).path(tmp_path / "to")
    with pytest.raises(InvalidStep):
        check_inputs(arguments([found.to_wire()]), store=store, gate=allowed, root=prefixes[0])
    options = {"s3": {"endpoint_url": f"http://{trap.where}"}}
    inputs = Inputs(Store({"mounts": [], "options": options}), list(prefixes), tmp_path / "in")  # type: ignore[typeddict-item]
    with pytest.raises(refusals.ArtifactError):
        inputs.resolve(found)
    ledger = AttemptLedger(store, prefixes[0], IDENTITY, 1)
    own = found.to_wire() | {
        "producer": {
            "map_index": -1,
            **{k: getattr(IDENTITY, k) for k in ("deployment_id", "dag_id", "run_id", "task_id")},
        }
    }
    with pytest.raises(ValueError, match=r"."):
        _output("n", {"artifact": own, "inline": False}, ledger)
    request = {"outputs_uri": "s3://bucket/root/runs/x"}
    if not uri.lower().startswith("file:"):
        with pytest.raises((ValueError, JobMisconfigured)):
            _staged(uri, request, tmp_path)
    assert store.opened == []
    assert trap.hits == 0


def test_the_trap_and_the_watch_do_see_a_request(root, prefixes, tmp_path, monkeypatch):
    """The control: what is allowed is asked for, by both clients, and on the file system."""
    own = Trap()
    store = WatchedStore(own)
    with pytest.raises(ArtifactError, match="there is no object"):
        StoredArtifact(reference("s3://bucket/root/x"), store, Gate(tuple(prefixes))).load()
    assert own.hits == 1
    assert store.opened == ["s3://bucket/root/x"]
    text = (root / "x").as_uri()
    known = reference(text, sha256=hashlib.sha256(b"1").hexdigest())
    assert StoredArtifact(known, store, Gate(tuple(prefixes))).load() == "1"
    options = {"s3": {"endpoint_url": f"http://{own.where}", "region": "x"}}
    inputs = Inputs(Store({"mounts": [], "options": options}), list(prefixes), tmp_path)  # type: ignore[typeddict-item]
    before = own.hits
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(Exception, match=r"."):
        inputs.resolve(reference("s3://bucket/root/x"))
    assert own.hits > before
    own.close()


@pytest.mark.parametrize(
    "take_apart", [split_uri, normalize, split_in_job, file_path, ArtifactsModel],
    ids=["uris.split_uri", "uris.normalize", "addresses.split_uri", "addresses.file_path", "stack file"],
)  # fmt: skip
def test_what_takes_a_uri_apart_refuses_what_is_none(take_apart, root, trap):
    """In the job, in Airflow and in a stack file: the same rules."""
    wrong = []
    for text, verdict in TABLE:
        uri = filled(text, root, trap)
        try:
            ArtifactsModel(root=uri) if take_apart is ArtifactsModel else take_apart(uri)
        except (ValueError, refusals.ArtifactError):
            # a stack file writes its schemes in lower case
            if verdict != BAD and not (take_apart is ArtifactsModel and uri.startswith("S3:")):
                wrong.append(text)
        else:
            if verdict == BAD:
                wrong.append(text)
    assert wrong == []


def test_lineage_names_places_and_repeats_no_login(root, trap):
    """A name is no request; what it must not do is to publish a login."""
    for text, _ in TABLE:
        try:
            said = canonical(filled(text, root, trap))
        except ValueError as error:
            said = error
        assert "user:key" not in str(said), text
    assert trap.hits == 0


@pytest.mark.parametrize("link", ["file", "folder", "chain", "absolute", "prefix"])
def test_a_link_below_the_root_that_leads_out_is_not_followed(link, root, tmp_path, trap):
    here = tmp_path / "root"
    here.mkdir()
    (tmp_path / "secret").write_text("out of bounds")
    (here / "inside").write_text("in")
    (here / "to-inside").symlink_to("inside")
    target = {
        "file": "../secret",
        "folder": "..",
        "chain": "next",
        "absolute": str(tmp_path / "secret"),
        "prefix": "../root-2",
    }[link]
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root-2" / "secret").write_text("out of bounds")
    (here / "next").symlink_to("../secret")
    (here / "link").symlink_to(target)
    uri = (here / "link").as_uri() + ("/secret" if link in ("folder", "prefix") else "")
    store = WatchedStore(trap)
    allowed = Gate((here.as_uri(),))
    with pytest.raises(ArtifactError, match="lies neither under"):
        StoredArtifact(reference(uri), store, allowed).load()
    with pytest.raises(InvalidStep):
        check_inputs(arguments(Dataset(uri).to_wire()), store=store, gate=allowed, root=here.as_uri())
    with pytest.raises(refusals.ArtifactError, match="outside"):
        allowed_uri(uri, [here.as_uri()])
    assert store.opened == []
    inside = (here / "to-inside").as_uri()
    assert allowed.check(inside) == inside == allowed_uri(inside, [here.as_uri()])


def test_a_root_that_is_a_link_itself_may_be_read(tmp_path):
    """Volumes are often mounted by way of one."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    uri = (tmp_path / "root" / "x").as_uri()
    assert Gate(((tmp_path / "root").as_uri(),)).check(uri) == uri == allowed_uri(uri, [(tmp_path / "root").as_uri()])


@pytest.mark.parametrize(
    "uri", ["http://{trap}/x", "s3://{trap}/x", "s3://root@{trap}/x", "file:///etc/passwd", "file://{trap}/x"]
)
@pytest.mark.parametrize("kind", ["artifact", "dataset"])
def test_a_poisoned_xcom_submits_nothing_and_asks_nobody(uri, kind, trap, load, execute, airflow_home):
    where = filled(uri, "", trap)
    wire = reference(where).to_wire() if kind == "artifact" else Dataset(where).to_wire()
    task = load(f"@task.mlx\ndef step(x):\n    return 1\nstep({wire!r})")["step"]
    with pytest.raises(InvalidStep, match="the step's inputs cannot be used"):
        execute(task)
    assert trap.hits == 0
    assert not list(airflow_home.rglob("attempt-*"))


def test_an_artifact_in_a_plain_task_asks_nobody(trap, airflow_home, monkeypatch):
    from airflow_provider_mlx.operators import surroundings
    from airflow_provider_mlx.operators.artifact import Artifact

    store = WatchedStore(trap)
    monkeypatch.setattr(surroundings, "open_store", lambda root, conn_id: store)
    monkeypatch.setattr(surroundings, "current_context", lambda: {"ti": SimpleNamespace()})
    for text, verdict in TABLE:
        if verdict in (OUT, BAD):
            with pytest.raises(ArtifactError):
                Artifact.of(reference(filled(text, airflow_home / "elsewhere", trap)).to_wire()).load()
    assert store.opened == []
    assert trap.hits == 0
