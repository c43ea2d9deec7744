"""
Which instance type a step runs on, and how large its disk is: pure, from what the step asks for and the target offers.

A type fits if it has at least what is asked: the vCPUs, the memory, the GPUs of that very model (any NVIDIA model if
none is named), and the disk, where its own NVMe takes the place of a volume. Of those that fit:

1. The target's ``prices`` (USD per hour) decide: the cheapest, and of equals the first. Types without a price come
   after all others.
2. Without prices, the first of the target's ``instances``: their order is a preference, also over a smaller machine.
3. Without ``instances``, the first of all types for that kind of job in :func:`catalogue.offered_order`. Types with
   accelerators are then offered only to steps that ask for them.

We bring no prices, and the third rule knows none: whoever minds them gives ``instances`` or ``prices``.

Sources: the texts of ``ResourceConfig`` and ``ProcessingClusterConfig`` in SageMaker's API reference, read 2026-11-26.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.step.resources import Gpu, Resources

from .catalogue import InstanceType, JobKind, catalogue, list_problems, listed_types, nearest_name, types_for

LARGEST_VOLUME_GB: Final = 16_384
"""
The most of ``VolumeSizeInGB``, by ``ProcessingVolumeSizeInGB`` in the service model.

It is the limit of an EBS volume of type gp2 in GiB, and so a GB is read as 2³⁰ bytes.
https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
"""

_GIB: Final = 2**30
_GB: Final = 10**9
_NO_PRICES: Final[Mapping[str, float]] = {}
_OTHER_MODEL: Final = 1.0
_OTHER_SOFTWARE: Final = 3.0
_NO_GPU: Final = 5.0
"""What a type's GPUs lack at least, beside the count (up to one) and the memory of a model (up to one)."""


@dataclass(frozen=True)
class _Need:
    """
    One field that a step asks for.

    :param name: of the field of ``Resources``.
    :param asked: as the step writes it.
    :param shortfall: 0 if a type has it, else how far it is from it.
    :param has: what a type has of it, for people.
    """

    name: str
    asked: object
    shortfall: Callable[[InstanceType], float]
    has: Callable[[InstanceType], str]

    @property
    def field(self) -> str:
        """As ``cpu=8``."""
        return f"{self.name}={self.asked!r}"


@dataclass(frozen=True)
class _Offer:
    """
    What a step may be given.

    :param types: in the order in which they are offered.
    :param listed: whether the target lists them, or they are all that the kind of job takes.
    """

    types: tuple[InstanceType, ...]
    job: JobKind
    listed: bool

    def fitting(self, needs: Sequence[_Need]) -> list[InstanceType]:
        return [each for each in self.types if _fits(each, needs)]


def choose_instance(
    resources: Resources, *, job: JobKind, allowed: Sequence[str] = (), prices: Mapping[str, float] = _NO_PRICES
) -> InstanceType:
    """
    The type that a step's machines are of.

    :param allowed: the target's ``instances``; empty for all that the kind of job takes.
    :param prices: USD per hour by type's name.
    :raises InvalidStep: :func:`instance_problems` finds something.
    """
    if problems := instance_problems(resources, job=job, allowed=allowed, prices=prices):
        raise InvalidStep("no instance type can be chosen", problems)
    fitting = _offer(resources, job, allowed).fitting(_needs(resources))
    return min(fitting, key=lambda each: prices.get(each.name, math.inf))  # of equals, the first


def instance_problems(
    resources: Resources, *, job: JobKind, allowed: Sequence[str] = (), prices: Mapping[str, float] = _NO_PRICES
) -> list[Problem]:
    """
    Everything because of which no type can be chosen.

    Where ``allowed`` names a type that does not exist, what fits is judged by all types: the misspelt one may be it.
    """
    faults = list_problems(allowed, job)
    wanted = _share_problems(resources) + _model_problems(resources)
    needs = [need for need in _needs(resources) if not (wanted and need.name == "gpu")]
    misses = _misses(needs, _offer(resources, job, () if faults else allowed))
    return faults + _price_problems(prices) + wanted + misses


def volume_gb(resources: Resources, instance: InstanceType, default: int) -> int:
    """
    ``VolumeSizeInGB``: the step's ``disk`` rounded up, else ``default``.

    For a type with NVMe of its own SageMaker makes no volume and mounts that; a number over its size is refused by
    processing jobs, which must give one, so it is at most that.

    :raises InvalidStep: :func:`volume_problems` finds something.
    """
    if problems := volume_problems(resources, instance):
        raise InvalidStep("the disk cannot be had", problems)
    wanted = resources.disk_bytes
    size = default if wanted is None else -(-wanted // _GIB)
    return min(size, instance.storage_bytes // _GB) if instance.storage_bytes else size


def volume_problems(resources: Resources, instance: InstanceType) -> list[Problem]:
    """Whether a type that somebody chose, as by ``request_override``, can have the disk that a step asks for."""
    return [
        Problem(
            f"{instance.name} has {need.has(instance)}" + ("" if instance.storage_bytes else " at most"),
            "ask for less, or for an instance type with "
            + ("more storage, or with none of its own: it gets a volume" if instance.storage_bytes else "such storage"),
            need.field,
        )
        for need in _needs(Resources(disk=resources.disk))
        if need.shortfall(instance)
    ]


def _offer(resources: Resources, job: JobKind, allowed: Sequence[str]) -> _Offer:
    if allowed:
        return _Offer(listed_types(allowed, job), job, listed=True)
    return _Offer(tuple(each for each in types_for(job) if resources.gpus or not each.gpus), job, listed=False)


def _fits(instance: InstanceType, needs: Iterable[_Need]) -> bool:
    return not any(need.shortfall(instance) for need in needs)


def _needs(resources: Resources) -> list[_Need]:
    cores, memory, disk, gpus = resources.cpu_cores, resources.memory_bytes, resources.disk_bytes, resources.gpus
    needs = []
    if cores is not None:
        needs.append(_Need("cpu", resources.cpu, _short(cores, lambda each: each.vcpus), _vcpus))
    if memory is not None:
        needs.append(_Need("memory", resources.memory, _short(memory, lambda each: each.memory_bytes), _memory))
    if disk is not None:
        needs.append(_Need("disk", resources.disk, _short(disk, _room), _disk))
    if gpus is not None:
        needs.append(_Need("gpu", resources.gpu, _short_of_gpus(gpus), lambda each: each.gpu))
    return needs


def _short(wanted: float, amount: Callable[[InstanceType], int]) -> Callable[[InstanceType], float]:
    return lambda each: max(0.0, 1 - amount(each) / wanted)


def _short_of_gpus(gpus: Gpu) -> Callable[[InstanceType], float]:
    """Code for a GPU without a model is code for CUDA; whoever wants Trainium says so."""
    model = gpus.model
    of_model = next((each for each in catalogue().types.values() if model and each.is_model(model)), None)
    accelerator, memory = (of_model.accelerator, of_model.gpu_memory_bytes) if of_model else ("nvidia", 1)

    def shortfall(each: InstanceType) -> float:
        if not each.gpus:
            return _NO_GPU
        too_few = max(0.0, 1 - each.gpus / gpus.count)
        if each.accelerator != accelerator:
            return _OTHER_SOFTWARE + too_few
        if model and not each.is_model(model):
            unlike = 1 - min(memory, each.gpu_memory_bytes) / max(memory, each.gpu_memory_bytes)
            return _OTHER_MODEL + unlike + too_few
        return too_few

    return shortfall


def _room(instance: InstanceType) -> int:
    return instance.storage_bytes or LARGEST_VOLUME_GB * _GIB


def _vcpus(instance: InstanceType) -> str:
    return f"{instance.vcpus} vCPUs"


def _memory(instance: InstanceType) -> str:
    return f"{instance.memory_bytes / _GIB:g} GiB"


def _disk(instance: InstanceType) -> str:
    own = instance.storage_bytes
    return f"{own // _GB} GB of its own storage" if own else f"a volume of {LARGEST_VOLUME_GB} GiB"


def _share_problems(resources: Resources) -> list[Problem]:
    gpus = resources.gpus
    if gpus is None or gpus.count >= 1:
        return []
    whole = f'gpu="{gpus.model}:1"' if gpus.model else "gpu=1"
    return [
        Problem(
            "an instance's GPUs are whole, and its job has them all",
            f"ask for {whole}, or use a kubernetes target with `scheduler: kai`, which shares GPUs",
            f"gpu={resources.gpu!r}",
        )
    ]


def _model_problems(resources: Resources) -> list[Problem]:
    """A model that no type has at all, whatever the target offers."""
    gpus, types = resources.gpus, catalogue().types.values()
    if gpus is None or gpus.model is None or any(each.is_model(gpus.model) for each in types):
        return []
    models = sorted({each.gpu_model for each in types if each.gpus})
    near = nearest_name(gpus.model.upper(), models)
    meant = f"did you mean `{near}`? " if near else ""
    what = f"no instance type has a GPU model `{gpus.model}`"
    return [Problem(what, f"{meant}there are {', '.join(models)}", f"gpu={resources.gpu!r}")]


def _price_problems(prices: Iterable[str]) -> list[Problem]:
    table = catalogue()
    known = [*table.types, *table.without_facts]
    return [
        Problem(
            f"there is no instance type `{name}`",
            f"did you mean `{near}`?" if (near := nearest_name(name, known)) else "prices are by type, as ml.g5.xlarge",
            f"prices: {name}",
        )
        for name in prices
        if name not in known
    ]


def _misses(needs: Sequence[_Need], offer: _Offer) -> list[Problem]:
    """Why nothing fits: a problem for each field that no type has, else one for all of them together."""
    if offer.fitting(needs):
        return []
    alone: list[Sequence[_Need]] = [[need] for need in needs if not offer.fitting([need])]
    return [_miss(missed, needs, offer) for missed in alone or [needs]]


def _miss(missed: Sequence[_Need], needs: Sequence[_Need], offer: _Offer) -> Problem:
    who = "none of the target's instances" if offer.listed else f"no instance type of {offer.job} jobs"
    if not offer.listed and not any(each.gpus for each in offer.types):
        who += " without a GPU"
    near = _nearest(missed, needs, offer)
    shown = ", ".join(f"{each.name} ({_what(each, missed)})" for each in near)
    return Problem(
        f"{who} has {'it' if len(missed) == 1 else 'all of it'}" + (f"; nearest: {shown}" if near else ""),
        ", or ".join(_ways_out(missed, needs, near, offer)),
        ", ".join(need.field for need in missed),
    )


def _nearest(missed: Sequence[_Need], needs: Sequence[_Need], offer: _Offer) -> list[InstanceType]:
    """Up to three types that lack least, and not two that lack the same."""

    def lacks(each: InstanceType) -> tuple[float, float]:
        return (sum(need.shortfall(each) for need in missed), sum(need.shortfall(each) for need in needs))

    near: dict[str, InstanceType] = {}
    for each in sorted(offer.types, key=lacks):
        if lacks(each)[0] < _NO_GPU:
            near.setdefault(_what(each, missed), each)
    return list(near.values())[:3]


def _what(instance: InstanceType, needs: Sequence[_Need]) -> str:
    """What a type has of some fields, and its GPUs in any case."""
    parts = [need.has(instance) or "no GPU" for need in needs]
    return ", ".join(dict.fromkeys([*parts, instance.gpu] if instance.gpu else parts))


def _ways_out(
    missed: Sequence[_Need], needs: Sequence[_Need], near: Sequence[InstanceType], offer: _Offer
) -> list[str]:
    ways = ["ask for less"]
    if [need.name for need in missed] == ["gpu"]:
        ways = [_nearest_gpu(missed[0], near[0])] if near else []
    others = [each for each in catalogue().types.values() if each not in offer.types and _fits(each, missed)]
    best = min(others, key=lambda each: (offer.job not in each.jobs, not _fits(each, needs)), default=None)
    if best is None:
        return ways or ["leave `gpu` out"]
    has = f"{best.name} ({_what(best, missed)})"
    if offer.job in best.jobs:
        return [*ways, f"list an instance that has it in the target's `instances`, as {has}"]
    return [*ways, f"use a target of {best.jobs[0]} jobs, which take {has}"]


def _nearest_gpu(need: _Need, near: InstanceType) -> str:
    if need.shortfall(near) < _OTHER_MODEL:
        return f"ask for {near.gpu} on each of more `nodes`"
    return f"ask for {near.gpu}"
