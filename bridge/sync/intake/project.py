"""Project: the summary of a person's journey, made anew whenever anything in it changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection as Transaction
from sqlalchemy import delete

from bridge.journey.interaction import Interaction as Body
from bridge.journey.text_format import one_line
from bridge.journey.waiting import touch_of, waiting
from bridge.store import entities, looks, people
from bridge.store.among import among
from bridge.store.database import dumps, micros, upsert
from bridge.store.entities import Interaction
from bridge.store.people import StoredNode
from bridge.store.tables import journey
from bridge.store.writer import Priority
from bridge.sync.identity.identify import newest_name
from bridge.sync.runtime import JOURNEY, Connection, Runtime

TEXT_LENGTH = 120


def project(runtime: Runtime, *, limit: int) -> int:
    """
    Summarise the people that were touched and queue them for every CRM; returns how many.

    Of whom nothing is left to tell has no summary; what we wrote into fields of theirs may have to go as well.
    """
    with runtime.database.read() as c:
        wishes = looks.next_touched(c, JOURNEY, limit)
        if not wishes:
            return 0
        nodes = people.nodes_of(c, wishes)
        person_of = {node.key: person_id for person_id, found in nodes.items() for node in found}
        interactions = entities.load_interactions(c, person_of)
        mine: dict[str, list[Interaction]] = {}
        for interaction in interactions.values():
            for person_id in {person_of[key] for key in interaction.node_keys}:
                mine.setdefault(person_id, []).append(interaction)
        rows = [
            _row(c, runtime, person_id, nodes[person_id], found) for person_id, found in sorted(mine.items())
        ]
    crms = [connection.account_pk for connection in runtime.crms() if connection.account_pk is not None]
    silent = sorted(wishes.keys() - mine.keys())

    def work(c: Transaction) -> None:
        upsert(c, journey, rows, conflict=["person_id"], update=["name", "waiting_since", "body"])
        if silent:
            c.execute(delete(journey).where(among(journey.c.person_id, silent)))
        for target in crms:
            looks.touch(c, target, {*mine, *silent}, runtime.sequence())
        looks.untouch(c, JOURNEY, wishes)

    runtime.writer.run(work, priority=Priority.RESOLVE)
    if mine or silent:
        runtime.wake("deliver")
    return len(wishes)


def _row(
    c: Transaction,
    runtime: Runtime,
    person_id: str,
    nodes: Sequence[StoredNode],
    interactions: Sequence[Interaction],
) -> dict[str, Any]:
    ordered = sorted(interactions, key=lambda one: (one.body.get("occurred_at", ""), one.entity_id))
    contact, owner = _contact(c, runtime, nodes)
    found = waiting(touch_of(cast(Body, one.body)) for one in ordered)
    body: dict[str, Any] = {
        "person_id": person_id,
        **_names(contact, nodes),
        "email": _first_handle(nodes, "email"),
        "phone": _first_handle(nodes, "phone"),
        "owner": owner,
        "contacts": [
            {"connector": node.key.split(":")[0], "id": node.contact_id} for node in nodes if node.contact_id
        ],
        "last_inbound_at": _last(ordered, "inbound"),
        "last_outbound_at": _last(ordered, "outbound"),
        "first_seen_at": next((one.body.get("occurred_at") for one in ordered), None),
        "source": _source(ordered),
        "channels": ", ".join(sorted({one.body.get("channel", "other") for one in ordered})),
        "interactions": len(ordered),
    }
    since = None
    if found is not None:
        since = found.since
        body |= {
            "waiting_since": found.since,
            "waiting_channel": found.channel,
            "waiting_kind": found.kind,
            "waiting_text": found.text[:TEXT_LENGTH],
            "waiting_count": found.count,
            "waiting_called": found.called,
        }
    return {
        "person_id": person_id,
        "name": body.get("display_name"),
        "waiting_since": micros(datetime.fromisoformat(since)) if since else None,
        "body": dumps({name: value for name, value in body.items() if value not in (None, "")}),
    }


def _contact(
    c: Transaction, runtime: Runtime, nodes: Iterable[StoredNode]
) -> tuple[Mapping[str, Any], str | None]:
    """Return the CRM contact's entity and its owner's name; nobody where nobody is entered."""
    for node in nodes:
        if node.contact_of is None or node.contact_id is None:
            continue
        connection: Connection | None = runtime.of_account(node.contact_of)
        if connection is None:
            continue
        ref = f"{connection.spec.contact_stream}/{node.contact_id}"
        contact = entities.entities_at(c, node.contact_of, [ref]).get(ref, {})
        owner_ref = contact.get("owner_ref")
        if owner_ref:
            owner = entities.entities_at(c, node.contact_of, [owner_ref]).get(owner_ref, {})
            return contact, owner.get("name") or owner.get("email")
        if contact:
            return contact, None
    return {}, None


def _names(contact: Mapping[str, Any], nodes: Sequence[StoredNode]) -> dict[str, str | None]:
    """Return the person's names: the CRM's, else what they call themselves, else a handle."""
    handles = {pair[0].value for node in nodes for pair in node.handles.values()}
    joined = " ".join(filter(None, (contact.get("given_name"), contact.get("family_name"))))
    display = one_line(contact.get("display_name") or joined)
    if display.casefold() in handles:  # a CRM that demands a name was given the number or address for one
        contact, display = {}, ""
    if not display:
        called = [(node.name, node.name_at) for node in nodes if (node.name or "").casefold() not in handles]
        display = one_line(newest_name(*called)[0] or "")
    given, _, family = display.partition(" ") if display else ("", "", "")
    if not display:
        display = _first_handle(nodes, "email") or _first_handle(nodes, "phone") or ""
    return {
        "display_name": display or _last_resort(nodes),
        "given_name": contact.get("given_name") or given,
        "family_name": contact.get("family_name") or family,
    }


def _last_resort(nodes: Sequence[StoredNode]) -> str:
    """Return the bare id of a sender, for somebody of whom nothing else is known."""
    senders = [node for node in nodes if node.contact_of is None] or nodes
    return next((node.key.rpartition(":")[2] for node in senders), "")


def _first_handle(nodes: Iterable[StoredNode], kind: str) -> str | None:
    values = {pair[0].value for node in nodes for pair in node.handles.values() if pair[0].kind == kind}
    return min(values, default=None)


def _last(interactions: Sequence[Interaction], direction: str) -> str | None:
    found = [
        one.body.get("occurred_at", "")
        for one in interactions
        if one.body.get("direction") == direction and not one.body.get("is_automated")
    ]
    return max(found, default=None)


def _source(interactions: Sequence[Interaction]) -> str | None:
    """Return where a person came from: the first ad, form or campaign, else the first channel."""
    for one in interactions:
        found = one.body.get("attribution") or {}
        if found:
            shown = (
                found.get("headline") or found.get("campaign") or found.get("ad_id") or found.get("form_id")
            )
            parts = [found.get("source"), found.get("medium"), f'"{shown}"' if shown else None]
            return one_line(" ".join(part for part in parts if part)) or None
    first = next(iter(interactions), None)
    return first.body.get("channel") if first is not None else None
