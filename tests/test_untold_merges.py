"""Merges of which a CRM tells nothing but what they left behind."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.engine import commands
from bridge.errors import Rejected
from bridge.model import Receipt, Write
from bridge.store.tables import decision, hold
from bridge_memory import Memory
from tests.sync_world import World, party

ANA = "5511973914862"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite, where a contact was made for Ana and her message is not written yet."""

    def refuse_entries(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if write.stream == "entries":
                yield Receipt(key=write.key, error=Rejected("this row is not valid", code="ROW"))
            else:
                yield from Memory.push(memory, [write])

    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        made.acts["crm"]["push"] = refuse_entries
        made.message("m1", ANA, name="Ana")
        made.sync()
        made.contact(name="Ana Lima", email="ana@lima.example")
        made.sync()
        yield made


def settle_and_say_more(world: World) -> list[tuple[str, object]]:
    """Return (message, contact) of the entries once rows are taken again and Ana wrote on another day."""
    world.acts["crm"].pop("push", None)
    world.message("m2", ANA, name="Ana", at="2026-11-21T11:05:00Z")
    commands.replay(world.runtime, {"group": None})
    world.settled()
    found = world.there("entries")
    return sorted((word, one["contact"]) for one in found for word in re.findall(r"\bm[0-9]\b", one["text"]))


@pytest.mark.parametrize("told", ["marker first", "deletion first", "together"])
def test_a_contact_of_ours_is_the_one_that_took_its_marker_over(small: World, told: str) -> None:
    """Nothing stood on it, and by now nobody carries its number: only the marker says where it went."""
    made, known = (one for one in small.there("contacts"))
    steps = [
        lambda: small.change("crm", "contacts", known["id"], key=made["key"]),
        lambda: small.change("crm", "contacts", made["id"], deleted=True),
    ]
    for step in reversed(steps) if told == "deletion first" else steps:
        step()
        if told != "together":
            small.collect()
            small.resolve()
    assert settle_and_say_more(small) == [("m1", known["id"]), ("m2", known["id"])]
    assert [one["id"] for one in small.there("contacts")] == [known["id"]]
    assert small.sync().written == 0


def test_a_marker_that_a_person_copied_takes_nobody_away(small: World) -> None:
    made, known = (one for one in small.there("contacts"))
    small.change("crm", "contacts", known["id"], key=made["key"])
    assert settle_and_say_more(small) == [("m1", made["id"]), ("m2", made["id"])]
    assert {one["id"] for one in small.there("contacts")} == {made["id"], known["id"]}


def test_of_what_stood_on_a_contact_that_is_gone_most_says_where_it_went(tmp_path: Path) -> None:
    """What stands elsewhere was moved by a person after the merge, and is a word on all of the sender's."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as world:
        for day in (17, 18, 19):
            world.message(f"m{day}", ANA, name="Ana", at=f"2026-11-{day}T11:00:00Z")
        world.settled()
        (made,) = world.there("contacts")
        heir = world.contact(name="Ana Lima", email="ana@lima.example")
        other = world.contact(name="Bia", email="bia@lima.example")
        world.settled()
        first, *rest = world.there("entries")
        world.change("crm", "contacts", made["id"], deleted=True)
        for entry in rest:
            world.change("crm", "entries", entry["id"], contact=heir)
        world.change("crm", "entries", first["id"], contact=other)
        world.settled()
        assert [row.key for row in world.rows(hold)] == [first["key"]]
        assert {row.reason.split()[0] for row in world.rows(decision)} == {"moved"}
        assert {entry["contact"] for entry in world.there("entries")} == {other}
        assert world.sync().written == 0


def test_after_a_backup_whoever_has_no_contact_is_where_all_their_entries_stand(tmp_path: Path) -> None:
    """Theirs was made after the backup and merged since; of the mail to two nobody can say whose contact it is on."""
    store = tmp_path / "store.db"
    world = World(f"sqlite:///{store}", tmp_path)
    with world:
        heir = world.contact(name="Ana Lima", email="ana@lima.example")
        world.settled()
    shutil.copy(store, tmp_path / "backup.db")
    with world:
        world.message("m1", ANA, name="Ana")
        to = (party("to", f"{name}@rocha.example", side="customer") for name in ("bia", "carla"))
        world.mail("m2", party("from", "rui@example.com", side="team"), *to)
        world.settled()
        (made,) = (one["id"] for one in world.there("contacts") if ANA in str(one.get("phone")))
        world.change("crm", "contacts", made, deleted=True)
        for entry in world.there("entries"):
            if entry["contact"] == made:
                world.change("crm", "entries", entry["id"], contact=heir)
        before = {entry["id"]: entry["contact"] for entry in world.there("entries")}
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", store)
    with world:
        world.settled()
        assert {entry["id"]: entry["contact"] for entry in world.there("entries")} == before
        world.message("m3", ANA, name="Ana", at="2026-11-21T11:05:00Z")
        world.settled()
        assert [one["contact"] for one in world.there("entries") if "m3" in one["text"]] == [heir]
        assert world.sync().written == 0


def test_the_contact_that_ours_went_into_stays_theirs_though_its_number_goes(tmp_path: Path) -> None:
    """When the merge was noticed the number had told already that it is theirs."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as world:
        world.message("m1", ANA, name="Ana")
        world.settled()
        (made,) = world.there("contacts")
        heir = world.contact(name="Ana Lima", email="ana@lima.example")
        world.settled()
        (entry,) = world.there("entries")
        world.change("crm", "contacts", heir, phone=f"+{ANA}")
        world.change("crm", "contacts", made["id"], deleted=True)
        world.change("crm", "entries", entry["id"], contact=heir)
        world.settled()
        world.change("crm", "contacts", heir, phone="")
        world.message("m2", ANA, name="Ana", at="2026-11-21T11:05:00Z")
        world.settled()
        assert {one["contact"] for one in world.there("entries")} == {heir}
        assert [one["id"] for one in world.there("contacts")] == [heir]
