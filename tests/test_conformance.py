"""The suite judged: each of its tests fails for the one fault that it is there for, and for no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from good_connector import FullKit
from seeded_faults import FAULTS, seeded

from bridge import (
    Account,
    Json,
    Page,
    Phase,
)
from bridge.testing.bench import Bench
from bridge.testing.conformance import CHECKS, collect, suite
from bridge_memory import SPEC
from bridge_memory.sandbox import KEY, MemoryKit


def failing(factory: Callable[[], MemoryKit]) -> dict[str, str]:
    """Run the whole suite and return what each failing test said first."""
    said: dict[str, str] = {}
    with Bench(factory) as bench:
        cases = list(collect(bench))
    for check, parameters in cases:
        for given in [[one] for one in parameters] or [[]]:
            with Bench(factory) as bench:
                try:
                    check.run(bench, *given)
                except Exception as error:  # any exception fails a test
                    said.setdefault(check.name, f"{type(error).__name__}: {error}")
    return said


def test_a_good_connector_passes_every_test() -> None:
    assert failing(FullKit) == {}


def test_every_test_of_the_suite_is_collected_for_a_connector_with_every_protocol() -> None:
    with Bench(FullKit) as bench:
        assert [check.name for check, _ in collect(bench)] == [check.name for check in CHECKS]


def test_every_test_of_the_suite_has_a_fault() -> None:
    assert set(FAULTS) == {check.name for check in CHECKS}


@pytest.mark.parametrize("name", FAULTS)
def test_a_seeded_fault_fails_its_own_test_and_no_other(name: str) -> None:
    said = failing(seeded(FAULTS[name]))
    assert set(said) == {name}, said


class ReadOnly:
    """A connector with the two methods that every one has."""

    def check(self) -> Account:
        return Account(id="1")

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        yield Page(records=[], cursor=1)


def small_kit(connector: object, words: Mapping[str, Any]) -> Callable[[], MemoryKit]:
    """Return a kit of a small connector, which has only the attributes of `words`."""

    class SmallKit:
        spec = replace(SPEC, open=lambda settings, context: connector)  # type: ignore[arg-type, return-value]
        settings: Mapping[str, Json] = {"directory": "x", "key": KEY}
        cannot: Mapping[str, str] = {}

        def close(self) -> None:
            pass

    return type("SmallKit", (SmallKit,), dict(words))


NOT_HERE = dict.fromkeys(("wrong_key", "rate_limit", "outage", "hang", "garbage"), "a file has none")


def test_nothing_is_collected_for_protocols_that_a_connector_lacks() -> None:
    words = {"cannot": NOT_HERE, "seed": None, "change": None, "delete": None, "page_size": 1, "fields": {}}
    with Bench(small_kit(ReadOnly(), words)) as bench:
        names = {check.name for check, _ in collect(bench)}
    assert "every_record_comes_once" in names
    assert "a_pull_resumes_after_every_page" in names
    assert not names & {
        "fetch_brings_the_present_state",
        "a_genuine_request_is_stored",
        "a_lost_receipt_creates_once",
    }
    assert "an_outage_is_unavailable" not in names


def test_a_lever_that_is_missing_without_a_reason_is_named_with_its_meaning() -> None:
    words = {"cannot": NOT_HERE, "change": None, "delete": None, "page_size": 1, "fields": {}}
    with pytest.raises(TypeError, match=r"SmallKit lacks .*\n  seed: Put so many new records there"):
        suite(small_kit(ReadOnly(), words))


def test_a_reason_for_a_lever_that_does_not_exist_is_refused() -> None:
    words = {
        "cannot": NOT_HERE | {"seeds": "?"},
        "seed": 1,
        "change": 1,
        "delete": 1,
        "page_size": 1,
        "fields": {},
    }
    with pytest.raises(TypeError, match=r"no lever \['seeds'\]"):
        suite(small_kit(ReadOnly(), words))


def test_what_one_stream_or_call_cannot_do_is_left_out_for_it_alone() -> None:
    kit = type(
        "NoPages", (FullKit,), {"cannot": {"pages owners": "one answer", "garbage open": "any bytes do"}}
    )
    with Bench(kit) as bench:
        cases = {check.name: [str(one) for one in parameters] for check, parameters in collect(bench)}
    assert cases["a_pull_resumes_after_every_page"] == [
        "contacts-live",
        "contacts-backfill",
        "messages-live",
        "entries-live",
    ]
    assert "owners-live" in cases["every_record_comes_once"]
    assert "open" not in cases["an_answer_that_makes_no_sense_is_unavailable"]
    assert "open" in cases["an_outage_is_unavailable"]


@pytest.mark.slow
def test_ten_lines_prove_a_connector_of_a_third_party(tmp_path: Path) -> None:
    (tmp_path / "test_acme.py").write_text(
        "from bridge.testing.conformance import suite\n"
        "from bridge_memory.sandbox import MemoryKit\n"
        "\n"
        "TestAcme = suite(MemoryKit)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout
