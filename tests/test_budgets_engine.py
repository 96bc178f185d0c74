"""A day's calls at work: the past stops first, news goes on, the vendor refuses nothing, midnight makes all new."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.config import load_config
from bridge.engine import cycle
from bridge.engine.opening import learn_account, open_runtime
from bridge.store import runs
from bridge.store.writer import Priority
from bridge.sync.runtime import Runtime
from bridge.sync.views.status import overview, troubles
from bridge.testing.context import Clock
from bridge_hubspot.sandbox import HubSpotSandbox

DAILY = 70
STOP = int(DAILY * 0.9)
STOP_FOR_THE_PAST = STOP - int(STOP * 0.2)
EVENING = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(EVENING)


@pytest.fixture
def hub(clock: Clock) -> Iterator[HubSpotSandbox]:
    with HubSpotSandbox(portal="123456", token="token", clock=clock) as hub:
        hub.levers.daily = DAILY
        for number in range(2000):
            hub.create("contacts", {"email": f"c{number}@example.net"})
        clock.sleep(3600)
        yield hub


@pytest.fixture
def runtime(hub: HubSpotSandbox, clock: Clock, tmp_path: Path) -> Iterator[Runtime]:
    (tmp_path / "token").write_text("token")
    (tmp_path / "config.yaml").write_text(
        f'connections: {{crm: {{connector: hubspot, settings: {{base_url: "{hub.url}", token: "${{file:token}}"}}}}}}\n'
    )
    with open_runtime(load_config(tmp_path / "config.yaml"), lock_as="test", clock=clock) as runtime:
        assert learn_account(runtime, runtime.connections["crm"]) is None
        yield runtime


def look(runtime: Runtime, *, force: bool = True) -> cycle.Outcome:
    number = runtime.writer.run(lambda c: runs.start_run(c, "sync", runtime.clock()), priority=Priority.LIVE)
    return cycle.pull(runtime, runtime.connections["crm"], run=number, force=force, whole=True)


def refused(hub: HubSpotSandbox) -> list[str]:
    return [call.path for call in hub.calls if call.status == 429]


def test_the_past_stops_where_news_still_goes_on_and_is_read_to_its_end_the_next_day(
    runtime: Runtime, hub: HubSpotSandbox, clock: Clock
) -> None:
    first = look(runtime)
    assert ("contacts", "backfill") in first.failed
    assert {phase for _, phase in first.failed} <= {"backfill", "sweep"}
    assert len(hub.calls) <= STOP_FOR_THE_PAST + 2
    assert troubles(runtime) == {"crm": []}
    (crm,) = overview(runtime)["connections"]
    (daily,) = crm["budgets"]
    assert (daily["limit"], daily["ours"], daily["waits"]) == (DAILY, STOP, ["past"])

    clock.sleep(120)
    hub.create("contacts", {"email": "new@example.net"})
    clock.sleep(180)
    news = look(runtime)
    assert ("contacts", "live") in news.worked
    assert len(hub.calls) <= STOP
    assert refused(hub) == []

    clock.sleep(timedelta(hours=30).total_seconds())
    hub.levers.daily = 1000
    look(runtime)
    (crm,) = overview(runtime)["connections"]
    contacts = next(one for one in crm["streams"] if one["name"] == "contacts")
    assert contacts["complete"]
    assert refused(hub) == []
