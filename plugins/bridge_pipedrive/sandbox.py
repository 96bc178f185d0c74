"""
A stand-in of Pipedrive on loopback: keeps state, pages, limits, lags and fails like the vendor.

For tests: `with PipedriveSandbox() as crm: ...`. For a look: `python -m bridge_pipedrive.sandbox --port 8101`.

What is published binds it: the OpenAPI descriptions of both versions, which its tests hold it against.
What is not, it answers as cautiously as a client must expect: search finds a number only as it was
typed; a new entry moves the update time of what it is on; a record that was merged away is a deleted
one, and what moves to the survivor is changed; a 429 has no Retry-After; a link to a
deleted record is refused.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from bridge import Json
from bridge.testing.extra import needs_extra
from bridge.testing.server import LocalServer

try:
    from bridge_pipedrive import sandbox_shapes as shapes
    from bridge_pipedrive.sandbox_account import Account
    from bridge_pipedrive.sandbox_answers import Actor, Asked, Refusal
    from bridge_pipedrive.sandbox_api import Api
    from bridge_pipedrive.sandbox_events import create_webhook, tell
    from bridge_pipedrive.sandbox_faults import Levers
    from bridge_pipedrive.sandbox_hooks import Delivery, post
    from bridge_pipedrive.sandbox_kinds import DEALS, KINDS, PIPELINES, STAGES, USERS, Kind
    from bridge_pipedrive.sandbox_page import SHOWN, person_list, record_page
    from bridge_pipedrive.sandbox_rows import Id, Mail, Row
    from bridge_pipedrive.sandbox_rules import draft
    from bridge_pipedrive.sandbox_setup import BIRTH
    from bridge_pipedrive.sandbox_values import stamp
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    sys.exit(needs_extra(missing))

__all__ = ["Delivery", "Levers", "PipedriveSandbox", "Refusal"]

_STAGES = ("Qualified", "Contact Made", "Proposal Made", "Negotiations Started")
_LOOK = 0.05


def _now() -> datetime:
    return datetime.now(UTC)


class PipedriveSandbox(LocalServer):
    """
    One Pipedrive company that answers at `url` from `start` until `stop`, or inside a `with` block.

    `clock` returns the present instant, aware; index lag, late writes and limits follow it.
    `levers` are the switches for what goes wrong. With `sends` webhooks are sent by themselves,
    else they wait for `deliver` or `take`. What people do in Pipedrive are the methods here:
    they pass the same rules as the API and cost nothing. Types are the words of the paths:
    persons, organizations, deals, activities, notes, leads, pipelines, stages, users. Ids go in
    and out as texts; fields are named as the API names them, custom fields by their code.
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
        sends: bool = False,
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
        self._account.tell = partial(tell, self._account)
        self._person = Actor(self._furnish(), "app")
        self._api = Api(self._account, token=token, user=self._person.user)
        app = Starlette(
            routes=[
                Route("/", self._persons, methods=["GET"]),
                Route("/{kind:str}/{id:int}", self._record, methods=["GET"]),
                Route("/{path:path}", self._api.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            ]
        )
        super().__init__(app, port=port)
        self._quiet = threading.Event()
        self._sender = threading.Thread(target=self._send, name="webhooks", daemon=True) if sends else None

    @property
    def spent(self) -> int:
        """The tokens that today's calls have cost."""
        return self._api.meter.spent

    def start(self) -> None:
        super().start()
        if self._sender is not None:
            self._sender.start()

    def stop(self) -> None:
        self._quiet.set()
        if self._sender is not None:
            self._sender.join()
        super().stop()

    def objects(self, type: str, *, deleted: bool = False) -> list[dict[str, Json]]:
        """Return the records of a type as version 2 would show them, oldest first; the id is a text."""
        with self._settled() as account:
            return [_told(account, row) for row in account.rows(_kind(type), deleted=deleted)]

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

    def restore(self, type: str, id: str) -> None:
        """Take a deletion back, which people can for 30 days."""
        with self._settled() as account:
            account.restore(self._row(account, type, id, deleted=True), self._person)

    def purge(self, type: str, id: str) -> None:
        """Remove a record for good, as Pipedrive does after 30 days."""
        with self._settled() as account:
            account.purge(self._row(account, type, id, deleted=None))

    def merge(self, type: str, survivor: str, other: str) -> str:
        """Merge two persons, organizations or deals and return the id that remains."""
        with self._settled() as account:
            kept, gone = self._row(account, type, survivor), self._row(account, type, other)
            account.merge(_kind(type), kept, gone, self._person)
            return str(kept.id)

    def move(self, type: str, id: str, *, person: str | None = None, deal: str | None = None) -> None:
        """Move an activity, a note or a deal to another person, an activity or a note to another deal."""
        fields: dict[str, Json] = {}
        if person is not None and type == "activities":
            fields["participants"] = [{"person_id": int(person), "primary": True}]
        elif person is not None:
            fields["person_id"] = int(person)
        if deal is not None:
            fields["deal_id"] = int(deal)
        self.edit(type, id, fields)

    def catch_mail(
        self,
        message_id: str,
        *,
        sender: str,
        to: Sequence[str],
        cc: Sequence[str] = (),
        subject: str = "",
        text: str = "",
        sent: bool = False,
    ) -> str:
        """Let Pipedrive's own mailbox catch a mail, with whomever has one of its addresses, and return its id."""
        with self._settled() as account:
            mail = Mail(
                id=len(account.mails) + 501,
                message_id=message_id,
                sender=sender,
                to=tuple(to),
                cc=tuple(cc),
                subject=subject,
                text=text,
                sent=sent,
                at=account.clock(),
            )
            account.catch(mail)
            return str(mail.id)

    def convert(self, lead: str) -> str:
        """Make a deal of a lead as a person does and return the deal's id; the lead is gone."""
        with self._settled() as account:
            row = self._row(account, "leads", lead)
            held = row.values
            value = held["value"] or {"amount": 0, "currency": account.currency}
            fields = {name: held[name] for name in ("title", "owner_id", "person_id")}
            fields |= {"org_id": held["organization_id"], "value": value["amount"]}
            made = draft(account, DEALS, fields | {"currency": value["currency"]}, self._person)
            deal = account.create(DEALS, made.values | {"source_lead_id": row.id}, row.custom, self._person)
            for entry in account.entries(row):
                account.change(entry, {"deal_id": deal.id, "lead_id": None}, {}, self._person)
            account.delete(row, self._person)
            return str(deal.id)

    def timeline(self, type: str, id: str) -> list[dict[str, Json]]:
        """Return the activities and notes on a record as its page shows them, newest first, with their `kind`."""
        with self._settled() as account:
            entries = account.entries(self._row(account, type, id))
            return [{"kind": entry.kind.name, **_told(account, entry)} for entry in entries]

    def add_user(self, name: str, email: str) -> str:
        """Add a user and return the id."""
        return self.create("users", {"name": name, "email": email})

    def define(
        self, type: str, name: str, *, field_type: str = "varchar", options: tuple[str, ...] = ()
    ) -> str:
        """Create a custom field as an admin does and return its code, 40 hexadecimal digits."""
        with self._settled() as account:
            return account.setup.add_field(type, name, field_type, options).code

    def options(self, type: str, code: str) -> dict[str, int]:
        """Return the ids of a custom field's options by their labels."""
        with self._settled() as account:
            return {label: id for id, label in account.setup.fields[type][code].options}

    def add_type(self, name: str, icon: str = "task") -> str:
        """Add an activity type as an admin does and return its key."""
        with self._settled() as account:
            return account.setup.add_type(name, icon).key

    def undefine(self, type: str, code: str) -> None:
        """Delete a custom field as an admin does; nobody sees its values any more."""
        with self._settled() as account:
            del account.setup.fields[type][code]

    def subscribe(
        self, url: str, *, action: str = "*", entity: str = "*", login: str = "", password: str = ""
    ) -> str:
        """Add a webhook as a person does and return its id."""
        body: dict[str, Json] = {
            "subscription_url": url,
            "event_action": action,
            "event_object": entity,
            "name": "by hand",
        }
        body |= {"http_auth_user": login or None, "http_auth_password": password or None}
        with self._settled() as account:
            asked = Asked(actor=self._person, words={}, query={}, body=body)
            return str(create_webhook(account, asked).body["data"]["id"])

    def take(self) -> list[Delivery]:
        """Take the webhook deliveries that wait, oldest first, instead of having them sent."""
        with self._settled() as account:
            found, account.hooks.waiting = account.hooks.waiting, []
            return found

    def deliver(self) -> list[int | None]:
        """
        Send the deliveries that are due to addresses on this machine, and return the answers' statuses.

        None is no answer. What fails comes again after 3, 30 and 150 seconds of the clock.
        """
        with self._settled() as account:
            due = account.hooks.due(account.clock())
        found = []
        with requests.Session() as session:
            for delivery in due:
                status = post(session, delivery)
                with self._settled() as account:
                    account.hooks.settle(delivery, status, account.clock())
                found.append(status)
        return found

    def _send(self) -> None:
        while not self._quiet.wait(_LOOK):
            self.deliver()

    def _furnish(self) -> int:
        """Set up what every company starts with, and return the id of its first user."""
        nobody = Actor(0, "app")
        born: dict[str, Json] = {"add_time": stamp(BIRTH)}
        values: dict[str, Json] = {"name": "Rui Costa", "email": "rui@example.com"}
        user = self._account.create(USERS, values | born, {}, nobody)
        values = {"name": "Pipeline", "is_deal_probability_enabled": False, "order_nr": 1}
        pipeline = self._account.create(PIPELINES, values | born, {}, nobody)
        for order, name in enumerate(_STAGES, start=1):
            values = {"name": name, "pipeline_id": pipeline.id, "order_nr": order, "deal_probability": 100}
            values |= {"is_deal_rot_enabled": False, "days_to_rotten": None}
            self._account.create(STAGES, values | born, {}, nobody)
        return int(user.id)

    @contextmanager
    def _settled(self) -> Iterator[Account]:
        with self._account.lock:
            self._account.settle()
            yield self._account

    def _row(self, account: Account, type: str, id: str, *, deleted: bool | None = False) -> Row:
        key: Id = id if type == "leads" else int(id)
        return account.demand(_kind(type), key, deleted=deleted)

    async def _persons(self, request: Request) -> Response:
        with self._settled() as account:
            return HTMLResponse(person_list(account))

    async def _record(self, request: Request) -> Response:
        name, id = request.path_params["kind"], request.path_params["id"]
        with self._settled() as account:
            row = account.get(KINDS[name], id, deleted=None) if name in SHOWN else None
            while row is not None and row.merged_into is not None:
                row = account.get(row.kind, row.merged_into, deleted=None)
            if row is None:
                return HTMLResponse("<h1>Not found</h1>", 404)
            return HTMLResponse(record_page(account, row))


def _told(account: Account, row: Row) -> dict[str, Json]:
    return {**shapes.shown(row, custom=shapes.custom(account, row)), "id": str(row.id)}


def _kind(type: str) -> Kind:
    if type not in KINDS:
        raise ValueError(f"type {type!r} is none of {', '.join(KINDS)}")
    return KINDS[type]


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bridge_pipedrive.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8101)
    parser.add_argument("--company", type=int, default=7654321, help="the company's id")
    parser.add_argument("--token", default="test-token", help="the token that is accepted")
    parser.add_argument("--time-zone", default="UTC", help="the company's zone, such as America/Sao_Paulo")
    parser.add_argument("--currency", default="USD")
    chosen = parser.parse_args()
    endings = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    with PipedriveSandbox(
        company=chosen.company,
        token=chosen.token,
        time_zone=chosen.time_zone,
        currency=chosen.currency,
        port=chosen.port,
        sends=True,
    ) as crm:
        sys.stdout.write(f"Pipedrive stand-in: {crm.url} (token {crm.token}). Stop with Ctrl-C.\n")
        sys.stdout.flush()
        signal.sigwait(endings)


if __name__ == "__main__":
    _main()
