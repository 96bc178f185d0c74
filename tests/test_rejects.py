"""Rejects: grouped by cause, shown until they are solved, and tried again by hand, here or by the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.engine import commands
from bridge.engine.local import Daemon
from bridge.engine.opening import open_runtime, recall_accounts
from bridge.errors import StoreError
from bridge.store import rejects
from bridge.store.tables import entity, reject
from bridge.sync.runtime import Runtime
from tests.outside import until
from tests.sync_world import MAPPING, World

ANA, BIA, DORA = "5511973914862", "5511973914863", "5511973914864"
MENDED = MAPPING.replace("occurred_at: at", 'occurred_at: {const: "2026-11-20T10:00:00Z"}')


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


def listed(world: World, group: str | None = None) -> list[dict[str, Any]]:
    with world.runtime.database.read() as c:
        return rejects.listed(c, group)


def take(world: World) -> None:
    assert world.collect() == []
    world.resolve()


def test_rejects_of_one_cause_are_one_group_and_another_cause_is_another(world: World) -> None:
    world.message("m1", ANA, at="yesterday")
    world.message("m2", BIA, at="last week")
    world.message("m3", BIA, keys=["no colon"])
    world.contact(name="Ana", created="yesterday")
    take(world)
    groups: dict[str, set[str]] = {}
    for row in listed(world):
        groups.setdefault(row["group_key"], set()).add(f"{row['stream']}/{row['ext_id']}")
    assert sorted(map(sorted, groups.values())) == [
        ["contacts/1"],
        ["messages/1", "messages/2"],
        ["messages/3"],
    ]
    assert all(group.startswith("R") for group in groups)
    (chosen,) = [group for group, names in groups.items() if "messages/1" in names]
    assert {row["ext_id"] for row in listed(world, chosen)} == {"1", "2"}
    assert commands.replay(world.runtime, {"group": chosen}) == {"replayed": 2}
    assert world.stream("messages")["waiting"] == 2
    assert world.stream("messages")["rejected"] == 1


def test_the_group_of_a_cause_is_the_same_in_every_store(tmp_path: Path) -> None:
    found = set()
    for name in ("one", "two"):
        home = tmp_path / name
        home.mkdir()
        with World(f"sqlite:///{home / 'store.db'}", home) as world:
            world.message("m1", ANA, at="yesterday")
            take(world)
            ((row),) = listed(world)
            found.add((row["group_key"], row["place"].rpartition(":")[2]))
    assert len({line for _, line in found}) == 1


def test_the_newest_reject_is_shown_first_with_its_times_and_attempts(world: World) -> None:
    world.message("m1", ANA, at="yesterday")
    take(world)
    first = world.clock()
    world.clock.sleep(60)
    world.message("m2", BIA, at="yesterday")
    take(world)
    assert [row["ext_id"] for row in listed(world)] == ["2", "1"]
    world.clock.sleep(60)
    commands.replay(world.runtime, {"group": None})
    world.resolve()
    assert {(row["attempts"], row["last_at"]) for row in listed(world)} == {(2, world.clock())}
    assert min(row["first_at"] for row in listed(world)) == first


def test_what_went_through_is_kept_as_solved(world: World) -> None:
    world.message("m1", ANA, at="yesterday")
    take(world)
    world.remap_to(MENDED)
    world.start()
    commands.replay(world.runtime, {"group": None})
    world.resolve()
    assert listed(world) == []
    (row,) = world.rows(reject)
    assert row.state == "solved"
    assert commands.replay(world.runtime, {"group": None}) == {"replayed": 0}


@pytest.fixture
def other(world: World) -> Iterator[Runtime]:
    """A command beside the daemon: it may read the store and leave commands, nothing else."""
    with open_runtime(world.config(), lock_as=None, clock=world.clock) as runtime:
        recall_accounts(runtime)
        yield runtime


def test_the_daemon_carries_out_what_other_commands_hand_over(world: World, other: Runtime) -> None:
    world.message("m1", ANA, at="yesterday")
    world.message("m2", BIA)
    take(world)
    world.remap_to(MENDED.replace("subject: subject", "subject: {const: remapped}"))
    world.start()
    daemon = Daemon(world.runtime)
    daemon.start()
    try:
        assert commands.hand_over(other, "replay", {"group": None}) == {"replayed": 1}
        until(lambda: world.stream("messages")["mapped"] == 2)
        assert listed(world) == []
        assert commands.hand_over(other, "remap", {"connection": "chat"})["records"] >= 1
        until(lambda: remapped(world) == 2)
        world.message("m3", DORA)
        assert commands.hand_over(other, "sync", {}) == {"connections": 2}
        until(lambda: world.stream("messages")["mapped"] == 3)
        with pytest.raises(StoreError, match=r"could not do it: .*nowhere"):
            commands.hand_over(other, "remap", {"connection": "nowhere"})
    finally:
        daemon.stop()
    assert daemon.failed() is None
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}


def remapped(world: World) -> int:
    return sum(b"remapped" in row.body for row in world.rows(entity))


def test_a_command_that_nobody_takes_says_who_holds_the_store(world: World, other: Runtime) -> None:
    with pytest.raises(StoreError, match="held by another process that took no command"):
        commands.hand_over(other, "sync", {}, seconds=0.3)
    daemon = Daemon(world.runtime)
    daemon.start()
    daemon.stop()
    assert world.stream("messages")["read"] == 0


def test_a_second_process_is_told_who_holds_the_store(world: World) -> None:
    with (
        pytest.raises(StoreError, match=r"in use by crmbridge test, process [0-9]+ on"),
        open_runtime(world.config(), lock_as="crmbridge sync"),
    ):
        raise AssertionError("two processes write to one store")
