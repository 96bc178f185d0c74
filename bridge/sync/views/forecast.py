"""How far the call budgets of an account reach: what was used, what is left to do, how long it takes at this pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.budgets import LONG
from bridge.budgets.book import TOLD_HOLDS, Row, span_of
from bridge.budgets.windows import our_limit
from bridge.connector import Budget
from bridge.store.database import instant, micros
from bridge.store.tables import receipt, touched
from bridge.sync.runtime import Connection

HOUR = 3600
FULL_PACE = 1800
"""Seconds that work must go on before its pace tells anything."""

RECEIPTS = 5000
"""Writes that are looked at for the pace of the last hour."""


def budgets_now(
    connection: Connection, rows: Mapping[tuple[str, str], Row], now: datetime, *, past: bool
) -> list[dict[str, Any]]:
    """
    Return how each long budget of an account stands.

    `used` of `limit` (the vendor's) counts `by_others`, which is None where the vendor does not tell; `ours` is how
    much may be used in all before we stop. `last_hour` is what we used in it, None where we were not at work for
    long enough. `waits` names what must wait until `waits_until`: news, writes, or only `past`, the past that is
    still being read, if there is any.
    """
    if connection.session is None or connection.account is None:
        return []
    at = int(now.timestamp())
    return [
        _stand(
            budget,
            connection.session.share,
            connection.account.time_zone,
            rows.get((connection.account_key, budget.name), Row()),
            at,
            past=past,
        )
        for budget in connection.session.budgets
        if budget.seconds >= LONG
    ]


def _stand(
    budget: Budget, share: float, zone: str | None, row: Row, at: int, *, past: bool
) -> dict[str, Any]:
    span = span_of(budget, zone, at)
    told = row.told if row.told and row.told.at >= span.since else None
    ours = span.used(row)
    others = told.others if told else None
    limit = row.told.allowed if row.told else budget.calls
    ends = at + span.wait(row, at)
    until: int | None = None
    waits: list[str] = []
    if row.blocked_until > at:
        until, waits = row.blocked_until, ["news", "writes", "past"]
    elif ours >= our_limit(budget, share, told, at, since=span.since):
        alone = ours >= int(limit * share)
        until = ends if alone or told is None else min(ends, told.at + TOLD_HOLDS)
        waits = ["news", "writes", "past"]
    elif past and ours >= our_limit(budget, share, told, at, since=span.since, past=True):
        until, waits = ends, ["past"]
    return {
        "name": budget.name,
        "unit": budget.unit,
        "used": min(limit, ours + (others or 0)),
        "by_others": others,
        "limit": limit,
        "ours": int(limit * share),
        "begins_anew": _text(span.ends),
        "last_hour": _last_hour(row, at),
        "waits": [what for what in waits if past or what != "past"],
        "waits_until": _text(until),
    }


def _last_hour(row: Row, at: int) -> int | None:
    lately = {start: used for start, used in row.slots.items() if at - HOUR <= start <= at}
    return sum(lately.values()) if lately and min(lately) <= at - FULL_PACE else None


def left_to_do(
    c: Transaction,
    account_pk: int,
    *,
    push: bool,
    writes: Mapping[str, int],
    past: Sequence[Mapping[str, Any]],
    budgets: Sequence[Mapping[str, Any]],
    now: datetime,
) -> dict[str, Any]:
    """
    Return what is left: people to look at, writes that are open, the streams whose `past` is being read.

    Where nothing is written (no `push`), nobody is looked at until that changes, and `people` is 0.
    `estimate` tells at most how many hours the people take, and the part of each budget's limit, at the pace of the
    last hour; None where that hour tells no pace. How much of a past is left no vendor tells: what was read of it is
    counted.
    """
    query = select(func.count()).select_from(touched).where(touched.c.target == account_pk)
    people = int(c.execute(query).scalar_one()) if push else 0
    hours = _hours(c, account_pk, people, now)
    return {
        "people": people,
        "writes": writes.get("open", 0) + writes.get("uncertain", 0),
        "past": [{"stream": one["name"], "read": one["read"]} for one in past],
        "estimate": None
        if hours is None
        else {
            "hours": round(hours, 2),
            "budgets": {
                one["name"]: {
                    "calls": round(one["last_hour"] * hours),
                    "part": round(one["last_hour"] * hours / one["limit"], 3),
                }
                for one in budgets
                if one["last_hour"] is not None
            },
        },
    }


def _hours(c: Transaction, account_pk: int, people: int, now: datetime) -> float | None:
    """Return how long the queue takes at the pace at which people were written lately, None if that tells nothing."""
    if not people:
        return None
    written = c.execute(
        select(receipt.c.person_id, receipt.c.at)
        .where(receipt.c.account_pk == account_pk)
        .order_by(receipt.c.pk.desc())
        .limit(RECEIPTS)
    ).all()
    present = micros(now) or 0
    lately = [row for row in written if present - HOUR * 1_000_000 <= row.at <= present]
    oldest = min((row.at for row in lately), default=present)
    whole = len(lately) == RECEIPTS
    if not whole and present - oldest < FULL_PACE * 1_000_000:
        return None
    span = (present - oldest) / (HOUR * 1_000_000) if whole else 1.0
    return people * max(span, 1 / HOUR) / len({row.person_id for row in lately})


def _text(at: int | None) -> str | None:
    value = instant(at * 1_000_000) if at is not None else None
    return value.isoformat().replace("+00:00", "Z") if value else None
