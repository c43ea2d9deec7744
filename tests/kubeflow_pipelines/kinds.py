"""
The kinds that the API server keeps its Workflows and schedules in, as CRDs that take anything.

Unlike most kinds, none of them has a subresource ``status``: Argo and the API server write objects whole.
"""

from __future__ import annotations

from tests.cluster.api import Api
from tests.cluster.crds import Kind, Manifest, apply_crds

ARGO = ("argoproj.io", ("v1alpha1",))
KUBEFLOW = ("kubeflow.org", ("v1beta1",))

# As of Argo Workflows 3.6 and Kubeflow Pipelines 2.14.
KINDS = (
    Kind(*ARGO, "Workflow", "workflows"),
    Kind(*ARGO, "WorkflowTemplate", "workflowtemplates"),
    Kind(*ARGO, "CronWorkflow", "cronworkflows"),
    Kind(*ARGO, "WorkflowTaskSet", "workflowtasksets"),
    Kind(*ARGO, "WorkflowTaskResult", "workflowtaskresults"),
    Kind(*ARGO, "WorkflowArtifactGCTask", "workflowartifactgctasks"),
    Kind(*ARGO, "ClusterWorkflowTemplate", "clusterworkflowtemplates", namespaced=False),
    Kind(*KUBEFLOW, "ScheduledWorkflow", "scheduledworkflows"),
    Kind(*KUBEFLOW, "Viewer", "viewers"),
)


def apply_kinds(api: Api) -> None:
    """Have the cluster know all of them."""
    apply_crds(api, [_crd(kind) for kind in KINDS])


def _crd(kind: Kind) -> Manifest:
    crd = kind.crd
    for version in crd["spec"]["versions"]:
        del version["subresources"]
    return crd
