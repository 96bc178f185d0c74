"""Secrets stay out of sight: in every spelling, in log records, in tracebacks."""

from __future__ import annotations

import logging

import pytest

from bridge.redact import Redactor, secrets_in

SECRET = "s3cr3t/key+with=signs"


@pytest.mark.parametrize(
    "text",
    [
        f"key={SECRET}",
        "key=s3cr3t%2Fkey%2Bwith%3Dsigns",
        "Basic czNjcjN0L2tleSt3aXRoPXNpZ25z",
    ],
)
def test_every_spelling_of_a_secret_is_removed(text: str) -> None:
    cleaned = Redactor(SECRET).clean(text)
    assert cleaned.endswith("[secret]")


def test_the_log_filter_cleans_arguments_tracebacks_and_extra_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.handler.addFilter(Redactor(SECRET))
    log = logging.getLogger("bridge.test_http")
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("bad key %s", SECRET, extra={"header": f"Bearer {SECRET}"})
    assert "bad key [secret]" in caplog.text
    assert "ValueError: [secret]" in caplog.text
    assert vars(caplog.records[0])["header"] == "Bearer [secret]"
    assert SECRET not in caplog.text


def test_a_log_call_with_wrong_arguments_leaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(Redactor(SECRET))
    logging.getLogger("bridge.test_http").warning("no place", SECRET)
    assert "its arguments do not fit" in caplog.text
    assert SECRET not in caplog.text


def test_the_redactor_itself_shows_no_secret() -> None:
    assert SECRET not in repr(Redactor(SECRET))


def test_a_value_too_short_to_be_a_secret_does_not_shred_words() -> None:
    assert Redactor("abc").clean("the abc of it") == "the abc of it"


def test_a_secret_within_a_longer_one_leaves_nothing_of_the_longer() -> None:
    assert Redactor("token", "token-and-more").clean("=token-and-more=") == "=[secret]="


def test_secrets_are_found_in_settings_by_their_schema() -> None:
    schema = {
        "properties": {
            "token": {"type": "string", "writeOnly": True},
            "host": {"type": "string"},
            "keys": {"type": "object", "writeOnly": True},
            "servers": {"items": {"properties": {"password": {"writeOnly": True}}}},
            "named": {"additionalProperties": {"properties": {"key": {"writeOnly": True}}}},
        }
    }
    settings = {
        "token": "t1",
        "host": "h",
        "keys": {"a": "k1", "b": ["k2"]},
        "servers": [{"password": "p1"}],
        "named": {"x": {"key": "n1"}},
    }
    assert list(secrets_in(schema, settings)) == ["t1", "k1", "k2", "p1", "n1"]
