"""What Pipedrive's objects are: their names, and the parameters that writes and lists take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge_pipedrive import sandbox_values as values
from bridge_pipedrive.sandbox_values import Check, maybe

_VISIBILITY = values.one_of(1, 3, 5, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    One type of object.

    `name` stands in paths, `entity` in webhooks and searches; `title` is the field with its name.
    `writable` are the parameters of a create and a change, `only_create` and `only_change` of one alone.
    `links` say which object another field names. `filters` are what a list of version 2 takes
    besides ids, times and paging; `sorts` what it can be sorted by.
    """

    name: str
    entity: str
    title: str
    writable: Mapping[str, Check] = field(default_factory=dict)
    only_create: Mapping[str, Check] = field(default_factory=dict)
    only_change: Mapping[str, Check] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    filters: tuple[str, ...] = ()
    sorts: tuple[str, ...] = ("id", "update_time", "add_time")
    custom: bool = False


PERSONS = Kind(
    name="persons",
    entity="person",
    title="name",
    writable={
        "name": values.filled,
        "owner_id": values.whole,
        "org_id": maybe(values.whole),
        "emails": values.channels,
        "phones": values.channels,
        "visible_to": _VISIBILITY,
        "label_ids": values.each(values.whole),
    },
    only_create={"add_time": values.moment},
    required=("name",),
    links={"owner_id": "users", "org_id": "organizations"},
    filters=("owner_id", "org_id", "deal_id"),
    custom=True,
)
ORGANIZATIONS = Kind(
    name="organizations",
    entity="organization",
    title="name",
    writable={
        "name": values.filled,
        "owner_id": values.whole,
        "visible_to": _VISIBILITY,
        "label_ids": values.each(values.whole),
        "address": maybe(values.place),
        "website": maybe(values.text),
        "linkedin": maybe(values.text),
        "industry": maybe(values.whole),
        "annual_revenue": maybe(values.whole),
        "employee_count": maybe(values.whole),
    },
    only_create={"add_time": values.moment},
    required=("name",),
    links={"owner_id": "users"},
    filters=("owner_id",),
    custom=True,
)
DEALS = Kind(
    name="deals",
    entity="deal",
    title="title",
    writable={
        "title": values.filled,
        "owner_id": values.whole,
        "person_id": maybe(values.whole),
        "org_id": maybe(values.whole),
        "pipeline_id": values.whole,
        "stage_id": values.whole,
        "value": maybe(values.number),
        "currency": values.filled,
        "is_archived": values.flag,
        "archive_time": maybe(values.old_moment),
        "status": values.one_of("open", "won", "lost"),
        "probability": maybe(values.number),
        "lost_reason": maybe(values.text),
        "visible_to": _VISIBILITY,
        "close_time": maybe(values.old_moment),
        "won_time": maybe(values.old_moment),
        "lost_time": maybe(values.old_moment),
        "expected_close_date": maybe(values.day),
        "label_ids": values.each(values.whole),
    },
    required=("title",),
    links={
        "owner_id": "users",
        "person_id": "persons",
        "org_id": "organizations",
        "pipeline_id": "pipelines",
        "stage_id": "stages",
    },
    filters=("owner_id", "person_id", "org_id", "pipeline_id", "stage_id", "status"),
    custom=True,
)
ACTIVITIES = Kind(
    name="activities",
    entity="activity",
    title="subject",
    writable={
        "subject": values.text,
        "type": values.filled,
        "owner_id": values.whole,
        "deal_id": maybe(values.whole),
        "lead_id": maybe(values.lead_id),
        "org_id": maybe(values.whole),
        "due_date": maybe(values.day),
        "due_time": maybe(values.clock_time),
        "duration": maybe(values.clock_time),
        "busy": values.flag,
        "done": values.flag,
        "location": maybe(values.place),
        "participants": values.participants,
        "attendees": values.attendees,
        "public_description": maybe(values.text),
        "priority": maybe(values.whole),
        "note": maybe(values.html),
    },
    links={"owner_id": "users", "deal_id": "deals", "lead_id": "leads", "org_id": "organizations"},
    filters=("owner_id", "deal_id", "lead_id", "person_id", "org_id", "done"),
    sorts=("id", "update_time", "add_time", "due_date"),
)
PIPELINES = Kind(
    name="pipelines",
    entity="pipeline",
    title="name",
    writable={"name": values.filled, "is_deal_probability_enabled": values.flag},
    required=("name",),
)
STAGES = Kind(
    name="stages",
    entity="stage",
    title="name",
    writable={
        "name": values.filled,
        "pipeline_id": values.whole,
        "deal_probability": values.whole,
        "is_deal_rot_enabled": values.flag,
        "days_to_rotten": maybe(values.whole),
    },
    required=("name", "pipeline_id"),
    links={"pipeline_id": "pipelines"},
    filters=("pipeline_id",),
    sorts=("id", "update_time", "add_time", "order_nr"),
)
_NOTE_PINS = {
    f"pinned_to_{word}_flag": values.loose_flag for word in ("lead", "deal", "organization", "person")
}
NOTES = Kind(
    name="notes",
    entity="note",
    title="content",
    writable={
        "content": values.html,
        "lead_id": maybe(values.lead_id),
        "deal_id": maybe(values.loose_whole),
        "person_id": maybe(values.loose_whole),
        "org_id": maybe(values.loose_whole),
        "user_id": values.loose_whole,
        "add_time": values.old_moment,
        **_NOTE_PINS,
    },
    required=("content",),
    links={
        "lead_id": "leads",
        "deal_id": "deals",
        "person_id": "persons",
        "org_id": "organizations",
        "user_id": "users",
    },
)
LEADS = Kind(
    name="leads",
    entity="lead",
    title="title",
    writable={
        "title": values.filled,
        "owner_id": values.loose_whole,
        "label_ids": values.each(values.lead_id),
        "person_id": maybe(values.loose_whole),
        "organization_id": maybe(values.loose_whole),
        "value": maybe(values.money),
        "expected_close_date": maybe(values.day),
        "visible_to": values.one_of("1", "3", "5", "7"),
        "was_seen": values.flag,
        "channel": maybe(values.whole),
        "channel_id": maybe(values.text),
    },
    only_create={"origin_id": maybe(values.text)},
    only_change={"is_archived": values.flag},
    required=("title",),
    links={"owner_id": "users", "person_id": "persons", "organization_id": "organizations"},
    custom=True,
)
USERS = Kind(
    name="users", entity="user", title="name", writable={"name": values.filled, "email": values.filled}
)

KINDS = {
    kind.name: kind
    for kind in (PERSONS, ORGANIZATIONS, DEALS, ACTIVITIES, PIPELINES, STAGES, NOTES, LEADS, USERS)
}
