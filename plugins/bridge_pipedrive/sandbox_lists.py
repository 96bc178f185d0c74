"""How Pipedrive pages: by cursor in version 2, by start and limit in version 1."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import orjson

from bridge import Json
from bridge_pipedrive import sandbox_values as values
from bridge_pipedrive.sandbox_account import Account, primary
from bridge_pipedrive.sandbox_answers import Answer, Asked, Refusal, unfit
from bridge_pipedrive.sandbox_kinds import KINDS, Kind
from bridge_pipedrive.sandbox_rows import Row
from bridge_pipedrive.sandbox_shapes import custom as every
from bridge_pipedrive.sandbox_shapes import shown

MOST = 500
_IDS = 100
_CUSTOM = 15
_COUNTS = ("notes_count", "activities_count", "done_activities_count", "undone_activities_count")
_MAILS = ("email_messages_count", "last_incoming_mail_time", "last_outgoing_mail_time")
_OPTIONAL = {"activities": ("attendees",), "deals": ("source_lead_id",)}
_NUMBERS = ("id", "order_nr")
_STATUSES = ("open", "won", "lost", "deleted")


def limit_of(asked: Asked, most: int = MOST) -> int:
    """Return how many rows a page may have."""
    limit = number_of(asked, "limit", 100)
    if not 1 <= limit <= most:
        raise unfit("limit", f"must be between 1 and {most}")
    return limit


def number_of(asked: Asked, name: str, default: int) -> int:
    word = asked.query.get(name, "")
    if not word:
        return default
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        raise unfit(name, "must be an integer")
    return int(word)


def cursor_of(asked: Asked) -> dict[str, Json]:
    """Return where a cursor of ours points; empty without one. Raises Refusal 400 for any other."""
    word = asked.query.get("cursor", "")
    if not word:
        return {}
    try:
        found = orjson.loads(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
        place = {name: found[name] for name in ("field", "fieldValue", "sortDirection", "id")}
        if isinstance(place["id"], int) and isinstance(
            place["fieldValue"], int if place["field"] in _NUMBERS else str
        ):
            return place
    except (binascii.Error, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        pass
    raise unfit("cursor", "is not valid")


def cursor_at(field: str, direction: str, value: Json, id: Json) -> str:
    """Return a cursor to the first row of the next page (fields as in the published example)."""
    place = {"field": field, "fieldValue": value, "sortDirection": direction, "id": id}
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def paged(asked: Asked, rows: Sequence[Json], *, most: int = MOST) -> tuple[Sequence[Json], str | None]:
    """Return a page of rows that have no order of their own, and the cursor behind it."""
    start = int(cursor_of(asked).get("id", 0))
    limit = limit_of(asked, most)
    follows = start + limit < len(rows)
    return rows[start : start + limit], cursor_at(
        "id", "asc", start + limit, start + limit
    ) if follows else None


def cursor_list(account: Account, asked: Asked, kind: Kind, *, archived: bool = False) -> Answer:
    """Return a page of a list of version 2."""
    rows = _chosen(account, asked, kind, archived=archived)
    field = asked.query.get("sort_by") or "id"
    direction = asked.query.get("sort_direction") or "asc"
    if field not in kind.sorts:
        raise unfit("sort_by", f"must be one of {', '.join(kind.sorts)}")
    if direction not in ("asc", "desc"):
        raise unfit("sort_direction", "must be one of asc, desc")
    before = cursor_of(asked)
    if before and (before["field"], before["sortDirection"]) != (field, direction):
        raise unfit("cursor", "belongs to another order")

    def key(row: Row) -> tuple[Json, Json]:
        return (shown(row).get(field) or "", row.id) if field != "id" else (row.id, row.id)

    rows = sorted(rows, key=key, reverse=direction == "desc")
    if before:
        start = (before["fieldValue"], before["id"])
        rows = [row for row in rows if (key(row) >= start if direction == "asc" else key(row) <= start)]
    limit = limit_of(asked)
    page, follows = rows[:limit], rows[limit : limit + 1]
    cursor = cursor_at(field, direction, *key(follows[0])) if follows else None
    body = {
        "success": True,
        "data": [presented(account, asked, row) for row in page],
        "additional_data": {"next_cursor": cursor},
    }
    return Answer(body=body)


def presented(account: Account, asked: Asked, row: Row) -> dict[str, Json]:
    """Return one record of version 2 with the custom fields that were asked for."""
    optional = _optional(account, asked, row)
    if not row.kind.custom:
        return {**shown(row), **optional}
    codes = asked.names("custom_fields")
    if len(codes) > _CUSTOM:
        raise unfit("custom_fields", f"a maximum of {_CUSTOM} keys is allowed")
    known = account.setup.fields[row.kind.name]
    custom = {code: value for code, value in every(account, row).items() if not codes or code in codes}
    if asked.flag("include_option_labels"):
        labels = {id: label for field in known.values() for id, label in field.options}
        for code, value in custom.items():
            if known[code].type == "enum" and value is not None:
                custom[code] = {"id": value, "label": labels[value]}
            elif known[code].type == "set" and value is not None:
                custom[code] = [{"id": id, "label": labels[id]} for id in value]
    return {**shown(row, custom=custom), **optional}


def _optional(account: Account, asked: Asked, row: Row) -> dict[str, Json]:
    """Return the fields that are only there when `include_fields` asks for them."""
    found: dict[str, Json] = {}
    counted = Counter[str]()
    for entry in account.entries(row) if "include_fields" in asked.query else ():
        counted[f"{entry.kind.name}_count"] += 1
        if entry.kind.name == "activities":
            counted["done_activities_count" if entry.values["done"] else "undone_activities_count"] += 1
    mails = account.mails_with(row) if row.kind.name == "persons" and "include_fields" in asked.query else []
    last = {f"last_{'outgoing' if one.sent else 'incoming'}_mail_time": values.stamp(one.at) for one in mails}
    for name in asked.names("include_fields"):
        if name in _MAILS and row.kind.name == "persons":
            found[name] = len(mails) if name == "email_messages_count" else last.get(name)
        elif name in _COUNTS and row.kind.name != "activities":
            found[name] = counted[name]
        elif name in _OPTIONAL.get(row.kind.name, ()):
            found[name] = row.values[name]
        else:
            raise unfit("include_fields", f"{name[:40]} is not told by this stand-in")
    return found


def _chosen(account: Account, asked: Asked, kind: Kind, *, archived: bool) -> list[Row]:
    """Return the rows a list's parameters choose."""
    ids = _wanted(asked)
    statuses = asked.names("status")
    if unknown := [word for word in statuses if word not in _STATUSES]:
        raise unfit("status", f"{unknown[0][:20]} must be one of {', '.join(_STATUSES)}")
    deleted = None if "deleted" in statuses or account.levers.deleted_in_lists else False
    since, until = (bound_of(asked, name) for name in ("updated_since", "updated_until"))
    tests = [
        test
        for name in kind.filters
        if name != "status" and (test := _filter(account, asked, name)) is not None
    ]
    found = []
    for row in account.rows(kind, deleted=deleted):
        held = row.values
        status = "deleted" if row.deleted else held.get("status")
        if (
            (ids is not None and row.id not in ids)
            or (statuses and status not in statuses)
            or (kind.name == "deals" and not statuses and row.deleted)
            or (kind.name == "deals" and held["is_archived"] is not archived)
            or (since is not None and row.updated_at < since)
            or (until is not None and row.updated_at >= until)
            or not all(test(row) for test in tests)
        ):
            continue
        found.append(row)
    return found


def _wanted(asked: Asked) -> set[int] | None:
    words = asked.names("ids")
    if not words:
        return None
    if len(words) > _IDS or not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        raise unfit("ids", f"must be up to {_IDS} integers")
    return {int(word) for word in words}


def bound_of(asked: Asked, name: str, *, fraction: bool = False) -> datetime | None:
    """
    Return an instant to compare update times with, in whole seconds; None where it was not given.

    With `fraction` one of a second is left out, not refused: so Pipedrive's client asks for notes.
    """
    word = asked.query.get(name, "")
    if fraction:
        word = re.sub(r"(?<=:\d\d)\.\d{1,9}", "", word)
    return values.instant(values.moment(name, word)) if word else None


def _filter(account: Account, asked: Asked, name: str) -> Callable[[Row], bool] | None:
    """Return the test that a filter's parameter makes of a row; None where it was not given."""
    word = asked.query.get(name)
    if word is None:
        return None
    if name == "done":
        if word not in ("true", "false"):
            raise unfit(name, "must be a boolean")
        return lambda row: row.values["done"] is (word == "true")
    if name == "lead_id":
        return lambda row: row.values["lead_id"] == word
    id = number_of(asked, name, 0)

    def test(row: Row) -> bool:
        if row.kind.name == "activities" and name == "person_id":
            return primary(row.values) == id
        if row.kind.name == "persons" and name == "deal_id":
            deal = account.get(KINDS["deals"], id)
            return deal is not None and deal.values["person_id"] == row.id
        return bool(row.values.get(name) == id)

    return test


def offset_list(
    asked: Asked, rows: Sequence[Row], show: Callable[[Row], Mapping[str, Json]], *, nested: bool
) -> Answer:
    """Return a page of a list of version 1; `nested` puts its place below `pagination`, as most endpoints do."""
    start, limit = number_of(asked, "start", 0), limit_of(asked)
    more = start + limit < len(rows)
    place: dict[str, Json] = {"start": start, "limit": limit, "more_items_in_collection": more}
    if nested and more:
        place["next_start"] = start + limit
    page = [show(row) for row in rows[start : start + limit]]
    body = {"success": True, "data": page, "additional_data": {"pagination": place} if nested else place}
    return Answer(body=body)


def ordered(
    asked: Asked, rows: Sequence[Row], show: Callable[[Row], Mapping[str, Json]], allowed: str
) -> list[Row]:
    """Return rows in the order that version 1's `sort` asks for: "field ASC, other DESC"."""
    found = list(rows)
    for term in reversed([term.split() for term in asked.query.get("sort", "").split(",") if term.strip()]):
        field, direction = term[0], (term[1:] or ["ASC"])[0].upper()
        if field not in allowed.split() or direction not in ("ASC", "DESC"):
            raise Refusal(400, f"Cannot sort by {' '.join(term)[:40]}")
        found.sort(
            key=lambda row: (show(row)[field] is not None, show(row)[field] or 0), reverse=direction == "DESC"
        )
    return found
