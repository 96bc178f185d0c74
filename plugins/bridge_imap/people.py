"""Who is on a mail: which side they are on, who speaks, and in which direction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NotRequired, TypedDict

from bridge import Detail
from bridge_imap.automated import Report, is_machine, is_program
from bridge_imap.forms import Form, typed_address
from bridge_imap.forwards import Forwarded
from bridge_imap.headers import Address, addresses, message_ids
from bridge_imap.mime import Fields

MOST_PEOPLE = 500
"""Nobody talks to more at once; a header can name a hundred thousand, each of whom would become a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailContext:
    """
    What the mailbox knows and the mail doesn't say.

    `own_addresses` are the mailbox's, `own_domains` the company's with their subdomains; both in lower case.
    `folder_role` is inbox, sent, archive or another. `internal_date` is when the mail came to the server, in UTC.
    `max_body` bounds each text and HTML, in bytes; `charset` is for text that declares none; `detail` says how
    much of the mail was fetched.
    """

    own_addresses: frozenset[str] = frozenset()
    own_domains: frozenset[str] = frozenset()
    folder_role: str = "inbox"
    internal_date: datetime | None = None
    max_body: int = 1_000_000
    charset: str = "utf-8"
    detail: Detail = "full"


class Handle(TypedDict):
    kind: str
    value: str


class Participant(TypedDict):
    """Somebody on the mail: `role` and `side` in the words of the journey schema."""

    role: str
    side: str
    display_name: NotRequired[str]
    handles: list[Handle]


def is_own(email: str, context: MailContext) -> bool:
    """Tell whether an address is ours: the mailbox's, with or without +tag, or of one of our domains."""
    if email in context.own_addresses:
        return True
    local, _, domain = email.rpartition("@")
    if "+" in local and f"{local.partition('+')[0]}@{domain}" in context.own_addresses:
        return True
    return _is_own_domain(domain, context)


def _is_own_domain(domain: str, context: MailContext) -> bool:
    return any(domain == own or domain.endswith(f".{own}") for own in context.own_domains)


def is_own_list(fields: Fields, context: MailContext) -> bool:
    """Tell whether a list of our own, such as a Google group sales@, passed the mail on."""
    for value in fields.get(b"list-id", ()):
        found = message_ids([value])
        if found and _is_own_domain(found[0].lower(), context):
            return True
    return False


def asker_of(
    fields: Fields, author: str, reply_to: list[Address], text: str, context: MailContext
) -> Address | None:
    """
    Return the outsider for whom a program of ours or a form service wrote the mail; None where there is none.

    A group that rewrites From, and most forms, name that person in Reply-To; other forms only in their text.
    """
    if context.folder_role == "sent" or not author or not (is_own(author, context) or is_program(author)):
        return None
    candidates = [*addresses(fields.get(b"x-original-from", ())), *reply_to]
    if not candidates and is_program(author) and (typed := typed_address(text)) is not None:
        candidates.append(typed)
    house = author.rpartition("@")[2].split(".")[-2:]
    for candidate in candidates:
        email = candidate["email"]
        if (
            email.rpartition("@")[2].split(".")[-2:] != house
            and not is_own(email, context)
            and not is_machine(email)
        ):
            return candidate
    return None


def direction_of(author: str, recipients: list[Address], context: MailContext) -> str:
    if not author:
        return "outbound" if context.folder_role == "sent" else "unknown"
    if is_own(author, context) or context.folder_role == "sent":
        inside = bool(recipients) and all(is_own(person["email"], context) for person in recipients)
        return "internal" if inside else "outbound"
    return "inbound"


def mailbox_of(author: str, recipients: list[Address], context: MailContext) -> str | None:
    """Return the address of this mailbox that the mail was sent from or to; None where it names none."""
    for email in (author, *(person["email"] for person in recipients)):
        if email in context.own_addresses:
            return email
    return None


def is_passed_on(
    forwarded: Forwarded | None, direction: str, recipients: list[Address], context: MailContext
) -> bool:
    """Tell whether a colleague forwards an outsider's mail to this mailbox: then the outsider speaks."""
    return (
        forwarded is not None
        and direction == "internal"
        and context.folder_role != "sent"
        and forwarded["email"] != ""
        and not is_own(forwarded["email"], context)
        and not is_machine(forwarded["email"])
        and any(person["email"] in context.own_addresses for person in recipients)
    )


def participants_of(
    people: dict[str, list[Address]],
    authors: list[Address],
    context: MailContext,
    automated_by: str | None,
    form: Form | None,
    original: Forwarded | None,
) -> list[Participant]:
    """
    Return who took part, at most MOST_PEOPLE; the visitor of a form and the author of a forwarded mail come first.

    These two are customers.
    """
    found: list[Participant] = []
    named: set[str] = set()
    if form is not None:
        visitor = _participant("reply_to", "customer", form["email"], form["name"])
        if form["phone"]:
            visitor["handles"].append(Handle(kind="phone", value=form["phone"]))
        found.append(visitor)
        named.add(form["email"])
    if original is not None:
        found.append(_participant("author", "customer", original["email"], original["name"]))
        named.add(original["email"])
    nobody = form is not None or automated_by in ("bounce", "report", "list", "notification")
    for role, persons in (("from", authors), ("reply_to", people["reply-to"]), *_recipient_roles(people)):
        for person in persons:
            if person["email"] in named and role == "reply_to":
                continue
            side = "team" if is_own(person["email"], context) else "customer"
            if side == "customer" and nobody and role in ("from", "reply_to"):
                side = "unknown"
            named.add(person["email"])
            found.append(_participant(role, side, person["email"], person["name"]))
    return found[:MOST_PEOPLE]


def recipients_of(report: Report, context: MailContext) -> list[Participant]:
    """Return the recipients a report speaks of."""
    return [
        _participant("to", "team" if is_own(told["email"], context) else "customer", told["email"], "")
        for told in report["recipients"]
        if "@" in told["email"]
    ]


def _recipient_roles(people: dict[str, list[Address]]) -> Iterable[tuple[str, list[Address]]]:
    return (("to", people["to"]), ("cc", people["cc"]), ("bcc", people["bcc"]))


def _participant(role: str, side: str, email: str, name: str) -> Participant:
    participant = Participant(role=role, side=side, handles=[Handle(kind="email", value=email)])
    if name:
        participant["display_name"] = name
    return participant
