"""From journeys to the CRM: where every interaction stands, and who of the people is not in the CRM and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bridge.errors import MappingError
from bridge.store import counted
from bridge.store.holds import UNDONE
from bridge.store.tables import journey
from bridge.sync.completeness.reconcile_values import Findings, Sum
from bridge.sync.delivery.plan import plan_person
from bridge.sync.delivery.plan_contact import target_of
from bridge.sync.delivery.plan_values import Destination, PersonState
from bridge.sync.delivery.states import load_states, with_dismissed
from bridge.sync.delivery.wanted import destination_of
from bridge.sync.runtime import Connection, Runtime

PAGE = 200
"""People looked at in one go."""

IN_ENTRIES = "in entries"
WAYS = {
    "open": "on the way",
    "uncertain": "on the way",
    "held": "sent, outcome unknown",
    "rejected": "refused by the CRM",
}
QUEUED = "to be written by the next delivery"
UNPLANNED = "to be written and in no queue"
TAKEN_BACK = "taken back by an undo"
ORPHANED = "in an entry that stands nowhere"
NOBODY = "with nobody but the team"
RESTS = "waits for more to come"
REFUSED = "refused by the mapping"
SEVERAL = "several contacts, to be merged in the CRM"
UNDECIDED = "undecided between contacts"
DISMISSED = "undecided between contacts, and dismissed"
LEFT = "with entries, but without a contact now"

_FIRST = (IN_ENTRIES, ORPHANED, *dict.fromkeys(WAYS.values()), QUEUED, RESTS, UNPLANNED, TAKEN_BACK)
"""What counts of an interaction that several people share, the first of these before any reason."""


@dataclass(slots=True, kw_only=True)
class _Look:
    """What is gathered over all people: where each interaction stands, and how many people stand how."""

    intents: dict[str, str]
    queue: set[str]
    orphans: dict[str, list[str]]
    taken_back: frozenset[str]
    places: dict[str, str] = field(default_factory=dict)
    people: Counter[str] = field(default_factory=Counter)
    unplanned: set[str] = field(default_factory=set)


def compare_journeys(runtime: Runtime, connection: Connection, findings: Findings) -> None:
    """Add up where the interactions and people of all journeys stand in a CRM; asks the store only."""
    account_pk = connection.account_pk
    assert account_pk is not None
    destination = destination_of(runtime, connection)
    with runtime.database.read() as c:
        total, alone = counted.interactions(c)
        everybody = counted.people_count(c)
        look = _Look(
            intents=counted.intent_states(c, account_pk),
            queue=counted.queue(c, account_pk),
            orphans=counted.orphans(c, account_pk),
            taken_back=counted.taken_back(c, account_pk),
        )
        last = ""
        while ids := _people(c, last):
            last = ids[-1]
            for state in with_dismissed(c, runtime, load_states(c, connection, ids)):
                _add_person(look, state, destination)
                _add_interactions(look, state, destination)
    places = Counter(look.places.values())
    places[NOBODY] += alone
    findings.sums.append(Sum(name="interactions", total=total, parts=+places))
    findings.sums.append(Sum(name="people", total=everybody, parts=look.people))
    findings.repairs.orphans = look.orphans
    findings.repairs.unplanned = look.unplanned
    findings.drift(
        "entries that are in the books of no write",
        sorted(look.orphans),
        "Their write was lost. --repair looks for them in the CRM and writes what is not there.",
        repair=True,
    )
    findings.drift(
        "people with something to write whom no queue holds",
        sorted(look.unplanned),
        "--repair queues them for the next delivery.",
        repair=True,
    )


def _people(c: Transaction, after: str) -> list[str]:
    query = select(journey.c.person_id).where(journey.c.person_id > after).order_by(journey.c.person_id)
    return list(c.execute(query.limit(PAGE)).scalars())


def _add_person(look: _Look, state: PersonState, destination: Destination) -> None:
    interactions = sorted(
        state.interactions, key=lambda one: (one.body.get("occurred_at", ""), one.entity_id)
    )
    try:
        target, action, hold = target_of(state, destination, interactions)
    except MappingError:
        look.people[REFUSED] += 1
        return
    if len(state.contacts) == 1:
        look.people["in the CRM"] += 1
    elif state.contacts:
        look.people[SEVERAL] += 1
    elif state.candidates:
        look.people[DISMISSED if state.dismissed else UNDECIDED] += 1
    elif target and action is None:
        look.people["with a contact on the way"] += 1
    elif not hold and all(one.entity_id in state.entry_of for one in interactions):
        look.people[LEFT] += 1
    elif not hold:
        look.people["to become contacts by the next delivery"] += 1
    else:
        look.people[_why(state, hold)] += 1


def _why(state: PersonState, reason: str) -> str:
    """Return a reason without what differs from one person to the next."""
    if reason.startswith("could be "):
        return DISMISSED if state.dismissed else UNDECIDED
    if reason.startswith("contacts "):
        return SEVERAL
    return reason.partition(";")[0] if "crmbridge release" in reason else reason


def _add_interactions(look: _Look, state: PersonState, destination: Destination) -> None:
    """Say of each interaction of a person where it stands, or why it stands nowhere."""
    for entity_id, key in state.entry_of.items():
        if key in look.orphans:
            _place(look, entity_id, ORPHANED)
        elif key in look.taken_back and (key not in state.filed or state.held.get(key) == UNDONE):
            _place(look, entity_id, TAKEN_BACK)
        elif key in state.filed:
            _place(look, entity_id, IN_ENTRIES)
        else:
            _place(look, entity_id, WAYS.get(look.intents.get(key, ""), IN_ENTRIES))
    try:
        actions = plan_person(state, destination)
    except MappingError:
        _place_all(look, state, [one.entity_id for one in state.interactions], REFUSED)
        return
    for action in actions:
        new = [one for one in action.entity_ids if one not in state.entry_of]
        if action.kind in ("skip", "hold") and action.reason != "its entry could not be read":
            _place_all(look, state, new, _why(state, action.reason))
        elif action.kind == "later":
            _place_all(look, state, new, RESTS)
        elif new and state.person_id in look.queue:
            _place_all(look, state, new, QUEUED)
        elif new:
            _place_all(look, state, new, UNPLANNED)
            look.unplanned.add(state.person_id)
    rest = [one.entity_id for one in state.interactions if one.entity_id not in look.places]
    _place_all(look, state, rest, RESTS if state.person_id in look.queue else "told by others' entries")


def _place_all(look: _Look, state: PersonState, entity_ids: Sequence[str], word: str) -> None:
    for entity_id in entity_ids:
        _place(look, entity_id, word)


def _place(look: _Look, entity_id: str, word: str) -> None:
    known = look.places.get(entity_id)
    ranks = {one: rank for rank, one in enumerate(_FIRST)}
    if known is None or ranks.get(word, len(ranks)) < ranks.get(known, len(ranks)):
        look.places[entity_id] = word
