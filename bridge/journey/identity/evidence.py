"""What identity is told, and what it answers: records and decisions in, persons and reasons out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bridge.journey.handles import Handle

Tier = Literal["decision", "merged", "certain", "whatsapp", "email", "phone", "used"]
"""What joined two records, strongest first; `used` is which contact was used for somebody so far."""

Reason = Literal["shared", "contested", "unnamed", "claimed", "two_records", "kept_apart", "oversize"]
"""
Why evidence was not used, or not between all who carry it:

- shared: too many carry it;
- contested: people of incompatible names carry it;
- unnamed: a landline or the like, which counts only where names agree;
- claimed: somebody typed it in, and the configuration wants more than that;
- two_records: it would join two contacts of one CRM, or two ids of one platform;
- kept_apart: a person decided so;
- oversize: one person would have too many addresses.
"""

TIERS: tuple[Tier, ...] = ("certain", "whatsapp", "email", "phone", "used")
"""The tiers of handles, in the order in which they are closed."""

_TIER_OF_KIND: dict[str, Tier] = {
    "whatsapp_id": "whatsapp",
    "email": "email",
    "phone": "phone",
    "used": "used",
}

LINKING = frozenset({"certain", "strong", "guarded"})
"""Strengths of handles that can join two records."""

_EXCLUSIVE_KINDS = frozenset({"whatsapp_bsuid", "tax_id", "customer_number"})
"""Kinds of which one person has one value in a scope, unless a succession of ids joins two."""


def tier_of(handle: Handle) -> Tier:
    """Return the tier in which a handle counts."""
    return _TIER_OF_KIND.get(handle.kind, "certain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """
    One record of one source, or one sender of one channel.

    `contact_of` is the account key of the CRM whose contact it is, None for anything else and for contacts of
    our making. `aliases` are keys of records that its CRM merged into it. `since` is when its source made it,
    as that source asserts, in microseconds UTC. `legal` says that `name` was given as a person's name (a CRM's
    field, a form), not as a nickname. `claimed` are the keys of handles that somebody only typed in.
    """

    key: str
    handles: tuple[Handle, ...] = ()
    contact_of: str | None = None
    aliases: tuple[str, ...] = ()
    since: int | None = None
    name: str | None = None
    legal: bool = False
    claimed: frozenset[str] = frozenset()

    @property
    def platforms(self) -> set[str]:
        """Return the platforms on which it has an id, where a person has one."""
        found: set[str] = set()
        for handle in self.handles:
            if handle.kind in _EXCLUSIVE_KINDS:
                found.add(f"{handle.kind}:{handle.scope}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    A person's word on who is who, by record keys: they may be of records that do not exist, or not yet.

    `link` says that all of `records` are one person. `split` says that nobody in `records` is anybody in
    `others`. `at` is in microseconds UTC; of two that contradict each other the newer holds.
    """

    id: str
    kind: Literal["link", "split"]
    records: frozenset[str]
    others: frozenset[str] = frozenset()
    at: int = 0
    author: str = ""
    reason: str = ""

    @property
    def keys(self) -> frozenset[str]:
        """Return all record keys that it speaks of."""
        return self.records | self.others


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    What the configuration says of evidence.

    `blocked` are handle keys, and `@domain` for all addresses of a domain, that tell nothing; a number stands for
    all its extensions.
    `contacts_per_handle` is on how many contacts of one CRM a handle may stand before it links nobody,
    `records_per_handle` on how many records of any kind. The other numbers cap one person.
    """

    blocked: frozenset[str] = frozenset()
    claims_link: bool = True
    contacts_per_handle: int = 3
    records_per_handle: int = 200
    emails: int = 10
    phones: int = 10
    platform_ids: int = 10

    def counts(self, handle: Handle) -> bool:
        """Tell whether a handle may join anybody at all."""
        if handle.strength not in LINKING:
            return False
        if not self.blocked:
            return True
        if handle.kind == "email" and "@" + handle.value.partition("@")[2] in self.blocked:
            return False
        if handle.kind == "phone" and handle.key.partition(";")[0] in self.blocked:
            return False
        return handle.key not in self.blocked


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Applied:
    """Evidence that joined nodes: a handle's key, the key of a merged record, or a decision's id."""

    tier: Tier
    handle: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Withheld:
    """Evidence that would join nodes and was not used, or not between all of them."""

    reason: Reason
    handle: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """
    Every node's person, and why.

    `candidates` holds, for each node whose person has no contact in a CRM where withheld evidence points to
    some, those contacts. `overruled` are the decisions that a newer one contradicts. All tuples are sorted.
    """

    person_of: Mapping[str, str]
    applied: tuple[Applied, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overruled: tuple[str, ...] = ()


def connections(node: Node, rules: Rules) -> Iterator[str]:
    """Yield the keys by which a node can be connected to others: its own, merged ones, joining handles."""
    yield f"record:{node.key}"
    for alias in node.aliases:
        yield f"record:{alias}"
    for handle in node.handles:
        if rules.counts(handle):
            yield handle.key
