"""Pipedrive's published description judges what the connector sends, and what the connector thinks it costs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
from openapi_core import OpenAPI
from pipedrive_world import World, activity, emails, key, note, person_write, world
from test_pipedrive_sandbox_described import BASES, Judge, described

from bridge import Field, Link, Person, Write
from bridge_pipedrive.words import KEY_FIELD, cost_of, scope_of

STREAMS = ("persons", "organizations", "deals", "activities", "notes", "leads", "mails", "users", "pipelines")
FIELDS = [
    Field(name=KEY_FIELD),
    Field(name="Waiting since", type="datetime"),
    Field(name="Channel", type="enumeration", options=("WhatsApp", "Phone")),
]


@pytest.fixture(scope="module")
def documents() -> Mapping[str, dict[str, Any]]:
    return {version: described(version) for version in BASES}


@pytest.fixture
def company() -> Iterator[World]:
    with world() as made:
        yield made


def drive(company: World) -> None:
    """Let the connector make every kind of call that it ever makes."""
    connector = company.connector
    connector.check()
    connector.create("persons", FIELDS)
    ana, twin = company.person(emails=emails("ana@one.example")), company.person("Ana again")
    stages = [int(one["id"]) for one in company.crm.objects("stages")]
    deal = company.crm.create("deals", {"title": "Um", "person_id": int(ana), "stage_id": stages[0]})
    company.crm.create("leads", {"title": "Um", "person_id": int(ana)})
    company.crm.catch_mail("a@one.example", sender="ana@one.example", to=["rui@example.com"], text="Oi!")
    company.move(100.0)
    company.crm.edit("deals", deal, {"stage_id": stages[1]})
    new = person_write(
        1,
        emails="bia@one.example",
        phones=["1", "2"],
        **{"Waiting since": "2026-11-20T14:02:00Z", "Channel": "Phone"},
    )
    own = activity(2, ana, key(1), duration=24_000, owner_id="501", busy=False)
    links = [*own.links, Link(stream="deals", to=deal)]
    own = Write(key=own.key, op="create", stream="activities", fields=own.fields, links=links)
    sent = [new, own, note(3, ana)]
    made = {write_key: str(receipt.id) for write_key, receipt in company.push(*sent).items()}
    to_twin = Link(stream="persons", to=twin)
    for op, stream, id_, fields, links in (
        ("update", "activities", made[key(2)], {"note": "Olá!"}, []),
        ("update", "notes", made[key(3)], {"content": "Olá!"}, []),
        ("update", "persons", made[key(1)], {"name": "Bia", "Waiting since": ""}, []),
        ("link", "activities", made[key(2)], {}, [to_twin]),
        ("unlink", "activities", made[key(2)], {}, [to_twin, Link(stream="deals", to=deal)]),
    ):
        change = Write(key=key(9), op=op, stream=stream, id=id_, fields=fields, links=links)  # type: ignore[arg-type]
        assert company.push(change)[key(9)].error is None, (op, stream)
    list(connector.locate(sent))
    list(connector.find([Person(key="ana", emails=["ana@one.example"])]))
    list(connector.read("persons", [ana, "77777"], ["name", "Channel"]))
    company.crm.edit("persons", ana, {"emails": emails("ana@two.example")})
    list(connector.field_times("persons", [ana, "77777"], ["name", "emails", "Channel"]))
    for stream in STREAMS:
        cursor = company.pull(stream, "live")[-1].cursor
        company.pull(stream, "live", cursor, ["stage_history"])
        company.pull(stream, "backfill", None, ["stage_history"])
        list(connector.fetch(stream, ["501", "77777"]))
    for stream in ("persons", "deals", "leads", "mails"):
        company.pull(stream, "sweep")
    for stream, id_ in (("activities", made[key(2)]), ("notes", made[key(3)])):
        archive = Write(key=key(9), op="archive", stream=stream, id=id_)
        assert company.push(archive)[key(9)].error is None


@pytest.mark.slow
def test_every_request_fits_the_description_and_costs_and_needs_what_it_says(
    company: World, documents: Mapping[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge({version: OpenAPI.from_dict(document) for version, document in documents.items()})
    asked: set[tuple[str, str]] = set()
    session = company.context.http._session
    send = session.send

    def judged(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        answer = send(request, **options)
        asked.add((str(request.method), str(request.path_url).partition("?")[0]))
        if answer.status_code < 300:
            judge(answer)
        return answer

    monkeypatch.setattr(session, "send", judged)
    drive(company)
    assert judge.faults == []
    assert len(asked) > 25
    for method, path in asked:
        version = "v2" if path.startswith("/api/v2") else "v1"
        operation = operation_of(documents[version], method, path.removeprefix(BASES[version]))
        assert cost_of(method, path) == operation["x-token-cost"], f"{method} {path}"
        scopes = {scope for one in operation["security"] for scope in one.get("oauth2", ())}
        assert path == "/v1/users/me" or scope_of(method, path) in scopes, f"{method} {path}: {scopes}"


def operation_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """Return the operation that a path stands for; a path without parameters counts first."""
    fits = [one for one in document["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), path)]
    operation: dict[str, Any] = document["paths"][min(fits, key=lambda one: one.count("{"))][method.lower()]
    return operation
