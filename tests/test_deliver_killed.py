"""Delivery across backups, starts and sudden ends: whenever a process dies, nothing is doubled."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.engine.local import Daemon
from bridge.errors import Unavailable
from bridge.model import Json, Page, Phase
from bridge.store.tables import ledger
from bridge.sync.intake.collect import OUTAGE_WAIT
from bridge.sync.runtime import Connection
from bridge_memory import Memory
from tests.outside import until
from tests.sync_world import World, dies, party

ANA, BIA, DORA = "5511973914862", "5511973914863", "5511973914864"


def test_yesterdays_backup_doubles_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    world = World(f"sqlite:///{store}", tmp_path)
    with world:
        world.contact(name="Ana", phone="+5511973914862")
        world.message("m1", ANA, thread="t", at="2026-11-20T11:00:00Z")
        world.settled()
        world.message("m2", BIA, name="Bia")
    shutil.copy(store, tmp_path / "backup.db")
    with world:
        world.message("m3", ANA, thread="t", at="2026-11-20T11:10:00Z")
        world.message("m4", ANA, thread="t", at="2026-11-20T11:11:00Z")
        world.message("m5", {"whatsapp_bsuid": "BR.77"}, name="Caio")
        world.mail("m6", party("from", "rui@example.com", side="team"), party("to", "eva@padaria.com"))
        world.settled()
        expected = world.told(), sorted(one["id"] for one in world.there("contacts"))
        assert expected[0] == {f"m{number}": 1 for number in range(1, 7)}
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", store)
    with world:
        world.message("m7", ANA, thread="t", at="2026-11-20T11:20:00Z")
        world.settled()
        assert world.told() == {**expected[0], "m7": 1}
        assert sorted(one["id"] for one in world.there("contacts")) == expected[1]
        assert world.stream("entries", "crm")["mapped"] == 0, "our own entries entered journeys"
        assert world.sync().written == 0


@pytest.mark.parametrize(
    ("written_before", "fails"),
    [(False, False), (True, False), (True, True)],
    ids=["first", "later", "fails"],
)
def test_the_daemon_writes_nothing_before_it_has_read_what_stands(
    small: World,
    written_before: bool,
    fails: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = small.contact(name="Ana", phone=f"+{ANA}")
    if written_before:
        small.message("m1", ANA)
        small.settled()
    small.message("m2", ANA, thread="t2")
    small.clock.sleep(120)
    gate = threading.Event()

    def pull(memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        if stream == "entries" and fails and not gate.is_set():
            raise Unavailable("it is being mended")
        if stream == "entries":
            assert gate.wait(120)
        return Memory.pull(memory, stream, phase, place, fields)

    small.acts["crm"]["pull"] = pull
    small.start()
    daemon = Daemon(small.runtime)
    looked: list[bool] = []
    may_write = daemon._may_write

    def watched(connection: Connection) -> bool:
        looked.append(may_write(connection))
        return looked[-1]

    def looked_again() -> bool:
        daemon.wake("deliver")
        return len(looked) > before + 1

    monkeypatch.setattr(daemon, "_may_write", watched)
    told = "(entries). Nothing is written there before it was read"
    daemon.start()
    try:
        until(lambda: small.stream("messages")["waiting"] == 0 and small.stream("messages")["mapped"] >= 1)
        until(lambda: told in caplog.text or not fails)
        before = len(looked)
        until(looked_again)
        assert not any(looked)
        assert "m2" not in small.told()
        assert (told in caplog.text) == fails
        gate.set()
        small.clock.sleep(OUTAGE_WAIT)
        daemon.wake("collect:crm")
        until(lambda: "m2" in small.told())
    finally:
        gate.set()
        daemon.stop()
    assert {entry["contact"] for entry in small.there("entries")} == {there}


def busy(home: Path, store: str) -> World:
    """A world in which every kind of write is due."""
    world = World(store, home)
    world.contact(name="Ana", phone="+55 11 97391-4862")
    world.contact(name="Carla", email="carla@x.com")
    world.message("m1", ANA)
    world.message("m2", {"whatsapp_bsuid": "BR.77"}, name="Bia")
    world.message("m3", DORA, name="Dora")
    team = party("from", "rui@example.com", side="team")
    world.mail("m4", team, party("to", "carla@x.com"), party("cc", "eva@x.com"))
    return world


def crash_and_go_on(home: Path, store: str, at: int, after: bool, during: Callable[[World], Any]) -> bool:
    """Let a process die at one transaction, and check what stands after the next; False once it lived."""
    home.mkdir(exist_ok=True)
    world = busy(home, store)
    with world:
        during(world)
        with dies(world, at=at, after=after) as writer:
            world.sync()
        world.levers["crm"].late = world.levers["crm"].lose = 0
        world.settled()
        assert world.told() == {"m1": 1, "m2": 1, "m3": 1, "m4": 1}
        names = sorted(one["name"] for one in world.there("contacts"))
        assert names == ["Ana", "Bia", "Carla", "Dora", "eva@x.com"]
        standing = {
            (row.stream, row.ext_id) for row in world.rows(ledger) if row.slot in ("contact", "entry")
        }
        made = {("entries", one["id"]) for one in world.there("entries")}
        made |= {("contacts", one["id"]) for one in world.there("contacts") if one.get("key")}
        assert standing == made, "the ledger is not what stands in the CRM"
        for stream, count in (("messages", 4), ("contacts", 0)):
            assert world.stream(stream)["mapped"] == count
        return writer.left <= 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_may_die_at_any_transaction(tmp_path: Path, after: bool) -> None:
    at = 1
    step = 4 if after else 6
    while crash_and_go_on(
        tmp_path / str(at), f"sqlite:///{tmp_path / str(at)}/store.db", at, after, lambda world: None
    ):
        at += step
    assert at > 15, "the world was too small to die in"


@pytest.mark.parametrize("at", [8, 14, 17, 20])
def test_a_process_may_die_while_writes_are_lost(tmp_path: Path, at: int) -> None:
    def trouble(world: World) -> None:
        world.levers["crm"].lose = 2

    crash_and_go_on(tmp_path / "home", f"sqlite:///{tmp_path}/home/store.db", at, True, trouble)


@pytest.mark.parametrize("at", range(2, 7))
def test_a_backup_that_was_about_to_write_writes_nothing_twice(tmp_path: Path, at: int) -> None:
    store, copy = tmp_path / "store.db", tmp_path / "backup.db"
    with World(f"sqlite:///{store}", tmp_path) as world:
        world.message("m1", "5511973914862", name="Ana")
        assert world.collect() == []
        world.resolve()
        with dies(world, at=at, after=False):
            world.deliver()
        world.stop()
        shutil.copy(store, copy)
        world.start().settled()
        world.stop()
        shutil.copy(copy, store)
        world.start().settled()
        assert world.told() == {"m1": 1}
        assert len(world.there("contacts")) == 1


@pytest.mark.parametrize("archived", [0, 1])
def test_what_a_lost_store_archived_as_a_double_is_told_by_the_other(tmp_path: Path, archived: int) -> None:
    """The CRM does not tell of the deletion, and the store that is back would take either for the one to keep."""

    def pull(memory: Memory, stream: str, phase: Phase, *more: Any) -> Iterator[Page]:
        for page in Memory.pull(memory, stream, phase, *more):
            yield replace(page, records=[one for one in page.records if not getattr(one, "deleted", False)])

    store = tmp_path / "store.db"
    world = World(f"sqlite:///{store}", tmp_path)
    world.contact(name="Ana", email="ana@lima.example")
    ana = party("from", "ana@lima.example", side="customer")
    with world:
        for key in ("one:1", "two:1"):
            world.mail("m1", ana, direction="inbound", keys=[key])
        world.settled()
        entries = [one["id"] for one in world.there("entries")]
        assert world.told() == {"m1": 2}
    shutil.copy(store, tmp_path / "backup.db")
    with world:
        world.message("m2", BIA, name="Bia")
        world.settled()
        world.change("crm", "entries", entries[archived], deleted=True)
    world.acts["crm"]["pull"] = pull
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", store)
    with world:
        world.clock.sleep(60)
        world.mail("m1", ana, direction="inbound", keys=["one:1", "two:1"])
        world.settled()
        assert world.told() == {"m1": 1, "m2": 1}
        assert world.sync().written == 0
