"""The mails that Pipedrive's own mailbox caught: which are read, at what price, and that none stands there twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pipedrive_world import TOKEN, World, emails, records, world

from bridge_pipedrive import Pipedrive


@pytest.fixture
def company() -> Iterator[World]:
    with world() as made:
        yield made


def caught(company: World, message_id: str, address: str = "ana@one.example", **more: Any) -> str:
    return company.crm.catch_mail(message_id, sender=address, to=["rui@example.com"], **more)


def asked_mails(company: World, before: int) -> int:
    return sum(call.endswith("mailMessages") for call in company.calls_since(before))


def test_only_those_who_have_new_mails_are_asked_for_them(company: World) -> None:
    company.person(emails=emails("ana@one.example"))
    for number in range(20):
        company.person(emails=emails(f"{number}@two.example"))
    cursor = company.started("mails")
    company.move(120.0)
    first = caught(company, "a@one.example", text="<p>Oi!</p>")
    before = len(company.crm.calls)
    pages = company.pull("mails", "live", cursor)
    [found] = records(pages)
    assert (found.id, found.data["mua_message_id"], found.data["body"]) == (
        first,
        "a@one.example",
        "<p>Oi!</p>",
    )
    assert "body_url" not in found.data
    assert asked_mails(company, before) == 1
    company.crm.edit("persons", "501", {"name": "Ana Souza"})
    before = len(company.crm.calls)
    assert records(company.pull("mails", "live", pages[-1].cursor)) == []
    assert asked_mails(company, before) == 0, "her mails are known already"
    company.reopen()
    again = records(company.pull("mails", "live", cursor))
    assert [(one.id, one.version) for one in again] == [(found.id, found.version)]


def test_a_mail_that_does_not_change_its_person_is_found_by_the_daily_sweep(company: World) -> None:
    company.crm.levers.touches = False
    company.person(emails=emails("ana@one.example"))
    company.move(3600.0)
    cursor = company.started("mails")
    company.move(3600.0)
    found = caught(company, "a@one.example")
    assert records(company.pull("mails", "live", cursor)) == []
    pages = company.pull("mails", "sweep")
    assert [one.id for one in records(pages)] == [found]
    assert records(company.pull("mails", "sweep", pages[-1].cursor)) == [], "read once, as nothing came since"


def test_the_past_goes_on_behind_the_person_that_was_read_last(company: World) -> None:
    ids = []
    for number in range(5):
        company.person(emails=emails(f"{number}@one.example"))
        ids.append(caught(company, f"{number}@mail.example", f"{number}@one.example"))
    pages = company.pull("mails", "backfill")
    assert [one.id for one in records(pages)] == ids
    third = next(page.cursor for page in pages if page.cursor.get("after") == 503)
    company.reopen()
    assert [one.id for one in records(company.pull("mails", "backfill", third))] == ids[3:]
    assert company.pull("mails", "backfill", pages[-1].cursor) == []


def test_an_app_without_the_scope_for_mail_reads_everything_else(company: World) -> None:
    company.person(emails=emails("ana@one.example"))
    caught(company, "a@one.example")
    company._settings.pop("api_token")
    company.reopen(access_token=TOKEN)
    assert "mail:read" in company.connector.check().scopes
    company.crm.levers.missing_scopes = {"mail:read", "mail:full"}
    assert company.connector.check().missing_scopes == ("mail:read",)
    assert company.pull("mails", "backfill") == []


def test_a_mail_is_fetched_as_it_is_listed(company: World) -> None:
    company.person(emails=emails("ana@one.example"))
    found = caught(company, "a@one.example")
    [listed] = records(company.pull("mails", "backfill"))
    assert isinstance(company.connector, Pipedrive)
    fetched, gone = company.connector.fetch("mails", [found, "999"])
    assert (fetched.version, fetched.data) == (listed.version, listed.data)
    assert gone.deleted
