"""Everybody identified anew, after the rules changed: what that would do, or its doing."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.journey.handles import Handle, Own, normalise
from bridge.journey.identity import LINKING, Rules
from bridge.store import looks
from bridge.store.database import upsert
from bridge.store.decisions import all_decisions, decisions_on
from bridge.store.people import StoredNode, load_nodes
from bridge.store.tables import meta, node, node_handle
from bridge.store.writer import Priority
from bridge.sync.identify import IdentityChange, Incoming, divide, merge, note, tied
from bridge.sync.runtime import JOURNEY, Runtime, log

BATCH = 2_000
"""Nodes that are divided at once, at least: components stay whole."""

_META = "identity"
_STREAM = {"yield_per": 10_000}

Region = Callable[[int | None], str]
"""Tells by which region a contact's numbers are read; None is a sender of a channel."""


class _Groups:
    """Nodes that anything connects, as a union of sets over their numbers; small enough for a million."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._above = array("l")

    def _find(self, at: int) -> int:
        above = self._above
        while above[at] != at:
            above[at] = above[above[at]]
            at = above[at]
        return at

    def join(self, keys: Iterable[str]) -> None:
        """Put these nodes into one group."""
        first = -1
        for key in keys:
            number = self._number.setdefault(key, len(self._above))
            if number == len(self._above):
                self._above.append(number)
            root = self._find(number)
            if first < 0:
                first = root
            elif root != first:
                self._above[root] = first

    def batches(self) -> Iterator[list[str]]:
        """Yield whole groups, several together until there is enough for a batch."""
        order = sorted((self._find(number), key) for key, number in self._number.items())
        batch: list[str] = []
        for _, members in groupby(order, key=itemgetter(0)):
            batch += [key for _, key in members]
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def rules_digest(rules: Rules, region: str) -> str:
    """Return what tells whether the rules are those by which everybody was last identified."""
    stated = repr((sorted(rules.blocked), *(getattr(rules, name) for name in _NUMBERS), region))
    return hashlib.blake2b(stated.encode(), digest_size=16).hexdigest()


_NUMBERS = ("claims_link", "contacts_per_handle", "records_per_handle", "emails", "phones", "platform_ids")


def reidentify(runtime: Runtime) -> int:
    """Identify everybody anew where the rules changed since it was last done; return how many moved."""
    digest = rules_digest(runtime.rules, runtime.config.identity.default_region or "")
    with runtime.database.read() as c:
        if is_carried_out(c, runtime):
            return 0
    moved = 0
    with runtime.identity_lock:
        with runtime.database.read() as c:
            for change in changes(c, runtime.rules, runtime.region_of):
                runtime.writer.run(_enter, runtime, change, priority=Priority.RESOLVE)
                moved += len(change.nodes)
        row = {"key": _META, "value": digest}
        runtime.writer.run(
            lambda c: upsert(c, meta, [row], conflict=["key"], update=["value"]), priority=Priority.RESOLVE
        )
    if moved:
        log.info("identity: the rules changed; %s records are somebody else's now", moved)
    return moved


def is_carried_out(c: Transaction, runtime: Runtime) -> bool:
    """Tell whether everybody was identified by the rules as they are."""
    digest = rules_digest(runtime.rules, runtime.config.identity.default_region or "")
    return c.execute(select(meta.c.value).where(meta.c.key == _META)).scalar() == digest


def _enter(c: Transaction, runtime: Runtime, change: IdentityChange) -> None:
    change.save(c, runtime.clock())
    looks.touch(c, JOURNEY, change.touched, runtime.sequence())


def changes(c: Transaction, rules: Rules, region_of: Region) -> Iterator[IdentityChange]:
    """
    Yield what identifying everybody by these rules would change, some persons at a time; reads only.

    Memory holds one batch of people and a number for each record that shares anything with another.
    """
    respelled = _respelled(c, region_of)
    groups = _Groups()
    shared = _join_by_handles(c, rules, groups, respelled)
    several = select(node.c.person_id).group_by(node.c.person_id).having(func.count() > 1)
    query = select(node.c.person_id, node.c.key).where(node.c.person_id.in_(several))
    rows = c.execute(query.order_by(node.c.person_id), execution_options=_STREAM)
    for _, members in groupby(rows, key=itemgetter(0)):
        groups.join(key for _, key in members)
    alone = select(node.c.key).where(node.c.candidates.is_not(None) | node.c.aliases.is_not(None))
    for key in c.execute(alone).scalars().all():
        groups.join([key])
    for stated in all_decisions(c):
        if stated.revoked_at is None:
            groups.join(sorted(stated.decision.keys))
    for key in respelled:
        groups.join([key])
    for batch in groups.batches():
        known = load_nodes(c, batch)
        change = IdentityChange()
        after = {
            key: merge(known[key], _reread(known[key], respelled[key]), change)
            for key in respelled.keys() & known.keys()
        }
        component = {**known, **after}
        decisions = decisions_on(c, component).values()
        note(change, known, after, component, divide(component, decisions, rules, shared))
        if change.nodes or change.handles:
            yield change


def _join_by_handles(
    c: Transaction, rules: Rules, groups: _Groups, respelled: Mapping[str, Mapping[str, tuple[Handle, ...]]]
) -> set[str]:
    """Join those who share a handle that counts; return the handles that too many carry."""
    shared: set[str] = set()
    several = (
        select(node_handle.c.handle_key)
        .where(node_handle.c.strength.in_(sorted(LINKING)))
        .group_by(node_handle.c.handle_key)
        .having(func.count() > 1)
    )
    query = (
        select(
            node_handle.c.handle_key,
            node_handle.c.node_key,
            node_handle.c.kind,
            node_handle.c.value,
            node_handle.c.scope,
            node_handle.c.strength,
        )
        .where(node_handle.c.handle_key.in_(several))
        .order_by(node_handle.c.handle_key)
    )
    fresh: dict[str, list[str]] = {}
    for key, found in respelled.items():
        for handle in (one for handles in found.values() for one in handles):
            fresh.setdefault(handle.key, []).append(key)
    for handle_key, rows in groupby(c.execute(query, execution_options=_STREAM), key=itemgetter(0)):
        carriers = list(rows)
        _, _, kind, value, scope, strength = carriers[0]
        if not rules.counts(Handle(kind, value, scope, strength)):
            continue
        keys = [row[1] for row in carriers] + fresh.pop(handle_key, [])
        if len(set(keys)) > rules.records_per_handle:
            shared.add(handle_key)
        else:
            groups.join(keys)
    for handle_key, keys in fresh.items():
        others = c.execute(select(node_handle.c.node_key).where(node_handle.c.handle_key == handle_key))
        groups.join([*keys, *others.scalars()])
    return shared


def _respelled(c: Transaction, region_of: Region) -> dict[str, dict[str, tuple[Handle, ...]]]:
    """
    Return, by node and handle key, how numbers written without a country read by the regions as they are now.

    One that cannot be read tells nothing, and is kept for another region.
    """
    query = (
        select(
            node_handle.c.node_key,
            node_handle.c.handle_key,
            node_handle.c.seen,
            node_handle.c.value,
            node_handle.c.strength,
            node.c.contact_of,
        )
        .join(node, node.c.key == node_handle.c.node_key)
        .where(node_handle.c.kind == "phone", node_handle.c.seen.is_not(None))
    )
    found: dict[str, dict[str, tuple[Handle, ...]]] = {}
    for node_key, key, seen, value, strength, contact_of in c.execute(query, execution_options=_STREAM):
        if seen.lstrip().startswith("+"):
            continue
        handles = normalise("phone", seen, region=region_of(contact_of), own=Own())
        handles = handles or (Handle("phone", value, "", "none"),)
        if (key, strength) not in {(handle.key, handle.strength) for handle in handles}:
            found.setdefault(node_key, {})[key] = handles
    return found


def _reread(stored: StoredNode, found: Mapping[str, tuple[Handle, ...]]) -> Incoming:
    """Return a node with some of its numbers as they read now."""
    handles: list[Handle] = []
    seen = dict(stored.seen)
    for key, (handle, made) in stored.handles.items():
        if key in found:
            written = seen.pop(key)
            handles += found[key]
            seen |= {one.key: written for one in found[key]}
        elif not made:
            handles.append(handle)
    return replace(
        tied(stored, ()), handles=tuple(dict.fromkeys(handles)), seen=seen, claimed=stored.claimed, anew=True
    )
