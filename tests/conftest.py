"""
What is true of every test: no Airflow process unpickles anything or loads a model, unless the test says otherwise, and
every lineage event is valid.
"""

from contextlib import suppress

from tests.no_unpickling import may_unpickle, nothing_unpickles
from tests.openlineage.collecting import every_event_is_valid

__all__ = ["every_event_is_valid", "may_unpickle", "nothing_unpickles"]

with suppress(ImportError):  # environments of jobs have none
    from hypothesis import settings

    settings.register_profile("without-a-clock", deadline=None)  # how long an example takes is no test
    settings.load_profile("without-a-clock")
