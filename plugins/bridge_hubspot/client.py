"""How HubSpot is called: addresses by version, the token, paging, batch reads, answers that make sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import requests

from bridge import Http, Json, Unavailable
from bridge_hubspot.words import BATCH, HISTORY_BATCH, LINK_READ_BATCH

Row = dict[str, Any]
"""One object, property, owner or error as HubSpot's JSON has it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BURST = "burst"
SEARCH = "search"
DAILY = "daily"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A 2xx answer: its JSON object, and HubSpot's clock when it was given, None if it did not say."""

    call: str
    body: Mapping[str, Json]
    at: datetime | None = None

    @property
    def results(self) -> list[Row]:
        """The rows of the answer. Raises Unavailable where there is no list of objects."""
        rows = self.body.get("results")
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        raise Unavailable(f"HubSpot answered {self.call} without a list of results; the next sync asks again")

    @property
    def objects(self) -> list[Row]:
        """The rows, each with a text `id` and `properties`. Raises Unavailable where one has none."""
        return [as_object(row, self.call) for row in self.results]

    @property
    def errors(self) -> list[Row]:
        """The rows that a 207 refused."""
        rows = self.body.get("errors")
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    @property
    def after(self) -> str | None:
        """Where the next page begins, None on the last."""
        return next_page(self.body)


class Client:
    """Calls one HubSpot account through the lent session; holds the token and shows it to nobody."""

    def __init__(self, http: Http, settings: Mapping[str, Json]) -> None:
        self._http = http
        self._headers = {
            "Authorization": f"Bearer {str(settings['token']).strip()}",
            "Accept": "application/json",
        }
        base = str(settings.get("base_url", "https://api.hubapi.com")).rstrip("/")
        version = str(settings.get("api_version", "2026-09"))
        dated = version[0].isdigit()

        def area(path: str, numbered: str = version) -> str:
            return f"{base}/crm/{path}/{version}" if dated else f"{base}/crm/{numbered}/{path}"

        self._objects = area("objects")
        # Associations are the one area whose numbered version is v4 while all others are v3.
        self._associations = area("associations", "v4")
        self.owners = area("owners")
        self.pipelines = area("pipelines")
        self.properties = area("properties")
        self.account = f"{base}/account-info/{version}/details"
        self._base = base

    def objects(self, stream: str, suffix: str = "") -> str:
        """Return the address of an object type, with `suffix` such as `/batch/read` behind it."""
        return f"{self._objects}/{stream}{suffix}"

    def associations(self, from_stream: str, to_stream: str, suffix: str) -> str:
        """Return the address of the links between two object types."""
        return f"{self._associations}/{from_stream}/{to_stream}{suffix}"

    def get(self, url: str, params: Mapping[str, str | int] | None = None) -> Answer:
        """Read one page. Raises what the lent session raises, and Unavailable where it is no JSON."""
        return self._answer("GET", url, params=params)

    def get_if_there(self, url: str, params: Mapping[str, str | int]) -> Row | None:
        """Read one object, None where HubSpot answers 404."""
        response = self._http.request(
            "GET", url, budget=BURST, headers=self._headers, params=params, accept=(404,)
        )
        if response.status_code == 404:
            return None
        answer = self._parsed("GET", url, response)
        return as_object(dict(answer.body), answer.call)

    def ask(
        self, url: str, body: Json, *, budget: str = BURST, params: Mapping[str, str | int] | None = None
    ) -> Answer:
        """Read by POST: changes nothing, so that it may be repeated."""
        return self._answer("POST", url, body=body, budget=budget, params=params, safe=True)

    def send(self, url: str, body: Json) -> Answer:
        """Write by POST, once: after Unavailable its outcome is unknown."""
        return self._answer("POST", url, body=body, safe=False)

    def pages(self, url: str, params: Mapping[str, str | int], after: str | None = None) -> Iterator[Answer]:
        """Yield the pages of a list from `after` on. Raises Unavailable when the pages stop moving."""
        while True:
            answer = self.get(url, {**params, **({"after": after} if after else {})})
            yield answer
            if answer.after is None:
                return
            if answer.after == after:
                raise Unavailable(f"HubSpot answered {answer.call} with the same page twice (after={after})")
            after = answer.after

    def read(
        self,
        stream: str,
        ids: Iterable[str],
        properties: Sequence[str],
        *,
        history: Sequence[str] = (),
        id_property: str | None = None,
        archived: bool = False,
    ) -> list[Row]:
        """
        Return the objects with these ids, in no order; what does not exist is left out.

        An object that was merged into another comes as that other, under its id. `id_property`
        names a unique property whose values `ids` are. This read does not lag behind writes.
        """
        rows: list[Row] = []
        for some in chunks(ids, HISTORY_BATCH if history else BATCH):
            body: dict[str, Json] = {
                "inputs": [{"id": value} for value in some],
                "properties": list(properties),
                "propertiesWithHistory": list(history),
            }
            if id_property:
                body["idProperty"] = id_property
            params = {"archived": "true"} if archived else None
            answer = self.ask(self.objects(stream, "/batch/read"), body, params=params)
            only_missing(answer)
            rows += answer.objects
        return rows

    def links(self, from_stream: str, to_stream: str, ids: Iterable[str]) -> dict[str, list[str]]:
        """Return for each id the ids of `to_stream` that it is linked to, ascending, without repeats."""
        found: dict[str, set[str]] = {id_: set() for id_ in ids}
        for some in chunks(found, LINK_READ_BATCH):
            inputs: list[dict[str, str]] = [{"id": id_} for id_ in some]
            while inputs:
                url = self.associations(from_stream, to_stream, "/batch/read")
                answer = self.ask(url, {"inputs": inputs})
                only_missing(answer)
                asked, inputs = inputs, []
                for id_, to, after in map(linked, answer.results):
                    found.setdefault(id_, set()).update(to)
                    if after is not None:
                        inputs.append({"id": id_, "after": after})
                if any(one in asked for one in inputs):
                    raise Unavailable(f"HubSpot answered {answer.call} with the same page twice")
        return {id_: in_order(to) for id_, to in found.items()}

    def _answer(
        self,
        method: str,
        url: str,
        *,
        body: Json = None,
        budget: str = BURST,
        params: Mapping[str, str | int] | None = None,
        safe: bool | None = None,
    ) -> Answer:
        response = self._http.request(
            method, url, budget=budget, safe=safe, headers=self._headers, params=params, json=body
        )
        return self._parsed(method, url, response)

    def _parsed(self, method: str, url: str, response: requests.Response) -> Answer:
        call = f"{method} {url.removeprefix(self._base)}"
        if response.status_code == 204:
            return Answer(call=call, body={})
        try:
            parsed = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            parsed = None
        if not isinstance(parsed, dict):
            kind = response.headers.get("Content-Type", "no content type")
            raise Unavailable(
                f"HubSpot answered {call} with {response.status_code} and {len(response.content)} bytes of"
                f" {kind} instead of a JSON object; the next sync asks again"
            )
        return Answer(call=call, body=parsed, at=http_date(response.headers.get("Date", "")))


def as_object(row: Row, call: str) -> Row:
    """Return the row with its id as text. Raises Unavailable where it has no id or no properties."""
    id_ = row.get("id")
    if isinstance(row.get("properties"), dict) and isinstance(id_, str | int):
        return row if isinstance(id_, str) else {**row, "id": str(id_)}
    raise Unavailable(f"HubSpot answered {call} with a row that is no object; the next sync asks again")


def dig(value: Json, *keys: str) -> Json:
    """Return what stands under these keys, None where a step of the way is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def next_page(body: Json) -> str | None:
    """Return `paging.next.after`, None where there is no further page."""
    after = dig(body, "paging", "next", "after")
    return None if after in (None, "") else str(after)


def linked(row: Row) -> tuple[str, list[str], str | None]:
    """Read one row of an associations answer: from which id, to which ids, where its next page begins."""
    try:
        after = next_page(row) if "paging" in row else None
        return str(row["from"]["id"]), [str(to["toObjectId"]) for to in row["to"]], after
    except (KeyError, TypeError) as error:
        raise Unavailable(
            "HubSpot listed associations in a form that makes no sense; the next sync asks again"
        ) from error


def only_missing(answer: Answer) -> None:
    """Raise Unavailable if a batch read failed for another reason than that something does not exist."""
    for error in answer.errors:
        if error.get("category") != "OBJECT_NOT_FOUND":
            raise Unavailable(
                f"HubSpot could not answer part of {answer.call}: {error.get('message', 'no reason given')}"
            )


def chunks(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the values in their order, each once, at most `size` at a time."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


def in_order(ids: Iterable[str]) -> list[str]:
    """Return ids ascending as numbers."""
    return sorted(ids, key=lambda id_: (len(id_), id_))


def instant(text: Json) -> datetime | None:
    """Return the instant in RFC 3339 text or in milliseconds since 1970, None if it is neither."""
    try:
        if str(text).isdecimal():
            return at_milliseconds(int(text))
        value = datetime.fromisoformat(str(text))
    except (ValueError, OverflowError):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def milliseconds(at: datetime) -> int:
    """Return whole milliseconds since 1970, rounded down."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def at_milliseconds(count: int) -> datetime:
    """Return the instant so many milliseconds after 1970 began."""
    return _EPOCH + timedelta(milliseconds=count)


def http_date(text: str) -> datetime | None:
    """Return the instant of a Date header, None if it has none."""
    try:
        value = parsedate_to_datetime(text)
    except ValueError:
        return None
    return value.astimezone(UTC) if value.tzinfo else None
