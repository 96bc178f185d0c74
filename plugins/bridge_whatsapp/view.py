"""The flat view of a stored event that the mapping reads: WhatsApp's facts under our names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bridge import Json
from bridge_whatsapp.people import Customer, customer, is_outbound, items, mapping, text
from bridge_whatsapp.text import words_of
from bridge_whatsapp.words import MEDIA, SITES, SYSTEM_TYPES, TEMPLATE_CATEGORIES

View = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(value: Json) -> datetime | None:
    """
    Return the aware instant of a Unix time in seconds or, from 1e11 on, in milliseconds.

    Accepts a number or its text; None for anything else.
    """
    written = text(value)
    if written is None or not written.isdecimal() or len(written) > 13:
        return None
    number = int(written)
    return _EPOCH + (timedelta(milliseconds=number) if number >= 1e11 else timedelta(seconds=number))


def event_time(stored: Mapping[str, Json]) -> datetime | None:
    """Return the time Meta gives an event, None if it gives none."""
    item = mapping(stored.get("item"))
    return instant(item.get("timestamp")) or instant(item.get("end_time"))


def view(stored: Mapping[str, Json], scope: str) -> View:
    """
    Return what the mapping reads: names of an interaction, values ready for it or in Meta's words.

    `scope` is the business portfolio that scopes user ids. `item` and `contact` are Meta's own
    JSON, for custom fields. Pure; whatever the JSON holds, it raises nothing.
    """
    item = mapping(stored.get("item"))
    who = customer(stored)
    channel_account = text(mapping(stored.get("metadata")).get("phone_number_id"))
    at = event_time(stored)
    result: View = {
        "kind": "message",
        "direction": "outbound" if is_outbound(stored) else "inbound",
        "occurred_at": written(at) or text(stored.get("received_at")),
        "channel_account": channel_account,
        "thread_id": _thread(stored, item, who, channel_account),
        "visibility": stored.get("detail"),
        "tells": "whole",
        "dedupe_keys": _keys(item.get("id")),
        "item": item or None,
        "contact": stored.get("contact"),
    }
    result["participants"] = _participants(stored, who, scope, outbound=result["direction"] == "outbound")
    _FACTS.get(str(stored.get("event")), _other)(result, stored, item)
    return {name: value for name, value in result.items() if value not in (None, [], {})}


def written(moment: datetime | None) -> str | None:
    """Return an instant as RFC 3339 with Z, with milliseconds where there are any."""
    if moment is None:
        return None
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def _message(result: View, stored: Mapping[str, Json], item: Mapping[str, Json]) -> None:
    kind = text(item.get("type"))
    if kind == "reaction":
        _reaction(result, stored, item)
        return
    if kind in ("edit", "revoke"):
        change = mapping(item.get(kind))
        result["tells"] = "edit" if kind == "edit" else "removal"
        result["dedupe_keys"] = _keys(change.get("original_message_id"))
        result["edited_at" if kind == "edit" else "deleted_at"] = result["occurred_at"]
        if kind == "edit":
            _content(result, stored, mapping(change.get("message")), text(change.get("original_message_id")))
        return
    if kind in SYSTEM_TYPES:
        result["kind"] = "system_event"
    _content(result, stored, item, text(item.get("id")))
    context = mapping(item.get("context"))
    result["in_reply_to"] = text(context.get("id"))
    result["attribution"] = _attribution(mapping(item.get("referral")), result["occurred_at"])
    result["outcome"] = _errors(item.get("errors") or stored.get("errors"))
    history = mapping(item.get("history_context"))
    if result["direction"] == "outbound":
        result["status"] = text(history.get("status")) or "sent"
    elif kind not in SYSTEM_TYPES:
        result["status"] = "received"


def _content(
    result: View, stored: Mapping[str, Json], message: Mapping[str, Json], message_id: str | None
) -> None:
    """Add the words and the file of a message, unless the capture rules kept them out."""
    if stored.get("detail") != "full" and message.get("type") not in SYSTEM_TYPES:
        return
    result["body_text"] = words_of(message)
    kind = text(message.get("type"))
    if kind in MEDIA:
        result["attachments"] = [_attachment(mapping(message.get(kind)), message_id)]


def _attachment(media: Mapping[str, Json], message_id: str | None) -> dict[str, Json]:
    """
    Return the one file of a message, opened by its media id.

    It is named by its message, so that a placeholder of the history and the file that follows
    are one. WhatsApp tells neither its size nor how long a recording is.
    """
    ref = text(media.get("id"))
    told = {
        "id": message_id,
        "ref": ref,
        "filename": text(media.get("filename")),
        "content_type": (text(media.get("mime_type")) or "").split(";")[0] or None,
        "is_voice": media.get("voice") is True or None,
        "state": "pending" if ref else "unknown",
    }
    return {name: value for name, value in told.items() if value is not None}


def _reaction(result: View, stored: Mapping[str, Json], item: Mapping[str, Json]) -> None:
    """Add a reaction; one without an emoji takes the earlier one back."""
    reaction = mapping(item.get("reaction"))
    result["tells"] = "reaction"
    result["dedupe_keys"] = _keys(reaction.get("message_id"))
    if stored.get("detail") != "full":
        return
    by = result["channel_account"] if result["direction"] == "outbound" else customer(stored).key
    told = {"by": by, "emoji": text(reaction.get("emoji")) or "", "at": result["occurred_at"]}
    result["reactions"] = [{name: value for name, value in told.items() if value is not None}]


def _status(result: View, stored: Mapping[str, Json], item: Mapping[str, Json]) -> None:
    """Add what a status tells of a message: how far it came and whether it was a template."""
    result["tells"] = "status"
    result["status"] = text(item.get("status")) or "unknown"
    result["outcome"] = _errors(item.get("errors"))
    if item.get("type") == "call":
        result["kind"] = "call"
    pricing = mapping(item.get("pricing"))
    if pricing.get("pricing_model") != "CBP" and pricing.get("category") in TEMPLATE_CATEGORIES:
        result["is_automated"] = True
        result["automated_by"] = "template"


def _call(result: View, stored: Mapping[str, Json], item: Mapping[str, Json]) -> None:
    """Add a WhatsApp call; only its end tells the whole of it."""
    result["kind"] = "call"
    ended = item.get("event") == "terminate"
    result["tells"] = "whole" if ended else "status"
    result["status"] = text(item.get("status")) if ended else text(item.get("event"))
    result["outcome"] = _errors(item.get("errors") or stored.get("errors"))
    started, finished = instant(item.get("start_time")), instant(item.get("end_time"))
    if ended:
        result["occurred_at"] = written(started) or result["occurred_at"]
        result["ended_at"] = written(finished)
        result["duration_s"] = item.get("duration") if isinstance(item.get("duration"), int) else None
        if result["status"] == "FAILED" and result["direction"] == "inbound":
            result["status"] = "MISSED"


def _preference(result: View, stored: Mapping[str, Json], item: Mapping[str, Json]) -> None:
    result["kind"] = "system_event"
    result["body_text"] = text(item.get("detail"))
    result["outcome"] = " ".join(
        word for name in ("category", "value") if (word := text(item.get(name)))
    ).replace("_", " ")


def _succession(result: View, stored: Mapping[str, Json], item: Mapping[str, Json]) -> None:
    result["kind"] = "system_event"
    result["body_text"] = text(item.get("detail")) or "[WhatsApp user id changed]"


def _other(result: View, stored: Mapping[str, Json], item: Mapping[str, Json]) -> None:
    """Name what nobody has a rule for yet, so that it is seen and not dropped."""
    field = text(stored.get("field")) or "unreadable item"
    result["kind"] = "unknown"
    result["direction"] = "unknown"
    result["body_text"] = f"[WhatsApp event: {field}]"


_FACTS = {
    "message": _message,
    "echo": _message,
    "history": _message,
    "status": _status,
    "call": _call,
    "preference": _preference,
    "succession": _succession,
}


def _participants(
    stored: Mapping[str, Json], who: Customer, scope: str, *, outbound: bool
) -> list[dict[str, Json]]:
    call = stored.get("event") == "call" or mapping(stored.get("item")).get("type") == "call"
    speaks, hears = ("caller", "callee") if call else ("from", "to")
    own = text(mapping(stored.get("metadata")).get("display_phone_number"))
    number = "".join(letter for letter in own or "" if letter in "0123456789")
    found: list[dict[str, Json]] = []
    if who:
        person = {"role": hears if outbound else speaks, "side": "customer", "handles": who.handles(scope)}
        found.append({**person, "display_name": who.name} if who.name else person)
    if number:
        team = {"role": speaks if outbound else hears, "side": "team"}
        found.append({**team, "handles": [{"kind": "phone", "value": f"+{number}"}]})
    return found


def _thread(
    stored: Mapping[str, Json], item: Mapping[str, Json], who: Customer, channel_account: str | None
) -> str | None:
    group = text(item.get("group_id"))
    if item.get("recipient_type") == "group":
        group = text(item.get("recipient_id"))
    chat = group or who.key
    return f"{channel_account}:{chat}" if channel_account and chat else None


def _keys(message_id: Json) -> list[str]:
    written_id = text(message_id)
    if written_id is None:
        return []
    return [f"wacid:{written_id}" if written_id.startswith("wacid.") else f"wamid:{written_id}"]


def _attribution(referral: Mapping[str, Json], at: Json) -> dict[str, Json]:
    """Return where a person came from; WhatsApp tells it on the first message from an ad only."""
    if not referral:
        return {}
    address = text(referral.get("source_url"))
    source = (text(referral.get("source_type")) or "unknown").lower()
    number = text(referral.get("source_id"))
    click = text(referral.get("ctwa_clid"))
    found = {
        "source": source,
        "medium": _site(address),
        "ad_id": number if source == "ad" else None,
        "content": number if source != "ad" else None,
        "headline": text(referral.get("headline")),
        "referrer": address,
        "click_ids": {"ctwa_clid": click} if click else None,
        "at": at,
    }
    return {name: value for name, value in found.items() if value is not None}


def _site(address: str | None) -> str | None:
    try:
        host = urlsplit(address or "").hostname or ""
    except ValueError:
        return None
    return next((site for name, site in SITES.items() if host == name or host.endswith(f".{name}")), None)


def _errors(errors: Json) -> str | None:
    """Return Meta's errors in its own words: code, title and details."""
    told = []
    for error in map(mapping, items(errors)):
        title = text(error.get("title")) or text(error.get("message"))
        details = text(mapping(error.get("error_data")).get("details")) or text(error.get("details"))
        words = [text(error.get("code")), title, f"({details})" if details and details != title else None]
        told.append(" ".join(word for word in words if word))
    return "; ".join(told) or None
