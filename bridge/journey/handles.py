"""Handles: what a person is reached or recognised by, in one spelling each, with what it proves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

from bridge.journey.emails import read_email
from bridge.journey.phones import read_phones, spellings

__all__ = ["Handle", "Own", "Strength", "normalise", "spellings"]

Strength = Literal["certain", "strong", "guarded", "weak", "none"]
"""
What two records that carry the same handle prove:

- certain: one person, by the platform's own word;
- strong: one person, unless too many carry it (a person's mailbox, a mobile, a WhatsApp number);
- guarded: one person only if their names agree (a landline, an extension);
- weak: a hint (a role's mailbox, a name that can be changed);
- none: nothing (our own addresses, machines, placeholders, service numbers).
"""

_PLATFORM: dict[str, Strength] = {
    "whatsapp_bsuid": "certain",
    "instagram_id": "certain",
    "messenger_psid": "certain",
    "telegram_id": "certain",
    "slack_user": "certain",
    "form_id": "certain",
    "external": "certain",
    "web_visitor": "weak",
    "whatsapp_username": "weak",
}
"""A browser can have several people before it, and a user name can pass to somebody else."""

_NO_VALUE = frozenset(["", "null", "none", "nil", "undefined", "nan", "-1", "0", "test", "anonymous"])


class Handle(NamedTuple):
    """
    One handle; two are the same when their `key` is.

    `scope` says within what `value` is unique where it is not everywhere: a portfolio, page, workspace.
    A tuple, as making one is half the cost of normalising an address.
    """

    kind: str
    value: str
    scope: str = ""
    strength: Strength = "strong"

    @property
    def key(self) -> str:
        """Return what the handle is stored and compared by: `email:ana@x.com`, `whatsapp_bsuid:p1:BR.77`."""
        return f"{self.kind}:{self.scope}:{self.value}" if self.scope else f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Our own domains, addresses and numbers, normalised; they tell nothing about a customer."""

    domains: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    _endings: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        endings = tuple(sorted(sign + domain for domain in self.domains for sign in "@."))
        object.__setattr__(self, "_endings", endings)

    @classmethod
    def read(
        cls,
        *,
        domains: Iterable[str] = (),
        emails: Iterable[str] = (),
        phones: Iterable[str] = (),
        region: str,
    ) -> Self:
        """Normalise what people wrote; what is no domain, address or number is left out."""
        read_domains = (read_email(f"x@{domain.strip().lstrip('@')}") for domain in domains)
        read_emails = (read_email(email) for email in emails)
        return cls(
            domains=frozenset(found[0].partition("@")[2] for found in read_domains if found),
            emails=frozenset(found[0] for found in read_emails if found),
            phones=frozenset(value for phone in phones for value, _ in read_phones(phone, region)),
        )

    def has_email(self, address: str) -> bool:
        """Tell whether a normalised address is ours: itself, or in one of our domains or below it."""
        return address.endswith(self._endings) or address in self.emails

    def has_phone(self, number: str) -> bool:
        """Tell whether a normalised number is ours, with whatever extension."""
        return number in self.phones or number.partition(";")[0] in self.phones


def normalise(kind: str, raw: str, *, region: str, own: Own, scope: str = "") -> tuple[Handle, ...]:
    """
    Return the handles that one written value holds: none where it is empty, broken or a placeholder id.

    `kind` is a handle kind of the journey schema. `region` (ISO 3166) completes national phone numbers and
    belongs to the connection. A phone cell may hold several numbers. A WhatsApp id gives two handles, itself
    and its phone number; it is a number and can be given to somebody else, so it is strong, not certain.
    Pure; normalising a handle's value again gives the handle. Raises ValueError for an unknown kind.
    """
    if kind == "email":
        found = read_email(raw)
        if found is None:
            return ()
        address, strength = found
        if own.has_email(address):
            strength = "none"
        return (Handle("email", address, "", strength),)
    if kind == "phone":
        return tuple(_phone(value, proof, own) for value, proof in read_phones(raw, region))
    if kind == "whatsapp_id":
        return _whatsapp(raw, region, own)
    if kind not in _PLATFORM:
        known = ", ".join(sorted([*_PLATFORM, "email", "phone", "whatsapp_id"]))
        raise ValueError(f"handle kind {kind!r} is unknown; use one of {known}")
    value = raw.strip()
    if kind == "whatsapp_username":
        value = "".join(value.split()).lstrip("@").lower()
    if value.lower() in _NO_VALUE:
        return ()
    return (Handle(kind, value, scope, _PLATFORM[kind]),)


def _phone(value: str, proof: Strength, own: Own) -> Handle:
    ours = bool(own.phones) and own.has_phone(value)
    return Handle("phone", value, "", "none" if ours else proof)


def _whatsapp(raw: str, region: str, own: Own) -> tuple[Handle, ...]:
    digits = "".join(raw.split()).lstrip("+")
    if digits.lower() in _NO_VALUE:
        return ()
    is_number = digits.isascii() and digits.isdigit()
    lines = read_phones(digits, region, messenger=True) if is_number else ()
    if not lines:
        return (Handle("whatsapp_id", digits, "", "strong"),)
    ((number, proof),) = lines
    strength: Strength = "none" if own.has_phone(number) else "strong"
    return (Handle("whatsapp_id", number[1:], "", strength), _phone(number, proof, own))
