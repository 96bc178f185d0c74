"""Erasure: the index finds every row and file that holds anything about a person, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.engine.commands import dismiss_suggestion
from bridge.errors import Rejected
from bridge.journey.identity import Decision
from bridge.model import Json, Receipt, Write
from bridge.store import tables, traces
from bridge.store.blobs import THRESHOLD
from bridge.store.database import Database
from bridge.store.erasure import About, about
from bridge.store.writer import Priority
from bridge.sync.identity.decide import decide, revoke
from bridge.sync.identity.review import suggestions
from bridge_memory import Memory
from tests.sync_world import World, party

ANA, BIA = "5511973914862", "5511973914863"
MAIL = "ana@zorzal.example"
TOKENS = (b"zorzal", ANA.encode(), b"97391-4862", b"quer dois fornos")
"""What stands only in what is about Ana: her name and addresses, her number, her words."""

KEYS: dict[str, Callable[[Any], object]] = {
    "node": lambda row: row.key,
    "node_handle": lambda row: (row.node_key, row.handle_key),
    "participation": lambda row: (row.entity_id, row.node_key),
    "person": lambda row: row.id,
    "journey": lambda row: row.person_id,
    "touched": lambda row: (row.target, row.person_id),
    "held_back": lambda row: (row.account_pk, row.person_id),
    "alias": lambda row: row.key,
    "reference": lambda row: (row.from_ref, row.to_ref),
    "entity": lambda row: row.pk,
    "record": lambda row: row.pk,
    "delivery": lambda row: row.pk,
    "member": lambda row: (row.account_pk, row.entity_id),
    "ledger": lambda row: (row.account_pk, row.key),
    "intent": lambda row: (row.account_pk, row.key),
    "field_ledger": lambda row: (row.account_pk, row.ext_id, row.field),
    "receipt": lambda row: row.pk,
    "question": lambda row: (row.account_pk, row.key),
    "reject": lambda row: row.pk,
    "mention": lambda row: (row.kind, row.ref),
    "former_handle": lambda row: (row.node_key, row.handle_key),
    "decision": lambda row: row.id,
    "decision_key": lambda row: (row.node_key, row.decision_id),
    "identity_event": lambda row: row.pk,
    "identity_event_person": lambda row: (row.person_id, row.event),
}
"""How the index names a row of each table that may speak of people."""

NAMED = {"ledger": "entry", "intent": "entry", "field_ledger": "field"}
IMPERSONAL = {
    "meta",
    "account",
    "connection",
    "cursor",
    "run",
    "command",
    "unknown_word",
    "suppression",
    "hold",
    "budget",
}


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


def webhook(number: str, sender: str, **more: Json) -> bytes:
    person = party("from", sender, side="customer")
    thing = {"id": number, "text": number, "at": "2026-11-20T10:00:00Z", "people": [person], **more}
    return json.dumps({"events": [{"stream": "messages", "object": thing}]}).encode()


def fill(world: World) -> None:
    """Leave something about Ana, and about Bia, in every corner of a store."""
    ana = world.contact(name="Ana Zorzal", email="former@zorzal.example", phone="+55 11 97391-4862")
    world.collect()
    world.resolve()
    world.change("crm", "contacts", ana, email=MAIL)
    world.contact(name="Bia Lima", email="bia@lima.example", phone=f"+{BIA}")
    twin = world.contact(name="A. Zorzal", email="second@zorzal.example")
    gone = world.contact(name="Zorzal, Ana", phone=f"+{ANA}", email="gone@zorzal.example")
    for sender, name in ((ANA, "Ana Zorzal"), (BIA, "Bia Lima")):
        text = "quer dois fornos" if sender == ANA else "quer um forno"
        world.message(text, sender, name=name, thread=sender)
        world.message(text, sender, name=name, thread=sender, pad="x" * THRESHOLD)
    world.mail(
        "quer dois fornos", party("from", MAIL), direction="inbound", keys=["message-id:1@zorzal.example"]
    )
    world.webhook(webhook("w1", ANA))
    world.webhook(webhook("w2", ANA, pad="x" * THRESHOLD))
    world.webhook(webhook("w3", BIA))
    world.settled()
    for at, (one, other) in enumerate([(MAIL, "later@zorzal.example"), ("bia@lima.example", BIA)]):
        keys = frozenset({f"email:{one}", f"email:{other}" if "@" in other else f"whatsapp_id:{other}"})
        decide(world.runtime, Decision(id=f"d{at}", kind="link", records=keys, at=at, author="rui"))
    revoke(world.runtime, "d1", by="rui")
    world.settled()
    world.change("crm", "contacts", gone, deleted=True)
    world.change("crm", "contacts", ana, merged=[twin])
    world.mail("news of the week", party("from", MAIL), direction="inbound", automated_by="list")
    world.message("m1", MAIL, at="at Zorzal's time")
    world.message("m2", "bia@lima.example", at="no time")
    world.webhook(f"<html>{MAIL}".encode())
    world.webhook(b"<html>bia@lima.example")
    world.collect()
    world.resolve()
    world.message("quer dois fornos", ANA, at="2026-11-20T11:30:00Z", thread="later")

    def refuse(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        return iter(
            [Receipt(key=write.key, error=Rejected("Zorzal needs a segment", code="NO")) for write in writes]
        )

    world.acts["crm"]["push"] = refuse
    world.sync()
    world.message("quer dois fornos", ANA, at="2026-11-20T11:40:00Z", thread="unread")
    world.message("m3", BIA, thread="unread")
    assert world.collect() == []
    world.webhook(webhook("w4", "(11) 97391-4862"))
    world.webhook(webhook("w5", BIA))


def find(world: World, *handles: str) -> About:
    with world.runtime.database.read() as c:
        return about(c, world.runtime.traces, world.runtime.blobs, handles)


def speaks(row: Any) -> bool:
    shown = b"\0".join(
        value if isinstance(value, bytes) else str(value).encode() for value in row if value is not None
    )
    return any(token in shown.lower() for token in TOKENS)


def test_every_row_and_file_that_speaks_of_a_person_is_found(world: World) -> None:
    fill(world)
    found = find(world, MAIL)
    seen: dict[str, int] = {}
    for table in tables.metadata.sorted_tables:
        rows = [row for row in world.rows(table) if speaks(row)]
        if table.name in IMPERSONAL:
            assert rows == [], table.name
            continue
        named = set(found.rows[NAMED.get(table.name, table.name)])
        missed = [row for row in rows if KEYS[table.name](row) not in named]
        assert missed == [], table.name
        seen[table.name] = len(rows)
    found_in = (
        "node journey alias entity record delivery ledger intent reject former_handle decision decision_key"
    )
    for name in found_in.split():
        assert seen[name], f"the world has nothing about Ana in {name}"
    files = {
        str(path.relative_to(world.home / "blobs")).replace("/", "")
        for path in (world.home / "blobs").rglob("*")
        if path.is_file() and any(token in path.read_bytes().lower() for token in TOKENS)
    }
    assert len(files) == 3
    assert files <= set(found.blobs)


def test_nobody_else_is_found_with_them(world: World) -> None:
    fill(world)
    ana, bia = find(world, MAIL), find(world, "bia@lima.example")
    for name, rows in ana.rows.items():
        assert not set(rows) & set(bia.rows[name]), name
    assert not set(ana.blobs) & set(bia.blobs)
    assert {
        len(bia.rows[name]) > 0 for name in ("node", "journey", "entity", "record", "delivery", "entry")
    } == {True}


@pytest.mark.parametrize("handle", [f"+{ANA}", ANA, "former@zorzal.example", "second@zorzal.example"])
def test_any_handle_they_ever_had_leads_to_them(tmp_path: Path, handle: str) -> None:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as world:
        fill(world)
        found = find(world, handle)
        records = {
            row.pk for row in world.rows(tables.record) if handle.strip("+").encode() in (row.body or b"")
        }
        assert records
        assert records <= set(found.rows["record"])


def test_a_deleted_contact_is_found_by_what_it_once_carried(world: World) -> None:
    gone = world.contact(name="Ana Zorzal", email=MAIL, phone=f"+{ANA}")
    world.collect()
    world.resolve()
    world.change("crm", "contacts", gone, deleted=True)
    world.collect()
    world.resolve()
    found = find(world, MAIL)
    assert set(found.rows["record"]) == {row.pk for row in world.rows(tables.record)}
    assert set(found.rows["entity"]) == {row.pk for row in world.rows(tables.entity)}


def test_what_is_said_of_somebody_who_could_be_them_is_found(world: World) -> None:
    world.contact(name="Ana Zorzal", email=MAIL, phone=f"+{ANA}")
    world.contact(name="Bia Lima", email="bia@lima.example", phone=f"+{ANA}")
    world.message("m1", ANA)
    world.settled()
    (one,) = suggestions(world.runtime, "undecided")
    stated = {"key": one.key, "evidence": one.digest, "records": one.records, "author": "rui"}
    dismiss_suggestion(world.runtime, stated)
    (row,) = world.rows(tables.held_back)
    assert speaks(row)
    assert set(find(world, MAIL).rows["held_back"]) == {(row.account_pk, row.person_id)}
    found = find(world, ANA)
    for table in (tables.decision, tables.decision_key, tables.held_back):
        assert set(found.rows[table.name]) == {KEYS[table.name](row) for row in world.rows(table)}


def test_every_table_is_either_searched_or_speaks_of_nobody() -> None:
    assert {table.name for table in tables.metadata.sorted_tables} == KEYS.keys() | IMPERSONAL


def test_hashes_tell_nothing_outside_their_store(tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two"):
        home = tmp_path / name
        home.mkdir()
        made = Database(f"sqlite:///{home / 'store.db'}")
        made.migrate()
        made.close()
        with World(f"sqlite:///{home / 'store.db'}", home) as world:
            world.runtime.writer.run(
                lambda c, world=world: traces.suppress(c, world.runtime.traces, [MAIL], world.clock()),
                priority=Priority.LIVE,
            )
            ((row,),) = [world.rows(tables.suppression)]
            hashes.add(row.handle_hash)
            assert MAIL.encode() not in row.handle_hash
    assert len(hashes) == 2
