"""
Step protocol 1: what travels between Airflow and a job, as types.

::

    Airflow ── context.json (by URI and SHA-256) ──► job
    Airflow ◄── result.json or error.json, written once ── job        files decide
    Airflow ◄── "::mlx::<nonce> {…}" lines on standard output ── job   lines advise

The prose is ``docs/protocol.md``, the JSON Schemas are ``docs/schemas/``; ``tests/unit/runtime/test_protocol.py``
holds the three together. The protocol's version is apart from the package's: a reader refuses a version that it does
not know. Standard library only, Python 3.9 and newer.
"""

from __future__ import annotations

from typing import Any, TypedDict

PROTOCOL = 1

CONTEXT_FILE = "context.json"
RESULT_FILE = "result.json"
ERROR_FILE = "error.json"
ERRORS_FOLDER = "errors"
"""The errors of a job that has several ranks, or that starts again; ``causes.py`` has their names and the choice."""
LOG_FILE = "log.txt"
OUTPUTS_FOLDER = "outputs"
RESCUE_FOLDER = "rescue"
SERIES = "series"
"""The output that holds what was logged with step numbers."""
SERIES_FILE = "series.jsonl"
"""In the work folder, until it is an output; what is left there when the step is over goes under ``rescue/``."""
CLIENT_FOLDER = "mlx-client"
"""In the work folder: a store's client that the job has installed."""
CHECKPOINTS_FOLDER = "checkpoints"
"""In the work folder, where the store is no folder of the job."""

# Exit statuses of the runtime itself. User code may exit with any of them: the files decide, these only help to read a
# job whose files are missing.
EXIT_OK = 0
EXIT_STEP_FAILED = 1
EXIT_MISCONFIGURED = 78  # EX_CONFIG of sysexits.h
EXIT_TAMPERED = 79
EXIT_CANCELLED = 143  # 128 + SIGTERM, as a shell says it

OWN, PEER, STOP = "own", "peer", "stop"
FOLLOWS = (
    OWN,  # it failed by itself
    PEER,  # it has lost another rank, or never found it
    STOP,  # it was told to stop
)
"""What an error follows from; the order in which errors count."""

NO_LAUNCHER = "none"
"""The step runs once per node."""
TORCHRUN = "torchrun"
"""The step runs once per process, started by torch's own launcher."""


class StepIdentity(TypedDict):
    """Which task instance, and which attempt of it."""

    deployment_id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    attempt: int
    job: str


class Payload(TypedDict, total=False):
    """What to run: ``kind`` is function (``module``, ``function``) or script (``path`` in the bundle, ``argv``)."""

    kind: str
    module: str
    function: str
    path: str
    argv: list[str]
    # For a function that was sliced out of a DAG file: the file as users know it, and runs of lines
    # ``[first line in the slice, first line in the DAG file, how many]``.
    origin: str
    lines: list[list[int]]


class Arguments(TypedDict):
    """Arguments in wire form (``runtime/wire.py``)."""

    args: list[Any]
    kwargs: dict[str, Any]


class _MountOf(TypedDict):
    uri: str
    path: str


class Mount(_MountOf, total=False):
    """
    Objects under ``uri`` are files under ``path`` in this job.

    ``mirrored``: the folder is a copy, which somebody else brings and takes while the job runs. ``otherwise``: it
    counts only where the image has no client for the URI's store. ``background``: somebody copies the folder while the
    job runs, and cannot be asked whether.
    """

    mirrored: bool
    otherwise: bool
    background: bool


class StoreAccess(TypedDict, total=False):
    """
    How the job reaches objects.

    ``mounts``: prefixes that are folders here; everything else goes through a client that the image has.
    ``options``: non-secret client settings by URI scheme, as ``{"s3": {"endpoint_url": …, "region": …}}``.
    ``allowed``: prefixes from which inputs may be read; a reference elsewhere is refused.
    """

    mounts: list[Mount]
    options: dict[str, dict[str, str]]
    allowed: list[str]


class Environment(TypedDict, total=False):
    """
    The packages the user's code needs.

    ``requirements``: PEP 508 lines or pip options (``--hash``), empty for "the image has everything".
    ``inherit``: the venv sees the image's own packages, which are constraints for what is installed (the default).
    ``replace``: protected packages (torch, numpy, …) that the user asked to replace.
    ``cache``: folder for finished venvs, keyed by digest.
    ``wheelhouse``: URI of a folder or archive of wheels, the only source of packages; empty for the job's index.
    """

    requirements: list[str]
    inherit: bool
    replace: list[str]
    cache: str
    wheelhouse: str


class Outputs(TypedDict, total=False):
    """
    Where and how results go.

    ``uri``: the attempt's folder; everything the job writes lies under it, and nothing is overwritten.
    ``inline_bytes``: JSON results up to this size also travel inside ``result.json``.
    ``multiple``: the result is a dict that is split by key.
    """

    uri: str
    inline_bytes: int
    multiple: bool


class StepContext(TypedDict, total=False):
    """
    ``context.json``: everything that a job is told.

    ``checkpoints_since``: the attempt from which on checkpoints may be used, 1 or the first one after a clear.
    ``nodes``: machines, 1 if it is not there; ``launcher``: what starts the step on each, ``none`` or ``torchrun``.
    ``secret_variables``: names of environment variables whose values must not appear in the job's last words.
    ``openlineage``: what the step's code finds as ``OPENLINEAGE_CONTEXT``.
    ``tracking``: environment variables by which the libraries of experiment trackers describe a run.
    """

    protocol: int
    nonce: str
    step: StepIdentity
    payload: Payload
    arguments: Arguments
    outputs: Outputs
    checkpoint_uri: str
    checkpoints_since: int
    store: StoreAccess
    environment: Environment
    nodes: int
    launcher: str
    secret_variables: list[str]
    openlineage: str
    tracking: dict[str, str]
    heartbeat_seconds: float
    grace_seconds: float


class Output(TypedDict, total=False):
    """
    One result: its reference, and its value when it is small JSON (``inline`` says whether ``value`` counts).

    ``None`` has neither: ``{"artifact": null, "inline": true, "value": null}``.
    """

    artifact: dict[str, Any] | None
    inline: bool
    value: Any


class Timings(TypedDict, total=False):
    """Seconds of each part; ``started_at`` and ``finished_at`` are ISO 8601, UTC."""

    started_at: str
    finished_at: str
    install: float
    download: float
    compute: float
    upload: float


class TrackedRun(TypedDict):
    """A run of an experiment tracker: ``kind`` is the library, ``url`` its page where it has one."""

    kind: str
    id: str
    url: str | None


class StepResult(TypedDict, total=False):
    """``result.json``: written once, by rank 0, after every output is in the store."""

    protocol: int
    step: StepIdentity
    outputs: dict[str, Output]
    metrics: dict[str, float]
    datasets: dict[str, list[dict[str, Any]]]
    skipped: str | None
    environment: dict[str, Any]
    trackers: list[TrackedRun]
    timings: Timings
    peak_memory_bytes: int


class Frame(TypedDict, total=False):
    """One line of a traceback, in the user's own file."""

    file: str
    line: int
    function: str
    text: str
    user: bool


class StepError(TypedDict, total=False):
    """
    ``error.json``: why there is no result.

    ``reason`` is the name of a class of ``airflow_provider_mlx.exceptions``. ``node`` and ``rank`` say whose error it
    is in a job that has several, ``rank`` None for a node's supervisor; ``failed_at`` is ISO 8601, UTC; ``follows`` is
    one of :data:`FOLLOWS`.
    """

    protocol: int
    step: StepIdentity
    reason: str
    type: str
    message: str
    remedy: str
    frames: list[Frame]
    traceback: str
    exit_code: int | None
    signal: str | None
    node: int | None
    rank: int | None
    failed_at: str
    follows: str
    rescued: list[dict[str, Any]]
    environment: dict[str, Any]
    trackers: list[TrackedRun]
    timings: Timings
    peak_memory_bytes: int
