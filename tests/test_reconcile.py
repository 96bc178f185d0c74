"""Reconciliation: numbers that add up from the source to the CRM, drift with its remedy, and what may be repaired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from bridge.engine import commands
from bridge.errors import Rejected, Unavailable
from bridge.model import Json, Location, Page, Phase, Receipt, Record, Unknown, Write
from bridge.store import looks
from bridge.store.tables import ledger, member, touched
from bridge.store.writer import Priority
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_memory import Memory
from tests.outside import Office, running
from tests.sync_world import World, party
from tests.undo_world import released, synced, undone

ANA, BIA, DORA = "5511973914862", "5511973914863", "5511973914864"
TOKEN = "pat-na1-7f3a2c9k"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def compare(world: World, name: str = "crm", *, repair: bool = False) -> dict[str, Any]:
    """Return what is found about one connection; nothing may go wrong in asking it."""
    result = commands.compare(world.runtime, {"connection": name, "repair": repair})
    assert result["errors"] == []
    (found,) = result["connections"]
    assert isinstance(found, dict)
    return found


def drifts(found: dict[str, Any]) -> dict[str, int]:
    return {one["what"]: one["count"] for one in found["drifts"]}


def parts(found: dict[str, Any], name: str) -> dict[str, int]:
    counted: dict[str, int] = found["sums"][name]["parts"]
    return counted


def stream(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = [one for one in found["streams"] if one["name"] == name]
    assert isinstance(one, dict)
    return one


def three(world: World) -> None:
    """Ana and Bia are contacts, Dora becomes one; each has written."""
    world.contact(name="Ana", phone=f"+{ANA}")
    world.contact(name="Bia", phone=f"+{BIA}")
    for index, phone in enumerate((ANA, BIA, DORA), 1):
        world.message(f"m{index}", phone)
    world.settled()


def test_after_a_sync_everything_adds_up(world: World) -> None:
    three(world)
    found = compare(world)
    assert (found["sound"], found["drifts"]) == (True, [])
    contacts = stream(found, "contacts")
    assert (contacts["source"], contacts["stored"], contacts["mapped"]) == (3, 3, 3)
    entries = stream(found, "entries")
    assert (entries["source"], entries["skipped"]) == (3, 3)
    assert entries["rules"] == {"written by crmbridge": 3}
    assert parts(found, "interactions") == {"in entries": 3}
    assert parts(found, "people") == {"in the CRM": 3}
    assert parts(found, "contacts") == {"as written": 3}
    assert parts(found, "entries") == {"as written": 3}
    channel = compare(world, "chat")
    assert channel["sound"]
    assert (stream(channel, "messages")["source"], channel["sums"]) == (3, {})


def test_what_the_source_has_and_the_store_lacks_is_drift_until_it_is_read(world: World) -> None:
    three(world)
    new = world.contact(name="Eva")
    gone = world.there("contacts")[0]["id"]
    world.change("crm", "contacts", gone, deleted=True)
    found = compare(world)
    assert not found["sound"]
    contacts = stream(found, "contacts")
    assert (contacts["unread"], contacts["vanished"], contacts["adds_up"]) == ([new], [gone], True)
    world.sync()
    contacts = stream(compare(world), "contacts")
    assert (contacts["source"], contacts["stored"], contacts["deleted"]) == (3, 3, 1)


def test_every_state_of_a_record_has_its_column(small: World) -> None:
    three(small)
    small.message("Oi", ANA, at="no time")
    small.collect("chat")
    assert stream(compare(small, "chat"), "messages")["waiting"] == 1
    small.resolve()
    messages = stream(compare(small, "chat"), "messages")
    assert (messages["source"], messages["stored"]) == (4, 4)
    assert (messages["mapped"], messages["rejected"], messages["waiting"]) == (3, 1, 0)


def test_what_a_person_did_to_an_entry_is_told_and_no_drift(world: World) -> None:
    three(world)
    first, second, third = world.there("entries")
    world.change("crm", "entries", first["id"], text="mine now")
    world.change("crm", "entries", second["id"], deleted=True)
    world.change("crm", "entries", third["id"], contact=first["contact"])
    contact = world.there("contacts")[0]
    world.change("crm", "contacts", contact["id"], waiting_since="never")
    world.collect("crm")
    found = compare(world, repair=True)
    assert parts(found, "entries") == {
        "edited by a person": 1,
        "deleted by a person": 1,
        "no more on their contact": 1,
    }
    assert parts(found, "contacts") == {"as written": 2, "edited by a person": 1}
    assert (found["drifts"], found["repaired"]) == ([], [])
    assert world.settled().written == 0


def test_people_who_are_not_in_the_crm_are_told_with_the_reason(world: World) -> None:
    three(world)
    world.mail("m4", party("from", "eva@padaria.com", side="customer"), direction="inbound")
    world.message("m5", {"instagram_id": "77"}, channel="instagram")
    for name in ("Caio", "Kaio"):
        world.contact(name=name, phone="+5511973914899")
    world.message("m6", "5511973914899")
    world.sync()
    found = compare(world)
    assert found["sums"]["people"]["adds_up"]
    counted = parts(found, "people")
    assert counted.pop("in the CRM") == 3
    assert counted == {
        "not in the CRM; becomes a contact once we replied": 1,
        "not in the CRM; no rule in push.create makes a contact of this channel": 1,
        "undecided between contacts": 1,
    }
    assert found["sums"]["interactions"] == {
        "total": 6,
        "parts": {"in entries": 3, **counted},
        "adds_up": True,
    }


def test_what_waits_for_the_next_delivery_and_what_was_refused_is_no_drift(small: World) -> None:
    three(small)
    small.message("m4", ANA, thread="t4")
    small.collect()
    small.resolve()
    found = compare(small)
    assert parts(found, "interactions") == {"in entries": 3, "to be written by the next delivery": 1}

    def refuse(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            yield Receipt(key=write.key, error=Rejected("too long", code="LENGTH"))

    small.acts["crm"]["push"] = refuse
    small.sync()
    found = compare(small)
    assert parts(found, "interactions") == {"in entries": 3, "refused by the CRM": 1}
    assert found["sound"]


def test_an_entry_whose_write_was_lost_is_written_again_by_a_repair(world: World) -> None:
    three(world)
    lost = world.there("entries")[0]
    world.change("crm", "entries", lost["id"], deleted=True, key="")
    world.runtime.writer.run(
        lambda c: c.execute(delete(ledger).where(ledger.c.ext_id == lost["id"], ledger.c.slot == "entry")),
        priority=Priority.DELIVERY,
    )
    world.collect("crm")
    world.resolve()
    found = compare(world)
    assert drifts(found) == {"entries that are in the books of no write": 1}
    assert parts(found, "interactions")["in an entry that stands nowhere"] == 1
    assert world.settled().written == 0, "without a repair it stays lost"
    assert compare(world, repair=True)["repaired"] == ["1 entries to be written again by the next delivery"]
    world.settled()
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}
    assert compare(world)["sound"]


def test_an_entry_that_stands_after_all_is_entered_into_the_books_and_not_doubled(world: World) -> None:
    three(world)
    lost = world.there("entries")[0]
    world.runtime.writer.run(
        lambda c: c.execute(delete(ledger).where(ledger.c.ext_id == lost["id"], ledger.c.slot == "entry")),
        priority=Priority.DELIVERY,
    )
    found = compare(world, repair=True)
    assert found["repaired"] == ["1 entries found in the CRM and entered into the books"]
    assert world.settled().written == 0
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}
    assert compare(world)["sound"]


def test_where_the_crm_cannot_say_nothing_is_repaired(small: World) -> None:
    three(small)
    small.runtime.writer.run(
        lambda c: c.execute(delete(ledger).where(ledger.c.slot == "entry")), priority=Priority.DELIVERY
    )

    def locate(memory: Memory, writes: Sequence[Write]) -> Iterator[Location]:
        return iter([Unknown(key=write.key, reason="its contact is deleted") for write in writes])

    small.acts["crm"]["locate"] = locate
    before = small.rows(member)
    assert compare(small, repair=True)["repaired"] == [
        "3 entries left, since the CRM cannot say whether they stand"
    ]
    assert small.rows(member) == before


def test_a_person_whom_no_queue_holds_is_queued_by_a_repair(world: World) -> None:
    three(world)
    world.message("m4", ANA, thread="t4")
    world.collect()
    world.resolve()
    world.runtime.writer.run(lambda c: c.execute(delete(touched)), priority=Priority.DELIVERY)
    assert world.sync().written == 0
    assert drifts(compare(world)) == {"people with something to write whom no queue holds": 1}
    assert compare(world, repair=True)["repaired"] == ["1 people queued for the next delivery"]
    world.settled()
    assert world.told()["m4"] == 1
    assert compare(world)["sound"]


def test_books_follow_a_merge_by_a_repair(world: World) -> None:
    three(world)
    old, new = (one["id"] for one in world.there("contacts")[:2])

    def read(memory: Memory, name: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        for record in Memory.read(memory, name, [new if one == old else one for one in ids], fields):
            asked = [one for one in ids if one == record.id or (one == old and record.id == new)]
            for one in asked if name == "contacts" else [record.id]:
                yield Record(
                    stream=name,
                    id=record.id,
                    version=record.version,
                    modified_at=record.modified_at,
                    data={**record.data, "requested_id": one},
                )

    world.acts["crm"]["read"] = read
    found = compare(world)
    assert drifts(found) == {"contacts of the books that were merged in the CRM": 1}
    assert found["drifts"][0]["examples"] == [f"{old} is now {new}"]
    assert parts(found, "contacts")["merged into another"] == 1
    assert compare(world, repair=True)["repaired"] == ["1 merged objects followed"]
    assert old not in {row.contact_id for row in world.rows(ledger)}
    assert "contacts of the books that were merged in the CRM" not in drifts(compare(world))


def test_what_carries_our_marker_and_is_in_no_book_is_listed(small: World) -> None:
    three(small)
    owner = small.there("contacts")[0]["id"]
    small.put("crm", "entries", text="Oi\ncrmbridge 7F3A2C9KQ0XT", key="7F3A2C9KQ0XT", contact=owner)
    small.sync()
    found = compare(small)
    assert drifts(found) == {"objects in the CRM with our marker that the books lack": 1}
    assert found["drifts"][0]["examples"] == ["entries/4 (7F3A2C9KQ0XT)"]


def test_what_an_undo_took_back_stands_nowhere_and_is_no_drift(world: World) -> None:
    world.contact(name="Ana", phone="+5511973914862")
    world.message("m1", "5511973914862")
    first = synced(world)
    world.message("m2", "5511973914862")
    grown = synced(world)
    undone(world, grown)
    found = compare(world)
    assert (parts(found, "interactions"), drifts(found)) == (
        {"in entries": 1, "taken back by an undo": 1},
        {},
    )
    undone(world, first)
    found = compare(world)
    assert (parts(found, "interactions"), drifts(found)) == ({"taken back by an undo": 2}, {})
    entries = stream(found, "entries")
    assert (entries["source"], entries["archived"], entries["vanished"], entries["adds_up"]) == (
        0,
        1,
        [],
        True,
    )


@pytest.mark.parametrize("again", ["released", "undone in turn"])
def test_what_stands_again_after_an_undo_was_not_deleted_by_a_person(small: World, again: str) -> None:
    small.message("m1", "5511973914862", name="Ana")
    first = synced(small)
    run = undone(small, first)
    if again == "released":
        released(small, of=run["undo"])
    else:
        undone(small, run["undo"])
    small.settled()
    assert small.told() == {"m1": 1}
    found = compare(small)
    assert parts(found, "interactions") == {"in entries": 1}
    assert "deleted by a person" not in {**parts(found, "contacts"), **parts(found, "entries")}
    assert drifts(found) == {}


def test_an_interaction_of_the_team_alone_is_counted(small: World) -> None:
    three(small)
    small.mail(
        "m4", party("from", "rui@example.com", side="team"), party("to", "ada@example.com", side="team")
    )
    small.sync()
    found = compare(small)
    assert parts(found, "interactions") == {"in entries": 3, "with nobody but the team": 1}
    assert found["sound"]


def test_a_stream_that_cannot_be_listed_and_a_crm_that_is_away_are_told(small: World) -> None:
    three(small)

    def pull(memory: Memory, name: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        if name == "contacts":
            raise Unavailable("the list is down")
        return Memory.pull(memory, name, phase, place, fields)

    small.acts["crm"]["pull"] = pull
    contacts = stream(compare(small), "contacts")
    assert (contacts["source"], contacts["note"]) == (None, "not counted: the list is down")

    def read(memory: Memory, *_: Any) -> Iterator[Record]:
        raise Unavailable("the CRM is down")

    small.acts["crm"]["read"] = read
    result = commands.compare(small.runtime, {"connection": None})
    assert result["errors"] == ["crm: the CRM is down"]
    assert [one["connection"] for one in result["connections"]] == ["chat"]


def test_people_of_current_ids_only_are_queued(small: World) -> None:
    three(small)
    with small.runtime.database.read() as c:
        assert looks.next_touched(c, 0, 10) == {}
    assert compare(small, repair=True)["repaired"] == []


def test_reconcile_says_all_that_in_a_table(synced: Office) -> None:
    said = synced.run("reconcile")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[1].split() == ["source", "stored", "mapped", "skipped", "rejected", "waiting", "deleted"]
    assert "  interactions 2 = 2 in entries" in lines
    assert "  people 2 = 2 in the CRM" in lines
    synced.put("crm", "contacts", name="Eva")
    again = synced.run("reconcile", "crm")
    assert again.code == 1
    assert (
        "  ! contacts at the source and not in the store: 1 (3)\n    crmbridge sync reads them." in again.out
    )
    mended = synced.run("reconcile", "crm", "--repair")
    assert mended.out.endswith("  Nothing here is surely ours to repair.\n")
    assert synced.run("reconcile", "nowhere").code == 2
    with running(synced):
        handed = synced.run("reconcile", "chat", "--repair", "--json")
        assert (handed.code, handed.json["connections"][0]["sound"]) == (0, True)


def test_hubspot_tells_merges_moves_edits_and_deletions(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubSpotSandbox(token=TOKEN) as hub:
        monkeypatch.setenv("HUBSPOT_TOKEN", TOKEN)
        office.connections["crm"] = {
            "connector": "hubspot",
            "settings": {"token": "${env:HUBSPOT_TOKEN}", "base_url": hub.url},
            "push": {"timeline": True},
        }
        office.write()
        assert office.run("setup", "crm", "--apply").code == 0
        ids = [
            hub.create("contacts", {"firstname": f"P{index}", "phone": f"+55119739{index:05d}"})
            for index in range(6)
        ]
        for index in range(6):
            office.message(f"m{index}", f"+55119739{index:05d}")
        assert office.run("sync").code == 0
        assert office.run("sync").code == 0
        assert office.run("reconcile").code == 0
        entry = [hub.timeline(contact)[0]["id"] for contact in ids]
        survivor = hub.merge("contacts", ids[0], ids[1])
        hub.edit("communications", entry[2], {"hs_communication_body": "mine"})
        hub.delete("communications", entry[3])
        hub.associate("communications", entry[4], "contacts", ids[5])
        hub.dissociate("communications", entry[4], "contacts", ids[4])
        hub.edit("contacts", ids[5], {"crmbridge_source": "mine"})
        said = office.run("reconcile", "crm", "--repair", "--json")
        assert said.code == 1
        (found,) = said.json["connections"]
        assert parts(found, "entries") == {
            "as written": 3,
            "edited by a person": 1,
            "deleted by a person": 1,
            "no more on their contact": 1,
        }
        assert parts(found, "contacts") == {
            "as written": 3,
            "merged into another": 2,
            "edited by a person": 1,
        }
        merges = next(one for one in found["drifts"] if "merged" in one["what"])
        assert merges["examples"] == [f"{ids[0]} is now {survivor}", f"{ids[1]} is now {survivor}"]
        assert found["repaired"] == ["2 merged objects followed"]
        assert office.run("sync").code == 0
        left = office.run("reconcile", "crm", "--json").json["connections"][0]
        assert [one["what"] for one in left["drifts"]] == [
            "communications in the store and no more at the source"
        ]
