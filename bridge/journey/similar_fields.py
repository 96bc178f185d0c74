"""Fields by which two records are compared: one spelling for their values, which are close, where to look."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA, JaroWinkler

from bridge.journey import companies, names
from bridge.journey.folding import fold

Kind = Literal["given", "family", "company", "place", "street", "code", "domain"]
"""
What a field holds:

- given, family: a first name, and what follows it;
- company: its name, with or without its legal form;
- place: a city, district;
- street: a street, with or without a number;
- code: a postcode or another number;
- domain: of a site or an address.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """
    A field to compare.

    Fields of one `group` say much the same (who works in one company shares its city and domain): of them
    only the strongest agreement and the strongest disagreement count. "" stands alone. `distinct` is what
    the compared thing itself is called, in order to be told from others: a company's name, not its people's.
    """

    name: str
    kind: Kind
    group: str = ""
    distinct: bool = False


PERSON = (
    Field(name="given_name", kind="given"),
    Field(name="family_name", kind="family"),
    Field(name="company", kind="company", group="work"),
    Field(name="city", kind="place", group="work"),
    Field(name="domain", kind="domain", group="work"),
)
"""What is known of most contacts and senders; make the names with `names.split`."""

COMPANY = (
    Field(name="company", kind="company", distinct=True),
    Field(name="city", kind="place"),
    Field(name="domain", kind="domain", distinct=True),
)


class Record(NamedTuple):
    """One record to compare: its key, and one value a field, in one spelling; "" is unknown."""

    key: str
    values: tuple[str, ...]


def read(key: str, raw: Mapping[str, str | None], fields: Sequence[Field]) -> Record:
    """Return a record of what is written in `raw`, by field name; what is missing there is unknown."""
    return Record(key, tuple(_KINDS[field.kind].clean(raw.get(field.name) or "") for field in fields))


def nearness(kind: Kind) -> Callable[[str, str], bool]:
    """Return what tells whether two different cleaned values may be one, written differently; symmetric."""
    return _KINDS[kind].near


def marks(kind: Kind, value: str) -> tuple[str, ...]:
    """Return what near values mostly have in common with this one: sorted, none for an unknown value."""
    return _KINDS[kind].marks(value) if value else ()


class _Kind(NamedTuple):
    clean: Callable[[str], str]
    near: Callable[[str, str], bool]
    marks: Callable[[str], tuple[str, ...]]


_words = re.compile(r"[^\W_]+").findall
_LONGEST = 200


@lru_cache(maxsize=1 << 16)
def _plain(text: str) -> str:
    return " ".join(_words(fold(text).replace("'", ""))) if len(text) <= _LONGEST else ""


@lru_cache(maxsize=1 << 16)
def _person(text: str) -> str:
    """Return the usable words of a part of a name, as `names` reads them; other scripts as they are."""
    return " ".join(names.split(text)).strip() or ("" if text.isascii() else _plain(text))


def _code(text: str) -> str:
    return _plain(text).replace(" ", "")


def _ends(value: str) -> tuple[str, ...]:
    return tuple(sorted({value[:3], value[-3:]}))


def _long_words(value: str) -> tuple[str, ...]:
    """Return the beginnings of the longest words, which are mostly the rarest."""
    longest = sorted(set(value.split()), key=lambda word: (-len(word), word))[:3]
    return tuple(sorted({word[:4] for word in longest}))


@lru_cache(maxsize=1 << 16)
def _near_first(a: str, b: str) -> bool:
    return (names.same(a, b) or _is_slip(a, b)) and not names.is_pair(a, b)


def _near_family(a: str, b: str) -> bool:
    return names.same(a, b) or _is_slip(a, b) or _within(a, b)


def _is_slip(a: str, b: str) -> bool:
    """Tell whether one letter is wrong, missing or out of order, in words long enough for that to be rare."""
    return min(len(a), len(b)) > 3 and OSA.distance(a, b, score_cutoff=1) <= 1


def _within(a: str, b: str) -> bool:
    """Tell whether the words of one are all among the other's."""
    if " " not in a and " " not in b:
        return False
    mine, theirs = _word_set(a), _word_set(b)
    return mine <= theirs or theirs <= mine


@lru_cache(maxsize=1 << 16)
def _word_set(value: str) -> frozenset[str]:
    return frozenset(value.split())


def _near_place(a: str, b: str) -> bool:
    return JaroWinkler.similarity(a, b, score_cutoff=0.92) > 0 or _is_slip(a, b)


def _near_words(a: str, b: str) -> bool:
    return (
        _within(a, b)
        or fuzz.ratio(a, b, score_cutoff=85) > 0
        or fuzz.token_sort_ratio(a, b, score_cutoff=85) > 0
    )


def _near_code(a: str, b: str) -> bool:
    return OSA.distance(a, b, score_cutoff=1) <= 1


def _one(value: str) -> tuple[str, ...]:
    return (value,)


def _never(a: str, b: str) -> bool:
    return False


_KINDS: dict[Kind, _Kind] = {
    "given": _Kind(_person, _near_first, _ends),
    "family": _Kind(_person, _near_family, _ends),
    "company": _Kind(companies.clean, _near_words, _long_words),
    "place": _Kind(_plain, _near_place, _ends),
    "street": _Kind(_plain, _near_words, _ends),
    "code": _Kind(_code, _near_code, _ends),
    "domain": _Kind(companies.domain, _never, _one),
}
