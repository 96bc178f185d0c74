"""The HTTP side of the stand-in of Pipedrive: sign-in, budgets, faults, then the endpoint."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import format_datetime

import orjson
from starlette.requests import Request
from starlette.responses import Response

from bridge import Json
from bridge.testing.faults import Fault
from bridge.testing.server import Dropped
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Actor, Answer, Asked, Refusal, unfit
from bridge_pipedrive.sandbox_faults import CLOUDFLARE, Meter
from bridge_pipedrive.sandbox_routes import ROUTES, Route

_BASES = {"/api/v2": "v2", "/api/v1": "v1", "/v1": "v1"}
_PATTERNS = tuple((route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path))) for route in ROUTES)


class Api:
    """Answer the API's requests; `user` is whose token it is."""

    def __init__(self, account: Account, *, token: str, user: int) -> None:
        self._account = account
        self._token = token
        self._user = user
        self.meter = Meter(account.levers, account.clock)

    async def answer(self, request: Request) -> Response:
        """Answer one request. Raises Dropped where a fault hangs up."""
        method, path = request.method, request.url.path
        raw = await request.body()
        by_key = "x-api-token" in request.headers
        route, words = route_of(method, path)
        search = route is not None and route.search
        cost = route.cost if route else 0
        with self._account.lock:
            self._account.settle()
            answer = self._unauthorised(request.headers) or self.meter.refuse(
                cost, search=search, by_key=by_key
            )
            fault = self._account.levers.struck(method, path) if answer is None else None
            if answer is None:
                answer = (
                    self._faulty(fault, request, route, words, raw)
                    if fault
                    else self._executed(request, route, words, raw)
                )
            headers = self.meter.headers(search=search, by_key=by_key, write=method in ("POST", "PUT"))
            headers["Date"] = format_datetime(self._account.clock().astimezone(UTC), usegmt=True)
            headers.update(answer.headers)
            pace = self._account.levers.pace
        await asyncio.sleep(pace + (fault.delay if fault is not None else 0.0))
        if fault is not None and fault.drop:
            raise Dropped
        if isinstance(answer.body, str):
            return Response(answer.body, answer.status, headers=headers, media_type="text/html")
        return Response(
            orjson.dumps(answer.body),
            answer.status,
            headers=headers,
            media_type="application/json; charset=utf-8",
        )

    def _unauthorised(self, headers: Mapping[str, str]) -> Answer | None:
        given = headers.get("x-api-token") or headers.get("authorization", "").removeprefix("Bearer ")
        if given != self._token or self._account.levers.expired:
            return Refusal(401, "unauthorized access").answer()
        return None

    def _faulty(
        self, fault: Fault, request: Request, route: Route | None, words: Mapping[str, str], raw: bytes
    ) -> Answer:
        """Carry the call out as far as the fault lets it, and return what is answered instead."""
        if fault.commits is not None and fault.commits > 0:
            self._account.later(fault.commits, lambda: self._executed(request, route, words, raw))
        answer = self._executed(request, route, words, raw) if fault.commits == 0 else None
        if answer is not None and fault.status is None:
            return answer
        status = fault.status or 504
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        body = _failure(status) if fault.body is None else fault.body
        return Answer(status=status, body=body, headers=headers)

    def _executed(
        self, request: Request, route: Route | None, words: Mapping[str, str], raw: bytes
    ) -> Answer:
        try:
            if route is None:
                raise Refusal(404, "unknown method")
            self._require_scope(request, route)
            query = dict(request.query_params)
            if route.version == "v2" and (unknown := [name for name in query if name not in route.query]):
                raise unfit(unknown[0], f"Parameter '{unknown[0]}' is not allowed for this request")
            asked = Asked(actor=Actor(self._user, "api"), words=words, query=query, body=_parsed(raw))
            return route.endpoint(self._account, asked)
        except Refusal as refusal:
            return refusal.answer()

    def _require_scope(self, request: Request, route: Route) -> None:
        """Raise Refusal 403 where the token or its user may not do this."""
        if "x-api-token" not in request.headers and self._account.levers.missing_scopes.issuperset(
            route.scopes
        ):
            raise Refusal(403, "Scope and URL mismatch")
        if route.admin and not self._account.levers.admin:
            raise Refusal(403, "You do not have permissions to do this")


def route_of(method: str, path: str) -> tuple[Route | None, Mapping[str, str]]:
    """Return the endpoint of a path with its version, and the words of the path; None where there is none."""
    for base, version in _BASES.items():
        if path.startswith(f"{base}/"):
            rest = path.removeprefix(base).rstrip("/")
            for route, pattern in _PATTERNS:
                if (route.version, route.method) == (version, method) and (match := pattern.fullmatch(rest)):
                    return route, match.groupdict()
    return None, {}


def _parsed(raw: bytes) -> Json:
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Refusal(400, "Bad request: the body is not JSON") from None


def _failure(status: int) -> Json:
    """Return Pipedrive's words for a status, or the page a proxy sends where Pipedrive does not answer."""
    if status == 403:
        return CLOUDFLARE
    if status in (401, 404, 429, 500):
        words = {
            401: "unauthorized access",
            429: "request over limit",
            404: "Not found",
            500: "Internal server error",
        }
        return Refusal(status, words[status]).answer().body
    return f"<html><head><title>{status}</title></head><body>Pipedrive is not reachable.</body></html>"
