"""What must come of the week, worked out from its definition alone: no line of crmbridge is asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.demo import chats, mails, told
from tests.demo.company import DEALS, PEOPLE, UNDECIDED, Person, contacts

OWNERS = 2
PIPELINES = 1
NOTES = 1
CALL_SIZE = 100
"""Writes that one call to HubSpot takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """How many records come in, by what becomes of them."""

    mapped: int
    skipped: dict[str, int]
    rejected: int

    @property
    def total(self) -> int:
        return self.mapped + sum(self.skipped.values()) + self.rejected


def read() -> Read:
    """Count the records: a mail in two folders is one, and so is a webhook that came twice."""
    hubspot = len(contacts()) + len({person.company for person in contacts() if person.company}) + len(DEALS)
    hubspot += sum(mail.logged for mail in mails.CONVERSATIONS) + OWNERS + PIPELINES + NOTES
    conversations = len(mails.CONVERSATIONS) + 1  # and the one that arrives meanwhile
    return Read(
        mapped=hubspot + conversations + len(chats.LINES) + len(told.CALLS) + len(told.FORMS),
        skipped={
            "newsletters": len(mails.NEWSLETTERS),
            "private": len(mails.PRIVATE),
            chats.ACCOUNT_RULE: 1,
        },
        rejected=1,
    )


def people() -> dict[str, int]:
    """Count the people who were in touch: with a contact, without one, and those nobody can tell."""
    matched = sum(person.in_crm for person in PEOPLE.values())
    return {
        "total": len(PEOPLE),
        "matched": matched,
        "new": len(PEOPLE) - matched - len(UNDECIDED),
        "to_decide": len(UNDECIDED),
    }


def shown_name(person: Person) -> str:
    """Return what a person is called where people read it: a number where no name is known."""
    return person.name or "+" + "".join(filter(str.isdecimal, person.phone))


def waiting() -> dict[str, str | None]:
    """Return who waits for us, with the owner of their contact."""
    return {shown_name(person): person.owner or None for person in PEOPLE.values() if person.waits}


def entries() -> Counter[str]:
    """Count the timeline entries by object type: chats by thread and day, the rest one by one."""
    found: Counter[str] = Counter()
    for of in PEOPLE:
        if _has_contact(of):
            found["communications"] += len(_chat_days(of))
            found["emails"] += len(_mails(of))
            found["calls"] += sum(call.of == of for call in told.CALLS)
            found["notes"] += sum(form.of == of for form in told.FORMS)
    return found


def entries_of(of: str) -> int:
    """Count the entries of somebody who chatted and wrote mails."""
    return len(_chat_days(of)) + len(_mails(of))


def _chat_days(of: str) -> set[tuple[str, int]]:
    """Return the threads and days of a person's chats; edits and reactions add none, a reply sent elsewhere does."""
    seen = {line.name for line in chats.LINES if line.name}
    return {
        (line.thread, line.day)
        for line in chats.LINES
        if line.of == of
        and (line.kind in ("them", "us", "voice") or (line.kind == "status" and line.about not in seen))
    }


def _mails(of: str) -> list[mails.Mail]:
    """Return the mails that get an entry: not those that HubSpot logged itself, nor reports on other mails."""
    return [
        mail
        for mail in (*mails.CONVERSATIONS, mails.ARRIVES)
        if mail.of == of and not mail.logged and mail.kind != "bounce"
    ]


def new_contacts() -> set[str]:
    """Return who becomes a contact: strangers at their first chat or form, by mail once we replied."""
    return {person.name for of, person in PEOPLE.items() if not person.in_crm and _has_contact(of)}


def updates() -> int:
    """Count the contacts whose fields tell of the week: everybody known who was in touch."""
    return people()["matched"]


def writes() -> int:
    """Count all that is written: entries, contacts, and fields of contacts."""
    return entries().total() + len(new_contacts()) + updates()


def calls() -> int:
    """Count the batches that the plan foretells."""
    sizes = [*entries().values(), len(new_contacts()), updates()]
    return sum(-(-size // CALL_SIZE) for size in sizes)


def held() -> int:
    """Count those for whom nothing is written yet."""
    return sum(not _has_contact(of) for of in PEOPLE)


def chat_texts(of: str, day: int) -> list[str]:
    """Return what was said in a person's chat of one day."""
    return [
        line.text
        for line in chats.LINES
        if line.of == of and line.day == day and line.kind in ("them", "us") and line.text
    ]


def _has_contact(of: str) -> bool:
    """Tell whether a person has a contact in the end, by the rules of `push.create`."""
    if of in UNDECIDED:
        return False
    wrote = any(line.of == of and line.kind == "them" for line in chats.LINES)
    filled_in = any(form.of == of for form in told.FORMS)
    replied = any(mail.of == of and mail.ours for mail in mails.CONVERSATIONS)
    return PEOPLE[of].in_crm or wrote or filled_in or replied
