"""Which values Pipedrive takes for a parameter, and how it keeps them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time

import nh3

from bridge import Json
from bridge_pipedrive.sandbox_answers import unfit

Check = Callable[[str, Json], Json]
"""Takes a parameter's name and value and returns the value as it is kept. Raises Refusal."""

NOTE_LIMIT = 102_400
# Nobody tells where Pipedrive's calendar ends; one that ends keeps every time zone within what Python can tell.
_YEARS = range(1900, 2200)
_TAGS = {
    *("p", "br", "b", "strong", "i", "em", "u", "s", "a", "ul", "ol", "li", "div", "span"),
    *(
        "blockquote",
        "pre",
        "code",
        "h1",
        "h2",
        "h3",
        "hr",
        "img",
        "table",
        "tbody",
        "thead",
        "tr",
        "td",
        "th",
    ),
}
_PLACE = (
    *("value", "country", "admin_area_level_1", "admin_area_level_2", "locality", "sublocality"),
    *("route", "street_number", "subpremise", "postal_code"),
)


def stamp(moment: datetime) -> str:
    """Return an instant as version 2 prints it: UTC, whole seconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def old_stamp(value: str) -> str:
    """Return an instant of version 2 as version 1 prints it: UTC without saying so."""
    return value.replace("T", " ").removesuffix("Z")


def instant(value: str) -> datetime:
    """Return the instant of a version 2 stamp."""
    return datetime.fromisoformat(value)


def text(name: str, value: Json) -> str:
    if not isinstance(value, str):
        raise unfit(name, "must be a string")
    return value


def filled(name: str, value: Json) -> str:
    word = text(name, value).strip()
    if not word:
        raise unfit(name, "must not be empty")
    return word


def whole(name: str, value: Json) -> int:
    """Take a number only: version 2 no longer turns text into numbers."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise unfit(name, "must be an integer")
    return value


def number(name: str, value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unfit(name, "must be a number")
    return value


def flag(name: str, value: Json) -> bool:
    if not isinstance(value, bool):
        raise unfit(name, "must be a boolean")
    return value


def loose_whole(name: str, value: Json) -> int:
    """Take a number or digits, as version 1 does."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return whole(name, value)


def loose_flag(name: str, value: Json) -> bool:
    """Take true, false, 1 and 0, as version 1 does."""
    if value in (0, 1) or value in ("0", "1"):
        return bool(int(value))
    return flag(name, value)


def moment(name: str, value: Json) -> str:
    """Take an RFC 3339 instant in whole seconds; a fraction is refused (seen by published clients)."""
    word = text(name, value)
    if re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", word):
        try:
            found = datetime.fromisoformat(word)
            if found.year in _YEARS:
                return stamp(found)
        except ValueError:
            pass
    raise unfit(name, f"{word[:40]} is not a valid datetime")


def old_moment(name: str, value: Json) -> str:
    """Take "YYYY-MM-DD HH:MM:SS", which is UTC, or an RFC 3339 instant, as version 1 does."""
    word = text(name, value)
    return moment(name, f"{word}Z" if re.fullmatch(r"\S+ \S+:\d\d", word) else word)


def day(name: str, value: Json) -> str:
    word = text(name, value)
    try:
        if len(word) == 10 and date.fromisoformat(word).year in _YEARS:
            return word
    except ValueError:
        pass
    raise unfit(name, f"{word[:40]} is not a valid date")


def clock_time(name: str, value: Json) -> str:
    """Take HH:MM or HH:MM:SS and keep the latter."""
    word = text(name, value)
    if re.fullmatch(r"\d\d:\d\d(:\d\d)?", word):
        try:
            return time.fromisoformat(word).isoformat()
        except ValueError:
            pass
    raise unfit(name, f"{word[:40]} is not a valid time")


def lead_id(name: str, value: Json) -> str:
    try:
        return str(uuid.UUID(text(name, value)))
    except ValueError:
        raise unfit(name, "must be a valid uuid") from None


def html(name: str, value: Json) -> str:
    """Keep HTML without what could run; Pipedrive says it sanitises and not how."""
    word = text(name, value)
    if len(word.encode()) > NOTE_LIMIT:
        raise unfit(name, f"length must be less than or equal to {NOTE_LIMIT} bytes")
    return str(nh3.clean(word, tags=_TAGS, link_rel=None))


def one_of(*words: Json) -> Check:
    def check(name: str, value: Json) -> Json:
        if value not in words or isinstance(value, bool):
            raise unfit(name, f"must be one of {', '.join(str(word) for word in words)}")
        return value

    return check


def maybe(check: Check) -> Check:
    """Let null through, which clears."""
    return lambda name, value: None if value is None else check(name, value)


def each(check: Check) -> Check:
    def listed(name: str, value: Json) -> Json:
        if not isinstance(value, list):
            raise unfit(name, "must be an array")
        return [check(f"{name}[{place}]", one) for place, one in enumerate(value)]

    return listed


def record(required: dict[str, Check], optional: dict[str, Check]) -> Check:
    """Take an object with these fields and no others."""

    def check(name: str, value: Json) -> Json:
        if not isinstance(value, dict):
            raise unfit(name, "must be of type object")
        if missing := [word for word in required if word not in value]:
            raise unfit(f"{name}.{missing[0]}", "is required")
        known = {**required, **optional}
        if unknown := [word for word in value if word not in known]:
            raise unfit(f"{name}.{unknown[0]}", f"Parameter '{unknown[0]}' is not allowed for this request")
        return {word: known[word](f"{name}.{word}", one) for word, one in value.items()}

    return check


_place = record({"value": text}, {word: maybe(text) for word in _PLACE})


def place(name: str, value: Json) -> Json:
    """Take an address; parts that are not given are null (pipedrive.readme.io, v2 migration guide)."""
    return {**dict.fromkeys(_PLACE), **_place(name, value)}


money = record({"amount": number, "currency": filled}, {})
_channels = each(record({"value": text}, {"primary": flag, "label": text}))


def channels(name: str, value: Json) -> Json:
    """Take e-mail addresses or numbers, kept as typed; exactly one is primary. Empty ones vanish."""
    rows = [
        {
            "value": row["value"].strip(),
            "primary": row.get("primary", False),
            "label": row.get("label", "work"),
        }
        for row in _channels(name, value)
        if row["value"].strip()
    ]
    chosen = next((place for place, row in enumerate(rows) if row["primary"]), 0)
    return [{**row, "primary": place == chosen} for place, row in enumerate(rows)]


_participants = each(record({"person_id": whole}, {"primary": flag}))


def participants(name: str, value: Json) -> Json:
    """Take who takes part; exactly one is primary, and nobody comes twice."""
    rows = {row["person_id"]: row.get("primary", False) for row in _participants(name, value)}
    chosen = next((person for person, primary in rows.items() if primary), next(iter(rows), None))
    return [{"person_id": person, "primary": person == chosen} for person in rows]


attendees = each(
    record(
        {"email": filled},
        {
            "name": maybe(text),
            "status": maybe(text),
            "is_organizer": flag,
            "person_id": maybe(whole),
            "user_id": maybe(whole),
        },
    )
)
