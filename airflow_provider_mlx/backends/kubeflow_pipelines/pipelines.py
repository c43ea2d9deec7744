"""Registered pipelines, their versions, and recurring runs: the other half of the client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .answers import Conflict, Missing, Refused
from .client import KubeflowPipelinesClient
from .filters import equals, filter_text
from .times import wire_time

SHOWN: Final = 10
"""So many versions a message names."""


class PipelineRegistry:
    """The pipelines of one namespace."""

    def __init__(self, client: KubeflowPipelinesClient) -> None:
        self._client = client
        self._http = client.transport

    def find_pipeline(self, name: str) -> dict[str, Any] | None:
        """A pipeline by its name, which is unique in its namespace."""
        try:
            return self._http.get(f"/pipelines/names/{quote(name, safe='')}", namespace=self._client.namespace)
        except Missing:
            return None

    def versions(self, pipeline_id: str) -> Iterator[dict[str, Any]]:
        """Versions of a pipeline, the newest first."""
        token: str | None = None
        while True:
            answer = self._http.get(
                f"/pipelines/{pipeline_id}/versions", page_size=20, sort_by="created_at desc", page_token=token
            )
            yield from answer.get("pipeline_versions") or ()
            token = answer.get("next_page_token")
            if not token:
                return

    def find_version(self, pipeline_id: str, name: str) -> dict[str, Any] | None:
        """A version of a pipeline by its name."""
        answer = self._http.get(f"/pipelines/{pipeline_id}/versions", filter=filter_text([equals("name", name)]))
        found = [
            one for one in answer.get("pipeline_versions") or () if name in (one.get("name"), one.get("display_name"))
        ]
        return found[0] if found else None

    def require_version(self, name: str, wanted: str = "") -> dict[str, Any]:
        """
        A version of a registered pipeline.

        :param wanted: its name; empty for the newest.
        :raises InvalidStep: there is none.
        """
        found = self.find_pipeline(name)
        if found is None:
            where = f" in `{self._client.namespace}`" if self._client.namespace else ""
            what, remedy = "the server does not know it", "check its name, the namespace and the server"
            raise InvalidStep(f"there is no pipeline `{name}`{where}", [Problem(what, remedy, "pipeline_name")])
        pipeline_id = str(found["pipeline_id"])
        version = self.find_version(pipeline_id, wanted) if wanted else next(self.versions(pipeline_id), None)
        if version is None:
            known = islice(self.versions(pipeline_id), SHOWN)
            names = ", ".join(str(one.get("display_name") or one.get("name")) for one in known)
            remedy = f"it has {names}" if names else "it has none yet: upload one"
            problem = Problem("the pipeline has no such version", remedy, "version")
            raise InvalidStep(f"the pipeline `{name}` has no version `{wanted or 'latest'}`", [problem])
        return version

    def ensure_version(self, pipeline: str, version: str, content: str, *, description: str = "") -> dict[str, Any]:
        """
        A version of a pipeline that holds this IR; pipeline and version are made where they are missing.

        :param version: a name made from the content, so that uploading it again finds it: it is unique in a pipeline.
        :param content: YAML; a platform spec is its second document.
        """
        found = self.find_pipeline(pipeline) or self._make_pipeline(pipeline, description)
        pipeline_id = str(found["pipeline_id"])
        there = self.find_version(pipeline_id, version)
        if there is not None:
            return there
        try:
            return self._http.upload(
                "/pipelines/upload_version", f"{version}.yaml", content.encode(), name=version, pipelineid=pipeline_id,
                description=description,
            )  # fmt: skip
        except Conflict:
            there = self.find_version(pipeline_id, version)
            if there is None:
                raise
            return there

    def delete_pipeline(self, pipeline_id: str) -> None:
        """Remove a pipeline with all its versions; absent is no error."""
        try:
            self._http.delete(f"/pipelines/{pipeline_id}", cascade="true")
        except Missing:
            return

    def _make_pipeline(self, name: str, description: str) -> dict[str, Any]:
        """
        A pipeline without versions: an upload would make a first one under the pipeline's own name.

        Newer servers want ``name``; older ones know ``display_name`` alone, and refuse a field that they do not know.
        """
        body = {"display_name": name, "description": description, "namespace": self._client.namespace}
        body = {key: value for key, value in body.items() if value}
        try:
            try:
                return self._http.post("/pipelines", {**body, "name": name})
            except Refused as refused:
                if refused.code != 400:
                    raise
                return self._http.post("/pipelines", body)
        except Conflict:
            found = self.find_pipeline(name)
            if found is None:
                raise
            return found


class RecurringRuns:
    """The schedules of one namespace: runs that the server itself starts."""

    def __init__(self, client: KubeflowPipelinesClient) -> None:
        self._client = client
        self._http = client.transport

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """
        Make one. The server gives the id, so that this is not repeated when the answer is lost: find it by its name.

        :param body: ``v2beta1RecurringRun`` of the published swagger.
        """
        return self._http.post("/recurringruns", body)

    def find(self, name: str, experiment_id: str = "") -> dict[str, Any] | None:
        """The first of this name: names may repeat."""
        return next((one for one in self.list(experiment_id) if one.get("display_name") == name), None)

    def list(self, experiment_id: str = "") -> Iterator[dict[str, Any]]:
        """All of them."""
        token: str | None = None
        while True:
            answer = self._http.get(
                "/recurringruns", namespace=self._client.namespace, experiment_id=experiment_id, page_size=20,
                page_token=token,
            )  # fmt: skip
            yield from answer.get("recurringRuns") or answer.get("recurring_runs") or ()
            token = answer.get("next_page_token")
            if not token:
                return

    def enable(self, recurring_run_id: str) -> None:
        """Let it start runs; one that does so already is no error."""
        self._http.post(f"/recurringruns/{recurring_run_id}:enable", again=True)

    def disable(self, recurring_run_id: str) -> None:
        """Have it start no more runs; what runs goes on."""
        self._http.post(f"/recurringruns/{recurring_run_id}:disable", again=True)

    def delete(self, recurring_run_id: str) -> None:
        """Remove it; absent is no error."""
        try:
            self._http.delete(f"/recurringruns/{recurring_run_id}")
        except Missing:
            return


def cron_trigger(cron: str, *, start: datetime | None = None, end: datetime | None = None) -> dict[str, Any]:
    """
    A trigger of a recurring run.

    :param cron: six fields, seconds in front: of five, the server takes the first for the seconds (robfig/cron 1.2).
    """
    return {"cron_schedule": {"cron": cron, **_times(start, end)}}


def periodic_trigger(
    interval: timedelta, *, start: datetime | None = None, end: datetime | None = None
) -> dict[str, Any]:
    """A trigger every so often; whole seconds, which this API writes as text."""
    return {"periodic_schedule": {"interval_second": str(int(interval.total_seconds())), **_times(start, end)}}


def _times(start: datetime | None, end: datetime | None) -> dict[str, str]:
    given = {"start_time": start, "end_time": end}
    return {key: wire_time(value) for key, value in given.items() if value is not None}
