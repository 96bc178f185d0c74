"""Links, splits and moves by hand in HubSpot and Pipedrive: chats of a day and mails stand where people decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos_company import Company
from benchmarks.chaos_truth import WORD, Said
from bridge.journey.identity import Decision
from bridge.store.database import micros
from bridge.store.decisions import all_decisions
from bridge.sync.identity.decide import decide, new_decision, revoke
from tests import stores


@pytest.fixture(params=["hubspot", "pipedrive"])
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Company]:
    stores.fill(tmp_path / "store.db")
    made = Company(tmp_path, request.param, f"sqlite:///{tmp_path / 'store.db'}", seed=1, contacts=2)
    made.start()
    made.collect()
    made.set_up()
    yield made
    made.close()


def says(company: Company, number: int, handle: str, hour: int, day: int = 18) -> None:
    """Let a customer write at an hour, a mail from an address and a chat message from a number."""
    at = f"2026-11-{day}T{hour:02}:00:00Z"
    company._chat.append(
        "messages", company._thing(Said(number=number, handles=(handle,), at=at, mail="@" in handle))
    )


def settle(company: Company) -> None:
    for _ in range(12):
        company.clock.sleep(120)
        if not company.cycle() and not company.pending():
            return
    raise AssertionError("\n".join(company.trail))


def places(company: Company) -> dict[str, list[str]]:
    """Return on which contacts each message stands; the messages of one entry share a place."""
    return {
        word: sorted(entry.contacts) for entry in company.crm.entries() for word in WORD.findall(entry.text)
    }


def say(company: Company, kind: str, sender: str, contact: str) -> Decision:
    at = micros(company.clock())
    assert at is not None
    destination = company.destination
    other = destination.node_key(destination.spec.contact_stream, contact)
    decision = new_decision(kind, [sender], [other], at=at, author="rui", reason="asked her")
    decide(company.runtime, decision)
    company.resolve()
    return decision


def delivered(company: Company) -> tuple[str, str, str]:
    """Let Ana's contact carry a number that chats and an address that mails; return it, Bia's, and the sender."""
    number, address = company.phone(0), company.email(0)
    ana = company.crm.add_contact("Ana", f"+{number}", address)
    bia = company.crm.add_contact("Bia", f"+{company.phone(1)}", company.email(1))
    for message, hour in ((1, 12), (2, 13)):
        says(company, message, number, hour)
    says(company, 3, address, 14)
    says(company, 4, number, 15, day=19)
    settle(company)
    assert places(company) == {f"m{message}": [ana] for message in range(1, 5)}
    return ana, bia, f"whatsapp_id:{number}"


def test_a_link_takes_the_chats_of_a_sender_along_and_taking_it_back_returns_them(company: Company) -> None:
    ana, bia, sender = delivered(company)
    link = say(company, "link", sender, bia)
    settle(company)
    assert places(company) == {"m1": [bia], "m2": [bia], "m3": [ana], "m4": [bia]}
    revoke(company.runtime, link.id, by="rui")
    company.resolve()
    settle(company)
    assert places(company) == {f"m{message}": [ana] for message in range(1, 5)}


def test_a_split_takes_the_chats_of_a_sender_to_a_contact_of_their_own(company: Company) -> None:
    ana, _, sender = delivered(company)
    split = say(company, "split", sender, ana)
    settle(company)
    (own,) = [one.id for one in company.crm.contacts() if one.made]
    assert places(company) == {"m1": [own], "m2": [own], "m3": [ana], "m4": [own]}
    revoke(company.runtime, split.id, by="rui")
    company.resolve()
    settle(company)
    assert places(company) == {f"m{message}": [ana] for message in range(1, 5)}


def test_the_move_of_a_chat_in_the_crm_takes_its_sender_along(company: Company) -> None:
    ana, bia, sender = delivered(company)
    (chat,) = [entry for entry in company.crm.entries() if "m1" in entry.text.split()]
    company.clock.sleep(60)
    company.crm.move(chat, bia)
    says(company, 5, company.phone(0), 16, day=18)
    settle(company)
    assert places(company) == {"m1": [bia], "m2": [bia], "m3": [ana], "m4": [bia], "m5": [bia]}
    with company.runtime.database.read() as c:
        stated = all_decisions(c)
    assert sorted((one.decision.kind, one.decision.author) for one in stated) == [
        ("link", "in the CRM"),
        ("split", "in the CRM"),
    ]
    assert all(sender in one.decision.records for one in stated)
