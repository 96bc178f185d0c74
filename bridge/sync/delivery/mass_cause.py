"""Why much would change at once: what is otherwise than at the last delivery, as far as that can be known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection as Transaction

from bridge.store import mass as books
from bridge.store.mass import Delivered
from bridge.sync.delivery.anew import told_of
from bridge.sync.runtime import Connection, Runtime

MANY = 10
"""Deleted objects of one stream from which on they may be the cause."""


def cause_of(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    before: Delivered | None,
    fields: Counter[str],
) -> str:
    """
    Return what changed since the last delivery that may be behind a mass change, most likely first.

    `fields` counts the contact fields that would change; the mapping line of the first is named.
    """
    place = _place(connection, fields)
    if before is None:
        return f"{place}: the first values for contacts that the CRM has already"
    found = list(_causes(c, runtime, connection, before, place))
    if found:
        return "; ".join(found)
    since = _clock(runtime, before.at)
    return f"not known: no mapping, rule or connection is otherwise than at the last delivery, {since}"


def _causes(
    c: Transaction, runtime: Runtime, connection: Connection, before: Delivered, place: str
) -> Iterator[str]:
    here = connection.name
    if before.mappings.get(here, connection.mapping.digest) != connection.mapping.digest:
        yield f"{place}, edited {_edited(runtime, connection)}"
    if before.push != told_of(connection.config.push):
        yield f"`push` of connection {here} in {runtime.config.file}, changed"
    for account_pk, stream, count in books.deleted_since(c, before.records):
        source = runtime.of_account(account_pk)
        if count >= MANY:
            name = source.name if source else "a removed connection"
            yield f"{count:,} {stream} of {name}, deleted there since {_clock(runtime, before.at)}"
    known = {*runtime.connections, *(one.path.split(".")[1] for one in runtime.config.left_out)}
    for name in sorted(before.mappings.keys() - known):
        yield f"connection {name}, removed from {runtime.config.file}"
    for name, other in runtime.connections.items():
        if other is connection:
            continue
        if name not in before.mappings:
            yield f"connection {name}, new"
        elif before.mappings[name] != other.mapping.digest and other.mapping.file != connection.mapping.file:
            yield f"{other.mapping.file}, edited {_edited(runtime, other)}"


def _place(connection: Connection, fields: Counter[str]) -> str:
    """Return the line of the mapping that fills the field which changes most often, else the file."""
    rules = connection.mapping.push_contact
    for name, _ in sorted(fields.items(), key=lambda one: (-one[1], one[0])):
        if rules is not None and name in rules.owned:
            return f"{connection.mapping.file}:{rules.owned[name].place.line}"
    return connection.mapping.file


def _edited(runtime: Runtime, connection: Connection) -> str:
    try:
        changed = Path(connection.mapping.file).stat().st_mtime
    except OSError:
        return "since the last delivery"
    return _clock(runtime, datetime.fromtimestamp(changed, UTC))


def _clock(runtime: Runtime, at: datetime) -> str:
    """Return a time of today as `14:02`, an earlier one with its date."""
    zone = runtime.config.company.zone
    local, today = at.astimezone(zone), runtime.clock().astimezone(zone)
    return local.strftime("%H:%M" if local.date() == today.date() else "%Y-%m-%d %H:%M")
