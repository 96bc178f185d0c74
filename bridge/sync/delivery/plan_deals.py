"""Which deal an entry belongs to: when it is written, and again when it moves to another contact."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from bridge.sync.delivery.plan_values import Deal, PersonState, Shown


def deal_at(deals: Sequence[Deal], at: datetime) -> str | None:
    """Return the only deal that was open at that time, None when there is none or more than one."""
    found = [
        deal.id
        for deal in deals
        if (deal.created_at is None or deal.created_at <= at)
        and (at <= deal.closed_at if deal.closed_at is not None else deal.is_open)
    ]
    return found[0] if len(found) == 1 else None


def deal_of(state: PersonState, entity_ids: Collection[str], at: datetime) -> str | None:
    """Return the deal of an entry: the only one open at that time, else the one on which its thread stands so far."""
    found = deal_at(state.deals, at)
    if found is not None or len(state.deals) < 2:
        return found
    threads = {
        (one.body.get("channel"), one.body["thread_id"])
        for one in state.interactions
        if one.entity_id in entity_ids and one.body.get("thread_id")
    }
    stand_on = {
        deal
        for one in state.interactions
        if (one.body.get("channel"), one.body.get("thread_id")) in threads
        for deal in state.deals_of.get(state.entry_of.get(one.entity_id, ""), ())
    }
    known = stand_on & {deal.id for deal in state.deals}
    return known.pop() if len(known) == 1 else None


def deals_on_a_move(state: PersonState, key: str, shown: Shown | None) -> tuple[list[str], list[str]]:
    """
    Return the deals that an entry leaves as it moves, and the one it comes to.

    Neither, where a person in the CRM put it on another deal, or took it off the one we chose.
    """
    ours = state.deals_of.get(key, frozenset())
    held = {one.entity_id: one for one in state.interactions if state.entry_of.get(one.entity_id) == key}
    times = [datetime.fromisoformat(one.body["occurred_at"]) for one in held.values()]
    if shown is None or shown.deals is None or not times:
        return [], []
    if shown.deals - ours or (ours and not shown.deals):
        return [], []
    wanted = deal_of(state, held, min(times))
    return sorted(ours - {wanted}), [wanted] if wanted is not None and wanted not in shown.deals else []
