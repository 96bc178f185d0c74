"""What people are told of the writes that a CRM refused: how many, in its words, what waits, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as Transaction

from bridge.cli import output
from bridge.store.intents import (
    CONTACT_SLOT,
    ENTRY_SLOT,
    FIELDS_SLOT,
    GROWTH_SLOT,
    LINK_SLOT,
    TASK_SLOT,
)
from bridge.store.rejects import Behind, behind, listed
from bridge.sync.runtime import Runtime

WORDS = {
    CONTACT_SLOT: ("new contact", "new contacts"),
    ENTRY_SLOT: ("entry", "entries"),
    TASK_SLOT: ("task", "tasks"),
    FIELDS_SLOT: ("update", "updates"),
    GROWTH_SLOT: ("changed entry", "changed entries"),
    LINK_SLOT: ("link", "links"),
}


def grouped(c: Transaction) -> dict[str, list[dict[str, Any]]]:
    """Return the open rejects by group, newest first."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in listed(c):
        groups.setdefault(row["group_key"], []).append(row)
    return groups


def refusals_since(runtime: Runtime, c: Transaction, since: datetime | None) -> list[str]:
    """Return what is to be said of the groups of refused writes that anything was added to since an instant."""
    return [
        " ".join(refusal(runtime, c, group, rows))
        for group, rows in grouped(c).items()
        if is_refusal(rows) and (since is None or rows[0]["last_at"] >= since)
    ]


def is_refusal(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a group holds writes that a CRM refused, and nothing else."""
    return (rows[0]["step"], rows[0]["code"] == "unknown outcome") == ("push", False)


def refusal(runtime: Runtime, c: Transaction, group: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return three lines on a group of refused writes: what was refused and why, what waits, what to do."""
    first = rows[0]
    found = behind(c, rows)
    connection = runtime.connections.get(first["connection"])
    title = connection.spec.title if connection else first["connection"]
    count = found.objects or len(rows)
    stream = first["stream"].removesuffix("s") if count == 1 else first["stream"]
    return [
        f"{title} refused {count:,} {stream}: {first['message'].replace('.;', ';').rstrip('.')}.",
        _waiting(found),
        f"{first['hint'].rstrip('.')}, then: crmbridge rejects replay {group}",
    ]


def _waiting(found: Behind) -> str:
    """Return `Their timelines were written; 14 updates wait.`"""
    total = sum(found.slots.values())
    parts = [output.plural(count, *WORDS.get(slot, (slot,))) for slot, count in sorted(found.slots.items())]
    waits = f"{' and '.join(parts) or 'Nothing'} {'waits' if total <= 1 else 'wait'}"
    if found.entries:
        return f"{waits}, and {output.plural(found.entries, 'entry', 'entries')} for them."
    if found.told and set(found.slots) == {FIELDS_SLOT}:
        return f"Their timelines were written; {waits}."
    return f"{waits}."
