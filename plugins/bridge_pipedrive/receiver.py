"""Pipedrive's webhooks, version 2: unsigned, so that they are hints of what to read; a deletion is believed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping

import orjson

from bridge import Delivery, Hint, Json, MappingError, Record, Reply, Request, Skip
from bridge_pipedrive.client import Row
from bridge_pipedrive.source_records import Missing, as_record
from bridge_pipedrive.words import KINDS, STREAM_OF, instant

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="crmbridge"'}
_ODD_STREAM = "activities"


class Receiver:
    """
    Takes the webhooks of one connection; holds their password and shows it to nobody.

    `own_user` is the user of our own key, as soon as it is known: what that key wrote is no news.
    """

    def __init__(self, settings: Mapping[str, Json], missing: Missing) -> None:
        self._missing = missing
        password = settings.get("webhook_password")
        self.own_user = ""
        self._named = f"{settings.get('webhook_user', 'crmbridge')}:{password}".encode() if password else None

    def verify(self, request: Request) -> Reply:
        """
        Accept a POST that names the user and password which the webhook was given.

        HTTP Basic is all there is: nothing covers the body or a time (guide for webhooks v2, read 2026-11-21).
        Without a password in the settings nobody is let in.
        """
        if request.method != "POST":
            return Reply(status=405, body=b"send a POST\n", headers={"Allow": "POST"})
        if self._named is None:
            return Reply(status=403, body=b"no webhook_password in the settings of this connection\n")
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            named = base64.b64decode(given.strip().encode("utf-8", "replace"), validate=True)
        except binascii.Error:
            named = b""
        if not hmac.compare_digest(named, self._named) or scheme.lower() != "basic":
            return Reply(status=401, body=b"wrong user or password\n", headers=_CHALLENGE)
        digest = hashlib.blake2b(request.body, digest_size=16).hexdigest()
        return Reply(body=b"stored\n", store=True, idempotency_key=digest)

    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        """
        Yield what a webhook tells: a hint for a change, a record for a deletion, nothing for our own writes.

        A merge deletes one and changes the other; the one that stays comes as a record that names the one it
        absorbed, which nothing tells later, and without its custom fields, whose names a webhook does not
        tell: those come with the next look. A list of events, as relays forward them, is read as well; an event
        that makes no sense is kept. Raises MappingError when the body is no JSON object.
        """
        try:
            body = orjson.loads(delivery.body)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict | list) or not body:
            raise MappingError(f"delivery {delivery.id}: the body is no webhook of Pipedrive")
        for event in body if isinstance(body, list) else [body]:
            yield from self._one(event)

    def _one(self, event: Json) -> Iterator[Record | Skip | Hint]:
        meta = event.get("meta") if isinstance(event, dict) else None
        entity = str(meta.get("entity")) if isinstance(meta, dict) else ""
        id_ = _id(meta.get("entity_id")) if isinstance(meta, dict) else ""
        action = meta.get("action") if isinstance(meta, dict) else None
        if not isinstance(meta, dict) or action not in ("create", "change", "delete") or not (id_ and entity):
            yield _odd(event)
            return
        stream = STREAM_OF.get(entity)
        if stream is None:
            at = str(meta.get("timestamp") or meta.get("correlation_id") or action)
            yield Skip(
                stream=_ODD_STREAM, id=f"{entity}-{id_}", version=at, rule=f"nobody reads {entity}"[:100]
            )
            return
        merged_to, merged_from = _id(meta.get("merged_to_id")), _id(meta.get("merged_from_id"))
        if action == "delete" and stream in KINDS:
            yield _deleted(stream, id_, meta)
            if merged_to:
                yield Hint(stream=stream, ids=(merged_to,))
            return
        survivor = event.get("data")
        if (
            merged_from
            and stream == "persons"
            and isinstance(survivor, dict)
            and _id(survivor.get("id")) == id_
        ):
            self._missing.merged(merged_from, id_)
            yield as_record(stream, {**survivor, "custom_fields": {}, "merged_ids": [merged_from]})
        by_us = (
            meta.get("change_source") == "api" and self.own_user and _id(meta.get("user_id")) == self.own_user
        )
        if merged_from or not by_us:
            yield Hint(stream=stream, ids=(id_,))


def _deleted(stream: str, id_: str, meta: Row) -> Record:
    at = instant(meta.get("timestamp"))
    return Record(
        stream=stream,
        id=id_,
        version=f"deleted-{at.isoformat() if at else ''}",
        modified_at=at,
        data={"id": id_, "merged_to_id": _id(meta.get("merged_to_id")) or None},
        deleted=True,
        actor=_id(meta.get("user_id")) or None,
    )


def _odd(event: Json) -> Record:
    text = orjson.dumps(event, option=orjson.OPT_SORT_KEYS).decode()
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return Record(
        stream=_ODD_STREAM, id=f"event-{digest}", version="1", modified_at=None, data={"unreadable": text}
    )


def _id(value: Json) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
