"""Two entries of ours that turn out to tell the same: the one that a person made something of is the one to keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as Keys

from bridge.store.holds import EDITED, MOVED
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
    Return, for interactions of an untouched entry, the ids under which a touched one tells them all.

    `entry_of` says where interactions stand, `doubles` where they stand under an id from before they were found to
    be the same, `former` what such an id became, `members` what entries tell, `held` why one stays as it is. What is
    in `fixed` is about to change.
    """
    found: dict[str, str] = {}
    for old, key in sorted(doubles.items()):
        now = former[old]
        untouched = entry_of.get(now, key)
        if untouched == key or now in found or held.get(key) not in (EDITED, MOVED):
            continue
        inside = members.get(untouched, ())
        told = {former[one]: one for one, where in sorted(doubles.items()) if where == key}
        if (
            inside
            and told.keys() >= {*inside}
            and untouched not in held
            and fixed.isdisjoint((untouched, key))
        ):
            found |= {one: told[one] for one in inside}
    return found


def keep_touched(runtime: Runtime, connection: Connection, states: Sequence[PersonState]) -> None:
    """Let what stands in untouched entries stand in the touched ones instead; the former are doubles from then on."""
    pairs = {now: old for state in states for now, old in state.twins.items()}
    account_pk = connection.account_pk
    assert account_pk is not None
    if pairs:
        runtime.writer.run(lambda c: swap_members(c, account_pk, pairs), priority=Priority.DELIVERY)
