"""Two entries of ours that turn out to tell the same: the one to keep is what a person touched, or did not delete."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as Keys

from bridge.store.holds import DELETED, EDITED, MOVED
from bridge.store.members import swap_members
from bridge.store.writer import Priority
from bridge.sync.delivery.plan_values import PersonState
from bridge.sync.runtime import Connection, Runtime


def touched_twins(
    entry_of: Mapping[str, str],
    doubles: Mapping[str, str],
    former: Mapping[str, str],
    members: Mapping[str, Collection[str]],
    held: Mapping[str, str],
    fixed: Keys[str],
) -> dict[str, str]:
    """
    Return, for interactions of an entry, the ids under which the one to keep tells them all.

    That is one that a person touched while the other is untouched, or that stands while the other was deleted.

    `entry_of` says where interactions stand, `doubles` where they stand under an id from before they were found to
    be the same, `former` what such an id became, `members` what entries tell, `held` why one stays as it is. What is
    in `fixed` is about to change.
    """
    found: dict[str, str] = {}
    for old, key in sorted(doubles.items()):
        now = former[old]
        other = entry_of.get(now, key)
        if other == key or now in found or not _is_better(held.get(key), held.get(other)):
            continue
        inside = members.get(other, ())
        told = {former[one]: one for one, where in sorted(doubles.items()) if where == key}
        if inside and told.keys() >= {*inside} and fixed.isdisjoint((other, key)):
            found |= {one: told[one] for one in inside}
    return found


def _is_better(one: str | None, other: str | None) -> bool:
    """Tell whether to keep the one of two entries rather than the other; both as they are held, None where not."""
    return (one in (EDITED, MOVED) and other in (None, DELETED)) or (one is None and other == DELETED)


def keep_touched(runtime: Runtime, connection: Connection, states: Sequence[PersonState]) -> None:
    """Let interactions stand in the entries to keep; those where they stood are doubles from then on."""
    pairs = {now: old for state in states for now, old in state.twins.items()}
    account_pk = connection.account_pk
    assert account_pk is not None
    if pairs:
        runtime.writer.run(lambda c: swap_members(c, account_pk, pairs), priority=Priority.DELIVERY)
