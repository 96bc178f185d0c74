"""Which fields we filled with an address or number that turned out to be somebody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection as Transaction

from bridge.model import Json
from bridge.store import people
from bridge.store.people import StoredNode
from bridge.sync.delivery.plan_values import PersonState

KINDS = ("email", "phone")


def with_foreign(
    c: Transaction, states: Sequence[PersonState], nodes: Mapping[str, Sequence[StoredNode]]
) -> list[PersonState]:
    """
    Return the states with those of their contact's fields that hold what a sender of another person writes from.

    Such a value would go on speaking for this contact, though only a decision that was taken back put it there.
    """
    found: dict[str, dict[str, str]] = {}
    for state in states:
        if len(state.contacts) == 1 and state.written:
            doubtful = _doubtful(nodes[state.person_id])
            for name, before in state.written.items():
                for value in {_bare(before.sent), _bare(before.as_read)} & doubtful.keys():
                    found.setdefault(state.person_id, {})[name] = doubtful[value]
    if not found:
        return list(states)
    keys = {key for names in found.values() for key in names.values()}
    carriers = people.load_nodes(c, people.carriers(c, keys)).values()
    theirs = {key for one in carriers if one.contact_of is None for key in one.handles}
    return [
        replace(state, foreign=frozenset(name for name, key in names.items() if key in theirs))
        if (names := found.get(state.person_id))
        else state
        for state in states
    ]


def _doubtful(nodes: Sequence[StoredNode]) -> dict[str, str]:
    """Return the addresses and numbers, with their keys, that contacts of a person carry and none of its senders."""
    own = {key for one in nodes if one.contact_of is None for key in one.handles}
    return {
        _bare(handle.value): key
        for one in nodes
        if one.contact_of is not None
        for key, (handle, made) in one.handles.items()
        if not made and handle.kind in KINDS and key not in own
    }


def _bare(value: Json) -> str:
    return "".join(filter(str.isalnum, value.casefold())) if isinstance(value, str) else ""
