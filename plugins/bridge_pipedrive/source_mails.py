"""The mails that Pipedrive's own mailbox caught: no list tells which are new, only each person's own does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge import AuthError, CursorExpired, Json, Page, Phase, Record, Rejected
from bridge_pipedrive.client import Answer, Client, Params, Row
from bridge_pipedrive.source_records import gone, mail_record, people_in
from bridge_pipedrive.words import KINDS, LOOKBACK, MAIL, MAIL_PAGE, PAGE, instant, mails_of, second

COUNTERS = ("email_messages_count", "last_incoming_mail_time", "last_outgoing_mail_time")
RECENT = timedelta(days=2)
"""How old the last mail of a changed person may be, whose mails this process has not read yet, to be looked for."""

_PERSONS = KINDS["persons"].path
_MOST_KEPT = 100_000
_NOT_SHOWN = ("402", "403", "404", "410")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a walk through the persons stands: `at` is the page's cursor, `after` the last person that was read."""

    at: str | None = None
    after: int = 0

    def cursor(self) -> dict[str, Json]:
        return {"at": self.at, "after": self.after}


class Mails:
    """Reads the mails of one account through the persons that they are with."""

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._read: dict[int, tuple[Json, ...]] = {}

    def pull(self, phase: Phase, cursor: Json) -> Iterator[Page]:
        """
        Yield the mails of persons that changed (live), of all (backfill), or of those who wrote lately (sweep).

        A person's counters say whether there are new ones, since reading them costs 20 tokens for each person.
        That a mail changes its person is nowhere stated: the daily sweep finds it in any case. An app without
        the scope for mail reads none; `check` says so.
        """
        try:
            if phase == "live":
                yield from self._live(cursor)
            elif phase == "sweep":
                since = self._clock() - RECENT
                yield from self._past(
                    cursor if _is_walk(cursor) else None, lambda row: self._is_new(row, since)
                )
            elif not (isinstance(cursor, dict) and cursor.get("done")):
                yield from self._past(cursor, lambda row: self._is_new(row, None))
        except AuthError as error:
            if not error.missing_scopes:
                raise

    def _live(self, cursor: Json) -> Iterator[Page]:
        if cursor is None:
            answer = self._client.get(_PERSONS, {"limit": 1})
            started = (answer.at or self._clock()) - timedelta(seconds=LOOKBACK)
            yield Page(records=[], cursor={"since": second(started)}, watermark=started)
            return
        since = instant(cursor.get("since")) if isinstance(cursor, dict) else None
        if since is None:
            raise CursorExpired(f"not a cursor of Pipedrive's mails: {cursor!r:.200}")
        began = instant(cursor.get("began"))
        params: Params = {"updated_since": second(since)}
        recent = since - RECENT
        for answer, records, place in self._walk(
            params, _place(cursor), lambda row: self._is_new(row, recent)
        ):
            began = began or answer.at or self._clock()
            if place is not None:
                stored = {"since": second(since), "began": second(began), **place.cursor()}
                yield Page(records=records, cursor=stored)
                continue
            done = max(since, began - timedelta(seconds=LOOKBACK)).replace(microsecond=0)
            yield Page(records=records, cursor={"since": second(done)}, watermark=done)

    def _past(self, cursor: Json, wanted: Callable[[Row], bool]) -> Iterator[Page]:
        for _, records, place in self._walk({}, _place(cursor), wanted):
            yield Page(records=records, cursor={"done": True} if place is None else place.cursor())

    def _walk(
        self, params: Params, place: Place, wanted: Callable[[Row], bool]
    ) -> Iterator[tuple[Answer, list[Record], Place | None]]:
        """Yield mails, person after person by their numbers, each time with the place behind what was read."""
        while True:
            here = {} if place.at is None else {"cursor": place.at}
            asked = {"limit": PAGE, "sort_by": "id", "include_fields": ",".join(COUNTERS), **params, **here}
            try:
                answer = self._client.get(_PERSONS, asked)
            except Rejected:
                if place.at is None:
                    raise
                place = Place(after=place.after)  # a cursor that is too old; who was read is passed over
                continue
            for row in answer.records:
                number = int(row["id"])
                if number > place.after and wanted(row):
                    for records in self._pages(str(number)):
                        yield answer, records, place
                    self._keep(number, row)
                    place = Place(at=place.at, after=number)
                    yield answer, [], place
            if answer.next is None:
                yield answer, [], None
                return
            place = Place(at=str(answer.next), after=place.after)
            yield answer, [], place

    def _is_new(self, row: Row, since: datetime | None) -> bool:
        """Tell whether a person has mails that were not read: since an instant, as far as nothing else is known."""
        told = _counters(row)
        if not any(told):
            return False
        with self._lock:
            known = self._read.get(int(row["id"]))
        if known is not None:
            return known != told
        return since is None or any((at := instant(one)) is not None and at >= since for one in told[1:])

    def _keep(self, number: int, row: Row) -> None:
        with self._lock:
            if len(self._read) >= _MOST_KEPT:
                self._read.clear()
            self._read[number] = _counters(row)

    def _pages(self, person: str) -> Iterator[list[Record]]:
        """Yield the mails with a person; none where they, or all mails, are hidden from the user of the key."""
        try:
            for answer in self._client.pages(mails_of(person), {"limit": MAIL_PAGE, "include_body": 1}):
                yield [found for row in answer.rows if (found := mail_record(person, row)) is not None]
        except Rejected as error:
            if error.code not in _NOT_SHOWN:
                raise

    def fetch(self, ids: Sequence[str]) -> Iterator[Record]:
        """Yield mails by id, as the persons' lists show them; what is gone comes as deleted."""
        read: dict[str, dict[str, Record]] = {}
        for id_ in dict.fromkeys(ids):
            row = self._client.get_if_there(f"{MAIL}/{id_}")
            shown = mail_record("", row) if row is not None else None
            for person in map(str, people_in(row) if row is not None else ()):
                if person not in read:
                    read[person] = {one.id: one for page in self._pages(person) for one in page}
                shown = read[person].get(id_, shown)
            yield shown or gone("mails", id_)


def _counters(row: Row) -> tuple[Json, ...]:
    return tuple(row.get(name) for name in COUNTERS)


def _is_walk(cursor: Json) -> bool:
    return isinstance(cursor, dict) and not cursor.get("done")


def _place(cursor: Json) -> Place:
    """Return where a walk goes on. Raises CursorExpired for a cursor that is none of ours."""
    known: dict[str, Any] = cursor if isinstance(cursor, dict) else {}
    at, after = known.get("at"), known.get("after", 0)
    if isinstance(at, str | None) and isinstance(after, int) and isinstance(cursor, dict | None):
        return Place(at=at, after=after)
    raise CursorExpired(f"not a cursor of Pipedrive's mails: {cursor!r:.200}")
