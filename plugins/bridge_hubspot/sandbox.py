"""
A stand-in of HubSpot on loopback: keeps state, pages, limits, lags and fails like the vendor.

For tests: `with HubSpotSandbox() as hub: ...`. For a look: `python -m bridge_hubspot.sandbox --port 8100`.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from bridge import Json
from bridge.testing.extra import needs_extra
from bridge.testing.server import LocalServer

try:
    from bridge_hubspot.sandbox_answers import Refusal
    from bridge_hubspot.sandbox_api import Api
    from bridge_hubspot.sandbox_catalog import KINDS, Kind, Owner, Pipeline, Property, Stage, kind_of
    from bridge_hubspot.sandbox_faults import Levers
    from bridge_hubspot.sandbox_items import PERSON, Item, Origin
    from bridge_hubspot.sandbox_page import contact_list, record_page
    from bridge_hubspot.sandbox_portal import Portal
    from bridge_hubspot.sandbox_values import instant_text
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    sys.exit(needs_extra(missing))

__all__ = ["HubSpotSandbox", "Levers", "Pipeline", "Refusal", "Stage"]


def _now() -> datetime:
    return datetime.now(UTC)


class HubSpotSandbox(LocalServer):
    """
    One HubSpot account that answers at `url` from `start` until `stop`, or inside a `with` block.

    `clock` returns the present instant, aware; index lag, late writes and limits follow it.
    `levers` are the switches for what goes wrong. What people do in HubSpot are the methods
    here: they pass the same rules as the API but for read-only and admin-required properties.
    """

    def __init__(
        self,
        *,
        portal: str = "123456",
        token: str = "test-token",  # noqa: S107 (a stand-in has no secrets)
        clock: Callable[[], datetime] = _now,
        time_zone: str = "UTC",
        currency: str = "USD",
        port: int = 0,
    ) -> None:
        self.levers = Levers()
        self.token = token
        self._portal = Portal(
            portal_id=portal, clock=clock, levers=self.levers, time_zone=time_zone, currency=currency
        )
        self._api = Api(self._portal, token=token)
        app = Starlette(
            routes=[
                Route("/", self._contacts, methods=["GET"]),
                Route("/{kind:str}/{id:str}", self._record, methods=["GET"]),
                Route("/{path:path}", self._api.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            ]
        )
        super().__init__(app, port=port)

    def objects(self, type: str, *, archived: bool = False) -> list[dict[str, Json]]:
        """Return the records of a type, lowest id first: id, properties, archived, links by object type."""
        kind = _kind(type)
        with self._settled() as portal:
            return [self._shown(portal, item) for item in portal.items(kind, archived=archived)]

    def create(self, type: str, properties: Mapping[str, Json]) -> str:
        """Create a record as a person does, and return its id. Raises Refusal where a rule forbids it."""
        kind = _kind(type)
        with self._settled() as portal:
            now = {"hs_timestamp": instant_text(portal.clock())} if kind.engagement else {}
            draft = portal.draft_create(kind, {**now, **properties}, person=True)
            return portal.commit(draft, origin=PERSON).id

    def edit(self, type: str, id: str, properties: Mapping[str, Json], *, by: str = "") -> None:
        """Change a record as a person does; None clears a property. `by` is their owner id."""
        kind = _kind(type)
        with self._settled() as portal:
            draft = portal.draft_update(kind, portal.demand(kind, id), dict(properties), person=True)
            user = next((owner.user_id for owner in portal.setup.owners if owner.id == by), None)
            item = portal.commit(draft, origin=Origin.user(user) if user else PERSON)
            if user:
                portal.write(item, {"hs_updated_by_user_id": str(user)}, Origin.user(user))

    def delete(self, type: str, id: str) -> None:
        """Move a record to the recycle bin."""
        with self._settled() as portal:
            portal.archive(portal.demand(_kind(type), id))

    def merge(self, type: str, primary: str, other: str) -> str:
        """Merge two records and return the id of the result."""
        kind = _kind(type)
        with self._settled() as portal:
            return portal.merge(kind, portal.demand(kind, primary), portal.demand(kind, other), PERSON).id

    def associate(self, type: str, id: str, to_type: str, to_id: str) -> None:
        """Link two records with the plain association of their types."""
        with self._settled() as portal:
            source, target = portal.demand(_kind(type), id), portal.demand(_kind(to_type), to_id)
            portal.link(source.end, target.end)

    def dissociate(self, type: str, id: str, to_type: str, to_id: str) -> None:
        """Remove every association between two records."""
        with self._settled() as portal:
            source, target = portal.demand(_kind(type), id), portal.demand(_kind(to_type), to_id)
            portal.unlink(source.end, target.end)

    def timeline(self, contact_id: str) -> list[dict[str, Json]]:
        """Return the activities on a contact as its page shows them, newest first, each with its `type`."""
        with self._settled() as portal:
            contact = portal.demand(_kind("contacts"), contact_id)
            return [
                {"type": item.kind.name, **self._shown(portal, item)} for item in portal.activities(contact)
            ]

    def add_owner(self, email: str, first_name: str, last_name: str) -> str:
        """Add a user and return the owner id."""
        with self._settled() as portal:
            last = max(int(owner.id) for owner in portal.setup.owners)
            owner = Owner(str(last + 1), 9001 + last, email.lower(), first_name, last_name)
            portal.setup.owners.append(owner)
            return owner.id

    def add_pipeline(self, pipeline: Pipeline) -> None:
        """Add a deal pipeline."""
        with self._settled() as portal:
            portal.setup.pipelines.append(pipeline)

    def define(self, type: str, name: str, *, label: str = "", unique: bool = False) -> None:
        """Create a text property as an admin does, past every limit on unique ones."""
        kind = _kind(type)
        with self._settled() as portal:
            portal.setup.properties[kind.name][name] = Property(
                name=name,
                label=label or name,
                type="string",
                field_type="text",
                group=next(iter(portal.setup.groups[kind.name])),
                unique=unique,
                built_in=False,
            )

    @contextmanager
    def _settled(self) -> Iterator[Portal]:
        with self._portal.lock:
            self._portal.settle()
            yield self._portal

    def _shown(self, portal: Portal, item: Item) -> dict[str, Json]:
        return {
            "id": item.id,
            "properties": dict(item.properties),
            "archived": item.archived_at is not None,
            "createdAt": instant_text(item.created_at),
            "updatedAt": instant_text(item.updated_at),
            "links": {
                kind.name: ids
                for kind in KINDS
                if (ids := [end.id for end in portal.links.of(item.end, kind.name)])
            },
        }

    async def _contacts(self, request: Request) -> Response:
        with self._settled() as portal:
            return HTMLResponse(contact_list(portal))

    async def _record(self, request: Request) -> Response:
        kind = kind_of(request.path_params["kind"])
        with self._settled() as portal:
            item = portal.get(kind, request.path_params["id"]) if kind else None
            if item is None:
                return HTMLResponse("<h1>Not found</h1>", 404)
            return HTMLResponse(record_page(portal, item))


def _kind(type: str) -> Kind:
    kind = kind_of(type)
    if kind is None:
        raise ValueError(f"object type {type!r} is none of {', '.join(kind.name for kind in KINDS)}")
    return kind


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bridge_hubspot.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--portal", default="123456", help="the account's id")
    parser.add_argument("--token", default="test-token", help="the token that is accepted")
    parser.add_argument("--time-zone", default="UTC", help="the account's zone, such as America/Sao_Paulo")
    parser.add_argument("--currency", default="USD")
    chosen = parser.parse_args()
    endings = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    with HubSpotSandbox(
        portal=chosen.portal,
        token=chosen.token,
        time_zone=chosen.time_zone,
        currency=chosen.currency,
        port=chosen.port,
    ) as hub:
        sys.stdout.write(f"HubSpot stand-in: {hub.url} (token {hub.token}). Stop with Ctrl-C.\n")
        sys.stdout.flush()
        signal.sigwait(endings)


if __name__ == "__main__":
    _main()
