"""Resolving what could not be resolved, and what a changed mapping reads otherwise: one bad record stops nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.engine import commands
from bridge.model import Json, Record
from bridge.store import rejects
from bridge.store.tables import delivery, node, record, reject
from bridge_memory import Memory
from tests.resolve_cases import interactions, page_of, take, waiting
from tests.sync_world import MAPPING, World, party

ANA, BIA = "5511973914862", "5511973914863"
MENDED = MAPPING.replace("occurred_at: at", 'occurred_at: {const: "2026-11-20T10:00:00Z"}')


def open_rejects(world: World) -> list[dict[str, Any]]:
    with world.runtime.database.read() as c:
        return rejects.listed(c)


def test_a_bad_record_is_rejected_with_its_mapping_line_and_replayed_once_that_is_mended(
    world: World,
) -> None:
    world.message("m1", ANA, at="yesterday")
    world.message("m2", BIA)
    take(world)
    shown = world.stream("messages")
    assert (shown["read"], shown["mapped"], shown["rejected"]) == (2, 1, 1)
    (found,) = open_rejects(world)
    assert (found["step"], found["ext_id"], found["field"]) == ("map", "1", "occurred_at")
    file, _, line = found["place"].rpartition(":")
    assert "occurred_at: at" in Path(file).read_text().splitlines()[int(line) - 1]
    assert "yesterday" in found["message"]
    world.remap_to(MENDED)
    world.start()
    assert commands.replay(world.runtime, {"group": found["group_key"]}) == {"replayed": 1}
    assert world.stream("messages")["waiting"] == 1
    world.resolve()
    shown = world.stream("messages")
    assert (shown["read"], shown["mapped"], shown["rejected"]) == (2, 2, 0)
    assert open_rejects(world) == []


def test_a_replay_that_fails_again_counts_the_attempt(small: World) -> None:
    small.message("m1", ANA, at="yesterday")
    take(small)
    commands.replay(small.runtime, {"group": None})
    small.resolve()
    (found,) = small.rows(reject)
    assert (found.state, found.attempts) == ("open", 2)


def test_a_newer_version_that_is_good_closes_the_reject_of_the_old_one(small: World) -> None:
    small.message("m1", ANA, at="yesterday")
    take(small)
    small.change("chat", "messages", "1", at="2026-11-20T11:00:00Z")
    take(small)
    assert open_rejects(small) == []
    shown = small.stream("messages")
    assert (shown["read"], shown["mapped"], shown["skipped"], shown["rejected"]) == (2, 1, 1, 0)


def test_an_older_version_replayed_does_not_undo_the_newer_one(small: World) -> None:
    small.message("m1", ANA, at="yesterday")
    take(small)
    small.change("chat", "messages", "1", at="2026-11-20T11:00:00Z", text="m2")
    take(small)
    small.remap_to(MENDED)
    small.start()
    commands.replay(small.runtime, {"group": None})
    small.resolve()
    (body,) = interactions(small).values()
    assert body["body_text"] == "m2"


def test_a_connector_whose_decode_fails_loses_that_record_only(small: World) -> None:
    def decode(memory: Memory, found: Record) -> Iterator[Record]:
        if found.stream == "messages" and found.data["text"] == "m1":
            raise KeyError("surprise")
        yield found

    small.acts["chat"]["decode"] = decode
    small.message("m1", ANA)
    small.message("m2", BIA)
    take(small)
    shown = small.stream("messages")
    assert (shown["mapped"], shown["rejected"]) == (1, 1)
    (found,) = open_rejects(small)
    assert found["code"] == "plugin"
    assert "KeyError" in found["message"]
    assert "connector memory" in found["hint"]
    del small.acts["chat"]["decode"]
    commands.replay(small.runtime, {"group": None})
    small.resolve()
    assert small.stream("messages")["mapped"] == 2


def test_a_connector_whose_split_fails_loses_that_body_only(world: World) -> None:
    def split(memory: Memory, body: Any) -> Iterator[Any]:
        if b"bad" in body.body:
            yield Record(stream="messages", id="half", version="1", modified_at=None, data={})
            raise KeyError("surprise")
        yield from Memory.split(memory, body)

    world.acts["chat"]["split"] = split
    good = {"id": "w1", "text": "m1", "at": "2026-11-20T10:00:00Z", "people": [party("from", ANA)]}
    world.webhook(b'{"bad": true, "events": []}')
    world.webhook(json.dumps({"events": [{"stream": "messages", "object": good}]}).encode())
    world.resolve()
    assert world.stream("messages")["read"] == 1, "half of a body was taken"
    (found,) = open_rejects(world)
    assert (found["step"], found["code"]) == ("split", "plugin")
    del world.acts["chat"]["split"]
    commands.replay(world.runtime, {"group": None})
    world.resolve()
    assert open_rejects(world) == []
    assert {row.state for row in world.rows(delivery)} == {1}


def test_a_record_of_a_stream_that_the_connector_does_not_declare_is_its_fault_and_shown(
    small: World,
) -> None:
    odd = Record(stream="typos", id="1", version="1", modified_at=None, data={})
    small.acts["chat"]["split"] = lambda memory, body: iter([odd])
    small.webhook(b"{}")
    small.resolve()
    (found,) = open_rejects(small)
    assert (found["step"], found["code"]) == ("split", "plugin")
    assert "typos" in found["message"]
    small.acts["chat"] |= {"pull": lambda memory, stream, phase, place, fields: iter([page_of(odd)])}
    errors = small.collect("chat")
    assert errors
    assert all("typos" in error for error in errors)
    assert small.rows(record) == []


def test_a_mapping_that_names_messages_otherwise_writes_none_of_them_again(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    copy: dict[str, Json] = {"people": [party("from", ANA)], "at": "2026-11-20T11:00:00Z"}
    for number in range(3):
        world.put("chat", "messages", **copy, text=f"m{number}", ref=f"r{number}")
    world.put("crm", "messages", **copy, text="m1", ref="r1")
    world.settled()
    written = {f"m{number}": 1 for number in range(3)} | {"m1": 2}
    assert world.told() == written
    world.remap_to(
        MAPPING.replace("dedupe_keys: keys", 'dedupe_keys: {each: [{template: "ref:{ref}"}]}').replace(
            "participants: people", "participants: people\n      outcome: ref"
        )
    )
    world.start()
    for connection in ("chat", "crm"):
        commands.apply_remap(world.runtime, {"connection": connection})
    world.settled()
    assert world.told() == {f"m{number}": 1 for number in range(3)}, "the second entry of one message stays"
    assert len(interactions(world)) == 3, "the copies did not become one"


def test_messages_that_a_mapping_took_for_one_come_apart_when_it_is_mended(small: World) -> None:
    wrong = MAPPING.replace("dedupe_keys: keys", 'dedupe_keys: {each: [{const: "always:the same"}]}')
    small.remap_to(wrong)
    small.start()
    for number in range(3):
        small.message(f"m{number}", ANA, keys=[f"k:{number}"], thread=f"t{number}")
    small.settled()
    assert len(interactions(small)) == 1
    small.remap_to(MAPPING)
    small.start()
    commands.apply_remap(small.runtime, {"connection": "chat"})
    small.settled()
    assert len(interactions(small)) == 3
    assert small.told() == {"m0": 1, "m1": 1, "m2": 1}


def test_a_record_that_decodes_into_fewer_things_leaves_none_behind(small: World) -> None:
    def decode(memory: Memory, found: Record) -> Iterator[Record]:
        for text in found.data.get("texts", ["?"]):
            yield Record(
                stream=found.stream,
                id=found.id,
                version=found.version,
                modified_at=found.modified_at,
                data={**found.data, "text": text},
            )

    small.acts["chat"]["decode"] = decode
    small.message("", ANA, texts=["m1", "m2", "m3"])
    take(small)
    assert sorted(one["body_text"] for one in interactions(small).values()) == ["m1", "m2", "m3"]
    small.change("chat", "messages", "1", texts=["m4"])
    take(small)
    assert [one["body_text"] for one in interactions(small).values()] == ["m4"]


def test_what_a_rule_leaves_out_later_is_gone_from_the_journey(small: World) -> None:
    small.mail("m1", party("from", "ana@x.com", display_name="Ana"), direction="inbound")
    take(small)
    assert waiting(small) == ["Ana"]
    small.change("chat", "messages", "1", automated_by="list", automated=True)
    take(small)
    assert interactions(small) == {}
    assert waiting(small) == []


def test_a_contact_of_a_stream_that_is_no_longer_mapped_is_nobody(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    take(small)
    assert len({one.person_id for one in small.rows(node)}) == 1
    start = MAPPING.index("  contacts:\n    to: contact")
    end = MAPPING.index("  messages:\n")
    small.remap_to(MAPPING[:start] + MAPPING[end:])
    small.start()
    commands.apply_remap(small.runtime, {"connection": "crm"})
    small.resolve()
    assert not [one for one in small.rows(node) if one.contact_of]
