"""
How probably two records are one, judged field by field, and why.

A Fellegi-Sunter model: each field adds bits of evidence, much where two records share a rare value, little
where they share a common one, less than nothing where they differ. How common a value is comes from the
records themselves; how often the fields of one person agree is fixed, so nothing is trained.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf, log2
from typing import Literal

from bridge.journey.similar_fields import Field, Record, nearness

Level = Literal["same", "near", "swapped", "different", "unknown"]

LIKELY = 0.9
"""From this probability on a pair is worth a person's time."""

_SAME, _NEAR, _DIFFERENT = 0.80, 0.12, 0.08
"""How often the values of one person's records are the same, nearly the same, or different."""

_DISTINCT = 0.1
"""How many others are expected by chance to have what a company is called, where nobody else is known to."""

_SAMPLE = 250
"""So many values are compared with each other to learn how often chance values are near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequencies:
    """
    How common values are, by field name.

    `records` is how many there are, `filled` how many of them know a field, `values` how many have a value;
    it may be a part of what was counted, as long as the values that are compared are in it. `near` is how
    often two chance values of a field are near.
    """

    records: int
    filled: Mapping[str, int]
    values: Mapping[str, Mapping[str, int]]
    near: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What one field says: for one person where `bits` is above zero, against it below.

    `carriers` of the `filled` records that know the field have the value, where both have the same.
    `counted` is False where another field of its group says the same more strongly.
    """

    field: str
    level: Level
    a: str
    b: str
    bits: float
    carriers: int
    filled: int
    counted: bool = True

    def __str__(self) -> str:
        """Return a line for a person: `family_name: same, "souza", as 41 of 9000 have, +7.5`."""
        if self.level == "unknown":
            return f"{self.field}: unknown"
        values = f'"{self.a}"' if self.a == self.b else f'"{self.a}" and "{self.b}"'
        common = f", as {self.carriers} of {self.filled} have" if self.level == "same" else ""
        bits = f"{self.bits:+.1f}" if self.counted else "not counted"
        return f"{self.field}: {self.level}, {values}{common}, {bits}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two records, `a` before `b`, how probably they are one, and what each field adds to the prior bits."""

    a: str
    b: str
    probability: float
    prior: float
    evidence: tuple[Evidence, ...]


def count(records: Iterable[Record], fields: Sequence[Field]) -> Frequencies:
    """Count the values of all records; depends on the set of records only."""
    columns: list[Counter[str]] = [Counter() for _ in fields]
    total = 0
    for record in records:
        total += 1
        for column, value in zip(columns, record.values, strict=True):
            if value:
                column[value] += 1
    named = list(zip(fields, columns, strict=True))
    return Frequencies(
        records=total,
        filled={field.name: column.total() for field, column in named},
        values={field.name: dict(column) for field, column in named},
        near={field.name: _near_rate(field, column) for field, column in named},
    )


class Scorer:
    """Scores pairs of records by how common their values are."""

    def __init__(self, fields: Sequence[Field], frequencies: Frequencies) -> None:
        self._fields = tuple(fields)
        self._counts = [frequencies.values[field.name] for field in fields]
        self._filled = [max(frequencies.filled[field.name], 2) for field in fields]
        self._least = [_DISTINCT if field.distinct else 2.0 for field in fields]
        self._near, self._different = [], []
        for field, least, filled in zip(fields, self._least, self._filled, strict=True):
            rate = min(max(frequencies.near[field.name], least / filled), 1 - _DIFFERENT)
            self._near.append(log2(_NEAR / rate))
            self._different.append(log2(_DIFFERENT / (1 - rate)))
        self._is_near = [nearness(field.kind) for field in fields]
        self._prior = -log2(max(frequencies.records - 1, 1))
        self._alone = [place for place, field in enumerate(fields) if not field.group]
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for place, field in enumerate(fields):
            if field.group:
                groups[field.group].append(place)
        self._groups = list(groups.values())
        # What a difference takes from what was possible; in a group another field may be the one that counts.
        self._lost = [
            max(near, 0.0) - (0.0 if field.group else different)
            for field, near, different in zip(fields, self._near, self._different, strict=True)
        ]
        kinds = [field.kind for field in fields]
        has_both = kinds.count("given") == 1 and kinds.count("family") == 1
        self._names = (kinds.index("given"), kinds.index("family")) if has_both else None

    def score(self, a: Record, b: Record) -> Pair:
        """Return how probably two records are one, and why."""
        first, second = (a, b) if a.key <= b.key else (b, a)
        bits = self._weigh(first, second)
        assert bits is not None
        counted = {*self._alone}
        for group in self._groups:
            counted |= {max(group, key=bits.__getitem__), min(group, key=bits.__getitem__)}
        return Pair(
            a=first.key,
            b=second.key,
            probability=1 / (1 + 2 ** -self._sum(bits)),
            prior=self._prior,
            evidence=tuple(
                self._evidence(place, mine, theirs, bits[place], place in counted)
                for place, (mine, theirs) in enumerate(zip(first.values, second.values, strict=True))
            ),
        )

    def likely(
        self, record: Record, candidates: Iterable[Record], *, at_least: float = LIKELY
    ) -> Iterator[Pair]:
        """Yield a record's pairs with candidates that are at least so probably one, in their order."""
        wanted = log2(at_least / (1 - at_least))
        for candidate in candidates:
            bits = self._weigh(record, candidate, wanted)
            if bits is not None and self._sum(bits) >= wanted:
                yield self.score(record, candidate)

    def _weigh(self, a: Record, b: Record, wanted: float = -inf) -> list[float] | None:
        """Return the bits of each field, or None as soon as they cannot come to what is wanted."""
        bits = [0.0] * len(a.values)
        possible = self._prior
        differing: list[int] = []
        for place, mine in enumerate(a.values):
            theirs = b.values[place]
            if not mine or not theirs:
                continue
            if mine == theirs:
                # Both have it, so it is carried twice whatever was counted; that says nothing of chance.
                carriers = max(self._counts[place].get(mine, 0) - 2, 0) + self._least[place]
                bits[place] = log2(_SAME * self._filled[place] / carriers)
                possible += max(bits[place], 0.0)
            else:
                differing.append(place)
                possible += max(self._near[place], 0.0)
        if possible >= wanted and self._names and self._is_swapped(a, b, *self._names):
            for place in self._names:
                bits[place] = self._near[place]
                differing.remove(place)
        for place in differing:
            if possible < wanted:
                return None
            if self._is_near[place](a.values[place], b.values[place]):
                bits[place] = self._near[place]
            else:
                bits[place] = self._different[place]
                possible -= self._lost[place]
        return bits

    def _is_swapped(self, a: Record, b: Record, given: int, family: int) -> bool:
        """Tell whether one has the first name where the other has the family name; both agree then."""
        first, last, other_first, other_last = (
            *(a.values[given], a.values[family]),
            *(b.values[given], b.values[family]),
        )
        if not (first and last and other_first and other_last) or first == other_first or last == other_last:
            return False
        is_near = self._is_near[family]
        return (first == other_last or is_near(first, other_last)) and (
            last == other_first or is_near(last, other_first)
        )

    def _sum(self, bits: Sequence[float]) -> float:
        """Add what counts to the prior bits: of a group its strongest agreement and its strongest disagreement."""
        total = self._prior
        for place in self._alone:
            total += bits[place]
        for group in self._groups:
            of_group = [bits[place] for place in group]
            total += max(*of_group, 0.0) + min(*of_group, 0.0)
        return total

    def _evidence(self, place: int, a: str, b: str, bits: float, counted: bool) -> Evidence:
        level: Level = "different"
        if not a or not b:
            level = "unknown"
        elif a == b:
            level = "same"
        elif bits == self._near[place]:
            level = "near" if self._is_near[place](a, b) else "swapped"
        return Evidence(
            field=self._fields[place].name,
            level=level,
            a=a,
            b=b,
            bits=bits,
            carriers=self._counts[place].get(a, 0) if level == "same" else 0,
            filled=self._filled[place],
            counted=counted,
        )


def _near_rate(field: Field, column: Counter[str]) -> float:
    """Return how often two chance records have near values, from a sample that the values alone decide."""
    chances = sorted(
        (zlib.crc32(f"{value}#{turn}".encode("utf-8", "surrogatepass")), value)
        for value, times in column.items()
        for turn in range(times)
    )[:_SAMPLE]
    drawn = Counter(value for _, value in chances)
    is_near = nearness(field.kind)
    near = sum(drawn[a] * drawn[b] for a, b in combinations(sorted(drawn), 2) if is_near(a, b))
    pairs = len(chances) * (len(chances) - 1) // 2
    return (near + 1) / (pairs + 1)
