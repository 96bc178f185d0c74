"""How Pipedrive is called: two versions, the key, paging, what a call costs, what each refusal means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import requests

from bridge import AuthError, Http, Json, RateLimited, Rejected, Unavailable
from bridge_pipedrive.words import (
    BLOCKED,
    BURST,
    DAILY_RETRY,
    IDS,
    cost_of,
    scope_of,
)

Row = dict[str, Any]
"""One record, field or user as Pipedrive's JSON has it."""

Params = Mapping[str, str | int]

PUBLIC = "https://api.pipedrive.com"
_REFUSALS = (402, 403, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    A 2xx answer: what stands under `data`, where the next page begins, and Pipedrive's clock.

    `next` is a cursor in version 2, a number of rows in version 1, None on the last page.
    """

    call: str
    data: Json
    next: str | int | None = None
    at: datetime | None = None

    @property
    def rows(self) -> list[Row]:
        """The rows of a list; version 1 says null for none. Raises Unavailable where it is no list of objects."""
        rows = [] if self.data is None else self.data
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        raise Unavailable(f"Pipedrive answered {self.call} without a list; the next sync asks again")

    @property
    def records(self) -> list[Row]:
        """The rows of a list of records. Raises Unavailable where one has no id."""
        if all(isinstance(row.get("id"), int | str) for row in self.rows):
            return self.rows
        raise Unavailable(f"Pipedrive answered {self.call} with a row without id; the next sync asks again")

    @property
    def record(self) -> Row:
        """The one record of the answer. Raises Unavailable where there is none with an id."""
        if isinstance(self.data, dict) and isinstance(self.data.get("id"), int | str):
            return self.data
        raise Unavailable(f"Pipedrive answered {self.call} without the record; it is looked for later")


class Client:
    """Calls one Pipedrive account through the lent session; holds the key and shows it to nobody."""

    def __init__(self, http: Http, settings: Mapping[str, Json], clock: Callable[[], datetime]) -> None:
        self._http = http
        self._clock = clock
        self.is_app = "access_token" in settings
        if self.is_app:
            self._headers = {"Authorization": f"Bearer {str(settings['access_token']).strip()}"}
        else:
            self._headers = {"x-api-token": str(settings["api_token"]).strip()}
        self._headers["Accept"] = "application/json"
        domain = settings.get("company_domain")
        home = f"https://{domain}.pipedrive.com" if domain else PUBLIC
        self._base = str(settings.get("base_url", home)).rstrip("/")

    def at_home(self, domain: str) -> None:
        """Call the company's own address from now on, which is nearer, unless the settings name one."""
        if self._base == PUBLIC and domain.replace("-", "").isalnum() and domain.isascii():
            self._base = f"https://{domain}.pipedrive.com"

    def get(self, path: str, params: Params | None = None) -> Answer:
        """Read once. Raises what the lent session raises, and Unavailable where the answer makes no sense."""
        answer = self._call("GET", path, params=params)
        assert answer is not None
        return answer

    def get_if_there(self, path: str) -> Row | None:
        """Read one record, None where Pipedrive answers 404 or 410."""
        answer = self._call("GET", path, accept=(404, 410))
        return None if answer is None else answer.record

    def pages(self, path: str, params: Params, at: str | int | None = None) -> Iterator[Answer]:
        """
        Yield the pages of a list from `at` on, which is a cursor or a number of rows.

        Raises Unavailable when they stop moving.
        """
        while True:
            name = "start" if isinstance(at, int) else "cursor"
            answer = self.get(path, {**params, **({name: at} if at is not None else {})})
            yield answer
            if answer.next is None:
                return
            if answer.next == at:
                raise Unavailable(f"Pipedrive answered {answer.call} with the same page twice")
            at = answer.next

    def by_id(self, path: str, ids: Iterable[str]) -> list[Row]:
        """Return the records of a version 2 list with these ids, in no order; what is gone is left out."""
        rows: list[Row] = []
        for some in chunks((id_ for id_ in ids if id_.isdecimal()), IDS):
            rows += self.get(path, {"ids": ",".join(some), "limit": IDS}).records
        return rows

    def send(self, method: str, path: str, body: Json = None) -> Answer:
        """Write once: after Unavailable its outcome is unknown."""
        answer = self._call(method, path, body=body)
        assert answer is not None
        return answer

    def remove(self, path: str) -> None:
        """Mark a record as deleted, which it stays for 30 days; one that is gone already is as wanted."""
        self._call("DELETE", path, accept=(404, 410))

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Json = None,
        accept: tuple[int, ...] = (),
    ) -> Answer | None:
        response = self._http.request(
            method,
            f"{self._base}{path}",
            budget=BURST,
            cost=cost_of(method, path),
            headers=self._headers,
            params=params,
            json=body,
            accept=(*_REFUSALS, *accept),
        )
        if response.status_code in _REFUSALS:
            raise self._refusal(f"{method} {path}", response)
        if response.status_code in accept:
            return None
        return _answer(f"{method} {path}", response)

    def _refusal(self, call: str, response: requests.Response) -> RateLimited | AuthError | Rejected:
        words = _words(response)
        if response.status_code == 429:
            return self._stay_away(*_too_many(call, words, response, self._clock()))
        if words is None:
            message = (
                f"Pipedrive's firewall refuses {call} and every other call for a while, as it does after too many;"
                f" the next one in {BLOCKED:g} s"
            )
            return self._stay_away(message, BLOCKED)
        if "scope" in words.lower():
            scope = scope_of(*call.split())
            message = (
                f"Pipedrive refused {call}: {words}. Give the app the scope {scope} and authorise it anew."
            )
            return AuthError(message, missing_scopes=(scope,))
        remedy = (
            "See what the company's plan includes."
            if response.status_code == 402
            else "Give the user of the key the right to do this, in Pipedrive > Settings > Manage users."
        )
        return Rejected(f"Pipedrive refused {call}: {words}. {remedy}", code=str(response.status_code))

    def _stay_away(self, message: str, wait: float) -> RateLimited:
        """Let nobody of this account call for so long, and return what says so: calling on makes the wait longer."""
        self._http.pause(wait, budget=BURST)
        return RateLimited(message, wait=wait, budget=BURST)


def _answer(call: str, response: requests.Response) -> Answer:
    body = _json(response)
    if not isinstance(body, dict) or body.get("success") is not True or "data" not in body:
        kind = response.headers.get("Content-Type", "no content type")
        raise Unavailable(
            f"Pipedrive answered {call} with {response.status_code} and {len(response.content)} bytes of {kind}"
            " that are no answer of its API; the next sync asks again"
        )
    more = body.get("additional_data")
    more = more if isinstance(more, dict) else {}
    return Answer(
        call=call,
        data=body["data"],
        next=_next(more, body["data"]),
        at=http_date(response.headers.get("Date", "")),
    )


def _next(more: Row, data: Json) -> str | int | None:
    """Return where the next page begins: version 2 names a cursor, version 1 counts rows, in two places."""
    if cursor := more.get("next_cursor"):
        return str(cursor)
    counted = more.get("pagination")
    counted = counted if isinstance(counted, dict) else more
    if not counted.get("more_items_in_collection"):
        return None
    start = counted.get("start")
    return (start if isinstance(start, int) else 0) + len(data or ())


def _too_many(call: str, words: str | None, response: requests.Response, now: datetime) -> tuple[str, float]:
    """
    Return what a 429 means, and for how many seconds.

    With no calls left in the present two seconds it is the burst; else only the tokens of the day can be
    meant, of which no header speaks (rate limiting, read 2026-11-21).
    """
    headers = response.headers
    said = f", {words}" if words else ""
    stated = headers.get("Retry-After", "")
    if not stated.isdecimal() and headers.get("x-ratelimit-remaining") == "0":
        stated = headers.get("x-ratelimit-reset", "")
        stated = stated if stated.isdecimal() else "2"
    if stated.isdecimal():
        wait = float(stated)
        return f"Pipedrive refused {call}: too many calls{said}; the next one in {wait:g} s", wait
    wait = until_tomorrow(now)
    return (
        f"Pipedrive refused {call}{said}: the company's API tokens of today are spent, by all its apps together."
        f" It may be asked again in {wait / 60:.0f} min",
        wait,
    )


def _words(response: requests.Response) -> str | None:
    """Return what Pipedrive says in a refusal, None where the answer is not Pipedrive's."""
    body = _json(response)
    if not isinstance(body, dict):
        return None
    words = body.get("error") or body.get("message") or "no reason given"
    return str(words)[:500].rstrip(".")


def _json(response: requests.Response) -> Json:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None


def until_tomorrow(now: datetime) -> float:
    """Return the seconds until the next day begins in UTC, or an hour: what was spent or set may change earlier."""
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return min(DAILY_RETRY, (start + timedelta(days=1) - now).total_seconds())


def chunks(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the values in their order, each once, at most `size` at a time."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


def http_date(text: str) -> datetime | None:
    """Return the instant of a Date header, None if it has none."""
    try:
        value = parsedate_to_datetime(text)
    except ValueError:
        return None
    return value.astimezone(UTC) if value.tzinfo else None
