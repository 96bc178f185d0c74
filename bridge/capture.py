"""Capture rules: what of a connection may be collected, of whom, since when, at which detail."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal

from bridge.connector import Decision
from bridge.journey.emails import read_email
from bridge.journey.phones import read_phones
from bridge.model import Detail

OnlyWith = Literal["anyone", "contacts", "contacts_or_leads"]
Knows = Callable[[Iterable[str], bool], bool]
"""Whether any of the addresses is carried by a CRM contact, or (second argument) by a lead as well."""

UNKNOWN_REGION = "ZZ"
"""What libphonenumber calls the region of nobody: only numbers with a country code can be read."""


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
    """
    The rules as they are lent to a connector.

    `knows` asks the store who a contact or lead is; `region` (ISO 3166) completes national numbers.
    """

    rules: CaptureRules
    knows: Knows = field(default=_nobody)
    region: str = UNKNOWN_REGION

    @property
    def since(self) -> datetime | None:
        """The earliest instant that may be collected, None for no limit."""
        return self.rules.since

    def decide(self, *, at: datetime | None, addresses: Iterable[str], from_lead: bool = False) -> Decision:
        """Decide on one message; the first rule that keeps it out names the skip."""
        rules = self.rules
        outside = [address for address in addresses if address.strip()]
        if rules.since is not None and at is not None and at < rules.since:
            return Decision(rule="older than since")
        if rules.never and self._any_fits(outside, rules.never):
            return Decision(rule="private")
        if rules.only and not self._any_fits(outside, rules.only):
            return Decision(rule="not in only")
        if rules.only_with != "anyone" and not (from_lead and rules.only_with == "contacts_or_leads"):
            leads = rules.only_with == "contacts_or_leads"
            if not self.knows(outside, leads):
                return Decision(rule="neither contact nor lead" if leads else "no contact")
        return Decision(detail=rules.detail)

    def _any_fits(self, addresses: Iterable[str], patterns: tuple[str, ...]) -> bool:
        matches = _matcher(patterns, self.region)
        return any(
            matches(spelling) for address in addresses for spelling in _spellings(address, self.region)
        )


def _spellings(address: str, region: str) -> set[str]:
    """Return an address as it was written and as it is known: the mailbox, the number in digits only."""
    text = address.strip().lower()
    if "@" in text:
        mailbox = read_email(address)
        return {text, mailbox[0]} if mailbox else {text}
    digits = _digits(text)
    if not digits:
        return {text}
    # what WhatsApp calls a sender is a number without "+", which a region would read as a national one
    lines = (*read_phones(address, region), *read_phones(digits, region, messenger=True))
    return {text, digits, *(number[1:].partition(";")[0] for number, _ in lines)}


@lru_cache(maxsize=256)
def _matcher(patterns: tuple[str, ...], region: str) -> Callable[[str], object]:
    forms = {form for pattern in patterns for form in _forms(pattern.strip().lower(), region)}
    return re.compile("|".join(sorted(map(_expression, forms)))).match


def _forms(pattern: str, region: str) -> set[str]:
    """
    Return what a pattern stands for, each with * and ? as in a shell.

    A domain alone stands for all its mailboxes and those below it, and a number for its every spelling:
    who writes `never: [lawyer.example]` has said what they mean.
    """
    local, at, domain = pattern.rpartition("@")
    if at:
        whole = read_email(pattern)
        here = read_email(f"x@{domain}")
        known = here[0].partition("@")[2] if here else domain
        return {f"{local or '*'}@{domain}", f"{local or '*'}@{known}", whole[0] if whole else pattern}
    if _NUMBER.fullmatch(pattern) and _digits(pattern):
        shape = re.sub(r"[^0-9*?]", "", pattern)
        lines = read_phones(pattern, region) if not set("*?") & set(pattern) else ()
        return {pattern, shape, *(number[1:].partition(";")[0] for number, _ in lines)}
    if _DOMAIN.fullmatch(pattern):
        return {pattern, f"*@{pattern}", f"*@*.{pattern}"}
    return {pattern}


_NUMBER = re.compile(r"\+?[0-9*?()./ \u00a0-]+")
_DOMAIN = re.compile(r"(?:[\w*?-]+\.)+[a-z*?][\w*?-]*")


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text)) if _NUMBER.fullmatch(text) else ""


def _expression(form: str) -> str:
    """Return the expression for a form; the library's takes time in proportion to the address, however many stars."""
    return fnmatch.translate(form.replace("[", "[[]"))
