"""Every endpoint the stand-in has: method, path, price in tokens, parameters, scopes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bridge_pipedrive import sandbox_events as events
from bridge_pipedrive import sandbox_mails as mails
from bridge_pipedrive import sandbox_past as past
from bridge_pipedrive import sandbox_search as search
from bridge_pipedrive import sandbox_settings as settings
from bridge_pipedrive import sandbox_v1 as v1
from bridge_pipedrive import sandbox_v2 as v2
from bridge_pipedrive.sandbox_kinds import DEALS, KINDS, Kind
from bridge_pipedrive.sandbox_setup import FIELD_OWNERS
from bridge_pipedrive.sandbox_v2 import Endpoint

_PAGING = ("limit", "cursor")
_SORTING = ("sort_by", "sort_direction")
_TIMES = ("updated_since", "updated_until")
_EXTRAS = ("include_fields", "custom_fields", "include_option_labels", "include_labels")
_SCOPES = {
    "persons": "contacts",
    "organizations": "contacts",
    "deals": "deals",
    "activities": "activities",
    "pipelines": "deals",
    "stages": "deals",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    One endpoint; `path` as published, below the version's base.

    `cost` is its price in tokens, `query` what version 2 takes after the question mark; any one
    of `scopes` opens it to a bearer token. `search`: counted against the search limit.
    """

    version: str
    method: str
    path: str
    cost: int
    endpoint: Endpoint
    query: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    search: bool = False
    admin: bool = False


def _two(method: str, path: str, cost: int, endpoint: Endpoint, *query: str, scope: str) -> Route:
    scopes = (f"{scope}:full",) if method != "GET" else (f"{scope}:read", f"{scope}:full")
    return Route(
        version="v2", method=method, path=path, cost=cost, endpoint=endpoint, query=query, scopes=scopes
    )


def _records() -> Iterator[Route]:
    for kind in v2.WRITTEN:
        path, scope = f"/{kind.name}", _SCOPES[kind.name]
        extras = _EXTRAS if kind.custom else ("include_fields",)
        chosen = ("filter_id", "ids", *kind.filters, *_TIMES, *_SORTING, *extras, *_PAGING)
        if kind is DEALS:
            archived = [
                name for name in chosen if not name.startswith("include_") or name == "include_fields"
            ]
            yield _two("GET", f"{path}/archived", 20, v2.lister(kind, archived=True), *archived, scope=scope)
        yield _two("GET", path, 10, v2.lister(kind), *chosen, scope=scope)
        yield _two("POST", path, 5, v2.creator(kind), scope=scope)
        yield _two("GET", f"{path}/{{id}}", 1, v2.reader(kind), *extras, scope=scope)
        yield _two("PATCH", f"{path}/{{id}}", 5, v2.changer(kind), scope=scope)
        yield _two("DELETE", f"{path}/{{id}}", 3, v2.remover(kind), scope=scope)


def _funnels() -> Iterator[Route]:
    kinds: tuple[Kind, ...] = (KINDS["pipelines"], KINDS["stages"])
    for kind in kinds:
        path, scope = f"/{kind.name}", _SCOPES[kind.name]
        yield _two("GET", path, 5, v2.lister(kind), *kind.filters, *_SORTING, *_PAGING, scope=scope)
        yield _two("GET", f"{path}/{{id}}", 1, v2.reader(kind), scope=scope)


def _searches() -> Iterator[Route]:
    common = ("term", "fields", "exact_match")
    chosen = {
        "persons": ("organization_id", "include_fields"),
        "organizations": (),
        "deals": ("person_id", "organization_id", "status", "include_fields"),
        "leads": ("person_id", "organization_id", "include_fields"),
    }
    for name, query in chosen.items():
        yield _search(f"/{name}/search", search.searcher(KINDS[name]), *common, *query)
    items = ("item_types", "search_for_related_items", "include_fields")
    yield _search("/itemSearch", search.search_items, *common, *items)
    yield _search("/itemSearch/field", search.search_field, "term", "entity_type", "match", "field")


def _search(path: str, endpoint: Endpoint, *query: str) -> Route:
    return Route(
        version="v2",
        method="GET",
        path=path,
        cost=20,
        endpoint=endpoint,
        query=(*query, *_PAGING),
        scopes=("search:read",),
        search=True,
    )


def _fields() -> Iterator[Route]:
    for owner in FIELD_OWNERS:
        path, scope = f"/{owner.removesuffix('s')}Fields", _SCOPES[owner]
        yield _two("GET", path, 10, settings.field_lister(owner), "include_fields", *_PAGING, scope=scope)
        yield Route(
            version="v2",
            method="POST",
            path=path,
            cost=5,
            endpoint=settings.field_creator(owner),
            scopes=("admin",),
            admin=True,
        )
        yield _two(
            "GET", f"{path}/{{field_code}}", 1, settings.field_reader(owner), "include_fields", scope=scope
        )


def _histories() -> Iterator[Route]:
    for name in ("persons", "organizations", "deals"):
        kind, scope = KINDS[name], _SCOPES[name]
        yield _one("GET", f"/{name}/{{id}}/flow", 40, past.flow(kind), "recents:read")
        yield _one("GET", f"/{name}/{{id}}/changelog", 20, past.changelog(kind), "recents:read")
        yield _one("PUT", f"/{name}/{{id}}/merge", 40, past.merger(kind), f"{scope}:full")


def _one(method: str, path: str, cost: int, endpoint: Endpoint, *scopes: str, admin: bool = False) -> Route:
    return Route(
        version="v1", method=method, path=path, cost=cost, endpoint=endpoint, scopes=scopes, admin=admin
    )


_READ = ("deals:read", "deals:full", "contacts:read", "contacts:full")
_WRITE = ("deals:full", "contacts:full")
ROUTES = (
    *_searches(),
    *_records(),
    *_funnels(),
    *_fields(),
    *_histories(),
    _one("GET", "/notes", 20, v1.list_notes, *_READ),
    _one("POST", "/notes", 10, v1.create_note, *_WRITE),
    _one("GET", "/notes/{id}", 2, v1.get_note, *_READ),
    _one("PUT", "/notes/{id}", 10, v1.update_note, *_WRITE),
    _one("DELETE", "/notes/{id}", 6, v1.delete_note, *_WRITE),
    _one("GET", "/leads", 20, v1.list_leads, "leads:read", "leads:full"),
    _one("GET", "/leads/archived", 40, v1.list_archived_leads, "leads:read", "leads:full"),
    _one("POST", "/leads", 10, v1.create_lead, "leads:full"),
    _one("GET", "/leads/{id}", 2, v1.get_lead, "leads:read", "leads:full"),
    _one("PATCH", "/leads/{id}", 10, v1.update_lead, "leads:full"),
    _one("DELETE", "/leads/{id}", 6, v1.delete_lead, "leads:full"),
    _one("GET", "/persons/{id}/mailMessages", 20, mails.list_mails, "mail:read", "mail:full"),
    _one("GET", "/mailbox/mailMessages/{id}", 2, mails.get_mail, "mail:read", "mail:full"),
    _one("GET", "/users/me", 2, v1.get_me, "base"),
    _one("GET", "/users", 20, v1.list_users, "users:read"),
    _one("GET", "/users/{id}", 2, v1.get_user, "users:read"),
    _one("GET", "/activityTypes", 20, settings.list_types, "activities:read", "activities:full", "admin"),
    _one("POST", "/activityTypes", 10, settings.create_type, "admin", admin=True),
    _one("GET", "/webhooks", 10, events.list_webhooks, "admin", admin=True),
    _one("POST", "/webhooks", 10, events.create_webhook, "admin", admin=True),
    _one("DELETE", "/webhooks/{id}", 6, events.delete_webhook, "admin", admin=True),
)
