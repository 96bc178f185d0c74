"""What an undo is planned from, one run in one CRM, and what it is made of, small steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.model import Json, Write
from bridge.store.intents import Intent
from bridge.store.receipts import Written
from bridge.sync.delivery.plan_values import Change

StepKind = Literal["archive", "restore", "regrow", "link", "unlink", "drop", "release", "leave"]
"""
What is done: an object is archived, fields show again what they did, an entry tells again what it did, it is put
on a contact again or taken off one, a write that was not sent is dropped, what was archived is let go so that
it is written anew; and what is not: it stays as somebody left it.
"""

Place = tuple[str, str]
"""An object at the vendor: stream and vendor id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """
    What the CRM shows of an object now: its fields, under which id, or that it is gone.

    `contacts` are those that an entry stands on, None where the CRM or the mapping does not tell.
    """

    id: str
    fields: Mapping[str, Json] = field(default_factory=dict)
    gone: bool = False
    contacts: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoState:
    """
    What a run, or a version of a mapping, left in one CRM, as far as it was not taken back, and what became of it.

    `scope` is how `crmbridge undo` is told of it. `again` says that the run was itself an undo. `receipts` are
    newest first, `later` what others wrote to the same objects and still stands, `pending` what was decided and
    the CRM does not show yet. `present` lacks what could not be read. `entries` are the keys of entries by where
    they stand; by such a key, `placed` are the contacts that crmbridge put one on, `held` the reasons. `dropped` is
    what the run holds without having written it, `ours` the objects of our making on each contact, `others` what
    else refers to one, `names` the people.
    """

    scope: str
    again: bool
    account_key: str
    contact_stream: str
    receipts: tuple[Written, ...]
    later: tuple[Written, ...] = ()
    pending: tuple[Intent, ...] = ()
    present: Mapping[Place, Present] = field(default_factory=dict)
    entries: Mapping[Place, str] = field(default_factory=dict)
    placed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    ours: Mapping[str, frozenset[Place]] = field(default_factory=dict)
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One line of an undo.

    `write` is None where nothing is asked of the CRM (drop, release, leave); `reason` says why something is
    left. `entry` is the key of the entry or contact that it is about. `before` are the values that taking this
    step back would restore. `receipts` are what it settles at once, `dropped` what will not be written;
    `stands` says that a person restored what is let go.
    """

    kind: StepKind
    person_id: str
    name: str
    title: str
    reason: str = ""
    write: Write | None = None
    entry: str | None = None
    entity_ids: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    before: Mapping[str, Json] = field(default_factory=dict)
    receipts: tuple[int, ...] = ()
    dropped: Intent | None = None
    stands: bool = False


def step_json(step: Step) -> dict[str, Any]:
    """Return one line of an undo for programs."""
    write = step.write
    return {
        "kind": step.kind,
        "person": step.person_id,
        "name": step.name,
        "title": step.title,
        "reason": step.reason,
        "changes": [{"field": one.field, "before": one.before, "after": one.after} for one in step.changes],
        "write": None if write is None else {"op": write.op, "stream": write.stream, "id": write.id},
    }
