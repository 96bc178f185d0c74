"""HubSpot: contacts, companies, deals and the timeline, read and written through the CRM API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bridge import (
    Account,
    AuthError,
    Budget,
    ConnectorSpec,
    Context,
    Created,
    Field,
    FieldTimes,
    Json,
    Location,
    Match,
    Page,
    Person,
    Phase,
    Receipt,
    Record,
    StreamSpec,
    Unavailable,
    Write,
    hookimpl,
)
from bridge_hubspot.client import BURST, DAILY, SEARCH, Client
from bridge_hubspot.lookup import Lookup
from bridge_hubspot.setup import Setup
from bridge_hubspot.sink import Sink
from bridge_hubspot.source import Source
from bridge_hubspot.words import LOOKBACK, OBJECTS, SETTLE

SETTINGS: Mapping[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["token"],
    "properties": {
        "token": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "A service key (HubSpot > Settings > Integrations > Service Keys), or the"
            " access token of a private app that exists already.",
        },
        "api_version": {
            "type": "string",
            "pattern": "^([0-9]{4}-[0-9]{2}|v3)$",
            "default": "2026-09",
            "description": "The version of HubSpot's API, by its date.",
        },
        "base_url": {
            "type": "string",
            "pattern": "^(https://.+|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?/?)$",
            "default": "https://api.hubapi.com",
            "description": "Where the API is; another address is for tests.",
        },
    },
}


class HubSpot:
    """The connector: hands each call on to the module that knows its side of HubSpot."""

    def __init__(self, settings: Mapping[str, Json], context: Context) -> None:
        self._client = Client(context.http, settings)
        self._setup = Setup(self._client, context.clock)
        self._source = Source(self._client, context.clock)
        self._lookup = Lookup(self._client, self._setup)
        self._sink = Sink(self._client, self._setup)

    def check(self) -> Account:
        """Tell whose account this is; one call more for each stream tells which scopes are missing."""
        answer = self._client.get(self._client.account)
        portal = answer.body.get("portalId")
        if not isinstance(portal, int | str) or isinstance(portal, bool):
            raise Unavailable(
                f"HubSpot answered {answer.call} without an account id; the next sync asks again"
            )
        missing: dict[str, None] = {}
        for url in self._probes():
            try:
                self._client.get(url, {"limit": 1})
            except AuthError as error:
                if not error.missing_scopes:
                    raise
                missing |= dict.fromkeys(error.missing_scopes)
        scopes = dict.fromkeys(
            ["crm.objects.owners.read", *(f"{kind.scope}.read" for kind in OBJECTS.values())]
        )
        return Account(
            id=str(portal),
            name=f"HubSpot {portal}",
            scopes=tuple(scope for scope in scopes if scope not in missing),
            missing_scopes=tuple(missing),
            time_zone=answer.body.get("timeZone"),
            currency=answer.body.get("companyCurrency"),
        )

    def _probes(self) -> Iterator[str]:
        yield self._client.owners
        yield from (self._client.objects(stream) for stream in OBJECTS)

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        return self._source.pull(stream, phase, cursor, fields)

    def find(self, people: Sequence[Person]) -> Iterator[Match]:
        return self._lookup.find(people)

    def read(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        return self._lookup.read(stream, ids, fields)

    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        return self._lookup.field_times(stream, ids, fields)

    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        return self._sink.push(writes)

    def locate(self, writes: Sequence[Write]) -> Iterator[Location]:
        return self._lookup.locate(writes)

    def describe(self, stream: str) -> Sequence[Field]:
        return self._setup.describe(stream)

    def create(self, stream: str, fields: Sequence[Field]) -> Created:
        return self._setup.create(stream, fields)


def _stream(name: str, *after: str) -> StreamSpec:
    return StreamSpec(
        name=name,
        after=after,
        lookback=LOOKBACK,
        deletes="sweep",
        phases=("live", "backfill", "sweep"),
    )


_PEOPLE = ("owners", "contacts", "companies", "deals")

SPEC = ConnectorSpec(
    name="hubspot",
    title="HubSpot",
    streams=(
        _stream("contacts", "owners", "companies"),
        _stream("companies", "owners"),
        _stream("deals", "owners", "pipelines", "companies", "contacts"),
        _stream("communications", *_PEOPLE),
        _stream("emails", *_PEOPLE),
        _stream("calls", *_PEOPLE),
        _stream("notes", *_PEOPLE),
        _stream("meetings", *_PEOPLE),
        StreamSpec(name="owners", every={"live": 900.0}),
        StreamSpec(name="pipelines", every={"live": 900.0}),
    ),
    settings=SETTINGS,
    mapping="hubspot.yaml",
    open=HubSpot,
    # The smallest plan's limits; the headers tell those of larger ones. Search has a limit of its own and no headers.
    budgets=(
        Budget(
            name=BURST,
            calls=100,
            seconds=10.0,
            limit_header="X-HubSpot-RateLimit-Max",
            left_header="X-HubSpot-RateLimit-Remaining",
        ),
        Budget(name=SEARCH, calls=5, seconds=1.0, unit="searches"),
        Budget(
            name=DAILY,
            calls=250_000,
            seconds=86_400.0,
            midnight="account",
            limit_header="X-HubSpot-RateLimit-Daily",
            left_header="X-HubSpot-RateLimit-Daily-Remaining",
        ),
    ),
    settle=SETTLE,
    contact_stream="contacts",
    docs="docs/hubspot.md",
)


@hookimpl
def bridge_connectors() -> Iterable[ConnectorSpec]:
    return [SPEC]
