"""
The app in Airflow's API server, at ``/mlx/lineage``.

===========================================================  =========  ================================================
route                                                        who        what
===========================================================  =========  ================================================
``POST /api/v1/lineage``, ``POST /api/v1/lineage/batch``     a token    takes an event of OpenLineage, or a list
``GET /api/v1/graph?node=…&up=…&down=…``                     a user     what something came from, and what came from it
``GET /api/v1/at?dag_id=…&run_id=…&task_id=…&map_index=…``   a user     what a DAG run or a task instance read and wrote
``GET /api/v1/search?q=…``                                   a user     jobs and datasets by a part of their name
``GET /api/v1/steps?state=…&backend=…&dag_id=…&text=…``      a user     our steps, the latest begun first
``GET /api/v1/nodes/{key}/runs``                             a user     a job's runs
``GET /api/v1/nodes/{key}/versions``                         a user     a dataset's versions, the latest first
``GET /api/v1/nodes/{key}/versions/{version}/origin``        a user     how one version of a dataset came to be
``GET /api/v1/runs/{run}/previews``                          a user     which outputs of a step's run can be shown
``GET /api/v1/runs/{run}/previews/{output}``                 a user     one of them, for a frame that runs nothing
``GET /api/v1/about``                                        a user     what the store is, and how much it holds
===========================================================  =========  ================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from airflow_provider_mlx.lineage.store.attempts import Attempt
from airflow_provider_mlx.lineage.store.graph import neighbourhood, origin, search
from airflow_provider_mlx.lineage.store.opening import Store
from airflow_provider_mlx.lineage.store.rows import Source
from airflow_provider_mlx.lineage.store.runs import Wanted, part_of, runs_of, versions_of
from airflow_provider_mlx.settings import read_settings

from .housekeeping import Housekeeping
from .previews import HEADERS, Previews
from .receiving import Limiter, batch_answer, documents_in, read_body, source_of
from .visibility import Visible

MAX_HOPS: Final = 50
MAX_FOUND: Final = 50
MAX_STEPS: Final = 500

routes: Final = APIRouter(prefix="/api/v1")


def make_app(
    store: Store, tokens: Mapping[str, Source], *, user: Callable[..., Any], dags_of: Callable[[Any], set[str]],
    retention_days: int = 0, limiter: Limiter | None = None, previews: Previews | None = None,
) -> FastAPI:  # fmt: skip
    """
    :param tokens: who may send what.
    :param user: the dependency that gives who asks, or answers 401.
    :param dags_of: the DAGs that a user may read.
    :param retention_days: 0: for ever.
    :param previews: reads what steps have written; by default as this Airflow's settings say.
    """
    app = FastAPI(title="MLX lineage", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store, app.state.tokens, app.state.dags_of = store, tokens, dags_of
    app.state.retention_days, app.state.limiter = retention_days, limiter or Limiter()
    app.state.previews = previews or Previews(read_settings)
    app.state.housekeeping = Housekeeping(store, retention_days)
    app.dependency_overrides[current_user] = user
    app.include_router(routes)
    return app


def current_user() -> Any:
    """Who asks; each app says how that is known."""
    raise NotImplementedError


def sender(request: Request, authorization: Annotated[str, Header()] = "") -> Source:
    """Who sends, by the token."""
    return source_of(authorization, request.app.state.tokens)


def view_of(request: Request, user: Annotated[Any, Depends(current_user)]) -> Iterator[Visible]:
    """What they see, as long as the request lasts."""
    request.app.state.housekeeping.nudge()
    with request.app.state.store.reading() as connection:
        yield Visible(connection, request.app.state.dags_of(user))


def attempt_asked(request: Request, run: str, user: Annotated[Any, Depends(current_user)]) -> Attempt | None:
    """The attempt that a visible run is; the store is left before the artifact root is asked, which may take long."""
    with request.app.state.store.reading() as connection:
        view = Visible(connection, request.app.state.dags_of(user))
        if not view.sees_run(run):
            raise HTTPException(404, "there is no such run")
        return view.attempt(run)


View = Annotated[Visible, Depends(view_of)]
Asked = Annotated[Attempt | None, Depends(attempt_asked)]
Hops = Annotated[int, Query(ge=0, le=MAX_HOPS)]
Key = Annotated[str, Query(min_length=1, max_length=64)]
Text = Annotated[str, Query(min_length=1, max_length=250)]


@routes.post("/lineage")
@routes.post("/lineage/batch")
async def take_events(request: Request, source: Annotated[Source, Depends(sender)]) -> JSONResponse:
    """An event, or a list of them."""
    documents, is_list = documents_in(await read_body(request))
    request.app.state.limiter.take(source.name, len(documents))
    report = await run_in_threadpool(request.app.state.store.ingest, documents, source)
    request.app.state.housekeeping.nudge()
    if not is_list and report.refused:
        raise HTTPException(422, report.refused[0][1])
    status, answer = batch_answer(report)
    return JSONResponse(answer, status if is_list else 201)


@routes.get("/graph")
def show_graph(view: View, node: Key, up: Hops = 6, down: Hops = 6) -> dict[str, Any]:
    """What a node came from, and what came from it."""
    _require(view, node)
    return asdict(view.graph(neighbourhood(view.connection, node, up=up, down=down)))


@routes.get("/at")
def show_run(
    view: View, dag_id: Text, run_id: Text, task_id: Text | None = None,
    map_index: Annotated[int | None, Query(ge=-1, lt=2**31)] = None,
) -> dict[str, Any]:  # fmt: skip
    """What a DAG run, or a task instance of it, has read, run and written."""
    found = part_of(view.connection, dag_id, run_id, task=task_id, map_index=map_index) if view.reads(dag_id) else None
    if found is None:
        raise HTTPException(404, "nothing is known of this run")
    return asdict(view.part(found))


@routes.get("/search")
def find_nodes(view: View, q: Annotated[str, Query(min_length=1, max_length=200)]) -> list[dict[str, Any]]:
    """Nodes whose name holds a text."""
    return [asdict(node) for node in view.nodes(search(view.connection, q)) if node.name][:MAX_FOUND]


@routes.get("/steps")
def list_steps(
    view: View, state: Text | None = None, backend: Text | None = None, dag_id: Text | None = None,
    run_id: Text | None = None, text: Text | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_STEPS)] = 100, before: Text | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Our steps, the latest begun first."""
    if run_id is not None and dag_id is None:
        raise HTTPException(422, "a run's id is unique within its DAG only → say `dag_id` too")
    began, _, run = (before or "").partition("~")
    place = (began, run) if before else None
    found, after = view.steps(Wanted(state, backend, dag_id, run_id, text), before=place, limit=limit)
    return {"steps": found, "next": "~".join(after) if after else None}


@routes.get("/nodes/{key}/runs")
def show_runs(view: View, key: str) -> list[dict[str, Any]]:
    """A job's runs."""
    _require(view, key)
    return view.runs(runs_of(view.connection, key))


@routes.get("/nodes/{key}/versions")
def show_versions(view: View, key: str) -> list[dict[str, Any]]:
    """A dataset's versions."""
    _require(view, key)
    return view.versions(versions_of(view.connection, key))


@routes.get("/nodes/{key}/versions/{version:path}/origin")
def show_origin(view: View, key: str, version: str) -> list[dict[str, Any]]:
    """How a version of a dataset came to be."""
    _require(view, key)
    return [asdict(one) for one in view.origins(origin(view.connection, key, version))]


@routes.get("/runs/{run}/previews")
async def list_previews(request: Request, run: str, attempt: Asked) -> list[dict[str, Any]]:
    """Which outputs of a run can be shown; none of what is no step."""
    found = await request.app.state.previews.offered(attempt) if attempt else []
    return [one.as_answer(run) for one in found]


@routes.get("/runs/{run}/previews/{output:path}")
async def show_preview(request: Request, output: str, attempt: Asked) -> Response:
    """One output."""
    if attempt is None:
        raise HTTPException(404, "there is no preview of such an output")
    content, media_type = await request.app.state.previews.content(attempt, output)
    return Response(content, media_type=media_type, headers=HEADERS)


@routes.get("/about")
def show_about(request: Request, view: View) -> dict[str, Any]:
    """What the store is, and how much it holds."""
    state = request.app.state
    return {
        "database": state.store.database, "events": state.store.count(),
        "retention_days": state.retention_days or None, "version": version("airflow-provider-mlx"),
        "previews": True,
    }  # fmt: skip


def _require(view: Visible, key: str) -> None:
    """The same answer for what is not there and for what must not be seen."""
    if not view.sees(key):
        raise HTTPException(404, "there is no such node")
