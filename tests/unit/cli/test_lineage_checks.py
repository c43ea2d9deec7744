"""What doctor thinks of the settings of lineage."""

from __future__ import annotations

import pytest

from airflow_provider_mlx.cli.airflow_facts import lineage_transport
from airflow_provider_mlx.cli.doctor_checks import Status
from airflow_provider_mlx.cli.lineage_checks import lineage

TOKEN = "t0ken" * 8
GOOD = {
    "type": "http", "url": "https://airflow.example.com", "endpoint": "mlx/lineage/api/v1/lineage", "timeout": 2,
    "auth": {"type": "api_key", "apiKey": TOKEN},
}  # fmt: skip
STORE = "sqlite:////var/lib/airflow/mlx.db"


def judged(transport=GOOD, *, store=STORE, token=TOKEN, in_thread=False, elsewhere=False):
    return list(lineage(transport, store=store, token=token, in_thread=in_thread, elsewhere=elsewhere))


@pytest.mark.parametrize("given", [
    {}, {"transport": None, "store": "", "token": ""}, {"transport": None, "elsewhere": True},
    {"transport": {"type": "async_http", "url": "https://c"}, "in_thread": True, "store": ""},
    {"transport": {**GOOD, "url": "http://localhost:8080"}},
])  # fmt: skip
def test_what_works_is_one_good_line(given):
    (check,) = judged(**given)
    assert check.status is Status.OK


@pytest.mark.parametrize(("given", "status", "said"), [
    ({"transport": {"type": "async_http", "url": "https://c"}, "store": ""}, Status.FAIL, "execute_in_thread"),
    ({"transport": {**GOOD, "timeout": None}}, Status.WARN, '"timeout": 2'),
    ({"transport": {**GOOD, "timeout": 30}}, Status.WARN, '"timeout": 2'),
    ({"transport": {**GOOD, "url": "http://airflow.example.com"}}, Status.WARN, "https://"),
    ({"token": "", "transport": {"type": "console"}}, Status.FAIL, "lineage_token"),
    ({"token": "short", "transport": {"type": "console"}}, Status.WARN, "openssl rand"),
    ({"transport": None}, Status.FAIL, "[openlineage] transport"),
    ({"transport": {**GOOD, "auth": {"apiKey": "another"}}}, Status.FAIL, "the same text"),
])  # fmt: skip
def test_what_does_not_says_how_to_mend_it_and_never_the_token(given, status, said):
    (check,) = judged(**given)
    assert (check.status, said in check.mend) == (status, True)
    assert TOKEN not in f"{check.what} {check.mend}"


def test_the_settings_are_read_as_airflow_has_them(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "async_http", "url": "https://c"}')
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD", "true")
    transport, elsewhere, in_thread = lineage_transport()
    assert (transport["type"], elsewhere, in_thread) == ("async_http", False, True)
