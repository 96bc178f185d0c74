"""Who was deleted, told by the numbers that are missing from the list of persons: no list of Pipedrive shows it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice, pairwise
from typing import Any

from bridge import CursorExpired, Json
from bridge_pipedrive.client import Client, Row
from bridge_pipedrive.words import KINDS, PAGE

MOST = 500
"""Missing numbers asked about in one sweep, each for a token; the next sweep goes on with those left."""

BEYOND = 20
"""Numbers in a row that nobody has, after which none further out are asked for."""

_PATH = KINDS["persons"].path


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one page of the list told: persons as they were deleted, where to go on (None: over), Pipedrive's time."""

    rows: list[Row]
    cursor: dict[str, Json] | None
    at: datetime | None


class Gaps:
    """
    Walks through the persons from the newest on and asks for every number that is missing.

    A company's persons are numbered as they are made. One that was deleted or merged into another still
    answers by its number for 30 days, and says that it is deleted; what answers nothing is left alone, since
    it may only be hidden from the user of the key.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._settled: set[int] = set()

    def sweep(self, cursor: Json) -> Iterator[Found]:
        """Yield the deleted persons page by page, from a cursor of a page before on."""
        at, above, asked = _standing(cursor)
        params: dict[str, str | int] = {"limit": PAGE, "sort_by": "id", "sort_direction": "desc"}
        for answer in self._client.pages(_PATH, params, at):
            ids = [int(row["id"]) for row in answer.records]
            rows = self._beyond(ids[0], 1) if above is None and ids else []
            missing = self._missing(ids if above is None else [above, *ids], MOST - asked)
            asked += len(missing)
            rows += [row for number in missing if (row := self._deleted(number)) is not None]
            above = ids[-1] if ids else above
            if answer.next is None and above is not None:
                rows += self._beyond(above, -1)
            goes_on = answer.next is not None and asked < MOST
            following = {"at": answer.next, "above": above, "asked": asked} if goes_on else None
            yield Found(rows=rows, cursor=following, at=answer.at)
            with self._lock:  # only now is it stored
                self._settled.update(missing)
                self._settled.difference_update(ids)
            if following is None:
                return

    def _missing(self, bounds: Sequence[int], most: int) -> list[int]:
        """Return the numbers between these, which descend, that nobody was asked about yet."""
        between = (range(high - 1, low, -1) for high, low in pairwise(bounds))
        with self._lock:
            settled = set(self._settled)
        fresh = (number for number in chain.from_iterable(between) if number not in settled)
        return list(islice(fresh, most))

    def _beyond(self, outermost: int, step: int) -> list[Row]:
        """Return the deleted persons above the newest one that is left, or below the oldest."""
        rows: list[Row] = []
        number = outermost + step
        while abs(number - outermost) <= BEYOND and number > 0:
            if (row := self._deleted(number)) is not None:
                rows.append(row)
                outermost = number
            number += step
        return rows

    def _deleted(self, number: int) -> Row | None:
        """Return a person as it was deleted, None where there is none or it was not."""
        row = self._client.get_if_there(f"{_PATH}/{number}")
        return row if row is not None and row.get("is_deleted") is True else None


def _standing(cursor: Json) -> tuple[str | None, int | None, int]:
    if cursor is None:
        return None, None, 0
    known: dict[str, Any] = cursor if isinstance(cursor, dict) else {}
    at, above, asked = known.get("at"), known.get("above"), known.get("asked")
    if isinstance(at, str) and isinstance(above, int) and isinstance(asked, int):
        return at, above, asked
    raise CursorExpired(f"not a cursor of a look for deleted persons: {cursor!r:.200}")
