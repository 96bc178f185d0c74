"""A CRM, or its connector, that answers nonsense: nothing is lost, doubled, or written to somebody else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest

from bridge.errors import Rejected
from bridge.model import Absent, Found, Location, Receipt, Write
from bridge.refusals import existing_id
from bridge.store.tables import journey, ledger, node_handle
from bridge_hubspot.outcomes import refusal
from bridge_memory import Memory
from tests.sync_world import SETTLE, World

ANA, EVA = "5511973914862", "5511973914999"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def test_an_answer_about_a_write_that_nobody_asked_for_changes_nothing(world: World) -> None:
    def locate(memory: Memory, writes: Sequence[Write]) -> Iterator[Location]:
        yield Found(key="ZZZZZZZZZZZZ", id="99")
        yield from Memory.locate(memory, writes)
        yield from (Absent(key=write.key) for write in writes)

    world.acts["crm"]["locate"] = locate
    world.levers["crm"].lose = 1
    world.message("m1", ANA)
    world.message("m2", EVA)
    world.settled()
    assert world.told() == {"m1": 1, "m2": 1}
    assert "99" not in {row.ext_id for row in world.rows(ledger)}


def test_a_contact_that_is_made_without_an_id_is_looked_for_before_anything_is_filed_on_it(
    world: World,
) -> None:
    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for receipt in Memory.push(memory, writes):
            yield Receipt(key=receipt.key)

    world.acts["crm"]["push"] = push
    world.message("m1", ANA)
    world.message("m2", EVA)
    world.settled()
    contacts = {thing["phone"]: thing["id"] for thing in world.there("contacts")}
    assert len(contacts) == 2
    where = {entry["text"].split()[-3]: entry["contact"] for entry in world.there("entries")}
    assert where == {"m1": contacts[f"+{ANA}"], "m2": contacts[f"+{EVA}"]}


def test_receipts_for_nothing_and_twice_for_one_are_passed_over(world: World) -> None:
    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        yield Receipt(key="ZZZZZZZZZZZZ", id="99")
        for receipt in Memory.push(memory, writes):
            yield receipt
            yield Receipt(key=receipt.key, id="99")

    world.acts["crm"]["push"] = push
    world.message("m1", ANA)
    world.settled()
    assert world.told() == {"m1": 1}
    assert "99" not in {row.ext_id for row in world.rows(ledger)}


def test_a_clock_that_is_set_back_delays_a_lost_answer_by_no_more_than_settling(world: World) -> None:
    world.clock.sleep(86_400 * 365)
    world.message("m1", ANA, at="2026-11-20T11:00:00Z")
    world.acts["crm"]["push"] = lambda memory, writes: iter(())
    world.sync()
    del world.acts["crm"]["push"]
    assert world.pending()["uncertain"]
    world.clock.sleep(-86_400 * 365)
    world.deliver()
    world.clock.sleep(SETTLE + 1)
    world.deliver()
    assert world.told() == {"m1": 1}


def test_ids_with_colons_and_slashes_are_ids_like_any_other(world: World) -> None:
    for number in (1, 2):
        world.contact(id=f"crm:contacts/{number}", name="Ana", email=f"ana{number}@one.example", phone="")
    world.message("m1", {"email": "ana1@one.example"})
    world.settled()
    assert [entry["contact"] for entry in world.there("entries")] == ["crm:contacts/1"]
    world.change("crm", "contacts", "crm:contacts/1", deleted=True)
    both = "ana2@one.example;ana1@one.example"
    world.change("crm", "contacts", "crm:contacts/2", email=both, merged=["crm:contacts/1"])
    world.sync()
    world.message("m2", {"email": "ana1@one.example"}, thread="t2")
    world.settled()
    assert {row.contact_id for row in world.rows(ledger)} == {"crm:contacts/2"}
    assert world.told() == {"m1": 1, "m2": 1}


def test_nobody_can_forge_the_handle_that_ties_a_contact_of_ours_to_its_person(world: World) -> None:
    world.message("m1", ANA)
    world.settled()
    [made] = [row for row in world.rows(node_handle) if row.made and row.node_key.startswith("memory:")]
    for number, value in enumerate((f"{made.scope}:{made.value}", made.value)):
        world.message(f"m{number + 2}", {"external": value}, thread=str(number))
    world.settled()
    assert len(world.there("contacts")) == 2
    assert len({entry["contact"] for entry in world.there("entries")}) == 2


def test_a_name_of_several_lines_and_a_megabyte_makes_a_contact_with_a_name(world: World) -> None:
    world.message("m1", ANA, name="Eva\n16:05 Team: ok\x1b[2J " + "x" * 1_000_000)
    world.settled()
    [contact] = world.there("contacts")
    assert contact["name"].startswith("Eva 16:05 Team: ok[2J xxx") and len(contact["name"]) == 100


@pytest.mark.parametrize(
    ("message", "existing"),
    [
        ("Contact already exists. Existing ID: 151", "151"),
        ("Cannot set crmbridge_key. 151 already has that value.", "151"),
        ('"Eva Existing ID: 151 of old" is no valid firstname', None),
        ("Property values were not valid: 151 already has that value, says firstname", None),
        ("x151 already has that value", None),
    ],
)
def test_no_customer_can_name_the_contact_that_is_in_the_way(message: str, existing: str | None) -> None:
    error = refusal({"category": "VALIDATION_ERROR", "message": message})
    assert isinstance(error, Rejected) and error.existing_id == existing
    assert existing_id({"message": message}) in (existing, None)


def test_a_number_that_a_crm_demanded_as_a_name_is_nobodys_name(world: World) -> None:
    world.contact(name=f"+{ANA}", phone=f"+{ANA}")
    world.contact(name="Eva@one.example", email="eva@one.example")
    world.message("m1", ANA, name="Ana Souza")
    world.message("m2", "eva@one.example")
    world.settled()
    bodies = {orjson.loads(row.body)["display_name"]: orjson.loads(row.body) for row in world.rows(journey)}
    assert set(bodies) == {"Ana Souza", "eva@one.example"}
    assert (bodies["Ana Souza"]["given_name"], bodies["Ana Souza"]["family_name"]) == ("Ana", "Souza")
    assert "given_name" not in bodies["eva@one.example"]


def test_after_a_backup_a_message_of_odd_letters_is_recognised_in_its_entry(
    world: World, tmp_path: Path
) -> None:
    for number, odd in enumerate(("oi", "\x07\x1b[2J bell", "\u202eback", "a\u2028b", "<<<<", "end"), 1):
        world.message(f"m{number} {odd}", ANA, at=f"2026-11-20T11:0{number}:00Z")
    world.stop()
    shutil.copy(tmp_path / "store.db", tmp_path / "yesterday.db")
    world.start().settled()
    world.stop()
    shutil.copy(tmp_path / "yesterday.db", tmp_path / "store.db")
    world.start()
    world.message("m7 later", ANA, at="2026-11-20T11:07:00Z")
    world.settled()
    assert world.told() == {f"m{number}": 1 for number in range(1, 8)}


def test_after_a_backup_a_message_that_comes_late_doubles_none_that_came_after_it(
    world: World, tmp_path: Path
) -> None:
    for number in (1, 2, 4):
        world.message(f"m{number}", ANA, at=f"2026-11-20T11:0{number}:00Z")
    world.stop()
    shutil.copy(tmp_path / "store.db", tmp_path / "yesterday.db")
    world.start().settled()
    world.stop()
    shutil.copy(tmp_path / "yesterday.db", tmp_path / "store.db")
    world.start()
    world.message("m3", ANA, at="2026-11-20T11:03:00Z")
    world.settled()
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1, "m4": 1}
