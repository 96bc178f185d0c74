"""The stand-in of Pipedrive: search, merges, and what became of a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pipedrive_sandbox_client import World, world


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


def person(crm: World, name: str, email: str = "", phone: str = "", **fields: Any) -> str:
    channels = {
        "emails": [{"value": email}] if email else [],
        "phones": [{"value": phone}] if phone else [],
    }
    return crm.crm.create("persons", {"name": name, **channels, **fields})


def found(crm: World, path: str = "/api/v2/persons/search", **query: Any) -> list[str]:
    answer = crm.get(path, **query)
    assert answer.status_code == 200, answer.text
    return [str(hit["item"]["id"]) for hit in answer.json()["data"]["items"]]


def test_an_exact_search_takes_the_whole_value_in_any_case(crm: World) -> None:
    ana = person(crm, "Ana Souza", "ana@x.br")
    person(crm, "Mariana", "mariana@x.br")
    assert found(crm, term="ANA@x.br", fields="email", exact_match="true") == [ana]
    assert found(crm, term="ana", fields="email", exact_match="true") == []
    assert len(found(crm, term="ana@x.br", fields="email")) == 2
    assert found(crm, term="ana@x.br", fields="name,phone") == []


def test_a_number_is_found_as_it_was_typed(crm: World) -> None:
    ana = person(crm, "Ana", phone="+55 11 97391-4862")
    assert found(crm, term="+55 11 97391-4862", fields="phone", exact_match="true") == [ana]
    assert found(crm, term="+5511973914862", fields="phone", exact_match="true") == []
    assert found(crm, term="97391-4862", fields="phone") == [ana]


def test_a_search_shows_flat_addresses_and_the_organization(crm: World) -> None:
    org = crm.crm.create("organizations", {"name": "Padaria Lima"})
    ana = person(crm, "Ana", "ana@x.br", "123", org_id=int(org))
    crm.crm.create("notes", {"content": "two ovens", "person_id": int(ana)})
    (hit,) = crm.get("/api/v2/persons/search", term="ovens").json()["data"]["items"]
    assert hit["item"] == {
        "id": int(ana),
        "type": "person",
        "name": "Ana",
        "emails": ["ana@x.br"],
        "phones": ["123"],
        "visible_to": 3,
        "owner": {"id": 501},
        "organization": {"id": int(org), "name": "Padaria Lima"},
        "custom_fields": [],
        "notes": ["two ovens"],
    }
    assert found(crm, term="Ana", organization_id=org) == [ana]
    assert found(crm, term="Ana", organization_id=99) == []


def test_the_index_lags_behind_for_new_changed_and_deleted_records(crm: World) -> None:
    crm.crm.levers.index_lag = 5.0
    ana = person(crm, "Ana", "ana@x.br")
    assert found(crm, term="ana@x.br") == []
    assert crm.pages("/api/v2/persons") == [[int(ana)]]
    crm.clock.move(5)
    assert found(crm, term="ana@x.br") == [ana]
    crm.crm.edit("persons", ana, {"emails": [{"value": "new@x.br"}]})
    assert (found(crm, term="ana@x.br"), found(crm, term="new@x.br")) == ([ana], [])
    crm.clock.move(5)
    crm.crm.delete("persons", ana)
    assert found(crm, term="new@x.br") == [ana]
    crm.clock.move(5)
    assert found(crm, term="new@x.br") == []


def test_searches_are_paged_and_short_terms_refused(crm: World) -> None:
    ids = [person(crm, f"Ana {n}") for n in range(3)]
    first = crm.get("/api/v2/persons/search", term="ana", limit=2).json()
    assert [str(hit["item"]["id"]) for hit in first["data"]["items"]] == ids[:2]
    assert found(crm, term="ana", limit=2, cursor=first["additional_data"]["next_cursor"]) == ids[2:]
    assert crm.get("/api/v2/persons/search", term="a").status_code == 400
    assert crm.get("/api/v2/persons/search", term="a", exact_match="true").status_code == 200
    assert crm.get("/api/v2/persons/search", term="ana", fields="colour").status_code == 400


def test_items_of_several_types_are_searched_at_once(crm: World) -> None:
    ana = person(crm, "Ana Forno")
    deal = crm.crm.create("deals", {"title": "Forno turbo", "person_id": int(ana)})
    lead = crm.crm.create("leads", {"title": "Forno", "person_id": int(ana)})
    assert set(found(crm, "/api/v2/itemSearch", term="forno")) == {ana, deal, lead}
    assert found(crm, "/api/v2/itemSearch", term="forno", item_types="deal,product", fields="title") == [deal]
    assert found(crm, "/api/v2/deals/search", term="forno", status="won") == []
    assert crm.get("/api/v2/itemSearch", term="forno", limit=101).status_code == 400


def test_one_field_is_searched_with_respect_to_case(crm: World) -> None:
    key = crm.crm.define("persons", "Key")
    ana = person(crm, "Ana", custom_fields={key: "K-1"})

    def ids(**query: Any) -> list[str]:
        answer = crm.get("/api/v2/itemSearch/field", entity_type="person", field=key, **query)
        return [str(hit["item"]["id"]) for hit in answer.json()["data"]]

    assert (ids(term="K-1"), ids(term="k-1"), ids(term="K-")) == ([ana], [], [])
    assert (ids(term="K-", match="beginning"), ids(term="-1", match="middle")) == ([ana], [ana])
    assert crm.get("/api/v2/itemSearch/field", entity_type="person", term="K-1").status_code == 400


def test_of_two_merged_persons_the_one_in_the_body_remains(crm: World) -> None:
    org = crm.crm.create("organizations", {"name": "Lima"})
    stays = person(crm, "Ana Souza", "ana@x.br", "1")
    goes = person(crm, "Ana", "ANA@x.br", "2", org_id=int(org))
    deal = crm.crm.create("deals", {"title": "D", "person_id": int(goes)})
    note = crm.crm.create("notes", {"content": "Oi", "person_id": int(goes)})
    call = crm.crm.create("activities", {"subject": "x", "participants": [{"person_id": int(goes)}]})
    crm.clock.move(60)
    data = crm.put(f"/v1/persons/{goes}/merge", {"merge_with_id": int(stays)}).json()["data"]
    assert (data["id"], data["merge_what_id"], data["name"], data["org_id"]) == (
        int(stays), int(goes), "Ana Souza", int(org),
    )  # fmt: skip
    assert [one["value"] for one in data["email"]] == ["ana@x.br"]
    assert [(one["value"], one["primary"]) for one in data["phone"]] == [("1", True), ("2", False)]
    assert crm.get(f"/api/v2/persons/{goes}").json()["data"]["is_deleted"] is True
    assert crm.pages("/api/v2/deals", person_id=stays) == [[int(deal)]]
    assert {entry["id"] for entry in crm.crm.timeline("persons", stays)} == {note, call}
    since = "2026-11-20T09:01:00Z"
    assert crm.pages("/api/v2/activities", updated_since=since) == [[int(call)]]
    assert crm.pages("/api/v2/persons", updated_since=since) == [[int(stays)]]


def test_merges_that_cannot_be_are_refused(crm: World) -> None:
    ana = person(crm, "Ana")
    for body in ({"merge_with_id": int(ana)}, {"merge_with_id": "x"}, {}):
        assert crm.put(f"/v1/persons/{ana}/merge", body).status_code == 400
    assert crm.put(f"/v1/persons/{ana}/merge", {"merge_with_id": 99}).status_code == 404
    assert crm.put("/v1/persons/99/merge", {"merge_with_id": int(ana)}).status_code == 404


def test_deals_and_organizations_merge_by_hand_as_well(crm: World) -> None:
    lima, padaria = (crm.crm.create("organizations", {"name": name}) for name in ("Lima", "Padaria"))
    one, two = (crm.crm.create("deals", {"title": title, "org_id": int(padaria)}) for title in ("One", "Two"))
    crm.crm.edit(
        "deals", two, {"status": "lost", "lost_reason": "price", "expected_close_date": "2026-12-01"}
    )
    note = crm.crm.create("notes", {"content": "Oi", "deal_id": int(two)})
    assert crm.crm.merge("deals", one, two) == one
    (deal,) = crm.crm.objects("deals")
    assert (deal["title"], deal["status"], deal["lost_reason"]) == ("One", "open", None)
    assert deal["expected_close_date"] == "2026-12-01"
    crm.crm.merge("organizations", lima, padaria)
    assert [deal["org_id"] for deal in crm.crm.objects("deals")] == [int(lima)]
    assert [entry["id"] for entry in crm.crm.timeline("deals", one)] == [note]


def test_the_flow_of_a_deal_tells_its_stages_newest_first(crm: World) -> None:
    deal = crm.crm.create("deals", {"title": "D"})
    crm.clock.move(60)
    crm.crm.edit("deals", deal, {"stage_id": 503})
    crm.clock.move(60)
    crm.patch(f"/api/v2/deals/{deal}", {"status": "won"})
    crm.crm.create("notes", {"content": "Oi", "deal_id": int(deal)})
    flow = crm.get(f"/v1/deals/{deal}/flow", items="dealChange").json()
    steps = [one["data"] for one in flow["data"]]
    assert {one["object"] for one in flow["data"]} == {"dealChange"}
    (stage,) = (step for step in steps if step["field_key"] == "stage_id")
    assert (stage["old_value"], stage["new_value"]) == (501, 503)
    assert (stage["log_time"], stage["change_source"]) == ("2026-11-20 09:01:00", "app")
    (status,) = (step for step in steps if step["field_key"] == "status")
    assert (status["new_value"], status["change_source"]) == ("won", "api")
    assert steps[-1]["field_key"] == "add_time"
    assert len({step["id"] for step in steps}) == len(steps)
    assert [one["object"] for one in crm.get(f"/v1/deals/{deal}/flow", items="note").json()["data"]] == [
        "note"
    ]


def test_a_flow_is_paged_and_shows_custom_fields_when_asked(crm: World) -> None:
    key = crm.crm.define("persons", "Key")
    ana = person(crm, "Ana")
    crm.crm.edit("persons", ana, {"custom_fields": {key: "K-1"}})
    assert [one["data"]["field_key"] for one in crm.get(f"/v1/persons/{ana}/flow").json()["data"]] == [
        "add_time"
    ]
    page = crm.get(f"/v1/persons/{ana}/flow", all_changes="1", limit=1).json()
    assert [one["data"]["field_key"] for one in page["data"]] == [key]
    assert page["additional_data"]["more_items_in_collection"] is True


def test_the_changelog_tells_values_as_texts(crm: World) -> None:
    deal = crm.crm.create("deals", {"title": "D"})
    crm.clock.move(60)
    crm.crm.edit("deals", deal, {"stage_id": 502, "owner_id": int(crm.crm.add_user("Eva", "eva@x.br"))})
    first = crm.get(f"/v1/deals/{deal}/changelog", limit=2).json()
    more = crm.get(
        f"/v1/deals/{deal}/changelog", limit=2, cursor=first["additional_data"]["next_cursor"]
    ).json()
    steps = {one["field_key"]: one for one in first["data"] + more["data"]}
    assert sorted(steps) == ["add_time", "stage_change_time", "stage_id", "user_id"]
    assert (steps["user_id"]["old_value"], steps["user_id"]["new_value"]) == ("501", "502")
    assert more["data"][-1]["field_key"] == "add_time"
    assert more["additional_data"]["next_cursor"] is None


def test_the_changelog_of_a_person_calls_addresses_and_numbers_by_one(crm: World) -> None:
    key = crm.crm.define("persons", "Key")
    ana = person(crm, "Ana", "john@x.br")
    crm.clock.move(60)
    changed = {"emails": [{"value": "ana@x.br"}, {"value": "a@x.br"}], "custom_fields": {key: "K-1"}}
    crm.patch(f"/api/v2/persons/{ana}", changed)
    crm.clock.move(60)
    crm.crm.edit("persons", ana, {"phones": [{"value": "1"}], "emails": []})
    rows = crm.get(f"/v1/persons/{ana}/changelog").json()["data"]
    steps = [(one["field_key"], one["old_value"], one["new_value"], one["change_source"]) for one in rows]
    assert sorted(steps[:2]) == [("email", "ana@x.br, a@x.br", None, "app"), ("phone", None, "1", "app")]
    assert sorted(steps[2:4]) == sorted(
        [("email", "john@x.br", "ana@x.br, a@x.br", "api"), (key, None, "K-1", "api")]
    )
    assert [one["time"] for one in rows] == [
        *["2026-11-20 09:02:00"] * 2,
        *["2026-11-20 09:01:00"] * 2,
        "2026-11-20 09:00:00",
    ]
