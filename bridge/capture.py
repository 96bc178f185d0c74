"""Capture rules: what of a connection may be collected, of whom, since when, at which detail."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bridge.connector import Decision
from bridge.model import Detail

OnlyWith = Literal["anyone", "contacts", "contacts_or_leads"]
Knows = Callable[[Iterable[str], bool], bool]
"""Whether any of the addresses is carried by a CRM contact, or (second argument) by a lead as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRules:
    """The `capture` block of one connection."""

    since: datetime | None = None
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    only_with: OnlyWith = "anyone"
    newsletters: Literal["skip", "keep"] = "skip"
    detail: Detail = "full"

    @property
    def restricts(self) -> bool:
        """Whether anything may be kept out, so that a body stored whole must be forgotten once read."""
        return self != CaptureRules(newsletters=self.newsletters)


def _nobody(addresses: Iterable[str], leads: bool) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledCapture:
    """The rules as they are lent to a connector; `knows` asks the store who a contact or lead is."""

    rules: CaptureRules
    knows: Knows = field(default=_nobody)

    @property
    def since(self) -> datetime | None:
        """The earliest instant that may be collected, None for no limit."""
        return self.rules.since

    def decide(self, *, at: datetime | None, addresses: Iterable[str], from_lead: bool = False) -> Decision:
        """Decide on one message; the first rule that keeps it out names the skip."""
        rules = self.rules
        outside = [address.strip().lower() for address in addresses if address.strip()]
        if rules.since is not None and at is not None and at < rules.since:
            return Decision(rule="older than since")
        if rules.never and any(_fits(address, rules.never) for address in outside):
            return Decision(rule="private")
        if rules.only and not any(_fits(address, rules.only) for address in outside):
            return Decision(rule="not in only")
        if rules.only_with != "anyone" and not (from_lead and rules.only_with == "contacts_or_leads"):
            leads = rules.only_with == "contacts_or_leads"
            if not self.knows(outside, leads):
                return Decision(rule="neither contact nor lead" if leads else "no contact")
        return Decision(detail=rules.detail)


def _fits(address: str, patterns: Iterable[str]) -> bool:
    digits = "".join(filter(str.isdigit, address))
    for pattern in patterns:
        lowered = pattern.lower()
        if fnmatch.fnmatchcase(address, lowered):
            return True
        if lowered.startswith("+") and digits and digits == "".join(filter(str.isdigit, lowered)):
            return True
    return False
