"""Pipedrive's published description judges the stand-in: prices, parameters, requests and answers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import yaml
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from pipedrive_sandbox_client import World, world

from bridge_pipedrive.sandbox_api import route_of
from bridge_pipedrive.sandbox_kinds import KINDS
from bridge_pipedrive.sandbox_routes import ROUTES

SPECS = Path(os.environ.get("CRMBRIDGE_SHARED", Path(__file__).parents[2] / "shared")) / "specs" / "pipedrive"
BASES = {"v1": "/v1", "v2": "/api/v2"}

# What the description gets wrong: fields it types without null, which have no value sometimes.
NULL = {
    "next_cursor": "the last page has none; the description says so for fields only",
    "org_id": "a person, deal, activity or note need not belong to an organization",
    "person_id": "a deal, activity or note need not belong to a person",
    "deal_id": "an activity or note need not belong to a deal",
    "lead_id": "an activity or note need not belong to a lead",
    "project_id": "an activity or note need not belong to a project",
    "task_id": "a note need not belong to a task",
    "deal": "a note that is on no deal",
    "person": "a note that is on no person",
    "organization": "a note that is on no organization",
    "project": "a note that is on no project",
    "task": "a note that is on no task",
    "linked_person_id": "somebody on a mail who is no person of the company",
    "linked_person_name": "somebody on a mail who is no person of the company",
    "icon_url": "a user without a picture",
    "picture_id": "a person without a picture",
    "last_name": "a person with one name",
    "org_name": "a person without an organization",
    "address": "an organization without an address",
    "stage_change_time": "a deal that has never left its first stage",
    "won_time": "a deal that is not won",
    "lost_time": "a deal that is not lost",
    "expected_close_date": "a deal without one",
    "due_date": "an activity without a day",
    "due_time": "an activity without an hour",
    "duration": "an activity without a length",
    "marked_as_done_time": "an activity that is to be done",
    "location": "an activity without a place",
    "public_description": "an activity without one",
    "priority": "an activity without one",
    "note": "an activity without a text",
    "conference_meeting_client": "an activity that is no video call",
    "conference_meeting_url": "an activity that is no video call",
    "conference_meeting_id": "an activity that is no video call",
    **dict.fromkeys(
        (
            *("country", "admin_area_level_1", "admin_area_level_2", "locality", "sublocality"),
            *("route", "street_number", "subpremise", "postal_code"),
        ),
        "a part of an address that was not given; the migration guide says it is null",
    ),
}

# What is published as a parameter of a write and is refused here, or left out as version 1 does.
REFUSED = {
    "persons": {
        **dict.fromkeys(
            ("postal_address", "notes", "im", "birthday", "job_title"), "only there with contact sync"
        ),
        "marketing_status": "only there with the Campaigns product",
    },
    "deals": {"is_deleted": "deleting is an operation of its own"},
    "activities": {
        "person_id": "refused as read-only, as clients found",
        "project_id": "there are no projects here",
    },
    "notes": dict.fromkeys(
        ("project_id", "task_id", "pinned_to_project_flag", "pinned_to_task_flag"), "no projects here"
    ),
}


def described(version: str) -> dict[str, Any]:
    """The published description with the operations the stand-in has and the mended fields."""
    file = SPECS / f"openapi-{version}.yaml"
    if not file.exists():
        pytest.skip(f"{file.name} is not there: Pipedrive's description is not part of this repository")
    document = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        if route.version == version:
            operations = document["paths"][route.path]
            shared = {"parameters": operations["parameters"]} if "parameters" in operations else {}
            method = route.method.lower()
            paths.setdefault(route.path, shared)[method] = operations[method]
    document["paths"] = paths
    document["servers"] = [{"url": BASES[version]}]
    mend(document["paths"])
    return document


def mend(node: Any) -> None:
    """Mend what the description gets wrong, as its own examples and texts show."""
    if isinstance(node, list):
        for value in node:
            mend(value)
    if not isinstance(node, dict):
        return
    properties = node.get("properties")
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        if name in NULL and isinstance(schema, dict):
            schema["nullable"] = True
        if name in ("add_time", "update_time") and schema.get("description", "").endswith("activity type"):
            del schema["format"]  # its examples are "2019-10-04 16:24:55"
    if node.get("in") == "query" and "comma" in node.get("description", ""):
        node["schema"].pop("enum", None)  # several words of the enumeration, not one
    for value in node.values():
        mend(value)


@pytest.fixture(scope="module")
def documents() -> Mapping[str, dict[str, Any]]:
    return {version: described(version) for version in BASES}


@pytest.fixture(scope="module")
def apis(documents: Mapping[str, dict[str, Any]]) -> Mapping[str, OpenAPI]:
    return {version: OpenAPI.from_dict(document) for version, document in documents.items()}


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


def test_every_operation_costs_what_is_published(documents: Mapping[str, dict[str, Any]]) -> None:
    ours = {(route.version, route.method, route.path): route.cost for route in ROUTES}
    theirs = {
        (version, method, path): documents[version]["paths"][path][method.lower()]["x-token-cost"]
        for version, method, path in ours
    }
    assert ours == theirs


def test_version_2_takes_the_parameters_that_are_published(documents: Mapping[str, dict[str, Any]]) -> None:
    for route in ROUTES:
        if route.version == "v2":
            operation = documents["v2"]["paths"][route.path][route.method.lower()]
            published = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
            assert set(route.query) == published, f"{route.method} {route.path}"


def test_every_scope_that_opens_an_operation_is_published(documents: Mapping[str, dict[str, Any]]) -> None:
    for route in ROUTES:
        operation = documents[route.version]["paths"][route.path][route.method.lower()]
        published = {scope for one in operation["security"] for scope in one.get("oauth2", ())}
        assert set(route.scopes) <= published, f"{route.method} {route.path}"


def properties(schema: Mapping[str, Any]) -> set[str]:
    parts = [properties(part) for part in schema.get("allOf", ())]
    return set(schema.get("properties", ())).union(*parts)


def test_writes_take_the_parameters_that_are_published(documents: Mapping[str, dict[str, Any]]) -> None:
    for version, names in (
        ("v2", ("persons", "organizations", "deals", "activities")),
        ("v1", ("notes", "leads")),
    ):
        for name in names:
            kind = KINDS[name]
            paths = documents[version]["paths"]
            change = next(word for word in ("patch", "put") if word in paths[f"/{name}/{{id}}"])
            for operation, ours in (
                (paths[f"/{name}"]["post"], {*kind.writable, *kind.only_create}),
                (paths[f"/{name}/{{id}}"][change], {*kind.writable, *kind.only_change}),
            ):
                published = properties(operation["requestBody"]["content"]["application/json"]["schema"])
                custom = {"custom_fields"} & published
                assert published - ours - custom == set(REFUSED.get(name, ())), operation["summary"]
                assert ours <= published, operation["summary"]


class Judge:
    """Holds every request and answer of a session against the description."""

    def __init__(self, apis: Mapping[str, OpenAPI]) -> None:
        self._apis = apis
        self.faults: list[str] = []

    def __call__(self, answer: requests.Response, **_: Any) -> None:
        request = answer.request
        url = urlsplit(str(request.url))
        version = "v2" if url.path.startswith("/api/v2") else "v1"
        body = request.body.encode() if isinstance(request.body, str) else request.body
        asked = MockRequest(
            f"{url.scheme}://{url.netloc}",
            str(request.method).lower(),
            url.path,
            args=dict(parse_qsl(url.query)),
            headers=dict(request.headers),
            data=body or b"",
            content_type="application/json",
        )
        given = MockResponse(answer.content, status_code=answer.status_code, content_type="application/json")
        where = f"{request.method} {url.path} {answer.status_code}"
        for error in (
            *self._apis[version].iter_request_errors(asked),
            *self._apis[version].iter_response_errors(asked, given),
        ):
            causes = [str(one) for one in getattr(error.__cause__, "schema_errors", ())] or [
                repr(error.__cause__)
            ]
            self.faults.append(f"{where}: {error!r}: {causes[:3]} {answer.text[:300]}")


def drive(crm: World) -> None:
    """Use every operation once, as it is meant."""
    org = crm.made("/api/v2/organizations", {"name": "Padaria Lima", "website": "https://lima.example"})["id"]
    field = crm.made("/api/v2/personFields", {"field_name": "Waiting since", "field_type": "date"})[
        "field_code"
    ]
    size = crm.made(
        "/api/v2/dealFields",
        {"field_name": "Size", "field_type": "enum", "options": [{"label": "S"}, {"label": "L"}]},
    )
    crm.made("/api/v2/organizationFields", {"field_name": "Code", "field_type": "varchar"})
    ana = crm.made(
        "/api/v2/persons",
        {
            "name": "Ana Souza",
            "org_id": org,
            "emails": [{"value": "ana@example.com", "primary": True, "label": "work"}],
            "phones": [{"value": "+55 11 97391-4862"}],
            "custom_fields": {field: "2026-11-18"},
        },
    )["id"]
    crm.crm.catch_mail("a@example.com", sender="ana@example.com", to=["rui@example.com"], text="Oi!")
    for path in (f"/v1/persons/{ana}/mailMessages", "/v1/mailbox/mailMessages/501"):
        crm.get(path, include_body=1)
    twin = crm.made("/api/v2/persons", {"name": "Ana", "add_time": "2025-01-01T00:00:00Z"})["id"]
    deal = crm.made(
        "/api/v2/deals",
        {
            "title": "Dois fornos",
            "person_id": ana,
            "value": 18400,
            "custom_fields": {size["field_code"]: size["options"][1]["id"]},
        },
    )["id"]
    second = crm.made("/api/v2/deals", {"title": "Forno", "org_id": org})["id"]
    kind = crm.made("/v1/activityTypes", {"name": "WhatsApp", "icon_key": "bubble"})["key_string"]
    activity = crm.made(
        "/api/v2/activities",
        {
            "subject": "WhatsApp, Wed 18 Nov",
            "type": kind,
            "due_date": "2026-11-18",
            "due_time": "14:02",
            "duration": "00:05",
            "done": True,
            "deal_id": deal,
            "org_id": org,
            "participants": [{"person_id": ana, "primary": True}],
            "note": "14:02 Ana: Oi!<br>crmbridge 7F3A2C9KQ0XT",
        },
    )["id"]
    lead = crm.made(
        "/v1/leads", {"title": "Forno", "person_id": ana, "value": {"amount": 900, "currency": "BRL"}}
    )["id"]
    note = crm.made(
        "/v1/notes",
        {"content": "<b>Oi</b>", "person_id": ana, "deal_id": deal, "add_time": "2026-11-18 17:02:00"},
    )["id"]
    crm.made("/v1/notes", {"content": "Oi", "lead_id": lead, "pinned_to_lead_flag": 1})
    hook = crm.made(
        "/v1/webhooks",
        {
            "subscription_url": "https://bridge.example/hooks/crm",
            "event_action": "*",
            "event_object": "*",
            "name": "crmbridge",
            "http_auth_user": "crmbridge",
            "http_auth_password": "secret",
        },
    )["id"]
    stage = crm.get("/api/v2/stages").json()["data"][1]["id"]
    crm.patch(f"/api/v2/deals/{deal}", {"stage_id": stage, "status": "won"})
    crm.patch(f"/api/v2/deals/{second}", {"is_archived": True})
    crm.patch(f"/api/v2/persons/{ana}", {"phones": [], "custom_fields": {field: None}})
    crm.patch(f"/api/v2/organizations/{org}", {"address": {"value": "Rua A, 1"}})
    crm.patch(f"/api/v2/activities/{activity}", {"done": False})
    crm.put(f"/v1/notes/{note}", {"content": "<i>Oi!</i>"})
    crm.patch(f"/v1/leads/{lead}", {"is_archived": True, "value": None})
    for path in (
        *("/api/v2/persons", "/api/v2/organizations", "/api/v2/deals", "/api/v2/deals/archived"),
        *("/api/v2/activities", "/api/v2/pipelines", "/api/v2/stages"),
        *("/api/v2/personFields", "/api/v2/organizationFields", "/api/v2/dealFields"),
        *(f"/api/v2/personFields/{field}", "/api/v2/organizationFields/name", "/api/v2/dealFields/title"),
        *(f"/api/v2/persons/{ana}", f"/api/v2/organizations/{org}", f"/api/v2/deals/{deal}"),
        *(f"/api/v2/activities/{activity}", "/api/v2/pipelines/501", f"/api/v2/stages/{stage}"),
        *("/v1/notes", f"/v1/notes/{note}", "/v1/leads", "/v1/leads/archived", f"/v1/leads/{lead}"),
        *("/v1/users", "/v1/users/me", "/v1/users/501", "/v1/activityTypes", "/v1/webhooks"),
        *(
            f"/v1/{kind}/{id}/{what}"
            for kind, id in (("persons", ana), ("organizations", org), ("deals", deal))
            for what in ("flow", "changelog")
        ),
    ):
        crm.get(path)
    more = crm.get(f"/v1/persons/{ana}/changelog", limit=1).json()["additional_data"]["next_cursor"]
    crm.get(f"/v1/persons/{ana}/changelog", limit=1, cursor=more)
    crm.get(
        "/api/v2/persons",
        limit=1,
        sort_by="update_time",
        sort_direction="desc",
        updated_since="2026-01-01T00:00:00Z",
    )
    for kind, term in (("persons", "ana"), ("organizations", "lima"), ("deals", "forno"), ("leads", "forno")):
        crm.get(f"/api/v2/{kind}/search", term=term)
    crm.get("/api/v2/itemSearch", term="ana", item_types="person,deal", fields="name,title")
    crm.get("/api/v2/itemSearch/field", term="Ana", entity_type="person", field="name", match="beginning")
    crm.put(f"/v1/persons/{twin}/merge", {"merge_with_id": ana})
    third = crm.made("/api/v2/deals", {"title": "Forno turbo"})["id"]
    crm.put(f"/v1/deals/{third}/merge", {"merge_with_id": deal})
    other = crm.made("/api/v2/organizations", {"name": "Padaria"})["id"]
    crm.put(f"/v1/organizations/{other}/merge", {"merge_with_id": org})
    for path in (
        *(f"/api/v2/activities/{activity}", f"/api/v2/deals/{deal}", f"/api/v2/persons/{ana}"),
        *(f"/api/v2/organizations/{org}", f"/v1/notes/{note}", f"/v1/leads/{lead}", f"/v1/webhooks/{hook}"),
    ):
        crm.delete(path)
    crm.get(f"/v1/leads/{lead}")
    crm.get("/v1/users/9999")
    crm.delete(f"/v1/webhooks/{hook}")
    crm.post(
        "/v1/webhooks", {"subscription_url": "nowhere", "event_action": "*", "event_object": "*", "name": "x"}
    )


def test_the_judge_sees_an_answer_that_does_not_fit(apis: Mapping[str, OpenAPI], crm: World) -> None:
    judge = Judge(apis)
    answer = crm.post("/api/v2/persons", {"name": "Ana"})
    judge(answer)
    assert judge.faults == []
    answer._content = answer.content.replace(b'"is_deleted":false', b'"is_deleted":0')
    judge(answer)
    assert len(judge.faults) == 1


def test_every_request_and_answer_fits_the_published_description(
    apis: Mapping[str, OpenAPI], crm: World
) -> None:
    judge = Judge(apis)
    crm.session.hooks["response"].append(judge)
    drive(crm)
    assert judge.faults == [], "\n".join(judge.faults)
    answered = {route_of(call.method, call.path)[0] for call in crm.crm.calls if call.status < 300}
    assert [route for route in ROUTES if route not in answered] == []
