"""Batches, associations and search of the HubSpot stand-in: caps, mixed results, the index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hubspot_sandbox_client import V, World, link, message, world


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


def equals(name: str, value: str, operator: str = "EQ") -> dict[str, Any]:
    return {"propertyName": name, "operator": operator, "value": value}


# Batches


@pytest.mark.parametrize("verb", ["create", "read", "update", "upsert", "archive"])
def test_a_batch_takes_a_hundred_inputs_and_no_more(crm: World, verb: str) -> None:
    answer = crm.batch("contacts", verb, *[{"id": str(n), "properties": {}} for n in range(101)])
    assert answer.status_code == 400
    assert answer.json()["message"] == "The maximum number of inputs is 100, but 101 were sent"
    assert crm.batch("contacts", verb).status_code == 400


def test_one_bad_row_fails_a_batch_without_trace_ids(crm: World) -> None:
    answer = crm.batch(
        "communications",
        "create",
        {"properties": message()},
        {"properties": message(hs_communication_channel_type="TELEGRAM")},
    )
    assert answer.status_code == 400
    assert crm.hub.objects("communications") == []


@pytest.mark.parametrize("traces", [("a", None), ("a", "a")])
def test_trace_ids_count_only_when_every_row_has_its_own(crm: World, traces: tuple[str, str | None]) -> None:
    rows = [
        {"properties": message(**more), "objectWriteTraceId": trace}
        for more, trace in zip(({}, {"nonsense": "1"}), traces, strict=True)
    ]
    assert crm.batch("communications", "create", *rows).status_code == 400
    assert crm.hub.objects("communications") == []


def test_with_trace_ids_the_good_rows_are_written_and_the_bad_ones_named(crm: World) -> None:
    ana = crm.hub.create("contacts", {"email": "ana@example.com"})
    rows = [
        {"properties": {"email": "a@example.com"}, "objectWriteTraceId": "t1"},
        {"properties": {"email": "ana@example.com"}, "objectWriteTraceId": "t2"},
        {"properties": {"email": "b@example.com", "shoe_size": "42"}, "objectWriteTraceId": "t3"},
        {"properties": {"email": "c@example.com"}, "objectWriteTraceId": "t4"},
    ]
    answer = crm.batch("contacts", "create", *rows)
    assert answer.status_code == 207
    body = answer.json()
    assert (body["status"], body["numErrors"]) == ("COMPLETE", 2)
    assert [(row["objectWriteTraceId"], row["properties"]["email"]) for row in body["results"]] == [
        ("t4", "c@example.com"),
        ("t1", "a@example.com"),
    ]
    conflict, unknown = body["errors"]
    assert conflict["context"] == {"objectWriteTraceId": ["t2"]}
    assert conflict["message"] == f"Contact already exists. Existing ID: {ana}"
    assert (unknown["category"], unknown["errors"][0]["code"]) == (
        "VALIDATION_ERROR",
        "PROPERTY_DOESNT_EXIST",
    )


def test_results_come_in_another_order_than_the_inputs(crm: World) -> None:
    rows = [{"properties": {"firstname": str(n)}} for n in range(3)]
    answer = crm.batch("contacts", "create", *rows)
    assert answer.status_code == 201
    assert [row["properties"]["firstname"] for row in answer.json()["results"]] == ["2", "1", "0"]


def test_the_same_address_twice_in_a_batch_is_a_conflict(crm: World) -> None:
    rows = [{"properties": {"email": "ana@example.com"}} for _ in range(2)]
    assert crm.batch("contacts", "create", *rows).status_code == 409
    assert crm.hub.objects("contacts") == []


def test_a_batch_read_names_what_it_did_not_find(crm: World) -> None:
    ana = crm.hub.create("contacts", {"email": "ana@example.com"})
    answer = crm.batch("contacts", "read", {"id": ana}, {"id": "9999"}, properties=["email"])
    assert answer.status_code == 207
    assert [row["id"] for row in answer.json()["results"]] == [ana]
    (error,) = answer.json()["errors"]
    assert (error["category"], error["context"]) == ("OBJECT_NOT_FOUND", {"ids": ["9999"]})
    by_address = crm.batch("contacts", "read", {"id": "ANA@example.com"}, idProperty="email")
    assert (by_address.status_code, by_address.json()["results"][0]["id"]) == (200, ana)


def test_a_batch_read_brings_the_history_of_a_property(crm: World) -> None:
    deal = crm.hub.create("deals", {"dealname": "Fornos", "dealstage": "qualifiedtobuy"})
    crm.hub.edit("deals", deal, {"dealstage": "closedlost"})
    answer = crm.batch("deals", "read", {"id": deal}, propertiesWithHistory=["dealstage"])
    (row,) = answer.json()["results"]
    assert [one["value"] for one in row["propertiesWithHistory"]["dealstage"]] == [
        "closedlost",
        "qualifiedtobuy",
    ]
    inputs = [{"id": str(number)} for number in range(51)]
    refused = crm.batch("deals", "read", *inputs, propertiesWithHistory=["dealstage"])
    assert refused.status_code == 400
    assert "property histories is 50" in refused.json()["message"]
    assert crm.batch("deals", "read", *inputs, propertiesWithHistory=[]).status_code == 207


def test_a_batch_read_of_merged_and_archived_ids(crm: World) -> None:
    ana, anna, rui = (crm.hub.create("contacts", {"firstname": name}) for name in ("Ana", "Anna", "Rui"))
    merged = crm.hub.merge("contacts", ana, anna)
    crm.hub.delete("contacts", rui)
    answer = crm.batch("contacts", "read", {"id": ana}, {"id": anna}, {"id": rui})
    assert [row["id"] for row in answer.json()["results"]] == [merged]
    gone = crm.post(f"/crm/objects/{V}/contacts/batch/read?archived=true", {"inputs": [{"id": rui}]})
    assert gone.json()["results"][0]["archived"] is True


def test_a_batch_update_writes_by_id_and_refuses_the_same_id_twice(crm: World) -> None:
    ana = crm.hub.create("contacts", {"email": "ana@example.com"})
    row = {"id": ana, "properties": {"firstname": "Ana"}}
    assert crm.batch("contacts", "update", row).json()["results"][0]["properties"]["firstname"] == "Ana"
    assert crm.batch("contacts", "update", row, row).status_code == 400
    assert crm.batch("contacts", "update", {**row, "id": "9999"}).status_code == 404
    by_address = crm.batch("contacts", "update", {**row, "id": "ana@example.com", "idProperty": "email"})
    assert "non-unique" in by_address.json()["message"]


def test_a_batch_archive_is_silent_about_what_is_not_there(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    assert crm.batch("contacts", "archive", {"id": ana}, {"id": "9999"}).status_code == 204
    assert crm.hub.objects("contacts") == []
    assert [one["id"] for one in crm.hub.objects("contacts", archived=True)] == [ana]


def test_an_upsert_has_its_own_rules(crm: World) -> None:
    crm.hub.define("contacts", "outside_key", unique=True)
    row = {"id": "K1", "idProperty": "outside_key", "properties": {"firstname": "Ana"}}
    assert crm.batch("contacts", "upsert", row).json()["results"][0]["new"] is True
    linked = crm.batch("contacts", "upsert", {**row, "associations": []})
    assert "no associations" in linked.json()["message"]
    by_id = crm.batch("contacts", "upsert", {**row, "id": "501", "idProperty": "hs_object_id"})
    assert "non-unique" in by_id.json()["message"]
    sparse = {"id": "x@example.com", "idProperty": "email", "properties": {"firstname": "X"}}
    assert "Partial upserts" in crm.batch("contacts", "upsert", sparse).json()["message"]
    whole = {**sparse, "properties": {"firstname": "X", "email": "x@example.com"}}
    assert crm.batch("contacts", "upsert", whole).json()["results"][0]["new"] is True


@pytest.mark.parametrize(("whole", "status", "count"), [(False, 207, 1), (True, 400, 0)])
def test_an_account_may_refuse_a_whole_upsert_for_one_row(
    crm: World, whole: bool, status: int, count: int
) -> None:
    crm.hub.levers.whole_upserts = whole
    crm.hub.define("contacts", "outside_key", unique=True)
    rows = [
        {"id": key, "idProperty": "outside_key", "properties": properties, "objectWriteTraceId": key}
        for key, properties in (("K1", {"firstname": "Ana"}), ("K2", {"email": "nonsense"}))
    ]
    assert crm.batch("contacts", "upsert", *rows).status_code == status
    assert len(crm.hub.objects("contacts")) == count


# Associations


def test_inline_associations_are_made_with_the_record_or_refuse_it(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    body = {"properties": message(), "associations": [link("9999", 81)]}
    refused = crm.post(f"/crm/objects/{V}/communications", body)
    assert (refused.status_code, refused.json()["message"]) == (400, "CONTACT=9999 is not valid")
    wrong = crm.post(f"/crm/objects/{V}/communications", {**body, "associations": [link(ana, 202)]})
    assert wrong.status_code == 400
    made = crm.post(f"/crm/objects/{V}/communications", {**body, "associations": [link(ana, 81)]})
    assert [entry["id"] for entry in crm.hub.timeline(ana)] == [made.json()["id"]]


def test_an_account_may_drop_inline_associations_without_a_word(crm: World) -> None:
    crm.hub.levers.ignore_inline_links = True
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    answer = crm.batch("communications", "create", {"properties": message(), "associations": [link(ana, 81)]})
    assert answer.status_code == 201
    assert crm.hub.timeline(ana) == []


def test_association_batches_have_caps_of_their_own(crm: World) -> None:
    path = f"/crm/associations/{V}/contacts/companies/batch"
    pair = {"from": {"id": "1"}, "to": {"id": "2"}}
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]
    many = [{**pair, "types": types}] * 2001
    assert "2000" in crm.post(f"{path}/create", {"inputs": many}).json()["message"]
    assert crm.post(f"{path}/create", {"inputs": many[:2000]}).status_code == 207
    assert "1000" in crm.post(f"{path}/read", {"inputs": [{"id": "1"}] * 1001}).json()["message"]
    archive = [{"from": {"id": "1"}, "to": [{"id": "2"}]}] * 101
    assert "100" in crm.post(f"{path}/archive", {"inputs": archive}).json()["message"]


def test_an_association_read_pages_and_names_who_has_none(crm: World) -> None:
    crm.hub.levers.association_page = 2
    ana, rui = (crm.hub.create("contacts", {"firstname": name}) for name in ("Ana", "Rui"))
    notes = [crm.hub.create("notes", {"hs_note_body": str(n)}) for n in range(3)]
    for note in notes:
        crm.hub.associate("notes", note, "contacts", ana)
    path = f"/crm/associations/{V}/contacts/notes/batch/read"
    answer = crm.post(path, {"inputs": [{"id": ana}, {"id": rui}]})
    assert answer.status_code == 207
    (row,) = answer.json()["results"]
    assert [to["toObjectId"] for to in row["to"]] == notes[:2]
    assert row["to"][0]["associationTypes"] == [{"category": "HUBSPOT_DEFINED", "typeId": 201, "label": None}]
    (error,) = answer.json()["errors"]
    assert error["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert error["context"]["fromObjectId"] == [rui]
    after = row["paging"]["next"]["after"]
    rest = crm.post(path, {"inputs": [{"id": ana, "after": after}]}).json()["results"][0]
    assert [to["toObjectId"] for to in rest["to"]] == notes[2:]
    assert "paging" not in rest


def test_the_first_company_is_the_primary_one_until_another_is_made_so(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    first, second = (crm.hub.create("companies", {"name": name}) for name in ("A", "B"))
    for company in (first, second):
        path = f"/crm/objects/{V}/contacts/{ana}/associations/default/companies/{company}"
        assert crm.call("PUT", path).status_code == 200

    def primary() -> list[str]:
        rows = crm.get(f"/crm/objects/{V}/contacts/{ana}/associations/companies").json()["results"]
        return [
            row["toObjectId"] for row in rows if any(t["label"] == "Primary" for t in row["associationTypes"])
        ]

    assert primary() == [first]
    spec = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]
    assert (
        crm.call("PUT", f"/crm/objects/{V}/contacts/{ana}/associations/companies/{second}", spec).status_code
        == 201
    )
    assert primary() == [second]
    labels = crm.post(
        f"/crm/associations/{V}/contacts/companies/batch/labels/archive",
        {"inputs": [{"from": {"id": ana}, "to": {"id": second}, "types": spec}]},
    )
    assert labels.status_code == 204
    assert primary() == []


def test_an_archived_record_is_no_end_of_a_link(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    note = crm.hub.create("notes", {"hs_note_body": "x"})
    crm.hub.associate("notes", note, "contacts", ana)
    crm.hub.delete("notes", note)
    assert crm.get(f"/crm/objects/{V}/contacts/{ana}/associations/notes").json() == {"results": []}


# Search


def test_search_filters_as_hubspot_does(crm: World) -> None:
    ana = crm.hub.create(
        "contacts", {"email": "ana@example.com", "firstname": "Ana", "phone": "+5511973914862"}
    )
    rui = crm.hub.create("contacts", {"email": "rui@example.com", "firstname": "Rui"})
    crm.hub.delete("contacts", crm.hub.create("contacts", {"firstname": "Gone"}))

    def found(*filters: dict[str, Any], **body: Any) -> list[str]:
        answer = crm.search("contacts", *filters, **body)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["results"]]

    assert found() == [ana, rui]
    assert found(equals("firstname", "ANA")) == [ana]
    assert found(equals("firstname", "Ana", "NEQ")) == [rui]
    assert found({"propertyName": "email", "operator": "IN", "values": ["ana@example.com", "x@y.z"]}) == [ana]
    assert found({"propertyName": "firstname", "operator": "IN", "values": ["Ana"]}) == []
    assert found({"propertyName": "firstname", "operator": "IN", "values": ["ana"]}) == [ana]
    assert found({"propertyName": "email", "operator": "NOT_IN", "values": ["ana@example.com"]}) == [rui]
    assert found({"propertyName": "phone", "operator": "HAS_PROPERTY"}) == [ana]
    assert found({"propertyName": "phone", "operator": "NOT_HAS_PROPERTY"}) == [rui]
    assert found(equals("phone", "*73914862", "CONTAINS_TOKEN")) == [ana]
    assert found(equals("hs_object_id", ana, "GT")) == [rui]
    between = {
        "propertyName": "createdate",
        "operator": "BETWEEN",
        "value": "1700000000000",
        "highValue": "2027-01-01",
    }
    assert found(between) == [ana, rui]
    assert found(query="rui") == [rui]
    assert found(sorts=[{"propertyName": "firstname", "direction": "DESCENDING"}]) == [rui, ana]
    assert found(sorts=["-firstname"]) == [rui, ana]
    note = crm.hub.create("notes", {"hs_note_body": "x"})
    crm.hub.associate("notes", note, "contacts", rui)
    assert found(equals("associations.note", note)) == [rui]


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"after": "9901", "limit": 100},
        {"after": "x"},
        {"filterGroups": [{"filters": []}] * 6},
        {"filterGroups": [{"filters": [equals("email", "a")] * 7}]},
        {"filterGroups": [{"filters": [equals("email", "a")] * 5}] * 4},
        {"filterGroups": [{"filters": [equals("shoe_size", "42")]}]},
        {"filterGroups": [{"filters": [equals("email", "a", "LIKE")]}]},
        {"filterGroups": [{"filters": [equals("createdate", "yesterday")]}]},
        {"sorts": [{"propertyName": "email"}, {"propertyName": "firstname"}]},
        {"sorts": [{"propertyName": "shoe_size"}]},
        {"query": "x" * 3001},
    ],
)
def test_search_refuses_what_is_past_its_limits(crm: World, body: dict[str, Any]) -> None:
    answer = crm.post(f"/crm/objects/{V}/contacts/search", body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_search_ends_at_ten_thousand_though_it_counts_on(crm: World) -> None:
    for n in range(10_050):
        crm.hub.create("contacts", {"firstname": str(n)})
    last = crm.search("contacts", limit=200, after="9800").json()
    assert last["total"] == 10_050
    assert last["paging"]["next"]["after"] == "10000"
    assert crm.search("contacts", limit=200, after="10000").status_code == 400


def test_search_sees_a_change_only_after_the_lag(crm: World) -> None:
    crm.hub.levers.index_lag = 5
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    assert crm.search("contacts").json()["total"] == 0
    crm.clock.move(5)
    assert crm.search("contacts").json()["results"][0]["id"] == ana
    crm.hub.edit("contacts", ana, {"firstname": "Anna"})
    crm.clock.move(4)
    assert crm.search("contacts").json()["results"][0]["properties"]["firstname"] == "Ana"
    assert crm.get(f"/crm/objects/{V}/contacts/{ana}").json()["properties"]["firstname"] == "Anna"
    crm.clock.move(1)
    assert crm.search("contacts", equals("firstname", "Anna")).json()["total"] == 1
    crm.hub.delete("contacts", ana)
    assert crm.search("contacts").json()["total"] == 0


def test_search_sees_a_merged_record_only_after_the_lag(crm: World) -> None:
    crm.hub.levers.index_lag = 5
    ana, anna = (crm.hub.create("contacts", {"firstname": name}) for name in ("Ana", "Anna"))
    crm.clock.move(60)
    merged = crm.hub.merge("contacts", ana, anna)
    assert crm.search("contacts").json()["total"] == 0
    crm.clock.move(5)
    assert [row["id"] for row in crm.search("contacts").json()["results"]] == [merged]
