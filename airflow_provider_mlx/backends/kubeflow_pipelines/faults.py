"""
Why a run failed. The API does not say: ``error`` is empty on the run and on all its tasks. The reason is a message in
the Argo Workflow, and the exit code of the step is in its pod's log alone, since the launcher always ends with 1.

Sources: Argo Workflows 3.6, ``workflow/controller/operator.go`` (``inferFailedReason``, "pod deleted", "Step exceeded
its deadline"); the kubelet's reasons in ``k8s.io/kubernetes/pkg/kubelet``; ``backend/src/v2/component/launcher_v2.go``.
The words are for people, and change: what is not known is the step's own failure, with the whole sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_mlx.backends.fault_rows import reason_and_failure, row

from .workflow import failed_nodes, message_of

DRIVER: Final = "Kubeflow's driver failed before the step began"


@dataclass(frozen=True)
class Fault:
    """
    Why a run failed.

    :param reason: a sentence; what to do about it may follow behind an arrow.
    :param failure: the name of a class of ``exceptions``; ``None``: the step's own failure.
    :param task: whose failure it is.
    :param pod: whose log tells more.
    """

    reason: str
    failure: str | None = None
    task: str = ""
    pod: str = ""
    exit_code: int | None = None


# The first that is found counts.
ROWS: Final = (
    row(r"OOMKilled|exit code 137", "OutOfMemory",
        "ask for more with `Resources(memory=…)`, or load less at once"),
    row(r"longer than (the )?specified deadline|DeadlineExceeded", "JobTimeout"),
    row(r"exceeded its deadline|max duration limit exceeded", "JobTimeout"),
    row(r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|manifest (for .* )?(unknown|not found)",
        "ImageUnavailable", "check the image's name, and the target's `image_pull_secrets`"),
    row(r"exceeded quota", "CapacityUnavailable", "have the namespace's quota raised, or wait until it has room"),
    row(r"pod deleted|Evicted|low on resource|NodeLost|NodeShutdown|node .{0,60}(shut ?down|not ready)|preempt"
        r"|TerminationByKubelet|DisruptionTarget", "Preempted"),
    row(r"CreateContainerConfigError|(secret|configmap) .{0,120}not found|couldn't find key", "JobMisconfigured",
        "make the Secret or ConfigMap that is named in the run's namespace, with this key"),
    row(r"service ?account .{0,120}not found", "JobMisconfigured", "check `service_account` of the target"),
    row(r"persistentvolumeclaim .{0,120}not found", "JobMisconfigured", "check `volumes` of the target"),
    row(r"violates PodSecurity|admission webhook|is forbidden", "JobMisconfigured",
        "this is the cluster's own rule: ask its admin"),
    row(r"failed to unmarshal kubernetes config|unknown field", "JobMisconfigured",
        "the server is older than what the pipeline was compiled for"),
    row(r"exec format error|no such file or directory|executable file not found", "JobMisconfigured",
        "the image lacks what the step starts, or is made for another kind of machine"),
)  # fmt: skip

_EXIT: Final = re.compile(r"failed to execute component: (?:exit status (?P<code>\d+)|signal: (?P<signal>\w+))")
_SIGNALS: Final[Mapping[str, int]] = {"killed": 137, "terminated": 143, "interrupt": 130, "aborted": 134}
"""As Go spells them; a segmentation fault is two words, of which the first is read."""
_LAUNCHER: Final = re.compile(
    r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]+\.go:\d+\] "
    r'|time="\S+" level=\w+ msg=".*" (?:[\w.]+=\S+ )*argo=true'
)
"""
A line that Kubeflow's launcher wrote, not the step (the format of klog and glog), or Argo's executor (that of logrus),
as a real pod has both.
"""


def fault_in(workflow: Mapping[str, Any], log: Iterable[str] = ()) -> Fault | None:
    """
    Why the run of a Workflow failed, from the first part of it that did; ``None``: it does not say.

    :param log: of that pod, where it was read.
    """
    failed = failed_nodes(workflow)
    if not failed:
        said = message_of(workflow)
        return fault_of(said) if said else None
    first = failed[0]
    known = fault_of(first.message)
    code = exit_code_in(log)
    if code == 137 and known.failure is None:
        known = fault_of(f"{first.message} (exit code 137)")
    reason = known.reason
    if first.part == "driver":
        reason = f"{DRIVER}: {reason or 'it left no message'}"
    return Fault(reason, known.failure, task=first.task, pod=first.pod, exit_code=code)


def fault_of(message: str) -> Fault:
    """What a message means."""
    return Fault(*reason_and_failure(ROWS, message))


def exit_code_in(log: Iterable[str]) -> int | None:
    """
    The exit code of the step's process, from its pod's log; of the last one, where it was begun again.

    The container's own is always 1: it is the launcher's.
    """
    code = None
    for line in log:
        if found := _EXIT.search(line):
            code = int(found["code"]) if found["code"] else _SIGNALS.get(found["signal"], 1)
    return code


def own_lines(log: Iterable[str]) -> Iterator[str]:
    """A pod's log without the lines of Kubeflow's launcher and of Argo's executor."""
    return (line for line in log if not _LAUNCHER.match(line))
