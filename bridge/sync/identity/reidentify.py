"""Everybody identified anew, after the rules changed: what that would do, or its doing."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.journey.handles import Handle, Own, normalise
from bridge.journey.identity import LINKING, Rules
from bridge.store import looks
from bridge.store.among import among
from bridge.store.database import upsert
from bridge.store.decisions import all_decisions, decisions_on
from bridge.store.people import CHUNK, StoredNode, load_nodes
from bridge.store.tables import entity, meta, node, node_handle
from bridge.store.texts import key_text
from bridge.store.writer import Priority
from bridge.sync.identity.identify import IdentityChange, Incoming, divide, merge, note, tied
from bridge.sync.runtime import JOURNEY, Runtime, log

BATCH = 2_000
"""Nodes that are divided at once, at least: components stay whole."""

_META = "identity"
_STREAM = {"yield_per": 10_000}

Region = Callable[[int | None], str]
"""Tells by which region a contact's numbers are read; None is a sender of a channel."""


class _Anew(NamedTuple):
    """A number as it was written and what it reads as now; `before` is its handle's key so far, None if it had none."""

    before: str | None
    written: str
    handles: tuple[Handle, ...]


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
    """
    Identify everybody anew where the rules changed since it was last done; return how many moved.

    A process looks once, as its rules do not change.
    """
    if runtime.identified:
        return 0
    with runtime.database.read() as c:
        is_done = is_carried_out(c, runtime)
    moved = 0 if is_done else _divide_all(runtime)
    runtime.identified = True
    return moved


def _divide_all(runtime: Runtime) -> int:
    digest = rules_digest(runtime.rules, _regions(runtime))
    moved = 0
    with runtime.identity_lock:
        with runtime.database.read() as c:
            for change in changes(c, runtime.rules, runtime.region_of, runtime.own):
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
    digest = rules_digest(runtime.rules, _regions(runtime))
    return c.execute(select(meta.c.value).where(meta.c.key == _META)).scalar() == digest


def _regions(runtime: Runtime) -> str:
    """Return the region by which numbers are read, and those of connections that have another."""
    usual = runtime.config.identity.default_region or ""
    config = runtime.config.connections
    others = sorted(f"{name}={one.region}" for name, one in config.items() if (one.region or usual) != usual)
    return " ".join([usual, *others])


def _enter(c: Transaction, runtime: Runtime, change: IdentityChange) -> None:
    change.save(c, runtime.clock())
    looks.touch(c, JOURNEY, change.touched, runtime.sequence())


def changes(c: Transaction, rules: Rules, region_of: Region, own: Own = Own()) -> Iterator[IdentityChange]:
    """
    Yield what identifying everybody by these rules would change, some persons at a time; reads only.

    Memory holds one batch of people and a number for each record that shares anything with another.
    """
    respelled = _respelled(c, region_of, own)
    for key, unread in _unread(c, region_of, own):
        respelled.setdefault(key, []).append(unread)
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
    c: Transaction, rules: Rules, groups: _Groups, respelled: Mapping[str, Sequence[_Anew]]
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
        for handle in (one for anew in found for one in anew.handles):
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


def _respelled(c: Transaction, region_of: Region, own: Own) -> dict[str, list[_Anew]]:
    """
    Return, by node, how numbers written without a country read by the regions as they are now.

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
    found: dict[str, list[_Anew]] = {}
    for node_key, key, seen, value, strength, contact_of in c.execute(query, execution_options=_STREAM):
        if seen.lstrip().startswith("+"):
            continue
        handles = normalise("phone", seen, region=region_of(contact_of), own=own)
        handles = handles or (Handle("phone", value, "", "none"),)
        if (key, strength) not in {(handle.key, handle.strength) for handle in handles}:
            found.setdefault(node_key, []).append(_Anew(key, seen, handles))
    return found


def _unread(c: Transaction, region_of: Region, own: Own) -> Iterator[tuple[str, _Anew]]:
    """Yield contacts' numbers that told nothing when they were collected, and can be read by the regions now."""
    query = (
        select(node.c.key, entity.c.account_pk, entity.c.body)
        .join(node, (node.c.contact_of == entity.c.account_pk) & (node.c.contact_id == entity.c.ext_id))
        .where(entity.c.type == "contact", entity.c.deleted.is_(False))
    )
    for rows in c.execute(query, execution_options=_STREAM).partitions(CHUNK):
        written = {row.key: _national(orjson.loads(row.body)) for row in rows}
        known = select(node_handle.c.node_key, node_handle.c.handle_key, node_handle.c.seen).where(
            among(node_handle.c.node_key, [key for key, some in written.items() if some])
        )
        carried = {(key, text) for key, *texts in c.execute(known) for text in texts}
        for key, account_pk, _ in rows:
            for text in written[key]:
                if (key, key_text(text)) in carried:
                    continue
                found = normalise("phone", text, region=region_of(account_pk), own=own)
                fresh = tuple(
                    one for one in found if (key, one.key) not in carried and one.strength != "none"
                )
                if fresh:
                    yield key, _Anew(None, key_text(text), fresh)


def _national(contact: Mapping[str, Any]) -> list[str]:
    return [text for text in contact.get("phones", ()) if not text.lstrip().startswith("+")]


def _reread(stored: StoredNode, found: Sequence[_Anew]) -> Incoming:
    """Return a node with some of its numbers as they read now."""
    gone = {one.before for one in found}
    handles = [handle for key, (handle, made) in stored.handles.items() if key not in gone and not made]
    seen = {key: text for key, text in stored.seen.items() if key not in gone}
    for one in found:
        handles += one.handles
        seen |= {handle.key: one.written for handle in one.handles}
    return replace(
        tied(stored, ()), handles=tuple(dict.fromkeys(handles)), seen=seen, claimed=stored.claimed, anew=True
    )
