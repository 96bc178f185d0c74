"""How far handles reach: what their carriers carry besides, and the carriers of that, in one query."""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, false, not_, or_, select

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
    return {*handle_keys, *c.execute(_walk(rules), {"keys": keys}).scalars()}


@lru_cache(maxsize=8)
def _walk(rules: Rules) -> Select[Any]:
    start = select(node_handle.c.handle_key).where(among_bound(node_handle.c.handle_key, "keys"))
    found = start.cte("reach", recursive=True)
    mine, other, more = (node_handle.alias(name) for name in ("mine", "other", "more"))
    one_too_many = (
        select(more.c.node_key)
        .where(more.c.handle_key == found.c.handle_key)
        .offset(rules.records_per_handle)
        .limit(1)
    )
    step = (
        select(other.c.handle_key)
        .select_from(found)
        .join(mine, mine.c.handle_key == found.c.handle_key)
        .join(other, other.c.node_key == mine.c.node_key)
        .where(other.c.strength.in_(sorted(LINKING)), ~one_too_many.exists())
    )
    if rules.blocked:
        step = step.where(not_(_is_blocked(other, rules)))
    return select(found.union(step).c.handle_key)


def _is_blocked(table: FromClause, rules: Rules) -> ColumnElement[bool]:
    """Return the condition that `Rules.counts` refuses a handle for what is blocked."""
    key, kind, value = table.c.handle_key, table.c.kind, table.c.value
    starts = [key.startswith(one + ";", autoescape=True) for one in rules.blocked if one.startswith("phone:")]
    ends = [value.endswith(one, autoescape=True) for one in rules.blocked if one.startswith("@")]
    return or_(key.in_(sorted(rules.blocked)), *starts, and_(kind == "email", or_(false(), *ends)))
