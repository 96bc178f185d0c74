"""Incremental identity: what a batch of new or changed nodes does to the persons in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bridge.journey.handles import Handle
from bridge.journey.identity import Node, partition
from bridge.journey.keys import person_id as id_of_founder
from bridge.store.people import StoredNode, carriers, handle_row, load_nodes, node_row

MADE = "external:crmbridge:"
"""How the handles begin that tie a contact of our making to the person it was made for."""

USED = "used"
"""
The kind of those that tie somebody to a contact which a person made.

It counts where nothing else does, as when the contact carries their number no more: a contact that does is theirs.
"""

LINKING = frozenset({"certain", "strong"})
"""Strengths that can join two nodes; only through these does a change spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """
    What a batch says of one node.

    A CRM contact (`contact_of` set) states all its handles and its name anew; a sender of a channel
    adds to what its platform asserted before unless it starts `anew`, and is called as they were last
    (`name_at`).
    """

    key: str
    handles: tuple[Handle, ...]
    contact_of: int | None = None
    contact_id: str | None = None
    name: str | None = None
    name_at: int | None = None
    since: int | None = None
    aliases: tuple[str, ...] = ()
    made: tuple[Handle, ...] = ()
    anew: bool = False


def tied(stored: StoredNode, ties: Sequence[Handle]) -> Incoming:
    """Return a node as it stands, with handles of our own added."""
    return Incoming(
        key=stored.key,
        handles=tuple(handle for handle, made in stored.handles.values() if not made),
        contact_of=stored.contact_of,
        contact_id=stored.contact_id,
        name=stored.name,
        name_at=stored.name_at,
        since=stored.since,
        aliases=stored.aliases,
        made=tuple(ties),
    )


@dataclass(slots=True, kw_only=True)
class IdentityChange:
    """Rows to write, and whose journeys to look at again; `former` are values that nodes no longer carry."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    handles: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    former: dict[str, set[str]] = field(default_factory=dict)
    persons: list[dict[str, Any]] = field(default_factory=list)
    person_of: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


def identify(
    c: Connection, incoming: Mapping[str, Incoming], *, gone: frozenset[str] = frozenset()
) -> IdentityChange:
    """
    Work out the persons after `incoming` nodes arrived and `gone` nodes left.

    Recomputes the components that are connected to a changed node through any linking
    handle, old or new, which is enough for the result to equal a rebuild from scratch
    (identity rules, I2). Reads only; the caller writes the change while holding the
    identity lock.
    """
    change = IdentityChange()
    known = load_nodes(c, [*incoming, *gone])
    after: dict[str, StoredNode] = {}
    changed: set[str] = set()
    spread: set[str] = set()
    for key in gone & set(known):
        change.touched.add(known[key].person_id)
        change.former[key] = {handle.value for handle, made in known[key].handles.values() if not made}
        spread.update(_linking(known[key]))
    for key, item in incoming.items():
        before = known.get(key)
        now = _merge(before, item, change)
        after[key] = now
        if before is None or _matters(before) != _matters(now):
            changed.add(key)
            spread.update(_linking(now))
            if before is not None:
                spread.update(_linking(before))
    component = _component(c, {key: after[key] for key in changed}, after, spread, gone)
    found = partition([_node(stored) for stored in _joined(component)])
    for key, stored in {**after, **component}.items():
        person_id = stored.person_id
        if key in component:
            person_id = found.person_of.get(key) or id_of_founder(key)
        change.person_of[key] = person_id
        candidates = stored.candidates
        if key in component:
            candidates = tuple(sorted(found.candidates.get(key, ())))
        now = stored
        if person_id != stored.person_id or candidates != stored.candidates:
            now = stored.placed(person_id, candidates)
        if now != (known.get(key) if key in after else stored):
            change.touched.add(person_id)
            change.nodes.append(node_row(now))
        if person_id != stored.person_id:
            if person_id == id_of_founder(key):
                change.persons.append({"id": person_id, "founder": key})
            if stored.person_id:
                change.touched.add(stored.person_id)
    return change


def _merge(before: StoredNode | None, item: Incoming, change: IdentityChange) -> StoredNode:
    handles = {handle.key: (handle, False) for handle in item.handles}
    handles |= {handle.key: (handle, True) for handle in item.made}
    if before is not None:
        if item.contact_of is None and not item.anew:
            handles = {**before.handles, **handles}
        else:
            handles |= {key: pair for key, pair in before.handles.items() if pair[1] and key not in handles}
            lost = [key for key in before.handles if key not in handles]
            if lost:
                change.dropped += [(item.key, key) for key in lost]
                change.former[item.key] = {before.handles[key][0].value for key in lost}
    for key, (handle, made) in handles.items():
        if before is None or before.handles.get(key) != (handle, made):
            change.handles.append(handle_row(item.key, handle, made=made))
    since, name, name_at = item.since, item.name, item.name_at
    if before is not None and not item.anew:
        since = min((at for at in (since, before.since) if at is not None), default=None)
        if item.contact_of is None:
            name, name_at = newest_name((before.name, before.name_at), (name, name_at))
    return StoredNode(
        key=item.key,
        person_id=before.person_id if before else "",
        contact_of=item.contact_of,
        contact_id=item.contact_id,
        name=name,
        name_at=name_at,
        since=since,
        aliases=item.aliases,
        candidates=before.candidates if before else (),
        handles=handles,
    )


def newest_name(*said: tuple[str | None, int | None]) -> tuple[str | None, int | None]:
    """Return the name somebody used last, with its time; the greatest of names used at the same time."""
    named = [(at or 0, name) for name, at in said if name]
    if not named:
        return None, None
    at, name = max(named)
    return name, at


def _matters(stored: StoredNode) -> tuple[Any, ...]:
    """Return what identity looks at; the rest of a node may change without a recount."""
    return (
        frozenset((key, pair[0].strength) for key, pair in stored.handles.items()),
        stored.contact_of,
        stored.since,
        stored.aliases,
    )


def _linking(stored: StoredNode) -> set[str]:
    return {key for key, (handle, _) in stored.handles.items() if handle.strength in LINKING}


def _component(
    c: Connection,
    changed: Mapping[str, StoredNode],
    after: Mapping[str, StoredNode],
    spread: set[str],
    gone: frozenset[str],
) -> dict[str, StoredNode]:
    """Return every node that linking handles connect to a changed one, in its state after the change."""
    component = dict(changed)
    asked: set[str] = set()
    ahead = set(spread)
    while ahead:
        asked |= ahead
        keys = carriers(c, ahead) - component.keys() - gone
        fresh = {key: after[key] for key in keys & after.keys()}
        fresh |= load_nodes(c, keys - after.keys())
        component |= fresh
        ahead = {key for stored in fresh.values() for key in _linking(stored)} - asked
    return component


def _joined(component: Mapping[str, StoredNode]) -> list[StoredNode]:
    """Return the nodes that share anything with another: the rest are persons of their own, most of a first sync."""
    carried = Counter(key for stored in component.values() for key in _linking(stored))
    shared = {key for key, times in carried.items() if times > 1}
    absorbed = {alias for stored in component.values() for alias in stored.aliases}
    return [
        stored
        for key, stored in component.items()
        if stored.aliases or key in absorbed or not shared.isdisjoint(stored.handles)
    ]


def _is_made(stored: StoredNode) -> bool:
    """Tell whether a contact is of our making: it takes a handle from nobody and joins whoever turns up."""
    return any(made and handle.kind != USED for handle, made in stored.handles.values())


def _node(stored: StoredNode) -> Node:
    since = None
    if stored.since is not None:
        since = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=stored.since)).isoformat()
    return Node(
        key=stored.key,
        handles=tuple(handle for handle, _ in stored.handles.values()),
        contact_of=None if stored.contact_of is None or _is_made(stored) else str(stored.contact_of),
        aliases=stored.aliases,
        since=since,
    )
