"""What people decided of who is who, and what became of persons since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select, update

from bridge.journey.identity import Decision
from bridge.store.among import among
from bridge.store.database import upsert
from bridge.store.entities import load_aliases
from bridge.store.tables import decision, decision_key, identity_event, identity_event_person

DISMISSED = "dismiss"
"""The kind of a decision that a suggestion is none; see `bridge/store/dismissals.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A decision with what became of it; times in microseconds UTC."""

    decision: Decision
    revoked_at: int | None = None
    revoked_by: str | None = None


def add_decision(c: Connection, one: Decision) -> None:
    """Keep a decision; the same id again changes nothing."""
    body = orjson.dumps({"records": sorted(one.records), "others": sorted(one.others)})
    row = {
        "id": one.id,
        "kind": one.kind,
        "body": body,
        "author": one.author,
        "reason": one.reason,
        "at": one.at,
        "revoked_at": None,
        "revoked_by": None,
    }
    upsert(c, decision, [row], conflict=["id"])
    keys = [{"node_key": key, "decision_id": one.id} for key in sorted(one.keys)]
    upsert(c, decision_key, keys, conflict=["node_key", "decision_id"])


def revoke_decision(c: Connection, id: str, *, by: str, at: int) -> None:
    """Let a decision count no more; that it was made is kept."""
    c.execute(update(decision).where(decision.c.id == id).values(revoked_at=at, revoked_by=by))


def all_decisions(c: Connection) -> list[Stated]:
    """Return every decision on records ever made, the newest first."""
    query = select(decision).where(decision.c.kind != DISMISSED)
    rows = c.execute(query.order_by(decision.c.at.desc(), decision.c.id.desc()))
    return [
        Stated(decision=_decision(row), revoked_at=row.revoked_at, revoked_by=row.revoked_by) for row in rows
    ]


def hand_on_decisions(c: Connection, loser: str, winner: str) -> None:
    """Let what was decided of a contact count for the one that its CRM merged it into."""
    ids = c.execute(select(decision_key.c.decision_id).where(decision_key.c.node_key == loser)).scalars()
    keys = [{"node_key": winner, "decision_id": id} for id in ids]
    upsert(c, decision_key, keys, conflict=["node_key", "decision_id"])


def decisions_on(
    c: Connection, keys: Iterable[str], merged: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Decision]:
    """
    Return the decisions that count and speak of any of these records, by id.

    A record that its CRM merged into another stands for that one; `merged` are those of which the store does
    not know it yet.
    """
    ids = set(
        c.execute(select(decision_key.c.decision_id).where(among(decision_key.c.node_key, keys))).scalars()
    )
    if not ids:
        return {}
    counting = select(decision).where(
        among(decision.c.id, ids), decision.c.kind != DISMISSED, decision.c.revoked_at.is_(None)
    )
    found = {row.id: _decision(row) for row in c.execute(counting)}
    now = _survivors(c, {key for one in found.values() for key in one.keys}, merged)
    return {
        id: Decision(
            id=id,
            kind=one.kind,
            records=frozenset(now.get(key, key) for key in one.records),
            others=frozenset(now.get(key, key) for key in one.others),
            at=one.at,
            author=one.author,
            reason=one.reason,
        )
        for id, one in found.items()
    }


def _survivors(c: Connection, keys: set[str], merged: Mapping[str, str]) -> dict[str, str]:
    """Return for each of these records that was merged away the one at the end of the chain."""
    winner = dict(merged)
    ahead = keys
    while ahead:
        known = load_aliases(c, {f"merged:{key}" for key in ahead})
        found = {key: known[f"merged:{key}"] for key in ahead if f"merged:{key}" in known}
        ahead = set(found.values()) - winner.keys() - keys
        winner = {**found, **winner}
    survivors: dict[str, str] = {}
    for key in keys & winner.keys():
        seen = {key}
        last = winner[key]
        while last in winner and last not in seen:
            seen.add(last)
            last = winner[last]
        survivors[key] = last
    return survivors


def _decision(row: Any) -> Decision:
    body = orjson.loads(row.body)
    return Decision(
        id=row.id,
        kind=row.kind,
        records=frozenset(body["records"]),
        others=frozenset(body["others"]),
        at=row.at,
        author=row.author,
        reason=row.reason,
    )


def add_events(c: Connection, events: Sequence[Mapping[str, Any]], at: int) -> None:
    """Note merges and splits of persons: each names its kind, the persons before and after, and the evidence."""
    for event in events:
        pk = c.execute(
            insert(identity_event).values(at=at, body=orjson.dumps(event)).returning(identity_event.c.pk)
        ).scalar_one()
        people = sorted({*event["before"], *event["after"]})
        c.execute(insert(identity_event_person), [{"person_id": one, "event": pk} for one in people])


def events_of(c: Connection, person_ids: Iterable[str]) -> list[tuple[int, dict[str, Any]]]:
    """Return what became of these persons as (time, event), the oldest first."""
    pks = select(identity_event_person.c.event).where(among(identity_event_person.c.person_id, person_ids))
    rows = c.execute(select(identity_event).where(identity_event.c.pk.in_(pks)).order_by(identity_event.c.pk))
    return [(row.at, orjson.loads(row.body)) for row in rows]
