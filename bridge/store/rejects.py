"""Rejects: what could not be split, mapped or written, each with its cause, and how to try it again."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from bridge.store.among import among
from bridge.store.database import instant, micros
from bridge.store.intents import ENTRY_SLOT, UPDATE_SLOTS, drop_intents
from bridge.store.looks import touch
from bridge.store.meant import people_meant
from bridge.store.tables import WAITING, account, delivery, intent, ledger, record, reject

_VALUES = re.compile(r"""["'`][^"'`]*["'`]|[\w.+-]+@[\w.-]+|\S*\d\S*""")
"""What differs between two refusals of one cause: quoted values, addresses, and whatever holds a digit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """One refusal. `place` is the mapping line as file:line, `code` the kind of cause, `field` the target field."""

    step: str
    stream: str
    ext_id: str
    code: str
    message: str
    hint: str = ""
    field: str = ""
    place: str = ""
    account_pk: int | None = None
    connection: str | None = None
    record_pk: int | None = None
    delivery_pk: int | None = None
    intent_key: str | None = None


def group_of(found: Reject) -> str:
    """
    Return the key under which rejects of one cause are shown together.

    Of refused writes that is the field in question, else what the CRM said, whatever it quotes: ids and values
    differ from one to the next.
    """
    said = _VALUES.sub("", found.message) if found.step == "push" and not found.field else ""
    text = "|".join((found.step, found.stream, found.code, found.field, found.place, said))
    return "R" + hashlib.blake2b(text.encode(), digest_size=3).hexdigest().upper()


def save(c: Connection, found: Reject, now: datetime) -> int:
    """File a reject, or count another attempt of the same one; returns its number."""
    same = select(reject.c.pk).where(
        reject.c.step == found.step,
        reject.c.account_pk == found.account_pk,
        reject.c.connection == found.connection,
        reject.c.stream == found.stream,
        reject.c.ext_id == found.ext_id,
        reject.c.record_pk.is_(None) if found.record_pk is None else reject.c.record_pk == found.record_pk,
    )
    pk = c.execute(same).scalar()
    values = {
        "code": found.code,
        "message": found.message,
        "hint": found.hint,
        "field": found.field,
        "place": found.place,
        "group_key": group_of(found),
        "last_at": micros(now),
        "state": "open",
        "intent_key": found.intent_key,
    }
    if pk is not None:
        c.execute(update(reject).where(reject.c.pk == pk).values(attempts=reject.c.attempts + 1, **values))
        return int(pk)
    result = c.execute(
        reject.insert().values(
            step=found.step,
            account_pk=found.account_pk,
            connection=found.connection,
            stream=found.stream,
            ext_id=found.ext_id,
            record_pk=found.record_pk,
            delivery_pk=found.delivery_pk,
            first_at=micros(now),
            attempts=1,
            **values,
        )
    )
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def filed_since(c: Connection, since: datetime | None) -> int:
    """Return how many open rejects were filed, or filed again, since an instant; None counts all."""
    query = select(func.count()).where(reject.c.state == "open")
    if since is not None:
        query = query.where(reject.c.last_at >= micros(since))
    return int(c.execute(query).scalar_one())


def close_for_records(c: Connection, pks: Sequence[int]) -> None:
    """Mark the rejects of records that have now gone through."""
    if pks:
        c.execute(
            update(reject)
            .where(among(reject.c.record_pk, pks), reject.c.state == "open")
            .values(state="solved")
        )


def close_older(c: Connection, pks: Sequence[int]) -> list[int]:
    """Mark the rejects of older versions of these records, and return the keys of those versions."""
    is_open = (reject.c.state == "open", reject.c.step == "map")
    if not pks or c.execute(select(reject.c.pk).where(*is_open).limit(1)).first() is None:
        return []
    newer = record.alias()
    query = (
        select(reject.c.record_pk)
        .distinct()
        .join(record, record.c.pk == reject.c.record_pk)
        .join(
            newer,
            and_(
                newer.c.account_pk == record.c.account_pk,
                newer.c.stream == record.c.stream,
                newer.c.ext_id == record.c.ext_id,
            ),
        )
        .where(*is_open, among(newer.c.pk, pks), record.c.pk < newer.c.pk)
    )
    found = list(c.execute(query).scalars())
    close_for_records(c, found)
    return found


def close_for_delivery(c: Connection, pk: int) -> None:
    """Mark the reject of a webhook body that has now been read."""
    c.execute(
        update(reject).where(reject.c.delivery_pk == pk, reject.c.state == "open").values(state="solved")
    )


def close_for_intents(c: Connection, account_pk: int, keys: Collection[str]) -> None:
    """Mark the rejects of writes that have now gone through, or in whose place others were decided."""
    if keys:
        here = (reject.c.account_pk == account_pk, reject.c.state == "open")
        c.execute(update(reject).where(*here, among(reject.c.intent_key, keys)).values(state="solved"))


def listed(c: Connection, group: str | None = None) -> list[dict[str, Any]]:
    """Return the open rejects, newest first, each with its connector and times as instants."""
    query = (
        select(reject, account.c.connector, account.c.vendor_id)
        .outerjoin(account, account.c.pk == reject.c.account_pk)
        .where(reject.c.state == "open")
        .order_by(reject.c.last_at.desc(), reject.c.pk.desc())
    )
    if group is not None:
        query = query.where(reject.c.group_key == group)
    rows = []
    for row in c.execute(query):
        values = dict(row._mapping)
        values["first_at"] = instant(row.first_at)
        values["last_at"] = instant(row.last_at)
        rows.append(values)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What waits because of one group of refused writes: the writes by slot, their objects, entries of those people."""

    slots: Mapping[str, int]
    objects: int
    entries: int
    told: bool


def behind(c: Connection, rows: Sequence[Mapping[str, Any]]) -> Behind:
    """Return what waits behind these rejects of writes, all of one account; `told`: entries of theirs were written."""
    if not rows:
        return Behind(slots={}, objects=0, entries=0, told=False)
    account_pk, keys = rows[0]["account_pk"], [row["intent_key"] for row in rows]
    here = intent.c.account_pk == account_pk
    found = c.execute(select(intent).where(here, among(intent.c.key, keys))).all()
    people = {row.person_id for row in found}
    waiting = select(func.count()).select_from(intent)
    waiting = waiting.where(here, intent.c.slot == ENTRY_SLOT, intent.c.state == "open")
    contacts = {row.target_id for row in found if row.target_id}
    told = select(ledger.c.key).where(
        ledger.c.account_pk == account_pk, ledger.c.slot == ENTRY_SLOT, among(ledger.c.contact_id, contacts)
    )
    return Behind(
        slots=Counter(row.slot for row in found),
        objects=len({row.target_id or row.key for row in found}),
        entries=int(c.execute(waiting.where(among(intent.c.person_id, people))).scalar_one()),
        told=c.execute(told.limit(1)).first() is not None,
    )


def replay(c: Connection, group: str | None, *, seq: int) -> int:
    """
    Put rejected records, deliveries and writes back in their queues; None means all.

    Returns how many. Their rejects stay open until they go through. A held write is asked about again;
    a refused update is planned anew, since its fields may show something else by now: `seq` marks the
    wish to look at its person.
    """
    query = select(reject).where(reject.c.state == "open")
    if group is not None:
        query = query.where(reject.c.group_key == group)
    count = 0
    for row in c.execute(query).all():
        if row.record_pk is not None:
            c.execute(update(record).where(record.c.pk == row.record_pk).values(state=WAITING))
        elif row.delivery_pk is not None:
            c.execute(update(delivery).where(delivery.c.pk == row.delivery_pk).values(state=WAITING))
        elif row.intent_key is not None:
            _replay_write(c, row, seq)
        count += 1
    return count


def _replay_write(c: Connection, row: Any, seq: int) -> None:
    same = (intent.c.account_pk == row.account_pk, intent.c.key == row.intent_key)
    found = c.execute(select(intent).where(*same)).first()
    if found is not None and found.slot not in UPDATE_SLOTS:
        again = {"rejected": "open", "held": "uncertain"}.get(found.state, found.state)
        c.execute(update(intent).where(*same).values(state=again, reason=None))
        return
    close_for_intents(c, row.account_pk, [row.intent_key])
    if found is not None:
        meant = people_meant(c, row.account_pk, [found.key])
        drop_intents(c, row.account_pk, [found.key])
        touch(c, row.account_pk, meant, seq)
