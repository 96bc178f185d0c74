"""Transforms between the ways vendors write moments and ours, 2026-11-21T09:30:00.123Z."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from bridge.mapping.values import BadValue, Function, shown
from bridge.model import Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_OURS = re.compile(
    r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{3})?Z"
)
"""How we write an instant, and most vendors too: then nothing is to be computed."""
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_FRACTION = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]*)?")


def _written(moment: datetime) -> str:
    if moment.year < 1000:
        raise BadValue(f"the year {moment.year} is not believable")
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text[:-4]}Z" if text.endswith(".000") else f"{text}Z"


def _after_epoch(milliseconds: int, value: Json) -> str:
    try:
        return _written(_EPOCH + timedelta(milliseconds=milliseconds))
    except OverflowError as error:
        raise BadValue(f"{shown(value)} is far outside of any calendar") from error


def epoch_ms_to_instant(value: Json) -> Json:
    """Milliseconds since 1970 to an instant in UTC."""
    if isinstance(value, str):
        if not value:
            return None
        if not _WHOLE.fullmatch(value):
            raise BadValue(f"{shown(value)} is no number of milliseconds since 1970")
        return _after_epoch(int(value), value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise BadValue(f"{shown(value)} is no number of milliseconds since 1970")
    return _after_epoch(_floor(value), value)


def epoch_s_to_instant(value: Json) -> Json:
    """Seconds since 1970 to an instant in UTC."""
    if isinstance(value, str):
        if not value:
            return None
        if not _FRACTION.fullmatch(value):
            raise BadValue(f"{shown(value)} is no number of seconds since 1970")
        return _after_epoch(round(float(value) * 1000), value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise BadValue(f"{shown(value)} is no number of seconds since 1970")
    return _after_epoch(value * 1000 if isinstance(value, int) else _floor(value * 1000 + 0.5), value)


def _floor(number: float) -> int:
    if abs(number) >= 1e18:
        raise BadValue(f"{shown(number)} is far outside of any calendar")
    return int(number // 1)


def _read(value: Json, zone: tzinfo | None) -> datetime:
    if not isinstance(value, str):
        raise BadValue(
            f"{shown(value)} is no ISO 8601 text; a number needs epoch_ms_to_instant or epoch_s_to_instant"
        )
    moment = _parsed(value.strip())
    if moment.tzinfo is None:
        if zone is None:
            raise BadValue(f"{shown(value)} has no time zone; name it: using: {{instant: [UTC]}}")
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise BadValue(f"{shown(value)} is far outside of any calendar") from error


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadValue(f"{shown(text)} is no ISO 8601 date and time") from error


def instant(value: Json) -> Json:
    """ISO 8601 date and time with its offset to an instant in UTC."""
    if value == "":
        return None
    if isinstance(value, str) and (ours := _OURS.fullmatch(value)):
        _parsed(value)
        return f"{value[:-5]}Z" if ours.group(1) == ".000" else value
    return _written(_read(value, None))


def instant_in(zone: str) -> Function:
    """Make the transform that reads times without an offset as local to `zone`; ValueError if unknown."""
    place = _zone(zone)
    return lambda value: None if value == "" else _written(_read(value, place))


def date(value: Json) -> Json:
    """The day as written, whatever its offset."""
    if value == "":
        return None
    if not isinstance(value, str):
        raise BadValue(f"{shown(value)} is no ISO 8601 date; a number needs epoch_ms_to_instant first")
    day = _parsed(value.strip()).date()
    if day.year < 1000:
        raise BadValue(f"the year {day.year} is not believable")
    return day.isoformat()


def date_in(zone: str) -> Function:
    """Make the transform from an instant to the day it is in `zone`; ValueError if unknown."""
    place = _zone(zone)

    def day_there(value: Json) -> Json:
        if value == "":
            return None
        try:
            return date(_read(value, place).astimezone(place).isoformat())
        except OverflowError as error:
            raise BadValue(f"{shown(value)} is far outside of any calendar") from error

    return day_there


def instant_to_epoch_ms(value: Json) -> Json:
    """An instant to milliseconds since 1970."""
    return None if value == "" else (_read(value, None) - _EPOCH) // _MILLISECOND


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'there is no time zone "{name}"; write one as America/Sao_Paulo or UTC') from error
