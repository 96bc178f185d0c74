"""The webhooks of the Pipedrive stand-in: who hears what, how it is sent, and when it comes again."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pipedrive_sandbox_client import World, world
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.testing.server import LocalServer
from bridge_pipedrive.sandbox import PipedriveSandbox

FAR = "https://bridge.example/hooks/crm"


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


class Ear:
    """A receiver that keeps what it is sent and answers what it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[tuple[str, Any]] = []
        self.told = threading.Event()
        self.server = LocalServer(Starlette(routes=[Route("/hook", self._hear, methods=["POST"])]))

    @property
    def url(self) -> str:
        return f"{self.server.url}/hook"

    async def _hear(self, request: Request) -> Response:
        self.heard.append((request.headers.get("authorization", ""), orjson.loads(await request.body())))
        self.told.set()
        return Response(status_code=self.status)


@pytest.fixture
def ear() -> Iterator[Ear]:
    listening = Ear()
    with listening.server:
        yield listening


def events(crm: World) -> list[Any]:
    return [orjson.loads(delivery.body) for delivery in crm.crm.take()]


def test_a_new_record_is_told_with_all_it_has(crm: World) -> None:
    hook = crm.crm.subscribe(FAR, entity="person", login="crmbridge", password="secret")
    made = crm.made("/api/v2/persons", {"name": "Ana", "emails": [{"value": "ana@x.br"}]})
    (delivery,) = crm.crm.take()
    assert delivery.url == FAR
    assert base64.b64decode(delivery.headers["Authorization"].removeprefix("Basic ")) == b"crmbridge:secret"
    event = orjson.loads(delivery.body)
    assert event["previous"] is None
    assert event["data"] == {name: value for name, value in made.items() if name != "is_deleted"}
    meta = event["meta"]
    assert {name: meta[name] for name in ("action", "entity", "entity_id", "change_source", "attempt")} == {
        "action": "create",
        "entity": "person",
        "entity_id": "501",
        "change_source": "api",
        "attempt": 1,
    }
    assert (meta["version"], meta["company_id"], meta["webhook_id"]) == ("2.0", "7654321", hook)
    assert (meta["timestamp"], meta["host"]) == ("2026-11-20T09:00:00.000Z", "padaria.pipedrive.com")
    assert meta["permitted_user_ids"] == ["501"]
    assert crm.crm.take() == []


def test_a_change_tells_what_was_and_a_deletion_the_last_state(crm: World) -> None:
    deal = crm.crm.create("deals", {"title": "D"})
    crm.crm.subscribe(FAR)
    crm.clock.move(60)
    crm.crm.edit("deals", deal, {"stage_id": 502})
    crm.crm.delete("deals", deal)
    change, delete = events(crm)
    assert change["data"]["stage_id"] == 502
    assert change["previous"] == {
        "stage_id": 501,
        "stage_change_time": None,
        "update_time": "2026-11-20T09:00:00Z",
    }
    assert (change["meta"]["action"], change["meta"]["change_source"]) == ("change", "app")
    assert (delete["meta"]["action"], delete["data"], delete["previous"]["title"]) == ("delete", None, "D")


def test_custom_fields_are_told_with_their_types(crm: World) -> None:
    key = crm.crm.define("deals", "Key")
    size = crm.crm.define("deals", "Size", field_type="enum", options=("S",))
    crm.crm.subscribe(FAR)
    option = crm.get("/api/v2/dealFields").json()["data"][-1]["options"][0]["id"]
    crm.crm.create("deals", {"title": "D", "custom_fields": {size: option}})
    (event,) = events(crm)
    assert event["data"]["custom_fields"] == {key: None, size: {"type": "enum", "id": option}}


def test_a_merge_is_a_deletion_and_a_change_that_name_each_other(crm: World) -> None:
    stays, goes = (crm.crm.create("persons", {"name": name}) for name in ("Ana", "Anna"))
    crm.crm.subscribe(FAR, entity="person")
    crm.crm.merge("persons", stays, goes)
    delete, change = events(crm)
    assert (delete["meta"]["entity_id"], delete["meta"]["merged_to_id"]) == (goes, stays)
    assert (change["meta"]["entity_id"], change["meta"]["merged_from_id"]) == (stays, goes)


def test_only_who_subscribed_to_it_hears_an_event(crm: World) -> None:
    crm.crm.subscribe(FAR, action="create", entity="note")
    crm.crm.subscribe(FAR, action="*", entity="person")
    ana = crm.crm.create("persons", {"name": "Ana"})
    note = crm.crm.create("notes", {"content": "Oi", "person_id": int(ana)})
    crm.crm.edit("notes", note, {"content": "Oi!"})
    crm.crm.create("deals", {"title": "D"})
    assert [event["meta"]["entity"] for event in events(crm)] == ["person", "note"]


def test_webhooks_are_listed_and_deleted(crm: World) -> None:
    body = {"subscription_url": FAR, "event_action": "*", "event_object": "*", "name": "crmbridge"}
    hook = crm.made("/v1/webhooks", body)
    assert crm.get("/v1/webhooks").json()["data"] == [hook]
    assert (hook["version"], hook["is_active"], hook["http_auth_user"]) == ("2.0", 1, None)
    assert crm.delete(f"/v1/webhooks/{hook['id']}").json() == {"status": "ok", "success": True}
    assert crm.delete(f"/v1/webhooks/{hook['id']}").json()["errors"] == {"id": ["not found"]}
    crm.crm.create("deals", {"title": "D"})
    assert crm.crm.take() == []


def test_a_webhook_that_cannot_be_is_refused(crm: World) -> None:
    good = {"subscription_url": FAR, "event_action": "*", "event_object": "*", "name": "x"}
    for name, value in (
        *(("subscription_url", "bridge.example"), ("event_action", "updated"), ("event_object", "mail")),
        *(("name", ""), ("version", "1.0")),
    ):
        answer = crm.post("/v1/webhooks", {**good, name: value})
        assert (answer.status_code, answer.json()["status"]) == (400, "error")
        assert list(answer.json()["errors"]) == [name]
    for _ in range(40):
        assert crm.post("/v1/webhooks", good).status_code == 201
    assert crm.post("/v1/webhooks", good).status_code == 400


def test_deliveries_are_sent_to_this_machine_only(crm: World, ear: Ear) -> None:
    crm.crm.subscribe(FAR)
    crm.crm.subscribe(ear.url, login="crmbridge", password="secret")
    crm.crm.create("persons", {"name": "Ana"})
    assert crm.crm.deliver() == [200]
    ((authorization, event),) = ear.heard
    assert authorization.startswith("Basic ")
    assert event["data"]["name"] == "Ana"
    assert [delivery.url for delivery in crm.crm.take()] == [FAR]
    assert [row["last_http_status"] for row in crm.get("/v1/webhooks").json()["data"]] == [None, 200]


def test_a_refused_delivery_comes_three_times_more(crm: World, ear: Ear) -> None:
    ear.status = 503
    crm.crm.subscribe(ear.url)
    crm.crm.create("persons", {"name": "Ana"})
    assert crm.crm.deliver() == [503]
    for pause in (3, 30, 150):
        crm.clock.move(pause - 1)
        assert crm.crm.deliver() == []
        crm.clock.move(1)
        assert crm.crm.deliver() == [503]
    crm.clock.move(1000)
    assert crm.crm.deliver() == []
    assert [event["meta"]["attempt"] for _, event in ear.heard] == [1, 2, 3, 4]
    assert len({event["meta"]["id"] for _, event in ear.heard}) == 1


def test_nobody_there_is_a_failure_as_well(crm: World) -> None:
    crm.crm.subscribe("http://127.0.0.1:9/hook")
    crm.crm.create("persons", {"name": "Ana"})
    assert crm.crm.deliver() == [None]
    crm.clock.move(3)
    assert crm.crm.deliver() == [None]


def test_ten_failures_ban_a_webhook_for_half_an_hour_and_lose_what_happens(crm: World, ear: Ear) -> None:
    ear.status = 500
    crm.crm.subscribe(ear.url)
    for n in range(10):
        crm.crm.create("persons", {"name": f"P{n}"})
    assert crm.crm.deliver() == [500] * 10
    crm.crm.take()
    crm.crm.create("persons", {"name": "Lost"})
    assert crm.crm.take() == []
    crm.clock.move(30 * 60)
    crm.crm.create("persons", {"name": "Heard"})
    assert [event["data"]["name"] for event in events(crm)] == ["Heard"]


def test_failures_of_later_attempts_ban_nobody(crm: World, ear: Ear) -> None:
    ear.status = 500
    crm.crm.subscribe(ear.url)
    for n in range(9):
        crm.crm.create("persons", {"name": f"P{n}"})
    for pause in (0, 3, 30, 150):
        crm.clock.move(pause)
        assert crm.crm.deliver() == [500] * 9
    crm.crm.create("persons", {"name": "Heard"})
    assert [event["data"]["name"] for event in events(crm)] == ["Heard"]


def test_a_stand_in_that_sends_needs_nobody_to_deliver(ear: Ear) -> None:
    with PipedriveSandbox(sends=True) as crm:
        crm.subscribe(ear.url)
        crm.create("persons", {"name": "Ana"})
        assert ear.told.wait(60)
    assert [event["data"]["name"] for _, event in ear.heard] == ["Ana"]
