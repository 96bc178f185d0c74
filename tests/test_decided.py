"""What people decided of who is who, obeyed in the CRM: contacts kept apart, entries that go where they belong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.cli.work import plan_all
from bridge.engine.undo import release
from bridge.errors import Rejected
from bridge.journey.identity import Decision
from bridge.model import Receipt, Write
from bridge.store.database import micros
from bridge.store.decisions import all_decisions
from bridge.store.holds import TAKEN
from bridge.store.tables import hold, intent, reject
from bridge.sync.delivery.foresee import foresee_revocation
from bridge.sync.identity.decide import decide, new_decision, revoke
from bridge_memory import Memory
from tests.deliver_cases import is_contact
from tests.sync_world import World, dies, party

ANA = "5511973914862"
SENDER = f"whatsapp_id:{ANA}"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def say(world: World, kind: str, one: str, other: str) -> Decision:
    """Decide something of a sender's key or a contact's id as a person does by command."""
    world.clock.sleep(60)
    at = micros(world.clock())
    assert at is not None
    keys = [key if ":" in key else world.crm.node_key("contacts", key) for key in (one, other)]
    decision = new_decision(kind, keys[:1], keys[1:], at=at, author="rui", reason="asked her")
    decide(world.runtime, decision)
    world.resolve()
    return decision


def places(world: World) -> dict[str, list[str]]:
    """Return the contacts on which each message stands."""
    found: dict[str, list[str]] = {}
    for entry in world.there("entries"):
        on = entry.get("contact")
        for word in entry["text"].split():
            if word[0] == "m" and word[1:].isdigit():
                found.setdefault(word, []).extend(on if isinstance(on, list) else [on])
    return found


def kept_apart(world: World) -> str:
    """Let a sender be delivered to the contact with their number and split from it; return that contact."""
    ana = world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA, name="Caio")
    world.settled()
    assert places(world) == {"m1": [ana]}
    say(world, "split", SENDER, ana)
    return ana


def test_an_address_that_another_contact_carries_is_left_to_it(small: World) -> None:
    """Two contacts with one address are refused, and with it the rest of the update was."""
    there = small.contact(name="Ana", email="ana@lima.example")
    other = small.contact(name="Bia", phone=f"+{ANA}")
    small.message("m1", {"email": "ana@lima.example"}, name="Bia")

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if write.id == other and "email" in write.fields:
                yield Receipt(key=write.key, error=Rejected("exists already", existing_id=there))
            else:
                yield from Memory.push(memory, [write])

    small.settled()
    small.acts["crm"]["push"] = push
    say(small, "split", "email:ana@lima.example", there)
    say(small, "link", "email:ana@lima.example", other)
    (left_out,) = [one for one in plan_all(small.runtime, small.crm) if one.kind == "conflict"]
    assert f"ana@lima.example is left out, as contact {there} Ana carries it" in left_out.reason
    small.settled()
    assert places(small) == {"m1": [other]}
    (now,) = [one for one in small.there("contacts") if one["id"] == other]
    assert now["waiting_since"] and not now.get("email")
    small.change("crm", "contacts", there, email="")
    del small.acts["crm"]["push"]
    small.settled()
    assert [one.get("email") for one in small.there("contacts")] == ["", "ana@lima.example"]


def test_an_address_of_a_contact_that_nobody_read_yet_holds_its_field_and_nothing_else(small: World) -> None:
    bia = small.contact(name="Bia", phone=f"+{ANA}")
    small.message("m1", {"email": "ana@lima.example"}, name="Bia")

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if "email" in write.fields:
                yield Receipt(key=write.key, error=Rejected("Ana exists already", existing_id="99"))
            else:
                yield from Memory.push(memory, [write])

    small.collect()
    small.resolve()
    small.acts["crm"]["push"] = push
    say(small, "link", "email:ana@lima.example", bia)
    small.settled()
    (now,) = [one for one in small.there("contacts") if one["id"] == bia]
    assert now["waiting_since"] and not now.get("email")
    (kept,) = small.rows(hold)
    assert (kept.key, kept.reason) == (f"contacts/{bia}/email", TAKEN)
    assert (small.rows(reject), small.sync().written) == ([], 0)
    del small.acts["crm"]["push"]
    release(small.runtime, {"crm": [kept.key]})
    small.settled()
    (now,) = [one for one in small.there("contacts") if one["id"] == bia]
    assert now["email"] == "ana@lima.example"


def test_whoever_is_split_from_a_contact_gets_one_of_their_own_and_takes_their_entries_there(
    world: World,
) -> None:
    ana = kept_apart(world)
    world.settled()
    (own,) = [one["id"] for one in world.there("contacts") if one["id"] != ana]
    assert places(world) == {"m1": [own]}
    world.message("m2", ANA, at="2026-11-20T11:05:00Z")
    world.settled()
    assert places(world) == {"m1": [own], "m2": [own]}
    assert world.sync().written == 0


def test_a_search_that_finds_only_who_they_are_not_finds_nobody(small: World) -> None:
    ana = small.contact(name="Ana", phone=f"+{ANA}")
    small.acts["crm"]["pull"] = lambda *_: iter(())
    small.message("m1", ANA, name="Caio")
    assert small.collect() == []
    small.resolve()
    say(small, "split", SENDER, ana)
    small.settled()
    (own,) = [one["id"] for one in small.there("contacts") if one["id"] != ana]
    assert places(small) == {"m1": [own]}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 12, 3))
def test_a_process_that_dies_while_a_split_is_carried_out_makes_one_contact(
    small: World, at: int, after: bool
) -> None:
    ana = kept_apart(small)
    with dies(small, at=at, after=after):
        small.sync()
    small.settled()
    (own,) = [one["id"] for one in small.there("contacts") if one["id"] != ana]
    assert places(small) == {"m1": [own]}


def test_a_split_from_a_contact_of_our_making_makes_another(small: World) -> None:
    small.message("m1", ANA, name="Caio")
    small.settled()
    (first,) = [one["id"] for one in small.there("contacts")]
    split = say(small, "split", SENDER, first)
    small.settled()
    (second,) = [one["id"] for one in small.there("contacts") if one["id"] != first]
    assert places(small) == {"m1": [second]}
    assert small.sync().written == 0
    revoke(small.runtime, split.id, by="rui")
    small.resolve()
    small.settled()
    assert len(small.there("contacts")) == 2


def conflict(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
    """A CRM that has no two contacts with one number."""
    for write in writes:
        if is_contact(write) and write.op == "create":
            error = Rejected("Contact already exists", code="CONFLICT", existing_id="1")
            yield Receipt(key=write.key, error=error)
        else:
            yield from Memory.push(memory, [write])


def test_where_the_crm_allows_no_second_contact_the_entries_wait_and_say_why(small: World) -> None:
    ana = kept_apart(small)
    small.acts["crm"]["push"] = conflict
    small.message("m2", ANA, at="2026-11-20T11:05:00Z")
    small.sync()
    assert places(small) == {"m1": [ana]}
    (refused,) = [row for row in small.rows(reject) if row.state == "open"]
    assert refused.code == "kept apart"
    assert f"kept apart from contact {ana} by rui" in refused.message
    assert "crmbridge decisions revoke d_" in refused.message


@pytest.mark.parametrize("way", ["revoked", "linked"])
def test_what_waited_for_a_contact_that_was_refused_goes_to_the_one_decided_on(
    small: World, way: str
) -> None:
    ana = small.contact(name="Ana", phone=f"+{ANA}")
    bia = small.contact(name="Bia", email="bia@lima.example")
    small.message("m1", ANA, name="Caio")
    assert small.collect() == []
    small.resolve()
    split = say(small, "split", SENDER, ana)
    small.acts["crm"]["push"] = conflict
    small.sync()
    assert (places(small), small.pending()) == ({}, {"open": 1, "rejected": 1})
    if way == "revoked":
        revoke(small.runtime, split.id, by="rui")
        small.resolve()
    else:
        say(small, "link", SENDER, bia)
    small.settled()
    assert places(small) == {"m1": [ana if way == "revoked" else bia]}
    assert small.rows(intent) == []
    assert [row for row in small.rows(reject) if row.state == "open"] == []


def decided(world: World) -> list[tuple[str, str]]:
    """Return what counts of what was decided, and who did."""
    with world.runtime.database.read() as c:
        return sorted(
            (one.decision.kind, one.decision.author) for one in all_decisions(c) if one.revoked_at is None
        )


def moved(world: World, word: str, *, to: str | list[str]) -> None:
    """Let a rep put the entry that tells a message on another contact."""
    (entry,) = [one for one in world.there("entries") if word in one["text"].split()]
    world.clock.sleep(60)
    world.change("crm", "entries", entry["id"], contact=to)
    world.clock.sleep(60)


def two_days(world: World) -> tuple[str, str]:
    """Let a sender have an entry for each of two days on Ana's contact; return hers and Bia's."""
    ana = world.contact(name="Ana", phone=f"+{ANA}")
    bia = world.contact(name="Bia", email="bia@lima.example", phone="+5511973914863")
    world.message("m1", ANA, at="2026-11-19T11:00:00Z")
    world.message("m2", ANA, at="2026-11-20T11:00:00Z")
    world.settled()
    assert places(world) == {"m1": [ana], "m2": [ana]}
    return ana, bia


def test_who_moves_an_entry_in_the_crm_says_whose_sender_it_is(world: World) -> None:
    ana, bia = two_days(world)
    moved(world, "m1", to=bia)
    world.settled()
    assert places(world) == {"m1": [bia], "m2": [bia]}
    assert decided(world) == [("link", "in the CRM"), ("split", "in the CRM")]
    world.message("m3", ANA, at="2026-11-21T11:00:00Z")
    world.message("m4", ANA, at="2026-11-19T11:05:00Z")
    world.settled()
    assert places(world) == {word: [bia] for word in ("m1", "m2", "m3", "m4")}
    assert [row.reason for row in world.rows(hold)] == ["moved"]
    assert world.sync().written == 0
    moved(world, "m1", to=ana)
    world.settled()
    assert places(world) == {word: [ana] for word in ("m1", "m2", "m3", "m4")}


def test_taking_back_what_a_move_said_restores_where_everything_stood(small: World) -> None:
    ana, bia = two_days(small)
    moved(small, "m1", to=bia)
    small.settled()
    with small.runtime.database.read() as c:
        first, second = (one.decision.id for one in all_decisions(c))
    assert foresee_revocation(small.runtime, first)["with_it"] == [second]
    revoke(small.runtime, first, by="rui")
    small.resolve()
    small.settled()
    assert places(small) == {"m1": [ana], "m2": [ana]}
    assert small.sync().written == 0
    assert decided(small) == []


def test_whom_a_move_took_to_another_contact_stays_when_the_one_they_came_from_is_merged_into_it(
    small: World,
) -> None:
    small.push = {"timeline": True, "create": {"whatsapp": "first_message"}}
    small.start()
    senders = [f"55119739148{number}" for number in range(10, 16)]
    ids = {}
    for sender in senders:
        ids[sender] = small.contact(name="Ana", phone=f"+{sender}"), small.contact(name="Bia")
        small.message(f"m{sender}", sender)
    small.settled()
    for sender, (_, put_on) in ids.items():
        moved(small, f"m{sender}", to=put_on)
    small.settled()
    for sender, (taken_off, put_on) in ids.items():
        small.change("crm", "contacts", put_on, merged=[taken_off], phone=f"+{sender}")
        small.change("crm", "contacts", taken_off, deleted=True)
        small.message(f"m{sender}9", sender, at="2026-11-21T11:00:00Z")
    small.settled()
    assert places(small) == {
        f"m{sender}{more}": [put_on] for sender, (_, put_on) in ids.items() for more in ("", "9")
    }
    assert len(small.there("contacts")) == len(senders)


def test_an_entry_put_on_one_more_contact_says_nothing_of_its_sender(small: World) -> None:
    ana, bia = two_days(small)
    moved(small, "m1", to=[ana, bia])
    small.settled()
    assert places(small) == {"m1": [ana, bia], "m2": [ana]}
    assert decided(small) == []


def test_the_move_of_what_several_people_take_part_in_is_held_and_says_nothing(small: World) -> None:
    ids = {name: small.contact(name=name, email=f"{name}@lima.example") for name in ("ana", "bia", "caio")}
    team = party("from", "rui@example.com", side="team")
    small.mail("m1", team, party("to", "ana@lima.example"), party("cc", "eva@lima.example"))
    small.settled()
    moved(small, "m1", to=ids["caio"])
    small.settled()
    assert places(small)["m1"] == [ids["caio"]]
    assert decided(small) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 12, 3))
def test_a_process_that_dies_while_a_move_is_obeyed_obeys_it_once(small: World, at: int, after: bool) -> None:
    _, bia = two_days(small)
    moved(small, "m1", to=bia)
    with dies(small, at=at, after=after):
        small.sync()
    small.settled()
    assert places(small) == {"m1": [bia], "m2": [bia]}
    assert decided(small) == [("link", "in the CRM"), ("split", "in the CRM")]


@pytest.mark.parametrize("again", [False, True], ids=["taken back", "split"])
def test_a_number_that_a_decision_brought_onto_a_contact_goes_when_the_decision_does(
    small: World, again: bool
) -> None:
    ana = small.contact(name="Ana", phone=f"+{ANA}")
    bia = small.contact(name="Bia", email="bia@lima.example")
    small.message("m1", ANA)
    link = say(small, "link", SENDER, bia)
    small.settled()
    assert (places(small), phone_of(small, bia)) == ({"m1": [bia]}, f"+{ANA}")
    if again:
        say(small, "split", SENDER, bia)
    else:
        revoke(small.runtime, link.id, by="rui")
        small.resolve()
    small.settled()
    assert (places(small), phone_of(small, bia)) == ({"m1": [ana]}, "")
    assert phone_of(small, ana) == f"+{ANA}"
    waits = {one["id"]: one.get("waiting_since") for one in small.there("contacts")}
    assert waits == {ana: "2026-11-20T11:00:00Z", bia: ""}
    assert small.sync().written == 0


def phone_of(world: World, contact: str) -> str:
    return next(str(one.get("phone") or "") for one in world.there("contacts") if one["id"] == contact)
