"""The Pipedrive connector apart from reading and writing: whose account, who is who, what stands, what is set up."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
from jsonschema import Draft202012Validator
from pipedrive_world import TOKEN, WHEN, World, activity, emails, key, note, person_write, world

from bridge import (
    Absent,
    AuthError,
    Created,
    Field,
    Found,
    Link,
    Location,
    Match,
    Person,
    RateLimited,
    Rejected,
    Unavailable,
    Unknown,
    Write,
)
from bridge_pipedrive import SETTINGS
from bridge_pipedrive.client import PUBLIC, Client
from bridge_pipedrive.words import KEY_FIELD


@pytest.fixture
def company() -> Iterator[World]:
    with world() as made:
        yield made


def find(company: World, *people: Person) -> dict[str, list[str]]:
    matches: list[Match] = list(company.connector.find(people))
    return {match.key: list(match.ids) for match in matches}


def locate(company: World, *writes: Write) -> dict[str, Location]:
    return {location.key: location for location in company.connector.locate(writes)}


# -- whose account ---------------------------------------------------------------------------------


def test_check_tells_the_company_its_zone_and_what_its_user_administers(company: World) -> None:
    account = company.connector.check()
    assert (account.id, account.name) == ("7654321", "Padaria")
    assert (account.time_zone, account.currency) == ("America/Sao_Paulo", "BRL")
    assert account.scopes == ("global:admin", "sales:admin", "account_settings:admin")
    company.crm.levers.admin = False
    assert company.connector.check().scopes == ("global", "sales", "account_settings")


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ({"api_token": "a"}, True),
        ({"access_token": "a", "plan": "premium", "seats": 3}, True),
        ({}, False),
        ({"api_token": "a", "access_token": "b"}, False),
        ({"api_token": "a", "plan": "enterprise"}, False),
        ({"api_token": "a", "seats": 0}, False),
        ({"api_token": "a", "base_url": "http://crm.example.com"}, False),
        ({"api_token": "a", "company_domain": "evil.example/"}, False),
    ],
)
def test_settings_take_one_key_and_no_address_in_the_clear(settings: dict[str, object], fits: bool) -> None:
    assert Draft202012Validator(dict(SETTINGS)).is_valid(settings) is fits


class Wire:
    """An `Http` that notes where it was asked and answers whose account it is."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def request(self, method: str, url: str, **more: object) -> requests.Response:
        self.urls.append(url)
        response = requests.Response()
        response.status_code = 200
        response._content = json.dumps({"success": True, "data": {"id": 1}}).encode()
        return response

    def pause(self, seconds: float, *, budget: str | None = None) -> None:
        self.paused = (seconds, budget)


@pytest.mark.parametrize(
    ("settings", "domain", "base"),
    [
        ({}, "padaria", "https://padaria.pipedrive.com"),
        ({"company_domain": "acme"}, "padaria", "https://acme.pipedrive.com"),
        ({"base_url": "http://127.0.0.1:9"}, "padaria", "http://127.0.0.1:9"),
        ({}, "evil.example/", PUBLIC),
        ({}, "", PUBLIC),
    ],
)
def test_the_companys_own_address_is_learned_unless_the_settings_name_one(
    company: World, settings: dict[str, str], domain: str, base: str
) -> None:
    wire = Wire()
    client = Client(wire, {"api_token": "a", **settings}, company.clock)  # type: ignore[arg-type]
    client.at_home(domain)
    client.get("/v1/users/me")
    assert wire.urls == [f"{base}/v1/users/me"]


def test_a_key_pasted_with_a_line_break_works() -> None:
    with world(api_token=f" {TOKEN}\n") as company:
        assert company.connector.check().id


# -- who is who ------------------------------------------------------------------------------------


def test_a_person_is_found_by_any_address_and_any_spelling_of_a_number(company: World) -> None:
    ana = company.person(
        emails=emails("Ana@One.example", "ana@two.example"), phones=emails("(11) 97391-4862")
    )
    rui = company.person("Rui", phones=emails("+55 11 97391-4863"))
    found = find(
        company,
        Person(key="second address", emails=["ANA@two.example"]),
        Person(key="number", phones=["+5511973914862", "11973914862"]),
        Person(key="other number", phones=["+5511973914863", "5511973914863"]),
        Person(key="nobody", emails=["no@one.example"]),
        Person(key="no handle"),
    )
    assert found == {
        "second address": [ana],
        "number": [ana],
        "other number": [rui],
        "nobody": [],
        "no handle": [],
    }


def test_looking_for_people_costs_a_list_once_and_then_what_changed(company: World) -> None:
    for number in range(30):
        company.person(f"Ana {number}", emails=emails(f"ana{number}@one.example"))
    before = company.crm.spent
    everybody = [Person(key=str(number), emails=[f"ana{number}@one.example"]) for number in range(30)]
    assert all(len(ids) == 1 for ids in find(company, *everybody).values())
    assert company.crm.spent - before == 10 + 10 + 10, "the fields, the list, the thirty as they are now"
    company.move(3600.0)
    new = company.person("Rui", emails=emails("rui@one.example"))
    before = company.crm.spent
    assert find(company, Person(key="rui", emails=["rui@one.example"])) == {"rui": [new]}
    assert company.crm.spent - before <= 30
    assert not any("search" in call.path.lower() for call in company.crm.calls)


def test_who_was_deleted_merged_or_has_another_address_now_is_not_found_under_the_old_one(
    company: World,
) -> None:
    gone, loser, survivor, moved = (
        company.person(name, emails=emails(f"{name}@one.example")) for name in ("gone", "lose", "win", "old")
    )
    asked = [Person(key=name, emails=[f"{name}@one.example"]) for name in ("gone", "lose", "win", "old")]
    assert find(company, *asked) == {"gone": [gone], "lose": [loser], "win": [survivor], "old": [moved]}
    company.crm.delete("persons", gone)
    company.crm.merge("persons", survivor, loser)
    company.crm.edit("persons", moved, {"emails": emails("new@one.example")})
    assert find(company, *asked) == {"gone": [], "lose": [survivor], "win": [survivor], "old": []}


def test_looking_that_fails_never_says_nobody(company: World) -> None:
    ana = Person(key="ana", emails=["ana@one.example"])
    company.crm.levers.fail(400, path="/persons")
    with pytest.raises(Unavailable, match="refused to list persons"):
        find(company, ana)
    company.crm.levers.fail(503, path="/persons", times=1000)
    with pytest.raises(Unavailable):
        find(company, ana)


def test_a_list_that_stops_moving_is_an_error(company: World) -> None:
    body = {"success": True, "data": [{"id": 1}], "additional_data": {"next_cursor": "same"}}
    company.crm.levers.fail(200, path="/persons", body=body, times=3)
    with pytest.raises(Unavailable, match="same page twice"):
        find(company, Person(key="ana", emails=["ana@one.example"]))


# -- what stands -----------------------------------------------------------------------------------


def test_read_tells_present_values_by_the_names_of_the_mapping_and_who_is_gone(company: World) -> None:
    code = company.crm.define("persons", "Channels used")
    ana = company.person(emails=emails("ana@one.example"), custom_fields={code: "WhatsApp"})
    gone = company.person("Rui")
    company.crm.delete("persons", gone)
    names = ["name", "emails", "Channels used", "First came through"]
    found = {record.id: record for record in company.connector.read("persons", [gone, ana, "77777"], names)}
    assert found[ana].data["properties"] == {
        "name": "Ana",
        "emails": "ana@one.example",
        "Channels used": "WhatsApp",
        "First came through": None,
    }
    assert found[ana].data["requested_id"] == ana
    assert [found[one].deleted for one in (ana, gone, "77777")] == [False, True, True]
    with pytest.raises(Rejected, match="no records called 'tickets'"):
        list(company.connector.read("tickets", ["1"], []))


def test_entries_are_located_by_the_marker_in_their_last_line(company: World) -> None:
    ana, rui = company.person(), company.person("Rui")
    sent = [activity(1, ana), note(2, ana), activity(3, rui)]
    receipts = company.push(*sent)
    quoting = activity(4, ana, note=f"Oi!<br>crmbridge {key(5)} was quoted<br>crmbridge {key(4)}")
    company.push(quoting)
    before = len(company.crm.calls)
    found = locate(company, *sent, activity(5, ana), note(6, rui))
    assert [found[key(number)] for number in (1, 2, 3)] == [
        Found(key=key(number), id=receipts[key(number)].id or "") for number in (1, 2, 3)
    ]
    assert [type(found[key(number)]) for number in (5, 6)] == [Absent, Absent]
    assert not any("earch" in call for call in company.calls_since(before))


def test_an_entry_is_located_on_its_deal_where_it_has_no_person(company: World) -> None:
    deal = company.crm.create("deals", {"title": "Um"})
    fields = {"content": f"Oi!<br>crmbridge {key(1)}", "add_time": WHEN}
    on_deal = Write(
        key=key(1), op="create", stream="notes", fields=fields, links=[Link(stream="deals", to=deal)]
    )
    receipt = company.push(on_deal)[key(1)]
    assert locate(company, on_deal)[key(1)] == Found(key=key(1), id=receipt.id or "")
    nowhere = Write(key=key(2), op="create", stream="notes", fields=fields)
    assert isinstance(locate(company, nowhere)[key(2)], Unknown)


def test_an_entry_on_somebody_who_is_gone_is_unknown(company: World) -> None:
    ana = company.person()
    write = activity(1, ana)
    company.crm.delete("persons", ana)
    location = locate(company, write)[key(1)]
    assert isinstance(location, Unknown)
    assert f"persons {ana}, to which it was linked, is deleted" in location.reason


def test_an_entry_is_found_behind_a_page_of_others(company: World) -> None:
    ana = company.person()
    first = activity(1, ana)
    company.push(first)
    for number in range(501):
        company.crm.create(
            "activities",
            {
                "subject": f"{number}",
                "type": "task",
                "participants": [{"person_id": int(ana), "primary": True}],
            },
        )
    assert isinstance(locate(company, first)[key(1)], Found)


def test_a_person_of_ours_is_located_by_its_key(company: World) -> None:
    company.connector.create("persons", [Field(name=KEY_FIELD)])
    write, never = person_write(1), person_write(2, emails="ana@one.example")
    company.person(emails=emails("ana@one.example"), custom_fields={})
    receipt = company.push(write)[key(1)]
    company.reopen()
    found = locate(company, write, never)
    assert found[key(1)] == Found(key=key(1), id=receipt.id or "")
    assert isinstance(found[key(2)], Found), "somebody who shows just what was sent is not made twice"


def test_without_a_key_field_a_person_counts_as_ours_if_it_shows_what_was_sent(company: World) -> None:
    ours = person_write(1, emails="ana@one.example", phones="+5511973914862")
    receipt = company.push(ours)[key(1)]
    company.person("Rui", emails=emails("rui@one.example"))
    other = person_write(2, emails="rui@one.example")
    nobody = person_write(3, emails="bia@one.example")
    nothing = person_write(4)
    found = locate(company, ours, other, nobody, nothing)
    assert found[key(1)] == Found(key=key(1), id=receipt.id or "")
    assert [type(found[key(number)]) for number in (2, 3, 4)] == [Absent, Absent, Unknown]


def test_changes_are_located_by_what_pipedrive_shows(company: World) -> None:
    ana = company.person()
    made = company.push(activity(1, ana))[key(1)].id or ""
    deal = company.crm.create("deals", {"title": "Um"})

    def change(number: int, op: str, *links: Link, **fields: object) -> Write:
        return Write(key=key(number), op=op, stream="activities", id=made, fields=fields, links=links)  # type: ignore[arg-type]

    same = {"note": f"Oi!<br/>crmbridge {key(1)}", "due_time": WHEN, "due_date": WHEN, "done": True}
    to_ana, to_deal = Link(stream="persons", to=ana), Link(stream="deals", to=deal)
    writes = [
        change(2, "update", **same),
        change(3, "update", note="Olá!"),
        change(4, "link", to_ana),
        change(5, "link", to_deal),
        change(6, "unlink", to_deal),
        change(7, "archive"),
    ]
    found = locate(company, *writes)
    stands = [isinstance(found[write.key], Found) for write in writes]
    assert stands == [True, False, True, False, True, False]
    company.crm.delete("activities", made)
    found = locate(company, *writes)
    assert isinstance(found[key(7)], Found) and isinstance(found[key(2)], Absent)


# -- what is set up --------------------------------------------------------------------------------


def test_fields_are_made_once_and_used_at_once(company: World) -> None:
    fields = [Field(name="Waiting since", type="datetime"), Field(name="Score", type="number")]
    fields.append(Field(name="Channel", type="enumeration", options=("WhatsApp", "Phone")))
    company.connector.describe("persons")
    names = tuple(field.name for field in fields)
    assert company.connector.create("persons", fields) == Created(created=names)
    described = {field.name: field for field in company.connector.describe("persons")}
    assert [described[name].type for name in names] == ["date", "double", "enum"]
    assert described["Channel"].options == ("WhatsApp", "Phone")
    assert all(described[name].writable for name in names)
    assert company.connector.create("persons", fields) == Created(existing=names)
    assert company.push(person_write(1, Channel="Phone"))[key(1)].error is None
    assert company.connector.describe("notes") == []


def test_who_may_not_make_fields_is_told_the_steps(company: World) -> None:
    company.crm.levers.admin = False
    made = company.connector.create("persons", [Field(name="Waiting since", type="datetime")])
    [step] = made.manual
    assert made.created == ()
    assert 'Data fields > Person > Add custom field: name "Waiting since", type date' in step
    assert "You do not have permissions" in step


def test_a_refused_key_is_no_manual_step(company: World) -> None:
    company.crm.levers.expired = True
    with pytest.raises(AuthError):
        company.connector.create("persons", [Field(name="Waiting since")])


def test_a_plan_that_ended_is_told_in_pipedrives_words(company: World) -> None:
    body = {"success": False, "error": "Company subscription has expired", "errorCode": 402}
    company.crm.levers.fail(402, path="/users", body=body)
    with pytest.raises(Rejected, match=r"subscription has expired\. See what the company's plan includes"):
        company.connector.check()


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}, 2.0),
        ({"x-ratelimit-remaining": "0"}, 2.0),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "2"}, 3600.0),
        ({}, 3600.0),
    ],
)
def test_a_429_is_told_apart_by_its_headers(company: World, headers: dict[str, str], wait: float) -> None:
    class Refusing(Wire):
        def request(self, method: str, url: str, **more: object) -> requests.Response:
            response = super().request(method, url)
            response.status_code = 429
            response.headers.update(headers)
            return response

    wire = Refusing()
    with pytest.raises(RateLimited) as caught:
        Client(wire, {"api_token": "a"}, company.clock).get("/v1/users/me")
    assert caught.value.wait == wait
    assert wire.paused == (wait, "burst")
