"""Secrets in free text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mlx.scrub import MESSAGE_LIMIT, is_sensitive, scrub

CANARY = "hunter2CANARY"


@pytest.mark.parametrize(
    "text",
    [
        f"connect failed: password={CANARY}",
        f"password: {CANARY} and more {CANARY}",
        f'{{"password": "{CANARY}", "user": "x"}}',
        f"{{'db_password': '{CANARY} {CANARY}'}}",
        f"AWS_SECRET_ACCESS_KEY={CANARY}",
        f"HF_TOKEN={CANARY} python train.py",
        f"--token {CANARY}",
        f"--api-key={CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"Authorization: Custom {CANARY}",
        f"got 401 for bearer {CANARY}",
        f"Cookie: a=b; session={CANARY}",
        f"GET https://user:{CANARY}@host/path failed",
        f"GET https://host/path?X-Amz-Signature={CANARY}&x=1 failed",
        f"postgresql://u:{CANARY}@db/x",
        f"s3://{CANARY}:{CANARY}@bucket/key",
        f"abfss://c:{CANARY}@acc.dfs.core.windows.net/p",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        f"storage_account_key = {CANARY}",
        f"AccountKey={CANARY};EndpointSuffix=core.windows.net",
        f"secret = '{CANARY}'",
    ],
)
def test_a_secret_does_not_get_through(text):
    assert CANARY not in scrub(text)
    assert "***" in scrub(text)


@pytest.mark.parametrize(
    "token", ["AKIAABCDEFGHIJKLMNOP", "ghp_" + "a" * 36, "hf_" + "a" * 34, "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.abc"]
)
def test_tokens_known_by_their_form(token):
    assert token not in scrub(f"it said {token} twice")


@pytest.mark.parametrize(
    "text",
    [
        "the step failed in its own code: ValueError: could not convert string to float: 'abc'",
        "max_tokens=512 tokenizer=bert epoch=3 rate=0.1",
        "no such key: 'churned'",
        "basic configuration is missing",
        "see s3://bucket/path/file.parquet",
        "abfss://container@account.dfs.core.windows.net/path",
    ],
)
def test_what_is_no_secret_stays(text):
    assert scrub(text) == text


def test_a_long_text_is_cut_and_nothing_is_cut_in_two():
    text = "x " * 32760 + f"https://user:{CANARY}{'y' * 100}@host/"
    assert len(scrub(text)) == MESSAGE_LIMIT
    for filler in range(65480, 65536, 3):
        assert "hunter2" not in scrub("-" * (filler - 20) + f" postgresql://user:{CANARY}" + "@host/x", limit=10**6)


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWORD", "dbPassword", "api_key", "hf_token", "authToken", "sas", "storage_key"]
)
def test_sensitive_names(name):
    assert is_sensitive(name)


@pytest.mark.parametrize("name", ["max_tokens", "tokenizer", "key", "keys", "compass", "author", "monkey", "rate"])
def test_harmless_names(name):
    assert not is_sensitive(name)


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_any_text_and_at_most_its_limit(text):
    assert len(scrub(text, limit=100)) <= 100


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "a=" * 60_000, "'" * 100_000, "x://" * 30_000, "-----BEGIN A-----" * 8_000, " : " * 40_000]
)
def test_hostile_texts_take_no_time(text):
    began = time.perf_counter()
    scrub(text)
    assert time.perf_counter() - began < 3
