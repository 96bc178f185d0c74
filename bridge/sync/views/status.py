"""How every connection and stream stands, in numbers that add up."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import select

from bridge.connector import Receiver, Source
from bridge.store import collected, deliveries, mass
from bridge.store import ledger as books
from bridge.store.budgets import load_rows
from bridge.store.database import instant
from bridge.store.intents import intent_counts
from bridge.store.tables import DELIVERY_SPLIT, DELIVERY_WAITS, cursor, delivery, record, unknown_word
from bridge.store.tables import connection as connections
from bridge.sync.delivery.rounds import stopped_count
from bridge.sync.runtime import Connection, Runtime
from bridge.sync.views.forecast import budgets_now, left_to_do

STATES = ("mapped", "skipped", "rejected", "waiting")


def overview(runtime: Runtime) -> dict[str, Any]:
    """
    Return the state of every connection.

    For each stream read = mapped + skipped + rejected + waiting; `rules` counts the skips by
    rule; `age_seconds` tells how long ago the last pull went through. A webhook body that is not
    split yet is one waiting of the stream "webhook", one that cannot be one rejected. An `error` says what to do.
    `held` is a mass change that waits for a person, None where there is none; `stopped` counts fields and
    entries that are no longer written, since they went back and forth.
    `absent` are secrets that this process does without, `push` tells whether the configuration allows to write
    there. `budgets` and `left`: see `bridge/sync/views/forecast.py`.
    """
    now = runtime.clock()
    counts: dict[tuple[int, str], dict[str, Any]] = defaultdict(
        lambda: {**dict.fromkeys(STATES, 0), "rules": {}}
    )
    newest: dict[int | None, int] = defaultdict(int)
    for row in collected.tally(runtime.database):
        found = counts[row["account_pk"], row["stream"]]
        found[row["state"]] += row["count"]
        newest[row["account_pk"]] = max(newest[row["account_pk"]], row["newest"])
        if row["state"] == "skipped":
            found["rules"][row["rule"] or ""] = found["rules"].get(row["rule"] or "", 0) + row["count"]
    with runtime.database.read() as c:
        unread, refused = deliveries.waiting_deliveries(c), deliveries.refused_deliveries(c)
        states = {row.name: row for row in c.execute(select(connections))}
        used = load_rows(c)
        cursors = {(row.account_pk, row.stream, row.phase): row for row in c.execute(select(cursor))}
        listed = []
        for connection in runtime.connections.values():
            known = states.get(connection.name)
            account_pk = known.account_pk if known else None
            streams = _streams(connection, account_pk, counts, cursors, now)
            past = [
                found
                for spec, found in zip(connection.spec.streams, streams, strict=True)
                if "backfill" in spec.phases and not found["complete"]
            ]
            budgets = budgets_now(connection, used, now, past=bool(past))
            push = connection.config.push is not None
            writes = intent_counts(c, account_pk) if account_pk is not None and push else {}
            if connection.name in unread or connection.name in refused:
                bodies = {
                    **dict.fromkeys(STATES, 0),
                    "waiting": unread.get(connection.name, 0),
                    "rejected": refused.get(connection.name, 0),
                }
                read = sum(bodies.values())
                streams.append({"name": "webhook", "read": read, **bodies, "rules": {}, **_NO_PULL})
            listed.append(
                {
                    "name": connection.name,
                    "connector": connection.spec.name,
                    "account": connection.account.id if connection.account else None,
                    "absent": [str(problem) for problem in connection.config.absent],
                    "error": known.error if known else None,
                    "error_since": _text(instant(known.error_since)) if known else None,
                    "last_event_at": _last_event(c, connection, newest[account_pk]),
                    "streams": streams,
                    "held": _held(c, connection, account_pk),
                    "stopped": stopped_count(c, account_pk) if account_pk is not None else 0,
                    "writes": writes,
                    "written": books.written_count(c, account_pk) if account_pk is not None and push else 0,
                    "budgets": budgets,
                    "push": push,
                    "left": left_to_do(
                        c, account_pk, push=push, writes=writes, past=past, budgets=budgets, now=now
                    )
                    if account_pk is not None and connection.spec.contact_stream
                    else None,
                }
            )
    return {"at": _text(now), "connections": listed}


def troubles(runtime: Runtime) -> dict[str, list[str]]:
    """Return what is wrong with each connection and its streams, each once; cheap, as nothing is counted."""
    with runtime.database.read() as c:
        states = {row.name: row for row in c.execute(select(connections))}
        failing = c.execute(select(cursor.c.account_pk, cursor.c.stream, cursor.c.error)).all()
    found = {}
    for name, connection in runtime.connections.items():
        known = states.get(name)
        streams = {spec.name for spec in connection.spec.streams}
        errors = [known.error] if known is not None else []
        errors += [
            row.error
            for row in failing
            if known is not None and row.account_pk == known.account_pk and row.stream in streams
        ]
        found[name] = list(dict.fromkeys(error for error in errors if error))
    return found


def held_changes(runtime: Runtime) -> dict[str, str]:
    """Return the message of each connection whose mass change waits for a person."""
    with runtime.database.read() as c:
        found = {
            connection.name: _held(c, connection, connection.account_pk)
            for connection in runtime.connections.values()
        }
    return {name: str(held["message"]) for name, held in found.items() if held is not None}


_NO_PULL: dict[str, Any] = {
    "last_success": None,
    "age_seconds": None,
    "complete": None,
    "error": None,
    "error_since": None,
}


def _streams(
    connection: Connection,
    account_pk: int | None,
    counts: dict[tuple[int, str], dict[str, Any]],
    cursors: dict[tuple[int, str, str], Any],
    now: datetime,
) -> list[dict[str, Any]]:
    streams = []
    for spec in connection.spec.streams:
        found = counts[account_pk or -1, spec.name]
        live = cursors.get((account_pk or -1, spec.name, "live"))
        past = cursors.get((account_pk or -1, spec.name, "backfill"))
        success = instant(live.succeeded_at) if live is not None else None
        errors = [row for row in (live, past) if row is not None and row.error]
        streams.append(
            {
                "name": spec.name,
                "read": sum(found[state] for state in STATES),
                **found,
                "last_success": _text(success),
                "age_seconds": (now - success).total_seconds() if success else None,
                "complete": past.complete if past is not None else None,
                "error": errors[0].error if errors else None,
                "error_since": _text(instant(errors[0].error_since)) if errors else None,
            }
        )
    return streams


def _held(c: Any, connection: Connection, account_pk: int | None) -> dict[str, Any] | None:
    if account_pk is None or connection.config.push is None:
        return None
    hold = mass.load_hold(c, account_pk)
    return hold.as_json() if hold is not None else None


def unknown_words(runtime: Runtime, limit: int = 20) -> list[dict[str, Any]]:
    """Return the vendor words that no rule of a mapping knows, most seen first: connector, field, word, seen."""
    query = select(unknown_word).order_by(unknown_word.c.seen.desc(), unknown_word.c.word).limit(limit)
    with runtime.database.read() as c:
        return [
            {"connector": row.connector, "field": row.field, "word": row.word, "seen": row.seen}
            for row in c.execute(query)
        ]


def _last_event(c: Any, connection: Connection, newest: int) -> str | None:
    """Return when something last came in, so that silence can be seen; `newest` is the key of the latest record."""
    latest = None
    unopened = bool(connection.config.absent)
    if unopened or isinstance(connection.connector, Receiver):
        here = select(delivery.c.received_at).where(delivery.c.connection == connection.name)
        newest_first = here.order_by(delivery.c.pk.desc()).limit(1)
        either = [c.execute(newest_first.where(state)).scalar() for state in (DELIVERY_WAITS, DELIVERY_SPLIT)]
        latest = max(filter(None, either), default=None)
    if unopened or isinstance(connection.connector, Source):
        received = c.execute(select(record.c.received_at).where(record.c.pk == newest)).scalar()
        latest = max(filter(None, (latest, received)), default=None)
    return _text(instant(latest))


def _text(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None
