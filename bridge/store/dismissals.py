"""Which suggestions of who is who people said are none, and who took that back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from bridge.store.database import upsert
from bridge.store.decisions import DISMISSED
from bridge.store.tables import decision, decision_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissal:
    """
    What somebody said of the suggestion `key`: it is none as long as its `evidence`, a digest, is the same.

    `records` are what it is about, none where an older version did not note them; times in microseconds UTC.
    `revoked_for` says why it was taken back.
    """

    id: str
    key: str
    evidence: str
    records: tuple[str, ...]
    author: str
    reason: str
    at: int
    revoked_at: int | None = None
    revoked_by: str | None = None
    revoked_for: str = ""


def dismiss(
    c: Connection, key: str, evidence: str, records: Collection[str], *, author: str, reason: str, at: int
) -> None:
    """Remember that a suggestion is none as long as its evidence is the same."""
    row = {
        "id": f"{DISMISSED}:{key}:{at}",
        "kind": DISMISSED,
        "body": orjson.dumps({"evidence": evidence, "records": sorted(records)}),
        "author": author,
        "reason": reason,
        "at": at,
        "revoked_at": None,
        "revoked_by": None,
    }
    upsert(c, decision, [row], conflict=["id"])
    keys = [{"node_key": one, "decision_id": row["id"]} for one in sorted(records)]
    upsert(c, decision_key, keys, conflict=["node_key", "decision_id"])


def reopen(c: Connection, found: Sequence[Dismissal], *, by: str, reason: str, at: int) -> None:
    """Let dismissals count no more; that they were made, and who took them back, is kept."""
    for one in found:
        body = {"evidence": one.evidence, "records": one.records, "revoked_for": reason}
        taken_back = {"revoked_at": at, "revoked_by": by, "body": orjson.dumps(body)}
        c.execute(update(decision).where(decision.c.id == one.id).values(**taken_back))


def dismissed(c: Connection) -> set[tuple[str, str]]:
    """Return the suggestions that count as none, each as its key and the digest of the evidence they rested on."""
    return {(one.key, one.evidence) for one in dismissals(c) if one.revoked_at is None}


def dismissals(c: Connection) -> list[Dismissal]:
    """Return every dismissal ever made, the newest first."""
    query = select(decision).where(decision.c.kind == DISMISSED)
    return [_dismissal(row) for row in c.execute(query.order_by(decision.c.at.desc(), decision.c.id.desc()))]


def _dismissal(row: Any) -> Dismissal:
    body = orjson.loads(row.body)
    return Dismissal(
        id=row.id,
        key=row.id.split(":")[1],
        evidence=body["evidence"],
        records=tuple(body.get("records", ())),
        author=row.author,
        reason=row.reason,
        at=row.at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        revoked_for=body.get("revoked_for", ""),
    )
