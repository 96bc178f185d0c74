"""How HubSpot turns the values it is sent into the texts it keeps."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

import nh3

from bridge import Json
from bridge_hubspot.sandbox_catalog import Property

_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s.,;<>]{2,}")
_LONGEST = 65_536


class Unfit(Exception):
    """A value that HubSpot refuses: `code` is its word, the message its sentence."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def instant_text(moment: datetime) -> str:
    """Return an instant as HubSpot prints it: UTC, milliseconds only where there are any."""
    moment = moment.astimezone(UTC)
    milliseconds = moment.microsecond // 1000
    return f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{milliseconds:03d}Z" if milliseconds else "Z")


def instant_of(value: str) -> datetime:
    """Return the instant of an ISO 8601 text, a date or epoch milliseconds. Raises ValueError."""
    if re.fullmatch(r"-?\d{5,15}", value):
        return datetime.fromtimestamp(int(value) / 1000, UTC)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return datetime.combine(date.fromisoformat(value), time(), UTC)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return moment.astimezone(UTC)


def kept(definition: Property, value: Json) -> str | None:
    """
    Return the text HubSpot keeps for `value`; None clears the property, as an empty text does.

    Times become UTC texts with milliseconds, numbers lose needless zeros, addresses become
    lower case, HTML loses what could run. Raises Unfit.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int | float):
        value = repr(value)
    if not isinstance(value, str):
        raise Unfit("INVALID_VALUE", f"{definition.name} must be a string, a number or a boolean")
    sent: str = value.strip()
    if not sent:
        return None
    if len(sent) > _LONGEST:
        raise Unfit("INVALID_LENGTH", f"{definition.name} was {len(sent)} characters; {_LONGEST} are allowed")
    match definition.type:
        case "number":
            return _number(sent)
        case "datetime":
            return _datetime(sent)
        case "date":
            return _date(sent)
        case "bool":
            return _bool(sent)
        case "enumeration":
            return _options(definition, sent)
    if definition.refers_to == "EMAIL":
        return _email(sent)
    if definition.field_type == "html":
        cleaned: str = nh3.clean(sent)
        return cleaned or None
    return sent


def _number(value: str) -> str:
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > 100:
        raise Unfit("INVALID_LONG", f"{value} was not a valid number.")
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") or "0" if "." in plain else plain


def _datetime(value: str) -> str:
    try:
        return instant_text(instant_of(value))
    except (ValueError, OverflowError, OSError):
        raise Unfit("INVALID_LONG", f"{value} was not a valid long.") from None


def _date(value: str) -> str:
    try:
        moment = instant_of(value)
    except (ValueError, OverflowError, OSError):
        raise Unfit("INVALID_DATE", f"{value} was not a valid date.") from None
    if moment.time() != time():
        raise Unfit("INVALID_DATE", f"{value} is at {moment:%H:%M:%S} UTC, not midnight!")
    return moment.date().isoformat()


def _bool(value: str) -> str:
    if value.lower() not in ("true", "false"):
        raise Unfit("INVALID_OPTION", f"{value} was not one of the allowed options: [true, false]")
    return value.lower()


def _options(definition: Property, value: str) -> str:
    allowed = [option for option, _ in definition.options]
    chosen = [word.strip() for word in value.split(";") if word.strip()] if definition.many else [value]
    for word in chosen:
        if word not in allowed:
            raise Unfit(
                "INVALID_OPTION", f"{word} was not one of the allowed options: [{', '.join(allowed[:20])}]"
            )
    return ";".join(chosen)


def _email(value: str) -> str:
    value = value.lower()
    if len(value) > 254 or not _EMAIL.fullmatch(value):
        raise Unfit("INVALID_EMAIL", f"Email address {value} is invalid")
    return value
