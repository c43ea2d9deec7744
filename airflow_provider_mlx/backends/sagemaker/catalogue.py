"""
SageMaker's instance types: what each has, in which order they are offered, and what a stack's list of them means.

The facts are in ``instances.json``, which says from where and when they are; ``tools/instance_catalogue.py`` writes
it. There are no prices: they differ by region and contract, and are a stack's to give.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal

from airflow_provider_mlx.exceptions import Problem

JobKind = Literal["training", "processing"]
Accelerator = Literal["none", "nvidia", "neuron", "habana"]

FAMILIES: Final = (
    "m5", "m6i", "m7i", "m8i", "m7i-flex", "m8i-flex",
    "c5", "c6i", "c7i", "c8i", "c7i-flex", "c8i-flex",
    "r5", "r6i", "r7i", "r8i", "r8i-flex", "r5d",
    "g4dn", "g5", "g6", "g6e", "g7", "g7e",
    "trn1", "trn1n", "trn2",
)  # fmt: skip
"""Families in the order in which types of one size are offered: older ones first, since more regions have them."""

RELUCTANT: Final[Mapping[str, str]] = {
    "c4": "of a previous generation",
    "m4": "of a previous generation",
    "t3": "its CPU is lent by credits, and a job computes all the time",
    "c5n": "made for its network, which one job alone does not need",
    **dict.fromkeys(
        ("p2", "p3", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300", "p6e-gb200"),
        "made for the training of large models: whoever wants its GPUs names them",
    ),
}
"""Family → why it is offered after all other families with as many GPUs."""

ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "a100": ("A100", "A100-80GB"),  # both are A100s; who needs 80 GB says so
    "a100-40gb": ("A100",),
    "v100": ("V100", "V100-32GB"),
    "v100-16gb": ("V100",),
    "h100-80gb": ("H100",),
    "h200-141gb": ("H200",),
    "rtx-pro-server-6000": ("RTX-PRO-6000",),  # EC2's name
    "rtxpro6000": ("RTX-PRO-6000",),
    "rtxpro4500": ("RTX-PRO-4500",),
    "trainium1": ("Trainium",),
}
"""A model as a step may write it, in small letters → the models of the table that it means, where not itself alone."""


@dataclass(frozen=True)
class InstanceType:
    """
    What one machine of a type has.

    :param name: as ``ml.g5.xlarge``.
    :param memory_bytes: the machine's nominal memory. The system keeps a part that AWS does not document, so none is
        taken off.
    :param gpus: GPUs, or Neuron devices, as ``accelerator`` says.
    :param gpu_model: as a step writes it in ``gpu="L4:1"``; empty without accelerators.
    :param gpu_memory_bytes: of each of them.
    :param accelerator: whose software they need: CUDA, Neuron (Trainium and Inferentia), or Habana's.
    :param storage_bytes: of its NVMe disks together, which take the place of the volume (``VolumeSizeInGB``); 0 for
        none.
    :param efa_interfaces: network interfaces of the Elastic Fabric Adapter at most; 0 for none.
    :param jobs: the kinds of job that take it.
    """

    name: str
    vcpus: int
    memory_bytes: int
    gpus: int
    gpu_model: str
    gpu_memory_bytes: int
    accelerator: Accelerator
    storage_bytes: int
    efa_interfaces: int
    jobs: tuple[JobKind, ...]

    @property
    def gpu(self) -> str:
        """Its accelerators as a step asks for them, as ``L4:1``; empty for none."""
        return f"{self.gpu_model}:{self.gpus}" if self.gpus else ""

    @property
    def family(self) -> str:
        """The ``g5`` of ``ml.g5.xlarge``."""
        return self.name.split(".")[1]

    def is_model(self, model: str) -> bool:
        """Whether its accelerators are what ``model`` means; capitals do not count."""
        asked = model.casefold()
        return self.gpu_model.casefold() in {name.casefold() for name in ALSO.get(asked, (asked,))}


@dataclass(frozen=True)
class Catalogue:
    """
    Everything that ``instances.json`` holds.

    :param types: by name, in the order in which they are offered (:func:`offered_order`).
    :param without_facts: types that SageMaker takes and of which nothing is known, and the kinds of job.
    :param sources: where names and facts come from, and when.
    """

    types: Mapping[str, InstanceType]
    without_facts: Mapping[str, tuple[JobKind, ...]]
    sources: Mapping[str, str]


@functools.cache
def catalogue() -> Catalogue:
    """The table, read once."""
    text = resources.files(__package__).joinpath("instances.json").read_text(encoding="utf-8")
    table = json.loads(text)
    types = sorted((_instance_type(name, facts) for name, facts in table["types"].items()), key=offered_order)
    return Catalogue(
        types={each.name: each for each in types},
        without_facts={name: tuple(jobs) for name, jobs in table["without_facts"].items()},
        sources=table["sources"],
    )


def types_for(job: JobKind) -> tuple[InstanceType, ...]:
    """The types that a kind of job takes, in the order in which they are offered."""
    return tuple(each for each in catalogue().types.values() if job in each.jobs)


def offered_order(instance: InstanceType) -> tuple[object, ...]:
    """
    Sorts types as they are offered where nobody gives an order: few GPUs first, of these :data:`RELUCTANT` families
    last, then small GPUs, little memory, few vCPUs, and the order of :data:`FAMILIES`.

    It stands for cheap before dear without knowing a price.
    """
    family = instance.family
    rank = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
    accelerators = (instance.gpus, family in RELUCTANT, instance.gpu_memory_bytes)
    return (*accelerators, instance.memory_bytes, instance.vcpus, rank, family)


def listed_types(listed: Sequence[str], job: JobKind) -> tuple[InstanceType, ...]:
    """
    The types that a stack's list means, each once, in its order; what :func:`list_problems` finds is passed over.

    :param listed: names, and patterns as ``ml.g5.*``, which stand for all types that they match and that have facts.
    """
    offered = types_for(job)
    found = (each for entry in listed for each in offered if fnmatch.fnmatchcase(each.name, entry))
    return tuple(dict.fromkeys(found))


def list_problems(listed: Iterable[str], job: JobKind, key: str = "instances") -> list[Problem]:
    """
    What a stack's list of types names that cannot be meant.

    :param key: the target's key that holds the list.
    """
    known = {each.name for each in types_for(job)}
    unknown = dict.fromkeys(entry for entry in listed if not fnmatch.filter(known, entry))
    return [_unknown(entry, job, f"{key}: {entry}") for entry in unknown]


def _unknown(entry: str, job: JobKind, field: str) -> Problem:
    table = catalogue()
    if named := fnmatch.filter([name for name, jobs in table.without_facts.items() if job in jobs], entry):
        return Problem(
            f"{job} jobs take {', '.join(named)}, but what they have is not known, so no step can be fitted to them",
            "take it off the list; the target's `request_override` may still name it",
            field,
        )
    kinds = {name: each.jobs for name, each in table.types.items()} | dict(table.without_facts)
    if elsewhere := fnmatch.filter(kinds, entry):
        other = kinds[elsewhere[0]][0]
        return Problem(f"only {other} jobs take {', '.join(elsewhere)}", f"use a target of {other} jobs", field)
    families = sorted({f"ml.{each.family}.*" for each in types_for(job)})
    if "*" in entry:
        what, names = f"no instance type matches `{entry}`", families
    else:
        what, names = f"there is no instance type `{entry}`", [each.name for each in types_for(job)]
    near = nearest_name(entry, names)
    return Problem(what, f"did you mean `{near}`?" if near else f"{job} jobs take {', '.join(families)}", field)


def nearest_name(name: str, names: Iterable[str]) -> str:
    """The name that is most like one that is none; empty if none is alike."""
    return next(iter(difflib.get_close_matches(name, list(names), 1)), "")


def _instance_type(name: str, facts: Mapping[str, Any]) -> InstanceType:
    return InstanceType(
        name=name,
        vcpus=facts["vcpus"],
        memory_bytes=facts["memory_mib"] * 2**20,
        gpus=facts.get("gpus", 0),
        gpu_model=facts.get("gpu_model", ""),
        gpu_memory_bytes=facts.get("gpu_memory_mib", 0) * 2**20,
        accelerator=facts.get("accelerator", "none"),
        storage_bytes=facts.get("storage_gb", 0) * 10**9,
        efa_interfaces=facts.get("efa_interfaces", 0),
        jobs=tuple(facts["jobs"]),
    )
