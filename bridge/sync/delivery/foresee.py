"""What a decision on who is who would do, before it is made: which persons, and what then moves in which CRM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection as Transaction

from bridge.errors import MappingError
from bridge.journey.identity import Decision
from bridge.journey.identity.decisions import standing
from bridge.store import people
from bridge.store.decisions import decisions_on
from bridge.store.people import StoredNode
from bridge.store.writer import Priority
from bridge.sync.delivery.plan import plan_person
from bridge.sync.delivery.plan_values import Action, PersonState
from bridge.sync.delivery.states import load_states
from bridge.sync.delivery.wanted import destination_of
from bridge.sync.identity.decide import enter_decision, enter_revocation, other_half
from bridge.sync.identity.evidence import evidence_on
from bridge.sync.identity.identify import IdentityChange
from bridge.sync.identity.reasons import Words
from bridge.sync.runtime import Connection, Runtime

MOVES: Mapping[str, str] = {
    "entry": "written",
    "link": "moved",
    "unlink": "taken_off",
    "create_contact": "contacts",
    "hold": "held",
}
"""What a plan's line counts as."""

STAYS = "stays"
"""Counts entries that stay on the contact of somebody else, as their person has no contact to move them to."""


@dataclass(slots=True, kw_only=True)
class _Stand:
    """How some people stand: their records, and what a plan would see of them at each destination."""

    members: dict[str, list[StoredNode]] = field(default_factory=dict)
    states: dict[str, list[PersonState]] = field(default_factory=dict)

    @classmethod
    def of(cls, c: Transaction, runtime: Runtime, person_ids: Iterable[str]) -> _Stand:
        """Read it from the store."""
        members = people.nodes_of(c, person_ids)
        states = {
            connection.name: load_states(c, connection, sorted(members))
            for connection in runtime.destinations()
        }
        return cls(members=members, states=states)


class _Seen(Exception):
    """Carries what was seen out of a piece of the writer's work, which is rolled back by it."""

    def __init__(self, touched: set[str], after: _Stand) -> None:
        super().__init__()
        self.touched = touched
        self.after = after


def foresee(runtime: Runtime, decision: Decision) -> dict[str, Any]:
    """
    Return what storing a decision would do.

    Keys: before and after (persons as person_id, name, records, says), overrules (decisions that would hold no
    more), crms (what the next delivery would do there and does not without: entries written, moved, taken_off,
    contacts, people held, and entries that it stays from moving: `stays`), to_merge (by CRM, contacts that would
    be one person and are not yet: nothing more is written to them before somebody merges them). No CRM is asked.
    """
    found = _seen(runtime, lambda c: enter_decision(c, runtime, decision))
    with runtime.database.read() as c:
        known = decisions_on(c, decision.keys)
        before = set(standing(known.values()).overruled)
        after = set(standing([*known.values(), decision]).overruled)
        evidence = evidence_on(c, runtime.rules, set(people.persons_at(c, decision.keys).values()))
        words = Words(c, runtime, evidence)
        overrules = [words.decision_json(known[id]) for id in sorted(after - before) if id in known]
    return {**found, "overrules": overrules}


def foresee_revocation(runtime: Runtime, id: str) -> dict[str, Any]:
    """
    Return what taking back a decision would do, as `foresee` does.

    With it `with_it`, the ids of decisions that go with it. Raises ConfigError for one that cannot be taken back.
    """
    found = _seen(runtime, lambda c: enter_revocation(c, runtime, id, by="")[1])
    with runtime.database.read() as c:
        return {**found, "overrules": [], "with_it": [one.id for one in other_half(c, id)]}


def _seen(runtime: Runtime, work: Callable[[Transaction], IdentityChange]) -> dict[str, Any]:
    """Do it, look, and take it back within one transaction, then compare with how things stand."""

    def look(c: Transaction) -> None:
        touched = set(work(c).touched)
        raise _Seen(touched, _Stand.of(c, runtime, touched))

    try:
        with runtime.identity_lock:
            runtime.writer.run(look, priority=Priority.LIVE)
    except _Seen as seen:
        touched, after = seen.touched, seen.after
    with runtime.database.read() as c:
        before = _Stand.of(c, runtime, touched)
        return {
            "before": _people_json(c, runtime, before),
            "after": _people_json(c, runtime, after),
            "crms": {
                connection.name: _difference(runtime, connection, before, after)
                for connection in runtime.destinations()
            },
            "to_merge": {
                connection.name: found
                for connection in runtime.destinations()
                if (found := _doubled(connection, before, after))
            },
        }


def _people_json(c: Transaction, runtime: Runtime, stand: _Stand) -> list[dict[str, Any]]:
    words = Words(c, runtime, evidence_on(c, runtime.rules, ()))
    return [
        {
            "person_id": one,
            "name": _name(members),
            "records": [stored.key for stored in members],
            "says": [words.label_of(stored) for stored in members],
        }
        for one, members in sorted(stand.members.items())
    ]


def _name(members: Sequence[StoredNode]) -> str:
    """Return what a person is called by their records, contacts first, as there is no summary of who is not yet."""
    named = sorted(members, key=lambda stored: (stored.contact_id is None, not stored.legal, stored.key))
    return next((stored.name for stored in named if stored.name), "somebody")


def _difference(runtime: Runtime, connection: Connection, before: _Stand, after: _Stand) -> dict[str, int]:
    """Count the lines that a plan has after it and would not have without."""
    was = Counter(_lines(runtime, connection, before.states[connection.name]))
    now = Counter(_lines(runtime, connection, after.states[connection.name]))
    counts = Counter(MOVES.get(kind, kind) for kind, _ in (now - was).elements())
    return {word: counts[word] for word in (*MOVES.values(), STAYS)}


def _doubled(connection: Connection, before: _Stand, after: _Stand) -> list[list[str]]:
    """Return the contacts of each person who would have several in a CRM, and has not yet."""
    known, found = (
        {state.contacts for state in stand.states[connection.name] if len(state.contacts) > 1}
        for stand in (before, after)
    )
    return sorted(map(list, found - known))


def _lines(runtime: Runtime, connection: Connection, states: Sequence[PersonState]) -> list[tuple[str, str]]:
    """Return the lines of a plan as (kind, what it is about), worked out from the store alone."""
    destination = destination_of(runtime, replace(connection, lacking=frozenset()))
    actions: list[Action] = []
    for state in states:
        try:
            actions += plan_person(replace(state, present={}), destination)
        except MappingError:
            continue  # its plan says why
    lines = [
        (action.kind, action.write.key if action.write is not None else action.person_id)
        for action in actions
        if action.kind in MOVES
    ]
    coming = {action.person_id for action in actions if action.kind == "create_contact"}
    coming |= {state.person_id for state in states if state.pending is not None}
    return lines + [
        ("link" if state.person_id in coming else STAYS, key)
        for state in states
        for key, filed in state.filed.items()
        if filed.contacts and not state.contacts
    ]
