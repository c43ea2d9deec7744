"""No Airflow process unpickles anything or loads a model: true of every test that does not say otherwise."""

from tests.no_unpickling import may_unpickle, nothing_unpickles

__all__ = ["may_unpickle", "nothing_unpickles"]
