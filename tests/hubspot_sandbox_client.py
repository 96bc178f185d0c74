"""How the tests of the HubSpot stand-in speak to it: a bare session and a clock that only moves when told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from bridge_hubspot.sandbox import HubSpotSandbox

V = "2026-09"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class World:
    """A stand-in, its clock and a session that is signed in."""

    def __init__(self, hub: HubSpotSandbox, clock: Clock, session: requests.Session) -> None:
        self.hub = hub
        self.clock = clock
        self.session = session

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self.session.request(method, self.hub.url + path, json=body, timeout=60, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self.call("POST", path, body, **options)

    def create(self, kind: str, **properties: Any) -> requests.Response:
        return self.post(f"/crm/objects/{V}/{kind}", {"properties": properties})

    def search(self, kind: str, *filters: dict[str, Any], **body: Any) -> requests.Response:
        groups = [{"filters": list(filters)}] if filters else []
        return self.post(f"/crm/objects/{V}/{kind}/search", {"filterGroups": groups, **body})

    def batch(self, kind: str, verb: str, *inputs: dict[str, Any], **body: Any) -> requests.Response:
        return self.post(f"/crm/objects/{V}/{kind}/batch/{verb}", {"inputs": list(inputs), **body})


@contextmanager
def world() -> Iterator[World]:
    clock = Clock()
    with HubSpotSandbox(clock=clock) as hub, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {hub.token}"
        yield World(hub, clock, session)


def message(**properties: Any) -> dict[str, Any]:
    """The properties of a WhatsApp message."""
    return {
        "hs_timestamp": "2026-11-18T17:02:00Z",
        "hs_communication_channel_type": "WHATS_APP",
        "hs_communication_logged_from": "CRM",
        "hs_communication_body": "Oi!",
        **properties,
    }


def link(to: str, type_id: int) -> dict[str, Any]:
    """An inline association."""
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
    return {"to": {"id": to}, "types": types}
