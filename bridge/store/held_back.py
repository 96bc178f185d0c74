"""Whom the last look at them left unwritten in a CRM, and why, until they are looked at again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select

from bridge.store.among import among
from bridge.store.database import upsert
from bridge.store.tables import held_back, journey, touched


class HeldBack(NamedTuple):
    """Somebody who is held back: id, what they are called, why."""

    person_id: str
    name: str
    reason: str


def note_held(c: Connection, account_pk: int, looked: Iterable[str], reasons: Mapping[str, str]) -> None:
    """Note which of the people who were `looked` at for an account are held back, with the reasons; no others are."""
    people = set(looked)
    c.execute(
        delete(held_back).where(held_back.c.account_pk == account_pk, among(held_back.c.person_id, people))
    )
    rows = [
        {"account_pk": account_pk, "person_id": one, "reason": reasons[one]}
        for one in sorted(people & reasons.keys())
    ]
    upsert(c, held_back, rows, conflict=["account_pk", "person_id"], update=["reason"])


def held_reasons(c: Connection, account_pk: int) -> dict[str, int]:
    """
    Return how many are held back for each reason, the rarest first; whoever is queued is looked at anew.

    All are counted and then the queued ones, which takes half as long as to ask of each whether they are.
    """
    count = select(held_back.c.reason, func.count()).where(held_back.c.account_pk == account_pk)
    left = {row[0]: row[1] for row in c.execute(count.group_by(held_back.c.reason))}
    queued = count.join(touched, touched.c.person_id == held_back.c.person_id)
    queued = queued.where(touched.c.target == account_pk).group_by(held_back.c.reason)
    for reason, some in c.execute(queued):
        left[reason] -= some
    return {reason: left[reason] for reason in sorted(left, key=lambda one: (left[one], one)) if left[reason]}


def held_people(
    c: Connection, account_pk: int, reasons: Mapping[str, int], *, limit: int | None = None
) -> list[HeldBack]:
    """
    Return who is held back for these reasons, in the order of the reasons; all of them where `limit` is None.

    So a reason that many share hides nobody who has one of their own.
    """
    queued = select(touched.c.seq).where(
        touched.c.target == account_pk, touched.c.person_id == held_back.c.person_id
    )
    query = (
        select(held_back.c.person_id, journey.c.name, held_back.c.reason)
        .outerjoin(journey, journey.c.person_id == held_back.c.person_id)
        .where(held_back.c.account_pk == account_pk, ~queued.exists())
        .order_by(held_back.c.person_id)
    )
    if limit is None:  # in one query, as there can be as many reasons as people
        place = {reason: rank for rank, reason in enumerate(reasons)}
        rows = sorted(c.execute(query).all(), key=lambda row: (place[row.reason], row.person_id))
        return [HeldBack(row.person_id, row.name or "", row.reason) for row in rows]
    found: list[HeldBack] = []
    for reason in reasons:
        if len(found) == limit:
            break
        for row in c.execute(query.where(held_back.c.reason == reason).limit(limit - len(found))):
            found.append(HeldBack(row.person_id, row.name or "", reason))
    return found
