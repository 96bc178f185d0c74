"""A stand-in of Meta: signed deliveries with repeats, its Graph API, and the kit of the conformance suite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self
from urllib.parse import parse_qs

import requests
from starlette.types import Receive, Scope, Send

from bridge import Json, Request
from bridge.testing.server import LocalServer
from bridge_whatsapp import SPEC
from bridge_whatsapp.sandbox_payloads import (
    BUSINESS,
    Business,
    Change,
    Sender,
    ad,
    batch,
    echo,
    edit,
    history,
    message,
    reaction,
    revoke,
    serialise,
    signed,
    status,
    text_message,
    user_id_changed,
    voice_message,
    wamid,
)

__all__ = [
    "BUSINESS",
    "Business",
    "Change",
    "MetaSandbox",
    "Sender",
    "WhatsAppKit",
    "ad",
    "batch",
    "echo",
    "edit",
    "history",
    "message",
    "reaction",
    "revoke",
    "serialise",
    "signed",
    "status",
    "text_message",
    "user_id_changed",
    "voice_message",
    "wamid",
]

Fault = Literal["outage", "hang", "garbage", "rate_limit", "wrong_key"]
_MINUTES = 7
"""How long Meta says to wait after one call too many."""


@dataclass(slots=True, kw_only=True)
class MetaSandbox:
    """
    Meta as one app sees it, on 127.0.0.1 inside a `with` block.

    Delivers signed bodies and keeps what was not answered with 200 for `redeliver`, as Meta
    repeats it for days. Answers `GET <graph_url>/<waba>` to the right token.
    """

    app_secret: str = "meta-app-secret"  # noqa: S105  a stand-in's secret
    verify_token: str = "meta-verify-token"  # noqa: S105  a stand-in's secret
    access_token: str = "meta-access-token"  # noqa: S105  a stand-in's secret
    business: Business = BUSINESS
    undelivered: list[tuple[str, bytes]] = field(default_factory=list)
    fault: Fault | None = None
    _server: LocalServer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._server = LocalServer(self._answer)

    @property
    def graph_url(self) -> str:
        """The address to set as `graph_url`."""
        return f"{self._server.url}/v24.0"

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection to this stand-in."""
        return {
            "app_secret": self.app_secret,
            "verify_token": self.verify_token,
            "access_token": self.access_token,
            "business_account": self.business.waba,
            "graph_url": self.graph_url,
        }

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def handshake(self, url: str, *, challenge: str = "1158201444") -> bool:
        """Ask a webhook address whether it is ours; True if it answers the challenge."""
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": self.verify_token,
            "hub.challenge": challenge,
        }
        answer = requests.get(url, params=query, timeout=60)
        return answer.status_code == 200 and answer.text == challenge

    def deliver(self, url: str, *changes: Change) -> bool:
        """Send changes in one signed body; one that is not answered with 200 waits for `redeliver`."""
        return self.post(url, serialise(batch(changes, waba=self.business.waba)))

    def redeliver(self) -> bool:
        """Send again what was not answered with 200, oldest first; True if nothing is left."""
        waiting, self.undelivered = self.undelivered, []
        for url, body in waiting:
            self.post(url, body)
        return not self.undelivered

    def post(self, url: str, body: bytes) -> bool:
        """Send one body as it is, signed; True if it was answered with 200."""
        try:
            answer = requests.post(url, data=body, headers=signed(body, self.app_secret), timeout=60)
        except requests.RequestException:
            # Meta sees no more of a dead receiver than this, and tries again.
            self.undelivered.append((url, body))
            return False
        if answer.status_code != 200:
            self.undelivered.append((url, body))
        return answer.status_code == 200

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.fault == "hang":
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        code, answer = self._told(scope)
        body = b"<html>all is well</html>" if self.fault == "garbage" else json.dumps(answer).encode()
        usage = json.dumps({self.business.waba: [{"estimated_time_to_regain_access": _MINUTES}]})
        sent = [(b"content-type", b"application/json")]
        if self.fault == "rate_limit":
            sent.append((b"x-business-use-case-usage", usage.encode()))
        await send({"type": "http.response.start", "status": code, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    def _told(self, scope: Scope) -> tuple[int, Json]:
        """Return status and JSON as the Graph API gives them for a request and the present fault."""
        token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
        account: dict[str, Json] = {"id": self.business.waba, "name": "Forno Bom", "currency": "BRL"}
        if self.fault == "outage":
            return 503, _error(2, "Service temporarily unavailable")
        if self.fault == "rate_limit":
            return 400, _error(80008, "There have been too many calls to this WhatsApp Business account")
        if self.fault == "wrong_key" or token != self.access_token:
            return 401, _error(190, "Error validating access token: session has expired")
        if scope["path"] != f"/v24.0/{self.business.waba}":
            return 400, _error(100, "Unsupported get request. Object does not exist")
        wanted = parse_qs(scope["query_string"].decode()).get("fields", ["id"])[0].split(",")
        return 200, {name: account[name] for name in wanted if name in account}


class WhatsAppKit:
    """The conformance kit: a stand-in of Meta, and deliveries in the form it sends them."""

    spec = SPEC
    signs_body = True
    signs_time = False
    cannot: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.meta = MetaSandbox()
        self.meta.__enter__()
        self.settings: Mapping[str, Json] = self.meta.settings

    def close(self) -> None:
        self.meta.__exit__()

    def wrong_key(self) -> None:
        self.meta.fault = "wrong_key"

    def rate_limit(self) -> float:
        self.meta.fault = "rate_limit"
        return _MINUTES * 60.0

    def outage(self) -> None:
        self.meta.fault = "outage"

    def hang(self) -> None:
        self.meta.fault = "hang"

    def garbage(self) -> None:
        self.meta.fault = "garbage"

    def request(self, events: int, at: datetime, *, forged: bool = False, odd: bool = False) -> Request:
        sender = Sender(name="Ana Souza", wa_id="5511973914862", user_id="BR.1349120865530274")
        changes = [text_message(sender, f"line {number}", at=at) for number in range(events)]
        tree = batch(changes, waba=self.meta.business.waba)
        if odd:
            messages = tree["entry"][0]["changes"][0]["value"]["messages"]
            messages.insert(events // 2, {"id": 7, "type": ["odd"]})
        body = serialise(tree)
        sent = signed(body, "a forger's secret" if forged else self.meta.app_secret)
        return Request(
            method="POST",
            url="https://bridge.example/hooks/whatsapp",
            query={},
            headers={name.lower(): value for name, value in sent.items()},
            body=body,
            received_at=at,
        )


def _error(code: int, words: str) -> dict[str, Json]:
    return {"error": {"message": words, "type": "OAuthException", "code": code, "fbtrace_id": "AbCdEf"}}
