"""A stand-in of a program that sends: example interactions, its requests, and the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import requests

from bridge import Json, Request
from bridge_api import SPEC

Interaction = dict[str, Any]


def form(name: str, email: str, text: str, *, at: datetime, id: str, phone: str | None = None) -> Interaction:
    """Build what a website sends when somebody filled in its form; `at` is aware."""
    person = {"name": name, "email": email}
    return {
        "id": id,
        "kind": "form_submission",
        "channel": "web_form",
        "direction": "inbound",
        "occurred_at": at.isoformat(),
        "from": {**person, "phone": phone} if phone else person,
        "text": text,
    }


def call(phone: str, *, at: datetime, id: str, seconds: float, agent: str | None = None) -> Interaction:
    """Build what a telephone system sends after an inbound call; no seconds means nobody answered."""
    told: Interaction = {
        "id": id,
        "kind": "call",
        "channel": "phone",
        "direction": "inbound",
        "occurred_at": at.isoformat(),
        "from": {"phone": phone},
        "duration_s": seconds,
        "state": "completed" if seconds else "missed",
    }
    return {**told, "agent": {"name": agent}} if agent else told


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSandbox:
    """A program of the company that sends to `url` with its source's token."""

    url: str
    token: str

    def send(self, *interactions: Interaction, key: str | None = None) -> requests.Response:
        """Send one interaction, or several in one body; `key` becomes the Idempotency-Key."""
        one = len(interactions) == 1
        body: Json = interactions[0] if one else {"interactions": list(interactions)}
        return requests.post(self.url, data=orjson.dumps(body), headers=headers(self.token, key), timeout=60)


def headers(token: str, key: str | None = None) -> Mapping[str, str]:
    """Return the headers of a request to the API."""
    sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return {**sent, "Idempotency-Key": key} if key else sent


class ApiKit:
    """The conformance kit: there is no vendor to call, only requests that come in."""

    spec = SPEC
    settings: Mapping[str, Json] = {"sources": {"website": {"token": "the token of the website"}}}
    signs_body = False
    signs_time = False
    cannot: Mapping[str, str] = dict.fromkeys(
        ("wrong_key", "rate_limit", "outage", "hang", "garbage"), "the connector calls nobody"
    )

    def close(self) -> None:
        """Nothing runs."""

    def request(self, events: int, at: datetime, *, forged: bool = False, odd: bool = False) -> Request:
        told: list[Json] = [
            form("Ana Souza", "ana@padarialima.example", f"line {number}", at=at, id=f"form-{number}")
            for number in range(events)
        ]
        if odd:
            # What fits the schema is all that is ever stored; this fits, names nobody and says nothing.
            nothing = {"kind": "system_event", "direction": "internal", "occurred_at": at.isoformat()}
            told.insert(events // 2, {"id": "odd", **nothing})
        token = "the token of a forger" if forged else self.settings["sources"]["website"]["token"]
        return Request(
            method="POST",
            url="https://bridge.example/v1/interactions",
            query={},
            headers={name.lower(): value for name, value in headers(token).items()},
            body=orjson.dumps({"interactions": told}),
            received_at=at,
        )
