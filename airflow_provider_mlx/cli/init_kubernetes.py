"""What ``init kubernetes`` writes: a stack file and manifests, as text that people read before they apply it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from airflow_provider_mlx.backends.kubernetes.rights import (
    Right,
    binding_manifest,
    namespace_manifest,
    network_policy,
    rights,
    role_manifest,
)

MANIFESTS: Final = "mlx-kubernetes.yaml"
STACK: Final = "kubernetes"
"""Name of the stack."""


@dataclass(frozen=True)
class Wish:
    """
    What was asked for.

    :param service_accounts: of Airflow's own, in ``service_account_namespace``.
    :param devices: GPUs are claimed by ResourceClaims (DRA).
    :param api_server: CIDRs that jobs shall not reach.
    """

    namespace: str = "mlx"
    service_accounts: Sequence[str] = ("airflow-worker", "airflow-triggerer")
    service_account_namespace: str = "airflow"
    scheduler: Literal["default", "kai", "kueue", "volcano"] = "default"
    queue: str = ""
    trainer: bool = False
    devices: bool = False
    conn_id: str = "kubernetes_default"
    image: str = "registry.example.com/ml:1"
    root: str = "s3://my-bucket/mlx"
    root_conn_id: str = ""
    api_server: Sequence[str] = ()

    @property
    def rights(self) -> tuple[Right, ...]:
        """What Airflow must be allowed."""
        return rights(scheduler=self.scheduler, trainer=self.trainer, devices=self.devices)


def stack_file(wish: Wish) -> str:
    """The stack file, which loads as it is."""
    artifacts = f"root: {_quoted(wish.root)}"
    artifacts += f", conn_id: {_quoted(wish.root_conn_id)}" if wish.root_conn_id else ""
    return f"""\
# Where steps run. Data only: connection ids, never secrets; no templates. Reference: docs/guides/stacks.md,
# docs/reference/kubernetes-target.md. Airflow reads it from [mlx] stacks_files, or beside the DAGs.
default: {STACK}

stacks:
  {STACK}:
    artifacts: {{{artifacts}}}
    targets:
      default:
        backend: kubernetes
{_common(wish)}
        # Every variable of a Secret in {wish.namespace}: with what the jobs open the artifact root, if not by their
        # service account (`service_account: NAME`; with a workload identity no Secret is needed).
        # env_from: [{{secret: artifact-root}}]
        # What a step calls `secrets={{"HF_TOKEN": "hf"}}`:
        # secrets: {{hf: {{name: hugging-face, key: token}}}}
        resources: {{cpu: 1, memory: 2Gi}}   # where a step says nothing
        max_runtime: 4h
        # After this time without capacity the next target of a list is tried; write a list of targets for that.
        # give_up_pending_after: 15m
        # GPU models, as `Resources(gpu="L4:1")` names them, by labels of your nodes:
        # gpus: {{L4: {{node_selector: {{nvidia.com/gpu.product: NVIDIA-L4}}}}}}
{_training(wish)}"""


def manifests(wish: Wish) -> str:
    """Namespace, Role, RoleBinding and NetworkPolicy; ``kubectl apply -f`` takes them."""
    role = role_manifest(wish.namespace, wish.rights)
    accounts = binding_manifest(wish.namespace, wish.service_accounts, wish.service_account_namespace)
    documents = [
        (
            "The namespace of the jobs. The label refuses pods that the restricted Pod Security Standard does not "
            "allow, from whomever; apply it to a namespace that is not shared with other work.",
            _yaml(namespace_manifest(wish.namespace)),
        ),
        (
            "What Airflow may do there, and no more: it reads no Secret, enters no pod and sees nothing outside the "
            "namespace. But whoever makes jobs in a namespace can have them mount its Secrets and use its service "
            "accounts, so keep those of others out of it.",
            _yaml({key: value for key, value in role.items() if key != "rules"}) + _rules(wish.rights),
        ),
        ("Who may: the service accounts of Airflow's workers and triggerers.", _yaml(accounts)),
        (
            "Jobs reach the world, but not the credentials that clouds hand out to nodes, "
            + ("nor the API server" if wish.api_server else "and should not reach the API server")
            + ", and only jobs reach them. It works where the cluster's network plugin enforces policies. "
            + ("" if wish.api_server else _API_SERVER_OPEN + " ")
            + "Where jobs get their own identity from 169.254.169.254 (Google's Workload Identity), take that line "
            "out.",
            _yaml(network_policy(namespace=wish.namespace, api_server=wish.api_server)),
        ),
    ]
    return "---\n".join(f"{_comment(words)}{text}" for words, text in documents)


def next_steps(wish: Wish, *, stack: Path, applied: Path, deployment_id: str) -> list[str]:
    """What a person does with the files, in order."""
    defaults = Wish()
    steps = []
    if wish.root == defaults.root:
        steps.append(f"in {stack.name}, put your own bucket for {wish.root}")
    if wish.image == defaults.image:
        steps.append(f"in {stack.name}, put your own image for {wish.image}: Python 3.9 or newer, and boto3 or obstore")
    steps.append(f"read {applied.name}, and have an administrator apply it: kubectl apply -f {applied}")
    steps.append(
        f"make the connection `{wish.conn_id}` of type kubernetes, unless it is there: "
        f"airflow connections add {wish.conn_id} --conn-type kubernetes --conn-extra '{{\"in_cluster\": true}}'"
    )
    if not deployment_id:
        steps.append("name this Airflow, for good: AIRFLOW__MLX__DEPLOYMENT_ID=prod-eu")
    steps.append(f"tell Airflow of the stack: AIRFLOW__MLX__STACKS_FILES={stack}, or put it beside your DAGs")
    steps.append("look again where workers run: python -m airflow_provider_mlx doctor")
    return [f"  {number}. {step}" for number, step in enumerate(steps, start=1)]


_API_SERVER_OPEN: Final = (
    "The API server is not barred here: name its addresses with `--api-server`; `kubectl get endpointslices -n "
    "default kubernetes` shows them."
)


def _common(wish: Wish) -> str:
    lines = [
        f"conn_id: {_quoted(wish.conn_id)}",
        f"namespace: {_quoted(wish.namespace)}",
        f"image: {_quoted(wish.image)}",
    ]
    if wish.scheduler != "default":
        lines.append(f"scheduler: {wish.scheduler}")
    if wish.queue:
        lines.append(f"queue: {_quoted(wish.queue)}")
    return "\n".join(f"        {line}" for line in lines)


def _training(wish: Wish) -> str:
    if not wish.trainer:
        return ""
    return f"""\
      training:                # several nodes, as TrainJobs: `target="training"`, `Resources(nodes=2, gpu=8)`
        backend: trainer
{_common(wish)}
        max_runtime: 24h
"""


def _rules(wanted: Sequence[Right]) -> str:
    lines = ["rules:"]
    for right in wanted:
        lines.append(f"  # {right.why}")
        words = {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)}
        lines.append("  - {" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in words.items()) + "}")
    return "\n".join(lines) + "\n"


def _yaml(manifest: dict[str, Any]) -> str:
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes what stands at two places twice: a reader looks for no anchors here."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return str(yaml.dump(manifest, Dumper=Plain, sort_keys=False))


def _comment(words: str) -> str:
    import textwrap

    return "".join(f"# {line}\n" for line in textwrap.wrap(words, 110, break_on_hyphens=False))


def _quoted(text: str) -> str:
    """Any text as YAML, which takes JSON's strings."""
    return json.dumps(text, ensure_ascii=False)
