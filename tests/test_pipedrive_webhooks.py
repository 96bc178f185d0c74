"""Pipedrive's webhooks: who is let in, and what an unsigned word is good for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pipedrive_world import START, World, activity, emails, person_write, records, world

from bridge import Delivery, Hint, MappingError, Record, Request, Skip

PASSWORD = "a webhook's pässword: with a colon"
HOOK = "https://bridge.example.com/hooks/crm"


@pytest.fixture
def company() -> Iterator[World]:
    with world(webhook_password=PASSWORD) as made:
        made.crm.subscribe(HOOK, login="crmbridge", password=PASSWORD)
        yield made


def request(body: bytes, **headers: str) -> Request:
    lower = {name.lower(): value for name, value in headers.items()}
    return Request(method="POST", url=HOOK, query={}, headers=lower, body=body, received_at=START)


def told(company: World, *, verified: bool = True) -> list[Record | Skip | Hint]:
    """Take what Pipedrive has to tell, check it, and return what it says."""
    found: list[Record | Skip | Hint] = []
    for number, sent in enumerate(company.crm.take()):
        reply = company.connector.verify(request(sent.body, **sent.headers))
        assert (reply.status, reply.store) == (200, True)
        found += split(company, sent.body, str(number))
    return found


def split(company: World, body: Any, id: str = "1") -> list[Record | Skip | Hint]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(company.connector.split(Delivery(id=id, body=raw, headers={}, received_at=START)))


def event(**meta: Any) -> dict[str, Any]:
    found = {"action": "change", "entity": "person", "entity_id": "501", "timestamp": START.isoformat()}
    return {"meta": {**found, **meta}, "data": {"id": 501}, "previous": {}}


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def test_pipedrive_is_let_in_and_a_repeat_is_recognised(company: World) -> None:
    company.person()
    [sent] = company.crm.take()
    first = company.connector.verify(request(sent.body, **sent.headers))
    again = company.connector.verify(request(sent.body, **sent.headers))
    assert (first.status, first.store) == (200, True)
    assert first.idempotency_key == again.idempotency_key


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Basic",
        "Basic !!!",
        basic("crmbridge:wrong"),
        basic(f"admin:{PASSWORD}"),
        basic(f"crmbridge:{PASSWORD} "),
        basic(PASSWORD),
        basic(f"crmbridge:{PASSWORD}").replace("Basic", "Bearer"),
        f"crmbridge:{PASSWORD}",
    ],
)
def test_a_wrong_user_password_or_scheme_is_not_let_in(company: World, given: str) -> None:
    reply = company.connector.verify(request(b"{}", authorization=given))
    assert (reply.status, reply.store) == (401, False)
    assert "WWW-Authenticate" in reply.headers


def test_without_a_password_in_the_settings_nobody_is_let_in() -> None:
    with world() as company:
        for given in ("", basic("crmbridge:"), basic("crmbridge:None")):
            reply = company.connector.verify(request(b"{}", authorization=given))
            assert (reply.status, reply.store) == (403, False)


def test_changes_are_hints_of_the_list_that_shows_them(company: World) -> None:
    ana = company.person()
    deal = company.crm.create("deals", {"title": "Um"})
    company.crm.edit("deals", deal, {"title": "Dois"})
    text = company.crm.create("notes", {"content": "Oi", "person_id": int(ana)})
    lead = company.crm.create("leads", {"title": "Um forno", "person_id": int(ana)})
    company.crm.create("pipelines", {"name": "Atacado"})
    hints = [(one.stream, one.ids[0]) for one in told(company) if isinstance(one, Hint)]
    assert ("persons", ana) in hints and hints.count(("deals", deal)) == 2
    assert {("notes", text), ("leads", lead)} <= set(hints)
    assert "pipelines" in [stream for stream, _ in hints]


@pytest.mark.parametrize("stream", ["persons", "deals", "activities", "notes"])
def test_a_deletion_is_taken_at_its_word(company: World, stream: str) -> None:
    ana = company.person()
    person = {"person_id": int(ana)}
    fields: dict[str, Any] = {
        "persons": {"name": "Rui"},
        "deals": {"title": "Um"},
        "activities": {"subject": "Ligar", "type": "call"},
        "notes": {"content": "Oi", **person},
    }[stream]
    one = company.crm.create(stream, fields)
    company.crm.take()
    company.crm.delete(stream, one)
    [record] = told(company)
    assert isinstance(record, Record)
    assert (record.stream, record.id, record.deleted, record.modified_at) == (stream, one, True, START)


def test_a_merge_tells_who_is_left_and_whom_they_absorbed(company: World) -> None:
    ana, twin = company.person(emails=emails("ana@one.example")), company.person("Ana again")
    company.crm.take()
    company.crm.merge("persons", ana, twin)
    found = told(company)
    records = {one.id: one for one in found if isinstance(one, Record)}
    assert records[twin].deleted and not records[ana].deleted
    assert records[ana].data["merged_ids"] == [twin]
    assert records[ana].data["email_addresses"] == ["ana@one.example"]
    assert Hint(stream="persons", ids=(ana,)) in found


def test_the_next_look_brings_who_is_left_with_all_of_their_fields(company: World) -> None:
    code = company.crm.define("persons", "Lead source")
    cursor = company.started("persons")
    ana, twin = company.person(custom_fields={code: "Fair"}), company.person("Ana again")
    company.crm.merge("persons", ana, twin)
    [before] = records(company.pull("persons", "live", cursor))
    [told_of] = [one for one in told(company) if isinstance(one, Record) and not one.deleted]
    [after] = records(company.pull("persons", "live", cursor))
    assert len({before.version, told_of.version, after.version}) == 3
    assert (after.data["merged_ids"], after.data["custom_fields"]) == ([twin], {"Lead source": "Fair"})


def test_what_nobody_reads_is_skipped_and_what_makes_no_sense_is_kept(company: World) -> None:
    [skip] = split(company, event(entity="product", entity_id="7"))
    assert isinstance(skip, Skip) and skip.rule == "nobody reads product"
    for odd in ({"meta": 7}, {"meta": {"action": "change"}}, {"data": 1}, event(entity_id=None), 7, "x"):
        [kept] = split(company, [odd])
        assert isinstance(kept, Record) and json.loads(kept.data["unreadable"]) == odd
    for body in (b"", b"{", b"7", b"null", b"{}", b"[]"):
        with pytest.raises(MappingError, match="no webhook of Pipedrive"):
            split(company, body)


def test_a_list_of_events_that_a_relay_forwards_is_read_as_well(company: World) -> None:
    found = split(company, [event(), event(entity_id="502", action="delete")])
    assert [type(one) for one in found] == [Hint, Record]


def test_what_our_own_key_wrote_is_no_news_and_what_others_did_is(company: World) -> None:
    company.connector.check()
    ana = company.person()
    assert [one.stream for one in told(company) if isinstance(one, Hint)] == ["persons"]
    company.push(activity(1, ana), person_write(2))
    assert told(company) == []
    company.reopen()
    company.push(activity(3, ana))
    assert told(company) == [Hint(stream="activities", ids=("502",))], "whose key it is was not asked yet"
