"""A slice, run where Airflow cannot be imported, returns what the function returns in the DAG file."""

from __future__ import annotations

import builtins
import dis
import sys
import textwrap
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.step.slicing import SourceSlice, slice_function

HEAD = "from airflow.sdk import DAG, dag, task, setup, teardown, Variable\n"


class _Decorator:
    """Stands for `task`, `task.mlx`, `setup`, …: with or without arguments, it records the function it decorates."""

    def __init__(self, steps: list[Callable[..., Any]]) -> None:
        self.steps = steps

    def __getattr__(self, name: str) -> _Decorator:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and callable(args[0]) and not isinstance(args[0], _Decorator):
            self.steps.append(args[0])
            return args[0]
        return self

    def __enter__(self) -> _Decorator:
        return self

    def __exit__(self, *_: object) -> None: ...


def run_dag_file(source: str, monkeypatch: pytest.MonkeyPatch, name: str = "step") -> Callable[..., Any]:
    """The function as Airflow would find it: the DAG file is executed, with a stand-in for Airflow."""
    steps: list[Callable[..., Any]] = []
    sdk = types.ModuleType("airflow.sdk")
    for word in ("DAG", "task", "setup", "teardown", "Variable", "TaskGroup"):
        setattr(sdk, word, _Decorator(steps))
    sdk.dag = lambda *args, **_: args[0] if args else lambda function: function  # type: ignore[attr-defined]
    for module, value in {"airflow": types.ModuleType("airflow"), "airflow.sdk": sdk}.items():
        monkeypatch.setitem(sys.modules, module, value)
    dag_file = types.ModuleType("dag_file")
    monkeypatch.setitem(sys.modules, "dag_file", dag_file)
    exec(compile(source, "dag_file.py", "exec"), dag_file.__dict__)
    return [step for step in steps if step.__name__ == name][-1]


def code_of(function: Callable[..., Any]) -> types.CodeType:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function.__code__


def slice_of(source: str, function: Callable[..., Any], **more: Any) -> SourceSlice:
    code = code_of(function)
    return slice_function(
        source, filename="dag_file.py", qualname=code.co_qualname, first_line=code.co_firstlineno, **more
    )


def load_slice(source: SourceSlice, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    for name in ("airflow", "airflow.sdk"):
        monkeypatch.setitem(sys.modules, name, None)
    module = types.ModuleType("mlx_step_source")
    monkeypatch.setitem(sys.modules, "mlx_step_source", module)
    exec(compile(source.text, "mlx_step_source.py", "exec"), module.__dict__)
    return module.__dict__[source.function]  # type: ignore[no-any-return]


def cut(text: str, name: str = "step", **more: Any) -> SourceSlice:
    """Slice the (last) function of that name out of a DAG file that is never executed."""
    source = HEAD + textwrap.dedent(text)
    code = [c for c in _codes(compile(source, "dag_file.py", "exec")) if c.co_name == name][-1]
    return slice_function(
        source, filename="dag_file.py", qualname=code.co_qualname, first_line=code.co_firstlineno, **more
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def refusal(text: str, name: str = "step", **more: Any) -> str:
    with pytest.raises(InvalidStep) as caught:
        cut(text, name, **more)
    return str(caught.value)


def case(sentence: str, text: str) -> Any:
    return pytest.param(textwrap.dedent(text).strip("\n") + "\n", id=sentence)


RUNS_THE_SAME = [
    case(
        "decorators of Airflow are dropped: with arguments over lines, aliased, assigned, stacked",
        """
        from airflow.sdk import task as t
        import functools
        t2 = task
        gpu = functools.partial(task.mlx, gpu=1)
        step_of_team = task.mlx(cpu=2)
        @setup
        @gpu()
        @t2.mlx
        @t.run_if(lambda context: ")")
        @step_of_team
        @task.mlx(
            # a comment with ) and @
            requirements=["pandas"],
        )
        # another comment
        def step(): return 1
        """,
    ),
    case(
        "decorators of the user below Airflow's are kept, with what they reach",
        """
        import functools
        FACTOR = 3
        def thrice(function):
            @functools.wraps(function)
            def inner(*args): return FACTOR * function(*args)
            return inner
        @task.mlx
        @thrice
        @functools.cache
        def step(): return 7
        """,
    ),
    case(
        "a factory of the file that makes Airflow decorators is one of them",
        """
        def gpu_step(function): return task.mlx(gpu=1)(function)
        @gpu_step
        def step(): return 5
        """,
    ),
    case(
        "text at column zero inside triple quotes keeps its place in a nested function",
        '''
        @dag(schedule=None)
        def churn():
            @task.mlx
            def step():
                text = """
        zero
            # not a comment
          two"""
                # a comment
                return text, """# also text"""
        churn()
        ''',
    ),
    case(
        "helpers may be recursive, and call each other",
        """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def factorial(n): return n * factorial(n - 1) if n else 1
        @task.mlx
        def step(): return even(10), odd(10), factorial(5)
        """,
    ),
    case(
        "a step may call itself",
        """
        @task.mlx
        def step(n=3): return [n, *step.__wrapped__(n - 1)] if n and hasattr(step, "__wrapped__") else [n]
        """,
    ),
    case(
        "constants are computed from constants",
        """
        A, B = 1, (2, 3)[1]
        C = A + B
        D = [C * i for i in range(B)]
        D_BY = {k: v for k, v in enumerate(D)}
        C += 1
        E: int = C
        (first := 8)
        *REST, LAST = D
        @task.mlx
        def step(): return C, D_BY, E, first, REST, LAST
        """,
    ),
    case(
        "compound statements are kept whole: if, try, for, with, while, match",
        """
        import io, sys
        try:
            import no_such_module_anywhere as fast
        except ImportError:
            fast = None
        if sys.version_info > (3, 0):
            MODE = "new"
        else:
            MODE = "old"
        for i in range(3):
            LAST = i
        with io.StringIO("text") as stream:
            TEXT = stream.read()
        N = 3
        while N > 1:
            N -= 1
        match N:
            case 1: WORD = "one"
            case _: WORD = "many"
        @task.mlx
        def step(): return fast, MODE, LAST, TEXT, N, WORD
        """,
    ),
    case(
        "classes travel with bases, decorators, defaults and what their bodies use",
        """
        import dataclasses, enum
        from dataclasses import dataclass, field
        from typing import NamedTuple, TypedDict
        WIDTH = 3
        def default(): return [WIDTH]
        class Base:
            size = WIDTH
            class Inner:
                depth = WIDTH + 1
        @dataclass(order=True)
        class Row(Base):
            name: str = "row"
            cells: list[int] = field(default_factory=default)
        class Point(NamedTuple):
            x: int
            y: int = WIDTH
        class Colour(enum.Enum):
            RED = WIDTH
        class Options(TypedDict, total=False):
            depth: int
        class Meta(type): pass
        class Made(metaclass=Meta):
            WIDTH = WIDTH
        @task.mlx
        def step():
            return (dataclasses.astuple(Row()), Row.Inner.depth, tuple(Point(1)), Colour(3).name, Options(depth=1),
                    type(Made).__name__, Made.WIDTH)
        """,
    ),
    case(
        "defaults, lambdas in defaults and keyword-only parameters reach constants",
        """
        BASE = 10
        def scale(x): return BASE * x
        @task.mlx
        def step(a=BASE, /, b=lambda x: scale(x), *args, c=[BASE], **kwargs): return a, b(2), c
        """,
    ),
    case(
        "closures, generators, walrus, f-strings and comprehensions inside the step are its own",
        """
        UNIT = "kg"
        @task.mlx
        def step():
            total = 0
            def add(n):
                nonlocal total
                total += n
                return total
            def numbers():
                yield from (add(n) for n in range(3))
            class Local:
                unit = UNIT
                def get(self): return f"{self.unit:>{len(UNIT) + 1}} {UNIT!r}"
            seen = [last := n for n in numbers()]
            match seen:
                case [first, *rest]: return first, rest, last, Local().get(), {k: v for k, v in zip(seen, rest)}
        """,
    ),
    case(
        "imports: aliased, dotted, several in one statement, in parentheses, in the function",
        """
        import json as j, os.path, xml.etree.ElementTree
        from collections import (
            OrderedDict as Ordered,  # comment
            Counter,
        )
        import sys; import math; PI = math.pi
        @task.mlx
        def step():
            import statistics
            return j.dumps(1), os.path.basename("a/b"), xml.etree.ElementTree.Element("x").tag, \\
                list(Ordered(a=1)), Counter("aa")["a"], PI, statistics.mean([1, 3])
        """,
    ),
    case(
        "imports of the enclosing function travel too",
        """
        @dag(schedule=None)
        def churn():
            import json
            from math import (pi, tau)
            @task.mlx
            def step(): return json.dumps([pi])
        churn()
        """,
    ),
    case(
        "global variables are written",
        """
        COUNT = 0
        def bump():
            global COUNT, FRESH
            COUNT += 1
            FRESH = COUNT
        @task.mlx
        def step():
            bump(); bump()
            return COUNT, FRESH
        """,
    ),
    case(
        "module state that is changed at load is changed in the job",
        """
        CONFIG = {}
        CONFIG["a"] = 1
        CONFIG.update(b=2)
        NAMES = ["x"]; NAMES.append("y")
        for key in "cd":
            CONFIG[key] = key
        del CONFIG["d"]
        class Settings: pass
        Settings.depth = 4
        @task.mlx
        def step(): return CONFIG, NAMES, Settings.depth
        """,
    ),
    case(
        "a name deleted after use does not matter",
        """
        TEMPORARY = 4
        KEPT = TEMPORARY * 2
        del TEMPORARY
        @task.mlx
        def step(): return KEPT
        """,
    ),
    case(
        "a step inside `with DAG(…)` and a task group",
        """
        with DAG("churn") as the_dag:
            LIMIT = 3
            def helper(): return LIMIT
            with task.group("inner"):
                @task.mlx
                def step(): return helper()
        """,
    ),
    case(
        "a step inside if, else and try",
        """
        import sys
        if sys.platform == "no such platform":
            pass
        else:
            LIMIT = 2
            try:
                @task.mlx
                def step(): return LIMIT
            except ValueError:
                LIMIT = 3
        """,
    ),
    case(
        "of two functions of one name, the one of that line",
        """
        @task.mlx
        def step(): return 1
        @task.mlx
        def step(): return 2
        """,
    ),
    case(
        "constants defined below a nested step",
        """
        @dag(schedule=None)
        def churn():
            @task.mlx
            def step(x=LATER): return x
        LATER = 6
        churn()
        """,
    ),
    case(
        "annotations that nobody can evaluate do not matter",
        """
        from __future__ import annotations
        from dataclasses import dataclass
        @dataclass
        class Row:
            a: No.Such[Thing] = 1
            b: "also not" = 2
        def helper(x: Missing) -> "Nowhere":
            y: Unknown = x
            return y
        @task.mlx
        def step(a: Variable = 1, *args: No, **kwargs: Such) -> Thing[1:2]: return helper(a), Row()
        """,
    ),
    case(
        "names and texts in any script, tabs, form feeds",
        "été = 'Straße'\n\x0cdef größe(ß):\n\treturn len(ß)\n\x0c\nif True:\n\t@task.mlx\n\tdef step():\n\t\tx = '𝄞';"
        " return été, größe('日本語'), '\u2028\x0c', x\n",
    ),
    case(
        "a try for both Airflow versions around the imports of decorators",
        """
        try:
            from airflow.sdk import task as both
        except ImportError:
            from airflow.decorators import task as both
        @both.mlx(cpu=1)
        def step(): return 9
        """,
    ),
    case(
        "exceptions, loops, del and try inside the function bind their names",
        """
        @task.mlx
        def step():
            try:
                raise ValueError("v")
            except ValueError as error:
                text = str(error)
            for i, (a, *b) in enumerate([(1, 2, 3)]): pass
            with open("/dev/null") as handle: pass
            del handle
            import os.path as p
            return text, i, a, b, p.sep, [x for x in b if (y := x)], y
        """,
    ),
]


@pytest.mark.parametrize("text", RUNS_THE_SAME)
def test_the_slice_returns_what_the_function_returns(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        f"from __future__ import annotations\n{HEAD}{text.removeprefix('from __future__ import annotations' + chr(10))}"
    )
    function = run_dag_file(source, monkeypatch)
    expected = repr(function())
    sliced = slice_of(source, function)
    assert "airflow" not in sliced.text.replace("airflow.decorators", ""), sliced.text
    assert repr(load_slice(sliced, monkeypatch)()) == expected


@pytest.mark.parametrize("text", RUNS_THE_SAME)
def test_each_line_of_the_slice_maps_to_the_same_line_of_the_dag_file(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = HEAD + text.removeprefix("from __future__ import annotations\n")
    source = f"from __future__ import annotations\n{source}"
    function = run_dag_file(source, monkeypatch)
    sliced = slice_of(source, function)
    here, there = sliced.text.split("\n"), source.split("\n")
    mapped = line_map(sliced)
    for line, original in mapped.items():
        if "import" not in here[line - 1] and "math.pi" not in here[line - 1]:
            assert there[original - 1].endswith(here[line - 1].lstrip())
    body = body_lines(code_of(function))
    assert {mapped[line] for line in body_lines(code_of(load_slice(sliced, monkeypatch)))} == body


def body_lines(code: types.CodeType) -> set[int]:
    """The lines with instructions, but for those of a function's start: in the DAG file they are a decorator's."""
    return {
        instruction.positions.lineno
        for inner in _codes(code)
        for instruction in dis.get_instructions(inner)
        if instruction.positions and instruction.positions.lineno
        and instruction.opname not in ("RESUME", "MAKE_CELL", "COPY_FREE_VARS", "RETURN_GENERATOR", "POP_TOP")
    }  # fmt: skip


def line_map(sliced: SourceSlice) -> dict[int, int]:
    return {here + i: there + i for here, there, count in sliced.lines for i in range(count)}


def test_an_error_in_any_line_is_told_at_its_line_of_the_dag_file(monkeypatch: pytest.MonkeyPatch) -> None:
    source = HEAD + textwrap.dedent(
        '''
        import json

        UNUSED = 1
        LIMITS = {
            "a": 1,
        }

        def unused(): ...

        def check(wanted, here):
            """Raise at one place."""
            if wanted == here:

                raise RuntimeError(
                    f"{wanted}"
                )
            return LIMITS

        @dag(schedule=None)
        def churn():
            @task.mlx(
                cpu=1,
            )
            def step(wanted):
                text = """
        zero
        """
                check(wanted, 0)
                for _ in range(2):
                    check(wanted, 1)   ;   check(wanted, 2)
                inner = lambda: check(wanted, 3)
                inner()
                class Local:
                    value = check(
                        wanted,
                        4,
                    )
                return [check(wanted, 5) for _ in text]
        churn()
        '''
    )
    function = run_dag_file(source, monkeypatch)
    sliced = slice_of(source, function)
    remote, mapped = load_slice(sliced, monkeypatch), line_map(sliced)
    for wanted in range(6):
        expected = [line for file, line in raised_lines(function, wanted) if file == "dag_file.py"]
        actual = [mapped[line] for file, line in raised_lines(remote, wanted) if file == "mlx_step_source.py"]
        assert actual == expected
        assert len(actual) >= 2


def raised_lines(function: Callable[..., Any], argument: Any) -> list[tuple[str, int | None]]:
    try:
        function(argument)
    except RuntimeError as error:
        return [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    raise AssertionError("nothing was raised")


# --- what is carried, and what is not --------------------------------------------------------------------------------


def test_only_what_is_reached_is_carried() -> None:
    text = cut(
        """
        import json, csv
        from math import pi, tau
        USED = pi
        UNUSED = tau
        def helper(): return USED
        def other(): return json
        @task.mlx
        def step(): return helper()
        x = step()
        """
    ).text
    assert text == (
        "from __future__ import annotations\nfrom math import pi\nUSED = pi\ndef helper(): return USED\n"
        "def step(): return helper()\n"
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("def step(LIMIT): return LIMIT", id="a parameter"),
        pytest.param("def step():\n    LIMIT = 1\n    return LIMIT", id="a local variable"),
        pytest.param("def step():\n    return [LIMIT for LIMIT in 'a']", id="a comprehension's variable"),
        pytest.param("def step():\n    def f(LIMIT): return LIMIT\n    return f", id="a nested function's parameter"),
        pytest.param("def step():\n    class C:\n        def LIMIT(self): ...\n    return C", id="a method"),
        pytest.param("def step(x):\n    return x.LIMIT, dict(LIMIT=1)", id="an attribute and a keyword"),
        pytest.param("def step(x):\n    'LIMIT'  # LIMIT", id="text and comments"),
    ],
)
def test_a_name_that_means_something_else_does_not_pull_in_the_constant(body: str) -> None:
    assert "777" not in cut(f"LIMIT = 777\n@task.mlx\n{body}\n").text


def test_imports_for_type_checkers_become_real_where_they_are_used() -> None:
    sliced = cut(
        """
        import typing
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import pandas as pd
            from numpy import ndarray
            from unused import Unused
        if typing.TYPE_CHECKING: import polars
        @task.mlx
        def step(table: pd.DataFrame, more: ndarray, less: "polars.DataFrame") -> "pd.Series | None":
            return pd.concat([table])
        """
    )
    assert "\nimport pandas as pd\n" in sliced.text
    assert "try:\n    from numpy import ndarray\nexcept ImportError:\n    pass\n" in sliced.text
    assert "try:\n    import polars\n" in sliced.text
    assert "nused" not in sliced.text
    assert sliced.imports == {"pandas"}
    assert sliced.annotation_modules == {"numpy", "numpy.ndarray", "polars"}
    assert sliced.parameters == {"table": "pandas.DataFrame", "more": "numpy.ndarray", "less": "polars.DataFrame"}
    assert sliced.return_type == "pandas.Series"


def test_the_else_branch_of_a_typing_block_is_what_runs() -> None:
    sliced = cut(
        """
        from typing import TYPE_CHECKING, Any
        if TYPE_CHECKING:
            from pandas import DataFrame
            LIMIT: int
        else:
            DataFrame = Any
            LIMIT = 3
        @task.mlx
        def step(table: DataFrame): return LIMIT
        """
    )
    assert "LIMIT = 3" in sliced.text
    assert "pandas" not in sliced.text
    assert sliced.parameters == {"table": "pandas.DataFrame"}


def test_airflow_in_annotations_alone_is_left_out() -> None:
    sliced = cut(
        """
        from airflow.sdk import Asset, Context
        from dataclasses import dataclass
        @dataclass
        class Row:
            asset: Asset
        @task.mlx
        def step(a: Asset, b: "Context") -> Row: return Row(a)
        """
    )
    assert "airflow" not in sliced.text
    assert sliced.parameters == {"a": "airflow.sdk.Asset", "b": "airflow.sdk.Context"}
    assert sliced.return_type == "<slice>.Row"


def test_what_a_job_has_of_our_own_package_may_be_used() -> None:
    sliced = cut(
        """
        from airflow_provider_mlx import Artifact, Dataset, Resources, current_step
        from airflow_provider_mlx.runtime import current_step as again
        import airflow_provider_mlx as mlx
        @task.mlx(resources=Resources(cpu=1))
        def step(): return Dataset, Artifact, current_step, again, mlx.Dataset
        """
    )
    assert "Resources" not in sliced.text
    assert "import airflow_provider_mlx as mlx" in sliced.text
    assert sliced.imports == frozenset()


def test_line_ends_and_byte_order_mark_do_not_matter() -> None:
    unix = HEAD + 'X = """a\nb"""\n@task.mlx\ndef step():\n    return X\n'
    for variant in (unix.replace("\n", "\r\n"), unix.replace("\n", "\r"), "\ufeff" + unix):
        sliced = slice_function(variant, filename="d.py", qualname="step", first_line=4)
        assert sliced == slice_function(unix, filename="d.py", qualname="step", first_line=4)


def test_an_encoding_comment_stays_behind() -> None:
    source = "# -*- coding: latin-1 -*-\n" + HEAD + "@task.mlx\ndef step(): return 'é'\n"
    sliced = slice_function(source, filename="d.py", qualname="step", first_line=3)
    assert compile(sliced.text.encode(), "s.py", "exec").co_consts
    assert "coding" not in sliced.text


def test_relative_imports_become_absolute_without_moving_a_line() -> None:
    sliced = cut(
        """
        from . import helpers
        from .sub.thing import x; from ..above import y
        @task.mlx
        def step():
            from .local import z
            return helpers, x, y, z
        """,
        package="team.steps",
    )
    assert "from team.steps import helpers\n" in sliced.text
    assert "from team.steps.sub.thing import x\n" in sliced.text
    assert "from team.above import y\n" in sliced.text
    assert "    from team.steps.local import z\n" in sliced.text
    assert sliced.relative_imports == ("team.above", "team.steps", "team.steps.local", "team.steps.sub.thing")


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("pd.DataFrame", "pandas.DataFrame"),
        ("'pd.DataFrame'", "pandas.DataFrame"),
        ("Optional[pd.DataFrame]", "pandas.DataFrame"),
        ("typing.Optional['pd.DataFrame']", "pandas.DataFrame"),
        ("pd.DataFrame | None", "pandas.DataFrame"),
        ("Union[None, Frame]", "pandas.DataFrame"),
        ("dict[str, float]", "dict"),
        ("Dict[str, float]", "dict"),
        ("dict[str, Frame]", "dict[pandas.DataFrame]"),
        ("Optional[Dict[str, 'pd.DataFrame']]", "dict[pandas.DataFrame]"),
        ("dict[str, Row]", "dict"),
        ("dict[str, Any]", "dict"),
        ("typing.List[int]", "list"),
        ("Annotated[Frame, 'm']", "pandas.DataFrame"),
        ("Row", "<slice>.Row"),
        ("list['Row']", "list"),
        ("int", "int"),
        ("None", "None"),
        ("int | str", None),
        ("Missing", None),
        ("Missing.attribute", None),
        ("Circular", None),
        ("Any", "typing.Any"),
        ("Iterator[int]", "collections.abc.Iterator"),
        ("NDArray", "numpy.typing.NDArray"),
        ("lambda: 1", None),
    ],
)
def test_the_type_that_an_annotation_names(annotation: str, expected: str | None) -> None:
    sliced = cut(
        f"""
        import typing
        from collections.abc import Iterator
        from typing import Annotated, Any, Dict, Optional, Union
        import pandas as pd
        from numpy.typing import NDArray
        Frame = pd.DataFrame
        Circular = Circular
        class Row: ...
        @task.mlx
        def step(x: {annotation}) -> {annotation}: ...
        """
    )
    assert sliced.return_type == expected
    assert sliced.parameters == {"x": expected}


def test_type_parameters_and_type_statements() -> None:
    text = "LIMIT = 3\ntype Frame = dict[str, int]\n@task.mlx\ndef step[T: (int, str)](x: T) -> Frame: return LIMIT\n"
    if sys.version_info < (3, 12):  # PEP 695: an older Airflow's Python cannot read such a DAG file at all
        with pytest.raises(SyntaxError):
            cut(text)
        return
    sliced = cut(text)
    assert "LIMIT = 3" in sliced.text
    assert sliced.return_type == "dict"


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "def churn():\n    x = 1\n    @task.mlx\n    def step(): return x\n",
            ["dag_file.py:5: `x` is local", "line 2", "pass it as an argument"],
            id="a local of the enclosing function",
        ),
        pytest.param(
            "def churn(size):\n    def helper(): ...\n    @task.mlx\n    def step(): return helper(size)\n",
            ["`helper` is local", "`size` is local", "2 problems"],
            id="all problems are told at once",
        ),
        pytest.param(
            "def churn():\n    x = 1\n    @task.mlx\n    def step():\n        nonlocal x\n        x = 2\n",
            ["nonlocal 'x'", "return the value"],
            id="an assignment to a local of the enclosing function",
        ),
        pytest.param(
            "@task.mlx\ndef step(): return Variable.get('x')\n",
            ["dag_file.py:3: `Variable` is `airflow.sdk.Variable` (imported in line 1)", "as an argument"],
            id="Airflow used in the body",
        ),
        pytest.param(
            "@task.mlx\ndef step():\n    from airflow.sdk import get_current_context as g\n    return g()\n",
            ["dag_file.py:4", "airflow.sdk.get_current_context"],
            id="Airflow imported in the body",
        ),
        pytest.param(
            "PATH = Variable.get('x')\ndef helper(): return PATH\n@task.mlx\ndef step(): return helper()\n",
            ["dag_file.py:2: `Variable`"],
            id="Airflow reached through a helper and a constant",
        ),
        pytest.param(
            "from airflow_provider_mlx import Resources\n@task.mlx\ndef step(): return Resources()\n",
            [
                "airflow_provider_mlx.Resources",
                "a job has Artifact, Dataset, Html, Markdown, Metrics, Model, Output, Table, current_step, runtime",
            ],
            id="our own package, beyond what a job has",
        ),
        pytest.param(
            "import airflow_provider_mlx as mlx\n@task.mlx\ndef step(): return mlx.Resources()\n",
            ["dag_file.py:4", "airflow_provider_mlx.Resources"],
            id="our own package through its attribute",
        ),
        pytest.param(
            "@task.mlx\ndef other(): ...\n@task.mlx\ndef step(): return other()\n",
            ["`other` is an Airflow task", "plain function"],
            id="another task called in the body",
        ),
        pytest.param(
            "LIMITS = 1\n@task.mlx\ndef step(): return LIMIT\n",
            ["dag_file.py:4: `LIMIT` cannot be found", "did you mean `LIMITS`?"],
            id="a misspelt name",
        ),
        pytest.param(
            "from math import *\n@task.mlx\ndef step(): return floor(1.5)\n",
            ["`from math import *` (line 2)", "from math import floor"],
            id="a name that a star import may bring",
        ),
        pytest.param(
            "class A:\n    @task.mlx\n    def step(self): ...\n", ["method", "out of the class"], id="a method"
        ),
        pytest.param(
            "@task.mlx\ndef step():\n    yield 1\n", ["dag_file.py:4", "generator", "return a list"], id="a generator"
        ),
        pytest.param(
            "C = {}\n@task.mlx\ndef step(): return C\nC['x'] = step()\n",
            ["dag_file.py:5: this uses the step `step` when the DAG file is loaded"],
            id="module state made by calling the step itself",
        ),
        pytest.param("@task.mlx\nasync def step():\n    yield 1\n", ["generator"], id="an asynchronous generator"),
        pytest.param(
            "for i in range(3):\n    @task.mlx\n    def step(): return i\n",
            ["`i` is bound by the block", "argument"],
            id="the variable of a loop around the step",
        ),
        pytest.param(
            "with DAG('x') as d:\n    @task.mlx\n    def step(): return d\n",
            ["`d` is bound by the block"],
            id="the DAG itself",
        ),
        pytest.param(
            "from .helpers import x\n@task.mlx\ndef step(): return x\n",
            ["`from .helpers import x` is relative", "full name"],
            id="a relative import in a file without a package",
        ),
        pytest.param(
            "import json as j\ndef helper(): return j\ndef churn():\n    import csv as j\n    @task.mlx\n"
            "    def step(): return helper(), j\n",
            ["`j` means another thing"],
            id="an import of the enclosing function that hides one of the module",
        ),
        pytest.param(
            "def step(): ...\ndef helper(): return step()\ndef c():\n    @task.mlx\n    def step(): return helper()\n",
            ["`step` is another function", "rename"],
            id="a helper that means another function of the step's name",
        ),
    ],
)
def test_what_cannot_travel_is_refused_with_the_way_out(text: str, words: list[str]) -> None:
    message = refusal(text)
    for word in words:
        assert word in message
    assert "→" in message


def test_a_lambda_is_refused() -> None:
    with pytest.raises(InvalidStep, match="lambda"):
        slice_function("f = lambda: 1\n", filename="d.py", qualname="<lambda>", first_line=1)


def test_a_line_without_the_function_is_refused() -> None:
    with pytest.raises(InvalidStep, match="no function `step` at line 3"):
        slice_function("def step(): ...\n", filename="d.py", qualname="step", first_line=3)


def test_a_file_that_is_not_python_is_refused() -> None:
    with pytest.raises(InvalidStep, match="not valid Python"):
        slice_function("def step(:\n", filename="d.py", qualname="step", first_line=1)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("@task.mlx\ndef step(): return __file__\n", "`__file__` is the slice's", id="__file__"),
        pytest.param(
            "C = {}\nC['a'] = 1\n@task.mlx\ndef step(): return C\n", "dag_file.py:3: `C` is changed", id="changed state"
        ),
        pytest.param(
            "import random\nrandom.seed(1)\n@task.mlx\ndef step(): return random.random()\n",
            "`random` is changed when the DAG file is loaded; this is not carried",
            id="a module that is changed at load",
        ),
        pytest.param(
            "import functools\n@functools.cache\n@task.mlx\ndef step(): ...\n",
            "stands above Airflow's",
            id="a decorator above",
        ),
    ],
)
def test_what_differs_in_the_job_is_said(text: str, word: str) -> None:
    assert any(word in warning for warning in cut(text).warnings)


def test_the_modules_own_name_is_no_difference() -> None:
    assert cut("import logging\nlog = logging.getLogger(__name__)\n@task.mlx\ndef step(): return log\n").warnings == ()


def test_the_main_guard_stays_behind() -> None:
    text = cut("C = {}\n@task.mlx\ndef step(): return C\nif __name__ == '__main__':\n    C['x'] = 1\n    step()\n").text
    assert text == "from __future__ import annotations\nC = {}\ndef step(): return C\n"


def test_airflow_whose_absence_is_handled_is_no_requirement() -> None:
    sliced = cut(
        """
        try:
            import airflow
            VERSION = airflow.__version__
        except ImportError:
            VERSION = None
        @task.mlx
        def step(): return VERSION
        """
    )
    assert sliced.imports == sliced.modules == frozenset()


def test_an_asynchronous_function_is_sliced() -> None:
    assert "async def step(): return 1" in cut("@task.mlx\nasync def step(): return 1\n").text


# --- any module of a small grammar -----------------------------------------------------------------------------------


@st.composite
def dag_files(draw: st.DrawFn) -> str:
    """Constants, helpers and classes, each made of earlier ones, and a step that uses some of them."""
    lines, values = [], ["1"]
    for i in range(draw(st.integers(0, 8))):
        a, b = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        kind = draw(
            st.sampled_from(["constant", "pair", "augmented", "if", "helper", "class", "dataclass", "loop", "text"])
        )
        name = f"n{i}"
        lines += {
            "constant": [f"{name} = {a} + {b} * 2"],
            "pair": [f"{name}, {name}b = {a}, {b}"],
            "augmented": [f"{name} = {a}", f"{name} += {b}"],
            "if": [f"if {a} > {b}:", f"    {name} = {a}", "else:", f"    {name} = {b} - 1"],
            "helper": [f"def {name}_f({name}=5, *, k={a}):", f"    return {name} + k + {b}", f"{name} = {name}_f()"],
            "class": [f"class {name}_c:", f"    v = {a}", f"    def get(self, v): return self.v + v + {b}",
                      f"{name} = {name}_c().get(2)"],
            "dataclass": ["import dataclasses", "@dataclasses.dataclass", f"class {name}_d:", f"    x: int = {a}",
                          f"{name} = {name}_d().x"],
            "loop": [f"{name} = 0", f"for i{i} in range(2):", f"    {name} += i{i} + {a}"],
            "text": [f'{name} = len("""a', "# b", f'""") + {a}'],
        }[kind]  # fmt: skip
        values.append(name)
    used = draw(st.lists(st.sampled_from(values), max_size=3))
    default = draw(st.sampled_from(values))
    body = [f"def step(d={default}):", '    text = """', "zero", '"""', f"    return [d, text, {', '.join(used)}]"]
    step = ["@task.mlx(cpu=1)", *body]
    if draw(st.booleans()):
        quoted = {"zero", '"""'}
        step = ["@dag", "def churn():", *(line if line in quoted else f"    {line}" for line in step), "churn()"]
    return HEAD + "\n".join([*lines, *step]) + "\n"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=dag_files())
def test_any_slice_returns_what_its_function_returns(source: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        function = run_dag_file(source, patch)
        expected = function()
        sliced = slice_of(source, function)
        assert load_slice(sliced, patch)() == expected
    there = source.split("\n")
    for here, line in enumerate(sliced.text.split("\n"), start=1):
        if here in line_map(sliced) and "import" not in line:
            assert there[line_map(sliced)[here] - 1] == line
    assert "airflow" not in sliced.text


def test_builtins_are_never_missing() -> None:
    names = [name for name in dir(builtins) if name.isidentifier() and not name.startswith("__") and name not in
             {"None", "True", "False"}]  # fmt: skip
    assert cut(f"@task.mlx\ndef step(): return [{', '.join(names)}]\n").warnings == ()
