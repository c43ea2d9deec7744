"""
JobSet's and Kubeflow Trainer's controllers as plain processes on the host, with their CRDs and webhooks.

Both are made to run in a pod, behind a Service: here a webhook is a URL on loopback, trusted by the cluster's own
certificate authority.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx

from .api import Api
from .binaries import TRAINER, built
from .certificates import SERVER, Authority
from .crds import apply_crds, manifests_in
from .layout import Layout
from .network import free_ports
from .processes import Processes
from .waiting import wait_until

JOBSET_CONTROLLER = "jobset"
TRAINER_CONTROLLER = "trainer"

TRAINER_NAMESPACE = "kubeflow-system"
TRAINER_SERVICE = f"kubeflow-trainer-controller-manager.{TRAINER_NAMESPACE}.svc"
TRAINER_SECRET = "kubeflow-trainer-webhook-cert"
TRAINER_WEBHOOKS = "validator.trainer.kubeflow.org"
"""The Trainer looks for its webhooks' configuration by this name."""
TRAINER_CERTIFICATES = Path("/tmp/k8s-webhook-server/serving-certs")
"""Fixed in the Trainer's code, version 2.0.0."""


def start_trainer(layout: Layout, processes: Processes, api: Api) -> None:
    """Start both controllers, if they do not run, and return when their webhooks answer."""
    if processes.process(TRAINER_CONTROLLER):
        return
    folder = built(TRAINER)
    apply_crds(api, manifests_in(folder / "jobset-crds"))
    apply_crds(api, manifests_in(folder / "trainer-crds"))
    authority = Authority(layout.pki)
    certificates = layout.folder / "webhook-certificates"
    _write_pair(authority, certificates)
    jobset_port, trainer_port, jobset_health, trainer_health = free_ports("127.0.0.1", 4)
    environment = {"KUBECONFIG": str(layout.kubeconfig("admin"))}

    config = layout.folder / "jobset.json"
    config.write_text(jobset_config(certificates, port=jobset_port, health_port=jobset_health))
    processes.start(JOBSET_CONTROLLER, [folder / "jobset", f"--config={config}"], environment)

    _keep_certificates(api, authority, certificates)
    _register_webhooks(api, authority, folder / "trainer-webhooks", trainer_port, name=TRAINER_WEBHOOKS)
    # the fixed folder is ours in the Trainer's own namespace of mounts, so that a machine can run several
    TRAINER_CERTIFICATES.mkdir(parents=True, exist_ok=True)
    mounted = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    processes.start(
        TRAINER_CONTROLLER,
        [
            *("unshare", "--mount", "sh", "-c", mounted, "sh", certificates, TRAINER_CERTIFICATES),
            *(folder / "trainer", f"--webhook-server-port={trainer_port}"),
            f"--health-probe-bind-address=127.0.0.1:{trainer_health}",
        ],
        environment,
    )
    for name, port in ((JOBSET_CONTROLLER, jobset_health), (TRAINER_CONTROLLER, trainer_health)):
        _wait_until_ready(processes, name, port)
    # the API server refuses JobSets from here on while the webhook does not answer
    _register_webhooks(api, authority, folder / "jobset-webhooks", jobset_port, name=None)


def jobset_config(certificates: Path, *, port: int, health_port: int) -> str:
    """JobSet's configuration: certificates from a folder, in the place of those that it would make itself."""
    config = {
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "webhook": {"host": "127.0.0.1", "port": port, "certDir": str(certificates)},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health_port}"},
        "metrics": {"bindAddress": "0"},
    }
    return json.dumps(config, indent=1)


def _write_pair(authority: Authority, folder: Path) -> None:
    """One pair for both: the Trainer's rotation wants the name of its Service in it."""
    folder.mkdir(exist_ok=True)
    pair = authority.sign("webhooks", TRAINER_SERVICE, usage=SERVER, dns_names=["localhost", TRAINER_SERVICE])
    for path, name in zip(pair, ("tls.crt", "tls.key"), strict=True):
        (folder / name).write_bytes(path.read_bytes())


def _keep_certificates(api: Api, authority: Authority, folder: Path) -> None:
    """The Trainer's rotation can't be turned off; it leaves a Secret alone that holds what it would make."""
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TRAINER_NAMESPACE}})
    files = {
        "ca.crt": authority.certificate,
        "ca.key": authority.key,
        "tls.crt": folder / "tls.crt",
        "tls.key": folder / "tls.key",
    }
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": TRAINER_SECRET, "namespace": TRAINER_NAMESPACE},
            "data": {name: _base64(path) for name, path in files.items()},
        }
    )


def _register_webhooks(api: Api, authority: Authority, folder: Path, port: int, *, name: str | None) -> None:
    for manifest in manifests_in(folder):
        if manifest["kind"].endswith("WebhookConfiguration"):
            api.apply(_on_loopback(manifest, _base64(authority.certificate), port, name=name))


def _on_loopback(manifest: dict[str, Any], authority: str, port: int, *, name: str | None) -> dict[str, Any]:
    """A configuration of webhooks whose Service is a port of this host."""
    webhooks = [
        webhook
        | {
            "clientConfig": {
                "url": f"https://localhost:{port}{webhook['clientConfig']['service']['path']}",
                "caBundle": authority,
            }
        }
        for webhook in manifest["webhooks"]
    ]
    metadata = {"name": name or f"{JOBSET_CONTROLLER}-{manifest['metadata']['name']}"}
    return manifest | {"metadata": metadata, "webhooks": webhooks}


def _wait_until_ready(processes: Processes, name: str, port: int) -> None:
    def ready() -> bool:
        processes.must_live(name)
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2, trust_env=False).is_success

    wait_until(f"{name}'s controller and webhooks", ready)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
