"""Pipedrive's words: its lists and records, what a call costs, what each plan allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bridge import Json

PAGE = 500
HISTORY_PAGE = 50
MAIL_PAGE = 100
IDS = 100
"""
What one call may hold: rows of a list, rows that each take another call, mails with their texts, ids in `ids=`.

OpenAPI description of version 2, parameters `limit` and `ids`, read 2026-11-22.
"""

LOOKBACK = 60.0
"""
Seconds by which each look at changes begins before the last one did.

A change may become visible some seconds after the time that it carries, and times are whole seconds.
"""

SETTLE = 60.0
"""Seconds after a time-out in which Pipedrive may still commit; its gateway gives up earlier."""

BLOCKED = 300.0
"""Seconds to stay away once Cloudflare answers in Pipedrive's place."""

DAILY_RETRY = 3600.0
"""Seconds at most until a company whose tokens are spent is asked again: nothing tells when its day ends."""

KEY_FIELD = "Key of crmbridge"
"""The person field that holds a write's key, by which a person of ours is found again."""

LANES = 8
"""Contacts that are written to at the same time; the budgets say how many calls may start."""

BURST = "burst"
TOKENS = "tokens"
BASE_TOKENS = 30_000
PLANS = {"lite": 1, "growth": 2, "premium": 5, "ultimate": 7}
BURSTS = {"lite": 20, "growth": 40, "premium": 100, "ultimate": 120}
APP_BURST = 4
"""
Tokens a day for each seat, as a multiple of the base, and calls in 2 seconds with an API token; an app has four
times as many calls.

pipedrive.readme.io, core API concepts, rate limiting, as quoted in August 2026, read 2026-11-21.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    One stream that is read by lists of records.

    `path` is its list, `archived` the list of those put away, `entity` its word in webhooks, `fields`
    where its custom fields are described (a lead has those of deals), `old` whether version 1 serves it.
    """

    stream: str
    entity: str
    path: str
    archived: str = ""
    fields: str = ""
    old: bool = False


KINDS = {
    kind.stream: kind
    for kind in (
        Kind(
            stream="persons",
            entity="person",
            path="/api/v2/persons",
            fields="/api/v2/personFields",
        ),
        Kind(
            stream="organizations",
            entity="organization",
            path="/api/v2/organizations",
            fields="/api/v2/organizationFields",
        ),
        Kind(
            stream="deals",
            entity="deal",
            path="/api/v2/deals",
            archived="/api/v2/deals/archived",
            fields="/api/v2/dealFields",
        ),
        Kind(stream="activities", entity="activity", path="/api/v2/activities"),
        Kind(stream="notes", entity="note", path="/v1/notes", old=True),
        Kind(
            stream="leads",
            entity="lead",
            path="/v1/leads",
            archived="/v1/leads/archived",
            fields="/api/v2/dealFields",
            old=True,
        ),
    )
}

MAIL = "/v1/mailbox/mailMessages"
USERS = "/v1/users"
ME = "/v1/users/me"
TYPES = "/v1/activityTypes"
PIPELINES = "/api/v2/pipelines"
STAGES = "/api/v2/stages"

STREAM_OF = {
    **{kind.entity: kind.stream for kind in KINDS.values()},
    "pipeline": "pipelines",
    "stage": "pipelines",
    "user": "users",
}
"""A webhook's word for an object: the stream that shows it."""

WRITABLE = {
    "persons": frozenset(
        ("name", "owner_id", "org_id", "emails", "phones", "visible_to", "label_ids", "marketing_status")
    ),
    "activities": frozenset(
        (
            *("subject", "type", "owner_id", "due_date", "due_time", "duration", "busy", "done", "note"),
            *("public_description", "priority"),
        )
    ),
    "notes": frozenset(("content", "add_time", "user_id")),
}
"""
The fields that a push may set; version 2 refuses a request with any other.

OpenAPI descriptions, POST /persons, /activities and /notes, read 2026-11-22. Links set the rest.
"""

CHANGED_AS = {
    "name": ("first_name", "last_name"),
    "first_name": ("name",),
    "last_name": ("name",),
    "emails": ("email",),
    "phones": ("phone",),
    "label_ids": ("label",),
}
"""
Other keys under which a changelog, which is one of version 1, tells that a person's field was changed.

OpenAPI description, getPersonChangelog, read 2026-11-22; it does not say whether a new name is told as such or in
its parts.
"""

LABELS = {"persons": "person", "activities": "activity", "notes": "note"}

NUMBERS = frozenset(("owner_id", "org_id", "user_id", "visible_to", "priority"))

ACTIVITY_TYPES = {"phone": ("call",), "email": ("email",), "in_person": ("meeting",)}
OTHER_TYPE = "task"
"""Which of the types that every account starts with stands for a channel without a type of its own."""

FIELD_TYPES = {"string": "varchar", "datetime": "date", "number": "double", "enumeration": "enum"}
"""Our words for the type of a field to be created: Pipedrive's; any other word is Pipedrive's already."""

_SCOPES = {
    "persons": "contacts",
    "organizations": "contacts",
    "notes": "contacts",
    "deals": "deals",
    "pipelines": "deals",
    "stages": "deals",
    "activities": "activities",
    "activityTypes": "activities",
    "leads": "leads",
    "users": "users",
    "mailbox": "mail",
    "personFields": "contacts",
    "organizationFields": "contacts",
    "dealFields": "deals",
}
_LISTS = {PIPELINES: 5, STAGES: 5, "/api/v2/deals/archived": 20, "/v1/leads/archived": 40}
_ONE = re.compile(r"/(\d+|[0-9a-f]{8}-[0-9a-f-]{27}|me)$")


def mails_of(person: str) -> str:
    """Return the list of the mails with a person, the only one that tells their Message-ID."""
    return f"/v1/persons/{person}/mailMessages"


def changes_of(person: str) -> str:
    """Return the list of what was changed of a person, newest first."""
    return f"/v1/persons/{person}/changelog"


def cost_of(method: str, path: str) -> int:
    """Return the tokens that a call takes from the company's day (`x-token-cost`, OpenAPI, read 2026-11-22)."""
    if method == "GET" and not _ONE.search(path):
        return _LISTS.get(path) or (20 if path.startswith("/v1/") else 10)
    cost = {"GET": 1, "DELETE": 3}.get(method, 5)
    return cost * 2 if path.startswith("/v1/") else cost


def scope_of(method: str, path: str) -> str:
    """Return the scope that an app needs for a call (`security`, OpenAPI descriptions, read 2026-11-22)."""
    if path.endswith("/changelog"):
        return "recents:read"
    if path.endswith("/mailMessages"):
        return "mail:read"
    area = path.split("/")[2 if path.startswith("/v1/") else 3]
    if method == "GET":
        return f"{_SCOPES.get(area, area)}:read"
    return "admin" if area.endswith("Fields") else f"{_SCOPES.get(area, area)}:full"


def instant(text: Json) -> datetime | None:
    """Return the instant of either version's text, which is UTC where it names no zone; None if it is none."""
    try:
        value = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def second(at: datetime) -> str:
    """Return an instant as Pipedrive takes it: UTC, whole seconds, rounded down."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def old_second(value: Json) -> Json:
    """Return an instant as version 1 takes it; anything else stays as it is."""
    at = moment(value)
    return value if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def moment(value: Json) -> datetime | None:
    """Return the instant in a text that holds a day and a time, None for anything else."""
    return instant(value) if isinstance(value, str) and len(value) > len("2026-11-20") else None


def day(value: Json, zone: ZoneInfo) -> Json:
    """Return the day of an instant in a time zone; anything else stays as it is."""
    at = moment(value)
    return value if at is None else at.astimezone(zone).date().isoformat()


def clock_time(value: Json) -> Json:
    """Return the time of day of an instant in UTC, as HH:MM; anything else stays as it is."""
    at = moment(value)
    return value if at is None else f"{at:%H:%M}"


def duration(value: Json) -> Json:
    """Return milliseconds as HH:MM, begun minutes counted and at most 23:59; text stays as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    minutes = min(-(-max(0, int(value)) // 60_000), 24 * 60 - 1)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
