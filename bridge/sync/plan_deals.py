"""Which deal an entry belongs to: when it is written, and again when it moves to another contact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bridge.sync.plan_values import Deal, PersonState, Shown


def deal_at(deals: Sequence[Deal], at: datetime) -> str | None:
    """Return the only deal that was open at that time, None when there is none or more than one."""
    found = [
        deal.id
        for deal in deals
        if (deal.created_at is None or deal.created_at <= at)
        and (at <= deal.closed_at if deal.closed_at is not None else deal.is_open)
    ]
    return found[0] if len(found) == 1 else None


def deals_on_a_move(state: PersonState, key: str, shown: Shown | None) -> tuple[list[str], list[str]]:
    """
    Return the deals that an entry leaves as it moves, and the one it comes to.

    Neither, where a person in the CRM put it on another deal, or took it off the one we chose.
    """
    ours = state.deals_of.get(key, frozenset())
    times = [
        datetime.fromisoformat(one.body["occurred_at"])
        for one in state.interactions
        if state.entry_of.get(one.entity_id) == key
    ]
    if shown is None or shown.deals is None or not times:
        return [], []
    if shown.deals - ours or (ours and not shown.deals):
        return [], []
    wanted = deal_at(state.deals, min(times))
    return sorted(ours - {wanted}), [wanted] if wanted is not None and wanted not in shown.deals else []
