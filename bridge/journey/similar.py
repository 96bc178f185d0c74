"""
Which records may be one person or company though nothing proves it: suggestions, for a person to decide.

Suggestions are pairs and are never closed transitively: that multiplies errors. How a pair is judged, and
why, is told by `similar_score`; here is which pairs are judged at all, as all with all would be too many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product

from bridge.journey.similar_fields import Field, Record, marks
from bridge.journey.similar_score import LIKELY, Pair, Scorer, count

LARGEST_BLOCK = 100
"""
A block with more records is not compared within: what so many share says little, and a pair that shares
enough besides meets in another block.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """Pairs, the most probable first, and the blocks that were too large to compare, with their sizes."""

    pairs: tuple[Pair, ...]
    skipped: Mapping[str, int]


def blocks(record: Record, fields: Sequence[Field]) -> tuple[str, ...]:
    """
    Return the keys to store a record under, to find those it may be one with; sorted.

    A key tells what marks of two fields are, as no pair becomes likely by one. Candidates are the records
    with a common key; leave out keys that more than `LARGEST_BLOCK` records have.
    """
    return tuple(
        sorted(
            f"{labels}:{mark}|{other}"
            for labels, places in _rounds(fields).items()
            for mark, other in _block_marks(record, fields, places)
        )
    )


def suggest(records: Iterable[Record], fields: Sequence[Field], *, at_least: float = LIKELY) -> Suggestions:
    """
    Return all pairs among the records that are at least so probably one.

    Depends on the set of records only. One index of two fields at a time is held in memory. Raises
    ValueError when two records have one key.
    """
    ordered = sorted(records)
    for record, following in pairwise(ordered):
        if record.key == following.key:
            raise ValueError(f"record {record.key}: given twice; pass only the newest")
    scorer = Scorer(fields, count(ordered, fields))
    found: dict[tuple[str, str], Pair] = {}
    skipped: dict[str, int] = {}
    for labels, places in _rounds(fields).items():
        index: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in ordered:
            for key in _block_marks(record, fields, places):
                index[key].append(record)
        for (mark, other), members in index.items():
            if len(members) > LARGEST_BLOCK:
                skipped[f"{labels}:{mark}|{other}"] = len(members)
                continue
            for place, record in enumerate(members):
                for pair in scorer.likely(record, members[place + 1 :], at_least=at_least):
                    found[pair.a, pair.b] = pair
    return Suggestions(
        pairs=tuple(sorted(found.values(), key=lambda pair: (-pair.probability, pair.a, pair.b))),
        skipped=dict(sorted(skipped.items())),
    )


def _rounds(fields: Sequence[Field]) -> dict[str, list[tuple[int, int]]]:
    """
    Return which two fields together may say enough: not two of one group.

    First and family name have one label, as people write them in either order.
    """
    labels = ["name" if field.kind in ("given", "family") else field.name for field in fields]
    rounds: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for i, j in combinations(range(len(fields)), 2):
        if not fields[i].group or fields[i].group != fields[j].group:
            first, second = (i, j) if labels[i] <= labels[j] else (j, i)
            rounds[f"{labels[first]}|{labels[second]}"].append((first, second))
    return rounds


def _block_marks(
    record: Record, fields: Sequence[Field], places: Sequence[tuple[int, int]]
) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for i, j in places:
        both = product(marks(fields[i].kind, record.values[i]), marks(fields[j].kind, record.values[j]))
        if {fields[i].kind, fields[j].kind} == {"given", "family"}:
            found.update((min(pair), max(pair)) for pair in both)
        else:
            found.update(both)
    return found
