"""
What was told at an attempt's start, kept in its folder as ``lineage-start``.

Whoever tells of its end, if only after the task is gone, says the same: the same run below the same parent, of the same
code. Plain JSON, and no secret: it holds what the event has said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .code import CodeFacts
from .events import ChildRun
from .names import RunName


@dataclass(frozen=True)
class Told:
    """
    Who the run of an attempt is, and what its ledger does not say.

    :param resources: what the step asks for, in wire form.
    """

    child: ChildRun
    resources: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None
    code: CodeFacts = field(default_factory=CodeFacts)

    def to_bytes(self) -> bytes:
        """The object's content."""
        child, root = self.child, self.child.root
        value = {
            "run": vars(child.run), "parent": vars(child.parent), "root": vars(root) if root else None,
            "resources": dict(self.resources), "image": self.image, "code": self.code.to_wire(),
        }  # fmt: skip
        return json.dumps(value, default=str).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Told:
        """
        What :meth:`to_bytes` made.

        :raises ValueError: it is something else.
        """
        try:
            value = json.loads(data)
            root = RunName(**value["root"]) if value["root"] else None
            child = ChildRun(RunName(**value["run"]), RunName(**value["parent"]), root)
            return cls(child, dict(value["resources"]), value["image"], CodeFacts.from_wire(value["code"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it does not say what was told: {type(error).__name__}") from error
