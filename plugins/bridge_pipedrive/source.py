"""Reading Pipedrive: changes since a second, all there is, and what was deleted or put away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bridge import BridgeError, CursorExpired, Json, Page, Phase, Record, Rejected, Unavailable
from bridge_pipedrive.client import Answer, Client, Params, Row
from bridge_pipedrive.setup import Setup
from bridge_pipedrive.source_gaps import Gaps
from bridge_pipedrive.source_mails import Mails
from bridge_pipedrive.source_records import History, Missing, as_record, gone
from bridge_pipedrive.words import (
    HISTORY_PAGE,
    KINDS,
    LOOKBACK,
    PAGE,
    PIPELINES,
    STAGES,
    USERS,
    Kind,
    instant,
    second,
)

DELETED_FOR = timedelta(days=30)
"""How long Pipedrive shows what was deleted; a sweep looks back as far."""

AGAIN = 5
"""How often a list is begun anew because its pages moved, before it is left for later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Where a walk through the lists of a stream stands.

    `number` is which of its lists, `at` where the next page begins (None: at the start), `last` the last
    id read of a list of version 1, which can only count rows.
    """

    number: int = 0
    at: str | int | None = None
    last: str | None = None

    @classmethod
    def of(cls, cursor: dict[str, Any]) -> Place:
        """Read the place out of a stored cursor. Raises CursorExpired when it is none of ours."""
        number, at, last = cursor.get("list", 0), cursor.get("at"), cursor.get("last")
        if isinstance(number, int) and isinstance(at, str | int | None) and isinstance(last, str | None):
            return cls(number=number, at=at, last=last)
        raise CursorExpired(f"not a cursor of a Pipedrive list: {cursor!r:.200}")

    def cursor(self) -> dict[str, Json]:
        """Return it as it is stored."""
        cursor: dict[str, Json] = {"list": self.number, "at": self.at, "last": self.last}
        return {name: value for name, value in cursor.items() if value}


class Source:
    """Pulls the streams of one account."""

    def __init__(self, client: Client, setup: Setup, missing: Missing, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._setup = setup
        self._missing = missing
        self._clock = clock
        self._history = History(client)
        self._gaps = Gaps(client)
        self._mails = Mails(client, clock)

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        """
        Yield what changed (live), what there is (backfill), or what was deleted or archived (sweep).

        Without a cursor live starts at Pipedrive's present less the look-back: the past is the
        backfill's. Users and pipelines are short lists and come whole each time.
        """
        if stream == "users":
            return self._users()
        if stream == "pipelines":
            return self._pipelines()
        if stream == "mails":
            return self._mails.pull(phase, cursor)
        kind = KINDS[stream]
        histories = any(path.partition(".")[0] == "stage_history" for path in fields)
        reader = _Reader(self._client, self._setup, self._missing, self._history if histories else None, kind)
        if phase == "live":
            return self._live(reader, cursor)
        if phase == "backfill":
            return self._backfill(reader, cursor)
        return self._sweep(reader, cursor)

    def _live(self, reader: _Reader, cursor: Json) -> Iterator[Page]:
        """
        Read all that changed since a second, in order of id.

        A record edited meanwhile stays where it is in that order, and its new time is not before the walk
        began, where the next one starts; so nothing is skipped, and the same second is read twice.
        """
        if cursor is None:
            answer = self._client.get(reader.kind.path, {"limit": 1})
            started = self._at(answer) - timedelta(seconds=LOOKBACK)
            yield Page(records=[], cursor={"since": second(started)}, watermark=started)
            return
        since, began, place = _standing(cursor)
        changed: Params = {"updated_since": second(since)}
        for answer, rows, following in reader.walk(place, [(reader.kind.path, changed)]):
            began = began or self._at(answer)
            done = max(since, began - timedelta(seconds=LOOKBACK)).replace(microsecond=0)
            stored: dict[str, Json] = {"since": second(done if following is None else since)}
            if following is not None:
                stored |= {"began": second(began), **following.cursor()}
            records = reader.records(rows)
            if following is None and reader.kind.stream == "persons":
                records += self._no_longer_there(reader)
            yield Page(records=records, cursor=stored, watermark=done if following is None else None)

    def _no_longer_there(self, reader: _Reader) -> list[Record]:
        """Return the tombstones of persons that a write found gone."""
        ids = self._missing.take()
        try:
            return [record for record in reader.fetch(ids) if record.deleted]
        except BridgeError:
            self._missing.note(*ids)
            raise

    def _at(self, answer: Answer) -> datetime:
        return answer.at or self._clock()

    def _backfill(self, reader: _Reader, cursor: Json) -> Iterator[Page]:
        place = _walked(cursor)
        if place is None:
            return
        walk = reader.walk(place, [(path, {}) for path in (reader.kind.path, reader.kind.archived) if path])
        while place is not None:
            _, rows, place = next(walk)
            stored = {"done": True} if place is None else place.cursor()
            yield Page(records=reader.records(rows), cursor=stored)

    def _sweep(self, reader: _Reader, cursor: Json) -> Iterator[Page]:
        """Tell what no list of changes shows: deleted persons and deals, and what was put into the archive."""
        if isinstance(cursor, dict) and cursor.get("done"):
            cursor = None  # the last one went to its end, this is a new one
        if reader.kind.stream == "persons":
            for found in self._gaps.sweep(cursor):
                end = found.cursor is None
                yield Page(
                    records=reader.records(found.rows),
                    cursor={"done": True} if end else found.cursor,
                    watermark=found.at if end else None,
                )
            return
        lists: list[tuple[str, Params]] = [(reader.kind.archived, {})]
        if reader.kind.stream == "deals":
            month = second(self._clock() - DELETED_FOR)
            lists = [
                (reader.kind.path, {"status": "deleted"}),
                (reader.kind.archived, {"updated_since": month}),
            ]
        for answer, rows, following in reader.walk(_walked(cursor) or Place(), lists):
            yield Page(
                records=reader.records(rows),
                cursor={"done": True} if following is None else following.cursor(),
                watermark=answer.at if following is None else None,
            )

    def _users(self) -> Iterator[Page]:
        yield self._whole("users", self._client.get(USERS))

    def _pipelines(self) -> Iterator[Page]:
        """Read the pipelines, each with its stages in order."""
        stages: dict[str, list[Row]] = {}
        for answer in self._client.pages(STAGES, {"limit": PAGE}):
            for stage in answer.records:
                stages.setdefault(str(stage.get("pipeline_id")), []).append(stage)
        for answer in self._client.pages(PIPELINES, {"limit": PAGE}):
            for row in answer.records:
                row["stages"] = sorted(
                    stages.get(str(row["id"]), ()), key=lambda one: one.get("order_nr") or 0
                )
            yield self._whole("pipelines", answer)

    def _whole(self, stream: str, answer: Answer) -> Page:
        at = self._at(answer)
        return Page(
            records=[as_record(stream, row) for row in answer.records],
            cursor={"read": second(at)},
            watermark=at,
        )

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Record]:
        """Yield the present state of these records; what is gone comes as deleted."""
        if stream in ("users", "pipelines"):
            pages = self._users() if stream == "users" else self._pipelines()
            there = {
                record.id: record for page in pages for record in page.records if isinstance(record, Record)
            }
            yield from (there.get(id_) or gone(stream, id_) for id_ in dict.fromkeys(ids))
            return
        if stream == "mails":
            yield from self._mails.fetch(ids)
            return
        reader = _Reader(self._client, self._setup, self._missing, self._history, KINDS[stream])
        yield from reader.fetch(ids)


class _Reader:
    """Reads one stream: its lists page by page, or records by id."""

    def __init__(
        self, client: Client, setup: Setup, missing: Missing, history: History | None, kind: Kind
    ) -> None:
        self._client = client
        self._setup = setup
        self._missing = missing
        self._history = history if kind.stream == "deals" else None
        self.kind = kind

    def records(self, rows: Sequence[Row]) -> list[Record]:
        """Make records of rows: custom fields by name, deals with their stages, persons with whom they absorbed."""
        if self.kind.stream == "persons":
            rows = [self._missing.told(row) for row in rows]
        if self._history is not None:
            rows = [self._history.told(row) for row in rows]
        return [as_record(self.kind.stream, row) for row in self._setup.translated(self.kind.stream, rows)]

    def fetch(self, ids: Sequence[str]) -> Iterator[Record]:
        """Yield records by id, in that order; what is gone comes as deleted."""
        found: dict[str, Row] = {}
        if not self.kind.old:
            for path in filter(None, (self.kind.path, self.kind.archived)):
                rest = [id_ for id_ in ids if id_ not in found]
                found |= {str(row["id"]): row for row in self._client.by_id(path, rest)}
        for id_ in dict.fromkeys(ids):
            row = found.get(id_) or self._client.get_if_there(f"{self.kind.path}/{id_}")
            yield self.records([row])[0] if row is not None else gone(self.kind.stream, id_)

    def walk(
        self, place: Place, lists: Sequence[tuple[str, Params]]
    ) -> Iterator[tuple[Answer, list[Row], Place | None]]:
        """
        Yield page after page of some lists from a place on: the answer, its rows, the place behind them.

        That is None behind the last. Version 1 counts rows, so that one deleted meanwhile would make the
        next page skip another; each page begins with the last row of the one before, else the list is read anew.
        """
        again = 0
        while place.number < len(lists):
            path, params = lists[place.number]
            if again > AGAIN:
                raise Unavailable(f"{path} changes faster than Pipedrive lets it be read")
            try:
                answer = self._client.get(path, {**self._page(place), **params})
            except Rejected:
                if place.at is None:
                    raise
                place, again = Place(number=place.number), again + 1
                continue
            rows = answer.records
            if self.kind.old and place.last is not None:
                if not rows or str(rows[0]["id"]) != place.last:
                    place, again = Place(number=place.number), again + 1
                    continue
                rows = rows[1:]
            following = self._following(place, answer, rows, len(lists))
            yield answer, rows, following
            if following is None:
                return
            place = following

    def _page(self, place: Place) -> Params:
        if self.kind.old:
            start = {} if place.at is None else {"start": place.at}
            return {"limit": PAGE, "sort": "id ASC", **start}
        limit = HISTORY_PAGE if self._history is not None else PAGE
        return {"limit": limit, "sort_by": "id", **({} if place.at is None else {"cursor": place.at})}

    def _following(self, place: Place, answer: Answer, rows: Sequence[Row], lists: int) -> Place | None:
        if answer.next is None:
            return Place(number=place.number + 1) if place.number + 1 < lists else None
        if not self.kind.old:
            if answer.next == place.at:
                raise Unavailable(f"Pipedrive answered {answer.call} with the same page twice")
            return replace(place, at=answer.next)
        if not rows:
            raise Unavailable(f"Pipedrive answered {answer.call} with more rows to come and none new")
        return replace(place, at=int(answer.next) - 1, last=str(rows[-1]["id"]))


def _standing(cursor: Json) -> tuple[datetime, datetime | None, Place]:
    """Read a live cursor. Raises CursorExpired when it is none of ours."""
    since = instant(cursor.get("since")) if isinstance(cursor, dict) else None
    if since is None:
        raise CursorExpired(f"not a cursor of Pipedrive's changes: {cursor!r:.200}")
    began = instant(cursor.get("began"))
    return since, began, Place.of(cursor) if began is not None else Place()


def _walked(cursor: Json) -> Place | None:
    """Return where a walk through everything goes on, None when it is over."""
    if cursor is None:
        return Place()
    if not isinstance(cursor, dict):
        raise CursorExpired(f"not a cursor of a Pipedrive list: {cursor!r:.200}")
    return None if cursor.get("done") else Place.of(cursor)
