"""How a run ended is arithmetic: ok, partial with numbers, failed; of a sync, of a delivery, of a daemon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.engine import cycle
from bridge.engine.local import Daemon
from bridge.errors import Rejected
from bridge.model import Receipt, Write
from bridge.store import runs
from bridge.sync.views.totals import totals
from bridge_memory import Memory
from tests.outside import until
from tests.sync_world import World

ANA, BIA = "5511973914862", "5511973914863"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def refuse(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
    for write in writes:
        yield Receipt(key=write.key, error=Rejected("too long", code="LENGTH"))


def last(world: World, kind: str) -> dict[str, Any]:
    with world.runtime.database.read() as c:
        found = runs.latest_run(c, kind)
    assert found is not None
    return found


def deliver(world: World) -> None:
    """Collect and deliver as the daemon does, in a run of its own."""
    assert world.collect() == []
    world.resolve()
    cycle.deliver_all(world.runtime, world.crm, run=None)


def test_a_run_adds_up_and_is_whole_only_when_nothing_is_left(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    world.message("m2", ANA, at="no time")
    world.collect()
    waiting = totals(world.runtime, world.run)
    assert (waiting.counts()["waiting"], waiting.whole) == (3, False)
    world.resolve()
    found = totals(world.runtime, world.run)
    assert found.counts() == {"read": 3, "mapped": 2, "skipped": 0, "rejected": 1, "waiting": 0}
    assert (found.rejects, found.whole) == (1, False)


def test_a_delivery_is_partial_while_its_writes_do_not_stand(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    deliver(world)
    assert (last(world, "delivery")["outcome"], world.pending()) == ("ok", {})
    world.acts["crm"]["push"] = refuse
    world.message("m2", ANA, thread="t2")
    deliver(world)
    found = last(world, "delivery")
    assert (found["outcome"], found["counts"]["pending_writes"]) == ("partial", {"rejected": 1})
    assert not totals(world.runtime, world.run).whole
    del world.acts["crm"]["push"]
    world.contact(name="Bia", phone=f"+{BIA}")
    world.message("m3", BIA)
    deliver(world)
    assert last(world, "delivery")["outcome"] == "ok", "what an earlier run left is not this one's"


@pytest.mark.parametrize(("at", "outcome"), [("2026-11-20T11:00:00Z", "ok"), ("no time", "partial")])
def test_a_daemon_that_ends_says_what_its_run_came_to(small: World, at: str, outcome: str) -> None:
    small.message("m1", ANA, at=at)
    daemon = Daemon(small.runtime)
    daemon.start()
    try:
        until(lambda: small.told() if outcome == "ok" else small.stream("messages")["rejected"])
        until(lambda: small.pending() == {})
    finally:
        daemon.stop()
    found = last(small, "daemon")
    assert (found["outcome"], found["counts"]["read"]) == (outcome, 1)
