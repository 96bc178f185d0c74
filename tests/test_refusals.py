"""Refused writes: grouped by cause in the CRM's words, with what waits behind them, the mapping line and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.refusals import grouped, is_refusal, refusal, refusals_since
from bridge.errors import Rejected
from bridge.model import Receipt, Write
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_memory import Memory
from tests.outside import Office
from tests.sync_world import World

TOKEN = "pat-na1-7f3a2c9k"
REFUSED = 14
MORE = 3


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


def number(index: int) -> str:
    return f"55119739{index:05d}"


def refuse(world: World, **messages: str) -> None:
    """Refuse each write of a stream with these words, to which its number is added."""
    count = 0

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        nonlocal count
        for write in writes:
            if write.stream in messages:
                count += 1
                said = messages[write.stream].replace("#", str(count))
                yield Receipt(key=write.key, error=Rejected(said, code="VALIDATION"))
            else:
                yield from Memory.push(memory, [write])

    world.acts["crm"]["push"] = push


def said(world: World) -> list[list[str]]:
    with world.runtime.database.read() as c:
        return [refusal(world.runtime, c, group, rows) for group, rows in grouped(c).items()]


@pytest.fixture
def hubspot(office: Office, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubSpotSandbox]:
    """A HubSpot with seventeen contacts, who all wrote, and an office that may write there."""
    with HubSpotSandbox(token=TOKEN) as hub:
        monkeypatch.setenv("HUBSPOT_TOKEN", TOKEN)
        office.connections["crm"] = {
            "connector": "hubspot",
            "settings": {"token": "${env:HUBSPOT_TOKEN}", "base_url": hub.url},
            "push": {"timeline": True, "create": {"whatsapp": "first_message"}},
        }
        office.write()
        for index in range(REFUSED + MORE):
            hub.create("contacts", {"firstname": f"Person {index}", "phone": f"+{number(index)}"})
            office.message(f"m{index}", f"+{number(index)}")
        assert office.run("setup", "crm", "--apply").code == 0
        yield hub


def test_a_rule_of_the_admin_refuses_only_whom_it_concerns_and_says_what_to_do(
    office: Office, hubspot: HubSpotSandbox
) -> None:
    hubspot.define("contacts", "segment", label="Segment")
    for contact in hubspot.objects("contacts")[:MORE]:
        hubspot.edit("contacts", contact["id"], {"segment": "bakery"})
    hubspot.levers.required = {"contacts": ["segment"]}
    result = office.run("sync", "--json")
    assert (result.code, result.json["outcome"]) == (1, "partial")
    assert result.json["pending_writes"] == {"rejected": REFUSED}
    assert result.json["written"] == {"entry": REFUSED + MORE, "fields": MORE}
    (told,) = result.json["refused"]
    found = re.fullmatch(
        rf"HubSpot refused {REFUSED} contacts: .*Property \"segment\" is required\."
        rf" Their timelines were written; {REFUSED} updates wait\."
        r" Fill segment in HubSpot, or map it at \S+hubspot\.yaml:\d+,"
        r" then: crmbridge rejects replay (R\w+)",
        told,
    )
    assert found, told
    shown = office.run("rejects")
    assert shown.out.startswith(f"{found[1]}  HubSpot refused {REFUSED} contacts: ")
    assert office.run("sync").code == 1, "what waits is still said"
    for contact in hubspot.objects("contacts"):
        hubspot.edit("contacts", contact["id"], {"segment": "bakery"})
    assert office.run("rejects", "replay", found[1]).code == 0
    again = office.run("sync", "--json").json
    assert (again["outcome"], again["written"]) == ("ok", {"fields": REFUSED})
    assert office.run("rejects").out == "No rejects.\n"


def test_entries_of_refused_contacts_wait_and_are_no_rejects(office: Office, hubspot: HubSpotSandbox) -> None:
    hubspot.define("contacts", "segment", label="Segment")
    hubspot.levers.required = {"contacts": ["segment"]}
    for index in (500, 501):
        office.message("Sou novo", f"+{number(index)}")
    result = office.run("sync", "--json").json
    assert result["pending_writes"] == {"rejected": REFUSED + MORE + 2, "open": 2}
    (told,) = result["refused"]
    assert f"2 new contacts and {REFUSED + MORE} updates wait, and 2 entries for them." in told


def test_refusals_with_one_cause_are_one_group_whatever_they_quote(world: World) -> None:
    for index in range(4):
        world.contact(name=f"Person {index}", phone=f"+{number(index)}")
        world.message(f"m{index}", number(index))
    refuse(world, contacts='contact 70# of "Person #" is locked by a workflow')
    world.sync()
    (lines,) = said(world)
    assert lines[0].startswith("A folder of text files refused 4 contacts: contact 70")
    assert lines[1] == "Their timelines were written; 4 updates wait."
    assert lines[2].startswith("Mend the cause in A folder of text files or in the mapping, then: crmbridge")


def test_other_fields_and_other_words_are_groups_of_their_own(world: World) -> None:
    world.contact(name="Ana", phone=f"+{number(1)}")
    world.contact(name="Bia", phone=f"+{number(2)}")
    refuse(world, contacts="'segment' is required", entries="text: too long by #")
    for index in (1, 2):
        world.message(f"m{index}", number(index))
    world.sync()
    found = {lines[0] for lines in said(world)}
    assert found == {
        "A folder of text files refused 2 contacts: 'segment' is required.",
        "A folder of text files refused 2 entries: text: too long by 2.",
    }


@pytest.mark.parametrize(
    ("words", "field", "remedy"),
    [
        ("'segment' is required", "segment", "Fill segment in"),
        (
            'Property "waiting_since" is no date',
            "waiting_since",
            "Correct what is written into waiting_since at",
        ),
        ("waiting_since is no date", "waiting_since", "Correct what is written into waiting_since at"),
        ("this contact is locked", "", "Mend the cause in"),
    ],
)
def test_the_field_a_refusal_names_leads_to_its_mapping_line(
    world: World, words: str, field: str, remedy: str
) -> None:
    world.contact(name="Ana", phone=f"+{number(1)}")
    world.message("m1", number(1))
    refuse(world, contacts=words)
    world.sync()
    with world.runtime.database.read() as c:
        ((row,),) = grouped(c).values()
    assert row["field"] == field
    assert row["hint"].startswith(remedy)
    lines = (world.home / "mapping.yaml").read_text().splitlines()
    if field == "waiting_since":
        at = next(index for index, line in enumerate(lines, 1) if "waiting_since: {" in line)
        assert row["place"].endswith(f"mapping.yaml:{at}")
    elif field:
        assert re.search(r"mapping\.yaml:\d+$", row["place"])


def test_an_update_that_went_through_in_another_ones_place_leaves_no_reject(world: World) -> None:
    world.contact(name="Ana", phone=f"+{number(1)}")
    world.message("m1", number(1))
    refuse(world, contacts="locked")
    world.sync()
    assert len(said(world)) == 1
    del world.acts["crm"]["push"]
    world.message("m2", number(1), at="2026-11-20T10:00:00Z")
    world.settled()
    assert [one["waiting_since"] for one in world.there("contacts")] == ["2026-11-20T10:00:00Z"]
    assert said(world) == []


def test_a_sync_tells_of_the_refusals_of_its_own_run_only(world: World) -> None:
    world.contact(name="Ana", phone=f"+{number(1)}")
    world.message("m1", number(1))
    refuse(world, contacts="locked")
    began = world.clock()
    world.sync()
    world.clock.sleep(60)
    with world.runtime.database.read() as c:
        assert len(refusals_since(world.runtime, c, began)) == 1
        assert refusals_since(world.runtime, c, world.clock()) == []


def test_a_write_whose_outcome_nobody_knows_is_no_refusal() -> None:
    row: dict[str, Any] = {"step": "push", "code": "unknown outcome"}
    assert not is_refusal([row])
    assert is_refusal([{**row, "code": "VALIDATION"}])
