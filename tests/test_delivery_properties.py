"""What holds of delivery whatever happens: it depends on what is so, not on how it came about."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bridge.journey.identity import Decision
from bridge.model import Json
from bridge.store.database import micros
from bridge.sync.identity.decide import decide, new_decision, revoke
from tests.sync_world import World
from tests.undo_world import synced, undone

NUMBERS = ("5511973914862", "5511973914863", "5511973914864")
NAMES = ("Ana", "Bia", "Caio")
"""Ana and Bia are contacts; Caio is nobody yet."""

few = settings(max_examples=6, derandomize=True, deadline=None, phases=[Phase.generate])


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message: its number, who wrote it, and so many minutes after ten."""

    number: int
    who: int
    minute: int

    def put(self, world: World) -> None:
        world.message(
            f"m{self.number}",
            NUMBERS[self.who],
            id=f"chat-{self.number}",
            name=NAMES[self.who],
            at=f"2026-11-20T10:{self.minute:02}:00Z",
        )


@st.composite
def conversations(draw: st.DrawFn) -> list[Said]:
    """Up to six messages of three people, no two at the same time."""
    minutes = draw(st.lists(st.integers(0, 59), min_size=1, max_size=6, unique=True))
    return [Said(number=n, who=draw(st.integers(0, 2)), minute=minute) for n, minute in enumerate(minutes)]


@contextmanager
def company(contacts: dict[str, Json]) -> Iterator[World]:
    with (
        tempfile.TemporaryDirectory() as folder,
        World(f"sqlite:///{folder}/store.db", Path(folder)) as world,
    ):
        for name, thing in contacts.items():
            world.contact(id=name, name=name, **thing)
        yield world


def phones(*numbers: str) -> dict[str, Json]:
    return {"phone": ";".join(f"+{number}" for number in numbers)}


KNOWN = {name: phones(number) for name, number in zip(NAMES[:2], NUMBERS[:2], strict=True)}


def places(world: World) -> dict[str, list[str]]:
    """Return for each message the names of the contacts on which it stands."""
    names = {one["id"]: one["name"] for one in world.there("contacts")}
    found: dict[str, list[str]] = {}
    for entry in world.there("entries"):
        on = entry.get("contact")
        for word in re.findall(r"\bm[0-9]+\b", entry["text"]):
            found.setdefault(word, []).extend(names[one] for one in (on if isinstance(on, list) else [on]))
    return found


def merge(world: World, loser: str, *, into: str) -> None:
    """Merge two contacts as a CRM does: the winner takes over everything that stood on the other."""
    contacts = {one["id"]: one for one in world.there("contacts")}
    both = ";".join(contacts[one]["phone"] for one in (into, loser))
    world.change("crm", "contacts", into, merged=[loser], phone=both)
    world.change("crm", "contacts", loser, deleted=True)
    for entry in world.there("entries"):
        if entry.get("contact") == loser:
            world.change("crm", "entries", entry["id"], contact=into)


def shown(world: World) -> list[dict[str, Json]]:
    """Return everything that stands in the CRM, without when it was changed."""
    return [
        {name: value for name, value in thing.items() if name != "modified"}
        for stream in ("contacts", "entries")
        for thing in world.there(stream)
    ]


def texts(world: World) -> list[str]:
    """Return what the entries say, without their markers, which name the account."""
    return sorted(entry["text"].rpartition("\n")[0] for entry in world.there("entries"))


@few
@given(said=conversations(), data=st.data())
def test_any_order_of_events_gives_the_same_crm(said: Sequence[Said], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(said))
    pauses = data.draw(st.sets(st.integers(0, len(said))))
    with company(KNOWN) as one, company(KNOWN) as other, company(KNOWN) as third:
        for message in said:
            message.put(one)
        one.settled()
        for message in shuffled:
            message.put(other)
        other.settled()
        assert texts(one) == texts(other)
        assert places(one) == places(other)
        for place, message in enumerate(shuffled):
            message.put(third)
            if place in pauses:
                third.settled()
        third.settled()
        assert places(one) == places(third)


@few
@given(said=conversations())
def test_a_second_sync_writes_nothing_and_changes_nothing(said: Sequence[Said]) -> None:
    with company(KNOWN) as world:
        for message in said:
            message.put(world)
        world.settled()
        before = shown(world)
        world.clock.sleep(3600)
        assert world.sync().written == 0
        world.start()
        assert world.sync().written == 0
        assert shown(world) == before


@few
@given(said=conversations(), split=st.booleans())
def test_people_merged_or_split_after_delivery_stand_as_if_they_had_always_been_so(
    said: Sequence[Said], split: bool
) -> None:
    whole = {"Ana": phones(*NUMBERS[:2])}
    before, after = (whole, KNOWN) if split else (KNOWN, whole)
    with company(before) as world, company(after) as fresh:
        for message in said:
            message.put(world)
            message.put(fresh)
        world.settled()
        if split:
            world.change("crm", "contacts", "Ana", **KNOWN["Ana"])
            world.contact(id="Bia", name="Bia", **KNOWN["Bia"])
        else:
            merge(world, "Bia", into="Ana")
        world.clock.sleep(60)
        world.settled()
        fresh.settled()
        assert places(world) == places(fresh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What somebody decides of a sender and a contact: link, split, or that neither is said any more."""

    who: int
    contact: str
    kind: str


def stating(world: World, one: Stated, at: int) -> Decision:
    records = [f"whatsapp_id:{NUMBERS[one.who]}"]
    others = [world.crm.node_key("contacts", one.contact)]
    decision = new_decision(one.kind, records, others, at=at, author="rui", reason="")
    decide(world.runtime, decision)
    world.resolve()
    return decision


def own_places(world: World) -> dict[str, list[str]]:
    """Return for each message where it stands: on a contact of theirs, or on one we made for whom it names."""
    names = {
        one["id"]: one["id"] if one["id"] in KNOWN else f"made for {one['name']}"
        for one in world.there("contacts")
    }
    found: dict[str, list[str]] = {}
    for entry in world.there("entries"):
        on = entry.get("contact")
        for word in re.findall(r"\bm[0-9]+\b", entry["text"]):
            found.setdefault(word, []).extend(names[one] for one in (on if isinstance(on, list) else [on]))
    return found


DECISIONS = st.lists(
    st.builds(
        Stated,
        who=st.integers(0, 2),
        contact=st.sampled_from(["Ana", "Bia"]),
        kind=st.sampled_from(["link", "split", "revoke"]),
    ),
    min_size=1,
    max_size=4,
)


@few
@given(said=conversations(), stated=DECISIONS, data=st.data())
def test_what_people_decide_after_delivery_stands_as_if_it_had_always_been_so(
    said: Sequence[Said], stated: Sequence[Stated], data: st.DataObject
) -> None:
    """A sender is linked to one contact at a time: one who is two contacts of a CRM waits for their merge."""
    before = data.draw(st.integers(0, len(said)))
    with company(KNOWN) as world, company(KNOWN) as fresh:
        for message in said[:before]:
            message.put(world)
        world.settled()
        at = micros(world.clock())
        assert at is not None
        holds: dict[tuple[int, str], tuple[Stated, int, Decision]] = {}
        for number, one in enumerate(stated):
            name = one.who, "" if one.kind == "link" else one.contact
            if one.kind == "revoke":
                name = next((key for key in holds if key[0] == one.who), name)
            if name in holds:
                revoke(world.runtime, holds.pop(name)[2].id, by="rui")
                world.resolve()
            if one.kind != "revoke":
                holds[name] = one, at + number, stating(world, one, at + number)
            world.clock.sleep(60)
            world.settled()
        for message in said[before:]:
            message.put(world)
        world.clock.sleep(60)
        world.settled()
        for message in said:
            message.put(fresh)
        assert fresh.collect() == []
        fresh.resolve()
        for one, then, _ in holds.values():
            stating(fresh, one, then)
        fresh.settled()
        assert own_places(world) == own_places(fresh)


@few
@given(said=conversations(), later=conversations())
def test_what_was_undone_stays_undone_whatever_comes_later(
    said: Sequence[Said], later: Sequence[Said]
) -> None:
    with company(KNOWN) as world:
        for message in said:
            message.put(world)
        undone(world, synced(world))
        assert world.told() == {}
        for message in later:
            Said(number=100 + message.number, who=message.who, minute=message.minute).put(world)
            synced(world)
        world.start()
        synced(world)
        assert {f"m{one.number}" for one in said}.isdisjoint(world.told())
