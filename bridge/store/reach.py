"""How far handles reach: what their carriers carry besides, and the carriers of that, in one query."""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, false, not_, or_, select, true

from bridge.journey.identity import LINKING, Rules
from bridge.store.among import among_bound, keys_text
from bridge.store.tables import node_handle


def reach(c: Connection, handle_keys: Set[str], rules: Rules) -> set[str]:
    """
    Return the joining handles to which these lead, from record to record, in the store as it is, and these.

    What more carry than the rules allow leads nowhere, and what they block is not followed. A database walks a
    thousand steps in the time of a dozen queries.
    """
    keys = keys_text(handle_keys)
    if keys is None:
        return {*handle_keys}
    walk = _walk(rules, by_row=c.dialect.name == "postgresql")
    return {*handle_keys, *c.execute(walk, {"keys": keys}).scalars()}


@lru_cache(maxsize=8)
def _walk(rules: Rules, *, by_row: bool) -> Select[Any]:
    """
    Return the query; `by_row` makes a database look each step up in its indexes.

    PostgreSQL would else join whole tables at every step, until it was told by its own ANALYZE how large they are:
    seconds instead of milliseconds.
    """
    start = select(node_handle.c.handle_key).where(among_bound(node_handle.c.handle_key, "keys"))
    found = start.cte("reach", recursive=True)
    mine, other, more = (node_handle.alias(name) for name in ("mine", "other", "more"))
    one_too_many = (
        select(more.c.node_key)
        .where(more.c.handle_key == found.c.handle_key)
        .offset(rules.records_per_handle)
        .limit(1)
    )
    counts: ColumnElement[bool] = other.c.strength.in_(sorted(LINKING))
    if rules.blocked:
        counts = and_(counts, not_(_is_blocked(other, rules)))
    if by_row:
        carriers = select(mine.c.node_key).where(mine.c.handle_key == found.c.handle_key).offset(0).lateral()
        led_to = select(other.c.handle_key).where(other.c.node_key == carriers.c.node_key, counts)
        ahead = led_to.offset(0).lateral()
        step = select(ahead.c.handle_key).select_from(found.join(carriers, true()).join(ahead, true()))
    else:
        carried = found.join(mine, mine.c.handle_key == found.c.handle_key)
        both = carried.join(other, other.c.node_key == mine.c.node_key)
        step = select(other.c.handle_key).select_from(both).where(counts)
    return select(found.union(step.where(~one_too_many.exists())).c.handle_key)


def _is_blocked(table: FromClause, rules: Rules) -> ColumnElement[bool]:
    """Return the condition that `Rules.counts` refuses a handle for what is blocked."""
    key, kind, value = table.c.handle_key, table.c.kind, table.c.value
    starts = [key.startswith(one + ";", autoescape=True) for one in rules.blocked if one.startswith("phone:")]
    ends = [value.endswith(one, autoescape=True) for one in rules.blocked if one.startswith("@")]
    return or_(key.in_(sorted(rules.blocked)), *starts, and_(kind == "email", or_(false(), *ends)))
