"""
Suggestions on records that others labelled: nearly none wrong, and most of what there is.

The two lists with addresses take longest and are left to `python -m benchmarks.similar`, as are three people of
five of the one list with addresses.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.febrl import FETCH, LEAD, WEAK, WHEEL, grade, rows
from bridge.journey.similar import suggest
from bridge.journey.similar_fields import Field, read


@pytest.mark.skipif(not WHEEL.exists(), reason=f"FEBRL is not here; {FETCH}")
@pytest.mark.parametrize(
    ("files", "share", "fields", "precision", "recall"),
    [
        (["3"], 5, WEAK, 0.995, 0.58),
        (["4a", "4b"], 5, WEAK, 0.995, 0.73),
        (["3"], 2, LEAD, 0.9995, 0.927),
    ],
    ids=["one list, weak", "two lists, weak", "one list, lead"],
)
def test_suggestions_are_nearly_all_right_and_find_most(
    files: Sequence[str], share: int, fields: Sequence[Field], precision: float, recall: float
) -> None:
    written = [row for row in rows(*files) if int(row["rec_id"].split("-")[1]) % 5 < share]
    pairs = suggest([read(row["rec_id"], row, fields) for row in written], fields).pairs
    right, found = grade(pairs, written, linked=len(files) == 2)
    assert right >= precision
    assert found >= recall
