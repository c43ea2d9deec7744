"""The hardware that a step asks for: one object, mapped in full by every backend, or refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Final

from airflow_provider_mlx.exceptions import InvalidStep, Problem

from .quantities import parse_bytes, parse_quantity

LAUNCHERS: Final = ("none", "torchrun")

_GPU_MODEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Gpu:
    """How many GPUs, and of which model (``None``: any). A count below one is a share of one GPU."""

    count: float
    model: str | None = None


@dataclass(frozen=True)
class Resources:
    """
    What a step needs; every field left out takes the target's value, then the backend's default.

    :param cpu: cores, as ``2``, ``0.5`` or ``"500m"``.
    :param memory: a Kubernetes quantity, as ``"16Gi"``.
    :param gpu: a count (``2``), a share of one GPU (``0.5``), or a model with its count (``"L4:1"``).
    :param shm: size of ``/dev/shm``, as ``"8Gi"``.
    :param disk: scratch space, as ``"100Gi"``.
    :param nodes: machines; each gets the amounts above.
    :param launcher: ``"torchrun"`` runs the function once per process with RANK, WORLD_SIZE, LOCAL_RANK and
        MASTER_ADDR set, and only global rank 0 returns; ``"none"`` runs it once per node.
    :param spot: machines that the cloud may take back.
    :param timeout: limit for the running time, as ``"4h"`` or seconds; queueing does not count.
    :param priority: name of the backend's own priority class.

    Strings may be Jinja templates; what is literal is checked when the DAG is parsed, the rest after rendering.
    """

    cpu: float | str | None = None
    memory: str | None = None
    gpu: float | str | None = None
    shm: str | None = None
    disk: str | None = None
    nodes: int | str | None = None
    launcher: str | None = None
    spot: bool | str | None = None
    timeout: str | float | timedelta | None = None
    priority: str | None = None

    def __post_init__(self) -> None:
        problems = self.problems()
        if problems:
            raise InvalidStep("these resources cannot be asked for", problems)

    def problems(self) -> list[Problem]:
        """Everything that is wrong with the literal fields; templates are passed over."""
        found = []
        for name, reader in _READERS.items():
            value = getattr(self, name)
            if value is None or is_template(value):
                continue
            try:
                reader(value)
            except (ValueError, TypeError) as error:
                found.append(Problem(str(error), field=f"{name}={value!r}"))
        return found

    def to_wire(self) -> dict[str, Any]:
        """The fields that are set, as plain JSON in the order of their names."""
        fields_set = {name: value for name in sorted(_NAMES) if (value := getattr(self, name)) is not None}
        if isinstance(self.timeout, timedelta):
            fields_set["timeout"] = self.timeout.total_seconds()
        return fields_set

    def serialize(self) -> dict[str, Any]:
        """Airflow shows and stores template fields by this method."""
        return self.to_wire()

    @classmethod
    def from_wire(cls, value: Mapping[str, Any] | Resources | None) -> Resources:
        """
        Read resources from a mapping, as a stack file or a rendered template field holds them.

        :raises InvalidStep: a field is unknown or cannot be read.
        """
        if value is None:
            return cls()
        if isinstance(value, Resources):
            return value
        unknown = [
            Problem(
                f"there is no resource `{key}`",
                f"did you mean `{near[0]}`?"
                if (near := difflib.get_close_matches(str(key), _NAMES, 1))
                else f"the fields are {', '.join(_NAMES)}",
            )
            for key in value
            if key not in _NAMES
        ]
        if unknown:
            raise InvalidStep("these resources cannot be asked for", unknown)
        return cls(**value)

    def over(self, default: Resources) -> Resources:
        """These resources, with ``default`` for every field that is not set."""
        return Resources(**{**default.to_wire(), **self.to_wire()})

    @property
    def cpu_cores(self) -> float | None:
        """Cores as a number."""
        return None if self.cpu is None else parse_cpu(self.cpu)

    @property
    def memory_bytes(self) -> int | None:
        """Memory in bytes."""
        return None if self.memory is None else parse_bytes(self.memory)

    @property
    def shm_bytes(self) -> int | None:
        """Shared memory in bytes."""
        return None if self.shm is None else parse_bytes(self.shm)

    @property
    def disk_bytes(self) -> int | None:
        """Scratch space in bytes."""
        return None if self.disk is None else parse_bytes(self.disk)

    @property
    def gpus(self) -> Gpu | None:
        """GPUs as a count and a model; ``None`` if none are asked for."""
        wanted = None if self.gpu is None else parse_gpu(self.gpu)
        return None if wanted is None or wanted.count == 0 else wanted

    @property
    def node_count(self) -> int:
        """Machines; one unless asked otherwise."""
        return 1 if self.nodes is None else parse_nodes(self.nodes)

    @property
    def wants_spot(self) -> bool:
        """Whether machines that can be taken back are asked for."""
        return False if self.spot is None else parse_flag(self.spot)

    @property
    def time_limit(self) -> timedelta | None:
        """The limit for the running time."""
        return None if self.timeout is None else parse_timeout(self.timeout)


def is_template(value: object) -> bool:
    """Whether Airflow will render this value before the step runs."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def parse_cpu(value: float | str) -> float:
    """
    Read a number of cores.

    :raises ValueError: it is not a positive quantity.
    """
    cores = float(parse_quantity(value))
    if cores <= 0:
        raise ValueError(f"{value!r} cores is nothing; ask for 500m or more, or leave cpu out")
    return cores


def parse_gpu(value: float | str) -> Gpu:
    """
    Read ``2``, ``0.5``, ``"L4"`` or ``"L4:2"``.

    :raises ValueError: the count is not a whole number or a share below one, or the model is no name.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a GPU; write 2, 0.5, L4 or L4:2")
    model, _, count = str(value).rpartition(":") if ":" in str(value) else ("", "", str(value))
    if not model and _GPU_MODEL.fullmatch(count):
        model, count = count, "1"
    try:
        number = float(count)
    except ValueError:
        raise ValueError(f"{value!r} is not a GPU; write 2, 0.5, L4 or L4:2") from None
    if not 0 <= number < 1_000 or (number > 1 and number != int(number)):
        raise ValueError(f"{count} GPUs cannot be had; ask for a whole number, or for a share below 1")
    if not model and ":" in str(value):
        raise ValueError(f"{value!r} is not a GPU; write 2, 0.5, L4 or L4:2")
    if model and not _GPU_MODEL.fullmatch(model):
        raise ValueError(f"{model!r} is no name of a GPU model; write it like L4, A100-80GB or H100")
    return Gpu(number, model or None)


def parse_nodes(value: int | str) -> int:
    """
    Read a number of machines.

    :raises ValueError: it is not a whole number from 1.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", str(value).strip()):
        raise ValueError(f"{value!r} is no whole number of nodes")
    count = int(value)
    if count < 1:
        raise ValueError("a step needs at least one node")
    return count


def parse_flag(value: object) -> bool:
    """
    Read a yes or no, as a rendered template gives it.

    :raises ValueError: it is neither.
    """
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is neither true nor false")
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False, "none": False}
    if (word := value.strip().lower()) not in known:
        raise ValueError(f"{value!r} is neither true nor false")
    return known[word]


_UNITS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_timeout(value: str | float | timedelta) -> timedelta:
    """
    Read a duration: seconds, or a number with s, m, h or d, as ``"90s"`` and ``"1h30m"``.

    :raises ValueError: it is not a duration above zero.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    text = str(value).strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        try:
            seconds = float(text)
        except ValueError:
            raise ValueError(f"{value!r} is not a duration; write seconds, or 90s, 15m, 4h, 2d") from None
    if not 0 < seconds <= 366 * 86_400:
        raise ValueError(f"{value!r} is not a duration between one second and a year")
    return timedelta(seconds=seconds)


def _parse_name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is no name")
    return value


def _parse_launcher(value: str) -> str:
    if value not in LAUNCHERS:
        raise ValueError(f"{value!r} is no launcher; there are {' and '.join(LAUNCHERS)}")
    return value


_READERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "cpu": parse_cpu,
    "memory": parse_bytes,
    "gpu": parse_gpu,
    "shm": parse_bytes,
    "disk": parse_bytes,
    "nodes": parse_nodes,
    "launcher": _parse_launcher,
    "spot": parse_flag,
    "timeout": parse_timeout,
    "priority": _parse_name,
}

_NAMES: Final = tuple(field.name for field in fields(Resources))
