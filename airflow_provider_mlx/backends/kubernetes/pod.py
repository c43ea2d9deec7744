"""The pod of a step, as a pure function: what runs, as whom, with what on its file system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_mlx.backends.base import STORE_CLIENT
from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.runtime.bootstrap import bootstrap_command
from airflow_provider_mlx.step.spec import JobSpec

from .kinds import DEFAULT_CONTAINER
from .mounts import Code, code_of, path_in_pod, pod_volumes, secret_variables
from .names import job_labels
from .scheduling import Placement
from .settings import KubernetesSettings

CONTAINER: Final = "step"
_PYTHON: Final = "python3"


def pod_template(
    spec: JobSpec, settings: KubernetesSettings, placement: Placement, *, container: str = CONTAINER,
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """
    ``metadata`` and ``spec`` of the step's pods, before the target's ``pod_override``.

    :param container: the main container's name, where the job's kind wants one.
    :param env: further variables that the job's kind needs.
    """
    code = code_of(spec, settings)
    volumes, mounts = pod_volumes(settings, code)
    scratch, scratch_mounts = _scratch(spec)
    main = {
        "name": container,
        "image": spec.image,
        "command": list(spec.command) if spec.command is not None else _command(spec, settings, code),
        "env": [
            *({"name": name, "value": value} for name, value in sorted(_environment(spec, settings, env).items())),
            *secret_variables(spec.secrets),
        ],
        "resources": dict(placement.resources),
        "volumeMounts": mounts + scratch_mounts,
        "securityContext": _container_security(settings),
    }
    if settings.image_pull_policy:
        main["imagePullPolicy"] = settings.image_pull_policy
    if settings.env_from:
        main["envFrom"] = [
            {"secretRef": {"name": source.secret}} if source.secret else {"configMapRef": {"name": source.config_map}}
            for source in settings.env_from
        ]
    return {
        "metadata": {
            "labels": {**settings.labels, **placement.pod_labels, **job_labels(spec)},
            "annotations": {DEFAULT_CONTAINER: container, **settings.annotations, **placement.pod_annotations},
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [main],
            "volumes": volumes + scratch,
            "terminationGracePeriodSeconds": settings.grace_seconds,
            # What the pod does not use, it does not get: no token for the API, no address of every service.
            "automountServiceAccountToken": settings.mount_service_account_token,
            "enableServiceLinks": False,
            "securityContext": _pod_security(settings),
            **_present("serviceAccountName", settings.service_account),
            **_present("imagePullSecrets", [{"name": name} for name in settings.image_pull_secrets]),
            # Counts from when the kubelet has taken the pod: queueing does not count.
            **_present("activeDeadlineSeconds", spec.native_limit_seconds),
            **placement.pod_spec,
        },
    }


def pod_problems(spec: JobSpec, settings: KubernetesSettings) -> list[Problem]:
    """What keeps a pod of this target from running this step."""
    problems = [
        Problem(
            f"{dict(reference)} is not a secret of Kubernetes",
            "in the target, map the name to `{name: NAME, key: KEY}` of a Secret in the job's namespace",
            field=f"secrets[{variable!r}]",
        )
        for variable, reference in spec.secrets.items()
        if sorted(reference) != ["key", "name"]
    ]
    if not spec.image:
        problems.append(
            Problem("the job has no image", "set `image:` in the target, or `image=` in the step", field="image")
        )
    on_a_disk = spec.bundle is not None and spec.outputs_uri.startswith("file:")
    if on_a_disk and path_in_pod(spec.outputs_uri, settings) is None:
        problems.append(
            Problem(
                f"pods do not see the artifact root of {spec.outputs_uri}",
                "mount the volume that holds it: `volumes: [{claim: NAME, path: /mnt/mlx, uri: 'file:///…'}]`, "
                "or use an object store as the root",
                field="volumes",
            )
        )
    return problems


def _command(spec: JobSpec, settings: KubernetesSettings, code: Code | None) -> list[str]:
    assert spec.bundle is not None
    assert spec.context is not None
    assert code is not None
    return bootstrap_command(
        python=spec.python or _PYTHON,
        bundle_path=code.path,
        bundle_sha256=spec.bundle.sha256,
        context=path_in_pod(spec.context.uri, settings) or spec.context.uri,
        context_sha256=spec.context.sha256,
    )


def _environment(spec: JobSpec, settings: KubernetesSettings, further: Mapping[str, str] | None) -> dict[str, str]:
    # A user that the image does not know has `/` as its home, where nothing can be written.
    home = {"HOME": "/tmp"} if settings.run_as_user is not None else {}  # noqa: S108
    client = {"MLX_INSTALL_CLIENT": STORE_CLIENT} if spec.install_client else {}
    return {**home, **client, **(further or {}), **spec.env}


def _scratch(spec: JobSpec) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """``/tmp``, since the root file system is read-only; and ``/dev/shm`` as large as it was asked for."""
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if spec.resources.shm_bytes is not None:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(spec.resources.shm_bytes)}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    return volumes, mounts


def _pod_security(settings: KubernetesSettings) -> dict[str, Any]:
    """Source: the "restricted" profile of kubernetes.io/docs/concepts/security/pod-security-standards."""
    return {
        "runAsNonRoot": settings.non_root,
        "seccompProfile": {"type": settings.seccomp},
        **_present("runAsUser", settings.run_as_user),
        **_present("runAsGroup", settings.run_as_group),
        **_present("fsGroup", settings.fs_group),
    }


def _container_security(settings: KubernetesSettings) -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": settings.privilege_escalation,
        "readOnlyRootFilesystem": settings.read_only_root,
        **({"capabilities": {"drop": ["ALL"]}} if settings.drop_capabilities else {}),
    }


def _present(key: str, value: Any) -> dict[str, Any]:
    return {} if value in (None, "", [], {}) else {key: value}
