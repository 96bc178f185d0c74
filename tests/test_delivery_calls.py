"""Delivery asks HubSpot in full batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.delivery import deliver

MOST = 12
"""Ten creates of a hundred, one look at the associations of all, one at the properties of messages."""


@pytest.mark.slow
def test_a_thousand_messages_of_known_contacts_take_twelve_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", "set again by the benchmark")
    found = deliver(tmp_path, messages=1_000, contacts=200)
    assert found.entries == 1_000
    timeline = {call: times for call, times in found.calls.items() if "communications" in call}
    assert timeline["POST communications/batch/create"] == 10
    assert sum(timeline.values()) <= MOST
    others = {call: times for call, times in found.calls.items() if call not in timeline}
    assert set(others) == {"GET contacts", "POST contacts/batch/read", "POST contacts/batch/update"}
