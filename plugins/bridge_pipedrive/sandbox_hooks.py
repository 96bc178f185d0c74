"""The webhooks of a Pipedrive company: who subscribed to what, what waits to be sent, retries and bans."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import orjson
import requests

from bridge import Json

_RETRIES = (3.0, 30.0, 150.0)
_TIMEOUT = 60.0
_FAILURES = 10
_BAN = timedelta(minutes=30)


@dataclass(slots=True, kw_only=True)
class Subscription:
    """One webhook; `action` and `entity` may be "*"."""

    id: int
    url: str
    action: str
    entity: str
    name: str
    user: int
    login: str | None
    password: str | None
    added_at: datetime
    last_at: datetime | None = None
    last_status: int | None = None
    failures: int = 0
    banned_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one subscriber; `body` and `headers` are what is sent."""

    url: str
    payload: Mapping[str, Json]
    login: str | None
    password: str | None
    subscription: int
    due: datetime
    attempt: int = 1

    @property
    def body(self) -> bytes:
        meta = {**self.payload["meta"], "attempt": self.attempt}
        return orjson.dumps({**self.payload, "meta": meta})

    @property
    def headers(self) -> dict[str, str]:
        found = {"Content-Type": "application/json", "User-Agent": "Pipedrive Webhooks"}
        if self.login is not None:
            pair = f"{self.login}:{self.password or ''}".encode()
            found["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return found


@dataclass(slots=True)
class Hooks:
    """Hold the subscriptions and the deliveries that wait, oldest first."""

    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    waiting: list[Delivery] = field(default_factory=list)
    last_id: int = 0

    def matching(self, action: str, entity: str, now: datetime) -> list[Subscription]:
        """Return who is to hear of an event; what a banned one would have heard is lost."""
        found = []
        for one in self.subscriptions.values():
            if one.banned_until is not None and now >= one.banned_until:
                one.banned_until, one.failures = None, 0
            if one.action in ("*", action) and one.entity in ("*", entity) and one.banned_until is None:
                found.append(one)
        return found

    def due(self, now: datetime) -> list[Delivery]:
        """Take what is to be sent now to this machine; other addresses wait to be taken by a test."""
        found: list[Delivery] = []
        rest: list[Delivery] = []
        for one in self.waiting:
            (found if one.due <= now and _local(one.url) else rest).append(one)
        self.waiting = rest
        return found

    def settle(self, delivery: Delivery, status: int | None, now: datetime) -> None:
        """
        Note how a delivery ended; None is no answer. A failed one comes again after 3, 30 and 150 seconds.

        Ten first attempts that fail ban a webhook for half an hour. Source:
        pipedrive.readme.io, guide for webhooks v2, read 2026-11-22.
        """
        one = self.subscriptions.get(delivery.subscription)
        if one is None:
            return
        one.last_at, one.last_status = now, status
        if status is not None and 200 <= status < 300:
            return
        if delivery.attempt == 1:
            one.failures += 1
            if one.failures >= _FAILURES:
                one.banned_until = now + _BAN
        if delivery.attempt <= len(_RETRIES):
            again = now + timedelta(seconds=_RETRIES[delivery.attempt - 1])
            self.waiting.append(dataclasses.replace(delivery, attempt=delivery.attempt + 1, due=again))


def post(session: requests.Session, delivery: Delivery) -> int | None:
    """Send a delivery and return the status of the answer; None where there was none."""
    try:
        answer = session.post(
            delivery.url,
            data=delivery.body,
            headers=delivery.headers,
            timeout=_TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException:
        return None
    return answer.status_code


def _local(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
