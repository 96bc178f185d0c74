"""How far a change of identity reaches: everybody whom linking handles and decisions connect to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sqlalchemy import Connection

from bridge.journey.identity import Decision, Rules
from bridge.store.decisions import decisions_on
from bridge.store.people import StoredNode, load_nodes, places
from bridge.store.reach import reach


class Spread:
    """
    The component of a change, as the store and the change have it together.

    A handle that too many carry, before and after, connects nobody, so that it is not followed: `shared`
    holds those. `gone` are nodes that leave, `merged` those of them that went into another, `decided` records
    of which something was decided.
    """

    def __init__(
        self,
        c: Connection,
        rules: Rules,
        *,
        gone: frozenset[str] = frozenset(),
        merged: Mapping[str, str] = MappingProxyType({}),
        decided: frozenset[str] = frozenset(),
    ) -> None:
        self.shared: set[str] = set()
        self.decisions: dict[str, Decision] = {}
        self._c = c
        self._rules = rules
        self._gone = gone
        self._merged = merged
        self._changed: dict[str, StoredNode] = {}
        self._ahead: set[str] = set()
        self._spoken_of: set[str] = {*gone, *merged.values(), *decided}

    def left(self, before: StoredNode) -> None:
        """Start from a node that leaves."""
        self._ahead |= self._linking(before)

    def changed(self, before: StoredNode | None, now: StoredNode) -> None:
        """Start from a node that came or changed."""
        self._changed[now.key] = now
        self._ahead |= self._linking(now)
        if before is not None:
            self._ahead |= self._linking(before)

    def component(self, after: Mapping[str, StoredNode]) -> dict[str, StoredNode]:
        """
        Return every node that is connected to where it started, in its state after the change.

        The store is walked in one query; what is left to walk is what only the change and decisions connect.
        """
        component = dict(self._changed)
        ahead, asked = self._ahead, set[str]()
        spoken_of, heard = self._spoken_of | component.keys(), set[str]()
        while ahead or spoken_of:
            if ahead:
                ahead = (ahead | reach(self._c, ahead, self._rules)) - asked
            asked |= ahead
            heard |= spoken_of
            decided = self._decided(spoken_of)
            keys = (self._carriers(ahead, after) | decided) - component.keys() - self._gone
            fresh = {key: after[key] for key in keys & after.keys()}
            fresh |= load_nodes(self._c, keys - after.keys())
            component |= fresh
            ahead = {key for stored in fresh.values() for key in self._linking(stored)} - asked
            spoken_of = (fresh.keys() | decided) - heard
        return component

    def _linking(self, stored: StoredNode) -> set[str]:
        counts = self._rules.counts
        return {key for key, (handle, _) in stored.handles.items() if counts(handle)}

    def _decided(self, keys: set[str]) -> set[str]:
        """Return the records that the decisions on these speak of."""
        fresh = decisions_on(self._c, keys, self._merged) if keys else {}
        self.decisions |= fresh
        return {key for one in fresh.values() for key in one.keys}

    def _carriers(self, handles: set[str], after: Mapping[str, StoredNode]) -> set[str]:
        """
        Return who carried these handles before the change, without those that too many carry before and after.

        Who carries one only since the change is part of it anyway.
        """
        if not handles:
            return set()
        limit = self._rules.records_per_handle
        found: set[str] = set()
        for key, before in places(self._c, handles, at_most=limit + len(self._gone) + len(after)).items():
            if len(before) > limit and self._count(key, before, after) > limit:
                self.shared.add(key)
            else:
                found.update(before)
        return found

    def _count(self, handle: str, before: Iterable[str], after: Mapping[str, StoredNode]) -> int:
        """Return how many carry a handle after the change."""
        stay = sum(one not in self._gone and one not in after for one in before)
        return stay + sum(handle in stored.handles for stored in after.values())
