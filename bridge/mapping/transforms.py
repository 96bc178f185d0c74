"""The transforms a mapping may name: pure functions of JSON values, each with its description."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import orjson

from bridge.journey.phones import read_phones
from bridge.mapping import times
from bridge.mapping.html_text import html_of_text, text_of_html
from bridge.mapping.values import BadValue, Function, Takes, as_text, shown
from bridge.model import Json

MAX_INTEGER = 2**53 - 1
MAX_DECIMAL_DIGITS = 40

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """
    One entry of the registry.

    `make` takes the arguments given in the mapping and returns the function; it raises ValueError
    for bad ones. `parameters` names the arguments, a `?` marks those that may be left out. A transform
    that takes "one" value is applied to each item of a list, one that takes a "list" gets a single value
    as a list of it, and one that takes "any" gets what there is.
    """

    name: str
    summary: str
    make: Callable[..., Function]
    parameters: tuple[str, ...] = ()
    takes: Takes = "one"

    @property
    def required(self) -> int:
        """How many arguments cannot be left out."""
        return sum(not parameter.endswith("?") for parameter in self.parameters)


def _upper(value: Json) -> Json:
    """Text in upper case."""
    return as_text(value).upper()


def _lower(value: Json) -> Json:
    """Text in lower case."""
    return as_text(value).lower()


def _text(value: Json) -> Json:
    """A number or truth value as text: 7 becomes "7"."""
    return as_text(value)


def _strip(value: Json) -> Json:
    """Text without white space around it."""
    return as_text(value).strip()


def _not_empty(value: Json) -> Json:
    """Nothing where the value is empty or white space."""
    return None if value in ("", [], {}) or (isinstance(value, str) and value.isspace()) else value


def _truncate(length: int) -> Function:
    """At most so many characters; the last one is … where text was cut."""
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ValueError(f"expected a length of 1 or more, not {shown(length)}")

    def cut(value: Json) -> Json:
        text = as_text(value)
        return text if len(text) <= length else f"{text[: length - 1]}…"

    return cut


def _split(separator: str) -> Function:
    """Text to a list; pieces are stripped, empty ones dropped."""
    if not isinstance(separator, str) or not separator:
        raise ValueError(f'expected a separator such as ",", not {shown(separator)}')
    return lambda value: [piece for raw in as_text(value).split(separator) if (piece := raw.strip())]


def _join(separator: str = ", ") -> Function:
    """A list of texts to one text, between them the separator, or comma and space."""
    if not isinstance(separator, str):
        raise ValueError(f'expected a separator such as ", ", not {shown(separator)}')
    return lambda items: separator.join(as_text(item) for item in items)


def _split_semicolon() -> Function:
    """Text with semicolons to a list; pieces are stripped, empty ones dropped."""
    return _split(";")


def _first(items: Json) -> Json:
    """The first item of a list."""
    return items[0] if items else None


def _last(items: Json) -> Json:
    """The last item of a list."""
    return items[-1] if items else None


def _unique(items: Json) -> Json:
    """A list without repeated items; the first of each stays."""
    seen: dict[str, Json] = {}
    for item in items:
        seen.setdefault(_json_text(item), item)
    return list(seen.values())


def _json_text(value: Json) -> str:
    """Any value as JSON text, keys in order."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
    except TypeError as error:
        raise BadValue(f"{shown(value)} cannot be written as JSON") from error


def _number_text(value: Json) -> str | None:
    """Return a number's own text, None for empty text. Raises BadValue."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadValue(f"{shown(value)} is no number")
    if isinstance(value, int) and abs(value) >= 10**MAX_DECIMAL_DIGITS:
        raise BadValue("a number of more than 40 digits is not believable")
    text = value.strip() if isinstance(value, str) else repr(value)
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise BadValue(f"{shown(value)} is no number written with a decimal point")
    return text


def _decimal(value: Json) -> Json:
    """An exact decimal as text, for money; its digits stay as written."""
    text = _number_text(value)
    if text is None:
        return None
    number = Decimal(text)
    if abs(number.adjusted()) >= MAX_DECIMAL_DIGITS:
        raise BadValue(f"{shown(value)} is too long a number")
    written = format(number, "f")
    if len(written) > MAX_DECIMAL_DIGITS:
        raise BadValue(f"{shown(value)} is too long a number")
    return written


def _number(value: Json) -> Json:
    """A number, also from text with a decimal point."""
    text = _number_text(value)
    if text is None:
        return None
    number = float(text)
    if not math.isfinite(number):
        raise BadValue(f"{shown(value)} is too large a number")
    return int(number) if number.is_integer() and abs(number) <= MAX_INTEGER else number


def _integer(value: Json) -> Json:
    """A whole number, also from text."""
    number = _number(value)
    if number is not None and not isinstance(number, int):
        raise BadValue(f"{shown(value)} is no whole number of at most 15 digits")
    return number


def _ms_to_s(value: Json) -> Json:
    """Milliseconds to seconds."""
    number = _number(value)
    return None if number is None else _number(number / 1000)


def _s_to_ms(value: Json) -> Json:
    """Seconds to whole milliseconds."""
    number = _number(value)
    return None if number is None else _integer(float(round(number * 1000)))


def _boolean(value: Json) -> Json:
    """The words true, yes, 1 and false, no, 0 to a truth value."""
    if isinstance(value, bool):
        return value
    word = as_text(value).strip().lower()
    if not word:
        return None
    if word not in _TRUTH:
        raise BadValue(f"{shown(value)} is neither true nor false")
    return _TRUTH[word]


def _e164(region: str = "") -> Function:
    """A phone number as +5511973914862, completed by the region; anything else is refused."""
    if not isinstance(region, str) or (region and not re.fullmatch("[A-Z]{2}", region)):
        raise ValueError(f"expected a region such as BR, not {shown(region)}")

    def normalise(value: Json) -> Json:
        text = as_text(value).strip()
        if not text:
            return None
        lines = read_phones(text, region)
        if not lines:
            raise BadValue(
                f"{shown(value)} is no valid phone number{'' if region else ' with its country code'}"
            )
        return lines[0][0].partition(";")[0]

    return normalise


def _html_to_text(value: Json) -> Json:
    """What a reader of the HTML sees, as plain text."""
    return text_of_html(as_text(value))


def _text_to_html(value: Json) -> Json:
    """Plain text as HTML that shows the same lines."""
    return html_of_text(as_text(value))


def _instant(zone: str = "") -> Function:
    """ISO 8601 date and time to an instant in UTC; one without an offset is local to the zone."""
    return times.instant if zone == "" else times.instant_in(zone)


def _date(zone: str = "") -> Function:
    """The day of a date and time as written, or the day it was in the zone."""
    return times.date if zone == "" else times.date_in(zone)


def _one(function: Function, name: str, *, takes: Takes = "one") -> Transform:
    return Transform(name=name, summary=function.__doc__ or "", make=lambda: function, takes=takes)


def _made(make: Callable[..., Function], name: str, *parameters: str) -> Transform:
    return Transform(name=name, summary=make.__doc__ or "", make=make, parameters=parameters)


_ALL = (
    _one(_strip, "strip"),
    _one(_lower, "lower"),
    _one(_upper, "upper"),
    _one(_text, "text"),
    _one(_not_empty, "not_empty"),
    _made(_truncate, "truncate", "length"),
    _made(_split, "split", "separator"),
    _made(_split_semicolon, "split_semicolon"),
    replace(_made(_join, "join", "separator?"), takes="list"),
    _one(_first, "first", takes="list"),
    _one(_last, "last", takes="list"),
    _one(_unique, "unique", takes="list"),
    _one(_boolean, "boolean"),
    _one(_integer, "integer"),
    _one(_number, "number"),
    _one(_decimal, "decimal"),
    _one(_ms_to_s, "ms_to_s"),
    _one(_s_to_ms, "s_to_ms"),
    _made(_instant, "instant", "zone?"),
    _one(times.epoch_ms_to_instant, "epoch_ms_to_instant"),
    _one(times.epoch_s_to_instant, "epoch_s_to_instant"),
    _one(times.instant_to_epoch_ms, "instant_to_epoch_ms"),
    _made(_date, "date", "zone?"),
    _made(_e164, "e164", "region?"),
    _one(_html_to_text, "html_to_text"),
    _one(_text_to_html, "text_to_html"),
    _one(_json_text, "json_text", takes="any"),
)

TRANSFORMS: Mapping[str, Transform] = {transform.name: transform for transform in _ALL}
"""Every transform by its name; the documentation's table is made from it."""
