"""Reading objects of which any part may be missing or of another shape."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.backends.kubernetes.reading import at, condition, each, maps, moment, number, text

VALUE = {
    "a": {"b": [{"c": 1}, {"c": 2}, "odd", {}], "m": {"x": {"c": 3}, "y": None}, "t": " two\n words ", "yes": True},
    "when": "2026-11-25T10:00:00Z",
}


@pytest.mark.parametrize(
    ("read", "path", "found"),
    [
        (at, "a.t", " two\n words "), (at, "a.b.c", None), (at, "a.no.way", None),
        (each, "a.b.*.c", [1, 2]), (each, "a.m.*.c", [3]), (each, "a.t.*", []), (each, "a.m.x.c", [3]),
        (each, "a.b.c", []), (each, "no.*", []),
        (text, "a.t", "two words"), (text, "a.b", ""), (text, "no", ""),
        (number, "a.yes", None), (number, "a.t", None),
        (maps, "a.b", [{"c": 1}, {"c": 2}, {}]), (maps, "a.t", []), (maps, "a.m", []),
        (moment, "a.t", None), (moment, "a.yes", None),
    ],
)  # fmt: skip
def test_what_stands_at_a_path(read, path, found):
    assert read(VALUE, path) == found


@pytest.mark.parametrize("said", ["2026-11-25T10:00:00Z", "2026-11-25T10:00:00.000000Z", "2026-11-25T11:00:00+01:00",
                                  "2026-11-25T10:00:00"])  # fmt: skip
def test_a_time_without_a_zone_is_utc_as_all_of_kubernetes_is(said):
    assert moment({"at": said}, "at") == moment(VALUE, "when") == 1795600800.0


def test_a_condition_that_is_not_there_is_empty():
    assert condition({"status": {"conditions": "odd"}}, "Ready") == {}
    assert condition(None, "Ready") == {}
