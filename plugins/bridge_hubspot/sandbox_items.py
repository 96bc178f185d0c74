"""One record of the stand-in of HubSpot, its history, and a write that was found good but is not made yet."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from bridge_hubspot.sandbox_catalog import OWNERS, Kind
from bridge_hubspot.sandbox_links import End


class Origin(NamedTuple):
    """Who sets a value, as histories tell it: which way, by which app or user; what is worked out has neither."""

    type: str
    id: str = ""
    user_id: int | None = None

    @classmethod
    def user(cls, id: int) -> Origin:
        """Return somebody at the screen."""
        return cls("CRM_UI", f"userId:{id}", id)


API = Origin("INTEGRATION", "5670736")
PERSON = Origin.user(OWNERS[0].user_id)
WORKED_OUT = Origin("CALCULATED")


class Change(NamedTuple):
    """One value a property has had, since when, and who set it."""

    value: str
    at: datetime
    origin: Origin


@dataclass(slots=True, kw_only=True)
class Item:
    """
    One record; `history` holds every value of every property, newest first.

    Search may show it from `indexed_from` on, which for a merged one is later than `created_at`.
    """

    kind: Kind
    id: str
    created_at: datetime
    updated_at: datetime
    indexed_from: datetime
    archived_at: datetime | None = None
    properties: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[Change]] = field(default_factory=dict)

    @property
    def end(self) -> End:
        return End(self.kind.name, self.id)

    def as_of(self, moment: datetime) -> dict[str, str]:
        """Return the properties as they were at `moment`."""
        found = {}
        for name, changes in self.history.items():
            value = next((change.value for change in changes if change.at <= moment), "")
            if value:
                found[name] = value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A write that was found good but not yet made; `item` None makes a new record under `id`."""

    kind: Kind
    id: str
    item: Item | None
    values: Mapping[str, str | None]
    links: tuple[tuple[End, int], ...] = ()


Claims = MutableMapping[tuple[str, str], str]
"""(unique property, value) -> the id that holds or will hold it."""
