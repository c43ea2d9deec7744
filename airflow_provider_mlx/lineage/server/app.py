"""
The app in Airflow's API server, at ``/mlx/lineage``.

===========================================================  =========  ================================================
route                                                        who        what
===========================================================  =========  ================================================
``POST /api/v1/lineage``, ``POST /api/v1/lineage/batch``     a token    takes an event of OpenLineage, or a list
``GET /api/v1/graph?node=…&up=…&down=…``                     a user     what something came from, and what came from it
``GET /api/v1/search?q=…``                                   a user     jobs and datasets by a part of their name
``GET /api/v1/nodes/{key}/runs``                             a user     a job's runs
``GET /api/v1/nodes/{key}/versions/{version}/origin``        a user     how one version of a dataset came to be
===========================================================  =========  ================================================
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool

from airflow_provider_mlx.lineage.store.graph import neighbourhood, origin, runs_of, search
from airflow_provider_mlx.lineage.store.opening import Store
from airflow_provider_mlx.lineage.store.writing import Source

from .visibility import Visible

MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes of one request; an event of ours has 250,000 at most."""
MAX_STEPS: Final = 50


routes: Final = APIRouter(prefix="/api/v1")


def make_app(
    store: Store, tokens: Mapping[str, Source], *, user: Callable[..., Any], dags_of: Callable[[Any], set[str]]
) -> FastAPI:
    """
    :param tokens: who may send what.
    :param user: the dependency that gives who asks, or answers 401.
    :param dags_of: the DAGs that a user may read.
    """
    app = FastAPI(title="MLX lineage", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store, app.state.tokens, app.state.dags_of = store, tokens, dags_of
    app.dependency_overrides[current_user] = user
    app.include_router(routes)
    return app


def current_user() -> Any:
    """Who asks; each app says how that is known."""
    raise NotImplementedError


def sender(request: Request, authorization: Annotated[str, Header()] = "") -> Source:
    """Who sends, by the token."""
    return _source(authorization, request.app.state.tokens)


def view_of(request: Request, user: Annotated[Any, Depends(current_user)]) -> Iterator[Visible]:
    """What they see, as long as the request lasts."""
    with request.app.state.store.reading() as connection:
        yield Visible(connection, request.app.state.dags_of(user))


View = Annotated[Visible, Depends(view_of)]
Steps = Annotated[int, Query(ge=0, le=MAX_STEPS)]


@routes.post("/lineage", status_code=201)
@routes.post("/lineage/batch", status_code=201)
async def take_events(request: Request, source: Annotated[Source, Depends(sender)]) -> dict[str, Any]:
    """An event, or a list of them."""
    documents = _documents(await _body(request))
    report = await run_in_threadpool(request.app.state.store.ingest, documents, source)
    if report.refused and len(documents) == 1:
        raise HTTPException(422, report.refused[0][1])
    return asdict(report)


@routes.get("/graph")
def show_graph(view: View, node: str, up: Steps = 6, down: Steps = 6) -> dict[str, Any]:
    """What a node came from, and what came from it."""
    _require(view, node)
    return asdict(view.graph(neighbourhood(view.connection, node, up=up, down=down)))


@routes.get("/search")
def find_nodes(view: View, q: Annotated[str, Query(min_length=1, max_length=200)]) -> list[dict[str, Any]]:
    """Nodes whose name holds a text."""
    return [asdict(node) for node in view.nodes(search(view.connection, q)) if node.name]


@routes.get("/nodes/{key}/runs")
def show_runs(view: View, key: str) -> list[dict[str, Any]]:
    """A job's runs."""
    _require(view, key)
    return view.runs(runs_of(view.connection, key))


@routes.get("/nodes/{key}/versions/{version}/origin")
def show_origin(view: View, key: str, version: str) -> list[dict[str, Any]]:
    """How a version of a dataset came to be."""
    _require(view, key)
    return [asdict(one) for one in view.origins(origin(view.connection, key, version))]


def _source(authorization: str, tokens: Mapping[str, Source]) -> Source:
    word, _, given = authorization.partition(" ")
    for token, source in tokens.items():
        if word.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
            return source
    raise HTTPException(401, "no such token", headers={"WWW-Authenticate": "Bearer"})


async def _body(request: Request) -> bytes:
    """The request's body, read no further than it may be long."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > MAX_BODY:
            raise HTTPException(413, f"a request has at most {MAX_BODY} bytes")
    return bytes(found)


def _documents(body: bytes) -> list[Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is no JSON") from None
    return given if isinstance(given, list) else [given]


def _require(view: Visible, key: str) -> None:
    """The same answer for what is not there and for what must not be seen."""
    if not view.sees(key):
        raise HTTPException(404, "there is no such node")
