"""Two entries of ours for one mail, once they turn out to tell the same: what a person made of either stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from bridge.model import Json, Page, Phase
from bridge_memory import Memory
from tests.sync_world import World, party


@pytest.mark.parametrize("touched", [0, 1])
@pytest.mark.parametrize("how", ["moved", "edited"])
def test_of_two_entries_for_one_mail_the_one_that_a_person_touched_stays(
    small: World, how: str, touched: int
) -> None:
    small.contact(name="Ana", email="ana@lima.example")
    other = small.contact(name="Rui")
    ana = party("from", "ana@lima.example", side="customer")
    for key in ("one:1", "two:1"):
        small.mail("m1", ana, direction="inbound", keys=[key])
    small.settled()
    entries = small.there("entries")
    text = str(entries[touched]["text"])
    edit = {"contact": [other]} if how == "moved" else {"text": f"{text} typed"}
    small.change("crm", "entries", str(entries[touched]["id"]), **edit)
    small.settled()
    small.mail("m1", ana, direction="inbound", keys=["one:1", "two:1"])
    small.settled()
    (left,) = small.there("entries")
    assert left["id"] == entries[touched]["id"]
    assert ("typed" in left["text"]) == (how == "edited")
    assert small.sync().written == 0


@pytest.mark.parametrize("deleted", [0, 1])
@pytest.mark.parametrize("seen", [False, True])
def test_of_two_entries_for_one_mail_the_one_that_a_person_left_stays(
    small: World, seen: bool, deleted: int
) -> None:
    small.contact(name="Ana", email="ana@lima.example")
    ana = party("from", "ana@lima.example", side="customer")
    for key in ("one:1", "two:1"):
        small.mail("m1", ana, direction="inbound", keys=[key])
    small.settled()
    entries = small.there("entries")
    small.change("crm", "entries", str(entries[deleted]["id"]), deleted=True)
    if seen:
        small.settled()
    small.mail("m1", ana, direction="inbound", keys=["one:1", "two:1"])
    small.settled()
    assert [one["id"] for one in small.there("entries")] == [entries[1 - deleted]["id"]]
    assert small.sync().written == 0


@pytest.mark.parametrize("moved", [0, 1])
def test_of_two_entries_for_one_mail_one_that_a_person_moved_unseen_stays(small: World, moved: int) -> None:
    small.contact(name="Ana", email="ana@lima.example")
    other = small.contact(name="Rui")
    ana = party("from", "ana@lima.example", side="customer")
    for key in ("one:1", "two:1"):
        small.mail("m1", ana, direction="inbound", keys=[key])
    small.settled()
    entries = small.there("entries")

    def pull(
        memory: Memory, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]
    ) -> Iterator[Page]:
        return iter(()) if stream == "entries" else Memory.pull(memory, stream, phase, cursor, fields)

    small.acts["crm"]["pull"] = pull
    small.change("crm", "entries", str(entries[moved]["id"]), contact=[other])
    small.mail("m1", ana, direction="inbound", keys=["one:1", "two:1"])
    small.settled()
    ((left, on),) = [(one["id"], one["contact"]) for one in small.there("entries")]
    assert (left, on) == (entries[moved]["id"], [other])


def test_an_entry_that_tells_of_one_message_of_a_deleted_one_stays(small: World) -> None:
    small.contact(name="Ana", email="ana@lima.example")
    ana = party("from", "ana@lima.example", side="customer")
    chat = {"direction": "inbound", "channel": "whatsapp", "kind": "message"}
    for text, key, thread in (("m1", "one:1", "one"), ("m2", "one:2", "one"), ("m1", "two:1", "two")):
        small.mail(text, ana, keys=[key], thread=thread, **chat)
    small.settled()
    (both, alone) = sorted(small.there("entries"), key=lambda one: "m2" not in one["text"])
    small.change("crm", "entries", str(both["id"]), deleted=True)
    small.mail("m1", ana, keys=["one:1", "two:1"], thread="one", **chat)
    small.settled()
    assert [one["id"] for one in small.there("entries")] == [alone["id"]]
