"""
What a step's outputs look like: read from the artifact root, for whoever may read its DAG.

No event says what is read. The root is that of the stack's name in the deployment's own stack files; the attempt's
folder is computed from Airflow's facts as the worker computes it; and of that folder's ``result.json`` only what lies
in the folder's own ``outputs/`` counts, in a form of :mod:`.forms`, up to :data:`MAX_BYTES`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from fastapi import HTTPException

from airflow_provider_mlx.exceptions import ArtifactError, MlxError, ResultMissing
from airflow_provider_mlx.runtime.protocol import OUTPUTS_FOLDER
from airflow_provider_mlx.runtime.uris import is_within, join, split_uri
from airflow_provider_mlx.runtime.values import ArtifactReference
from airflow_provider_mlx.step.identity import NO_DEPLOYMENT, TaskInstanceIdentity

from .forms import Form, form_of

if TYPE_CHECKING:
    from airflow_provider_mlx.artifacts.store import ObjectStore
    from airflow_provider_mlx.lineage.store.attempts import Attempt
    from airflow_provider_mlx.settings import Settings
    from airflow_provider_mlx.stacks import Artifacts

log = logging.getLogger(__name__)

MAX_BYTES: Final = 2_000_000
"""Of an output; what is larger is no preview."""
MAX_PREVIEWS: Final = 200
SECONDS: Final = 15.0
"""For all of one answer."""
HEADERS: Final = {
    # nothing runs, nothing is sent anywhere, and nothing is asked in the reader's name, wherever the answer is opened
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private",
    "Content-Disposition": "inline",
}
_AT_ONCE: Final = 4
"""Reads of one API server: roots that do not answer hold up no other request, and only so many threads."""
_LOOK_SECONDS: Final = 0.05
"""Between two looks at whether there is room."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Preview:
    """One output that can be shown."""

    name: str
    reference: ArtifactReference
    form: Form

    def as_answer(self, run: str) -> dict[str, Any]:
        """For the list; ``href`` is relative to the API."""
        return {
            "output": self.name, "kind": self.form.kind, "mediaType": self.form.media_type.partition(";")[0],
            "href": f"runs/{quote(run, safe='')}/previews/{quote(self.name, safe='')}", "size": self.reference.size,
        }  # fmt: skip


@dataclass(frozen=True)
class Folder:
    """
    An attempt's folder.

    :param uri: of its outputs.
    :param said: the outputs of its ``result.json``.
    """

    artifacts: Artifacts
    store: ObjectStore
    uri: str
    said: Mapping[str, Any]

    def previews(self) -> Iterator[Preview]:
        """The outputs that can be shown, whatever their size."""
        for name, output in self.said.items():
            reference = _reference(output)
            form = form_of(reference.codec, reference.uri) if reference is not None else None
            if reference is not None and form is not None and _has_address(name) and self._holds(reference.uri):
                yield Preview(name, reference, form)

    def _holds(self, uri: str) -> bool:
        try:
            return is_within(uri, (self.uri,))
        except ValueError:
            return False


class Previews:
    """
    Reads them.

    :param settings: of this deployment.
    """

    def __init__(self, settings: Callable[[], Settings], *, seconds: float = SECONDS) -> None:
        self._settings, self._seconds = settings, seconds
        self._room = threading.Semaphore(_AT_ONCE)

    async def offered(self, attempt: Attempt) -> list[Preview]:
        """What of an attempt can be shown; nothing before it is over, and of one that failed."""
        return await self._in_time(partial(self._offered, attempt))

    async def content(self, attempt: Attempt, output: str) -> tuple[bytes, str]:
        """An output as a browser may have it, and its media type."""
        return await self._in_time(partial(self._content, attempt, output))

    async def _in_time(self, call: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.wait_for(self._in_a_thread(call), self._seconds)
        except TimeoutError:
            raise HTTPException(
                502, f"the artifact root gave no answer within {self._seconds:.0f} s → look whether the API server "
                "reaches it, and try again",
            ) from None  # fmt: skip

    async def _in_a_thread(self, call: Callable[[], Answer]) -> Answer:
        """In a daemon's: a root that hangs must not hold up the end of the API server, as an executor's thread does."""
        while not self._room.acquire(blocking=False):
            await asyncio.sleep(_LOOK_SECONDS)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()

        def tell(act: Callable[[Any], None], value: Any) -> None:
            if not done.done():
                act(value)

        def run() -> None:
            try:
                found = partial(tell, done.set_result, call())
            except Exception as error:
                found = partial(tell, done.set_exception, error)
            finally:
                self._room.release()
            with suppress(RuntimeError):  # nobody waits any more, and the loop is closed
                loop.call_soon_threadsafe(found)

        threading.Thread(target=run, name="mlx-preview", daemon=True).start()
        return await done

    def _offered(self, attempt: Attempt) -> list[Preview]:
        folder = self._folder(attempt)
        found = (one for one in folder.previews() if one.reference.size <= MAX_BYTES) if folder else ()
        return list(found)[:MAX_PREVIEWS]

    def _content(self, attempt: Attempt, output: str) -> tuple[bytes, str]:
        from airflow_provider_mlx.artifacts.store import Gate

        folder = self._folder(attempt)
        one = next((it for it in folder.previews() if it.name == output), None) if folder else None
        if folder is None or one is None:
            raise HTTPException(404, "there is no preview of such an output")
        try:
            uri = Gate((folder.artifacts.root,)).check(one.reference.uri)  # a link of a job's leads nowhere else
        except (ArtifactError, OSError, RuntimeError):  # also a link to itself
            raise HTTPException(404, "there is no preview of such an output") from None
        with _told(folder.artifacts):
            facts = folder.store.facts(uri)
            size = max(facts.size if facts else 0, one.reference.size)
            if size > MAX_BYTES:
                raise HTTPException(413, f"the output has {size:,} bytes, at most {MAX_BYTES:,} are shown → get {uri}")
            data = folder.store.read(uri) if facts else None
        if data is None:
            raise HTTPException(404, "the output is not there any more → clear the task to have it again")
        if hashlib.sha256(data).hexdigest() != one.reference.sha256:
            raise HTTPException(404, "the output is not what the step wrote: somebody has changed it → clear the task")
        return one.form.content(data), one.form.media_type

    def _folder(self, attempt: Attempt) -> Folder | None:
        from airflow_provider_mlx.artifacts.credentials import open_store
        from airflow_provider_mlx.jobs.ledger import Ledger

        settings, artifacts = self._artifacts(attempt.stack)
        identity = TaskInstanceIdentity(
            settings.deployment_id or NO_DEPLOYMENT, attempt.dag, attempt.dag_run, attempt.task, attempt.map_index
        )
        with _told(artifacts, opening=True):
            store = open_store(artifacts.root, artifacts.conn_id)
        with _told(artifacts):
            ledger = Ledger(store, artifacts.root, identity).attempt(attempt.number)
            result = ledger.read_result()
        said = (result or {}).get("outputs")
        return Folder(artifacts, store, join(ledger.uri, OUTPUTS_FOLDER), said) if isinstance(said, Mapping) else None

    def _artifacts(self, stack: str) -> tuple[Settings, Artifacts]:
        """Where a stack of the deployment keeps its artifacts; a DAG bundle's own stacks are not looked at."""
        from airflow_provider_mlx.backends.registry import InstalledSettings
        from airflow_provider_mlx.stacks import load_stacks

        try:
            settings = self._settings()
            stacks = load_stacks(
                deployment_files=settings.stacks_files, dag_file=None, bundle_root=None, bundle_stacks="deny",
                backend_settings=InstalledSettings(), local_root=settings.local_root.absolute().as_uri(),
            )  # fmt: skip
        except MlxError as error:
            log.warning("mlx: no previews: %s", error)
            raise HTTPException(
                502, "the API server cannot read this deployment's stacks → give it the files of `[mlx] stacks_files`; "
                "its log says what is wrong",
            ) from error  # fmt: skip
        found = stacks.stacks.get(stack)
        if found is None or found.incomplete:
            raise HTTPException(
                404, f"the step ran on the stack `{stack}`, and previews are read from artifact roots of the "
                "deployment's own stack files only, where it is not → define it in a file of `[mlx] stacks_files`",
            )  # fmt: skip
        return settings, found.artifacts


@contextmanager
def _told(artifacts: Artifacts, *, opening: bool = False) -> Iterator[None]:
    """
    What keeps the API server from reading, with the way out.

    :param opening: nothing was asked of the store so far: what is missing is missing here.
    """
    try:
        yield
    except HTTPException:
        raise
    except (ArtifactError, ResultMissing) as error:
        raise HTTPException(502, f"{error.what} → {error.remedy or 'look at who writes there'}") from None
    except Exception as error:  # an official provider's hook raises what it likes, and may hold a secret
        why = error.what if isinstance(error, MlxError) else f"the store cannot be opened: {type(error).__name__}"
        first = f"{error.remedy}; " if opening and isinstance(error, MlxError) and error.remedy else ""
        log.warning("mlx: no previews of %s: %s", artifacts.root, why)
        raise HTTPException(502, f"{why} → {first}{_remedy(artifacts)}") from None


def _remedy(artifacts: Artifacts) -> str:
    runs = join(artifacts.root, "runs")
    if split_uri(artifacts.root)[0] == "file":
        return f"previews are read by the API server: let it read {runs}"
    by = f"the connection `{artifacts.conn_id}`" if artifacts.conn_id else "the credentials of its environment"
    return f"previews are read by the API server, with {by}: these must be there, and may read objects below {runs}"


def _reference(output: Any) -> ArtifactReference | None:
    artifact = output.get("artifact") if isinstance(output, Mapping) else None
    try:
        return ArtifactReference.from_wire(artifact) if isinstance(artifact, Mapping) else None
    except ValueError:
        return None


def _has_address(name: str) -> bool:
    """Browsers leave out ``..`` of an address, however it is written."""
    return name.isprintable() and name not in ("", ".", "..")
