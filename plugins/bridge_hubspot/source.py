"""Reading HubSpot: changes by search in order of time, all there is by list, deletions by sweep."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import orjson

from bridge import CursorExpired, Json, Page, Phase, Record, Unavailable
from bridge_hubspot.client import (
    SEARCH,
    Answer,
    Client,
    Row,
    at_milliseconds,
    dig,
    in_order,
    instant,
    milliseconds,
    next_page,
)
from bridge_hubspot.words import (
    BATCH,
    HISTORY_BATCH,
    LOOKBACK,
    OBJECTS,
    QUERY_CHARACTERS,
    SEARCH_CHARACTERS,
    SEARCH_PAGE,
    ObjectType,
)

_BESIDE_PROPERTIES = {
    "id",
    "createdAt",
    "updatedAt",
    "archived",
    "archivedAt",
    "url",
    "associations",
    "propertiesWithHistory",
}

Links = Mapping[str, Mapping[str, Sequence[str]]]
"""Object type -> id of the record -> ids it is linked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """
    Where a live pull stands: all that was modified before `since` (ms) is read.

    Of what was modified in that very millisecond, `seen` is read. `past` is an id while the
    millisecond is being read in order of id: all up to it is read.
    """

    since: int
    seen: frozenset[str] = frozenset()
    past: str | None = None

    @classmethod
    def of(cls, cursor: Json) -> Position:
        """Read a stored cursor. Raises CursorExpired when it is none of ours."""
        try:
            return cls(
                since=int(cursor["since"]), seen=frozenset(cursor.get("seen", ())), past=cursor.get("past")
            )
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise CursorExpired(f"not a cursor of a HubSpot search: {cursor!r:.200}") from error

    def cursor(self) -> Json:
        """Return it as the cursor that is stored."""
        cursor: dict[str, Json] = {"since": self.since}
        if self.seen:
            cursor["seen"] = in_order(self.seen)
        if self.past is not None:
            cursor["past"] = self.past
        return cursor


class Source:
    """Pulls the streams of one account."""

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        """
        Yield what changed (live), what there is (backfill) or what was deleted (sweep) after `cursor`.

        Without a cursor live starts at HubSpot's present less the look-back: the past is the
        backfill's. Owners and pipelines are short lists and come whole each time.
        """
        if stream == "owners":
            return self._owners()
        if stream == "pipelines":
            return self._pipelines()
        kind = OBJECTS[stream]
        properties = wanted(kind, fields)
        if phase == "live":
            return self._live(kind, cursor, properties)
        if phase == "backfill":
            return self._backfill(kind, cursor, properties)
        return self._sweep(kind, cursor)

    def _live(self, kind: ObjectType, cursor: Json, properties: Sequence[str]) -> Iterator[Page]:
        """
        Search from the last seen time on, each page anew, so that the 10,000 wall is never met.

        An offset would skip a record whenever one of an earlier page is modified and moves to the
        end; a page that starts from the last seen time cannot.
        """
        position = self._present(kind) if cursor is None else Position.of(cursor)
        start = position.since
        more = True
        while more:
            answer = self._search(kind, position, properties)
            rows = answer.objects
            fresh, following, more = step(kind, position, rows, answer.after is not None)
            horizon = max(start, milliseconds(self._at(answer)) - int(LOOKBACK * 1000))
            stored = following if more and following.since <= horizon else Position(since=horizon)
            yield Page(
                records=self._records(kind, fresh, properties),
                cursor=stored.cursor(),
                watermark=at_milliseconds(stored.since),
            )
            position = following

    def _present(self, kind: ObjectType) -> Position:
        answer = self._client.get(self._client.objects(kind.name), {"limit": 1})
        return Position(since=milliseconds(self._at(answer)) - int(LOOKBACK * 1000))

    def _at(self, answer: Answer) -> datetime:
        return answer.at or self._clock()

    def _search(self, kind: ObjectType, position: Position, properties: Sequence[str]) -> Answer:
        filters = [_filter(kind.modified, "GTE", str(position.since))]
        order = kind.modified
        if position.past is not None:
            filters.append(_filter(kind.modified, "LT", str(position.since + 1)))
            filters.append(_filter("hs_object_id", "GT", position.past))
            order = "hs_object_id"
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": order, "direction": "ASCENDING"}],
            "properties": [kind.modified] if by_id(kind, properties) else list(properties),
            "limit": SEARCH_PAGE,
        }
        return self._client.ask(self._client.objects(kind.name, "/search"), body, budget=SEARCH)

    def _records(self, kind: ObjectType, rows: Sequence[Row], properties: Sequence[str]) -> list[Record]:
        """Complete the rows of a search: it tells no links, no history, and not the many properties."""
        ids = [row["id"] for row in rows]
        if ids and by_id(kind, properties):
            rows = self._client.read(kind.name, ids, properties, history=kind.history)
            ids = [row["id"] for row in rows]
        links = {to: self._client.links(kind.name, to, ids) for to in kind.links} if ids else {}
        return [as_record(kind.name, row, links) for row in rows]

    def _backfill(self, kind: ObjectType, cursor: Json, properties: Sequence[str]) -> Iterator[Page]:
        after = _after(cursor)
        if after == DONE:
            return
        params: dict[str, str | int] = {
            "limit": HISTORY_BATCH if kind.history else BATCH,
            "archived": "false",
        }
        for name, words in (
            ("properties", properties),
            ("propertiesWithHistory", kind.history),
            ("associations", kind.links),
        ):
            if words:
                params[name] = ",".join(words)
        wide = sum(len(str(value)) for value in params.values()) > QUERY_CHARACTERS
        if wide:
            params = {name: value for name, value in params.items() if not name.startswith("properties")}
        for answer in self._client.pages(self._client.objects(kind.name), params, after or None):
            rows = answer.objects
            links = {to: self._inline(kind.name, to, rows) for to in kind.links}
            if wide:
                ids = [row["id"] for row in rows]
                rows = self._client.read(kind.name, ids, properties, history=kind.history)
            yield Page(
                records=[as_record(kind.name, row, links) for row in rows],
                cursor={"after": answer.after or DONE},
            )

    def _inline(self, stream: str, to: str, rows: Sequence[Row]) -> dict[str, list[str]]:
        """Return the links that a list carries; of a record that has more, all are asked for."""
        found: dict[str, list[str]] = {}
        cut = []
        for row in rows:
            listed = dig(row, "associations", to)
            ids = {dig(one, "id") for one in dig(listed, "results") or ()} - {None}
            found[row["id"]] = in_order(map(str, ids))
            if next_page(listed):
                cut.append(row["id"])
        return found | (self._client.links(stream, to, cut) if cut else {})

    def _sweep(self, kind: ObjectType, cursor: Json) -> Iterator[Page]:
        """List what lies in the recycle bin (90 days); search never shows it."""
        after = _after(cursor)
        params: dict[str, str | int] = {"limit": BATCH, "archived": "true"}
        for answer in self._client.pages(
            self._client.objects(kind.name), params, None if after == DONE else after or None
        ):
            yield Page(
                records=[as_record(kind.name, row, {}, deleted=True) for row in answer.objects],
                cursor={"after": answer.after or DONE},
                watermark=answer.at if answer.after is None else None,
            )

    def _owners(self) -> Iterator[Page]:
        for archived in ("false", "true"):
            for answer in self._client.pages(self._client.owners, {"limit": BATCH, "archived": archived}):
                yield self._whole("owners", answer)

    def _pipelines(self) -> Iterator[Page]:
        yield self._whole("pipelines", self._client.get(f"{self._client.pipelines}/deals"))

    def _whole(self, stream: str, answer: Answer) -> Page:
        at = self._at(answer)
        return Page(
            records=[as_record(stream, row, {}) for row in answer.results if row.get("id")],
            cursor={"read": at.isoformat()},
            watermark=at,
        )


DONE = "done"
"""Stands in a cursor where the list was read to its end; HubSpot's own are numbers."""


def wanted(kind: ObjectType, fields: Sequence[str]) -> list[str]:
    """Return the properties to ask for: what the mapping reads, and what places a record."""
    names = {kind.modified}
    if kind.merges:
        names.add("hs_merged_object_ids")
    for path in fields:
        head, _, rest = path.partition(".")
        if head == "properties" and rest:
            names.add(rest.partition(".")[0])
        elif head not in _BESIDE_PROPERTIES and head != "properties":
            names.add(head)
    return sorted(names)


def by_id(kind: ObjectType, properties: Sequence[str]) -> bool:
    """Whether a search finds ids only: it has no histories, and its body, names included, is short."""
    return bool(kind.history) or sum(len(name) + 3 for name in properties) > SEARCH_CHARACTERS - 500


def step(
    kind: ObjectType, position: Position, rows: Sequence[Row], more: bool
) -> tuple[list[Row], Position, bool]:
    """
    Return the rows that are new after `position`, the position after them, and whether to go on.

    Rows must be where and in the order in which they were asked for. Raises Unavailable
    where they are not: going on would skip records or never end.
    """
    fresh = [row for row in rows if row["id"] not in position.seen or modified(kind, row) != position.since]
    if position.past is not None:
        ids = [position.past, *(row["id"] for row in rows)]
        if any(_number(left) >= _number(right) for left, right in pairwise(ids)):
            raise _disorder(kind, f"id {position.past}")
        if more and rows:
            return fresh, replace(position, past=ids[-1]), True
        return fresh, Position(since=position.since + 1), True
    times = [position.since, *(modified(kind, row) for row in rows)]
    if any(left > right for left, right in pairwise(times)) or (more and not rows):
        raise _disorder(kind, f"{position.since} ms")
    last = times[-1]
    ids_then = {row["id"] for row in rows if modified(kind, row) == last}
    if last > position.since:
        return fresh, Position(since=last, seen=frozenset(ids_then)), more
    # A whole page within one millisecond: only ids still tell its records apart.
    return fresh, Position(since=last, seen=position.seen | ids_then, past="0" if more else None), more


def modified(kind: ObjectType, row: Row) -> int:
    """Return when a row was modified, in ms. Raises Unavailable where it does not say."""
    at = instant(row["properties"].get(kind.modified)) or instant(row.get("updatedAt"))
    if at is None:
        raise Unavailable(f"HubSpot found {kind.label} {row['id']} without a time of modification")
    return milliseconds(at)


def as_record(stream: str, row: Row, links: Links, *, deleted: bool = False) -> Record:
    """
    Make a record of an object, owner or pipeline; associations become lists of ids, histories oldest first.

    The version holds a digest of the content as well as its time, since a new link, a changed stage or
    a newly mapped property does not always move the time.
    """
    id_ = str(row["id"])
    data = {name: value for name, value in row.items() if name != "associations"}
    if links:
        data["associations"] = {to: list(ids.get(id_, ())) for to, ids in links.items()}
    if isinstance(history := row.get("propertiesWithHistory"), dict):
        data["propertiesWithHistory"] = {name: list(values)[::-1] for name, values in history.items()}
    at = instant(row.get("archivedAt")) if deleted else None
    at = at or instant(row.get("updatedAt"))
    digest = hashlib.blake2b(
        orjson.dumps(_content(data), option=orjson.OPT_SORT_KEYS), digest_size=6
    ).hexdigest()
    return Record(
        stream=stream,
        id=id_,
        version=f"{at.isoformat() if at else ''}{'-archived' if deleted else ''}-{digest}",
        modified_at=at,
        data=data,
        deleted=deleted,
    )


def _content(data: Row) -> Row:
    """Leave out what differs from one way of reading to another: empty properties, the link to the screen."""
    content = {name: value for name, value in data.items() if name != "url"}
    if isinstance(properties := data.get("properties"), dict):
        content["properties"] = {name: value for name, value in properties.items() if value is not None}
    return content


def _filter(name: str, operator: str, value: str) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": value}


def _after(cursor: Json) -> str:
    if cursor is None:
        return ""
    if isinstance(cursor, dict) and isinstance(cursor.get("after"), str):
        after: str = cursor["after"]
        return after
    raise CursorExpired(f"not a cursor of a HubSpot list: {cursor!r:.200}")


def _number(id_: str) -> int:
    return int(id_) if id_.isdecimal() else 0


def _disorder(kind: ObjectType, where: str) -> Unavailable:
    return Unavailable(
        f"HubSpot's search for {kind.name} from {where} on did not answer in the order asked for;"
        " nothing is skipped, the next sync asks again"
    )
