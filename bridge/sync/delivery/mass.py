"""Mass changes: what is queued is counted before anything is written, and held where it is more than usual."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection as Transaction

from bridge.config import HoldAbove
from bridge.errors import MappingError
from bridge.model import Json
from bridge.store import mass as books
from bridge.store import runs
from bridge.store.intents import FIELDS_SLOT
from bridge.store.mass import DIGEST, Delivered, Hold
from bridge.store.writer import Priority
from bridge.sync.delivery.anew import rules_of, told_of
from bridge.sync.delivery.mass_cause import cause_of
from bridge.sync.delivery.plan import entries_to_read, growths_of
from bridge.sync.delivery.plan_contact import EMPTY, field_changes
from bridge.sync.delivery.plan_places import moving
from bridge.sync.delivery.plan_values import Change, Destination, PersonState
from bridge.sync.delivery.present import fields_about_to_change
from bridge.sync.delivery.provisional import provisional
from bridge.sync.delivery.states import load_states
from bridge.sync.delivery.wanted import PREVIEW, destination_of
from bridge.sync.runtime import JOURNEY, Connection, Runtime, log

PAGE = 200
"""People looked at in one go."""

EMPTIED_LEAST = 10
"""From so many contacts on, a field that loses its value on all that have it is taken for a lost source."""

RECENT = timedelta(hours=1)
"""How long changes count that went through: a daemon writes as they come, and many small ones are one large."""

RECOUNT = 20.0
"""While something is held, counting takes no more than one part in so many of the time."""


@dataclass(slots=True, kw_only=True)
class Mass:
    """What would change without anybody having written: digests, how often each field, what would be emptied."""

    changes: set[bytes] = field(default_factory=set)
    fields: Counter[str] = field(default_factory=Counter)
    emptied: Counter[str] = field(default_factory=Counter)


class Guard:
    """
    Watches the queue of one destination during one delivery.

    A change counts where nobody did anything new since the last delivery, so that it can only come from
    the rules, from what was deleted or from what was mapped anew; or where it may overwrite what a person
    entered in a contact that we never wrote to. New entries and new contacts do not count, nor do fields
    that an admin made since.
    """

    def __init__(self, runtime: Runtime, connection: Connection) -> None:
        self._runtime = runtime
        self._connection = connection
        self._destination: Destination | None = None
        self._covered = 0
        self._passed = 0
        with runtime.database.read() as c:
            quiet = books.queue_state(c, JOURNEY)[0] == 0
            self._marks = books.marks(c) if quiet else None
            self._before = books.load_delivered(c, self._account_pk)

    @property
    def _account_pk(self) -> int:
        assert self._connection.account_pk is not None
        return self._connection.account_pk

    @property
    def _above(self) -> HoldAbove:
        return (self._connection.config.push or PREVIEW).hold_above

    @property
    def _rules(self) -> str:
        """Under which rules is counted: another mapping or another limit makes it be counted again."""
        return f"{rules_of(self._connection)}:{self._above.share}:{self._above.number}"

    def holds(self) -> bool:
        """
        Tell whether what came to the queue since the last look must wait for a person.

        Reads the store only. What is held is noted with a run of its own.
        """
        with self._runtime.database.read() as c:
            count, last = books.queue_state(c, self._account_pk)
            hold = books.load_hold(c, self._account_pk)
        if last <= self._covered and hold is None:
            return False
        if hold is not None and self._still(hold, count, last):
            return True
        began = time.monotonic()
        found = self._count(last, whole=hold is not None)
        now = self._judge(found, hold, seen=f"{count}:{last}", took=time.monotonic() - began)
        if now is None:
            self._covered = last
        return now is not None

    def settled(self) -> None:
        """Note how things stand once nothing is left to do but what rests."""
        now = self._runtime.clock()
        before = self._before
        entities, records = self._marks or ((before.entities, before.records) if before else (0, 0))
        passed = self._recent(now)
        if self._passed:
            passed = (*passed, (now, self._passed))
        connection = self._connection
        delivered = Delivered(
            at=now,
            entities=entities,
            records=records,
            mappings={name: one.mapping.digest for name, one in self._runtime.connections.items()},
            push=told_of(connection.config.push),
            lacking=tuple(sorted(connection.lacking or ())),
            passed=passed,
        )
        with self._runtime.database.read() as c:
            approved = books.load_approved(c, self._account_pk)
        if before is not None and replace(before, at=now) == delivered and not approved:
            return

        def work(c: Transaction) -> None:
            books.save_delivered(c, self._account_pk, delivered)
            books.forget_approved(c, self._account_pk)

        self._runtime.writer.run(work, priority=Priority.DELIVERY)
        self._before, self._passed = delivered, 0

    def _still(self, hold: Hold, count: int, last: int) -> bool:
        """Tell whether a hold needs no new count: nothing moved, or it was counted a moment ago."""
        with self._runtime.database.read() as c:
            if hold.changes <= books.load_approved(c, self._account_pk):
                return False
        if hold.rules != self._rules:
            return False
        if hold.seen == f"{count}:{last}":
            return True
        assert hold.counted_at is not None
        pause = timedelta(seconds=RECOUNT * hold.took)
        return hold.counted_at <= self._runtime.clock() < hold.counted_at + pause

    def _recent(self, now: datetime) -> tuple[tuple[datetime, int], ...]:
        """Return what went through unasked in the last hour, by when."""
        return tuple((at, n) for at, n in (self._before.passed if self._before else ()) if at > now - RECENT)

    def _count(self, last: int, *, whole: bool) -> Mass:
        """Count what the queue up to a wish would change, page by page; all of it, or what came since the last look."""
        mass = Mass()
        after = (0, "") if whole else (self._covered + 1, "")
        while True:
            with self._runtime.database.read() as c:
                wishes = books.queued(c, self._account_pk, after=after, until=last, limit=PAGE)
                if not wishes:
                    return mass
                after = wishes[-1]
                self._count_page(c, [person_id for _, person_id in wishes], mass)

    def _count_page(self, c: Transaction, person_ids: Sequence[str], mass: Mass) -> None:
        if self._destination is None:
            self._destination = destination_of(self._runtime, self._connection)
        destination = self._destination
        moved = books.with_news(c, person_ids, self._before.entities if self._before else 0)
        foreign = _foreign(destination)
        made = frozenset(self._before.lacking if self._before else ()) - destination.lacking
        wanted = person_ids if foreign else [one for one in person_ids if one not in moved]
        known = load_states(c, self._connection, wanted) if wanted else []
        states = [provisional(state, destination) for state in known]
        for state in _as_known(c, destination, states):
            changes = [one for one in _field_changes(state, destination) if one.field not in made]
            if state.person_id in moved or not state.written:
                changes = [one for one in changes if one.field in foreign and _overwrites(state, one)]
            entries = set() if state.person_id in moved else _changed_entries(state, destination)
            _add(mass, state, changes, sorted(entries))

    def _judge(self, found: Mass, hold: Hold | None, *, seen: str, took: float) -> Hold | None:
        """Hold what is too much, go on holding what was, or let it go; returns what is held."""
        runtime, connection = self._runtime, self._connection
        with runtime.database.read() as c:
            approved = books.load_approved(c, self._account_pk)
            contacts = books.contact_count(c, self._account_pk) if found.changes else 0
            emptied = self._emptied(c, found)
        limit = max(self._above.number, int(self._above.share * contacts))
        asked = found.changes - approved
        now = runtime.clock()
        passed = self._passed + sum(count for _, count in self._recent(now))
        if hold is not None:
            passed = max(passed, hold.passed)
        if not asked or (len(asked) + passed <= limit and not emptied):
            if hold is not None:
                runtime.writer.run(books.save_hold, self._account_pk, None, priority=Priority.DELIVERY)
                log.info("%s: what run %d held is released", connection.name, hold.run)
            self._passed += len(asked)
            return None
        fresh = Hold(
            run=hold.run if hold else 0,
            since=hold.since if hold else now,
            count=len(asked),
            contacts=contacts,
            limit=limit,
            cause=hold.cause if hold else "",
            changes=frozenset(asked),
            passed=passed,
            emptied=emptied,
            rules=self._rules,
            seen=seen,
            counted_at=now,
            took=took,
        )
        if hold is not None and not hold.changes <= approved and len(asked - hold.changes) <= limit:
            same = replace(fresh, count=hold.count, changes=hold.changes, emptied=hold.emptied)
            runtime.writer.run(books.save_hold, self._account_pk, same, priority=Priority.DELIVERY)
            return same
        with runtime.database.read() as c:
            cause = cause_of(c, runtime, connection, self._before, found.fields)
        return self._begin(replace(fresh, cause=cause, since=now))

    def _begin(self, fresh: Hold) -> Hold:
        """Open a run for what is held from now on."""
        connection = self._connection

        def work(c: Transaction) -> Hold:
            number = runs.start_run(c, "delivery", fresh.since)
            held = replace(fresh, run=number)
            counts = {"connection": connection.name, **held.as_json()}
            runs.end_run(c, number, outcome="held", counts=counts, now=fresh.since)
            books.save_hold(c, self._account_pk, held)
            return held

        held = self._runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)
        log.info("%s: %s", connection.name, held)
        return held

    def _emptied(self, c: Transaction, found: Mass) -> str:
        """Return a field that would lose its value on all contacts that have it, an empty text where none does."""
        stream = self._connection.spec.contact_stream
        for name, count in found.emptied.most_common():
            if count >= EMPTIED_LEAST and count >= books.filled_count(c, self._account_pk, stream, name):
                return name
        return ""


def held_by(runtime: Runtime, connection: Connection) -> Hold | None:
    """Return the mass change that waits for a person at a destination, None where there is none."""
    assert connection.account_pk is not None
    with runtime.database.read() as c:
        return books.load_hold(c, connection.account_pk)


def _foreign(destination: Destination) -> frozenset[str]:
    """Return the fields that we did not make and of which ours may count: a first write may overwrite a person's."""
    rules = destination.mapping.push_contact
    if rules is None:
        return frozenset()
    ours = {one.name for one in destination.mapping.properties.get(destination.contact_stream, ())}
    return frozenset(
        name
        for name, owned in rules.owned.items()
        if (owned.owns == "always" or (owned.owns == "newest" and destination.dated)) and name not in ours
    )


def _as_known(c: Transaction, destination: Destination, states: Sequence[PersonState]) -> list[PersonState]:
    """Put what the store knows of the contacts' values where the plan wants those of the CRM."""
    differing = {state.contacts[0]: state for state in states if fields_about_to_change(state, destination)}
    raw = books.raw_contacts(c, destination.account_pk, destination.contact_stream, differing)
    return [
        replace(state, present={**_values(raw.get(state.contacts[0])), **_written(state)})
        if state.contacts and state.contacts[0] in differing
        else state
        for state in states
    ]


def _values(data: Json) -> dict[str, Json]:
    found = data.get("properties", data) if isinstance(data, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def _written(state: PersonState) -> dict[str, Json]:
    return {name: one.as_read if one.as_read is not None else one.sent for name, one in state.written.items()}


def _overwrites(state: PersonState, change: Change) -> bool:
    """Tell whether a first value may take the place of one that a person entered."""
    return not state.written and (change.field not in (state.present or {}) or change.before not in EMPTY)


def _add(mass: Mass, state: PersonState, changes: Sequence[Change], entries: Sequence[str]) -> None:
    """Add what would change about one person."""
    if not changes and not entries:
        return
    told = repr((state.contacts or state.person_id, [(one.field, one.after) for one in changes], entries))
    mass.changes.add(hashlib.blake2b(told.encode(), digest_size=DIGEST).digest())
    for one in changes:
        mass.fields[one.field] += 1
        if one.after in EMPTY and one.before not in EMPTY:
            mass.emptied[one.field] += 1


def _field_changes(state: PersonState, destination: Destination) -> list[Change]:
    try:
        actions = field_changes(state, destination)
    except MappingError:
        return []  # their plan says why
    return [change for action in actions if action.slot == FIELDS_SLOT for change in action.changes]


def _changed_entries(state: PersonState, destination: Destination) -> set[str]:
    """Return the entries that would be changed, moved or archived; what only joins them is no change."""
    told = tuple(one for one in state.interactions if one.entity_id in state.entry_of)
    if not state.filed or not told:
        return set()
    alone = replace(state, interactions=told)
    try:
        growths = growths_of(alone, destination)
        changed = {filed.ext_id for filed, _ in entries_to_read(alone, destination, growths)}
    except MappingError:
        return set()  # their plan says why
    return changed | {filed.ext_id for filed in moving(alone)}
