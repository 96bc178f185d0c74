"""How the tests of the Pipedrive stand-in speak to it: a bare session and a clock that only moves when told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from bridge_pipedrive.sandbox import PipedriveSandbox


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class World:
    """A stand-in, its clock and a session that is signed in."""

    def __init__(self, crm: PipedriveSandbox, clock: Clock, session: requests.Session) -> None:
        self.crm = crm
        self.clock = clock
        self.session = session

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        return self.session.request(method, self.crm.url + path, json=body, params=query, timeout=60)

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.call("GET", path, **query)

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.call("POST", path, body)

    def patch(self, path: str, body: Any) -> requests.Response:
        return self.call("PATCH", path, body)

    def put(self, path: str, body: Any) -> requests.Response:
        return self.call("PUT", path, body)

    def delete(self, path: str) -> requests.Response:
        return self.call("DELETE", path)

    def made(self, path: str, body: Any) -> dict[str, Any]:
        """Create something and return it as it was answered."""
        answer = self.post(path, body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["data"]

    def pages(self, path: str, **query: Any) -> list[list[Any]]:
        """Walk a list of version 2 to its end and return the ids of each page."""
        pages, cursor = [], None
        while True:
            body = self.get(path, **query, **({"cursor": cursor} if cursor else {})).json()
            pages.append([row["id"] for row in body["data"]])
            cursor = body["additional_data"]["next_cursor"]
            if cursor is None:
                return pages


@contextmanager
def world() -> Iterator[World]:
    clock = Clock()
    with PipedriveSandbox(clock=clock) as crm, requests.Session() as session:
        session.headers["x-api-token"] = crm.token
        yield World(crm, clock, session)
