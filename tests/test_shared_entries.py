"""Entries that several people took part in, while their contacts change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.engine import commands
from bridge.errors import Rejected
from bridge.model import Receipt, Write
from bridge.store import ledger as books
from bridge.store.writer import Priority
from bridge_memory import Memory
from tests.sync_world import World, party

ANA = "5511973914862"
BIA, CARLA = {"email": "bia@lima.example"}, {"email": "carla@rocha.example"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    push = {"timeline": True, "create": {"whatsapp": "first_message"}}
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, push=push) as made:
        yield made


def ours(text: str, world: World) -> None:
    us = party("from", "rui@example.com", side="team")
    world.mail(text, us, *(party("to", one["email"], side="customer") for one in (BIA, CARLA)))


def on(world: World, text: str) -> list[str]:
    (entry,) = (one for one in world.there("entries") if text in one["text"])
    found = entry["contact"]
    return sorted(found) if isinstance(found, list) else [found]


def test_whoever_took_part_in_what_left_their_contact_gets_one(small: World) -> None:
    """It was on Bia's contact until that lost her address; Carla's news takes it away from there."""
    known = small.contact(name="Bia", email=BIA["email"], phone=f"+{ANA}")
    small.message("m1", BIA)
    ours("m2", small)
    small.settled()
    small.change("crm", "contacts", known, email="")
    small.settled()
    assert on(small, "m2") == [known]
    small.message("m3", CARLA)
    small.settled()
    bia, carla = (one["id"] for one in small.there("contacts") if one["id"] != known)
    assert {one["email"] for one in small.there("contacts")} == {"", BIA["email"], CARLA["email"]}
    assert on(small, "m2") == sorted([bia, carla])


def test_an_entry_leaves_a_contact_that_yields_though_the_books_do_not_have_it_there(small: World) -> None:
    """As after a backup was put back: the store that put it there is forgotten."""
    carla = small.contact(name="Carla", email=CARLA["email"])
    known = small.contact(name="Bia", phone=f"+{ANA}")
    ours("m1", small)
    small.settled()
    assert on(small, "m1") == [carla]
    (entry,) = small.there("entries")
    small.message("m2", BIA, at="2026-11-18T11:00:00Z")
    small.settled()
    (made,) = (one["id"] for one in small.there("contacts") if one["id"] not in (carla, known))
    assert on(small, "m1") == sorted([carla, made])
    small.runtime.writer.run(
        books.leave_contact, small.crm.account_pk, str(entry["key"]), made, priority=Priority.DELIVERY
    )
    small.change("crm", "contacts", made, phone=f"+{ANA}")
    small.settled()
    assert on(small, "m1") == sorted([carla, known])
    assert small.sync().written == 0


def test_an_entry_leaves_a_contact_that_is_nobodys_though_only_that_ones_person_is_looked_at(
    small: World,
) -> None:
    bia = small.contact(name="Bia", email=BIA["email"])
    carla = small.contact(name="Carla", email=CARLA["email"])
    ours("m1", small)
    small.settled()
    assert on(small, "m1") == sorted([bia, carla])
    small.change("crm", "contacts", bia, email="")
    small.settled()
    assert on(small, "m1") == [carla]


def test_a_refused_update_is_planned_anew_for_whoever_it_is_for_by_then(small: World) -> None:
    """The person for whom it was planned is the contact's alone by now; whose message it is has another."""

    def refuse_unlinks(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if write.op == "unlink":
                yield Receipt(key=write.key, error=Rejected("this row is not valid", code="ROW"))
            else:
                yield from Memory.push(memory, [write])

    first = small.contact(name="Ana", phone=f"+{ANA}", created="2026-11-01T10:00:00Z")
    second = small.contact(name="Ana Lima", email=BIA["email"], created="2026-11-01T10:00:00Z")
    third = small.contact(name="Ana Rocha", email=CARLA["email"], created="2026-11-01T10:00:00Z")
    small.message("m1", ANA)
    small.settled()
    small.acts["crm"]["push"] = refuse_unlinks
    small.change("crm", "contacts", first, phone="")
    small.change("crm", "contacts", second, phone=f"+{ANA}")
    small.sync()
    small.change("crm", "contacts", second, phone="")
    small.change("crm", "contacts", third, phone=f"+{ANA}")
    small.sync()
    assert on(small, "m1") == sorted([first, second])
    del small.acts["crm"]["push"]
    commands.replay(small.runtime, {"group": None})
    small.settled()
    assert on(small, "m1") == [third]
