"""
Kinds of projects whose controllers do not run here: their released CRDs, or small ones of ours in their place.

``MLX_TEST_CRDS`` names a folder with a folder per project, each with the CRDs that the project releases. Ours know
the same groups, versions and kinds, and check nothing of what objects hold.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .api import Api
from .problems import PartMissing
from .waiting import wait_until

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """
    A kind that one of our CRDs stands in for.

    :param versions: those that are served; the first is stored.
    """

    group: str
    versions: tuple[str, ...]
    name: str
    plural: str
    namespaced: bool = True

    @property
    def crd(self) -> Manifest:
        """A CRD that takes anything, with the subresource ``status``."""
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{self.group}"},
            "spec": {
                "group": self.group,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "names": {"kind": self.name, "plural": self.plural},
                "versions": [
                    {
                        "name": version,
                        "served": True,
                        "storage": version == self.versions[0],
                        "schema": schema,
                        "subresources": {"status": {}},
                    }
                    for version in self.versions
                ],
            },
        }


KUEUE = ("kueue.x-k8s.io", ("v1beta2", "v1beta1"))
VOLCANO = ("scheduling.volcano.sh", ("v1beta1",))

# As of Kueue 0.19, KAI 0.17, training-operator 1.9 and Volcano 1.12.
STAND_INS: Mapping[str, tuple[Kind, ...]] = {
    "kueue": (
        Kind(*KUEUE, "Workload", "workloads"),
        Kind(*KUEUE, "LocalQueue", "localqueues"),
        Kind(*KUEUE, "ClusterQueue", "clusterqueues", namespaced=False),
        Kind(*KUEUE, "ResourceFlavor", "resourceflavors", namespaced=False),
        Kind(*KUEUE, "WorkloadPriorityClass", "workloadpriorityclasses", namespaced=False),
    ),
    "kai-scheduler": (
        Kind("scheduling.run.ai", ("v2",), "Queue", "queues", namespaced=False),
        Kind("scheduling.run.ai", ("v2alpha2",), "PodGroup", "podgroups"),
    ),
    "training-operator": (
        Kind("kubeflow.org", ("v1",), "PyTorchJob", "pytorchjobs"),
        Kind("kubeflow.org", ("v1",), "TFJob", "tfjobs"),
        Kind("kubeflow.org", ("v1",), "MPIJob", "mpijobs"),
    ),
    "volcano": (
        Kind(*VOLCANO, "PodGroup", "podgroups"),
        Kind(*VOLCANO, "Queue", "queues", namespaced=False),
    ),
}


class StandInCrds(UserWarning):
    """Released CRDs were not to be had, so the API server checked nothing of what objects of these kinds hold."""


def crds_of(project: str) -> list[Manifest]:
    """
    A project's CRDs: the released ones, else ours, with a warning that is in the summary of the test run.

    :param project: a folder of ``MLX_TEST_CRDS``, or a key of ``STAND_INS``.
    :raises PartMissing: there are neither.
    """
    released = os.environ.get("MLX_TEST_CRDS")
    if released and (Path(released) / project).is_dir():
        return manifests_in(Path(released) / project)
    why = f"{released} (MLX_TEST_CRDS) has no folder {project}" if released else "MLX_TEST_CRDS is not set"
    if project not in STAND_INS:
        raise PartMissing(f"{why}, and there is nothing to stand in for its CRDs → set it to a folder that has them")
    warnings.warn(f"{why}: CRDs of our own stand in for those of {project}", StandInCrds, stacklevel=3)
    return [kind.crd for kind in STAND_INS[project]]


def apply_crds(api: Api, manifests: Iterable[Manifest]) -> list[str]:
    """Apply every CRD among some objects, and return their names when all are served."""
    crds = [manifest for manifest in manifests if manifest["kind"] == "CustomResourceDefinition"]
    names = [crd["metadata"]["name"] for crd in crds]
    for crd in crds:
        api.apply(crd)
    for name in names:
        wait_until(f"the CRD {name}", functools.partial(_is_established, api, name))
    return names


def manifests_in(folder: Path) -> list[Manifest]:
    """Every object in the YAML files of a folder."""
    # libyaml takes a tenth of the time, and released CRDs are large
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = (one for file in sorted(folder.glob("*.yaml")) for one in yaml.load_all(file.read_text(), loader))
    return [document for document in documents if document and "kind" in document]


def _is_established(api: Api, name: str) -> bool:
    conditions = api.get(f"{PATH}/{name}").get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
