"""
What a function reaches in its module, and what of that a job cannot have.

Names are followed from the function through helpers, classes and constants, each by the module's own bindings; nothing
stops at the first problem, so that all of them are told together.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Final

from airflow_provider_mlx.exceptions import Problem

from .module import (
    Definition,
    Module,
    Unit,
    airflow_names,
    cut_units,
    enclosing_names,
    module_units,
    own_nodes,
)
from .names import BUILTINS, CARRIED_NAMES, Alias, Function, line_of, nearest, root_name

# Names that every module has. `__name__` is mostly a logger's name; the others tell of the slice, not of the DAG file.
_MODULE_NAMES: Final = frozenset({"__file__", "__doc__", "__spec__", "__package__", "__loader__", "__path__"})


class Found:
    """What was reached, what stands against it, and what differs in the job."""

    def __init__(self) -> None:
        self.units: dict[Unit, None] = {}
        self.problems: dict[str, Problem] = {}
        self.warnings: dict[str, None] = {}
        self.needs_airflow = False

    def add(self, other: Found) -> None:
        self.units.update(other.units)
        self.problems.update(other.problems)
        self.warnings.update(other.warnings)


def wanted_by(unit: Unit) -> list[tuple[str, Unit]]:
    """The names a unit needs; one that it only assigns through ``global`` needs its first value, if there is one."""
    return [(name, unit) for name in sorted(unit.facts.reads | unit.facts.writes)]


class Reach:
    """The names of one module, as seen from one function."""

    def __init__(self, module: Module, definition: Definition, origin: str) -> None:
        self.module, self.definition, self.origin = module, definition, origin
        self.name = definition.node.name
        self.units, self.unavailable = module_units(module, definition)
        self.by_name: dict[str, list[Unit]] = {}
        for unit in self.units:
            for name in unit.facts.binds:
                self.by_name.setdefault(name, []).append(unit)
        bodies = [statement for function in definition.functions for statement in function.body]
        imports = [n for s in bodies for n in own_nodes(s) if isinstance(n, ast.Import | ast.ImportFrom)]
        self.enclosing = enclosing_names(definition)
        self.enclosing_imports = {unit.alias.name: unit for unit in cut_units(module, imports) if unit.alias}
        self.airflow = airflow_names([*module.tree.body, *bodies]) if bodies else module.airflow
        self.stars = module.stars

    def at(self, line: int | None) -> str:
        """A place for messages, ``dags/churn.py:41``."""
        return f"{self.origin}:{line}" if line else self.origin

    def follow(self, wanted: Iterable[tuple[str, Unit]], step: Unit | None) -> Found:
        """Everything that the wanted names need at run time; nothing stops at the first problem."""
        found, seen = Found(), set[tuple[str, bool]]()
        queue = list(wanted)
        missing: list[tuple[str, Unit]] = []
        if step:
            self._check_imports(step, found)
        while queue:
            name, asker = queue.pop()
            if (name, asker is step) in seen:
                continue
            seen.add((name, asker is step))
            if name == self.name and step is not None:
                self._check_own_name(asker, step, found)
                continue
            units = self._meaning(name, asker, step, found)
            if units == [] and name in asker.facts.reads:
                missing.append((name, asker))
            for unit in [*(units or ()), *self._mutations(name, units or (), found)]:
                if unit not in found.units and self._admit(unit, name, asker, found):
                    found.units[unit] = None
                    queue += wanted_by(unit)
        written = {name for unit in (*found.units, *([step] if step else ())) for name in unit.facts.writes}
        for name, asker in missing:
            if name not in written:
                self._not_found(name, asker, found)
        self._check_clashes(found)
        self._check_own_package([*found.units, *([step] if step else ())], found)
        return found

    def _meaning(self, name: str, asker: Unit, step: Unit | None, found: Found) -> list[Unit] | None:
        """The units that bind a name where it is used; None if it is a problem that was told."""
        place = self.at(line_of(asker.nodes, name))
        if asker is step and name in self.enclosing_imports:
            return [self.enclosing_imports[name]]
        if asker is step and name in self.enclosing:
            what = f"{place}: `{name}` is local to the function around `{self.name}` (line {self.enclosing[name]})"
            found.problems[f"enclosing {name}"] = Problem(what, "pass it as an argument, or move it to module level")
            return None
        if name in self.unavailable and name not in self.by_name:
            line = self.unavailable[name]
            what = f"{place}: `{name}` is bound by the block around `{self.name}` (line {line}), which stays behind"
            found.problems[f"block {name}"] = Problem(what, "pass it as an argument")
            return None
        units = self.by_name.get(name, [])
        return [unit for unit in units if not unit.typing_only] or units

    def _mutations(self, name: str, units: Sequence[Unit], found: Found) -> list[Unit]:
        """The statements that change a module's variable after it was made: carried along, and said."""
        mutations = [unit for unit in self.units if name in unit.mutates and unit not in units] if units else []
        imported = all(unit.alias for unit in units)
        verb = "is not carried: do it inside the function" if imported else "runs again in the job"
        for unit in mutations:
            place = self.at(unit.first_line)
            found.warnings[f"{place}: `{name}` is changed when the DAG file is loaded; this {verb}"] = None
        return [] if imported else mutations

    def _admit(self, unit: Unit, name: str, asker: Unit, found: Found) -> bool:
        """Whether the job can have the unit."""
        place = self.at(line_of(asker.nodes, name))
        node = unit.nodes[0] if unit.nodes else None
        decorators = node.decorator_list if isinstance(node, Function) else []
        if any(root_name(decorator) in self.airflow for decorator in decorators):
            what = f"{place}: `{name}` is an Airflow task or DAG itself (line {unit.first_line})"
            remedy = "pass its result as an argument, or move its body into a plain function"
            found.problems[f"task {name}"] = Problem(what, remedy)
            found.needs_airflow = True
        elif unit.alias and unit.alias.needs_airflow:
            self._refuse_airflow(unit.alias, place, found)
        else:
            self._check_imports(unit, found)
            return True
        return False

    def _check_imports(self, unit: Unit, found: Found) -> None:
        for alias in unit.aliases:
            if alias.needs_airflow and not alias.guarded:
                self._refuse_airflow(alias, self.at(alias.line), found)
            if alias.level:
                what = f"{self.at(alias.line)}: `{alias.render()}` is relative, and the file lies in no package we know"
                found.problems[f"relative {alias.line}"] = Problem(what, "import by the full name of the module")

    def _check_own_name(self, asker: Unit, step: Unit, found: Found) -> None:
        """The step may be named by itself and by helpers, but the slice must not run it while it is loaded."""
        place = self.at(line_of(asker.nodes, self.name))
        if asker is not step and not self.definition.functions and not asker.is_definition:
            what = f"{place}: this uses the step `{self.name}` when the DAG file is loaded, and is needed by the step"
            found.problems[f"call {self.name}"] = Problem(what, "pass what the step needs as an argument")
        if asker is not step and self.definition.functions and self.by_name.get(self.name):
            what = f"{place}: `{self.name}` is another function there than the step of the same name"
            found.problems[f"clash {self.name}"] = Problem(what, "rename one of the two")

    def _check_clashes(self, found: Found) -> None:
        """An import of the enclosing function becomes one of the slice, where it may meet a name of the module."""
        for name, unit in self.enclosing_imports.items():
            if unit in found.units and any(name in other.facts.binds and other is not unit for other in found.units):
                what = f"{self.at(unit.first_line)}: `{name}` means another thing here than at module level"
                found.problems[f"clash {name}"] = Problem(what, "rename one of the two")

    def _check_own_package(self, units: Sequence[Unit], found: Found) -> None:
        """``import airflow_provider_mlx``: the package is in the job, most of its names are not."""
        names = {a.name for u in units for a in u.aliases if a.dotted == "airflow_provider_mlx"}
        nodes = [n for unit in units for top in unit.nodes for n in ast.walk(top) if isinstance(n, ast.Attribute)]
        for node in nodes:
            if root_name(node.value) in names and isinstance(node.value, ast.Name) and node.attr not in CARRIED_NAMES:
                alias = Alias(node.attr, "airflow_provider_mlx", node.attr, None, node.lineno)
                self._refuse_airflow(alias, self.at(node.lineno), found)

    def _refuse_airflow(self, alias: Alias, place: str, found: Found) -> None:
        found.needs_airflow = True
        what = f"{place}: `{alias.name}` is `{alias.dotted}` (imported in line {alias.line}), and a job has no Airflow"
        remedy = "pass what you need from it as an argument (ds, run_id, params and others can be parameters)"
        if alias.module.startswith("airflow_provider_mlx"):
            remedy = f"a job has {', '.join(sorted(CARRIED_NAMES))} of airflow_provider_mlx; use the rest in the DAG"
        found.problems[f"airflow {alias.dotted}"] = Problem(what, remedy)

    def _not_found(self, name: str, asker: Unit, found: Found) -> None:
        place = self.at(line_of(asker.nodes, name))
        if name in _MODULE_NAMES:
            found.warnings[f"{place}: `{name}` is the slice's in the job, not the DAG file's"] = None
        elif name not in BUILTINS and self.stars:
            star = self.stars[0]
            what = f"{place}: `{name}` may come from `from {star.module} import *` (line {star.line})"
            found.problems[f"missing {name}"] = Problem(what, f"import it by name: `from {star.module} import {name}`")
        elif name not in BUILTINS:
            guess = nearest(name, self.by_name)
            remedy = f"did you mean `{guess}`?" if guess else "import it, define it, or pass it as an argument"
            found.problems[f"missing {name}"] = Problem(f"{place}: `{name}` cannot be found in the file", remedy)

    def in_annotations(self, step: Unit, needed: Found) -> dict[Unit, None]:
        """What only annotations name: carried where it can be, left out silently where not."""
        optional = Found()
        queue, seen = [(name, unit) for unit in (step, *needed.units) for name in unit.annotations], set[str]()
        while queue:
            name, asker = queue.pop()
            units = None if name in seen else self._meaning(name, asker, step, Found())
            seen.add(name)
            for unit in units or ():
                trial = Found()
                if unit in needed.units or unit in optional.units or not self._admit(unit, name, asker, trial):
                    continue
                trial.add(self.follow(wanted_by(unit), None))
                if not trial.problems:
                    optional.add(trial)
                    optional.units[unit] = None
                    queue += [(other, reached) for reached in (unit, *trial.units) for other in reached.annotations]
        return {unit: None for unit in optional.units if unit not in needed.units}
