"""What entries take in after they were written, and what a person in the CRM makes of them meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.engine import commands, cycle
from bridge.errors import Rejected, Unavailable
from bridge.model import Json, Receipt
from bridge.store.tables import hold, ledger, receipt
from bridge_memory.client import Thing
from tests.sync_world import World, dies

ANA = "5511973914862"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        made.contact(name="Ana", phone=f"+{ANA}")
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        made.contact(name="Ana", phone=f"+{ANA}")
        yield made


def say(world: World, number: int, **more: Json) -> str:
    text = str(more.pop("text", f"m{number}"))
    return world.message(text, ANA, **{"at": f"2026-11-20T11:{number:02}:00Z", **more})


def entries(world: World) -> list[Thing]:
    return sorted(world.there("entries"), key=lambda entry: int(entry["id"]))


def lines(entry: Thing) -> list[str]:
    return [line.partition(" ")[2] for line in entry["text"].splitlines()[1:-1]]


def test_what_is_said_later_that_day_joins_the_entry(world: World) -> None:
    say(world, 1)
    world.sync()
    (before,) = entries(world)
    say(world, 2)
    say(world, 3, direction="outbound", people=[{"role": "from", "side": "team", "handles": []}, to(ANA)])
    world.sync()
    (entry,) = entries(world)
    assert (entry["id"], entry["key"]) == (before["id"], before["key"])
    assert lines(entry) == ["Ana: m1", "Ana: m2", "Team: m3"]
    assert entry["text"].startswith("WhatsApp, Fri 20 Nov: 3 messages (customer 2, us 1)")
    assert world.sync().written == 0


def to(number: str) -> dict[str, Any]:
    return {"role": "to", "side": "customer", "handles": [{"kind": "whatsapp_id", "value": number}]}


def test_a_message_that_comes_late_stands_at_its_time_under_the_same_key(small: World) -> None:
    say(small, 20)
    small.sync()
    (before,) = entries(small)
    say(small, 5)
    small.sync()
    (entry,) = entries(small)
    assert entry["key"] == before["key"]
    assert lines(entry) == ["Ana: m5", "Ana: m20"]


def test_the_next_day_is_an_entry_of_its_own(small: World) -> None:
    say(small, 1)
    small.sync()
    say(small, 2, at="2026-11-21T11:00:00Z")
    small.sync()
    assert [lines(entry) for entry in entries(small)] == [["Ana: m1"], ["Ana: m2"]]


def test_an_edit_a_removal_and_a_failed_delivery_are_told(small: World) -> None:
    keys = {number: [f"wamid:{number}"] for number in (1, 2, 3)}
    for number in (1, 2):
        say(small, number, keys=keys[number])
    team = {"role": "from", "side": "team", "handles": []}
    say(small, 3, keys=keys[3], direction="outbound", people=[team, to(ANA)])
    small.sync()
    say(small, 4, keys=keys[1], tells="edit", text="m1 mended")
    say(small, 5, keys=keys[2], tells="removal", text="")
    say(
        small,
        6,
        keys=keys[3],
        tells="status",
        state="failed",
        text="",
        direction="outbound",
        people=[team, to(ANA)],
    )
    small.sync()
    (entry,) = entries(small)
    assert lines(entry)[0].startswith("Ana: m1 mended")
    assert lines(entry)[2] == "Team: m3 [not delivered]"
    assert small.sync().written == 0


def test_a_status_that_changes_nothing_in_the_text_writes_nothing(small: World) -> None:
    say(small, 1, keys=["wamid:1"], direction="outbound", state="sent", people=[to(ANA)])
    small.sync()
    say(small, 2, keys=["wamid:1"], tells="status", state="read", direction="outbound", people=[to(ANA)])
    assert small.sync().written == 0


def test_what_a_person_wrote_into_an_entry_stays_and_the_rest_of_the_day_gets_a_new_one(world: World) -> None:
    say(world, 1)
    world.sync()
    (entry,) = entries(world)
    world.change("crm", "entries", entry["id"], text=f"{entry['text']}\nhas a budget of 20k")
    say(world, 2)
    world.sync()
    say(world, 3)
    world.sync()
    first, second = entries(world)
    assert first["text"].endswith("has a budget of 20k")
    assert lines(second) == ["Ana: m2", "Ana: m3"]
    assert second["text"].startswith("WhatsApp, Fri 20 Nov (2): 2 messages")
    assert [row.reason for row in world.rows(hold)] == ["edited"]
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}


@pytest.mark.parametrize("seen", [True, False], ids=["the CRM told", "found out when writing"])
def test_an_entry_that_a_person_deleted_stays_deleted(world: World, seen: bool) -> None:
    say(world, 1)
    world.sync()
    (entry,) = entries(world)
    world.change("crm", "entries", entry["id"], deleted=True)
    if seen:
        world.sync()
    say(world, 2)
    world.settled()
    (entry,) = entries(world)
    assert lines(entry) == ["Ana: m2"]
    assert [row.reason for row in world.rows(hold)] == ["deleted"]
    assert world.sync().written == 0


def test_an_entry_that_a_person_edited_and_then_deleted_is_held_as_deleted(small: World) -> None:
    say(small, 1)
    small.sync()
    (entry,) = entries(small)
    small.change("crm", "entries", entry["id"], text="edited by a person")
    say(small, 2)
    small.settled()
    assert [row.reason for row in small.rows(hold)] == ["edited"]
    small.change("crm", "entries", entry["id"], deleted=True)
    small.settled()
    assert [row.reason for row in small.rows(hold)] == ["deleted"]


def test_an_entry_that_is_full_keeps_its_text_and_a_second_one_follows(small: World) -> None:
    say(small, 1, text="a" * 20_000)
    small.sync()
    say(small, 2, text="b" * 20_000)
    small.sync()
    say(small, 3)
    small.sync()
    first, second = entries(small)
    assert "a" * 100 in first["text"] and "b" * 100 not in first["text"]
    assert second["text"].startswith("WhatsApp, Fri 20 Nov (2): 2 messages")
    assert small.sync().written == 0


def test_growth_waits_for_more_in_the_daemon_and_for_nothing_in_a_sync(small: World) -> None:
    def daemon() -> int:
        assert small.collect() == []
        small.resolve()
        return cycle.deliver_all(small.runtime, small.crm, run=small.run, rests=True).counts["growth"]

    say(small, 1)
    assert daemon() == 0
    assert lines(entries(small)[0]) == ["Ana: m1"]
    for number in (2, 3):
        small.clock.sleep(60)
        say(small, number)
        assert daemon() == 0
    small.clock.sleep(200)
    assert daemon() == 1
    assert lines(entries(small)[0]) == ["Ana: m1", "Ana: m2", "Ana: m3"]
    say(small, 4)
    assert small.sync().counts["growth"] == 1


def test_an_answer_that_was_lost_leaves_the_entry_complete_and_single(world: World) -> None:
    say(world, 1)
    world.sync()
    say(world, 2)
    world.levers["crm"].lose = 1
    world.settled()
    say(world, 3)
    world.settled()
    (entry,) = entries(world)
    assert lines(entry) == ["Ana: m1", "Ana: m2", "Ana: m3"]
    assert world.rows(hold) == []


def test_a_refused_growth_is_told_and_what_comes_after_it_is_not_lost(small: World) -> None:
    say(small, 1)
    small.sync()
    say(small, 2)
    small.acts["crm"]["push"] = lambda memory, writes: iter(
        [Receipt(key=write.key, error=Rejected("no", code="NO")) for write in writes]
    )
    small.sync()
    assert small.pending() == {"rejected": 1}
    del small.acts["crm"]["push"]
    say(small, 3)
    small.sync()
    assert small.told() == {"m1": 1, "m3": 1}
    commands.replay(small.runtime, {"group": None})
    small.settled()
    assert small.told() == {"m1": 1, "m2": 1, "m3": 1}


def test_an_outage_while_growing_is_planned_anew(small: World) -> None:
    say(small, 1)
    small.sync()
    say(small, 2)
    small.acts["crm"]["push"] = lambda memory, writes: iter(
        [Receipt(key=write.key, error=Unavailable("down")) for write in writes]
    )
    small.sync()
    assert small.pending() == {"uncertain": 1}
    del small.acts["crm"]["push"]
    small.settled()
    assert lines(entries(small)[0]) == ["Ana: m1", "Ana: m2"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_process_that_dies_while_an_entry_grows_doubles_and_loses_nothing(
    small: World, at: int, after: bool
) -> None:
    say(small, 1)
    small.sync()
    say(small, 2)
    with dies(small, at=at, after=after):
        small.sync()
    say(small, 3)
    small.settled()
    assert small.told() == {"m1": 1, "m2": 1, "m3": 1}
    assert len(entries(small)) == 1
    assert small.rows(hold) == []


def test_every_write_leaves_a_receipt_with_what_it_replaced(small: World) -> None:
    say(small, 1)
    small.sync()
    say(small, 2)
    small.sync()
    (entry,) = [row for row in small.rows(ledger) if row.slot == "entry"]
    made, grown = [row for row in small.rows(receipt) if row.stream == "entries"]
    assert (made.slot, made.op, made.key) == ("entry", "create", entry.key)
    assert (grown.slot, grown.op, grown.entry) == ("growth", "update", entry.key)
    assert b"m1" in grown.before and b"m2" not in grown.before
    assert b"m2" in grown.fields


def test_a_growth_that_the_crm_carries_out_late_overwrites_nothing_newer(world: World) -> None:
    say(world, 1)
    world.sync()
    say(world, 2)
    world.levers["crm"].late = 1
    world.sync()
    say(world, 3)
    world.sync()
    world.settled()
    say(world, 4)
    world.settled()
    (entry,) = entries(world)
    assert lines(entry) == ["Ana: m1", "Ana: m2", "Ana: m3", "Ana: m4"]
    assert world.rows(hold) == []


def test_an_edit_that_comes_while_nobody_knows_whether_its_entry_stands_is_told(world: World) -> None:
    say(world, 1, keys=["wamid:1"])
    world.levers["crm"].lose = 1
    world.sync()
    say(world, 2, keys=["wamid:1"], tells="edit", text="m1 mended")
    world.settled()
    (entry,) = entries(world)
    assert lines(entry) == ["Ana: m1 mended (edited)"]
