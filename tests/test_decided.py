"""What people decided of who is who, obeyed in the CRM: contacts kept apart, entries that go where they belong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.errors import Rejected
from bridge.journey.identity import Decision
from bridge.model import Receipt, Write
from bridge.store.database import micros
from bridge.store.tables import intent, reject
from bridge.sync.decide import decide, new_decision, revoke
from bridge_memory import Memory
from tests.deliver_cases import is_contact
from tests.sync_world import World, dies

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
@pytest.mark.parametrize("at", range(1, 12, 2))
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
