"""
What Kubeflow Pipelines cannot do for a step, and the way out of each.

The pod of a step is made by the server's driver from two schemas: ``PipelineContainerSpec`` of ``pipeline_spec.proto``
and ``KubernetesExecutorConfig`` of ``kubernetes_executor_config.proto``. What neither has a field for cannot be asked
for, whatever Kubernetes itself can do; and what has a field is not always carried out: ``backend/src/v2/driver/k8s.go``
says what is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ELSEWHERE: Final = "use a target with `backend: kubernetes`"
_SERVER_WIDE: Final = "have it set for the whole server (`COMPILED_PIPELINE_SPEC_PATCH`)"

CANNOT: Final[Mapping[str, str]] = {
    "fractional_gpu": "a pod of Kubeflow Pipelines has whole GPUs: a share of one takes KAI, whose scheduler cannot be "
    "named there → ask for gpu=1, name a part of a GPU (MIG) in the target's `gpus`, or use a kubernetes target",
    "nodes": "a task of Kubeflow Pipelines is one pod → ask for one node with several GPUs, or use a trainer target",
    "priority": "a pod of Kubeflow Pipelines has no PriorityClass: its schemas have no field for one → leave it out, "
    "or use a kubernetes target",
}
"""Fields of ``Resources`` as ``Backend.cannot`` wants them."""

WITH_SETTING: Final[Mapping[str, str]] = {"spot": "spot: {…}", "disk": "scratch: {…}"}
"""Fields of ``Resources`` that need a setting of the target, as ``Backend.with_setting`` wants them."""

KEYS: Final[Mapping[str, str]] = {
    "scheduler": f"no field for `schedulerName` → {_SERVER_WIDE}, or {_ELSEWHERE}",
    "queue": "no scheduler can be named → for Kueue, put its label into `labels: {kueue.x-k8s.io/queue-name: …}`; "
    f"else {_ELSEWHERE}",
    "preemptible": f"it is KAI's, which cannot be named → {_ELSEWHERE}",
    "topology": f"it is KAI's and Kueue's for several pods, and a task is one pod → {_ELSEWHERE}",
    "topology_spread": f"no field for `topologySpreadConstraints`, and a task is one pod → {_ELSEWHERE}",
    "priority_class": f"no field for `priorityClassName` → {_SERVER_WIDE}, or {_ELSEWHERE}",
    "runtime_class": f"no field for `runtimeClassName` → {_SERVER_WIDE}, or {_ELSEWHERE}",
    "gpu_memory": f"it is KAI's, which cannot be named → {_ELSEWHERE}",
    "env_from": "variables are named one by one → name them in the target's `secrets`, or mount it by `volumes`",
    "non_root": f"the driver does not read `runAsNonRoot` → use an image with a user of its own, or {_ELSEWHERE}",
    "run_as_user": f"servers of 2.14 refuse it → use an image with a user of its own, or {_ELSEWHERE}",
    "run_as_group": f"servers of 2.14 refuse it → use an image with a user of its own, or {_ELSEWHERE}",
    "fs_group": f"no field for `fsGroup` → {_ELSEWHERE}",
    "read_only_root": f"no field for `readOnlyRootFilesystem` → {_ELSEWHERE}",
    "pod_override": f"pods cannot be patched from a pipeline → {_SERVER_WIDE}, or {_ELSEWHERE}",
    "grace_seconds": "the launcher ends with its step at SIGTERM, without a grace period → write checkpoints as you go",
    "ttl": "it is the server's (`TTL_SECONDS_AFTER_WORKFLOW_FINISH`) → leave it out; `keep` says what becomes of runs",
}
"""
Keys that a kubernetes target has and this one cannot have.

``securityContext`` came after 2.14 (its schema has no such field, and an unknown field is a 500 when the run is made);
``runAsNonRoot`` is in the schema of 2.17, and the driver does not read it.
"""

_DROPPED: Final = f"the schema has it, and the driver sets node affinities alone → {_ELSEWHERE}"
AFFINITY: Final[Mapping[str, str]] = {"podAffinity": _DROPPED, "podAntiAffinity": _DROPPED}
"""Parts of an affinity that a server takes, and then drops without a word."""

DEVICE_CLASS: Final = f"no field for resource claims (DRA) → name the GPUs' extended resource, or {_ELSEWHERE}"
"""Of a GPU model."""

VOLUME: Final[Mapping[str, str]] = {
    "host_path": f"no field for a folder of the node → use a claim, or {_ELSEWHERE}",
    "sub_path": "servers of 2.14 refuse it → mount the whole volume",
    "read_only": "no field for it → rely on the claim's own access mode",
}
"""Of a volume."""
