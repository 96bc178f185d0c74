"""
A stand-in of Pipedrive on loopback: keeps state, pages, limits, lags and fails like the vendor.

For tests: `with PipedriveSandbox() as crm: ...`. For a look: `python -m bridge_pipedrive.sandbox --port 8101`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from starlette.applications import Starlette
from starlette.routing import Route

from bridge import Json
from bridge.testing.server import Call, LocalServer
from bridge_pipedrive import sandbox_shapes as shapes
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Actor, Refusal
from bridge_pipedrive.sandbox_api import Api
from bridge_pipedrive.sandbox_faults import Levers
from bridge_pipedrive.sandbox_kinds import KINDS, PIPELINES, STAGES, USERS, Kind
from bridge_pipedrive.sandbox_rows import Id, Row
from bridge_pipedrive.sandbox_rules import draft
from bridge_pipedrive.sandbox_setup import BIRTH
from bridge_pipedrive.sandbox_values import stamp

__all__ = ["Levers", "PipedriveSandbox", "Refusal"]

_STAGES = ("Qualified", "Contact Made", "Proposal Made", "Negotiations Started")


def _now() -> datetime:
    return datetime.now(UTC)


class PipedriveSandbox:
    """
    One Pipedrive company that answers at `url` from `start` until `stop`, or inside a `with` block.

    `clock` returns the present instant, aware; index lag, late writes and limits follow it.
    `levers` are the switches for what goes wrong. What people do in Pipedrive are the methods
    here: they pass the same rules as the API and cost nothing. Types are the words of the paths:
    persons, organizations, deals, activities, notes, leads, pipelines, stages, users. Ids go in
    and out as texts; fields are named as version 2 names them, and custom fields by their code.
    """

    def __init__(
        self,
        *,
        company: int = 7654321,
        domain: str = "padaria",
        token: str = "test-token",  # noqa: S107 (a stand-in has no secrets)
        clock: Callable[[], datetime] = _now,
        time_zone: str = "UTC",
        currency: str = "USD",
        port: int = 0,
    ) -> None:
        self.levers = Levers()
        self.token = token
        self._account = Account(
            company=company,
            domain=domain,
            clock=clock,
            levers=self.levers,
            time_zone=time_zone,
            currency=currency,
        )
        self._person = Actor(self._furnish(), "app")
        self._api = Api(self._account, token=token, user=self._person.user)
        app = Starlette(
            routes=[
                Route("/{path:path}", self._api.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
            ]
        )
        self._server = LocalServer(app, port=port)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def calls(self) -> list[Call]:
        """The answered requests, oldest first: method, path, status."""
        return self._server.calls

    @property
    def spent(self) -> int:
        """The tokens that today's calls have cost."""
        return self._api.meter.spent

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def objects(self, type: str, *, deleted: bool = False) -> list[dict[str, Json]]:
        """Return the records of a type as version 2 would show them, oldest first; the id is a text."""
        with self._settled() as account:
            return [_told(row) for row in account.rows(_kind(type), deleted=deleted)]

    def create(self, type: str, fields: Mapping[str, Json]) -> str:
        """Create a record as a person does, and return its id. Raises Refusal where a rule forbids it."""
        kind = _kind(type)
        with self._settled() as account:
            made = draft(account, kind, dict(fields), self._person)
            return str(account.create(kind, made.values, made.custom, self._person).id)

    def edit(self, type: str, id: str, fields: Mapping[str, Json]) -> None:
        """Change a record as a person does; None clears a field."""
        with self._settled() as account:
            row = self._row(account, type, id)
            made = draft(account, row.kind, dict(fields), self._person, row)
            account.change(row, made.values, made.custom, self._person)

    def delete(self, type: str, id: str) -> None:
        """Mark a record as deleted, which it stays for 30 days."""
        with self._settled() as account:
            account.delete(self._row(account, type, id), self._person)

    def purge(self, type: str, id: str) -> None:
        """Remove a record for good, as Pipedrive does after 30 days."""
        with self._settled() as account:
            account.purge(self._row(account, type, id))

    def merge(self, type: str, survivor: str, other: str) -> str:
        """Merge two persons, organizations or deals and return the id that remains."""
        with self._settled() as account:
            kept, gone = self._row(account, type, survivor), self._row(account, type, other)
            account.merge(_kind(type), kept, gone, self._person)
            return str(kept.id)

    def move(self, type: str, id: str, *, person: str | None = None, deal: str | None = None) -> None:
        """Move an activity, note or deal to another person or deal, which the others keep theirs."""
        fields: dict[str, Json] = {}
        if person is not None and type == "activities":
            fields["participants"] = [{"person_id": int(person), "primary": True}]
        elif person is not None:
            fields["person_id"] = int(person)
        if deal is not None:
            fields["deal_id"] = int(deal)
        self.edit(type, id, fields)

    def timeline(self, person: str) -> list[dict[str, Json]]:
        """Return the activities and notes on a person as its page shows them, newest first, with their `kind`."""
        with self._settled() as account:
            row = self._row(account, "persons", person)
            return [{**_told(entry), "kind": entry.kind.name} for entry in account.entries(row)]

    def add_user(self, name: str, email: str) -> str:
        """Add a user and return the id."""
        return self.create("users", {"name": name, "email": email})

    def define(self, type: str, name: str, *, kind: str = "varchar", options: tuple[str, ...] = ()) -> str:
        """Create a custom field as an admin does and return its code, 40 hexadecimal digits."""
        with self._settled() as account:
            return account.setup.add_field(type, name, kind, options).code

    def _furnish(self) -> int:
        """Set up what every company starts with, and return the id of its first user."""
        nobody = Actor(0, "app")
        born: dict[str, Json] = {"add_time": stamp(BIRTH)}
        values: dict[str, Json] = {"name": "Rui Costa", "email": "rui@example.com"}
        user = self._account.create(USERS, values | born, {}, nobody)
        values = {"name": "Pipeline", "is_deal_probability_enabled": False, "order_nr": 1}
        pipeline = self._account.create(PIPELINES, values | born, {}, nobody)
        for order, name in enumerate(_STAGES, start=1):
            fields: dict[str, Json] = {
                "name": name,
                "pipeline_id": pipeline.id,
                "order_nr": order,
                "deal_probability": 100,
            }
            fields |= {"is_deal_rot_enabled": False, "days_to_rotten": None}
            self._account.create(STAGES, fields | born, {}, nobody)
        return int(user.id)

    @contextmanager
    def _settled(self) -> Iterator[Account]:
        with self._account.lock:
            self._account.settle()
            yield self._account

    def _row(self, account: Account, type: str, id: str) -> Row:
        key: Id = id if type == "leads" else int(id)
        return account.demand(_kind(type), key, deleted=None)


def _told(row: Row) -> dict[str, Json]:
    return {**shapes.shown(row), "id": str(row.id)}


def _kind(type: str) -> Kind:
    if type not in KINDS:
        raise ValueError(f"type {type!r} is none of {', '.join(KINDS)}")
    return KINDS[type]
