"""What a message says in words: its text, or a short label for what is no text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import orjson

from bridge import Json
from bridge_whatsapp.people import items, mapping, text
from bridge_whatsapp.words import MEDIA


def words_of(message: Mapping[str, Json]) -> str | None:
    """
    Return the text of a message for the journey; None for media without a caption.

    What a person typed comes as typed. Labels in square brackets stand for locations, orders
    and types that WhatsApp does not hand on; an unknown type is named, never dropped.
    """
    kind = text(message.get("type")) or ""
    if kind in MEDIA:
        return text(mapping(message.get(kind)).get("caption"))
    reader = _READERS.get(kind)
    found = reader(message) if reader else None
    return found or _unsupported(kind, message)


def _plain(message: Mapping[str, Json]) -> str | None:
    return text(mapping(message.get("text")).get("body"))


def _button(message: Mapping[str, Json]) -> str | None:
    return text(mapping(message.get("button")).get("text"))


def _interactive(message: Mapping[str, Json]) -> str | None:
    interactive = mapping(message.get("interactive"))
    for name in ("button_reply", "list_reply"):
        reply = mapping(interactive.get(name))
        if title := text(reply.get("title")):
            description = text(reply.get("description"))
            return f"{title} ({description})" if description else title
    if permission := text(mapping(interactive.get("call_permission_reply")).get("response")):
        return f"[call permission: {permission}]"
    return _form(mapping(interactive.get("nfm_reply")))


def _form(reply: Mapping[str, Json]) -> str | None:
    """Return a filled-in form as "name: value" lines; Meta sends its answers as JSON in a text."""
    try:
        answers = orjson.loads(reply.get("response_json") or "{}")
    except (orjson.JSONDecodeError, TypeError):
        answers = {}
    lines = [
        f"{name}: {orjson.dumps(value).decode() if isinstance(value, dict | list | bool) else value}"
        for name, value in mapping(answers).items()
        if name != "flow_token" and value not in (None, "")
    ]
    return "\n".join(lines) or text(reply.get("body"))


def _location(message: Mapping[str, Json]) -> str:
    location = mapping(message.get("location"))
    point = ", ".join(str(location[name]) for name in ("latitude", "longitude") if name in location)
    place = ", ".join(found for name in ("name", "address") if (found := text(location.get(name))))
    return f"[{' '.join(part for part in ('location', point, place) if part)}]"


def _contacts(message: Mapping[str, Json]) -> str:
    cards = []
    for contact in items(message.get("contacts")):
        card = mapping(contact)
        parts = ["contact", text(mapping(card.get("name")).get("formatted_name"))]
        parts += [text(mapping(phone).get("phone")) for phone in items(card.get("phones"))]
        parts += [text(mapping(email).get("email")) for email in items(card.get("emails"))]
        cards.append(f"[{' '.join(part for part in parts if part)}]")
    return "\n".join(cards)


def _order(message: Mapping[str, Json]) -> str:
    order = mapping(message.get("order"))
    lines = [line for line in (text(order.get("text")),) if line]
    for product in map(mapping, items(order.get("product_items"))):
        name = text(product.get("product_retailer_id")) or "product"
        price = (
            f" at {product['item_price']} {product.get('currency', '')}" if "item_price" in product else ""
        )
        lines.append(f"[order: {product.get('quantity', 1)} x {name}{price.rstrip()}]")
    return "\n".join(lines) or "[order]"


def _system(message: Mapping[str, Json]) -> str | None:
    return text(mapping(message.get("system")).get("body"))


def _unsupported(kind: str, message: Mapping[str, Json]) -> str:
    inner = text(mapping(message.get("unsupported")).get("type"))
    named = inner or (kind if kind not in ("", "unsupported", "unknown") else "")
    return f"[unsupported message: {named}]" if named else "[unsupported message]"


_READERS: Final[Mapping[str, Callable[[Mapping[str, Json]], str | None]]] = {
    "text": _plain,
    "button": _button,
    "interactive": _interactive,
    "location": _location,
    "contacts": _contacts,
    "order": _order,
    "system": _system,
    "request_welcome": lambda _: "[opened the chat]",
}
