"""One person's journey as it is shown to people: who they are and everything that happened, in order."""

from __future__ import annotations

from typing import Any, cast

import orjson
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy import Connection as Transaction

from bridge.journey.handles import Own, normalise
from bridge.journey.interaction import Interaction, was_unanswered
from bridge.journey.text_format import duration, in_zone
from bridge.store import entities, people
from bridge.store.people import StoredNode
from bridge.store.tables import journey, node, node_handle
from bridge.sync.runtime import Runtime
from bridge.sync.views.waiting_list import waiting_of

LISTED = 20
"""How many people a vague name may show."""

LONGEST = 1_000
"""Letters of a text that may mean somebody."""


def is_askable(who: str) -> bool:
    """Tell whether a text may mean anybody: not blank, longer than any name, or of bytes that are no UTF-8."""
    return bool(who.strip()) and len(who) <= LONGEST and who.encode(errors="ignore").decode() == who


def find_people(runtime: Runtime, who: str) -> list[dict[str, str]]:
    """
    Return the people that a text may mean: person id, record key, handle, contact id, or a part of a name.

    Each: person_id, name. An exact id or handle beats a name, and who writes from an address or number beats those
    who carry it as well. A blank text, one that is longer than any
    name and one of bytes that are no UTF-8 mean nobody.
    """
    if not is_askable(who):
        return []
    with runtime.database.read() as c:
        person_id = people.current_person(c, who)
        found = (
            {person_id}
            if person_id
            else set(people.persons_at(c, _by_record(c, runtime, who)).values())
            or set(people.persons_at(c, _handles(runtime, who)).values())
            or _by_handle(c, runtime, who)
            or _by_contact(c, who)
            or _by_name(c, who)
        )
        nodes = people.nodes_of(c, found)
        names = {
            row.person_id: row.name
            for row in c.execute(select(journey).where(journey.c.person_id.in_(found)))
        }
    return [
        {"person_id": one, "name": names.get(one) or next((n.name for n in nodes[one] if n.name), "") or ""}
        for one in sorted(nodes)
    ][:LISTED]


def find_records(runtime: Runtime, who: str) -> list[StoredNode]:
    """
    Return the records that a text may mean, by key; the narrowest reading that means any.

    In this order: a record's key, a contact as `hubspot:7` or `crm:7`, who writes from an address, number or id,
    a contact's id, all records that carry an address or number, all records of a person, by id or by name (who
    is called exactly so before who is called so among others).
    """
    if not is_askable(who):
        return []
    with runtime.database.read() as c:
        person_id = people.current_person(c, who)
        keys = (
            _by_record(c, runtime, who)
            or _keys(c, node.c.key.in_(_handles(runtime, who)))
            or _keys(c, node.c.contact_id == who)
            or people.carriers(c, _handles(runtime, who))
            or _keys(c, node.c.person_id.in_([person_id] if person_id else _named(c, who)))
        )
        return sorted(people.load_nodes(c, keys).values(), key=lambda stored: stored.key)


def _keys(c: Transaction, where: ColumnElement[bool]) -> set[str]:
    return set(c.execute(select(node.c.key).where(where)).scalars())


def _by_record(c: Transaction, runtime: Runtime, who: str) -> set[str]:
    """Return the node that a record key, or `crm:7`, means today; its contact may have been merged into another."""
    keys = {who}
    name, colon, id = who.partition(":")
    for connection in runtime.crms() if colon else ():
        if name in (connection.name, connection.spec.name):
            keys.add(connection.node_key(connection.spec.contact_stream, id))
    asked: set[str] = set()
    while keys and not (found := _keys(c, node.c.key.in_(keys))):
        asked |= keys
        keys = set(entities.load_aliases(c, {f"merged:{key}" for key in keys}).values()) - asked
    return found if keys else set()


def _handles(runtime: Runtime, who: str) -> list[str]:
    region = runtime.config.identity.default_region or "ZZ"
    return [
        handle.key
        for kind in ("email", "phone", "whatsapp_id")
        if ("@" in who) == (kind == "email")
        for handle in normalise(kind, who, region=region, own=Own())
    ]


def _by_handle(c: Transaction, runtime: Runtime, who: str) -> set[str]:
    keys = _handles(runtime, who)
    query = (
        select(node.c.person_id)
        .join(node_handle, node_handle.c.node_key == node.c.key)
        .where(or_(node_handle.c.handle_key.in_([*keys, who]), node_handle.c.value == who))
    )
    return set(c.execute(query).scalars())


def _by_contact(c: Transaction, who: str) -> set[str]:
    return set(c.execute(select(node.c.person_id).where(node.c.contact_id == who)).scalars())


def _by_name(c: Transaction, who: str) -> set[str]:
    text = who.strip().lower()
    query = select(node.c.person_id).where(func.lower(node.c.name).contains(text, autoescape=True)).limit(200)
    return set(c.execute(query).scalars())


def _named(c: Transaction, who: str) -> set[str]:
    """Return the people who are called so, or else those in whose name it stands."""
    query = select(node.c.person_id).where(func.lower(node.c.name) == who.strip().lower()).limit(200)
    return set(c.execute(query).scalars()) or _by_name(c, who)


def history(runtime: Runtime, person_id: str) -> dict[str, Any]:
    """
    Return a person's journey.

    Keys: person_id, name, owner, source, waiting (None, or what `waiting_of` tells), handles, contacts,
    interactions (oldest first; each with local day and time, channel, direction, text of one line, and its fields).
    """
    zone = runtime.config.company.zone
    with runtime.database.read() as c:
        nodes = people.nodes_of(c, [person_id]).get(person_id, [])
        row = c.execute(select(journey).where(journey.c.person_id == person_id)).first()
        view = orjson.loads(row.body) if row else {}
        found = entities.load_interactions(c, [one.key for one in nodes])
    interactions = []
    for one in sorted(found.values(), key=lambda one: (one.body.get("occurred_at", ""), one.entity_id)):
        body = dict(one.body)
        at = in_zone(body["occurred_at"], zone)
        interactions.append(
            {
                "id": one.entity_id,
                "day": at.strftime("%a %d %b %Y"),
                "time": at.strftime("%H:%M"),
                "text": one_line(body),
                "records": [f"{stream}/{ext_id}" for _, stream, ext_id in one.parts],
                **body,
            }
        )
    return {
        "person_id": person_id,
        "name": view.get("display_name") or next((one.name for one in nodes if one.name), person_id),
        "owner": view.get("owner"),
        "source": view.get("source"),
        "waiting": waiting_of(view, runtime.clock()) if "waiting_since" in view else None,
        "handles": sorted({pair[0].value for one in nodes for pair in one.handles.values() if not pair[1]}),
        "contacts": view.get("contacts")
        or [{"connector": one.key.split(":")[0], "id": one.contact_id} for one in nodes if one.contact_id],
        "interactions": interactions,
    }


def one_line(body: dict[str, Any]) -> str:
    """Return what an interaction says in one line."""
    if body.get("deleted_at"):
        return "[removed by its sender]"
    if body.get("custom", {}).get("text_unknown"):
        return "[sent in another app, text not available]"
    parts = [_of_call(body), body.get("subject"), " ".join((body.get("body_text") or "").split())]
    text = ": ".join(part for part in parts if part)
    names = [
        one.get("filename") or ("voice" if one.get("is_voice") else one.get("content_type") or "file")
        for one in body.get("attachments", ())
    ]
    if names:
        text = f"{text} [{', '.join(names)}]".strip()
    return text if len(text) <= 160 else text[:159] + "…"


def _of_call(body: dict[str, Any]) -> str:
    if body.get("kind") not in ("call", "voicemail"):
        return ""
    if body["kind"] == "voicemail":
        return "voicemail"
    if was_unanswered(cast(Interaction, body)):
        return "missed call"
    return f"call, {duration(body['duration_s'])}" if body.get("duration_s") else "call"
