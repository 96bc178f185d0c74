"""The history of what was written: which run wrote what, over what, and what was taken back since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Select, case, func, select, update

from bridge.model import Json, Link, Op
from bridge.store.among import among
from bridge.store.database import dumps, insert_new, instant, micros
from bridge.store.intents import UNDO_SLOT, Intent
from bridge.store.tables import receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """
    A write that was carried out, as the history knows it; `pk` orders them.

    `entry` is the key of the entry it changed, `before` what it replaced, `entity_ids` the interactions that
    it brought into an entry (an undo: that it took out of one), `taken_back` the run that undid it, `mapping` the
    digest of the mapping by which it was made.
    """

    pk: int
    account_pk: int
    run: int
    key: str
    entry: str | None
    op: Op
    slot: str
    stream: str
    ext_id: str
    person_id: str
    fields: Mapping[str, Json]
    before: Mapping[str, Json]
    as_read: Mapping[str, Json]
    links: tuple[Link, ...]
    entity_ids: tuple[str, ...]
    at: datetime
    taken_back: int | None = None
    mapping: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """The object it was written to, as stream and vendor id."""
        return self.stream, self.ext_id

    def left(self, name: str) -> Json:
        """Return what this write left in a field, as the CRM showed it."""
        return self.as_read.get(name, self.fields.get(name))


def add_receipts(
    c: Connection,
    account_pk: int,
    carried_out: Iterable[tuple[Intent, str, Mapping[str, Json] | None]],
    now: datetime,
) -> None:
    """Enter writes that were carried out into the history, each with its object's id and the values as read."""
    rows = [
        {
            "account_pk": account_pk,
            "run": item.run,
            "key": item.write.key,
            "entry": item.entry,
            "op": item.write.op,
            "slot": item.slot,
            "stream": item.write.stream,
            "ext_id": ext_id,
            "person_id": item.person_id,
            "fields": dumps(dict(item.write.fields)),
            "before": dumps(dict(item.before)),
            "as_read": None if as_read is None else dumps(dict(as_read)),
            "links": dumps(
                [{"stream": link.stream, "to": link.to, "role": link.role} for link in item.write.links]
            ),
            "entity_ids": orjson.dumps(item.entity_ids),
            "mapping": item.mapping,
            "at": micros(now),
            "taken_back": None,
        }
        for item, ext_id, as_read in carried_out
    ]
    if rows:
        insert_new(c, receipt, rows)


def of_run(c: Connection, run: int) -> list[Written]:
    """Return what a run wrote, newest first."""
    return _read(c, select(receipt).where(receipt.c.run == run))


def by_mapping(c: Connection, digest: str) -> list[Written]:
    """Return what was written while one version of a mapping was in force, newest first."""
    return _read(c, select(receipt).where(receipt.c.mapping == digest))


def mappings(c: Connection) -> list[str]:
    """Return the digests of the mappings by which anything was written, that of the newest write first."""
    query = select(receipt.c.mapping).group_by(receipt.c.mapping).order_by(func.max(receipt.c.pk).desc())
    return list(c.execute(query).scalars())


def at_object(c: Connection, account_pk: int, stream: str, ext_id: str) -> list[Written]:
    """Return everything that was ever written to an object, newest first."""
    here = (receipt.c.account_pk == account_pk, receipt.c.stream == stream, receipt.c.ext_id == ext_id)
    return _read(c, select(receipt).where(*here))


def of_objects(c: Connection, account_pk: int, ext_ids: Iterable[str]) -> list[Written]:
    """Return what stands of all that was ever written to these objects, newest first: without what was undone."""
    here = receipt.c.account_pk == account_pk
    standing = (receipt.c.taken_back.is_(None), receipt.c.slot != UNDO_SLOT)
    return _read(c, select(receipt).where(here, among(receipt.c.ext_id, ext_ids), *standing))


def left_on(
    c: Connection, account_pk: int, ext_ids: Iterable[str], stream: str
) -> dict[tuple[str, str], frozenset[str]]:
    """Return on which records of a stream, such as deals, our writes left each of these objects that they linked."""
    found: dict[tuple[str, str], set[str]] = {}
    for one in reversed(of_objects(c, account_pk, ext_ids)):
        ends = {link.to for link in one.links if link.stream == stream}
        if one.op == "unlink":
            found[one.place] = found.get(one.place, set()) - ends
        elif ends:
            found.setdefault(one.place, set()).update(ends)
    return {place: frozenset(ends) for place, ends in found.items()}


def often_written(
    c: Connection, account_pk: int, places: Collection[tuple[str, str]], since: datetime, *, least: int
) -> list[Written]:
    """Return what was written since to those of these objects that were written to so often, newest first."""
    here = (
        receipt.c.account_pk == account_pk,
        among(receipt.c.ext_id, {ext_id for _, ext_id in places}),
        receipt.c.at >= micros(since),
        receipt.c.taken_back.is_(None),
        receipt.c.slot != UNDO_SLOT,
    )
    place = (receipt.c.stream, receipt.c.ext_id)
    often = select(*place).where(*here).group_by(*place).having(func.count() >= least)
    ids = {row.ext_id for row in c.execute(often) if (row.stream, row.ext_id) in places}
    return [
        one
        for one in (_read(c, select(receipt).where(*here, among(receipt.c.ext_id, ids))) if ids else [])
        if one.place in places
    ]


def undone_at(c: Connection, account_pk: int, stream: str, ext_id: str) -> list[Written]:
    """Return what undo runs did to an object and stands, newest first."""
    here = (receipt.c.account_pk == account_pk, receipt.c.stream == stream, receipt.c.ext_id == ext_id)
    standing = (receipt.c.taken_back.is_(None), receipt.c.slot == UNDO_SLOT)
    return _read(c, select(receipt).where(*here, *standing))


def take_back(c: Connection, pks: Collection[int], run: int) -> None:
    """Note that a run undid these writes."""
    if pks:
        c.execute(update(receipt).where(among(receipt.c.pk, pks)).values(taken_back=run))


def sums(c: Connection, runs: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return for each run that wrote something how many writes of each slot there were, and how many were undone."""
    gone = func.sum(case((receipt.c.taken_back.is_not(None), 1), else_=0))
    query = (
        select(receipt.c.run, receipt.c.slot, func.count(), gone)
        .where(among(receipt.c.run, runs))
        .group_by(receipt.c.run, receipt.c.slot)
        .order_by(receipt.c.slot)
    )
    found: dict[int, dict[str, Any]] = {}
    for run, slot, count, undone in c.execute(query):
        one = found.setdefault(run, {"written": {}, "taken_back": 0})
        one["written"][slot] = int(count)
        one["taken_back"] += int(undone)
    return found


def _read(c: Connection, query: Select[Any]) -> list[Written]:
    return [_written(row) for row in c.execute(query.order_by(receipt.c.pk.desc()))]


def _written(row: Any) -> Written:
    at = instant(row.at)
    assert at is not None
    return Written(
        pk=row.pk,
        account_pk=row.account_pk,
        run=row.run,
        key=row.key,
        entry=row.entry,
        op=row.op,
        slot=row.slot,
        stream=row.stream,
        ext_id=row.ext_id,
        person_id=row.person_id,
        fields=orjson.loads(row.fields),
        before=orjson.loads(row.before),
        as_read=orjson.loads(row.as_read) if row.as_read else {},
        links=tuple(Link(**link) for link in orjson.loads(row.links)),
        entity_ids=tuple(orjson.loads(row.entity_ids)),
        at=at,
        taken_back=row.taken_back,
        mapping=row.mapping,
    )
