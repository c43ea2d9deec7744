"""The artifacts that a step's arguments refer to: read where the gate allows, believed if the ledger agrees."""

from __future__ import annotations

import json
import re

from airflow_provider_mlx.artifacts.store import Gate, ObjectStore
from airflow_provider_mlx.exceptions import ArtifactError, InvalidStep, Problem
from airflow_provider_mlx.runtime.protocol import RESULT_FILE, Arguments
from airflow_provider_mlx.runtime.uris import join, normalize
from airflow_provider_mlx.runtime.values import ArtifactReference, datasets_in
from airflow_provider_mlx.runtime.wire import decode, references

_RESULT_LIMIT = 16 * 1024 * 1024

_OUTPUT = re.compile(r"(runs(?:/[^/]+){5}/(?:attempt-\d+|saved-\d+/[^/]+))/outputs/.")
"""An output and the folder of its attempt, or of what a plain task saved, below the root. Only there is ``result.json``
the ledger's: a step may write files of that name among its own outputs."""


def check_inputs(arguments: Arguments, *, store: ObjectStore, gate: Gate, root: str) -> tuple[ArtifactReference, ...]:
    """
    Every artifact in the arguments, checked.

    :raises InvalidStep: one lies where it must not be read, or its producer's ledger does not know it; all at once.
    :raises BackendUnavailable: a ledger gave no answer.
    """
    decoded = decode({"args": arguments["args"], "kwargs": arguments["kwargs"]})
    found = {(reference.uri, reference.sha256): reference for reference in references(decoded)}
    problems = []
    for reference in found.values():
        try:
            gate.check(reference.uri)
            _check_producer(reference, store, root)
        except ArtifactError as error:
            problems.append(Problem(error.what, error.remedy, field=f"artifact `{reference.name}`"))
    for dataset in datasets_in(decoded):
        try:
            gate.check(dataset.uri)
        except ArtifactError as error:
            problems.append(Problem(error.what, error.remedy, field="dataset"))
    if problems:
        raise InvalidStep("the step's inputs cannot be used", problems)
    return tuple(found.values())


def _check_producer(reference: ArtifactReference, store: ObjectStore, root: str) -> None:
    """The producer's own ``result.json`` must name this object with this digest: XCom alone is not believed."""
    below = normalize(reference.uri).removeprefix(normalize(root).rstrip("/") + "/")
    output = _OUTPUT.match(below)
    if output is None:
        raise ArtifactError(
            f"{reference.uri} is not an output of a step under {root}",
            remedy="pass what a step of this stack returned, or a Dataset for data of your own",
        )
    result_uri = join(root, output[1], RESULT_FILE)
    data = store.read(result_uri, limit=_RESULT_LIMIT)
    if data is None:
        raise ArtifactError(
            f"the ledger of the artifact's producer has no result: {result_uri} is missing",
            remedy="it was removed, or the reference is forged; clear the step that produced it",
        )
    try:
        outputs = json.loads(data).get("outputs", {})
        known = {
            (item["artifact"] or {}).get("uri"): (item["artifact"] or {}).get("sha256") for item in outputs.values()
        }
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise ArtifactError(f"{result_uri} cannot be read: {error}") from error
    if known.get(reference.uri) != reference.sha256:
        raise ArtifactError(
            f"the producer's ledger says another digest of {reference.uri}: "
            f"{known.get(reference.uri) or 'none'}, the reference says {reference.sha256}",
            remedy="the reference or the ledger was changed; clear the step that produced it",
        )
