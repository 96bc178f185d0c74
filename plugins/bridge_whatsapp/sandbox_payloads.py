"""Webhook payloads as Meta writes them: messages, statuses, echoes, history, and their signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge import Json

Change = dict[str, Any]
"""One change of a webhook: the name of the field and its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """The company's side: account, number and the number's id."""

    waba: str = "102290129340398"
    phone_number_id: str = "106540352242922"
    display_phone_number: str = "551140001000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A customer; one who adopted a username may show no `wa_id`."""

    name: str
    wa_id: str | None = None
    user_id: str | None = None
    username: str | None = None


BUSINESS = Business()


def text_message(
    sender: Sender,
    body: str,
    *,
    at: datetime,
    id: str | None = None,
    reply_to: str | None = None,
    referral: Mapping[str, Json] | None = None,
    business: Business = BUSINESS,
) -> Change:
    """Build a text from a customer; `referral` as made by `ad` marks the first one after an ad."""
    extra: dict[str, Json] = {}
    if reply_to:
        extra["context"] = {"from": business.display_phone_number, "id": reply_to}
    if referral:
        extra["referral"] = dict(referral)
    return message(sender, "text", {"body": body}, at=at, id=id, business=business, **extra)


def voice_message(
    sender: Sender, media_id: str, *, at: datetime, id: str | None = None, business: Business = BUSINESS
) -> Change:
    """Build a voice message; WhatsApp does not tell how long it is."""
    audio = {
        "mime_type": "audio/ogg; codecs=opus",
        "sha256": base64.b64encode(hashlib.sha256(media_id.encode()).digest()).decode(),
        "id": media_id,
        "voice": True,
    }
    return message(sender, "audio", audio, at=at, id=id, business=business)


def reaction(
    sender: Sender,
    to: str,
    emoji: str,
    *,
    at: datetime,
    id: str | None = None,
    business: Business = BUSINESS,
) -> Change:
    """Build a reaction to the message `to`; an empty emoji takes it back."""
    return message(sender, "reaction", {"message_id": to, "emoji": emoji}, at=at, id=id, business=business)


def edit(
    sender: Sender, of: str, body: str, *, at: datetime, id: str | None = None, business: Business = BUSINESS
) -> Change:
    """Build the edit of an earlier text; Meta sends it for numbers that stay in the WhatsApp Business app."""
    content = {"original_message_id": of, "message": {"type": "text", "text": {"body": body}}}
    return message(sender, "edit", content, at=at, id=id, business=business)


def revoke(
    sender: Sender, of: str, *, at: datetime, id: str | None = None, business: Business = BUSINESS
) -> Change:
    """Build the removal of an earlier message by its sender."""
    return message(sender, "revoke", {"original_message_id": of}, at=at, id=id, business=business)


def message(
    sender: Sender,
    kind: str,
    content: Json,
    *,
    at: datetime,
    id: str | None = None,
    business: Business = BUSINESS,
    **extra: Json,
) -> Change:
    """Build a message of any type from a customer."""
    told = {
        **extra,
        **_without_none({"from": sender.wa_id, "from_user_id": sender.user_id}),
        "id": id or wamid(sender, kind, content, at),
        "timestamp": _seconds(at),
        "type": kind,
        kind: content,
    }
    return _change("messages", business, sender, messages=[told])


def echo(
    to: Sender, body: str, *, at: datetime, id: str | None = None, business: Business = BUSINESS
) -> Change:
    """Build what the team wrote in the WhatsApp Business app on the phone."""
    told = {
        "from": business.display_phone_number,
        **_without_none({"to": to.wa_id, "to_user_id": to.user_id}),
        "id": id or wamid(to, "echo", body, at),
        "timestamp": _seconds(at),
        "type": "text",
        "text": {"body": body},
    }
    return _change("smb_message_echoes", business, to, message_echoes=[told])


def status(
    to: Sender,
    message_id: str,
    word: str,
    *,
    at: datetime,
    category: str = "service",
    error: Mapping[str, Json] | None = None,
    business: Business = BUSINESS,
) -> Change:
    """Build how far a message of the business came; `category` marketing, utility, ... means a template."""
    told: dict[str, Json] = {
        "id": message_id,
        "status": word,
        "timestamp": _seconds(at),
        **_without_none({"recipient_id": to.wa_id, "recipient_user_id": to.user_id}),
    }
    if error:
        told["errors"] = [dict(error)]
    else:
        told["pricing"] = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": category}
    return _change("messages", business, to, statuses=[told])


def history(
    customer: Sender, lines: Iterable[tuple[datetime, bool, str]], *, business: Business = BUSINESS
) -> Change:
    """Build one chunk of the chat history of a connected phone; each line is (time, by the team, text)."""
    messages = [
        {
            "from": business.display_phone_number if ours else customer.wa_id,
            **({"to": customer.wa_id} if ours else {}),
            "id": wamid(customer, "history", body, at),
            "timestamp": _seconds(at),
            "type": "text",
            "text": {"body": body},
            "history_context": {"status": "READ"},
        }
        for at, ours, body in lines
    ]
    chunk = {
        "metadata": {"phase": 0, "chunk_order": 1, "progress": 100},
        "threads": [{"id": customer.wa_id, "messages": messages}],
    }
    return _change("history", business, None, history=[chunk])


def user_id_changed(sender: Sender, previous: str, *, at: datetime, business: Business = BUSINESS) -> Change:
    """Build the notice that a user id was replaced, as when somebody changes the phone number."""
    told = {
        **_without_none({"wa_id": sender.wa_id}),
        "detail": f"User id for {sender.name} has been updated.",
        "user_id": {"previous": previous, "current": sender.user_id},
        "timestamp": _seconds(at),
    }
    return _change("user_id_update", business, sender, user_id_update=[told])


def ad(headline: str, *, id: str, url: str, click_id: str | None = None) -> dict[str, Json]:
    """Build the referral that stands on the first message after an ad."""
    found: dict[str, Json] = {
        "source_url": url,
        "source_id": id,
        "source_type": "ad",
        "headline": headline,
        "body": headline,
        "media_type": "image",
    }
    return {**found, **_without_none({"ctwa_clid": click_id})}


def wamid(*parts: object) -> str:
    """Return a message id of WhatsApp's form that is always the same for the same parts."""
    return "wamid." + base64.b64encode(hashlib.sha256(repr(parts).encode()).digest()[:24]).decode()


def batch(changes: Iterable[Change], *, waba: str = BUSINESS.waba) -> dict[str, Json]:
    """Put changes into one body as Meta does: those of one field and one number share a value."""
    merged: dict[tuple[str, str], Change] = {}
    for change in changes:
        value = change["value"]
        key = (change["field"], value["metadata"]["phone_number_id"])
        into = merged.setdefault(key, {"value": {}, "field": change["field"]})["value"]
        for name, found in value.items():
            if not isinstance(found, list):
                into[name] = found
            else:
                known = into.setdefault(name, [])
                known.extend(item for item in found if name != "contacts" or item not in known)
    return {"object": "whatsapp_business_account", "entry": [{"id": waba, "changes": list(merged.values())}]}


def serialise(tree: Json) -> bytes:
    """Write JSON in Meta's spelling: no blanks, everything beyond ASCII and every slash escaped."""
    return json.dumps(tree, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def signed(body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a delivery of `body`, signed over these bytes."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={digest}"}


def _change(name: str, business: Business, sender: Sender | None, **lists: list[Json]) -> Change:
    value: dict[str, Json] = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": business.display_phone_number,
            "phone_number_id": business.phone_number_id,
        },
    }
    if sender is not None:
        profile = _without_none({"name": sender.name, "username": sender.username})
        ids = _without_none({"wa_id": sender.wa_id, "user_id": sender.user_id})
        value["contacts"] = [{"profile": profile, **ids}]
    return {"value": {**value, **lists}, "field": name}


def _without_none(values: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in values.items() if value is not None}


def _seconds(at: datetime) -> str:
    return str(int(at.astimezone(UTC).timestamp()))
