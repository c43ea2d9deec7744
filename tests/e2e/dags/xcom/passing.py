"""Values between plain tasks and steps, on every Airflow: both directions, mapped, by reference, by key."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_mlx import Artifact

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.linear_model import LinearRegression

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
FRAMES = ["pandas==2.*", "scikit-learn==1.7.*"]


@dag(schedule=None, start_date=START)
def passing() -> None:
    @task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @task.mlx
    def total(values: list[int]) -> int:
        return sum(values)

    @task
    def double(value: int) -> int:
        return value * 2

    @task.mlx
    def nothing() -> None:
        print("a step may return nothing")

    @task
    def is_none(value: Any) -> bool:
        return value is None

    double(total(numbers()))
    is_none(nothing())


def which_run(ti: Any, run_id: str) -> dict[str, Any]:
    """Airflow 3.3 finds prior dates of another DAG only where that DAG has a run of this very id."""
    return {"run_id": run_id} if hasattr(ti, "get_task_states") else {"include_prior_dates": True}


@dag(schedule=None, start_date=START, params={"passing": "", "references": ""})
def elsewhere() -> None:
    @task
    def pull(ti: Any = None, params: Any = None) -> int:
        return ti.xcom_pull(dag_id="passing", task_ids="total", **which_run(ti, params["passing"]))

    @task
    def pull_frame(ti: Any = None, params: Any = None) -> dict[str, Any]:
        return ti.xcom_pull(dag_id="references", task_ids="frame", **which_run(ti, params["references"]))

    @task.mlx
    def use(value: int) -> int:
        return value + 100

    @task.mlx(requirements=FRAMES)
    def rows(frame: pd.DataFrame) -> int:
        return len(frame)

    use(pull())
    rows(pull_frame())


@dag(schedule=None, start_date=START)
def mapping() -> None:
    @task
    def plain_list() -> list[int]:
        return [1, 2]

    @task.mlx
    def step_list() -> list[int]:
        return [3, 4]

    @task.mlx
    def square(value: int, map_index: int) -> list[int]:
        return [map_index, value * value]

    @task
    def negate(value: int) -> int:
        return -value

    @task.mlx
    def gather(squares: list[list[int]]) -> list[int]:
        return [value for _, value in squares]

    over_step = square.expand(value=step_list())
    square.override(task_id="square_plain").expand(value=plain_list())
    negate.expand(value=step_list.override(task_id="step_list_2")())
    gather(over_step)


@dag(schedule=None, start_date=START)
def references() -> None:
    @task.mlx(requirements=FRAMES)
    def frame() -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})

    @task.mlx(requirements=FRAMES)
    def column_sum(table: pd.DataFrame) -> float:
        assert list(table.columns) == ["a", "b"]
        return float(table["a"].sum())

    @task.mlx
    def odd_floats() -> list[float]:
        return [float("nan"), float("inf"), float("-inf"), 1.5]

    @task.mlx
    def odd_floats_again(values: list[float]) -> list[str]:
        import math

        assert math.isnan(values[0])
        return [repr(value) for value in values]

    column_sum(frame())
    odd_floats_again(odd_floats())


@dag(schedule=None, start_date=START)
def artifacts() -> None:
    @task.mlx
    def large() -> list[str]:
        return [f"{number:059d}é" for number in range(1000)]  # 1,000 × 63 bytes of JSON: above 48 KiB

    @task.mlx
    def check_large(values: list[str]) -> list[Any]:
        return [type(values).__name__, len(values), values[0], values[-1]]

    @task
    def load_large(reference: dict[str, Any]) -> list[Any]:
        values = Artifact.of(reference).load()
        return [reference["codec"], type(values).__name__, len(values), values[-1]]

    @task.mlx
    def long_text() -> str:
        return "ä" * 50_000

    @task
    def load_text(reference: dict[str, Any]) -> list[Any]:
        artifact = Artifact.of(reference)
        return [reference["codec"], len(artifact.load()), artifact.path().read_text(encoding="utf-8")[:3]]

    @task.mlx(requirements=FRAMES)
    def model() -> LinearRegression:
        from sklearn.linear_model import LinearRegression

        return LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])

    @task.mlx(requirements=FRAMES)
    def predict(model: LinearRegression) -> float:
        return float(model.predict([[2.0]])[0])

    @task
    def refuse_model(reference: dict[str, Any]) -> str:
        from airflow_provider_mlx.exceptions import ArtifactError

        try:
            Artifact.of(reference).load()
        except ArtifactError as error:
            return str(error)
        raise AssertionError("a model was loaded in an Airflow process")

    @task
    def refuse_value(value: Any) -> str:
        from airflow_provider_mlx.exceptions import ArtifactError

        try:
            Artifact.of(value)
        except ArtifactError as error:
            return str(error)
        raise AssertionError("a plain value was taken for a reference")

    many = large()
    check_large(many)
    load_large(many)
    load_text(long_text())
    fitted = model()
    predict(fitted)
    refuse_model(fitted)
    refuse_value(predict.override(task_id="predict_again")(fitted))


@dag(schedule=None, start_date=START)
def saving() -> None:
    @task
    def saved() -> dict[str, Any]:
        return {"bytes": Artifact.save(bytes(range(256)) * 400, name="bytes"), "text": Artifact.save("short")}

    @task.mlx
    def use_saved(saved: dict[str, Any]) -> list[Any]:
        return [len(saved["bytes"]), saved["bytes"][-1], saved["text"]]

    use_saved(saved())


@dag(schedule=None, start_date=START)
def keys() -> None:
    @task.mlx(multiple_outputs=True)
    def split() -> dict[str, Any]:
        return {"count": 7, "name": "seven", "parts": [3, 4]}

    @task.mlx
    def from_annotation() -> dict[str, float]:
        return {"accuracy": 0.5}

    @task.mlx
    def in_a_step(count: int) -> int:
        return count + 1

    @task
    def in_a_task(name: str, parts: list[int], accuracy: float) -> list[Any]:
        return [name, parts, accuracy]

    @task
    def whole(everything: dict[str, Any]) -> list[str]:
        return sorted(everything)

    found = split()
    in_a_step(found["count"])
    in_a_task(found["name"], found["parts"], from_annotation()["accuracy"])
    whole(found)


@dag(schedule=None, start_date=START)
def mapped_over_too_much() -> None:
    @task.mlx
    def too_much() -> list[str]:
        return ["x" * 1000] * 100

    @task.mlx
    def never(value: str) -> str:
        return value

    never.expand(value=too_much())


passing()
elsewhere()
mapping()
references()
artifacts()
saving()
keys()
mapped_over_too_much()
