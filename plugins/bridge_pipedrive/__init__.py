"""Pipedrive: persons, deals and the timeline, read and written through versions 1 and 2 of its API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bridge import (
    Account,
    AuthError,
    Budget,
    ConnectorSpec,
    Context,
    Created,
    Delivery,
    Field,
    FieldTimes,
    Hint,
    Json,
    Location,
    Match,
    Page,
    Person,
    Phase,
    Receipt,
    Record,
    Rejected,
    Reply,
    Request,
    Skip,
    StreamSpec,
    Unavailable,
    Write,
    hookimpl,
)
from bridge_pipedrive.client import Client
from bridge_pipedrive.lookup import Lookup
from bridge_pipedrive.receiver import Receiver
from bridge_pipedrive.setup import Setup
from bridge_pipedrive.sink import Sink
from bridge_pipedrive.sink_bodies import Bodies
from bridge_pipedrive.source import Source
from bridge_pipedrive.source_records import Missing
from bridge_pipedrive.words import (
    APP_BURST,
    BASE_TOKENS,
    BURST,
    BURSTS,
    KINDS,
    LOOKBACK,
    ME,
    PLANS,
    SETTLE,
    TOKENS,
    USERS,
    mails_of,
    scope_of,
)

SETTINGS: Mapping[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "oneOf": [{"required": ["api_token"]}, {"required": ["access_token"]}],
    "properties": {
        "api_token": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "A user's API token (Pipedrive > your name > Personal preferences > API). It may do"
            " what that user may.",
        },
        "access_token": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "In place of `api_token`: an OAuth access token, by a command that renews it.",
        },
        "company_domain": {
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9-]*$",
            "description": "The first word of your Pipedrive address, `acme` of acme.pipedrive.com; asked of"
            " Pipedrive if not given.",
        },
        "plan": {
            "enum": list(BURSTS),
            "default": "lite",
            "description": "Your company's plan: it decides how many API tokens a day has, and calls two seconds.",
        },
        "seats": {
            "type": "integer",
            "minimum": 1,
            "default": 1,
            "description": "How many seats your company pays for; each brings API tokens.",
        },
        "webhook_user": {
            "type": "string",
            "default": "crmbridge",
            "description": "The HTTP user that the webhooks were given.",
        },
        "webhook_password": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "The HTTP password that the webhooks were given; without it no webhook is taken.",
        },
        "base_url": {
            "type": "string",
            "pattern": "^(https://.+|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?/?)$",
            "default": "https://api.pipedrive.com",
            "description": "Where the API is; another address is for tests.",
        },
    },
}


class Pipedrive:
    """The connector: hands each call on to the module that knows its side of Pipedrive."""

    def __init__(self, settings: Mapping[str, Json], context: Context) -> None:
        self._client = Client(context.http, settings, context.clock)
        self._setup = Setup(self._client, context.clock)
        bodies, missing = Bodies(self._setup), Missing()
        self._source = Source(self._client, self._setup, missing, context.clock)
        self._lookup = Lookup(self._client, self._setup, bodies, missing)
        self._sink = Sink(self._client, self._setup, bodies, missing)
        self._receiver = Receiver(settings, missing)

    def check(self) -> Account:
        """
        Tell whose account this is, and what the key may do.

        An API token may do what its user may, of which Pipedrive tells who is an admin of what; an app's token
        tells nothing, so that one call more for each scope tells which are missing.
        """
        row = self._client.get(ME).record
        company = row.get("company_id")
        if not isinstance(company, int | str) or isinstance(company, bool):
            raise Unavailable(f"Pipedrive answered GET {ME} without a company; the next sync asks again")
        self._client.at_home(str(row.get("company_domain") or ""))
        self._setup.know_zone(row.get("timezone_name"))
        self._receiver.own_user = str(row["id"])
        scopes, missing = self._scopes() if self._client.is_app else (_rights(row), ())
        return Account(
            id=str(company),
            name=str(row.get("company_name") or f"Pipedrive {company}"),
            scopes=scopes,
            missing_scopes=missing,
            time_zone=row.get("timezone_name"),
            currency=row.get("default_currency"),
        )

    def _scopes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the scopes for reading that an app has, and those that it lacks."""
        lists = (*(kind.path for kind in KINDS.values()), mails_of("1"), USERS)
        asked = {scope_of("GET", path): path for path in lists}
        missing: dict[str, None] = {}
        for path in asked.values():
            try:
                self._client.get(path, {} if path == USERS else {"limit": 1})
            except Rejected:  # nobody has that number; the scope was there
                continue
            except AuthError as error:
                if not error.missing_scopes:
                    raise
                missing |= dict.fromkeys(error.missing_scopes)
        return tuple(scope for scope in asked if scope not in missing), tuple(missing)

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        return self._source.pull(stream, phase, cursor, fields)

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Record]:
        return self._source.fetch(stream, ids)

    def verify(self, request: Request) -> Reply:
        return self._receiver.verify(request)

    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        return self._receiver.split(delivery)

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


def _rights(row: Mapping[str, Json]) -> tuple[str, ...]:
    access = row.get("access")
    found = [one for one in access if isinstance(one, dict)] if isinstance(access, list) else []
    return tuple(f"{one.get('app')}{':admin' if one.get('admin') else ''}" for one in found)


def _stream(name: str, *after: str, every: float, sweeps: str = "") -> StreamSpec:
    beats: dict[Phase, float] = {"live": every, "sweep": 86_400.0}
    return StreamSpec(
        name=name,
        after=after,
        lookback=LOOKBACK,
        deletes="sweep" if sweeps == "deleted" else "none",
        phases=("live", "backfill", "sweep") if sweeps else ("live", "backfill"),
        every=beats,
    )


_PEOPLE = ("users", "organizations", "persons", "deals")


def limits(settings: Mapping[str, Json]) -> Sequence[Budget]:
    """
    Return what the plan that the settings name allows.

    Every answer tells the burst; nothing tells what is left of the day's tokens, so that their number comes
    from plan and seats.
    """
    plan, seats = str(settings.get("plan", "lite")), int(settings.get("seats", 1))
    burst = BURSTS[plan] * (APP_BURST if "access_token" in settings else 1)
    return (
        Budget(
            name=BURST,
            calls=burst,
            seconds=2.0,
            limit_header="x-ratelimit-limit",
            left_header="x-ratelimit-remaining",
        ),
        Budget(
            name=TOKENS,
            calls=BASE_TOKENS * PLANS[plan] * seats,
            seconds=86_400.0,
            unit="tokens",
            midnight="UTC",
        ),
    )


SPEC = ConnectorSpec(
    name="pipedrive",
    title="Pipedrive",
    # How often each list is looked at takes about a quarter of the smallest company's tokens; webhooks make it at once.
    streams=(
        _stream("persons", "users", "organizations", every=600.0, sweeps="deleted"),
        _stream("organizations", "users", every=1800.0),
        _stream("deals", "users", "pipelines", "organizations", "persons", every=900.0, sweeps="deleted"),
        _stream("activities", *_PEOPLE, every=600.0),
        _stream("notes", *_PEOPLE, every=900.0),
        _stream("mails", *_PEOPLE, every=1800.0, sweeps="lately"),
        _stream("leads", *_PEOPLE, every=1800.0, sweeps="archived"),
        StreamSpec(name="users", every={"live": 21_600.0}),
        StreamSpec(name="pipelines", every={"live": 21_600.0}),
    ),
    settings=SETTINGS,
    mapping="pipedrive.yaml",
    open=Pipedrive,
    budgets=limits({}),
    budgets_of=limits,
    settle=SETTLE,
    contact_stream="persons",
    docs="docs/pipedrive.md",
)


@hookimpl
def bridge_connectors() -> Iterable[ConnectorSpec]:
    return [SPEC]
