"""The associations between the records of a HubSpot account."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from bridge_hubspot.sandbox_catalog import LINK_TYPES, PRIMARY_TYPES


class End(NamedTuple):
    """One end of a link: an object type's name and a record id."""

    kind: str
    id: str


class Links:
    """Every link is kept from both ends, with the type ids seen from each."""

    def __init__(self) -> None:
        self._from: dict[End, dict[End, set[int]]] = defaultdict(dict)

    def add(self, source: End, target: End, type_id: int | None = None) -> None:
        """
        Link two records.

        `type_id` None makes the plain link. The first company of a contact or deal becomes its
        primary one, and a new primary one takes that from the last. Raises KeyError for a type
        that does not exist between the two.
        """
        pair = (source.kind, target.kind)
        plain = LINK_TYPES[pair]
        primary = PRIMARY_TYPES.get(pair)
        if type_id is None:
            type_id = plain[0]
        if type_id != plain[0] and (primary is None or type_id != primary[0]):
            raise KeyError(type_id)
        self._set(source, target, plain)
        if primary is not None:
            owner, company = (target, source) if source.kind == "companies" else (source, target)
            mark = PRIMARY_TYPES[owner.kind, "companies"]
            if type_id == primary[0]:
                for other in self.of(owner, "companies"):
                    self._unset(owner, other, mark)
            if type_id == primary[0] or self.primary(owner) is None:
                self._set(owner, company, mark)

    def remove(self, source: End, target: End, type_id: int | None = None) -> None:
        """Remove a link, or only its type `type_id`; removing what is not there does nothing."""
        if target not in self._from.get(source, {}):
            return
        primary = PRIMARY_TYPES.get((source.kind, target.kind))
        if type_id is not None and primary is not None and type_id == primary[0]:
            self._unset(source, target, primary)
            return
        if type_id is not None and type_id not in self._from[source][target]:
            return
        del self._from[source][target]
        self._from[target].pop(source, None)

    def of(self, source: End, kind: str) -> dict[End, set[int]]:
        """Return the links of a record to one object type, oldest id first."""
        found = {end: types for end, types in self._from.get(source, {}).items() if end.kind == kind}
        return dict(sorted(found.items(), key=lambda link: int(link[0].id)))

    def primary(self, owner: End) -> End | None:
        """Return the primary company of a contact or deal."""
        mark = PRIMARY_TYPES[owner.kind, "companies"][0]
        return next((end for end, types in self.of(owner, "companies").items() if mark in types), None)

    def move(self, old: End, new: End) -> None:
        """Give every link of `old` to `new`; the primary company first, so that it stays the primary one."""
        primary = self.primary(old) if (old.kind, "companies") in PRIMARY_TYPES else None
        for target in sorted(self._from.pop(old, {}), key=lambda end: end != primary):
            self._from[target].pop(old, None)
            if target != new:
                self.add(new, target)

    def drop(self, end: End) -> None:
        """Forget every link of a record that is purged."""
        for target in self._from.pop(end, {}):
            self._from[target].pop(end, None)

    def _set(self, source: End, target: End, types: tuple[int, int]) -> None:
        self._from[source].setdefault(target, set()).add(types[0])
        self._from[target].setdefault(source, set()).add(types[1])

    def _unset(self, source: End, target: End, types: tuple[int, int]) -> None:
        self._from[source].get(target, set()).discard(types[0])
        self._from[target].get(source, set()).discard(types[1])
