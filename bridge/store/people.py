"""Nodes of identity, their handles, and the person each belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, update

from bridge.journey.handles import Handle
from bridge.journey.keys import person_id as id_of_founder
from bridge.store.among import among
from bridge.store.database import upsert
from bridge.store.tables import (
    former_handle,
    identity_event,
    identity_event_person,
    node,
    node_handle,
    person,
)

_FEW = 8
"""Carriers of a handle that are read without asking handle by handle; most have one or two."""

CHUNK = 500
"""Keys per IN list; below SQLite's limit on parameters and good for its planner."""


_NODES = select(
    node.c.key,
    node.c.person_id,
    node.c.contact_of,
    node.c.contact_id,
    node.c.name,
    node.c.name_at,
    node.c.since,
    node.c.aliases,
    node.c.candidates,
    node.c.legal,
)
_HANDLES = select(
    node_handle.c.node_key,
    node_handle.c.handle_key,
    node_handle.c.kind,
    node_handle.c.value,
    node_handle.c.scope,
    node_handle.c.strength,
    node_handle.c.made,
    node_handle.c.claimed,
    node_handle.c.seen,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNode:
    """
    A node as the store knows it; `handles` maps a handle's key to (handle, made by us).

    `name_at` is when a sender called themselves `name`, None for a contact's; `legal` says that it was given
    as a name, not as a nickname. `candidates` are the nodes it could belong to where the evidence does not
    decide. `claimed` are the keys of handles that somebody only typed in, `seen` how handles were written
    where that differs from their value.
    """

    key: str
    person_id: str
    contact_of: int | None
    contact_id: str | None
    name: str | None
    name_at: int | None
    since: int | None
    aliases: tuple[str, ...]
    candidates: tuple[str, ...]
    handles: Mapping[str, tuple[Handle, bool]]
    legal: bool = False
    claimed: frozenset[str] = frozenset()
    seen: Mapping[str, str] = field(default_factory=dict)


def chunks(keys: Iterable[str]) -> list[list[str]]:
    """Return the keys in lists short enough for one query."""
    ordered = list(keys)
    return [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]


def load_nodes(c: Connection, keys: Collection[str]) -> dict[str, StoredNode]:
    """Return the known nodes among `keys`, with their handles."""
    return _with_handles(c, c.execute(_NODES.where(among(node.c.key, keys))).all()) if keys else {}


def _with_handles(c: Connection, rows: Sequence[Any]) -> dict[str, StoredNode]:
    """Return the nodes of these rows of `_NODES`."""
    if not rows:
        return {}
    handles: dict[str, dict[str, tuple[Handle, bool]]] = {row[0]: {} for row in rows}
    claimed: dict[str, set[str]] = {}
    seen: dict[str, dict[str, str]] = {}
    carried = c.execute(_HANDLES.where(among(node_handle.c.node_key, handles))).all()
    for node_key, handle_key, kind, value, scope, strength, made, is_claimed, written in carried:
        handles[node_key][handle_key] = Handle(kind, value, scope, strength), made
        if is_claimed:
            claimed.setdefault(node_key, set()).add(handle_key)
        if written is not None:
            seen.setdefault(node_key, {})[handle_key] = written
    return {
        key: StoredNode(
            key=key,
            person_id=person_id,
            contact_of=contact_of,
            contact_id=contact_id,
            name=name,
            name_at=name_at,
            since=since,
            aliases=tuple(orjson.loads(aliases)) if aliases else (),
            candidates=tuple(orjson.loads(candidates)) if candidates else (),
            handles=handles[key],
            legal=legal,
            claimed=frozenset(claimed.get(key, ())),
            seen=seen.get(key, {}),
        )
        for key, person_id, contact_of, contact_id, name, name_at, since, aliases, candidates, legal in rows
    }


def places(c: Connection, handle_keys: Collection[str], *, at_most: int) -> dict[str, list[str]]:
    """
    Return who carries each of these handles.

    Of a handle that more than `at_most` carry, one more than that is returned, whichever come first.
    """
    found: dict[str, list[str]] = {key: [] for key in handle_keys}
    query = select(node_handle.c.handle_key, node_handle.c.node_key)
    few = _FEW * len(found) + at_most
    rows = c.execute(query.where(among(node_handle.c.handle_key, found)).limit(few + 1)).all()
    if len(rows) > few:
        one_by_one = (
            c.execute(query.where(node_handle.c.handle_key == key).limit(at_most + 1)) for key in found
        )
        rows = [row for some in one_by_one for row in some]
    for row in rows:
        found[row.handle_key].append(row.node_key)
    return found


def carriers(c: Connection, handle_keys: Iterable[str]) -> set[str]:
    """Return the keys of the nodes that carry any of these handles."""
    return set(
        c.execute(
            select(node_handle.c.node_key).where(among(node_handle.c.handle_key, handle_keys))
        ).scalars()
    )


def node_row(stored: StoredNode, person_id: str, candidates: Sequence[str]) -> dict[str, Any]:
    """Return the table row of a node as part of a person, with those whom it could belong to as well."""
    return {
        "key": stored.key,
        "person_id": person_id,
        "contact_of": stored.contact_of,
        "contact_id": stored.contact_id,
        "name": stored.name,
        "name_at": stored.name_at,
        "legal": stored.legal,
        "since": stored.since,
        "aliases": orjson.dumps(stored.aliases) if stored.aliases else None,
        "candidates": orjson.dumps(candidates) if candidates else None,
    }


def handle_row(stored: StoredNode, handle_key: str) -> dict[str, Any]:
    """Return the table row of a handle that a node carries."""
    handle, made = stored.handles[handle_key]
    return {
        "node_key": stored.key,
        "handle_key": handle_key,
        "kind": handle.kind,
        "scope": handle.scope,
        "value": handle.value,
        "strength": handle.strength,
        "made": made,
        "claimed": handle_key in stored.claimed,
        "seen": stored.seen.get(handle_key),
    }


def save_nodes(
    c: Connection,
    nodes: Sequence[Mapping[str, Any]],
    handles: Sequence[Mapping[str, Any]],
    dropped: Sequence[tuple[str, str]],
    persons: Sequence[Mapping[str, Any]],
    at: int,
) -> None:
    """
    Write nodes, add and drop (node, handle) pairs, and note through whom ids that are nobody's now resolve.

    What is dropped is kept as something that once was, with `at`, microseconds UTC, as its end.
    """
    for node_key, handle_key in dropped:
        c.execute(
            delete(node_handle).where(
                node_handle.c.node_key == node_key, node_handle.c.handle_key == handle_key
            )
        )
    former = [{"node_key": one, "handle_key": key, "ended_at": at} for one, key in dropped]
    upsert(c, former_handle, former, conflict=["node_key", "handle_key"], update=["ended_at"])
    upsert(
        c,
        node,
        nodes,
        conflict=["key"],
        update=[
            "person_id",
            "contact_of",
            "contact_id",
            "name",
            "name_at",
            "legal",
            "since",
            "aliases",
            "candidates",
        ],
    )
    stated = ["strength", "made", "claimed", "seen"]
    upsert(c, node_handle, handles, conflict=["node_key", "handle_key"], update=stated)
    upsert(c, person, persons, conflict=["id"], update=["founder"])


def remove_node(c: Connection, key: str) -> None:
    """Forget a node and its handles (its contact was deleted or merged away)."""
    c.execute(delete(node_handle).where(node_handle.c.node_key == key))
    c.execute(delete(former_handle).where(former_handle.c.node_key == key))
    c.execute(delete(node).where(node.c.key == key))


def current_person(c: Connection, person_id: str) -> str | None:
    """Return the person who is meant today by an id published at any time, None if it never existed."""
    if c.execute(select(node.c.key).where(node.c.person_id == person_id).limit(1)).first() is not None:
        return person_id
    founder = c.execute(select(person.c.founder).where(person.c.id == person_id)).scalar()
    if founder is None:
        return None
    return c.execute(select(node.c.person_id).where(node.c.key == founder)).scalar()


def current_people(c: Connection, person_ids: Iterable[str]) -> set[str]:
    """Return the people who are meant today by these ids."""
    return {now for one in person_ids if (now := current_person(c, one)) is not None}


def persons_at(c: Connection, keys: Iterable[str]) -> dict[str, str]:
    """Return the person of each of these nodes."""
    query = select(node.c.key, node.c.person_id).where(among(node.c.key, keys))
    return {row.key: row.person_id for row in c.execute(query)}


def contacts_of(c: Connection, account_pk: int, person_ids: Iterable[str]) -> dict[str, set[str]]:
    """Return the contacts that these people have in an account."""
    found: dict[str, set[str]] = {}
    query = select(node.c.person_id, node.c.contact_id).where(
        among(node.c.person_id, person_ids), node.c.contact_of == account_pk, node.c.contact_id.is_not(None)
    )
    for row in c.execute(query):
        found.setdefault(row.person_id, set()).add(row.contact_id)
    return found


def on_contacts(c: Connection, account_pk: int, handle_keys: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return those of these handles that a contact of an account carries, each with the id and name of the first."""
    if not handle_keys:
        return {}
    query = (
        select(node_handle.c.handle_key, node.c.contact_id, node.c.name)
        .join(node, node.c.key == node_handle.c.node_key)
        .where(among(node_handle.c.handle_key, handle_keys), node.c.contact_of == account_pk)
        .order_by(node.c.key.desc())
    )
    return {key: (contact_id or "", name or "") for key, contact_id, name in c.execute(query).all()}


def has_contacts(c: Connection, account_pk: int) -> bool:
    """Tell whether a CRM holds any contact."""
    return c.execute(select(node.c.key).where(node.c.contact_of == account_pk).limit(1)).first() is not None


def nodes_of(c: Connection, person_ids: Iterable[str]) -> dict[str, list[StoredNode]]:
    """Return the nodes of each person."""
    rows = c.execute(_NODES.where(among(node.c.person_id, person_ids))).all()
    grouped: dict[str, list[StoredNode]] = {}
    for stored in _with_handles(c, rows).values():
        grouped.setdefault(stored.person_id, []).append(stored)
    for members in grouped.values():
        members.sort(key=lambda stored: stored.key)
    return grouped


def hand_on_founder(c: Connection, key: str) -> None:
    """
    Let ids that were published for the person of a node that goes away resolve through another node of theirs.

    Of somebody of whom no other is left, what became of them is forgotten.
    """
    here = c.execute(select(node.c.person_id).where(node.c.key == key)).scalar()
    if here is None:
        return
    other = select(func.min(node.c.key)).where(node.c.person_id == here, node.c.key != key)
    heir = c.execute(other).scalar()
    if heir is not None:
        move_founder(c, key, heir)
        return
    told = identity_event_person.c
    mine = c.execute(select(told.event).where(told.person_id == here)).scalars().all()
    c.execute(delete(identity_event_person).where(told.person_id == here))
    left = set(c.execute(select(told.event).where(among(told.event, mine))).scalars()) if mine else set()
    for event in set(mine) - left:
        c.execute(delete(identity_event).where(identity_event.c.pk == event))


def move_founder(c: Connection, old: str, new: str) -> None:
    """Let ids that were published for the person of node `old` resolve through node `new`."""
    c.execute(update(person).where(person.c.founder == old).values(founder=new))
    upsert(c, person, [{"id": id_of_founder(old), "founder": new}], conflict=["id"], update=["founder"])
