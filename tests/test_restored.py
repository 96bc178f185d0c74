"""A backup is put back: what the CRM shows since then is recognised, and what cannot be decided is held."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.cli.work import sync_once
from bridge.engine.commands import replay
from bridge.errors import Rejected, Unavailable
from bridge.model import Json, Page, Phase, Receipt, Write
from bridge.store.holds import all_holds
from bridge.store.tables import decision, hold, ledger, node
from bridge.sync.completeness.reconcile import reconcile
from bridge.sync.delivery.held import told as held_told
from bridge.sync.intake.collect import OUTAGE_WAIT
from bridge_memory import Memory
from bridge_memory.client import Thing
from tests.sync_world import SETTLE, Crash, World, dies, party

ANA = "5511973914862"
BIA = "5511973914863"
MAIL = "ana@lima.example"


class Restorable(World):
    """A world on SQLite whose store can be put back to a copy."""

    def back_up(self) -> None:
        self.stop()
        shutil.copy(self.home / "store.db", self.home / "backup.db")
        self.start()

    def restore(self) -> None:
        self.stop()
        shutil.copy(self.home / "backup.db", self.home / "store.db")
        self.start()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Restorable]:
    with Restorable(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        made.back_up()
        yield made


def texts(world: World) -> list[str]:
    return [str(entry["text"]) for entry in world.there("entries")]


def entry(world: World) -> Thing:
    (one,) = world.there("entries")
    return one


def held(world: World) -> list[str]:
    return [row.reason for row in world.rows(hold)]


def crash(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
    raise Crash


def entries_fail(
    memory: Memory, stream: str, phase: Phase, at: Json, fields: Sequence[str]
) -> Iterator[Page]:
    if stream == "entries":
        raise Unavailable("it is being mended")
    return Memory.pull(memory, stream, phase, at, fields)


def say(world: World, text: str, at: str, **more: str) -> None:
    world.message(text, ANA, at=f"2026-11-20T11:{at}:00Z", keys=[f"key:{text[:2]}"], **more)


def test_a_mail_to_two_strangers_makes_two_contacts_each_of_which_is_known_as_ours(world: World) -> None:
    world.push = {"timeline": True, "create": {"email": "first_message"}}
    world.start()
    world.mail("m1", party("from", MAIL), direction="inbound")
    world.mail(
        "m2", party("from", "rui@example.com", side="team"), party("to", MAIL), party("to", "b@b.example")
    )
    world.mail("m3", party("from", "b@b.example"), direction="inbound")
    world.settled()
    assert len(world.there("contacts")) == 2
    made = [row.ext_id for row in world.rows(ledger) if row.slot == "contact"]
    assert sorted(made) == sorted(one["id"] for one in world.there("contacts"))


def test_a_message_that_joined_an_entry_late_and_stands_before_its_first_is_told_once(
    world: Restorable,
) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    say(world, "m2", "20")
    world.settled()
    say(world, "m1", "10")
    world.settled()
    world.restore()
    world.settled()
    assert (world.told(), held(world)) == ({"m1": 1, "m2": 1}, [])


def test_nothing_is_written_while_what_stands_could_not_be_read_nor_while_it_rests_after_that(
    world: Restorable,
) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    say(world, "m1", "10")
    world.settled()
    world.back_up()
    say(world, "m2", "20", thread="another")
    world.settled()
    world.restore()
    world.acts["crm"]["pull"] = entries_fail
    while_it_fails = sync_once(world.runtime)
    del world.acts["crm"]["pull"]
    while_it_rests = sync_once(world.runtime)
    for done in (while_it_fails, while_it_rests):
        assert done["writes"] == 0
        assert "crm: nothing was written, as what stands there could not be read" in done["errors"]
    world.clock.sleep(OUTAGE_WAIT)
    world.settled()
    assert (world.told(), held(world)) == ({"m1": 1, "m2": 1}, [])


def test_what_was_edited_meanwhile_is_told_in_its_entry_and_nowhere_else(world: Restorable) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    say(world, "m1 two", "10")
    say(world, "m2", "20")
    world.settled()
    world.restore()
    say(world, "m1 three", "30", tells="edit")
    say(world, "m3", "40")
    world.settled()
    assert held(world) == []
    assert "m1 three (edited)" in entry(world)["text"] and "m3" in entry(world)["text"]


def test_an_entry_of_the_books_that_grew_meanwhile_goes_on_growing(world: Restorable) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    say(world, "m1 two", "10")
    world.settled()
    world.back_up()
    say(world, "m2 two", "20")
    world.settled()
    world.restore()
    say(world, "m2 three", "30", tells="edit")
    world.settled()
    assert held(world) == []
    assert "m1 two" in entry(world)["text"] and "m2 three (edited)" in entry(world)["text"]


def refused(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
    yield from (Receipt(key=one.key, error=Rejected("not valid", code="ROW")) for one in writes)


def test_what_an_entry_took_in_meanwhile_is_not_told_in_another_of_its_day(world: Restorable) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    world.acts["crm"]["push"] = refused
    say(world, "m3", "30")
    world.sync()
    del world.acts["crm"]["push"]
    say(world, "m2", "20")
    world.sync()
    world.back_up()
    say(world, "m1", "10")
    world.sync()
    assert world.told() == {"m1": 1, "m2": 1}
    world.restore()
    replay(world.runtime, {"group": None})
    world.settled()
    assert (world.told(), held(world)) == ({"m1": 1, "m2": 1, "m3": 1}, [])
    say(world, "m4", "40")
    world.settled()
    assert (world.told(), held(world)) == ({"m1": 1, "m2": 1, "m3": 1, "m4": 1}, [])


def test_two_captures_of_which_a_restored_store_learns_at_once_that_they_are_one_stand_once(
    world: Restorable,
) -> None:
    world.contact(name="Ana", email=MAIL)
    world.mail("m1", party("from", MAIL), keys=["mail-hash:77"], direction="inbound")
    world.mail("m1", party("from", MAIL), keys=["message-id:1@lima"], direction="inbound")
    world.settled()
    assert world.told() == {"m1": 2}
    world.mail("m1", party("from", MAIL), keys=["message-id:1@lima", "mail-hash:77"], direction="inbound")
    world.restore()
    world.settled()
    assert (world.told(), held(world)) == ({"m1": 1}, [])


def test_what_a_person_typed_into_an_entry_meanwhile_stays_and_is_shown_as_held(world: Restorable) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    say(world, "m1", "10")
    world.settled()
    world.change("crm", "entries", entry(world)["id"], text=entry(world)["text"] + "\nhas a budget of 20k")
    world.restore()
    say(world, "m2", "20")
    world.settled()
    assert (world.told(), held(world)) == ({"m1": 1, "m2": 1}, ["edited"])
    with world.runtime.database.read() as c:
        (shown,) = held_told(c, world.runtime, all_holds(c))
    assert shown["title"] == f"entries {world.there('entries')[0]['id']}, found after a backup"
    first, second = texts(world)
    assert "20k" in first and second.startswith("WhatsApp, Fri 20 Nov (2): 1 message")


def test_an_entry_on_the_contact_of_nobody_who_took_part_is_held_where_it_stands(world: Restorable) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    world.contact(name="Bia", phone=f"+{BIA}")
    say(world, "m1", "10")
    world.settled()
    third = world.contact(name="Caio")
    world.change("crm", "entries", entry(world)["id"], contact=third)
    world.restore()
    say(world, "m2", "20")
    world.settled()
    assert {one["contact"]: "m1" in one["text"] for one in world.there("entries")} == {
        third: True,
        first: False,
    }
    assert held(world) == ["moved"]


def test_an_entry_that_we_moved_meanwhile_goes_on_with_its_people(world: Restorable) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    second = world.contact(name="Ana Lima", email=MAIL)
    say(world, "m1", "10")
    world.settled()
    world.back_up()
    world.change("crm", "contacts", first, phone="")
    world.change("crm", "contacts", second, phone=f"+{ANA}")
    world.settled()
    world.restore()
    world.settled()
    assert (entry(world)["contact"], held(world)) == (second, [])
    world.change("crm", "contacts", second, phone="")
    world.change("crm", "contacts", first, phone=f"+{ANA}")
    world.settled()
    assert (entry(world)["contact"], held(world)) == (first, [])


def test_a_move_that_the_lost_store_may_have_made_is_kept_and_taken_for_nobodys_word(
    world: Restorable,
) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    second = world.contact(name="Ana Lima", email=MAIL)
    say(world, "m1", "10")
    world.settled()
    world.back_up()
    world.change("crm", "contacts", first, phone="")
    world.change("crm", "contacts", second, phone=f"+{ANA}")
    world.mail("m2", party("from", MAIL), direction="inbound")
    world.settled()
    assert {one["contact"] for one in world.there("entries")} == {second}
    world.change("crm", "contacts", second, phone="")
    world.change("crm", "contacts", first, phone=f"+{ANA}")
    world.restore()
    say(world, "m3", "30", thread="another")
    world.settled()
    places = {one["text"].split(": ")[-1][:2]: one["contact"] for one in world.there("entries")}
    assert (places["m1"], places["m3"]) == (second, first)
    assert (held(world), world.rows(decision)) == (["moved"], [])


def test_a_contact_of_our_making_is_known_as_ours_although_its_number_tells_whose_it_is(
    world: Restorable,
) -> None:
    say(world, "m1", "10", name="Ana")
    world.settled()
    (made,) = [one["id"] for one in world.there("contacts")]
    world.restore()
    world.settled()
    known = world.contact(name="Ana Lima", phone=f"+{ANA}")
    world.settled()
    assert {row.ext_id for row in world.rows(ledger) if row.slot == "contact"} == {made}
    assert reconcile(world.runtime, world.crm).sound
    assert entry(world)["contact"] == known


def test_a_contact_of_theirs_into_which_ours_was_merged_is_theirs_though_it_carries_our_key(
    world: Restorable,
) -> None:
    world.push = {"timeline": True, "create": {"email": "first_message"}}
    known = world.contact(name="Ana", phone=f"+{ANA}")
    world.settled()
    world.back_up()
    world.mail("m1", party("from", MAIL), direction="inbound")
    world.settled()
    (made,) = [one for one in world.there("contacts") if one["id"] != known]
    both = {"phone": f"+{ANA}", "email": MAIL}
    merged = world.contact(name="Ana", **both, key=made["key"], merged=[known, made["id"]])
    for gone in (known, made["id"]):
        world.change("crm", "contacts", gone, deleted=True)
    world.change("crm", "entries", entry(world)["id"], contact=merged)
    world.restore()
    world.settled()
    assert not [row.ext_id for row in world.rows(ledger) if row.slot == "contact"]
    world.contact(name="Ana Lima", phone=f"+{ANA}")
    world.settled()
    assert entry(world)["contact"] == merged


def test_a_contact_that_was_there_without_our_key_is_theirs_though_nothing_tells_of_a_merge(
    world: Restorable,
) -> None:
    known = world.contact(name="Ana", phone=f"+{ANA}")
    world.settled()
    world.back_up()
    world.message("m1", BIA, name="Bia")
    world.settled()
    (made,) = [one for one in world.there("contacts") if one["id"] != known]
    world.change("crm", "contacts", made["id"], deleted=True)
    world.change("crm", "contacts", known, key=made["key"])
    world.change("crm", "entries", entry(world)["id"], contact=known)
    world.restore()
    world.settled()
    assert [row.ext_id for row in world.rows(ledger) if row.slot == "contact"] == []
    assert ([one["id"] for one in world.there("contacts")], entry(world)["contact"]) == ([known], known)


def test_an_entry_that_the_backup_was_about_to_write_is_known_where_it_was_moved_since(
    world: Restorable,
) -> None:
    first = world.contact(name="Ana", phone=f"+{ANA}")
    second = world.contact(name="Ana Lima", email=MAIL)
    say(world, "m1", "10")
    assert world.collect() == []
    world.resolve()
    world.acts["crm"]["push"] = crash
    with dies(world, at=100, after=True):
        world.deliver()
    del world.acts["crm"]["push"]
    assert world.pending()["uncertain"] == 1
    world.back_up()
    world.clock.sleep(SETTLE + 1)
    world.settled()
    world.change("crm", "contacts", first, phone="")
    world.change("crm", "contacts", second, phone=f"+{ANA}")
    world.settled()
    world.restore()
    world.settled()
    assert (world.told(), entry(world)["contact"], held(world)) == ({"m1": 1}, second, [])


def test_who_shared_a_number_with_a_contact_recognised_after_a_backup_is_not_tied_to_it_for_good(
    world: Restorable,
) -> None:
    world.push = {"timeline": True, "create": {"email": "first_message", "whatsapp": "first_message"}}
    world.start()
    world.mail("m1", party("from", MAIL), direction="inbound")
    world.message("m2", BIA)
    world.settled()
    (ours,) = [one for one in world.there("contacts") if one.get("email")]
    world.restore()
    world.change("crm", "contacts", str(ours["id"]), phone=f"+{BIA}")
    world.settled()
    world.change("crm", "contacts", str(ours["id"]), phone="")
    world.settled()
    person_of = {row.key.rpartition(":")[2]: row.person_id for row in world.rows(node)}
    assert person_of[MAIL] == person_of[str(ours["id"])] != person_of[BIA]
