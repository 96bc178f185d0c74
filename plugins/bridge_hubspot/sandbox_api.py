"""The HTTP side of the stand-in of HubSpot: paths of every version, sign-in, limits, faults."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from bridge import Json
from bridge.testing.faults import Fault
from bridge.testing.server import Dropped
from bridge_hubspot import sandbox_associations as associations
from bridge_hubspot import sandbox_objects as objects
from bridge_hubspot import sandbox_settings as settings
from bridge_hubspot.sandbox_answers import Answer, Asked, Refusal, invalid, not_found
from bridge_hubspot.sandbox_catalog import kind_of
from bridge_hubspot.sandbox_faults import MIGRATION, Meter
from bridge_hubspot.sandbox_portal import Portal

Endpoint = Callable[[Portal, Asked], Answer]

_VERSIONS = ("v3", "v4", "2025-09", "2026-03", "2026-09")
_READS_BY_POST = ("/batch/read", "/search")


class Route(NamedTuple):
    method: str
    path: re.Pattern[str]
    endpoint: Endpoint


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    return Route(method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), endpoint)


# Paths of the dated versions; those of v3 and v4, where the version comes first, are turned round before.
_OBJECTS = "/crm/objects/{version}/{type}"
_LINKS = "/crm/associations/{version}/{type}/{to}"
_PROPERTIES = "/crm/properties/{version}/{type}"
_PIPELINES = "/crm/pipelines/{version}/{type}"
_ROUTES = (
    _route("GET", _OBJECTS, objects.list_objects),
    _route("POST", _OBJECTS, objects.create_object),
    _route("POST", _OBJECTS + "/search", objects.search_objects),
    _route("POST", _OBJECTS + "/merge", objects.merge_objects),
    _route("POST", _OBJECTS + "/gdpr-delete", objects.gdpr_delete),
    _route("POST", _OBJECTS + "/batch/create", objects.batch_create),
    _route("POST", _OBJECTS + "/batch/read", objects.batch_read),
    _route("POST", _OBJECTS + "/batch/update", objects.batch_update),
    _route("POST", _OBJECTS + "/batch/upsert", objects.batch_upsert),
    _route("POST", _OBJECTS + "/batch/archive", objects.batch_archive),
    _route("GET", _OBJECTS + "/{id}", objects.get_object),
    _route("PATCH", _OBJECTS + "/{id}", objects.update_object),
    _route("DELETE", _OBJECTS + "/{id}", objects.archive_object),
    _route("PUT", _OBJECTS + "/{id}/associations/default/{to}/{to_id}", associations.put_default),
    _route("PUT", _OBJECTS + "/{id}/associations/{to}/{to_id}", associations.put_link),
    _route("DELETE", _OBJECTS + "/{id}/associations/{to}/{to_id}", associations.delete_link),
    _route("GET", _OBJECTS + "/{id}/associations/{to}", associations.list_links),
    _route("POST", _LINKS + "/batch/create", associations.batch_create),
    _route("POST", _LINKS + "/batch/associate/default", associations.batch_default),
    _route("POST", _LINKS + "/batch/read", associations.batch_read),
    _route("POST", _LINKS + "/batch/archive", associations.batch_archive),
    _route("POST", _LINKS + "/batch/labels/archive", associations.batch_labels_archive),
    _route("GET", _LINKS + "/labels", associations.read_labels),
    _route("GET", _PROPERTIES, settings.list_properties),
    _route("POST", _PROPERTIES, settings.create_property),
    _route("POST", _PROPERTIES + "/batch/create", settings.create_properties),
    _route("POST", _PROPERTIES + "/batch/read", settings.read_properties),
    _route("GET", _PROPERTIES + "/groups", settings.list_groups),
    _route("POST", _PROPERTIES + "/groups", settings.create_group),
    _route("GET", _PROPERTIES + "/{name}", settings.get_property),
    _route("PATCH", _PROPERTIES + "/{name}", settings.update_property),
    _route("DELETE", _PROPERTIES + "/{name}", settings.archive_property),
    _route("GET", "/crm/owners/{version}", settings.list_owners),
    _route("GET", "/crm/owners/{version}/{id}", settings.get_owner),
    _route("GET", _PIPELINES, settings.list_pipelines),
    _route("GET", _PIPELINES + "/{id}", settings.get_pipeline),
    _route("GET", _PIPELINES + "/{id}/stages", settings.list_stages),
    _route("GET", "/account-info/{version}/details", lambda portal, asked: settings.account(portal)),
)
_USAGE = re.compile(r"/account-info/(?P<version>[^/]+)/api-usage/daily/private-apps")


class Api:
    """Answer the API's requests: sign-in, then faults, then limits, then the endpoint."""

    def __init__(self, portal: Portal, *, token: str) -> None:
        self._portal = portal
        self._token = token
        self.meter = Meter(portal.levers, portal.clock, portal.time_zone)

    async def answer(self, request: Request) -> Response:
        """Answer one request. Raises Dropped where a fault hangs up."""
        method, path = request.method, request.url.path
        raw = await request.body()
        search = path.endswith("/search")
        with self._portal.lock:
            self._portal.settle()
            answer = self._unauthorised(request.headers) or self.meter.refuse(search=search)
            fault = self._portal.levers.struck(method, path) if answer is None else None
            if answer is None:
                answer = self._faulty(fault, request, raw) if fault else self._executed(request, raw)
            headers = {**self.meter.headers(search=search), **answer.headers}
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.drop:
                raise Dropped
            if isinstance(answer.body, str):
                return Response(answer.body, answer.status, headers=headers, media_type="text/html")
        content = b"" if answer.body is None else orjson.dumps(answer.body)
        return Response(content, answer.status, headers=headers, media_type="application/json;charset=utf-8")

    def _unauthorised(self, headers: Mapping[str, str]) -> Answer | None:
        if headers.get("authorization", "") != f"Bearer {self._token}":
            message = (
                "Authentication credentials not found. This API supports OAuth 2.0 authentication "
                "and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
            )
            return Refusal(401, "INVALID_AUTHENTICATION", message).answer()
        if self._portal.levers.expired:
            message = "The OAuth token used to make this call expired 2 hour(s) ago."
            return Refusal(401, "EXPIRED_AUTHENTICATION", message).answer()
        return None

    def _faulty(self, fault: Fault, request: Request, raw: bytes) -> Answer:
        """Carry the call out as far as the fault lets it, and return what is answered instead."""
        if fault.commits is not None and fault.commits > 0:
            self._portal.later(fault.commits, lambda: self._executed(request, raw))
        answer = self._executed(request, raw) if fault.commits == 0 else None
        if answer is not None and fault.status is None:
            return answer
        status = fault.status or 504
        wait = fault.retry_after or (MIGRATION if status == 477 else None)
        headers = {} if wait is None else {"Retry-After": str(wait)}
        body = _failure(status) if fault.body is None else fault.body
        return Answer(status=status, body=body, headers=headers)

    def _executed(self, request: Request, raw: bytes) -> Answer:
        try:
            return self._dispatched(request, raw)
        except Refusal as refusal:
            return refusal.answer()

    def _dispatched(self, request: Request, raw: bytes) -> Answer:
        path = re.sub(r"^/crm/(v3|v4)/(\w+)", r"/crm/\2/\1", request.url.path).rstrip("/")
        if usage := _USAGE.fullmatch(path):
            self._require_version(usage["version"])
            return settings.usage(self._portal, self.meter)
        for route in _ROUTES:
            match = route.path.fullmatch(path)
            if match and route.method == request.method:
                words = match.groupdict()
                self._require_version(words["version"])
                self._require_scope(request.method, path, words)
                asked = Asked(
                    path=request.url.path,
                    words=words,
                    query=dict(request.query_params),
                    body=_parsed(raw),
                    size=len(raw.decode(errors="replace")),
                )
                return route.endpoint(self._portal, asked)
        if any(route.path.fullmatch(path) for route in _ROUTES):
            raise Refusal(405, "METHOD_NOT_ALLOWED", f"{request.method} is not allowed here")
        raise not_found()

    def _require_version(self, version: str) -> None:
        if version not in _VERSIONS:
            raise not_found(f"There is no version {version[:30]}")

    def _require_scope(self, method: str, path: str, words: Mapping[str, str]) -> None:
        """Raise Refusal 403 with the scopes the token lacks."""
        reading = method == "GET" or path.endswith(_READS_BY_POST)
        verb = "read" if reading else "write"
        needed = {
            f"{kind.scope.replace('objects', 'schemas') if '/properties/' in path else kind.scope}.{verb}"
            for kind in (kind_of(words.get("type", "")), kind_of(words.get("to", "")))
            if kind is not None
        }
        if "/owners/" in path:
            needed = {"crm.objects.owners.read"}
        lacking = sorted(needed & self._portal.levers.missing_scopes)
        if lacking:
            raise Refusal(
                403,
                "MISSING_SCOPES",
                "This app hasn't been granted all required scopes to make this call. Read more about "
                "required scopes here: https://developers.hubspot.com/scopes.",
                rows=[
                    {
                        "message": "One or more of the following scopes are required.",
                        "context": {"requiredGranularScopes": lacking},
                    }
                ],
                links={"scopes": "https://developers.hubspot.com/scopes"},
            )


def _parsed(raw: bytes) -> object:
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid(f"Invalid input JSON on line {error.lineno}, column {error.colno}") from None


_SAID = {
    423: ("LOCKED", "This record is locked by another write; try again in 2 seconds"),
    477: ("MIGRATION_IN_PROGRESS", "This account is being moved between data centres"),
    500: ("INTERNAL_ERROR", "internal error"),
}


def _failure(status: int) -> Json:
    """Return HubSpot's words for a status, or the page a proxy sends where HubSpot does not answer."""
    if status in _SAID:
        return Refusal(status, *_SAID[status]).answer().body
    return f"<html><head><title>{status}</title></head><body>HubSpot is not reachable.</body></html>"
