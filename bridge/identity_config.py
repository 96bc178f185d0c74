"""The part of config.yaml that says who the company itself is, and what counts as evidence of who is who."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from phonenumbers import SUPPORTED_REGIONS

from bridge.capture import UNKNOWN_REGION
from bridge.journey.emails import read_email
from bridge.journey.handles import Own, normalise
from bridge.journey.identity import Rules
from bridge.journey.phones import read_phones
from bridge.yaml_file import YamlPath

Report = Callable[[YamlPath, str, str], None]
"""Takes where a problem stands, what it is, and its remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityConfig:
    """
    What identity must know of the company itself, and how it judges evidence.

    `on_ambiguous` says what becomes of messages of somebody who could be one of several contacts: they wait
    for a decision, or are written to the one that comes first, marked as unconfirmed.
    """

    default_region: str | None = None
    own_domains: tuple[str, ...] = ()
    own_addresses: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    on_ambiguous: Literal["hold", "provisional"] = "hold"


def read_identity(block: Mapping[str, Any], report: Report) -> IdentityConfig:
    """Return the block `identity`, and report what is no domain, address, number or country in it."""
    region = block.get("default_region")
    if region is not None and region not in SUPPORTED_REGIONS:
        path = ("identity", "default_region")
        report(path, f"{region!r} is no country.", "Use the two letters of ISO 3166, such as BR or GB.")
        region = None
    caps = block.get("caps", {})
    return IdentityConfig(
        default_region=region,
        own_domains=_domains(block.get("own_domains", ()), report),
        own_addresses=_addresses(block.get("own_addresses", ()), region, report),
        rules=Rules(
            blocked=_blocked(block.get("block", ()), region, report),
            claims_link=block.get("bridge_on_claims", "link") == "link",
            **caps,
        ),
        on_ambiguous=block.get("on_ambiguous", "hold"),
    )


def _domains(written: list[str], report: Report) -> tuple[str, ...]:
    domains = []
    for position, text in enumerate(written):
        domain = _domain(text)
        if domain is None:
            path = ("identity", "own_domains", position)
            report(path, f"{text!r} is no mail domain.", "Write it like example.com.")
        else:
            domains.append(domain)
    return tuple(domains)


def _domain(text: str) -> str | None:
    address = read_email(f"x@{text.strip().removeprefix('@')}")
    return address[0].partition("@")[2] if address else None


def _addresses(written: list[str], region: str | None, report: Report) -> tuple[str, ...]:
    for position, text in enumerate(written):
        if read_email(text) is None and not read_phones(text, region or UNKNOWN_REGION):
            report(
                ("identity", "own_addresses", position),
                f"{text!r} is neither an e-mail address nor a phone number.",
                "Write numbers with their country code, such as +55 11 4000-1000, or set default_region.",
            )
    return tuple(written)


def _blocked(written: list[str], region: str | None, report: Report) -> frozenset[str]:
    """Return the keys of the handles that tell nothing; a number is one on WhatsApp as well."""
    found: set[str] = set()
    for position, text in enumerate(written):
        if text.startswith(("*@", "@")) and (domain := _domain(text.removeprefix("*"))):
            found.add(f"@{domain}")
            continue
        kind = "email" if "@" in text else "phone"
        handles = normalise(kind, text, region=region or UNKNOWN_REGION, own=Own())
        if not handles:
            report(
                ("identity", "block", position),
                f"{text!r} is neither an e-mail address, *@domain nor a phone number.",
                "Write numbers with their country code, such as +55 11 4000-1000, or set default_region.",
            )
        for handle in handles:
            found.add(handle.key)
            if kind == "phone":
                found.add(f"whatsapp_id:{handle.value.removeprefix('+')}")
    return frozenset(found)
