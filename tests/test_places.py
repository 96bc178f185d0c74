"""On which contacts entries stand while people turn out to be others than was thought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.engine import commands, cycle
from bridge.errors import Rejected, Unavailable
from bridge.model import Found, Page, Phase, Receipt, Record, Unknown, Write
from bridge.store.database import micros
from bridge.store.tables import decision, hold, ledger, reject
from bridge.sync.identity.decide import decide, new_decision
from bridge_memory import Memory
from bridge_memory.client import Thing
from tests.sync_world import Crash, World, dies, party

ANA = "5511973914862"
MAIL = "ana@lima.example"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def places(world: World) -> dict[str, list[str]]:
    """Return the contacts of each entry, by the messages in it."""
    return {
        " ".join(word for word in entry["text"].split() if word[0] == "m" and word[1:].isdigit()): on(entry)
        for entry in world.there("entries")
    }


def on(entry: Thing) -> list[str]:
    found = entry.get("contact")
    return sorted(found) if isinstance(found, list) else [found] if found else []


def test_entries_move_when_a_contact_of_our_making_turns_out_to_be_somebody_known(world: World) -> None:
    known = world.contact(name="Ana Lima", email=MAIL)
    world.message("m1", ANA, name="Ana")
    world.settled()
    (made,) = [one["id"] for one in world.there("contacts") if one["id"] != known]
    assert places(world) == {"m1": [made]}
    world.change("crm", "contacts", known, phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [known]}
    world.message("m2", ANA, name="Ana", at="2026-11-20T11:05:00Z")
    world.settled()
    assert places(world) == {"m1 m2": [known]}
    assert world.sync().written == 0
    assert {row.contact_id for row in world.rows(ledger) if row.slot == "entry"} == {known}


def test_entries_go_back_when_the_person_is_not_that_contact_after_all(world: World) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    second = world.contact(name="Ana Lima", email=MAIL)
    world.message("m1", ANA)
    world.settled()
    assert places(world) == {"m1": [first]}
    world.change("crm", "contacts", first, phone="")
    world.change("crm", "contacts", second, phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [second]}
    world.change("crm", "contacts", second, phone="")
    world.change("crm", "contacts", first, phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [first]}
    assert world.sync().written == 0


def test_an_entry_that_a_person_moved_stays_where_they_put_it(world: World) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    second = world.contact(name="Ana Lima", email=MAIL)
    third = world.contact(name="Bia", email="bia@lima.example")
    world.message("m1", ANA)
    world.settled()
    (entry,) = world.there("entries")
    world.change("crm", "entries", entry["id"], contact=third)
    world.change("crm", "contacts", first, phone="")
    world.change("crm", "contacts", second, phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [third]}
    assert [row.reason for row in world.rows(hold)] == ["moved"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_process_that_dies_while_an_entry_moves_leaves_it_on_one_contact(
    small: World, at: int, after: bool
) -> None:
    first = small.contact(name="Ana", phone=f"+{ANA}")
    second = small.contact(name="Ana Lima", email=MAIL)
    small.message("m1", ANA)
    small.settled()
    small.change("crm", "contacts", first, phone="")
    small.change("crm", "contacts", second, phone=f"+{ANA}")
    with dies(small, at=at, after=after):
        small.sync()
    small.settled()
    assert places(small) == {"m1": [second]}


def test_the_same_message_captured_twice_stands_once_in_the_end(small: World) -> None:
    small.contact(name="Ana", email=MAIL)
    mail = {"keys": ["message-id:1@lima"], "direction": "inbound"}
    small.mail("m1", party("from", MAIL), **mail)
    small.mail("m1", party("from", MAIL), keys=["mail-hash:77"], direction="inbound")
    small.settled()
    assert small.told() == {"m1": 2}
    small.mail("m1", party("from", MAIL), keys=["message-id:1@lima", "mail-hash:77"], direction="inbound")
    small.settled()
    assert small.told() == {"m1": 1}
    assert small.sync().written == 0


def test_a_message_captured_twice_whose_answers_were_lost_stands_once_in_the_end(small: World) -> None:
    """What such a CRM makes of a value, here of a time, is not known of a write without an answer: it is no edit."""
    small.contact(name="Ana", email=MAIL)

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for receipt in Memory.push(memory, writes):
            yield replace(receipt, error=Unavailable("no answer"))

    def read(memory: Memory, stream: str, *more: Sequence[str]) -> Iterator[Record]:
        for record in Memory.read(memory, stream, *more):
            shown = {**record.data, "at": record.data["at"][:10]} if stream == "entries" else record.data
            yield replace(record, data=shown)

    small.acts["crm"] |= {"push": push, "read": read}
    small.mail("m1", party("from", MAIL), keys=["message-id:1@lima"], direction="inbound")
    small.mail("m1", party("from", MAIL), keys=["mail-hash:77"], direction="inbound")
    small.sync()
    del small.acts["crm"]["push"]
    small.settled()
    small.mail("m1", party("from", MAIL), keys=["message-id:1@lima", "mail-hash:77"], direction="inbound")
    small.settled()
    assert (small.told(), small.rows(hold)) == ({"m1": 1}, [])


def test_mail_that_the_crms_own_logger_caught_later_takes_the_place_of_ours(small: World) -> None:
    contact = small.contact(name="Ana", email=MAIL)
    small.mail("m1", party("from", MAIL), keys=["message-id:1@lima"], direction="inbound")
    small.settled()
    assert small.told() == {"m1": 1}
    logged = small.put(
        "crm", "entries", text="m1", at="2026-11-20T11:00:00Z", contact=contact, message_id="1@lima"
    )
    small.settled()
    assert [entry["id"] for entry in small.there("entries")] == [logged]
    assert small.sync().written == 0


def test_an_entry_of_ours_that_a_person_wrote_into_stays_beside_what_the_logger_caught(small: World) -> None:
    contact = small.contact(name="Ana", email=MAIL)
    small.mail("m1", party("from", MAIL), keys=["message-id:1@lima"], direction="inbound")
    small.settled()
    (ours,) = small.there("entries")
    small.change("crm", "entries", ours["id"], text=f"{ours['text']}\ncalled her")
    small.put("crm", "entries", text="m1", at="2026-11-20T11:00:00Z", contact=contact, message_id="1@lima")
    small.settled()
    assert len(small.there("entries")) == 2
    assert [row.reason for row in small.rows(hold)] == ["edited"]


def test_the_daemon_leaves_a_mail_to_the_crms_logger_for_a_moment(small: World) -> None:
    small.contact(name="Ana", email=MAIL)
    small.mail("m1", party("from", MAIL), direction="inbound", at="2026-11-20T11:59:30Z")
    small.collect()
    small.resolve()
    done = cycle.deliver_all(small.runtime, small.crm, run=small.run, rests=True)
    assert (done.counts["later"], small.told()) == (1, {})
    small.clock.sleep(120)
    cycle.deliver_all(small.runtime, small.crm, run=small.run, rests=True)
    assert small.told() == {"m1": 1}


def test_what_is_on_its_way_to_a_contact_follows_it_when_it_is_merged(world: World) -> None:
    gone = world.contact(name="Ana", phone=f"+{ANA}")
    stays = world.contact(name="Ana Lima", email=MAIL)
    world.message("m1", ANA)
    assert world.collect() == []
    world.resolve()
    with dies(world, at=100, after=True):
        world.acts["crm"]["push"] = crash
        world.deliver()
    del world.acts["crm"]["push"]
    assert world.pending()
    world.change("crm", "contacts", stays, phone=f"+{ANA}", merged=[gone])
    world.change("crm", "contacts", gone, deleted=True)
    world.settled()
    assert places(world) == {"m1": [stays]}


def crash(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
    raise Crash


def test_whoever_we_made_a_contact_for_keeps_it_when_a_person_merges_it_away(world: World) -> None:
    known = world.contact(name="Ana Lima", email=MAIL, phone="+5511973915555")
    world.message("m1", ANA, name="Ana")
    world.settled()
    (made,) = [one["id"] for one in world.there("contacts") if one["id"] != known]
    world.change("crm", "contacts", known, merged=[made])
    world.change("crm", "contacts", made, deleted=True)
    (entry,) = world.there("entries")
    world.change("crm", "entries", entry["id"], contact=known)
    world.settled()
    world.message("m2", ANA, name="Ana", at="2026-11-21T11:05:00Z")
    world.settled()
    assert places(world) == {"m1": [known], "m2": [known]}
    assert [one["id"] for one in world.there("contacts")] == [known]


def test_a_merge_of_two_contacts_of_our_making_under_a_new_id_is_of_our_making(world: World) -> None:
    """So it yields to the contact of the company's own, as each of the two would have."""
    world.message("m1", ANA, name="Ana")
    world.message("m2", {"email": MAIL}, name="Ana")
    world.settled()
    one, other = (there["id"] for there in world.there("contacts"))
    merged = world.contact(name="Ana", phone=f"+{ANA}", email=MAIL, merged=[one, other])
    for id in (one, other):
        world.change("crm", "contacts", id, deleted=True)
    for entry in world.there("entries"):
        world.change("crm", "entries", entry["id"], contact=merged)
    world.settled()
    assert places(world) == {"m1": [merged], "m2": [merged]}
    known = world.contact(name="Ana Lima", phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [known], "m2": [known]}
    assert world.sync().written == 0


def test_an_entry_refused_as_its_contact_is_gone_goes_to_the_one_its_person_has_by_now(world: World) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    world.collect()
    world.resolve()

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if write.op == "create" and any(link.to == first for link in write.links):
                yield Receipt(key=write.key, error=Rejected(f"contact {first} is gone", code="GONE"))
            else:
                yield from Memory.push(memory, [write])

    world.acts["crm"]["push"] = push
    world.message("m1", ANA)
    world.sync()
    assert world.pending() == {"rejected": 1}
    world.change("crm", "contacts", first, deleted=True)
    second = world.contact(name="Ana Lima", phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [second]}
    assert world.rows(reject)[0].state == "solved"


@pytest.mark.parametrize("stands", [True, False], ids=["carried out", "not carried out"])
def test_an_entry_without_an_answer_whose_contact_is_gone_is_written_anew_once_it_would_have_been_shown(
    small: World, stands: bool
) -> None:
    first = small.contact(name="Ana", phone=f"+{ANA}")

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if stands or write.op != "create":
                yield from Memory.push(memory, [write])
            if write.op == "create":
                raise Crash

    def locate(memory: Memory, writes: Sequence[Write]) -> Iterator[Unknown]:
        return iter([Unknown(key=write.key, reason=f"contact {first} is deleted") for write in writes])

    small.message("m1", ANA)
    small.acts["crm"]["push"] = push
    with dies(small, at=100, after=True):
        small.sync()
    del small.acts["crm"]["push"]
    assert small.pending()["uncertain"] == 1
    small.acts["crm"]["locate"] = locate
    small.change("crm", "contacts", first, deleted=True)
    if stands:
        (there,) = small.there("entries")
        small.change("crm", "entries", there["id"], contact=small.contact(name="Caio"))
    else:
        small.sync()
        assert small.pending()["held"] == 1
    small.settled()
    (only,) = [one["id"] for one in small.there("contacts")]
    assert places(small) == {"m1": [only]}
    assert {row.state for row in small.rows(reject)} <= {"solved"}
    assert small.sync().written == 0


@pytest.mark.parametrize("apart", [False, True], ids=["", "kept apart before"])
def test_what_stands_elsewhere_since_its_contact_is_gone_was_merged_and_not_moved(
    small: World, apart: bool
) -> None:
    """A CRM may tell of a merge by nothing but what became of the entries, and only later that a contact is gone."""
    small.message("m1", ANA, name="Ana", at="2026-11-19T11:00:00Z")
    small.message("m2", ANA, name="Ana")
    small.settled()
    (made,) = [one["id"] for one in small.there("contacts")]
    other = small.contact(name="Ana Lima", email=MAIL)
    small.sync()
    if apart:
        keys = [f"whatsapp_id:{ANA}"], [small.crm.node_key("contacts", other)]
        said = new_decision("split", *keys, at=micros(small.clock()) or 0, author="rui", reason="asked")
        decide(small.runtime, said)

    def pull(memory: Memory, stream: str, phase: Phase, *more: Any) -> Iterator[Page]:
        for page in Memory.pull(memory, stream, phase, *more):
            yield replace(page, records=[one for one in page.records if not getattr(one, "deleted", False)])

    small.acts["crm"]["pull"] = pull
    small.clock.sleep(60)
    small.change("crm", "contacts", made, deleted=True)
    for entry in small.there("entries"):
        small.change("crm", "entries", entry["id"], contact=other)
    small.settled()
    del small.acts["crm"]["pull"]
    small.message("m3", ANA, name="Ana", at="2026-11-21T11:00:00Z")
    small.settled()
    assert places(small) == {"m1": [other], "m2": [other], "m3": [other]}
    assert [one["id"] for one in small.there("contacts")] == [other]
    assert len(small.rows(decision)) == (3 if apart else 0)
    assert (small.rows(hold), small.sync().written) == ([], 0)


def test_an_address_that_a_contact_of_our_making_carries_comes_with_its_merge(world: World) -> None:
    """Two contacts with one address are refused, and with it the rest of the update was."""
    known = world.contact(name="Ana Lima", phone=f"+{ANA}")
    world.message("m1", {"email": MAIL}, name="Ana")
    world.settled()
    (made,) = [one["id"] for one in world.there("contacts") if one["id"] != known]

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if write.id == known and write.fields.get("email") == MAIL:
                yield Receipt(key=write.key, error=Rejected("exists already", existing_id=made))
            else:
                yield from Memory.push(memory, [write])

    world.acts["crm"]["push"] = push
    world.change("crm", "contacts", made, phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [known]}
    (kept,) = [one for one in world.there("contacts") if one["id"] == known]
    assert kept["waiting_since"] and not kept.get("email")
    world.change("crm", "contacts", known, merged=[made], email=MAIL)
    world.change("crm", "contacts", made, deleted=True)
    world.settled()
    assert world.sync().written == 0


def test_a_contact_that_carries_their_number_beats_the_one_that_was_used_so_far(world: World) -> None:
    known = world.contact(name="Ana Lima", email=MAIL, phone="+5511973915555")
    world.message("m1", ANA, name="Ana")
    world.settled()
    (made,) = [one["id"] for one in world.there("contacts") if one["id"] != known]
    world.change("crm", "contacts", known, merged=[made])
    world.change("crm", "contacts", made, deleted=True)
    (entry,) = world.there("entries")
    world.change("crm", "entries", entry["id"], contact=known)
    world.settled()
    other = world.contact(name="Ana Souza", phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [other]}


def test_an_entry_whose_text_a_person_edited_goes_with_its_people(world: World) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    second = world.contact(name="Ana Lima", email=MAIL)
    world.message("m1", ANA)
    world.settled()
    (entry,) = world.there("entries")
    world.change("crm", "entries", entry["id"], text=f"{entry['text']}\nhas a budget of 20k")
    world.message("m2", ANA)
    world.settled()
    world.change("crm", "contacts", first, phone="")
    world.change("crm", "contacts", second, phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [second], "m2": [second]}
    assert any("20k" in one["text"] for one in world.there("entries"))


@pytest.mark.parametrize("act", ["moved", "deleted"])
def test_what_a_person_did_to_an_entry_after_its_move_was_planned_holds(world: World, act: str) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    second = world.contact(name="Ana Lima", email=MAIL)
    third = world.contact(name="Bia", email="bia@lima.example")
    world.message("m1", ANA)
    world.settled()
    world.change("crm", "contacts", first, phone="")
    world.change("crm", "contacts", second, phone=f"+{ANA}")
    assert world.collect() == []
    world.resolve()
    with dies(world, at=100, after=True):
        world.acts["crm"]["push"] = crash
        world.deliver()
    del world.acts["crm"]["push"]
    assert world.pending()
    (entry,) = world.there("entries")
    world.change(
        "crm", "entries", entry["id"], **({"contact": third} if act == "moved" else {"deleted": True})
    )
    world.settled()
    assert places(world) == ({"m1": [third]} if act == "moved" else {})
    assert [row.reason for row in world.rows(hold)] == [act]


def test_more_contacts_on_an_entry_are_no_move(world: World) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    second = world.contact(name="Ana Lima", email=MAIL)
    third = world.contact(name="Bia", email="bia@lima.example")
    world.message("m1", ANA)
    world.settled()
    (entry,) = world.there("entries")
    world.change("crm", "entries", entry["id"], contact=[first, third])
    world.change("crm", "contacts", first, phone="")
    world.change("crm", "contacts", second, phone=f"+{ANA}")
    world.settled()
    assert places(world) == {"m1": [second, third]}


def test_an_entry_that_was_refused_goes_to_the_contact_into_which_ours_was_merged(world: World) -> None:
    def refuse_entries(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if write.stream == "entries":
                yield Receipt(key=write.key, error=Rejected("this row is not valid", code="ROW"))
            else:
                yield from Memory.push(memory, [write])

    known = world.contact(name="Ana Lima", email=MAIL)
    world.message("m1", ANA, name="Ana")
    world.acts["crm"]["push"] = refuse_entries
    world.sync()
    del world.acts["crm"]["push"]
    (made,) = [one["id"] for one in world.there("contacts") if one["id"] != known]
    world.change("crm", "contacts", known, phone=f"+{ANA}", merged=[made])
    world.change("crm", "contacts", made, deleted=True)
    world.sync()
    commands.replay(world.runtime, {"group": None})
    world.settled()
    assert places(world) == {"m1": [known]}


def test_an_entry_that_was_deleted_before_its_receipt_came_is_a_persons_decision(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    assert world.collect() == []
    world.resolve()
    world.levers["crm"].lose = 1
    world.deliver()
    (entry,) = world.there("entries")
    found = Found(key=str(entry["key"]), id=entry["id"])
    world.change("crm", "entries", entry["id"], deleted=True)
    world.acts["crm"]["locate"] = lambda memory, writes: iter([found])
    world.settled()
    assert [row.reason for row in world.rows(hold)] == ["deleted"]
    assert world.told() == {}


def test_a_note_on_a_contact_that_was_not_read_yet_holds_up_nobody(small: World) -> None:
    known = small.contact(name="Ana", phone=f"+{ANA}")
    small.put("crm", "entries", text="met both", at="2026-11-20T10:00:00Z", contact=[known, "999"])
    small.message("m1", ANA)
    small.settled()
    assert small.told() == {"m1": 1}
