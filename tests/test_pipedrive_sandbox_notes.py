"""The stand-in of Pipedrive, version 1: notes, leads, users and activity types."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pipedrive_sandbox_client import World, world


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


@pytest.fixture
def ana(crm: World) -> int:
    return int(crm.crm.create("persons", {"name": "Ana Souza", "emails": [{"value": "ana@x.br"}]}))


def test_a_note_stands_in_the_past_and_names_what_it_is_on(crm: World, ana: int) -> None:
    deal = int(crm.crm.create("deals", {"title": "Fornos"}))
    made = crm.made(
        "/v1/notes",
        {"content": "Oi", "person_id": ana, "deal_id": str(deal), "add_time": "2025-03-01 08:30:00"},
    )
    assert (made["add_time"], made["update_time"]) == ("2025-03-01 08:30:00", "2026-11-20 09:00:00")
    assert (made["person"], made["deal"], made["organization"]) == (
        {"name": "Ana Souza"},
        {"title": "Fornos"},
        None,
    )
    assert (made["deal_id"], made["active_flag"], made["user"]["is_you"]) == (deal, True, True)


def test_both_addresses_of_version_1_answer(crm: World, ana: int) -> None:
    made = crm.made("/api/v1/notes", {"content": "Oi", "person_id": ana})
    assert crm.get(f"/v1/notes/{made['id']}").json()["data"] == made


def test_the_html_of_a_note_is_cleaned(crm: World, ana: int) -> None:
    sent = '<p style="x" onclick="y()">Oi<br>você</p><script>z()</script><a href="javascript:w()">a</a>'
    content = crm.made("/v1/notes", {"content": sent, "person_id": ana})["content"]
    assert content == "<p>Oi<br>você</p><a>a</a>"


def test_a_note_has_at_most_a_hundred_kilobytes(crm: World, ana: int) -> None:
    most = "é" * (102_400 // 2)
    assert crm.post("/v1/notes", {"content": most, "person_id": ana}).status_code == 200
    assert crm.post("/v1/notes", {"content": most + "x", "person_id": ana}).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"content": "Oi"},
        {"person_id": 501},
        {"content": "", "person_id": 501},
        {"content": "Oi", "person_id": 99},
        {"content": "Oi", "lead_id": "no uuid"},
        {"content": "Oi", "person_id": 501, "add_time": "yesterday"},
        {"content": "Oi", "person_id": 501, "person": {"name": "Ana"}},
        {"content": "Oi", "person_id": 501, "pinned_to_deal_flag": 1},
    ],
)
def test_a_note_that_does_not_fit_is_refused(crm: World, ana: int, body: Any) -> None:
    assert ana == 501
    answer = crm.post("/v1/notes", body)
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert crm.crm.objects("notes") == []


def test_version_1_leaves_out_what_it_does_not_know(crm: World, ana: int) -> None:
    assert "colour" not in crm.made("/v1/notes", {"content": "Oi", "person_id": ana, "colour": "red"})


def test_notes_are_walked_by_start_and_limit(crm: World, ana: int) -> None:
    ids = [int(crm.crm.create("notes", {"content": f"N{n}", "person_id": ana})) for n in range(3)]
    first = crm.get("/v1/notes", limit=2).json()
    assert [row["id"] for row in first["data"]] == ids[:2]
    place = {"start": 0, "limit": 2, "more_items_in_collection": True, "next_start": 2}
    assert first["additional_data"] == {"pagination": place}
    last = crm.get("/v1/notes", limit=2, start=2).json()
    assert [row["id"] for row in last["data"]] == ids[2:]
    place = {"start": 2, "limit": 2, "more_items_in_collection": False}
    assert last["additional_data"] == {"pagination": place}


def test_notes_are_filtered_and_sorted(crm: World, ana: int) -> None:
    rui = int(crm.crm.create("persons", {"name": "Rui"}))
    old = int(crm.crm.create("notes", {"content": "b", "person_id": ana, "add_time": "2025-01-01 00:00:00"}))
    crm.clock.move(10)
    new = int(crm.crm.create("notes", {"content": "a", "person_id": rui}))

    def ids(**query: Any) -> list[int]:
        return [row["id"] for row in crm.get("/v1/notes", **query).json()["data"]]

    assert (ids(person_id=ana), ids(person_id=99), ids(user_id=501)) == ([old], [], [old, new])
    assert ids(updated_since="2026-11-20T09:00:10Z") == [new]
    assert ids(start_date="2025-01-01", end_date="2025-01-31") == [old]
    assert ids(sort="content ASC") == ids(sort="update_time DESC, id ASC") == [new, old]
    assert crm.get("/v1/notes", sort="colour ASC").status_code == 400


def test_a_note_is_changed_and_deleted(crm: World, ana: int) -> None:
    note = crm.made("/v1/notes", {"content": "Oi", "person_id": ana})["id"]
    crm.clock.move(60)
    changed = crm.put(f"/v1/notes/{note}", {"content": "Oi!"}).json()["data"]
    assert (changed["content"], changed["person_id"]) == ("Oi!", ana)
    assert changed["update_time"] == "2026-11-20 09:01:00"
    assert crm.delete(f"/v1/notes/{note}").json() == {"success": True, "data": True}
    assert crm.get("/v1/notes").json()["data"] == []
    assert crm.get(f"/v1/notes/{note}").json()["data"]["active_flag"] is False
    assert crm.put(f"/v1/notes/{note}", {"content": "x"}).status_code == 404


def test_a_note_moves_to_another_person(crm: World, ana: int) -> None:
    rui = crm.crm.create("persons", {"name": "Rui"})
    note = crm.crm.create("notes", {"content": "Oi", "person_id": ana})
    crm.crm.move("notes", note, person=rui)
    assert [entry["id"] for entry in crm.crm.timeline("persons", rui)] == [note]
    assert crm.crm.timeline("persons", str(ana)) == []
    assert crm.put(f"/v1/notes/{note}", {"person_id": None}).status_code == 400


def test_a_lead_belongs_to_somebody_and_keeps_our_id(crm: World, ana: int) -> None:
    assert crm.post("/v1/leads", {"title": "Forno"}).status_code == 400
    answer = crm.post("/v1/leads", {"title": "Forno", "person_id": ana, "origin_id": "K1"})
    assert answer.status_code == 201
    lead = answer.json()["data"]
    assert (lead["origin"], lead["origin_id"], lead["is_archived"]) == ("API", "K1", False)
    assert str(uuid.UUID(lead["id"])) == lead["id"]
    assert lead["add_time"] == "2026-11-20T09:00:00.000Z"


def test_a_lead_has_the_custom_fields_of_deals_beside_the_others(crm: World, ana: int) -> None:
    size = crm.crm.define("deals", "Size")
    lead = crm.made("/v1/leads", {"title": "Forno", "person_id": ana, size: "L"})
    assert lead[size] == "L"
    assert size not in crm.patch(f"/v1/leads/{lead['id']}", {size: None}).json()["data"]
    assert crm.patch(f"/v1/leads/{lead['id']}", {"colour": "red"}).status_code == 400
    assert crm.post("/v1/leads", {"title": "F", "person_id": ana, "is_archived": True}).status_code == 400


def test_archived_leads_have_a_list_of_their_own_and_deleted_ones_are_gone(crm: World, ana: int) -> None:
    first, second = (crm.crm.create("leads", {"title": f"L{n}", "person_id": ana}) for n in range(2))
    crm.clock.move(5)
    crm.crm.edit("leads", first, {"is_archived": True})
    listed = crm.get("/v1/leads").json()
    assert [row["id"] for row in listed["data"]] == [second]
    assert listed["additional_data"] == {"start": 0, "limit": 100, "more_items_in_collection": False}
    assert [row["id"] for row in crm.get("/v1/leads/archived").json()["data"]] == [first]
    assert crm.get("/v1/leads", updated_since="2026-11-20T09:00:05Z").json()["data"] == []
    crm.crm.delete("leads", second)
    answer = crm.get(f"/v1/leads/{second}")
    assert (answer.status_code, answer.json()["error"]) == (404, "requested lead not found")


def test_a_lead_becomes_a_deal_with_what_stood_on_it(crm: World, ana: int) -> None:
    value = {"amount": 900, "currency": "BRL"}
    lead = crm.crm.create("leads", {"title": "Forno", "person_id": ana, "value": value})
    note = crm.crm.create("notes", {"content": "Oi", "lead_id": lead})
    deal = crm.crm.convert(lead)
    made = crm.get(f"/api/v2/deals/{deal}", include_fields="source_lead_id").json()["data"]
    assert (made["title"], made["person_id"], made["value"], made["currency"]) == ("Forno", ana, 900, "BRL")
    assert made["source_lead_id"] == lead
    assert [entry["id"] for entry in crm.crm.timeline("deals", deal)] == [note]
    assert crm.get(f"/v1/leads/{lead}").status_code == 404


def test_users_tell_the_company_and_who_is_asking(crm: World) -> None:
    eva = crm.crm.add_user("Eva", "eva@example.com")
    me = crm.get("/v1/users/me").json()["data"]
    assert (me["company_id"], me["company_domain"], me["default_currency"]) == (7654321, "padaria", "USD")
    listed = crm.get("/v1/users").json()["data"]
    assert [(row["id"], row["name"], row["is_you"]) for row in listed] == [
        (me["id"], "Rui Costa", True),
        (int(eva), "Eva", False),
    ]
    assert crm.get(f"/v1/users/{eva}").json()["data"]["email"] == "eva@example.com"
    assert crm.get("/v1/users/99").status_code == crm.get("/v1/users/x").status_code == 404


def test_an_activity_type_gets_a_key_from_its_name(crm: World) -> None:
    keys = [
        crm.made("/v1/activityTypes", {"name": "WhatsApp chat", "icon_key": "bubble"})["key_string"]
        for _ in range(2)
    ]
    assert keys == ["whatsapp_chat", "whatsapp_chat_8"]
    listed = [row["key_string"] for row in crm.get("/v1/activityTypes").json()["data"]]
    assert listed == ["call", "meeting", "task", "deadline", "email", "lunch", *keys]
    assert crm.crm.add_type("Chat") == "chat"
    made = crm.made("/api/v2/activities", {"type": keys[0]})
    assert made["subject"] == "WhatsApp chat"
    for body in ({"name": "x", "icon_key": "moon"}, {"icon_key": "bubble"}):
        assert crm.post("/v1/activityTypes", body).status_code == 400
