"""Many tables at once, collected behind the loop; and a second pipeline that is a part of the first."""

from pathlib import Path

from kfp import components, dsl

count = components.load_component_from_file("count.yaml")
NAMES = Path("names.txt").read_text().split()


@dsl.component(base_image="registry.example.com/ml:1")
def score(table: str) -> int:
    return len(table)


@dsl.component(base_image="registry.example.com/ml:1")
def total(scores: list) -> int:
    return sum(scores)


@dsl.pipeline(name="one-table")
def one(table: str) -> int:
    return score(table=table).output


@dsl.pipeline(name="all-tables")
def every(more: list = NAMES) -> int:
    with dsl.ParallelFor(more, parallelism=2) as table:
        part = one(table=table)
    count(items=more)
    return total(scores=dsl.Collected(part.output)).output
