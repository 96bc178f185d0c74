"""What the API tests share: a connection with two sources, a request, and short ways to split and decode."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from bridge import Capture, Delivery, Json, Record, Reply, Request, Skip
from bridge.journey.schema import Validator
from bridge.mapping import load_mapping
from bridge.testing.context import make_context
from bridge_api import SPEC, open_api
from bridge_api.receiver import Api
from bridge_api.sandbox import headers

NOW = datetime(2026, 11, 18, 17, 2, tzinfo=UTC)
TOKEN = "the token of the website"
PBX = "the token of the telephone"
SETTINGS: dict[str, Any] = {"sources": {"website": {"token": TOKEN}, "telephone": {"token": PBX}}}
MESSAGE: dict[str, Any] = {
    "id": "m-1",
    "kind": "message",
    "channel": "webchat",
    "direction": "inbound",
    "occurred_at": "2026-11-18T14:02:00-03:00",
    "from": {"name": "Ana Souza", "email": "ana@padarialima.example", "phone": "+55 11 97391-4862"},
    "text": "Vocês entregam em Santos?",
}


def connector(capture: Capture | None = None) -> Api:
    return open_api(SETTINGS, make_context(connection="api", capture=capture))


def request(
    body: Json,
    *,
    token: str = TOKEN,
    key: str | None = None,
    method: str = "POST",
    path: str = "/v1/interactions",
    **more: str | None,
) -> Request:
    sent = {name.lower(): value for name, value in headers(token, key).items()}
    changed = {name.replace("_", "-"): value for name, value in more.items()}
    return Request(
        method=method,
        url=f"https://bridge.example{path}?x=1",
        query={"x": "1"},
        headers={name: value for name, value in {**sent, **changed}.items() if value is not None},
        body=body if isinstance(body, bytes) else orjson.dumps(body),
        received_at=NOW,
    )


def verified(body: Json, **more: Any) -> Reply:
    return connector().verify(request(body, **more))


def problems(body: Json) -> list[tuple[str, str, str]]:
    """Return path, message and remedy of each problem that a body is refused for."""
    reply = verified(body)
    assert (reply.status, reply.store, reply.content_type) == (422, False, "application/problem+json")
    told = orjson.loads(reply.body)
    assert told["status"] == 422
    return [(problem["path"], problem["message"], problem["remedy"]) for problem in told["problems"]]


def split(
    body: Json, capture: Capture | None = None, *, sender: str = "website", key: str | None = None
) -> list[Record | Skip]:
    delivery = Delivery(
        id="delivery-1",
        body=body if isinstance(body, bytes) else orjson.dumps(body),
        headers={"idempotency-key": key} if key else {},
        received_at=NOW,
        sender=sender,
    )
    return list(connector(capture).split(delivery))


def view(interaction: Json, capture: Capture | None = None) -> dict[str, Any]:
    (record,) = split(interaction, capture)
    assert isinstance(record, Record)
    (seen,) = connector().decode(record)
    return dict(seen.data)


MAPPING = load_mapping(
    Path(__file__).parents[1] / "mappings" / SPEC.mapping,
    connector=SPEC.name,
    streams=[stream.name for stream in SPEC.streams],
)


def entity(record: Record) -> dict[str, Any]:
    """Return the interaction that a record becomes, valid by the journey schema."""
    (seen,) = connector().decode(record)
    made = MAPPING.pull[record.stream].map(seen.data)
    assert Validator.for_entity("interaction").check(made) == []
    return made
