"""What a reconciliation finds: counts that add up, and drifts with their remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 5
"""Examples of a drift that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Something that should not be: `what` happened to how many, and what to do; `repair` where we surely may."""

    what: str
    count: int
    examples: tuple[str, ...] = ()
    remedy: str = ""
    repair: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "what": self.what,
            "count": self.count,
            "examples": list(self.examples),
            "remedy": self.remedy,
            "repair": self.repair,
        }


@dataclass(slots=True, kw_only=True)
class Stream:
    """
    One stream of an account: objects at the source (None where it cannot be listed), and as they are stored.

    `unread` stand at the source only, `vanished` in the store only; `ours` were written by us and not read back
    yet, `merged` were merged into others, `archived` are entries that we archived and that were not read since. `note`
    says why the source was not counted.
    """

    name: str
    source: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    ours: int = 0
    merged: int = 0
    archived: int = 0
    note: str = ""

    @property
    def stored(self) -> int:
        """How many objects the store takes for present: mapped, skipped, rejected and waiting."""
        return sum(count for word, count in self.counts.items() if word != "deleted")

    @property
    def adds_up(self) -> bool:
        """Whether source = stored - merged - archived - vanished + unread + ours."""
        left = self.stored - self.merged - self.archived - len(self.vanished) + len(self.unread) + self.ours
        return self.source is None or self.source == left

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        words = ("mapped", "skipped", "rejected", "waiting", "deleted")
        return {
            "name": self.name,
            "source": self.source,
            "stored": self.stored,
            **{word: self.counts.get(word, 0) for word in words},
            "rules": self.rules,
            "ours": self.ours,
            "merged": self.merged,
            "archived": self.archived,
            "unread": list(self.unread),
            "vanished": list(self.vanished),
            "note": self.note,
            "adds_up": self.adds_up,
        }


@dataclass(slots=True, kw_only=True)
class Sum:
    """A whole and what it is made of."""

    name: str
    total: int
    parts: Counter[str] = field(default_factory=Counter)

    @property
    def adds_up(self) -> bool:
        return self.total == sum(self.parts.values())

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"total": self.total, "parts": dict(self.parts), "adds_up": self.adds_up}


@dataclass(slots=True, kw_only=True)
class Repairs:
    """
    What is surely ours to repair.

    `merged` are (stream, old id, new id); `orphans` interactions by the key of an entry that stands
    nowhere; `unplanned` people with something to write whom no queue holds.
    """

    merged: list[tuple[str, str, str]] = field(default_factory=list)
    orphans: dict[str, list[str]] = field(default_factory=dict)
    unplanned: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found about one connection."""

    connection: str
    account: str
    streams: list[Stream] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    repairs: Repairs = field(default_factory=Repairs)
    repaired: list[str] = field(default_factory=list)

    @property
    def off(self) -> list[str]:
        """The streams and sums whose numbers do not add up."""
        streams = [one.name for one in self.streams if not one.adds_up]
        return streams + [one.name for one in self.sums if not one.adds_up]

    @property
    def sound(self) -> bool:
        """Whether every sum holds and nothing drifted."""
        return not self.drifts and not self.off

    def drift(self, what: str, found: Sequence[str], remedy: str, *, repair: bool = False) -> None:
        """Note a drift of these objects, if there are any."""
        if found:
            examples = tuple(found[:SHOWN])
            self.drifts.append(
                Drift(what=what, count=len(found), examples=examples, remedy=remedy, repair=repair)
            )

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "connection": self.connection,
            "account": self.account,
            "sound": self.sound,
            "streams": [one.as_json() for one in self.streams],
            "sums": {one.name: one.as_json() for one in self.sums},
            "drifts": [one.as_json() for one in self.drifts],
            "repaired": self.repaired,
        }
