"""The shape of a webhook body: entries, changes and the items inside them, each found exactly once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import orjson

from bridge import Json, MappingError
from bridge_whatsapp.people import Contacts, items, mapping, text
from bridge_whatsapp.words import FRAME, HISTORY_REFUSED, LISTS, SKIPPED_FIELDS, Event

_MOST_ERRORS = 10
"""Errors of a change that are kept with each of its items: every item repeats them."""

_DEPTH = 200
"""Levels of nesting that are read; orjson refuses to write more than 254."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """
    One item of a body: what Meta told at `position`, with what stood around it.

    `rule` is set for what tells nothing of a customer's journey. `waba` is the WhatsApp
    Business account it is about; `thread` the chat of a history message.
    """

    event: Event
    position: str
    item: Json
    waba: str | None = None
    field: str = ""
    metadata: Json = None
    contact: Json = None
    thread: str | None = None
    errors: Json = None
    rule: str | None = None


def parse(body: bytes) -> Mapping[str, Json]:
    """
    Read a webhook body.

    Half a surrogate pair (a text that Meta cut in the middle of an emoji) becomes "?", so that
    the rest can be stored. Raises MappingError if the body is no JSON object with entries.
    """
    try:
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            lenient = json.loads(body, parse_constant=_refuse)
            tree = orjson.loads(json.dumps(lenient, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise MappingError(f"the body is not JSON: {error}", hint="nothing can be read from it") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("entry"), list):
        raise MappingError('the body is no webhook of Meta: it has no list "entry"')
    if _deeper(tree, _DEPTH):
        raise MappingError(f"the body is nested more than {_DEPTH} levels deep")
    return tree


def walk(tree: Mapping[str, Json]) -> Iterator[Item]:
    """Yield every item of a parsed body, in its order."""
    product = tree.get("object")
    for number, entry in enumerate(tree["entry"]):
        waba = text(mapping(entry).get("id"))
        changes = mapping(entry).get("changes")
        if product != "whatsapp_business_account":
            yield Item(
                event="other", position=str(number), item=entry, rule="another product of Meta", waba=waba
            )
        elif not isinstance(changes, list):
            yield Item(event="other", position=str(number), item=entry, waba=waba)
        else:
            for index, change in enumerate(changes):
                yield from _change(change, waba, f"{number}.{index}")


def _change(change: Json, waba: str | None, position: str) -> Iterator[Item]:
    field = text(mapping(change).get("field")) or ""
    value = mapping(change).get("value")
    if not isinstance(value, dict):
        yield Item(event="other", position=position, item=change, waba=waba, field=field)
        return
    rule = SKIPPED_FIELDS.get(field)
    contacts = Contacts(value.get("contacts"))
    errors = items(value.get("errors"))
    count = 0
    for event, item, thread in _events(value):
        ids = {"wa_id": thread, "user_id": thread} if thread else mapping(item)
        yield Item(
            event=event,
            position=f"{position}.{count}",
            item=item,
            waba=waba,
            field=field,
            metadata=value.get("metadata"),
            contact=contacts.of(ids),
            thread=thread,
            errors=errors[:_MOST_ERRORS] or None,
            rule=rule or _refusal(event, item),
        )
        count += 1
    if count == 0 and errors:
        for error in errors:
            code = text(mapping(error).get("code")) or "without a code"
            yield Item(
                event="other",
                position=f"{position}.{count}",
                item=error,
                waba=waba,
                field=field,
                rule=f"account error {code}",
            )
            count += 1
    elif count == 0:
        yield Item(event="other", position=position, item=value, waba=waba, field=field, rule=rule)


def _events(value: Mapping[str, Json]) -> Iterator[tuple[Event, Json, str | None]]:
    """Yield event, item and thread of everything in a change's value; nothing where no name is known."""
    for name, event in LISTS.items():
        if name in value:
            for item in _as_list(value[name]):
                yield event, item, None
    for chunk in _as_list(value.get("history", [])):
        threads = mapping(chunk).get("threads")
        if not isinstance(threads, list):
            yield "other", chunk, None
            continue
        for thread in threads:
            messages = mapping(thread).get("messages")
            if not isinstance(messages, list):
                yield "other", thread, None
                continue
            for message in messages:
                yield "history", message, text(thread.get("id"))
    unknown = {
        name: found
        for name, found in value.items()
        if name not in FRAME and isinstance(found, dict | list) and found
    }
    if unknown and (value.keys() & {"history", *LISTS}):
        yield "other", unknown, None


def _refusal(event: Event, item: Json) -> str | None:
    """Return the rule for a history that the business did not share."""
    if event == "other":
        for error in items(mapping(item).get("errors")):
            if mapping(error).get("code") == HISTORY_REFUSED:
                return "chat history not shared by the business"
    return None


def _as_list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _deeper(tree: Json, depth: int) -> bool:
    level: list[Json] = [tree]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")
