"""
Every command and its arguments: one table, read by ``python -m airflow_provider_mlx`` and by ``airflow mlx``.

A row is data; what it does is imported when it is run, since that imports Airflow. A command is a function from the
parsed arguments to an :class:`~airflow_provider_mlx.cli.output.Answer` or a text; a refusal is an ``MlxError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Argument:
    """
    One argument, in ``argparse``'s own words.

    :param flags: a name, or options that begin with hyphens.
    :param options: keywords of ``add_argument`` besides ``help``.
    """

    flags: tuple[str, ...]
    help: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """
    One command.

    :param help: one line for the list of commands.
    :param description: what it does, for its own help and for the reference page.
    :param run: ``module:function``, relative to this package; imported when the command is run.
    :param live: it prints while it works, and keeps Airflow's logs from standard output by itself.
    """

    name: str
    help: str
    description: str
    run: str
    arguments: tuple[Argument, ...]
    live: bool = False


_JSON: Final = Argument(("--json",), "print JSON, for programs", {"action": "store_true"})
_STACK: Final = Argument(("--stack",), "the stack whose artifact root is meant", {"metavar": "NAME"})
_ROOT: Final = Argument(("--root",), "the artifact root itself, where no stack file says it", {"metavar": "URI"})
_CONN: Final = Argument(("--conn-id",), "the Airflow connection that opens `--root`", {"metavar": "ID"})
_DEPLOYMENT: Final = Argument(
    ("--deployment",), "the deployment in whose name it ran, by default `[mlx] deployment_id`", {"metavar": "ID"}
)
_APPLY: Final = Argument(("--apply",), "do it; without this, nothing is changed", {"action": "store_true"})
_ALL_GONE: Final = Argument(
    ("--all-gone",),
    "believe an Airflow that knows none of the ledger's latest runs, as after its database was made anew",
    {"action": "store_true"},
)

PLAN: Final = Command(
    name="plan",
    help="print what would be submitted for a step, and why",
    description="Print what would be submitted for a step, and why each choice was made. Opens no connection.",
    run="plan:run_plan",
    arguments=(
        Argument(("dag_id",), "the DAG's id"),
        Argument(("task_id",), "the step's task id"),
        Argument(("--stack",), "plan on this stack instead of the one that would be chosen", {"metavar": "NAME"}),
        Argument(("--conf",), "a run's conf, as JSON; its params are used", {"default": "{}", "metavar": "JSON"}),
        Argument(("--map-index",), "index of a mapped task instance", {"type": int, "default": -1, "metavar": "INDEX"}),
        _JSON,
    ),
)

REPLAY: Final = Command(
    name="replay",
    help="run a recorded attempt of a step again, here, perhaps under a debugger",
    description="Run a recorded attempt of a step again on this machine: the same inputs, and the same code or the "
    "working tree's. It reads the artifact store only; what the step returns goes into a temporary folder.",
    run="replay:run_replay",
    live=True,
    arguments=(
        Argument(("dag_id",), "the DAG's id"),
        Argument(("run_id",), "the DAG run's id"),
        Argument(("task_id",), "the step's task id"),
        Argument(
            ("--attempt",), "the attempt's number, by default the latest", {"type": int, "default": 0, "metavar": "N"}
        ),
        Argument(("--map-index",), "index of a mapped task instance", {"type": int, "default": -1, "metavar": "INDEX"}),
        Argument(
            ("--code",),
            "`recorded`: what ran; `working-tree`: the step as the DAG file has it now, with the recorded arguments",
            {"choices": ("recorded", "working-tree"), "default": "recorded"},
        ),
        Argument(("--debug",), "open pdb where the step fails", {"action": "store_true"}),
        Argument(("--python",), "the interpreter that has the image's packages", {"metavar": "PATH"}),
        _STACK,
        _ROOT,
        _CONN,
        _DEPLOYMENT,
        Argument(
            ("--digest",),
            "the recorded request's digest as the task's log says it: confirms that the ledger was not changed",
            {"metavar": "DIGEST"},
        ),
        Argument(
            ("--trust-ledger",),
            "run recorded code that nothing outside the artifact root confirms; you know who may write there",
            {"action": "store_true"},
        ),
    ),
)

STACKS: Final = Command(
    name="stacks",
    help="print the stacks that a DAG file sees",
    description="Print the stacks that a DAG file, or the deployment, sees: where each comes from, its targets and "
    "what is wrong. Opens no connection.",
    run="stacks:run_stacks",
    arguments=(
        Argument(
            ("dag",),
            "a DAG's id, or the path of a DAG file; by default what the DAGs folder itself sees",
            {"nargs": "?", "metavar": "DAG"},
        ),
        _JSON,
    ),
)

DOCTOR: Final = Command(
    name="doctor",
    help="check what steps need of this Airflow: stores, connections, packages, settings",
    description="Check what steps need: stores, connections, clusters, AWS accounts, packages, settings, the "
    "triggerer, disks. Each line says what, and how to mend it. The exit status is 1 where something fails. It writes "
    "one small object per artifact store and removes it again.",
    run="doctor:run_doctor",
    arguments=(
        Argument(("--stack",), "look at this stack only", {"metavar": "NAME"}),
        Argument(("--dag",), "the stacks that this DAG's file sees", {"metavar": "DAG"}),
        _JSON,
    ),
)

REAP: Final = Command(
    name="reap",
    help="stop jobs whose task is gone or over, and tell lineage how their runs ended",
    description="Find jobs of this deployment that still run while Airflow says that their task is gone or over, and "
    "stop them. Tell OpenLineage the end of runs whose start was told and whose task died before it said more. Without "
    "`--apply` it prints what it would do.",
    run="reap:run_reap",
    arguments=(_APPLY, _STACK, _ROOT, _CONN, _DEPLOYMENT, _ALL_GONE, _JSON),
)

GC: Final = Command(
    name="gc",
    help="remove old attempts, bundles, local job folders and environments",
    description="Remove what old attempts left in the artifact root, bundles that no kept attempt refers to, and this "
    "machine's old local job folders and environments. Without `--apply` it prints what it would remove.",
    run="gc:run_gc",
    arguments=(
        _APPLY,
        Argument(
            ("--keep-days",),
            "keep results of runs that had an attempt in so many days",
            {"type": int, "default": 90, "metavar": "N"},
        ),
        Argument(
            ("--keep-failed-days",),
            "keep attempts without a result for so many days",
            {"type": int, "default": 30, "metavar": "M"},
        ),
        _STACK, _ROOT, _CONN, _DEPLOYMENT, _ALL_GONE, _JSON,
    ),
)  # fmt: skip

LINEAGE_REPLAY: Final = Command(
    name="lineage-replay",
    help="send the lineage events that could not be sent",
    description="Send the lineage events that were kept while their receiver was away: on this machine and in the "
    "artifact roots, the events of each run in their order.",
    run="lineage:run_lineage_replay",
    arguments=(
        Argument(("--folder",), "this folder alone, and no artifact root", {"metavar": "PATH"}),
        _STACK,
        _ROOT,
        _CONN,
        _DEPLOYMENT,
    ),
)

LINEAGE_GRAPH: Final = Command(
    name="lineage-graph",
    help="print what came from what, or write it as a page",
    description="Print what jobs have read and written, by the lineage store or by files of OpenLineage events, or "
    "write it as one HTML file that needs no server. Whoever may read the store or the files sees all of it, whatever "
    "DAGs they may read in Airflow.",
    run="lineage_graph:run_lineage_graph",
    arguments=(
        Argument(("--node",), "what this job or dataset came from, and what came from it", {"metavar": "NAME"}),
        Argument(("--dag",), "with `--run`: what this DAG's run has read, run and written", {"metavar": "DAG"}),
        Argument(("--run",), "the DAG run's id", {"metavar": "RUN"}),
        Argument(("--up",), "with `--node`: so many steps back", {"type": int, "default": 6, "metavar": "N"}),
        Argument(("--down",), "with `--node`: so many steps on", {"type": int, "default": 6, "metavar": "N"}),
        Argument(("--store",), "the store, by default `[mlx] lineage_store`", {"metavar": "URL"}),
        Argument(
            ("--events",),
            "instead of a store: a file with an event of OpenLineage on each line, or a folder of such files, as its "
            "file transport and our spool write them; several times for several",
            {"action": "append", "metavar": "PATH"},
        ),
        Argument(("--html",), "the file to write; without it, the graph is printed as text", {"metavar": "FILE"}),
    ),
)

INIT: Final = Command(
    name="init",
    help="write a stack file, and what an administrator of the cluster or the account applies",
    description="Write a stack file for Kubernetes or SageMaker, and what an administrator applies: for Kubernetes the "
    "manifests of the namespace, of Airflow's rights in it, and of the network of its jobs; for SageMaker the IAM "
    "policies of Airflow and of the jobs' role. Then look at it as `doctor` does. Nothing is overwritten without "
    "`--force`, and nothing in a cluster or an account is changed.",
    run="init:run_init",
    arguments=(
        Argument(("system",), "where steps shall run", {"choices": ("kubernetes", "sagemaker")}),
        Argument(("--conn-id",), "the Airflow connection of the cluster or account; by default `kubernetes_default` or "
                 "`aws_default`", {"metavar": "ID"}),
        Argument(("--image",), "the image of steps that name none", {"metavar": "IMAGE"}),
        Argument(("--root",), "the artifact root", {"default": "s3://my-bucket/mlx", "metavar": "URI"}),
        Argument(("--root-conn-id",), "the Airflow connection that opens the root", {"metavar": "ID"}),
        Argument(("--namespace",), "kubernetes: where jobs are made", {"default": "mlx", "metavar": "NAME"}),
        Argument(
            ("--service-account",),
            "kubernetes: a service account of Airflow's own; several times for several, as of workers and triggerers; "
            "by default `airflow-worker` and `airflow-triggerer`",
            {"action": "append", "metavar": "NAME"},
        ),
        Argument(
            ("--service-account-namespace",),
            "kubernetes: where Airflow's service accounts are",
            {"default": "airflow", "metavar": "NAME"},
        ),
        Argument(
            ("--scheduler",),
            "kubernetes: what schedules or admits jobs",
            {"choices": ("default", "kai", "kueue", "volcano"), "default": "default"},
        ),
        Argument(("--queue",), "kubernetes: the scheduler's queue", {"default": "", "metavar": "NAME"}),
        Argument(
            ("--trainer",), "kubernetes: also a target that runs on several nodes by Kubeflow Trainer",
            {"action": "store_true"},
        ),
        Argument(
            ("--dra",), "kubernetes: also the right to claim GPUs by dynamic resource allocation",
            {"action": "store_true"},
        ),
        Argument(
            ("--api-server",),
            "kubernetes: addresses of the API server that jobs shall not reach; several times for several",
            {"action": "append", "metavar": "CIDR"},
        ),
        Argument(
            ("--account",), "sagemaker: the account's number, for a role `mlx-job`; else name `--role-arn`",
            {"metavar": "NUMBER"},
        ),
        Argument(("--role-arn",), "sagemaker: the IAM role that jobs run as", {"metavar": "ARN"}),
        Argument(
            ("--submit-role-arn",),
            "sagemaker: a role in whose name training jobs are created, so that each is bound to its own attempt",
            {"metavar": "ARN"},
        ),
        Argument(("--region",), "sagemaker: the jobs' region, by default the connection's", {"metavar": "NAME"}),
        Argument(
            ("--kind",), "sagemaker: of the target `default`; `gpu` runs training jobs in any case",
            {"choices": ("training", "processing"), "default": "training"},
        ),
        Argument(
            ("--instance",),
            "sagemaker: an instance type of the target `default`, as `ml.m5.xlarge`; several times for several, the "
            "preferred first",
            {"action": "append", "metavar": "TYPE"},
        ),
        Argument(
            ("--subnet",), "sagemaker: a subnet of the jobs' VPC; several times for several",
            {"action": "append", "metavar": "ID"},
        ),
        Argument(
            ("--security-group",), "sagemaker: a security group there; several times for several",
            {"action": "append", "metavar": "ID"},
        ),
        Argument(("--volume-key",), "sagemaker: the KMS key of the jobs' disks", {"metavar": "KEY"}),
        Argument(("--output-key",), "sagemaker: the KMS key of what is written to S3", {"metavar": "KEY"}),
        Argument(
            ("--allowed",),
            "sagemaker: a prefix of datasets outside the root, as `s3://lake/`; several times for several",
            {"action": "append", "metavar": "URI"},
        ),
        Argument(
            ("--secret",),
            "sagemaker: a secret that steps may name, as `hf=secretsmanager:hugging-face#token` or `hf=ssm:/ml/hf`; "
            "several times for several",
            {"action": "append", "metavar": "NAME=PLACE"},
        ),
        Argument(
            ("--any-client",),
            "sagemaker: the job policy allows jobs to overwrite their results, for images whose boto3 is older than "
            "November 2024, or that write objects over 64 MiB by obstore alone",
            {"action": "store_true"},
        ),
        Argument(("--output",), "the folder for the files", {"default": ".", "metavar": "DIR"}),
        Argument(("--force",), "overwrite files that are there", {"action": "store_true"}),
    ),
)  # fmt: skip

COMMANDS: Final = (INIT, PLAN, REPLAY, STACKS, DOCTOR, REAP, GC, LINEAGE_REPLAY, LINEAGE_GRAPH)
