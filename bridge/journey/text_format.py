"""How days, times, amounts, sizes and numbers are written in the language of a timeline text."""

from __future__ import annotations

import re
from datetime import date, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal

from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, parse

from bridge.journey.text_words import Words

_SYMBOLS = {"BRL": "R$", "USD": "US$", "EUR": "€", "GBP": "£", "MXN": "MX$", "ARS": "AR$", "CLP": "CL$"}
_WITHOUT_CENTS = frozenset({"CLP", "PYG", "JPY", "KRW", "ISK", "VND"})
_UNITS = ("KB", "MB", "GB", "TB")


CONTROLS = dict.fromkeys(
    [*range(9), *range(11, 32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
"""What shows nothing, or turns the rest of a line around; line feeds and tabs stay."""

_find_control = re.compile(f"[{re.escape(''.join(map(chr, CONTROLS)))}]").search


def one_line(text: str, longest: int = 100) -> str:
    """Return what a stranger called something as a short part of one line, so that it cannot begin another."""
    return without_controls(" ".join(text.split()))[:longest]


def without_controls(text: str) -> str:
    """Return a text without CONTROLS; looking for them first takes a tenth of the time, and few texts have any."""
    return text.translate(CONTROLS) if _find_control(text) else text


def in_zone(instant: str, zone: tzinfo) -> datetime:
    """Return an RFC 3339 instant as it is in a zone, or in UTC where the calendar ends before it is reached."""
    moment = datetime.fromisoformat(instant)
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment


def long_day(day: date, words: Words) -> str:
    """Write a day with its weekday: `Wed 18 Nov`, `qua 18/11`."""
    return _day(words.day, day, words)


def short_day(day: date, words: Words) -> str:
    """Write a day without its weekday: `30 Nov`, `30/11`."""
    return _day(words.short_day, day, words)


def _day(pattern: str, day: date, words: Words) -> str:
    month = words.months[day.month - 1] if words.months else ""
    return pattern.format(weekday=words.weekdays[day.weekday()], day=day.day, number=day.month, month=month)


def clock_time(moment: datetime) -> str:
    """Write a local time of day: `14:02`."""
    return f"{moment.hour:02}:{moment.minute:02}"


def number(value: Decimal | int, words: Words) -> str:
    """Write a number with the separators of a language, as many decimals as it has."""
    return f"{value:,}".translate({ord(","): words.thousands, ord("."): words.decimal})


def money(amount: Decimal, currency: str, words: Words) -> str:
    """Write an amount of an ISO 4217 currency: `R$ 18,400.00`, `R$ 18.400,00`."""
    cents = Decimal(1) if currency in _WITHOUT_CENTS else Decimal("0.01")
    return f"{_SYMBOLS.get(currency, currency)} {number(amount.quantize(cents, ROUND_HALF_EVEN), words)}"


def file_size(size: int, words: Words) -> str:
    """Write a number of bytes as people see it: `214 KB`, `1.2 MB` (powers of 1024)."""
    value, unit = Decimal(size) / 1024, 0
    while value >= Decimal("999.5") and unit + 1 < len(_UNITS):
        value, unit = value / 1024, unit + 1
    digits = Decimal("0.1") if unit and value < 10 else Decimal(1)
    return f"{number(max(value, Decimal(1)).quantize(digits), words)} {_UNITS[unit]}"


def length(seconds: float) -> str:
    """Write the length of a recording: `0:42`, `1:02:05`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def duration(seconds: float) -> str:
    """Write how long something took: `24 s`, `4 min 5 s`, `1 h 2 min`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute} min"
    return f"{minute} min {second} s" if minute else f"{second} s"


def phone_text(value: str) -> str:
    """Return a number in E.164 as people write it, anything else as it is."""
    try:
        return format_number(parse(value), PhoneNumberFormat.INTERNATIONAL)
    except NumberParseException:
        return value
