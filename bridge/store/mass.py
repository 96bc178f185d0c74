"""What is held because it would change too much at once, what a person approved, and the delivery before it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, tuple_

from bridge.store.among import among
from bridge.store.database import instant, micros, upsert
from bridge.store.tables import entity, field_ledger, meta, node, participation, record, touched

DIGEST = 8
"""Bytes by which one change is known again."""

NOTHING = (b'""', b"null", b"[]", b"{}")
"""How the field ledger spells an empty value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """
    A change that waits for a person: `run` names it, `changes` are the digests of what it is made of.

    `count` is how many of `contacts` contacts would change, `passed` how many went through shortly before,
    `emptied` the field that would be empty everywhere. `rules` and `seen` say under which rules and at
    which state of the queue it was counted last, at `counted_at`; that took `took` seconds.
    """

    run: int
    since: datetime
    count: int
    contacts: int
    limit: int
    cause: str
    changes: frozenset[bytes] = field(repr=False)
    passed: int = 0
    emptied: str = ""
    rules: str = ""
    seen: str = ""
    counted_at: datetime | None = None
    took: float = 0.0

    def __str__(self) -> str:
        what = f"change {self.count:,} of {self.contacts:,} contacts"
        if self.emptied:
            what = f"empty {self.emptied} on {self.count:,} contacts, all that have it,"
        elif self.passed:
            what += f" after {self.passed:,} in the last hour"
        return (
            f"Held run {self.run}: would {what} (limit {self.limit:,}). Cause: {self.cause}."
            " Nothing written; collecting continues."
            f" Look: crmbridge plan. Release: crmbridge approve {self.run}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "run": self.run,
            "since": self.since.isoformat().replace("+00:00", "Z"),
            "count": self.count,
            "contacts": self.contacts,
            "limit": self.limit,
            "cause": self.cause,
            "message": str(self),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """
    How things stood when a destination last had nothing left to do.

    `entities` and `records` are the highest keys then; `mappings` the digests by connection; `push` and
    `lacking` what else decides what is written; `passed` are (instant, count) of changes that went through
    unasked in the last hour.
    """

    at: datetime
    entities: int = 0
    records: int = 0
    mappings: Mapping[str, str] = field(default_factory=dict)
    push: str = ""
    lacking: tuple[str, ...] = ()
    passed: tuple[tuple[datetime, int], ...] = ()


def load_hold(c: Connection, account_pk: int) -> Hold | None:
    """Return what is held for an account, None where nothing is."""
    found = _load(c, f"held:{account_pk}")
    if found is None:
        return None
    since, counted_at = instant(found["since"]), instant(found["counted_at"])
    assert since is not None
    return Hold(
        **{
            **found,
            "since": since,
            "counted_at": counted_at,
            "changes": _digests(found["changes"]),
        }
    )


def save_hold(c: Connection, account_pk: int, hold: Hold | None) -> None:
    """Note what is held for an account; None lets go of it."""
    if hold is None:
        c.execute(delete(meta).where(meta.c.key == f"held:{account_pk}"))
        return
    values = {name: getattr(hold, name) for name in Hold.__slots__}
    values |= {
        "since": micros(hold.since),
        "counted_at": micros(hold.counted_at),
        "changes": _text(hold.changes),
    }
    _save(c, f"held:{account_pk}", values)


def load_approved(c: Connection, account_pk: int) -> frozenset[bytes]:
    """Return the changes that a person approved."""
    return _digests(_load(c, f"approved:{account_pk}") or "")


def approve(c: Connection, account_pk: int, hold: Hold) -> None:
    """Let exactly the changes of a hold go, besides what was approved before."""
    _save(c, f"approved:{account_pk}", _text(load_approved(c, account_pk) | hold.changes))


def forget_approved(c: Connection, account_pk: int) -> None:
    """Forget what was approved, since it has been carried out."""
    c.execute(delete(meta).where(meta.c.key == f"approved:{account_pk}"))


def load_delivered(c: Connection, account_pk: int) -> Delivered | None:
    """Return how things stood after the last delivery, None before the first."""
    found = _load(c, f"delivered:{account_pk}")
    if found is None:
        return None
    at = instant(found["at"])
    assert at is not None
    passed = tuple((when, n) for micro, n in found["passed"] if (when := instant(micro)) is not None)
    return Delivered(**{**found, "at": at, "lacking": tuple(found["lacking"]), "passed": passed})


def save_delivered(c: Connection, account_pk: int, delivered: Delivered) -> None:
    """Note how things stand after a delivery."""
    values = {name: getattr(delivered, name) for name in Delivered.__slots__}
    passed = [(micros(at), n) for at, n in delivered.passed]
    _save(c, f"delivered:{account_pk}", {**values, "at": micros(delivered.at), "passed": passed})


def queue_state(c: Connection, target: int) -> tuple[int, int]:
    """Return how many people wait in a queue, and the newest wish."""
    count, last = c.execute(
        select(func.count(), func.max(touched.c.seq)).where(touched.c.target == target)
    ).one()
    return int(count), int(last or 0)


def queued(
    c: Connection, target: int, *, after: tuple[int, str], until: int, limit: int
) -> list[tuple[int, str]]:
    """Return up to `limit` wishes (seq, person) after one and up to the seq `until`, oldest first."""
    query = (
        select(touched.c.seq, touched.c.person_id)
        .where(
            touched.c.target == target,
            touched.c.seq >= after[0],
            touched.c.seq <= until,
            tuple_(touched.c.seq, touched.c.person_id) > after,
        )
        .order_by(touched.c.seq, touched.c.person_id)
        .limit(limit)
    )
    return [(row.seq, row.person_id) for row in c.execute(query)]


def contact_count(c: Connection, account_pk: int) -> int:
    """Return how many contacts of an account are known."""
    query = select(func.count()).select_from(node).where(node.c.contact_of == account_pk)
    return int(c.execute(query).scalar_one())


def marks(c: Connection) -> tuple[int, int]:
    """Return the newest keys of entities and records."""
    newest = [c.execute(select(func.max(table.c.pk))).scalar() or 0 for table in (entity, record)]
    return newest[0], newest[1]


def with_news(c: Connection, person_ids: Iterable[str], after: int) -> set[str]:
    """Return those of the people who took part in an interaction that was first seen after an entity's key."""
    query = (
        select(node.c.person_id, entity.c.type)
        .distinct()
        .join(participation, participation.c.node_key == node.c.key)
        .join(entity, entity.c.entity_id == participation.c.entity_id)
        .where(among(node.c.person_id, person_ids), entity.c.pk > after)
    )
    return {person_id for person_id, kind in c.execute(query).all() if kind == "interaction"}


def filled_count(c: Connection, account_pk: int, stream: str, name: str) -> int:
    """Return how many contacts of an account hold a value that we wrote into a field."""
    query = (
        select(func.count())
        .select_from(field_ledger)
        .where(
            field_ledger.c.account_pk == account_pk,
            field_ledger.c.stream == stream,
            field_ledger.c.field == name,
            field_ledger.c.sent.not_in(NOTHING),
        )
    )
    return int(c.execute(query).scalar_one())


def deleted_since(c: Connection, after: int) -> list[tuple[int, str, int]]:
    """Return (account, stream, count) of objects that went after a record's key, most first."""
    query = (
        select(entity.c.account_pk, entity.c.stream, func.count().label("objects"))
        .where(entity.c.deleted.is_(True), entity.c.record_pk > after)
        .group_by(entity.c.account_pk, entity.c.stream)
    )
    found = [(row.account_pk, row.stream, int(row.objects)) for row in c.execute(query)]
    return sorted(found, key=lambda one: (-one[2], one[1]))


def raw_contacts(c: Connection, account_pk: int, stream: str, ids: Iterable[str]) -> dict[str, Any]:
    """Return the newest stored body of each of these contacts, as far as it is kept in the database."""
    query = (
        select(entity.c.ext_id, record.c.body)
        .join(record, record.c.pk == entity.c.record_pk)
        .where(
            entity.c.account_pk == account_pk,
            entity.c.stream == stream,
            entity.c.part == 0,
            among(entity.c.ext_id, ids),
            record.c.is_json.is_(True),
            record.c.body.is_not(None),
        )
    )
    return {row.ext_id: orjson.loads(row.body) for row in c.execute(query)}


def _load(c: Connection, key: str) -> Any:
    found = c.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    return None if found is None else orjson.loads(found)


def _save(c: Connection, key: str, value: Any) -> None:
    row = {"key": key, "value": orjson.dumps(value).decode()}
    upsert(c, meta, [row], conflict=["key"], update=["value"])


def _text(digests: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(digests))).decode()


def _digests(text: str) -> frozenset[bytes]:
    joined = base64.b64decode(text)
    return frozenset(joined[start : start + DIGEST] for start in range(0, len(joined), DIGEST))
