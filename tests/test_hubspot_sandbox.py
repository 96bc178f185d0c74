"""What the stand-in of HubSpot keeps, shows and refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hubspot_sandbox_client import V, World, link, message, world

from bridge_hubspot.sandbox import Pipeline, Stage


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


@pytest.mark.parametrize(
    ("kind", "name", "sent", "kept"),
    [
        ("contacts", "email", "  Ana.Souza@Example.COM ", "ana.souza@example.com"),
        ("contacts", "firstname", "  Ana ", "Ana"),
        ("contacts", "firstname", "", None),
        ("contacts", "phone", "+55 11 97391-4862", "+55 11 97391-4862"),
        ("contacts", "hs_email_optout", True, "true"),
        ("deals", "amount", "18400.00", "18400"),
        ("deals", "amount", 0.5, "0.5"),
        ("deals", "amount", "1e3", "1000"),
        ("deals", "closedate", "2026-11-30", "2026-11-30T00:00:00Z"),
        ("deals", "closedate", 1795788000123, "2026-11-27T14:00:00.123Z"),
        ("deals", "closedate", "2026-11-30T09:00:00-03:00", "2026-11-30T12:00:00Z"),
        ("companies", "industry", "RETAIL", "RETAIL"),
    ],
)
def test_values_are_kept_in_hubspots_own_form(
    crm: World, kind: str, name: str, sent: object, kept: str | None
) -> None:
    made = crm.create(kind, **{name: sent})
    assert made.status_code == 201, made.text
    read = crm.get(f"/crm/objects/{V}/{kind}/{made.json()['id']}?properties={name}")
    assert read.json()["properties"][name] == kept


@pytest.mark.parametrize(
    ("kind", "name", "sent", "code"),
    [
        ("contacts", "email", "ana@", "INVALID_EMAIL"),
        ("contacts", "shoe_size", "42", "PROPERTY_DOESNT_EXIST"),
        ("contacts", "hs_object_id", "1", "READ_ONLY_VALUE"),
        ("contacts", "lifecyclestage", "boss", "INVALID_OPTION"),
        ("contacts", "hubspot_owner_id", "4711", "INVALID_OPTION"),
        ("contacts", "firstname", ["Ana"], "INVALID_VALUE"),
        ("deals", "amount", "R$ 18,400", "INVALID_LONG"),
        ("deals", "amount", "NaN", "INVALID_LONG"),
        ("deals", "closedate", "tomorrow", "INVALID_LONG"),
        ("deals", "dealstage", "no_such_stage", "INVALID_OPTION"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(
    crm: World, kind: str, name: str, sent: object, code: str
) -> None:
    answer = crm.create(kind, **{name: sent})
    assert answer.status_code == 400
    body = answer.json()
    assert body["category"] == "VALIDATION_ERROR"
    assert body["errors"][0]["code"] == code
    assert body["errors"][0]["context"] == {"propertyName": [name]}
    assert crm.hub.objects(kind) == []


def test_what_could_run_in_a_body_is_taken_out(crm: World) -> None:
    body = 'Oi <b>Ana</b><script>steal()</script><a href="javascript:steal()" onclick="steal()">x</a>'
    made = crm.create("notes", hs_timestamp="2026-11-18T17:02:00Z", hs_note_body=body)
    kept = made.json()["properties"]["hs_note_body"]
    assert kept == 'Oi <b>Ana</b><a rel="noopener noreferrer">x</a>'
    assert made.json()["properties"]["hs_body_preview"] == "Oi Anax"


@pytest.mark.parametrize("word", ["notes", "note", "0-46"])
@pytest.mark.parametrize("path", ["/crm/objects/2026-09", "/crm/objects/2026-03", "/crm/v3/objects"])
def test_every_version_and_every_name_of_a_type_lead_to_the_same_records(
    crm: World, path: str, word: str
) -> None:
    note = crm.hub.create("notes", {"hs_note_body": "Oi"})
    assert [row["id"] for row in crm.get(f"{path}/{word}").json()["results"]] == [note]


def test_a_path_of_no_version_is_not_there(crm: World) -> None:
    assert crm.get("/crm/objects/2019-01/contacts").status_code == 404
    assert crm.get("/crm/nothing/2026-09").status_code == 404
    assert crm.call("PUT", f"/crm/objects/{V}/contacts").status_code == 405


def test_a_read_returns_null_for_what_is_empty_and_nothing_for_what_does_not_exist(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    read = crm.get(f"/crm/objects/{V}/contacts/{ana}?properties=firstname,lastname,shoe_size").json()
    assert set(read["properties"]) == {
        "firstname",
        "lastname",
        "createdate",
        "lastmodifieddate",
        "hs_object_id",
    }
    assert read["properties"]["lastname"] is None


@pytest.mark.parametrize(
    ("kind", "lacking", "properties"),
    [
        ("notes", "hs_timestamp", {"hs_note_body": "x"}),
        ("communications", "hs_communication_channel_type", {"hs_timestamp": "2026-11-18T17:02:00Z"}),
        ("emails", "hs_email_direction", {"hs_timestamp": "2026-11-18T17:02:00Z"}),
    ],
)
def test_an_activity_without_what_it_requires_is_refused(
    crm: World, kind: str, lacking: str, properties: dict[str, str]
) -> None:
    answer = crm.create(kind, **properties)
    assert answer.status_code == 400
    assert answer.json()["context"] == {"properties": [lacking]}


def test_the_required_time_of_an_activity_cannot_be_cleared(crm: World) -> None:
    note = crm.hub.create("notes", {"hs_note_body": "x"})
    assert (
        crm.call("PATCH", f"/crm/objects/{V}/notes/{note}", {"properties": {"hs_timestamp": ""}}).status_code
        == 400
    )


def test_an_email_derives_its_people_from_the_headers(crm: World) -> None:
    headers = '{"from":{"email":"ana@example.com","firstName":"Ana"},"to":[{"email":"a@x.com"},{"email":"b@x.com"}]}'
    made = crm.create(
        "emails",
        hs_timestamp="2026-11-18T17:02:00Z",
        hs_email_direction="INCOMING_EMAIL",
        hs_email_headers=headers,
    ).json()["properties"]
    assert made["hs_email_from_email"] == "ana@example.com"
    assert made["hs_email_to_email"] == "a@x.com;b@x.com"
    refused = crm.create(
        "emails",
        hs_timestamp="2026-11-18T17:02:00Z",
        hs_email_direction="INCOMING_EMAIL",
        hs_email_headers="From: ana",
    )
    assert refused.json()["errors"][0]["context"] == {"propertyName": ["hs_email_headers"]}


def test_a_contacts_address_is_its_own_whatever_the_case_and_free_again_once_archived(crm: World) -> None:
    ana = crm.create("contacts", email="ana@example.com").json()["id"]
    refused = crm.create("contacts", email="ANA@example.com")
    assert refused.status_code == 409
    assert refused.json()["message"] == f"Contact already exists. Existing ID: {ana}"
    assert refused.json()["category"] == "CONFLICT"
    rui = crm.create("contacts", email="rui@example.com").json()["id"]
    path = f"/crm/objects/{V}/contacts/{rui}"
    assert crm.call("PATCH", path, {"properties": {"email": "ana@example.com"}}).status_code == 409
    assert crm.call("DELETE", f"/crm/objects/{V}/contacts/{ana}").status_code == 204
    assert crm.call("PATCH", path, {"properties": {"email": "ana@example.com"}}).status_code == 200


def test_a_custom_unique_value_belongs_to_one_record(crm: World) -> None:
    crm.hub.define("companies", "erp_id", unique=True)
    crm.hub.create("companies", {"erp_id": "7"})
    refused = crm.create("companies", erp_id="7")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["code"] == "CONFLICTING_UNIQUE_VALUE"


def test_the_domain_of_a_company_is_not_unique(crm: World) -> None:
    assert crm.create("companies", domain="padarialima.com.br").status_code == 201
    assert crm.create("companies", domain="padarialima.com.br").status_code == 201


def test_a_record_is_found_by_a_unique_property_only(crm: World) -> None:
    ana = crm.hub.create("contacts", {"email": "ana@example.com", "firstname": "Ana"})
    path = f"/crm/objects/{V}/contacts"
    assert crm.get(f"{path}/ana@example.com?idProperty=email").json()["id"] == ana
    assert crm.get(f"{path}/Ana?idProperty=firstname").status_code == 400
    assert crm.get(f"{path}/9999").json()["category"] == "OBJECT_NOT_FOUND"


def test_a_list_pages_by_id_and_shows_archived_records_apart(crm: World) -> None:
    ids = [crm.hub.create("contacts", {"firstname": str(n)}) for n in range(5)]
    crm.hub.delete("contacts", ids[1])
    path = f"/crm/objects/{V}/contacts"
    first = crm.get(f"{path}?limit=2").json()
    assert [row["id"] for row in first["results"]] == [ids[0], ids[2]]
    after = first["paging"]["next"]["after"]
    rest = crm.get(f"{path}?limit=2&after={after}").json()
    assert [row["id"] for row in rest["results"]] == [ids[3], ids[4]]
    assert "paging" not in rest
    (gone,) = crm.get(f"{path}?archived=true").json()["results"]
    assert (gone["id"], gone["archived"], gone["archivedAt"]) == (ids[1], True, "2026-11-20T09:00:00Z")
    assert crm.get(f"{path}?limit=101").status_code == 400


def test_a_list_brings_links_and_history_where_asked(crm: World) -> None:
    deal = crm.create("deals", dealname="Fornos", dealstage="qualifiedtobuy").json()["id"]
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    lima = crm.hub.create("companies", {"name": "Lima"})
    crm.hub.associate("deals", deal, "contacts", ana)
    crm.hub.associate("deals", deal, "companies", lima)
    crm.clock.move(3600)
    crm.hub.edit("deals", deal, {"dealstage": "contractsent"}, by="78")
    query = "associations=contacts,companies&propertiesWithHistory=dealstage"
    (row,) = crm.get(f"/crm/objects/{V}/deals?{query}").json()["results"]
    assert row["associations"] == {
        "contacts": {"results": [{"id": ana, "type": "deal_to_contact"}]},
        "companies": {
            "results": [
                {"id": lima, "type": "deal_to_company"},
                {"id": lima, "type": "deal_to_company_unlabeled"},
            ]
        },
    }
    assert row["propertiesWithHistory"]["dealstage"] == [
        {
            "value": "contractsent",
            "timestamp": "2026-11-20T10:00:00Z",
            "sourceType": "CRM_UI",
            "sourceId": "userId:9078",
            "updatedByUserId": 9078,
        },
        {
            "value": "qualifiedtobuy",
            "timestamp": "2026-11-20T09:00:00Z",
            "sourceType": "INTEGRATION",
            "sourceId": "5670736",
        },
    ]


def test_a_deal_knows_whether_it_is_closed_and_its_stage_belongs_to_its_pipeline(crm: World) -> None:
    crm.hub.add_pipeline(Pipeline("service", "Service", (Stage("repaired", "Repaired", "1.0", True),)))
    won = crm.create("deals", dealname="Fornos", dealstage="closedwon").json()["properties"]
    assert (won["hs_is_closed"], won["hs_is_closed_won"], won["pipeline"]) == ("true", "true", "default")
    assert won["closedate"] == won["hs_closed_won_date"] == "2026-11-20T09:00:00Z"
    assert crm.create("deals", dealname="x", dealstage="repaired").status_code == 400
    assert crm.create("deals", dealname="x", dealstage="repaired", pipeline="service").status_code == 201


def test_a_lifecycle_stage_never_moves_back_by_the_api(crm: World) -> None:
    ana = crm.create("contacts", lifecyclestage="customer").json()["id"]
    path = f"/crm/objects/{V}/contacts/{ana}"
    assert crm.call("PATCH", path, {"properties": {"lifecyclestage": "lead"}}).status_code == 200
    assert crm.hub.objects("contacts")[0]["properties"]["lifecyclestage"] == "customer"


def test_a_write_that_changes_nothing_leaves_the_time_of_change(crm: World) -> None:
    ana = crm.create("contacts", firstname="Ana").json()
    crm.clock.move(60)
    path = f"/crm/objects/{V}/contacts/{ana['id']}"
    same = crm.call("PATCH", path, {"properties": {"firstname": " Ana "}}).json()
    assert same["updatedAt"] == ana["updatedAt"]
    other = crm.call("PATCH", path, {"properties": {"firstname": "Anna"}}).json()
    assert other["properties"]["lastmodifieddate"] == other["updatedAt"] == "2026-11-20T09:01:00Z"


def test_an_activity_changes_the_contact_it_is_linked_to(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    crm.clock.move(60)
    crm.batch("communications", "create", {"properties": message(), "associations": [link(ana, 81)]})
    (contact,) = crm.hub.objects("contacts")
    assert contact["properties"]["notes_last_updated"] == "2026-11-18T17:02:00Z"
    assert contact["updatedAt"] == "2026-11-20T09:01:00Z"


@pytest.mark.parametrize("preserve", [False, True])
def test_a_merge_gives_one_record_to_which_all_old_ids_lead(crm: World, preserve: bool) -> None:
    crm.hub.levers.preserve_primary_id = preserve
    ana = crm.hub.create("contacts", {"email": "ana@example.com", "firstname": "Ana"})
    anna = crm.hub.create("contacts", {"email": "anna@example.com", "firstname": "Anna", "phone": "+5511"})
    note = crm.hub.create("notes", {"hs_note_body": "x"})
    crm.hub.associate("notes", note, "contacts", anna)
    merged = crm.post(
        f"/crm/objects/{V}/contacts/merge", {"primaryObjectId": ana, "objectIdToMerge": anna}
    ).json()
    assert (merged["id"] == ana) is preserve
    held = merged["properties"]
    assert held["hs_merged_object_ids"] == (anna if preserve else f"{ana};{anna}")
    assert (held["firstname"], held["phone"]) == ("Ana", "+5511")
    assert (held["email"], held["hs_additional_emails"]) == ("ana@example.com", "anna@example.com")
    for id in (ana, anna):
        assert crm.get(f"/crm/objects/{V}/contacts/{id}").json()["id"] == merged["id"]
    assert [row["id"] for row in crm.get(f"/crm/objects/{V}/contacts").json()["results"]] == [merged["id"]]
    assert [entry["id"] for entry in crm.hub.timeline(ana)] == [note]
    taken = crm.create("contacts", email="anna@example.com")
    assert taken.json()["message"].endswith(f"Existing ID: {merged['id']}")
    again = crm.hub.merge("contacts", merged["id"], crm.hub.create("contacts", {"firstname": "A"}))
    assert crm.get(f"/crm/objects/{V}/contacts/{anna}").json()["id"] == again


def test_a_merge_keeps_the_primary_company(crm: World) -> None:
    first, second = (crm.hub.create("companies", {"name": name}) for name in ("A", "B"))
    ana, anna = (crm.hub.create("contacts", {"firstname": name}) for name in ("Ana", "Anna"))
    crm.hub.associate("contacts", ana, "companies", first)
    crm.hub.associate("contacts", ana, "companies", second)
    spec = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]
    crm.call("PUT", f"/crm/objects/{V}/contacts/{ana}/associations/companies/{second}", spec)
    assert crm.hub.objects("contacts")[0]["properties"]["associatedcompanyid"] == second
    crm.hub.merge("contacts", anna, ana)
    assert crm.hub.objects("contacts")[0]["properties"]["associatedcompanyid"] == second


def test_a_privacy_deletion_leaves_nothing(crm: World) -> None:
    ana = crm.hub.create("contacts", {"email": "ana@example.com"})
    body = {"objectId": "ana@example.com", "idProperty": "email"}
    assert crm.post(f"/crm/objects/{V}/contacts/gdpr-delete", body).status_code == 204
    assert crm.get(f"/crm/objects/{V}/contacts/{ana}?archived=true").status_code == 404


def test_what_people_do_is_marked_as_theirs(crm: World) -> None:
    crm.hub.create("contacts", {"firstname": "Ana"})
    crm.create("contacts", firstname="Rui")
    sources = [one["properties"]["hs_object_source"] for one in crm.hub.objects("contacts")]
    assert sources == ["CRM_UI", "INTEGRATION"]


def test_a_moved_entry_leaves_one_timeline_for_the_other(crm: World) -> None:
    ana, rui = (crm.hub.create("contacts", {"firstname": name}) for name in ("Ana", "Rui"))
    old = crm.hub.create("notes", {"hs_note_body": "old", "hs_timestamp": "2026-11-01T00:00:00Z"})
    new = crm.hub.create("calls", {"hs_call_title": "new"})
    crm.hub.associate("notes", old, "contacts", ana)
    crm.hub.associate("calls", new, "contacts", ana)
    assert [(entry["type"], entry["id"]) for entry in crm.hub.timeline(ana)] == [
        ("calls", new),
        ("notes", old),
    ]
    crm.hub.dissociate("notes", old, "contacts", ana)
    crm.hub.associate("notes", old, "contacts", rui)
    crm.hub.delete("calls", new)
    assert crm.hub.timeline(ana) == []
    assert [entry["id"] for entry in crm.hub.timeline(rui)] == [old]


def test_a_new_owner_can_be_given_a_contact(crm: World) -> None:
    owner = crm.hub.add_owner("Zoe@example.com", "Zoë", "Lima")
    assert crm.create("contacts", hubspot_owner_id=owner).status_code == 201
    (found,) = crm.get(f"/crm/owners/{V}?email=zoe@example.com").json()["results"]
    assert (found["id"], found["firstName"]) == (owner, "Zoë")


def test_the_log_names_every_call_and_its_status(crm: World) -> None:
    crm.get(f"/crm/owners/{V}/9")
    assert crm.hub.calls == [("GET", f"/crm/owners/{V}/9", 404)]
