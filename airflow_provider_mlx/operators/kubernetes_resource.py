"""``MlxKubernetesResourceOperator``: runs a manifest as a job, with a step's promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .job import MlxJobOperator
from .untemplated import span_text

if TYPE_CHECKING:
    from airflow_provider_mlx.stacks import ResolvedStep, Stacks
    from airflow_provider_mlx.step.definition import StepDefinition

KEEP = ("always", "on_failure", "never")


class MlxKubernetesResourceOperator(MlxJobOperator):
    """
    Run a Job, JobSet, TrainJob, PyTorchJob, TFJob, MPIJob, or any custom resource that says how it ends.

    It is made once, adopted by a retry, watched as steps are, and stopped with its task. What its main container leaves
    under ``/dev/termination-log`` is the task's result: JSON, or text.

    :param manifest: a dict, YAML text, or the path of a ``.yaml``, ``.yml`` or ``.j2`` file beside the DAG file; all of
        it is templated. Leave ``metadata.name`` out: the object then gets the task instance's own.
    :param target: the logical target in the stack, whose connection, namespace, labels, ``keep`` and limits count.
    :param stack: the stack's name; by default the run's ``mlx_stack`` param, then ``[mlx] stack``, then the file's.
    :param conn_id: an Airflow connection of type ``kubernetes``, instead of the target's.
    :param namespace: where the object is made, instead of the target's.
    :param success: for a kind without a row in our table, by what it succeeds: conditions as ``Complete=True``, or
        fields and their values as ``status.jobStatus == SUCCEEDED``; one of them is enough.
    :param failure: by what it fails, likewise.
    :param running: by what its pods run, likewise: ``max_runtime`` counts from then on.
    :param plural: the kind's resource, where it is not the kind in lower case with an s.
    :param pods_label: label of its pods whose value is the object's name: by it logs, failures and results are found.
    :param suspend: path of the field that suspends it, as ``spec.suspend``; without one it is stopped by deleting it.
    :param keep: which finished objects stay in the cluster: ``always``, ``on_failure`` or ``never``.
    :param max_runtime: how long it may run, as ``2h``; queueing does not count.
    :param deferrable: whether the task leaves its worker slot while its job runs; by default ``[mlx] deferrable``.
    :param skip_on_exit_code: exit codes of the main container by which the task, and what depends on it, are skipped.
    :param preemptions: further attempts within one try after the cluster took the job's pods away.
    """

    template_fields: Sequence[str] = (
        "manifest", "target", "stack", "conn_id", "namespace", "success", "failure", "running", "keep", "max_runtime",
    )  # fmt: skip
    template_ext: Sequence[str] = (".yaml", ".yml", ".j2")
    template_fields_renderers: ClassVar[dict[str, str]] = {"manifest": "yaml"}
    custom_operator_name = "MlxKubernetesResource"

    def __init__(
        self,
        *,
        manifest: Mapping[str, Any] | str,
        target: str | None = None,
        stack: str | None = None,
        conn_id: str | None = None,
        namespace: str | None = None,
        success: Sequence[str] | None = None,
        failure: Sequence[str] | None = None,
        running: Sequence[str] | None = None,
        plural: str | None = None,
        pods_label: str | None = None,
        suspend: str | None = None,
        keep: str | None = None,
        max_runtime: timedelta | str | None = None,
        deferrable: bool | None = None,
        skip_on_exit_code: int | Sequence[int] | None = None,
        preemptions: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            stack=stack, target=target, deferrable=deferrable, skip_on_exit_code=skip_on_exit_code,
            preemptions=preemptions, **kwargs,
        )  # fmt: skip
        self.manifest = manifest
        if not isinstance(manifest, str):
            self.template_ext = ()  # a text within it, as `train.yaml`, names no template of ours
        self.conn_id = conn_id
        self.namespace = namespace
        self.success = list(success or [])
        self.failure = list(failure or [])
        self.running = list(running or [])
        self.plural = plural
        self.pods_label = pods_label
        self.suspend = suspend
        self.keep = keep
        self.max_runtime = span_text(max_runtime)
        self._check()

    def prepare_template(self) -> None:
        """YAML text that happens to end as a file's name does is text."""
        if isinstance(self.manifest, str) and "\n" in self.manifest and not self.manifest.endswith("\n"):
            self.manifest += "\n"

    def resolve_on(self, stacks: Stacks, stack: str, ti: Any, *, why: str) -> ResolvedStep:
        """The clusters to which the manifest can go."""
        from .manifest import Placing, parse_manifest, resource_targets

        placing = Placing(
            ti.dag_id, ti.task_id, self.target or None, self.conn_id or None, self.namespace or None, self.keep or None,
            self.max_runtime or None,
        )  # fmt: skip
        return resource_targets(stacks, stack, placing, self._resource(parse_manifest(self.manifest)), why=why)

    def outline(self) -> StepDefinition:
        """The manifest."""
        from airflow_provider_mlx.step.definition import StepDefinition

        from .manifest import parse_manifest

        return StepDefinition(manifest=parse_manifest(self.manifest))

    def definition(self, context: Mapping[str, Any], root: str | None) -> StepDefinition:
        """The manifest, which is written down as it is: no secret may stand in it."""
        from .masked import is_masked

        if is_masked(self.manifest):
            raise InvalidStep("the manifest holds a secret that would be kept", [Problem(
                "a value in it is a secret that Airflow masks, and it is written to the artifact root and to the job",
                "name a Secret of the cluster in the manifest: `valueFrom: {secretKeyRef: {name: …, key: …}}`",
                "manifest",
            )])  # fmt: skip
        return self.outline()

    def _resource(self, manifest: Mapping[str, Any]) -> Any:
        from airflow_provider_mlx.backends.kubernetes.settings import ResourceKind

        metadata = manifest.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        return ResourceKind(
            api_version=manifest["apiVersion"], kind=manifest["kind"], plural=self.plural or "",
            name=name if isinstance(name, str) else "", success=tuple(self.success), failure=tuple(self.failure),
            running=tuple(self.running), pods_label=self.pods_label or "", suspend=self.suspend or "",
        )  # fmt: skip

    def _check(self) -> None:
        """What can be wrong while the DAG is parsed."""
        problems = []
        if not self.manifest:
            problems.append(
                Problem("there is none", "bring a dict, YAML text, or the path of a file of it", "manifest")
            )
        if self.keep and "{{" not in self.keep and self.keep not in KEEP:
            problems.append(Problem(f"`{self.keep}` is none of them", f"say one of {', '.join(KEEP)}", "keep"))
        if bool(self.success) != bool(self.failure):
            what = "one of them alone says half of how it ends"
            problems.append(Problem(what, "give `success=` and `failure=`", "success, failure"))
        if problems:
            raise InvalidStep(f"task `{self.task_id}` cannot be built", problems)
