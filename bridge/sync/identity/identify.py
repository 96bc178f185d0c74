"""Incremental identity: what a batch of new or changed nodes does to the persons in the store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from bridge.journey.handles import Handle
from bridge.journey.identity import Decision, Node, Partition, Rules, partition
from bridge.journey.keys import person_id as id_of_founder
from bridge.store.database import micros
from bridge.store.decisions import add_events
from bridge.store.people import StoredNode, handle_row, load_nodes, node_row, save_nodes
from bridge.sync.identity.spread import Spread

MADE = "external:crmbridge:"
"""How the handles begin that tie a contact of our making to the person it was made for."""

USED = "used"
"""
The kind of those that tie somebody to a contact which a person made.

It counts where nothing else does, as when the contact carries their number no more: a contact that does is theirs.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """
    What a batch says of one node.

    A CRM contact (`contact_of` set) states all its handles and its name anew; a sender of a channel
    adds to what its platform asserted before unless it starts `anew`, and is called as they were last
    (`name_at`). `legal` says that the name was given as one, `claimed` which handles were only typed in, and
    `seen` how a handle was written where that differs from its value.
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
    legal: bool = False
    claimed: frozenset[str] = frozenset()
    seen: Mapping[str, str] = field(default_factory=dict)


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
        legal=stored.legal,
        claimed=stored.claimed,
        seen=stored.seen,
    )


@dataclass(slots=True, kw_only=True)
class IdentityChange:
    """
    Rows to write, and whose journeys to look at again; `former` are values that nodes no longer carry.

    `events` tell which persons became one, and which became several.
    """

    nodes: list[dict[str, Any]] = field(default_factory=list)
    handles: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    former: dict[str, set[str]] = field(default_factory=dict)
    persons: list[dict[str, Any]] = field(default_factory=list)
    person_of: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)

    def save(self, c: Connection, now: datetime) -> None:
        """Write it, with `now` as the time of what ended and what became of persons."""
        at = micros(now)
        assert at is not None
        save_nodes(c, self.nodes, self.handles, self.dropped, self.persons, at)
        add_events(c, self.events, at)


def identify(
    c: Connection,
    incoming: Mapping[str, Incoming],
    rules: Rules,
    *,
    gone: frozenset[str] = frozenset(),
    merged: Mapping[str, str] = MappingProxyType({}),
    decided: frozenset[str] = frozenset(),
) -> IdentityChange:
    """
    Work out the persons after `incoming` nodes arrived, `gone` nodes left, and something was decided of others.

    Recomputes the components that are connected to a changed node through any linking handle, old or new, or a
    decision, which is enough for the result to equal a rebuild from scratch (identity rules, I2). `merged` says
    of nodes that left into which their CRM merged them. Reads only; the caller writes the change while
    holding the identity lock.
    """
    change = IdentityChange()
    known = load_nodes(c, {*incoming, *gone, *decided})
    after: dict[str, StoredNode] = {}
    spread = Spread(c, rules, gone=gone, merged=merged, decided=decided)
    for key in gone & set(known):
        change.touched.add(known[key].person_id)
        change.former[key] = {handle.value for handle, made in known[key].handles.values() if not made}
        spread.left(known[key])
    for key, item in incoming.items():
        before = known.get(key)
        now = merge(before, item, change)
        after[key] = now
        if before is None or _matters(before) != _matters(now):
            spread.changed(before, now)
    for key in decided & known.keys() - after.keys() - gone:
        spread.changed(known[key], known[key])
    component = spread.component(after)
    found = divide(component, spread.decisions.values(), rules, spread.shared)
    note(change, known, after, component, found)
    return change


def divide(
    component: Mapping[str, StoredNode],
    decisions: Collection[Decision],
    rules: Rules,
    shared: Collection[str] = frozenset(),
) -> Partition:
    """Divide the nodes of some components into persons; those that share nothing are persons of their own."""
    carried = Counter(key for stored in component.values() for key in stored.handles)
    bound = {key for decision in decisions for key in decision.keys}
    bound |= {alias for stored in component.values() for alias in stored.aliases}
    joined = [
        stored
        for key, stored in component.items()
        if stored.aliases or key in bound or any(carried[handle] > 1 for handle in stored.handles)
    ]
    return partition(map(node_of, joined), decisions, rules, shared=shared)


def note(
    change: IdentityChange,
    known: Mapping[str, StoredNode],
    after: Mapping[str, StoredNode],
    component: Mapping[str, StoredNode],
    found: Partition,
) -> None:
    """
    Note the person of every node of a component, the rows of those that changed, and what became of persons.

    Whoever is undecided is looked at again even if they could be the same people: what points there can have changed.
    """
    for key, stored in {**after, **component}.items():
        person_id = stored.person_id
        candidates = stored.candidates
        if key in component:
            person_id = found.person_of.get(key) or id_of_founder(key)
            candidates = tuple(sorted(found.candidates.get(key, ())))
            change.touched.update([person_id] if candidates else [])
        change.person_of[key] = person_id
        moved = person_id != stored.person_id or candidates != stored.candidates
        if moved or (key in after and stored != known.get(key)):
            change.touched.add(person_id)
            change.nodes.append(node_row(stored, person_id, candidates))
        if person_id != stored.person_id and stored.person_id:
            change.touched.add(stored.person_id)
            if stored.person_id == id_of_founder(key):
                change.persons.append({"id": stored.person_id, "founder": key})
    _tell(change, component, found)


def _tell(change: IdentityChange, component: Mapping[str, StoredNode], found: Partition) -> None:
    """Note which persons, known before, are one now, and which are several, with the evidence."""
    went: defaultdict[str, set[str]] = defaultdict(set)
    came: defaultdict[str, set[str]] = defaultdict(set)
    for key, stored in component.items():
        if stored.person_id:
            went[stored.person_id].add(change.person_of[key])
            came[change.person_of[key]].add(stored.person_id)
    merged = {after: before for after, before in came.items() if len(before) > 1}
    split = {before: after for before, after in went.items() if len(after) > 1}
    joins: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for applied in found.applied if merged else ():
        joins[found.person_of[applied.nodes[0]]].append((applied.tier, applied.handle))
    parts: defaultdict[str, dict[tuple[str, str], set[str]]] = defaultdict(dict)
    for held in found.withheld if split else ():
        between = {found.person_of[key] for key in held.nodes if key in found.person_of}
        for person_id in between:
            parts[person_id][held.reason, held.handle] = between
    for after, before in merged.items():
        change.events.append(_event("merged", before, {after}, joins[after]))
    for person_id, into in split.items():
        evidence = {one for after in into for one, between in parts[after].items() if len(between & into) > 1}
        change.events.append(_event("split", {person_id}, into, evidence))


def _event(
    kind: str, before: set[str], after: set[str], evidence: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    return {
        "kind": kind,
        "before": sorted(before),
        "after": sorted(after),
        "evidence": sorted(map(list, evidence)),
    }


def merge(before: StoredNode | None, item: Incoming, change: IdentityChange) -> StoredNode:
    """Return a node after what is said of it now, and note which of its handles came, changed and went."""
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
    since, name, name_at = item.since, item.name, item.name_at
    claimed, seen = item.claimed, item.seen
    if before is not None and not item.anew:
        since = min((at for at in (since, before.since) if at is not None), default=None)
        if item.contact_of is None:
            name, name_at = newest_name((before.name, before.name_at), (name, name_at))
            claimed = _only_claimed(before, item)
            seen = {**item.seen, **before.seen}
    now = StoredNode(
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
        legal=item.legal,
        claimed=claimed,
        seen=seen,
    )
    for key in handles:
        if before is None or _carried(before, key) != _carried(now, key):
            change.handles.append(handle_row(now, key))
    return now


def _carried(stored: StoredNode, key: str) -> tuple[Any, ...]:
    return stored.handles.get(key), key in stored.claimed, stored.seen.get(key)


def _only_claimed(before: StoredNode, item: Incoming) -> frozenset[str]:
    """Return the handles of a sender that nothing but claims tell of, now and before."""
    proven = (before.handles.keys() - before.claimed) | (
        {handle.key for handle in item.handles} - item.claimed
    )
    return (before.claimed | item.claimed) - proven


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
        stored.name,
        stored.legal,
        stored.claimed,
    )


def is_made(stored: StoredNode) -> bool:
    """Tell whether a contact is of our making: it takes a handle from nobody and joins whoever turns up."""
    return any(made and handle.kind != USED for handle, made in stored.handles.values())


def node_of(stored: StoredNode) -> Node:
    """Return what identity looks at of a node; the name of a contact of our making is only a nickname."""
    made = stored.contact_of is not None and is_made(stored)
    return Node(
        key=stored.key,
        handles=tuple(handle for handle, _ in stored.handles.values()),
        contact_of=None if stored.contact_of is None or made else str(stored.contact_of),
        aliases=stored.aliases,
        since=stored.since,
        name=stored.name,
        legal=stored.legal and not made,
        claimed=stored.claimed,
    )
