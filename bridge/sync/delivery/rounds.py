"""Writes that go back and forth: another program changes what we write, and what we want follows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.model import Json
from bridge.store import ledger as books
from bridge.store import people, receipts
from bridge.store.among import among
from bridge.store.database import instant
from bridge.store.holds import ROUNDS, Hold, field_key, released_at
from bridge.store.intents import CONTACT_SLOT, FIELDS_SLOT, GROWTH_SLOT, LINK_SLOT
from bridge.store.receipts import Written
from bridge.store.tables import entity, hold, node, participation, record
from bridge.sync.delivery.plan_values import Action
from bridge.sync.runtime import Connection, Runtime

WINDOW = timedelta(days=1)
"""How far back writes are looked at: programs that copy between CRMs run every few minutes, some every hour."""

MOST = 3
"""How often in a row a value may come back that we wrote before."""

SLOTS = {"fields": (CONTACT_SLOT, FIELDS_SLOT), "grow": (GROWTH_SLOT,), "link": (LINK_SLOT,)}
"""What changes an object again and again, by the kind of action."""


def goes_round(written: Sequence[Json], value: Json) -> bool:
    """
    Tell whether a value only takes its turn again among those that were written, oldest first.

    A-B-A-B does; a field that is cleared after every new value does not, since those values are new.
    """
    values = [*written, value]
    returns = [one in values[:place] for place, one in enumerate(values)]
    return len(values) > MOST and all(returns[-MOST - 1 :])


def stop_rounds(runtime: Runtime, connection: Connection, actions: Sequence[Action]) -> list[Action]:
    """
    Put a hold in the place of each write that would go on with an exchange.

    A change that follows news of the person is none. What else such a write holds is planned anew.
    """
    changing = [action for action in actions if action.kind in SLOTS and action.write is not None]
    if not changing:
        return list(actions)
    assert connection.account_pk is not None
    with runtime.database.read() as c:
        since = runtime.clock() - WINDOW
        places = {(one.write.stream, one.write.id or "") for one in changing if one.write is not None}
        found = receipts.often_written(c, connection.account_pk, places, since, least=MOST + 1)
        if not found:
            return list(actions)
        stopped = [
            (action, kept) for action in changing if (kept := _kept(c, connection, action, found)) is not None
        ]
    gone = [action for action, _ in stopped]
    return [
        *(one for one in actions if not any(one is other for other in gone)),
        *(line for _, kept in stopped for line in kept),
    ]


def _kept(
    c: Transaction, connection: Connection, action: Action, found: Sequence[Written]
) -> list[Action] | None:
    """Return what is held from now on instead of carrying an action out, None where it may go."""
    write = action.write
    assert write is not None and connection.account_pk is not None
    here = [one for one in found if one.place == (write.stream, write.id) and one.slot in SLOTS[action.kind]]
    if action.kind == "fields":
        news = _newest_news(c, action.person_id)
        values = {name: [one for one in here if name in one.fields] for name in write.fields}
        keys = {name: field_key(write.stream, write.id or "", name) for name in write.fields}
        turns = {
            keys[name]: (name, _values(c, connection, keys[name], some, name, news), write.fields[name])
            for name, some in values.items()
        }
    else:
        key = books.entries_at(c, connection.account_pk, write.stream, [write.id or ""]).get(write.id or "")
        if key is None:
            return None
        wanted: Json = dict(write.fields) if action.kind == "grow" else _ends(write.links)
        turns = {key: ("", _values(c, connection, key, here, "", None), wanted)}
    lines = [
        _line(action, connection, key, name, written)
        for key, (name, written, value) in turns.items()
        if goes_round(written, value)
    ]
    return lines or None


def _values(
    c: Transaction,
    connection: Connection,
    key: str,
    found: Sequence[Written],
    name: str,
    news: datetime | None,
) -> list[Json]:
    """Return what was written, oldest first, since the last news and since somebody let go of it."""
    assert connection.account_pk is not None
    starts = [at for at in (news, released_at(c, connection.account_pk, key)) if at is not None]
    some = [one for one in reversed(found) if all(one.at > start for start in starts)]
    if name:
        return [one.fields[name] for one in some]
    return [dict(one.fields) or _ends(one.links) for one in some]


def _ends(links: Iterable[Any]) -> list[str]:
    return sorted(f"{link.stream}/{link.to}" for link in links)


def _line(action: Action, connection: Connection, key: str, name: str, written: Sequence[Json]) -> Action:
    assert action.write is not None
    what = f"{name or 'the entry'} of {action.write.stream} {action.write.id}"
    if not name:
        what = f"{action.write.stream} {action.write.id}"
    reason = (
        f"{what} went back and forth {len(written)} times within a day: another program changes it in turn;"
        f" no more is written. See: crmbridge holds. To go on: crmbridge release {key}"
    )
    return replace(
        action, kind="keep", write=None, slot="", entity_ids=(), reason=reason, entry=key, hold=ROUNDS
    )


def _newest_news(c: Transaction, person_id: str) -> datetime | None:
    """Return when something that this person took part in was last heard of."""
    query = (
        select(func.max(record.c.received_at))
        .join(entity, entity.c.record_pk == record.c.pk)
        .join(participation, participation.c.entity_id == entity.c.entity_id)
        .join(node, node.c.key == participation.c.node_key)
        .where(node.c.person_id == person_id)
    )
    return instant(c.execute(query).scalar())


def stopped_count(c: Transaction, account_pk: int) -> int:
    """Return how many fields and entries of an account are held since they went back and forth."""
    query = select(func.count()).select_from(hold)
    return int(c.execute(query.where(hold.c.account_pk == account_pk, hold.c.reason == ROUNDS)).scalar_one())


def trail(c: Transaction, runtime: Runtime, one: Hold) -> list[dict[str, Any]]:
    """
    Return how an exchange went until it was stopped, oldest first: at, by, what.

    Our writes with what they replaced, and each change of the person's contacts in any CRM, with who made it
    as far as the CRM tells.
    """
    connection = runtime.of_account(one.account_pk)
    if connection is None or connection.account is None:
        return []
    since = one.since - WINDOW
    found: list[dict[str, Any]] = []
    if one.field is not None:
        stream, ext_id, name = one.field
        place = (stream, ext_id)
    else:
        row = books.filed_under(c, one.account_pk, [one.key]).get(one.key)
        if row is None:
            return []
        place, name = (row.stream, row.ext_id), ""
    for write in receipts.often_written(c, one.account_pk, {place}, since, least=1):
        if write.at > one.since or (name and name not in write.fields):
            continue
        what = "written"
        if name:
            what = f"{name}: {_shown(write.before.get(name))} -> {_shown(write.fields[name])}"
        elif write.links:
            what = f"{write.op} {', '.join(_ends(write.links))}"
        found.append({"at": write.at, "by": f"crmbridge, run {write.run}", "what": what})
    if name:
        key = connection.node_key(*place)
        person = people.persons_at(c, [key]).get(key)
        found += _changes(c, runtime, person, since, one.since) if person else []
    return sorted(found, key=lambda line: (line["at"], line["by"]))


def _changes(
    c: Transaction, runtime: Runtime, person_id: str, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """Return the versions of a person's contacts that were read in a span of time."""
    contacts = [
        one for one in people.nodes_of(c, [person_id]).get(person_id, []) if one.contact_of is not None
    ]
    found = []
    for one in contacts:
        there = runtime.of_account(one.contact_of or 0)
        if there is None:
            continue
        stream = there.spec.contact_stream
        query = select(record.c.received_at, record.c.modified_at, record.c.actor).where(
            record.c.account_pk == one.contact_of,
            record.c.stream == stream,
            among(record.c.ext_id, [one.contact_id or ""]),
        )
        for row in c.execute(query):
            at = instant(row.modified_at) or instant(row.received_at)
            if at is not None and since <= at <= until:
                what = f"{stream} {one.contact_id} of {there.name} changed"
                found.append({"at": at, "by": row.actor or "not told by the CRM", "what": what})
    return found


def _shown(value: Json) -> str:
    return "(empty)" if value in (None, "") else str(value)
