"""The folder's webhook: requests signed with its key and a time, bodies of many events."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator

from bridge import Capture, Delivery, Hint, Json, MappingError, Record, Reply, Request, Skip
from bridge_memory.source import record_or_skip
from bridge_memory.words import FIELDS

HEADER = "x-memory-signature"
FRESH = 300


def sign(body: bytes, key: str, at: int) -> str:
    """Return the signature header of a body sent at a Unix time: `t=<seconds>,v1=<hex HMAC-SHA256>`."""
    return f"t={at},v1={hmac.new(key.encode(), b'%d.' % at + body, hashlib.sha256).hexdigest()}"


def verify(request: Request, key: str) -> Reply:
    """
    Accept a POST whose bytes were signed with the folder's key in the last five minutes.

    The signature serves as the idempotency key: the same request again is the same request.
    """
    if request.method != "POST":
        return Reply(status=405, body=b"send a POST\n", headers={"Allow": "POST"})
    given = request.headers.get(HEADER, "")
    seconds = given.removeprefix("t=").partition(",")[0]
    if not seconds.isascii() or not seconds.isdecimal() or len(seconds) > 12:
        return Reply(status=401, body=b"not signed\n")
    if not hmac.compare_digest(given.encode(), sign(request.body, key, int(seconds)).encode()):
        return Reply(status=401, body=b"signed with another key\n")
    if abs(request.received_at.timestamp() - int(seconds)) > FRESH:
        return Reply(status=403, body=b"signed too long ago\n")
    return Reply(body=b"stored\n", store=True, idempotency_key=given)


def split(delivery: Delivery, capture: Capture) -> Iterator[Record | Skip | Hint]:
    """
    Yield what each event of `{"events": [...]}` says.

    `{"stream", "object"}` is a record, `{"stream", "id"}` a hint to fetch it. An event that makes
    no sense is kept as a record of its own. Raises MappingError when the body has no events.
    """
    try:
        events = json.loads(delivery.body)["events"]
    except (ValueError, TypeError, KeyError):
        events = None
    if not isinstance(events, list):
        raise MappingError(f'delivery {delivery.id}: the body is no JSON object with a list "events"')
    for event in events:
        yield _one(event, capture)


def _one(event: Json, capture: Capture) -> Record | Skip | Hint:
    match event:
        case {"stream": str(stream), "object": {"id": str()} as thing} if stream in FIELDS:
            return record_or_skip(stream, thing, capture)
        case {"stream": str(stream), "id": str(identifier)} if stream in FIELDS:
            return Hint(stream=stream, ids=(identifier,))
    text = json.dumps(event, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    odd = {
        "id": f"event-{digest}",
        "unreadable": text,
        "because": "a webhook's event has no stream of the folder with an object, or with an id.",
        "remedy": "Mend what sends it; docs/connectors.md shows an event.",
    }
    return record_or_skip("messages", odd, capture)
