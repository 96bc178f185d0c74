"""The WhatsApp receiver: who may deliver, and what records a delivered body holds."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from bridge import Account, Context, Decision, Delivery, Json, Record, Reply, Request, Skip
from bridge_whatsapp import client
from bridge_whatsapp.body import Item, parse, walk
from bridge_whatsapp.people import customer, mapping, text
from bridge_whatsapp.view import event_time, view, written
from bridge_whatsapp.words import MESSAGE_STREAM, STATUS_STREAM

_KEPT_OF_A_MESSAGE = frozenset(
    {
        "id",
        "from",
        "from_user_id",
        "from_parent_user_id",
        "to",
        "to_user_id",
        "to_parent_user_id",
        "group_id",
        "timestamp",
        "type",
        "context",
        "history_context",
        "referral",
        "revoke",
        "system",
    }
)
"""What stays of a message where the capture rules keep its text out: who, when, and from which ad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatsApp:
    """One connection to a WhatsApp Business account; receives, never sends."""

    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    business_account: str
    portfolio: str
    graph_url: str
    access_token: str | None = field(repr=False)
    context: Context

    def check(self) -> Account:
        """
        Tell whose account this is.

        Without an access token nothing is asked: the account is the configured one, and the
        first signed delivery proves the app secret. Raises AuthError, Rejected or Unavailable.
        """
        if self.access_token is None:
            return Account(id=self.business_account)
        return client.read_account(
            self.context.http, graph_url=self.graph_url, token=self.access_token, waba=self.business_account
        )

    def verify(self, request: Request) -> Reply:
        """
        Answer Meta's handshake, or check the signature of a delivery over its raw bytes.

        Meta signs no time, so an old delivery can be replayed with its signature. The same
        bytes are recognised by their digest and not stored again; other bytes cannot carry a
        valid signature, and every event has an id, so that a repeat adds nothing.
        Source: developers.facebook.com, WhatsApp, "Create a webhook endpoint" (read 2026-11-21).
        """
        if request.method == "GET":
            return self._handshake(request.query)
        if request.method != "POST":
            return Reply(status=405, body=b"send GET or POST", headers={"Allow": "GET, POST"})
        if not self._is_signed(request.headers.get("x-hub-signature-256"), request.body):
            return Reply(
                status=401,
                body=b"X-Hub-Signature-256 is missing or does not fit the body and the configured app_secret",
            )
        return Reply(store=True, idempotency_key=hashlib.sha256(request.body).hexdigest())

    def split(self, delivery: Delivery) -> Iterator[Record | Skip]:
        """
        Yield every event of a body, in its order; repeats inside a body come out as repeats.

        Raises MappingError only where the body as a whole is no webhook of Meta.
        """
        received = written(delivery.received_at)
        seal = self._seal(delivery.body)[:16]
        for item in walk(parse(delivery.body)):
            if item.rule is None and item.waba not in (None, self.business_account):
                yield _skip(item, seal, "another WhatsApp account", prefix=f"{item.waba}/")
            elif item.rule is not None:
                yield _skip(item, seal, item.rule)
            else:
                yield self._captured(item, seal, received)

    def decode(self, record: Record) -> Iterator[Record]:
        """Yield the one view that the mapping reads; pure, and whatever the record holds, no error."""
        yield replace(record, data=view(mapping(record.data), self.portfolio))

    def _handshake(self, query: Mapping[str, str]) -> Reply:
        token = query.get("hub.verify_token", "")
        challenge = query.get("hub.challenge")
        if query.get("hub.mode") != "subscribe" or challenge is None:
            return Reply(status=400, body=b"this address answers Meta's webhook handshake and its deliveries")
        if not hmac.compare_digest(_octets(token), _octets(self.verify_token)):
            return Reply(status=403, body=b"hub.verify_token is not the configured verify_token")
        return Reply(body=_octets(challenge))

    def _is_signed(self, header: str | None, body: bytes) -> bool:
        return header is not None and hmac.compare_digest(
            _octets(header), _octets(f"sha256={self._seal(body)}")
        )

    def _seal(self, body: bytes) -> str:
        """Return the HMAC of a body: what Meta signs with, and a name for it that nobody can guess from."""
        return hmac.digest(_octets(self.app_secret), body, "sha256").hex()

    def _captured(self, item: Item, seal: str, received: str | None) -> Record | Skip:
        """Ask the capture rules about one item; return it at the detail they allow."""
        stored: dict[str, Any] = {
            "event": item.event,
            "field": item.field,
            "waba": item.waba,
            "metadata": item.metadata,
            "contact": item.contact,
            "thread": item.thread,
            "errors": item.errors,
            "item": item.item,
        }
        at = event_time(stored)
        referral = bool(mapping(mapping(item.item).get("referral")))
        decision = self.context.capture.decide(
            at=at, addresses=customer(stored).addresses(), from_lead=referral
        )
        if decision.rule is not None:
            return _skip(item, seal, decision.rule)
        stored["item"] = _allowed(item, decision)
        stored["detail"] = decision.detail
        version = _digest(stored)
        return Record(
            stream=STATUS_STREAM if item.event == "status" else MESSAGE_STREAM,
            id=_vendor_id(item) or f"{item.field or item.event}:{version}",
            version=version,
            modified_at=at,
            data={**stored, "received_at": received},
        )


def _vendor_id(item: Item) -> str | None:
    """
    Return the record id of an item, None where Meta gives none.

    What tells of the same message in another way (its place in the history, the file that
    follows later, each status of each reader) is a record of its own, so that none replaces
    another by arriving later; their shared dedupe key folds them into one entity.
    """
    told = mapping(item.item)
    own = text(told.get("id"))
    if own is None or item.event in ("preference", "succession", "other"):
        return None
    if item.event == "status":
        reader = text(told.get("recipient_participant_user_id")) or text(told.get("recipient_participant_id"))
        return ":".join(part for part in (own, text(told.get("status")), reader) if part)
    if item.event == "call":
        return f"{own}:{text(told.get('event')) or 'call'}"
    if item.event == "history":
        return f"{own}:history"
    return f"{own}:media" if item.field == "history" else own


def _skip(item: Item, seal: str, rule: str, *, prefix: str = "") -> Skip:
    """Return a skip that keeps no content, not even a digest that a short text could be guessed from."""
    at = event_time({"item": item.item})
    return Skip(
        stream=STATUS_STREAM if item.event == "status" else MESSAGE_STREAM,
        id=prefix + (_vendor_id(item) or f"{seal}/{item.position}"),
        version=written(at) or "",
        rule=rule,
    )


def _allowed(item: Item, decision: Decision) -> Json:
    """Return the item without what the decided detail keeps out; a message has no subject."""
    told = item.item
    if decision.detail == "full" or item.event in ("status", "call", "preference", "succession"):
        return told
    if item.event == "other":
        return None
    kept = {name: value for name, value in mapping(told).items() if name in _KEPT_OF_A_MESSAGE}
    kind = kept.get("type")
    if kind in ("edit", "reaction"):
        named = "original_message_id" if kind == "edit" else "message_id"
        kept[kind] = {named: mapping(mapping(told).get(kind)).get(named)}
    return kept


def _digest(stored: Mapping[str, Json]) -> str:
    return hashlib.blake2b(orjson.dumps(stored, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def _octets(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
