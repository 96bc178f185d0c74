"""Remap: what a changed mapping makes of the records already stored, shown before anything changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import and_, select, update

from bridge.store import collected
from bridge.store.among import among
from bridge.store.collected import Stored
from bridge.store.tables import REJECTED, SKIPPED, WAITING, entity, record
from bridge.store.writer import Priority
from bridge.sync.intake.interpret import NO_RULE, Gone, Left, Meaning, Reader
from bridge.sync.intake.resolve import PAGE
from bridge.sync.runtime import Connection, Runtime


@dataclass(slots=True, kw_only=True)
class Preview:
    """
    How the entities of one stream would change; every count is a number of records.

    `renamed` pairs a vanished with an added field that hold the same value. `rejected` counts by cause, also what
    was rejected before; `newly_rejected` are those that could be used until now.
    """

    stream: str
    records: int = 0
    added: Counter[str] = field(default_factory=Counter)
    vanished: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    renamed: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    newly_rejected: int = 0
    newly_mapped: int = 0

    @property
    def differs(self) -> bool:
        """Tell whether anything would change."""
        fields = (self.added, self.vanished, self.changed, self.renamed)
        return any(fields) or bool(self.newly_rejected or self.newly_mapped)


def preview(runtime: Runtime, connection: Connection) -> list[Preview]:
    """Map every stored record of a connection again, in memory, and compare; changes nothing."""
    assert connection.account_pk is not None
    reader = Reader.of(connection, runtime.own, runtime.rules)
    found: dict[str, Preview] = {}
    with runtime.database.read() as c:
        for stored, before in _pairs(c, runtime, connection):
            stream = stored.record.stream
            shown = found.setdefault(stream, Preview(stream=stream))
            shown.records += 1
            _compare(shown, list(reader.read(stored)), before)
    return [found[stream] for stream in sorted(found)]


def remap(runtime: Runtime, connection: Connection) -> int:
    """
    Put every stored record that another version of its rule made back in the queue; returns how many.

    So are those of a stream that has no rule any more: what they led to leaves the journeys.
    """
    account_pk = connection.account_pk
    assert account_pk is not None

    def work(c: Transaction) -> int:
        count = 0
        for stream, rule in connection.mapping.pull.items():
            stale = select(entity.c.record_pk).where(
                entity.c.account_pk == account_pk,
                entity.c.stream == stream,
                entity.c.mapping != rule.digest,
            )
            again = c.execute(update(record).where(record.c.pk.in_(stale)).values(state=WAITING))
            unmapped = c.execute(
                update(record)
                .where(
                    record.c.account_pk == account_pk,
                    record.c.stream == stream,
                    record.c.state == SKIPPED,
                    record.c.rule == NO_RULE,
                )
                .values(state=WAITING, rule=None)
            )
            count += again.rowcount + unmapped.rowcount
        dropped = select(entity.c.record_pk).where(
            entity.c.account_pk == account_pk,
            entity.c.stream.not_in(list(connection.mapping.pull)),
            entity.c.deleted.is_(False),
        )
        again = c.execute(update(record).where(record.c.pk.in_(dropped)).values(state=WAITING))
        return count + again.rowcount

    count = runtime.writer.run(work, priority=Priority.RESOLVE)
    runtime.wake("resolve")
    return count


def _pairs(
    c: Transaction, runtime: Runtime, connection: Connection
) -> Iterator[tuple[Stored, dict[int, dict[str, Any]]]]:
    """Yield each record that tells how its object stands, or could not be used, with what it led to, by part."""
    account_pk = connection.account_pk
    assert account_pk is not None
    for spec in connection.spec.streams:
        last = 0
        while True:
            query = (
                select(record.c.pk, record.c.state, record.c.rule)
                .where(
                    record.c.account_pk == account_pk,
                    record.c.stream == spec.name,
                    record.c.pk > last,
                    record.c.deleted.is_(False),
                )
                .order_by(record.c.pk)
                .limit(PAGE)
            )
            rows = c.execute(query).all()
            if not rows:
                break
            last = rows[-1].pk
            entities_of = _entities(c, [row.pk for row in rows])
            current = [
                row.pk
                for row in rows
                if row.pk in entities_of
                or row.state in (WAITING, REJECTED)
                or (row.state == SKIPPED and row.rule == NO_RULE)
            ]
            for stored in collected.load_records(c, account_pk, spec.name, current, runtime.blobs):
                yield stored, entities_of.get(stored.pk, {})


def _entities(c: Transaction, pks: Sequence[int]) -> dict[int, dict[int, dict[str, Any]]]:
    found: dict[int, dict[int, dict[str, Any]]] = {}
    query = (
        select(entity.c.record_pk, entity.c.part, entity.c.body)
        .join(
            record,
            and_(
                record.c.pk == entity.c.record_pk,
                record.c.account_pk == entity.c.account_pk,
                record.c.stream == entity.c.stream,
                record.c.ext_id == entity.c.ext_id,
            ),
        )
        .where(among(record.c.pk, pks), entity.c.deleted.is_(False))
    )
    for row in c.execute(query):
        found.setdefault(row.record_pk, {})[row.part] = orjson.loads(row.body)
    return found


def _compare(shown: Preview, outcomes: Sequence[Any], before: dict[int, dict[str, Any]]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, (Left, Gone)):
            continue
        if not isinstance(outcome, Meaning):
            shown.rejected[outcome.message[:120]] += 1
            shown.newly_rejected += bool(before)
            continue
        old = before.get(outcome.part)
        if old is None:
            shown.newly_mapped += 1
            continue
        new = outcome.body
        added = {name for name in new if name not in old}
        vanished = {name for name in old if name not in new}
        for name in sorted(vanished):
            twin = next((other for other in sorted(added) if new[other] == old[name]), None)
            if twin is not None:
                shown.renamed[name, twin] += 1
                added.discard(twin)
            else:
                shown.vanished[name] += 1
        shown.added.update(added)
        shown.changed.update(name for name in new if name in old and new[name] != old[name])
