"""What strangers, vendors and plugins send to stop the queue: one item must never keep the others waiting."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.engine import commands
from bridge.model import Delivery, Json, Match, Person, Record, Skip
from bridge.store.blobs import THRESHOLD
from bridge.store.tables import node_handle, reject
from bridge.store.texts import LONGEST_KEY, key_text
from bridge.sync.intake import page
from bridge_memory import Memory
from tests.sync_world import MAPPING, World

ANA, EVA, BIA = "5511973914862", "5511973914999", "5511973914863"
NOISE = "".join(random.Random(1).choices("0123456789abcdefghijklmnop", k=20_000))


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def write_line(world: World, **thing: Json) -> None:
    """Append a line to the channel as no program of ours would write it."""
    person = {"role": "from", "side": "customer", "handles": [{"kind": "whatsapp_id", "value": EVA}]}
    line = {"id": "odd", "at": "2026-11-20T11:00:00Z", "people": [person], "thread": "odd", **thing}
    with (world.home / "chat" / "messages.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def replay(world: World) -> None:
    commands.replay(world.runtime, {"group": None})


def causes(world: World) -> list[str]:
    return [row.code for row in world.rows(reject) if row.state == "open"]


HOSTILE: dict[str, dict[str, Any]] = {
    "a NUL in a name": {"people": [{"role": "from", "side": "customer", "display_name": "E\0va"}]},
    "a NUL in an id": {"id": "o\0dd"},
    "a NUL in a handle": {"people": [{"role": "from", "handles": [{"kind": "external", "value": "e\0"}]}]},
    "a NUL in a key": {"keys": ["k:a\0b"]},
    "a NUL in a word that no rule knows": {"channel": "pigeon\0post"},
    "an endless id": {"id": NOISE},
    "an endless handle": {"people": [{"role": "from", "handles": [{"kind": "external", "value": NOISE}]}]},
    "an endless key": {"keys": [f"k:{NOISE}"]},
    "an endless word": {"channel": NOISE},
    "half a character": {"text": "m2 \ud83d"},
    "nesting without end": {"keys": json.loads("[" * 400 + "]" * 400)},
    "a number beyond 64 bits": {"keys": [10**30]},
    "a time at the end of all calendars": {"modified": "9999-12-31T23:59:59.999999Z"},
    "a date in the last year there is": {"at": "9999-12-31T23:59:59Z"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_hostile_message_does_not_stop_its_neighbours(world: World, name: str) -> None:
    world.message("m1", ANA)
    write_line(world, **{"text": "m2", "modified": "2026-11-20T11:00:00Z", **HOSTILE[name]})
    world.message("m3", BIA)
    world.sync()
    told = world.told()
    assert (told.get("m1"), told.get("m3")) == (1, 1)
    found = world.stream("messages")
    assert found["read"] == 3 == found["mapped"] + found["rejected"]
    assert world.sync().written == 0


def test_a_key_is_stored_as_it_is_unless_no_database_could_index_it() -> None:
    for text in ("<CAF@mail.example>", "ação:1/2", "e" * LONGEST_KEY):
        assert key_text(text) == text
    long = key_text(NOISE)
    assert len(long.encode()) <= LONGEST_KEY and key_text(long) == long
    assert long != key_text(NOISE + "x")
    assert key_text("a\0b") != key_text("ab") and key_text("\ud800") == "?"


def test_whoever_has_an_endless_handle_is_still_recognised(world: World) -> None:
    for text in ("m1", "m2"):
        world.message(text, {"external": NOISE[:900]})
    world.sync()
    assert len({row.value for row in world.rows(node_handle) if not row.made}) == 1
    assert world.told() == {"m1": 1, "m2": 1}


def test_a_lost_file_of_a_body_becomes_a_reject_and_is_read_once_it_is_back(small: World) -> None:
    small.message("m1 " + "x" * THRESHOLD, ANA)
    small.message("m3", BIA)
    assert small.collect() == []
    folder = small.home / "blobs"
    folder.rename(small.home / "elsewhere")
    small.resolve()
    small.deliver()
    assert small.told() == {"m3": 1} and causes(small) == ["body"]
    (small.home / "elsewhere").rename(folder)
    replay(small)
    small.resolve()
    small.deliver()
    assert small.told() == {"m1": 1, "m3": 1} and causes(small) == []


def test_a_lost_file_of_a_webhook_body_stops_no_other_webhook(small: World) -> None:
    for number, size in ((1, THRESHOLD), (3, 1)):
        thing = {"id": f"w{number}", "text": "m" * size, "at": "2026-11-20T11:00:00Z", "people": []}
        small.webhook(json.dumps({"events": [{"stream": "messages", "object": thing}]}).encode())
    (small.home / "blobs").rename(small.home / "elsewhere")
    small.resolve()
    assert small.stream("messages")["mapped"] == 1 and causes(small) == ["body"]


def test_a_fault_that_nobody_thought_of_costs_one_record(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = page._row

    def broken(*arguments: Any) -> dict[str, Any]:
        made = row(*arguments)
        if b"m2" in made["body"]:
            raise ZeroDivisionError("nobody thought of this")
        return made

    monkeypatch.setattr(page, "_row", broken)
    for number, sender in enumerate((ANA, EVA, BIA), 1):
        small.message(f"m{number}", sender)
    small.sync()
    assert small.told() == {"m1": 1, "m3": 1}
    [found] = small.rows(reject)
    assert found.code == "fault" and "ZeroDivisionError" in found.message
    monkeypatch.undo()
    replay(small)
    small.sync()
    assert small.told() == {"m1": 1, "m2": 1, "m3": 1}


@pytest.mark.parametrize("error", [SystemExit(1), ValueError("odd"), RecursionError()])
def test_a_plugin_that_ends_the_program_ends_one_record(small: World, error: BaseException) -> None:
    def decode(_: Memory, record: Record) -> Iterator[Record]:
        if isinstance(record.data, dict) and record.data.get("text") == "m2":
            raise error
        yield record

    small.acts["chat"]["decode"] = decode
    for number, sender in enumerate((ANA, EVA, BIA), 1):
        small.message(f"m{number}", sender)
    small.sync()
    assert small.told() == {"m1": 1, "m3": 1} and causes(small) == ["plugin"]


def test_a_split_that_never_ends_costs_one_body(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sync.intake.split.MOST_ITEMS", 1000)

    def split(memory: Memory, delivery: Delivery) -> Iterator[Any]:
        if b"endless" not in delivery.body:
            yield from Memory.split(memory, delivery)
            return
        while True:
            yield Skip(stream="messages", id="x", version="1", rule="again")

    small.acts["chat"]["split"] = split
    small.webhook(b'{"events": ["endless"]}')
    small.webhook(b'{"events": ["another"]}')
    small.resolve()
    assert causes(small).count("plugin") == 1 and small.stream("messages")["read"] >= 1


def test_whom_a_push_mapping_refuses_is_held_and_everybody_else_is_written(tmp_path: Path) -> None:
    odd = MAPPING.replace("phone: {from: phone,", "phone: {from: display_name, using: integer,")
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, mapping=odd) as world:
        world.message("m1", ANA, name="12")
        world.message("m2", EVA, name="Eva")
        world.contact(name="Bia", phone=BIA)
        world.message("m3", f"{BIA}", name="Bia")
        done = world.sync()
        assert done.counts["hold"] >= 1
        assert world.told() == {"m1": 1}


def test_a_crm_that_says_nothing_of_a_person_gets_no_contact_for_them(small: World) -> None:
    def find(memory: Memory, people: Sequence[Person]) -> Iterator[Match]:
        yield Match(key="p_stranger", ids=("1",))
        yield from (Match(key=one.key, ids=()) for one in people if f"+{EVA}" not in one.phones)

    small.acts["crm"]["find"] = find
    small.message("m1", ANA)
    small.message("m2", EVA)
    small.sync()
    assert small.told() == {"m1": 1}
    assert len(small.there("contacts")) == 1
