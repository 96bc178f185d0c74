"""Undo: what a run wrote goes, what anybody did since stays, and nothing comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.errors import ConfigError, Rejected
from bridge.store import runs
from bridge.store.tables import hold, ledger, receipt
from bridge.store.writer import Priority
from bridge.sync.completeness.reconcile import reconcile
from bridge.sync.completeness.repair import repair
from tests.sync_world import World, party
from tests.undo_world import (
    ANA,
    BIA,
    TEAM,
    busy,
    crm,
    kinds,
    reasons,
    refusing,
    released,
    synced,
    undone,
)


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def test_an_undo_leaves_the_crm_as_it_was_and_the_next_sync_writes_nothing(world: World) -> None:
    busy(world)
    before = crm(world)
    run = synced(world)
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1, "m4": 1}
    result = undone(world, run)
    assert (result["left"], result["finished"]) == (0, True)
    assert crm(world) == before
    assert {row.taken_back for row in world.rows(receipt) if row.run == run} == {result["undo"]}
    after = synced(world)
    assert crm(world) == before
    assert not [row for row in world.rows(receipt) if row.run == after]
    world.start()
    assert world.sync().written == 0


def test_runs_are_taken_back_newest_first_down_to_the_beginning(world: World) -> None:
    busy(world)
    states = [crm(world)]
    numbers = []
    for text, more in (
        ("m1", {}),
        ("m5", {"at": "2026-11-20T11:05:00Z"}),
        ("m6", {"at": "2026-11-20T11:06:00Z"}),
    ):
        if text != "m1":
            world.message(text, ANA, **more)
            world.mail(
                f"m{int(text[1]) + 2}", TEAM, party("to", "carla@x.com"), at=f"2026-11-20T12:0{text[1]}:00Z"
            )
        numbers.append(synced(world))
        states.append(crm(world))
    assert len(world.there("entries")) == 6, "the chat of a day is no longer one entry"
    first = undone(world, numbers[0])
    assert first["left"] > 0
    assert any(
        f"crmbridge undo {numbers[1]}" in reason or f"crmbridge undo {numbers[2]}" in reason
        for reason in reasons(first)
    )
    for number, before in zip(numbers[::-1], states[:-1][::-1], strict=True):
        result = undone(world, number)
        shown = crm(world)
        if number != numbers[0]:
            assert result["left"] == 0, reasons(result)
        if number == numbers[0]:
            assert shown == before
        assert [one["text"] for one in shown["entries"] if "m1" in one["text"]] == [
            one["text"] for one in before["entries"] if "m1" in one["text"]
        ]
    assert synced(world) and crm(world) == states[0]


def test_what_joined_an_entry_leaves_it_and_is_written_nowhere_else(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    synced(world)
    before = crm(world)
    world.message("m2", ANA, at="2026-11-20T11:05:00Z")
    second = synced(world)
    assert world.told() == {"m1": 1, "m2": 1}
    assert len(world.there("entries")) == 1
    assert kinds(undone(world, second)) == {"regrow": 1}
    assert crm(world) == before
    synced(world)
    assert crm(world) == before
    world.message("m3", ANA, at="2026-11-20T11:10:00Z")
    synced(world)
    assert world.told() == {"m1": 1, "m3": 1}
    findings = reconcile(world.runtime, world.crm)
    repair(world.runtime, world.crm, findings)
    synced(world)
    assert world.told() == {"m1": 1, "m3": 1}, "a repair brought back what was taken back"
    assert released(world, of=world.rows(hold)[0].run) == 2
    synced(world)
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}


def test_what_a_person_edited_is_reported_with_both_values_and_stays(world: World) -> None:
    ana = world.contact(name="Ana", email="ana@x.com")
    world.message("m1", {"email": "ana@x.com", "whatsapp_id": ANA})
    world.message("m2", BIA, name="Bia")
    run = synced(world)
    (entry,) = [one for one in world.there("entries") if "m1" in one["text"]]
    world.change("crm", "entries", entry["id"], text=entry["text"] + " and what Rui added")
    (bia,) = [one for one in world.there("contacts") if one["name"] == "Bia"]
    world.change("crm", "contacts", bia["id"], name="Bia Lima")
    world.change("crm", "contacts", ana, phone="+55 11 4000-1000")
    result = undone(world, run)
    told = reasons(result)
    assert result["left"] == len(told)
    assert any("what Rui added" in one and "edited since" in one for one in told)
    assert any("'Bia'" in one and "'Bia Lima'" in one for one in told)
    assert world.told() == {"m1": 1}
    assert {one["name"] for one in world.there("contacts")} == {"Ana", "Bia Lima"}
    assert [one["phone"] for one in world.there("contacts") if one["id"] == ana] == ["+55 11 4000-1000"]
    synced(world)
    assert world.told() == {"m1": 1}


def test_what_a_person_deleted_stays_deleted(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    run = synced(small)
    (entry,) = small.there("entries")
    small.change("crm", "entries", entry["id"], deleted=True)
    result = undone(small, run)
    assert reasons(result)[0] == "it was deleted in the CRM since"
    synced(small)
    assert small.told() == {}


@pytest.mark.parametrize("contacts", [("ana", "rui"), ("rui",)], ids=["besides", "instead"])
def test_an_entry_stays_that_a_person_put_on_another_contact(small: World, contacts: Sequence[str]) -> None:
    ids = {"ana": small.contact(name="Ana", phone=f"+{ANA}"), "rui": small.contact(name="Rui")}
    small.message("m1", ANA)
    run = synced(small)
    (entry,) = small.there("entries")
    small.change("crm", "entries", entry["id"], contact=[ids[name] for name in contacts])
    reason = f"it stands on contact {ids['rui']}, where somebody else put it"
    assert reason in reasons(undone(small, run))
    assert small.told() == {"m1": 1}


def test_a_contact_stays_on_which_somebody_else_worked(small: World) -> None:
    small.message("m1", ANA, name="Ana")
    run = synced(small)
    (ana,) = small.there("contacts")
    small.put("crm", "entries", text="Called her", contact=ana["id"], at="2026-11-20T12:00:00Z")
    small.collect()
    small.resolve()
    result = undone(small, run)
    assert reasons(result) == ["entries 2 of others refer to it"]
    assert [one["name"] for one in small.there("contacts")] == ["Ana"]
    assert small.told() == {}


def test_a_contact_stays_on_which_an_entry_of_a_later_run_stands(small: World) -> None:
    small.message("m1", ANA, name="Ana")
    first = synced(small)
    small.message("m2", ANA, thread="another")
    second = synced(small)
    result = undone(small, first)
    assert small.told() == {"m2": 1}
    assert any("of ours stand on it" in one or f"run {second}" in one for one in reasons(result))
    assert undone(small, second)["left"] == 0
    assert undone(small, first)["left"] == 0
    assert crm(small) == {"contacts": [], "entries": []}


def test_a_person_whose_contact_was_taken_back_gets_none_until_it_is_released(world: World) -> None:
    world.message("m1", ANA, name="Ana")
    result = undone(world, synced(world))
    world.message("m2", ANA, thread="t2")
    world.message("m3", BIA, name="Bia")
    synced(world)
    assert [one["name"] for one in world.there("contacts")] == ["Bia"]
    assert world.told() == {"m3": 1}
    assert released(world, of=result["undo"]) == 2
    synced(world)
    assert sorted(one["name"] for one in world.there("contacts")) == ["Ana", "Bia"]
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}
    synced(world)
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}


def test_what_is_released_is_written_once_even_where_the_answer_was_lost(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    result = undone(small, synced(small))
    released(small, of=result["undo"])
    small.levers["crm"].lose = 1
    synced(small)
    assert small.told() == {"m1": 1}
    assert {row.ext_id for row in small.rows(ledger) if row.slot == "entry"} == {
        one["id"] for one in small.there("entries")
    }


def test_an_entry_that_a_person_restored_is_used_again_when_it_is_released(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    run = synced(small)
    (entry,) = small.there("entries")
    result = undone(small, run)
    small.change("crm", "entries", entry["id"], deleted=False)
    released(small, of=result["undo"])
    synced(small)
    assert small.told() == {"m1": 1}


def test_an_undo_is_undone(world: World) -> None:
    busy(world)
    first = synced(world)
    world.message("m5", ANA, at="2026-11-20T11:05:00Z")
    second = synced(world)
    both = crm(world)
    back = undone(world, second)
    again = undone(world, back["undo"])
    assert (again["left"], crm(world)) == (0, both)
    synced(world)
    assert crm(world) == both
    once_more = undone(world, again["undo"])
    assert (once_more["left"], world.told().get("m5")) == (0, None)
    all_back = undone(world, first)
    assert all_back["left"] == 0, reasons(all_back)
    gone = crm(world)
    undone(world, all_back["undo"])
    assert crm(world)["entries"] == gone["entries"], "archived entries are made anew by a sync"
    synced(world)
    assert {word: count for word, count in world.told().items() if word != "m5"} == {
        "m1": 1,
        "m2": 1,
        "m3": 1,
        "m4": 1,
    }


def test_an_entry_that_was_put_on_one_more_contact_is_taken_off_again(world: World) -> None:
    world.push = {"timeline": True}
    world.start()
    carla = world.contact(name="Carla", email="carla@x.com")
    world.mail("m1", TEAM, party("to", "carla@x.com"), party("cc", "eva@x.com"))
    synced(world)
    eva = world.contact(name="Eva", email="eva@x.com")
    second = synced(world)
    assert [one["contact"] for one in world.there("entries")] == [[carla, eva]]
    result = undone(world, second)
    assert kinds(result)["unlink"] == 1
    assert [one["contact"] for one in world.there("entries")] == [carla]
    synced(world)
    assert [one["contact"] for one in world.there("entries")] == [carla]
    again = undone(world, result["undo"])
    assert again["left"] == 0
    assert [one["contact"] for one in world.there("entries")] == [[carla, eva]]
    synced(world)
    undone(world, again["undo"])
    released(world, of=again["undo"] + 1, keys=[row.key for row in world.rows(hold)])
    synced(world)
    assert [one["contact"] for one in world.there("entries")] == [[carla, eva]]
    assert world.told() == {"m1": 1}


def test_an_entry_that_moved_moves_back(small: World) -> None:
    small.contact(name="Ana", email="ana@x.com")
    small.message("m1", ANA, name="Ana")
    synced(small)
    (made,) = [one for one in small.there("contacts") if one.get("key")]
    small.change("crm", "contacts", "1", phone=f"+{ANA}")
    second = synced(small)
    assert [one["contact"] for one in small.there("entries")] == ["1"]
    result = undone(small, second)
    assert (kinds(result)["link"], kinds(result)["unlink"]) == (1, 1), result
    assert [one["contact"] for one in small.there("entries")] == [made["id"]]
    synced(small)
    assert [one["contact"] for one in small.there("entries")] == [made["id"]]
    undone(small, result["undo"])
    assert [one["contact"] for one in small.there("entries")] == ["1"]


def test_taking_a_later_undo_back_leaves_what_an_earlier_one_took_back(small: World) -> None:
    ana = small.contact(name="Ana", phone=f"+{ANA}")

    def waits() -> str | None:
        return next(one.get("waiting_since") for one in small.there("contacts") if one["id"] == ana)

    small.message("m1", ANA)
    first = synced(small)
    since = waits()
    small.message("m2", ANA, at="2026-11-20T10:00:00Z", thread="t2")
    second = synced(small)
    assert waits() not in (None, since)
    undone(small, second)
    later = undone(small, first)
    assert waits() is None
    undone(small, later["undo"])
    synced(small)
    assert waits() == since
    assert small.told() == {"m1": 1}


def test_only_what_was_written_for_one_person_is_taken_back(small: World) -> None:
    small.message("m1", ANA, name="Ana")
    small.message("m2", BIA, name="Bia")
    run = synced(small)
    people = {row.person_id for row in small.rows(receipt) if "Ana" in str(row.fields)}
    assert len(people) == 1
    assert undone(small, run, people.pop())["left"] == 0
    assert small.told() == {"m2": 1}
    assert undone(small, run)["left"] == 0
    assert crm(small) == {"contacts": [], "entries": []}


def test_what_was_not_written_yet_is_not_written_any_more(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    small.message("m2", BIA, name="Bia")
    refused = Rejected("needs a segment", code="REQUIRED")
    small.acts["crm"]["push"] = refusing(
        refused, lambda write: write.op == "create" and write.stream == "contacts"
    )
    small.run = small.runtime.writer.run(runs.start_run, "sync", small.clock(), priority=Priority.LIVE)
    small.sync()
    del small.acts["crm"]["push"]
    assert small.pending() == {"rejected": 1, "open": 1}
    result = undone(small, small.run)
    assert kinds(result)["drop"] == 2
    assert small.pending() == {}
    synced(small)
    assert small.told() == {}
    again = undone(small, result["undo"])
    assert (again["left"], small.rows(hold)) == (0, [])
    synced(small)
    assert small.told() == {"m1": 1, "m2": 1}


def test_a_run_that_cannot_be_taken_back_says_why(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    empty = synced(small)
    small.message("m1", ANA)
    run = synced(small)
    result = undone(small, run)
    for number, said in (
        (999, "run 999: there is none"),
        (empty, f"run {empty} \\(sync\\): wrote nothing"),
        (run, f"was taken back already, by run {result['undo']}"),
    ):
        with pytest.raises(ConfigError, match=said):
            undone(small, number)


def test_what_was_released_is_not_held_anew_by_an_undo_that_is_taken_back(small: World) -> None:
    """The first undo's hold was let go of; undoing the third run and that undo again brings it back no more."""
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    first = undone(small, synced(small))
    released(small, of=first["undo"])
    third = synced(small)
    assert small.rows(hold) == []
    before = crm(small)
    again = undone(small, third)
    assert small.rows(hold)
    undone(small, again["undo"])
    small.settled()
    assert small.rows(hold) == []
    assert crm(small)["contacts"] == before["contacts"]
