"""What must be so when the chaos is over: what was said, and what people did in the CRM."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

WORD = re.compile(r"\bm[0-9]+\b")


@dataclass(slots=True, kw_only=True)
class Said:
    """One interaction: who, on which handles, what it says by now; `removed` by its sender, `sent` to the channel."""

    number: int
    handles: tuple[str, ...]
    at: str
    mail: bool
    outbound: bool = False
    version: int = 1
    removed: bool = False
    twin: bool = False

    @property
    def word(self) -> str:
        return f"m{self.number}"


@dataclass(slots=True, kw_only=True)
class Truth:
    """What must be so in the end; entries by (stream, id), contacts by the id that stands for them now."""

    said: dict[int, Said] = field(default_factory=dict)
    deleted: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    typed: dict[str, tuple[str, str]] = field(default_factory=dict)
    moved: dict[tuple[str, str], str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    corrected: set[str] = field(default_factory=set)
    merged: dict[str, str] = field(default_factory=dict)
    perhaps: set[str] = field(default_factory=set)
    born: dict[str, set[str]] = field(default_factory=dict)

    def contact(self, id: str) -> str:
        """Return the contact that an id stands for after merges."""
        while id in self.merged:
            id = self.merged[id]
        return id
