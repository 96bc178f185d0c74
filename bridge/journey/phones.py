"""What makes two spellings of a telephone number the same line, and which lines are no person's."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    Leniency,
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberMatcher,
    PhoneNumberType,
    format_number,
    national_significant_number,
    parse,
)

from bridge.journey.phone_plans import Match, kind_of

PhoneStrength = Literal["strong", "guarded", "none"]
Line = tuple[str, PhoneStrength]
"""A number in E.164, with `;ext=12` where it has an extension, and what it says about who calls."""

_SEPARATORS = dict.fromkeys(map(ord, " ()-./\t\u00a0\u2010\u2011\u2012\u2013"))
_LONGEST_NUMBER = 17
"""E.164 has 15 digits; two more for the international prefix 00."""
_LONGEST_CELL = 250
_STRENGTH: dict[int, PhoneStrength] = {
    PhoneNumberType.MOBILE: "strong",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "strong",
    PhoneNumberType.TOLL_FREE: "none",
    PhoneNumberType.PREMIUM_RATE: "none",
    PhoneNumberType.SHARED_COST: "none",
    PhoneNumberType.UAN: "none",
    PhoneNumberType.VOICEMAIL: "none",
}
_RUNS = "01234567890123456 98765432109876543"


class _Number(NamedTuple):
    """A number as it is dialled: the country's code, the digits after it, and an extension."""

    country: int
    national: str
    extension: str | None = None


def read_phones(raw: str, region: str, *, messenger: bool = False) -> tuple[Line, ...]:
    """
    Return every valid number in a spelling, in order of appearance; none where nothing validates.

    `region` (ISO 3166) completes national numbers. `messenger` marks a WhatsApp sender's own id, which
    is international without "+", belongs to a mobile, and is no placeholder. A mobile is strong, another line
    guarded, a service number or a placeholder none. Obsolete spellings of Brazil, Mexico and Argentina are mapped
    onto the present numbering plan. Reading a returned number gives it again.
    """
    digits = raw.translate(_SEPARATORS)
    if len(digits) <= _LONGEST_NUMBER and digits.isascii() and digits.removeprefix("+").isdigit():
        line = _read_digits(digits, region, messenger)
        return () if line is None else (line,)
    return _read_cell(raw[:_LONGEST_CELL], region)


@lru_cache(maxsize=1 << 12)
def _read_digits(digits: str, region: str, messenger: bool) -> Line | None:
    return _line(_understand(digits, region, messenger), messenger)


@lru_cache(maxsize=1 << 10)
def _read_cell(text: str, region: str) -> tuple[Line, ...]:
    """Find the numbers in free text: several in one cell, extensions, words around them."""
    matches = PhoneNumberMatcher(text, region or None, leniency=Leniency.POSSIBLE)
    numbers: list[_Number | None] = [_number(match.number) for match in matches]
    numbers = numbers or [_parse(text, region)]
    lines = [_line(number, False) for number in numbers]
    return tuple(dict.fromkeys(line for line in lines if line is not None))


def _understand(digits: str, region: str, messenger: bool) -> _Number | None:
    """
    Read a messenger's id as international; read 00 as "+" where that is valid; else go by the region.

    "00" comes before the region: where the region's own prefix is 00 that is the same, and in Brazil, where
    two digits of a carrier follow it, 0055 51 would be read as Peru.
    """
    if messenger:
        return _parse_digits(f"+{digits}", "")
    if digits.startswith("00"):
        number = _parse_digits(f"+{digits[2:]}", "")
        if _line(number, messenger) is not None:
            return number
    return _parse_digits(digits, region)


def _parse_digits(digits: str, region: str) -> _Number | None:
    """
    Do what `_parse` does, for nothing but digits and in a fifth of the time.

    Where a prefix or a leading zero could change what the digits mean, `_parse` itself decides.
    """
    if digits.startswith("+"):
        code = _country_code(digits)
        country, prefixes = _prefixes_abroad(code)
        national = digits[1 + len(code) :]
    else:
        country, prefixes = _prefixes_at_home(region)
        national = digits
    if prefixes is None or not 2 <= len(national) <= _LONGEST_NATIONAL or prefixes(national):
        return _parse(digits, region)
    return _Number(country, national)


_COUNTRIES = frozenset(map(str, COUNTRY_CODE_TO_REGION_CODE))
_LONGEST_NATIONAL = 15


def _country_code(digits: str) -> str:
    """Return the country's code at the start of an international number, empty where there is none."""
    for end in (2, 3, 4):
        if digits[1:end] in _COUNTRIES:
            return digits[1:end]
    return ""


@cache
def _prefixes_abroad(code: str) -> tuple[int, Match | None]:
    """Return a country's code, and what finds a national prefix, or a zero, at the start of a number after it."""
    if not code:
        return 0, None
    country = int(code)
    region = COUNTRY_CODE_TO_REGION_CODE[country][0]
    plan = PhoneMetadata.metadata_for_region_or_calling_code(country, region)
    return country, None if plan is None else _starts_with("0", plan.national_prefix_for_parsing)


@cache
def _prefixes_at_home(region: str) -> tuple[int, Match | None]:
    """Return a region's country code, and what finds any prefix at the start of a number dialled there."""
    plan = PhoneMetadata.metadata_for_region(region, None) if region else None
    if plan is None:
        return 0, None
    prefixes = (str(plan.country_code), plan.national_prefix_for_parsing, plan.international_prefix)
    return int(plan.country_code or 0), _starts_with("0", *prefixes)


def _starts_with(*patterns: str | None) -> Match:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern)).match


def _parse(text: str, region: str) -> _Number | None:
    found = _understood(text, region)
    return None if found is None else _number(found)


def _understood(text: str, region: str) -> PhoneNumber | None:
    try:
        return parse(text, region or None)
    except NumberParseException:
        return None


def _number(found: PhoneNumber) -> _Number:
    return _Number(int(found.country_code or 0), national_significant_number(found), found.extension)


def _line(number: _Number | None, messenger: bool) -> Line | None:
    if number is None:
        return None
    country, national, extension = _on_the_present_plan(number, messenger)
    kind = kind_of(country, national)
    if kind == PhoneNumberType.UNKNOWN:
        return None
    value = f"+{country}{national}"
    strength = _STRENGTH.get(kind, "guarded")
    if not messenger and _is_placeholder(value):
        strength = "none"
    if extension:
        value = f"{value};ext={extension}"
        if strength == "strong":
            strength = "guarded"
    return value, strength


def _on_the_present_plan(number: _Number, messenger: bool) -> _Number:
    """
    Map an obsolete spelling of Brazil, Mexico or Argentina onto the present plan; never guess otherwise.

    Brazil put a 9 before mobiles; a landline starts with 2 to 5 and stays, as with a 9 it is a stranger's
    mobile. Mexico dropped the 1 after its country code in 2019. Argentina's mobiles carry a 9 abroad,
    which only a messenger's sender is known to be.
    """
    country, digits, _ = number
    present = None
    if country == 55 and len(digits) == 10 and digits[2] in "6789":
        present = f"{digits[:2]}9{digits[2:]}"
    elif country == 52 and len(digits) == 11 and digits[0] == "1":
        present = digits[1:]
    elif country == 54 and len(digits) == 10 and messenger:
        present = f"9{digits}"
    if present is None or kind_of(country, present) not in _MOBILE:
        return number
    return number._replace(national=present)


_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def _is_placeholder(value: str) -> bool:
    """Tell numbers nobody was given: the last seven digits all equal, or counting up or down."""
    end = value[-7:]
    return end.count(end[0]) == len(end) or end in _RUNS


def spellings(number: str) -> tuple[str, ...]:
    """
    Return every way a person may have typed a number in E.164, likeliest first.

    For looking a number up in a system that keeps what people type. Includes the obsolete spellings of
    Brazil and Mexico; an Argentine mobile without its 9 is left out, as it may be a stranger's landline.
    A number that is not valid has only its own spelling, and one with an extension never goes without it.
    """
    parsed = _understood(number, "")
    if parsed is None:
        return (number,)
    written = dict.fromkeys(form for variant in (parsed, *_obsolete(parsed)) for form in _forms(variant))
    if parsed.extension:
        endings = (f" ext. {parsed.extension}", f" x{parsed.extension}", f" ramal {parsed.extension}")
        written = dict.fromkeys([number, *(f"{form}{end}" for form in written for end in endings)])
    return tuple(written)


def _forms(number: PhoneNumber) -> list[str]:
    plain = PhoneNumber()
    plain.merge_from(number)
    plain.extension = None
    e164 = format_number(plain, PhoneNumberFormat.E164)
    national = format_number(plain, PhoneNumberFormat.NATIONAL)
    international = format_number(plain, PhoneNumberFormat.INTERNATIONAL)
    significant = national_significant_number(plain)
    dialled = "".join(filter(str.isdigit, national))
    if dialled == significant:
        dialled = f"0{significant}"
    spaced = national.replace("(", "").replace(")", "")
    forms = [e164, e164[1:], significant, international, national, dialled, spaced, f"00{e164[1:]}"]
    return [*forms, international[1:]]


def _obsolete(number: PhoneNumber) -> list[PhoneNumber]:
    digits = national_significant_number(number)
    if number.country_code == 55 and len(digits) == 11 and digits[2] == "9" and digits[3] in "6789":
        older = digits[:2] + digits[3:]
    elif number.country_code == 52 and len(digits) == 10:
        older = f"1{digits}"
    else:
        return []
    return [PhoneNumber(country_code=number.country_code, national_number=int(older))]
