"""What a fresh HubSpot account holds: object types, association types, pipelines, owners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    One object type. `shown` are the properties a read returns unasked, `required` those a
    create must carry, `body` the property that holds HTML, `unique` those usable as idProperty.
    """

    name: str
    type_id: str
    singular: str
    scope: str
    created: str
    modified: str
    shown: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    searchable: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    body: str = ""
    engagement: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property definition; `options` are (value, label); `many` means several options, joined by `;`."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    options: tuple[tuple[str, str], ...] = ()
    description: str = ""
    read_only: bool = False
    unique: bool = False
    built_in: bool = True
    archived: bool = False
    refers_to: str = ""

    @property
    def many(self) -> bool:
        return self.field_type == "checkbox"


class Stage(NamedTuple):
    id: str
    label: str
    probability: str
    closed: bool


class Pipeline(NamedTuple):
    id: str
    label: str
    stages: tuple[Stage, ...]


class Owner(NamedTuple):
    id: str
    user_id: int
    email: str
    first_name: str
    last_name: str
    archived: bool = False


def _engagement(name: str, type_id: str, singular: str, body: str, *required: str) -> Kind:
    return Kind(
        name=name,
        type_id=type_id,
        singular=singular,
        scope="crm.objects.contacts",
        created="hs_createdate",
        modified="hs_lastmodifieddate",
        required=("hs_timestamp", *required),
        searchable=(body,),
        body=body,
        engagement=True,
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        name="contacts",
        type_id="0-1",
        singular="contact",
        scope="crm.objects.contacts",
        created="createdate",
        modified="lastmodifieddate",
        shown=("email", "firstname", "lastname"),
        searchable=("firstname", "lastname", "email", "phone", "company", "hs_additional_emails"),
        unique=("email",),
    ),
    Kind(
        name="companies",
        type_id="0-2",
        singular="company",
        scope="crm.objects.companies",
        created="createdate",
        modified="hs_lastmodifieddate",
        shown=("domain", "name"),
        searchable=("name", "domain", "phone", "website"),
    ),
    Kind(
        name="deals",
        type_id="0-3",
        singular="deal",
        scope="crm.objects.deals",
        created="createdate",
        modified="hs_lastmodifieddate",
        shown=("amount", "closedate", "dealname", "dealstage", "pipeline"),
        searchable=("dealname", "description"),
    ),
    _engagement(
        "communications",
        "0-18",
        "communication",
        "hs_communication_body",
        "hs_communication_channel_type",
    ),
    _engagement("emails", "0-49", "email", "hs_email_html", "hs_email_direction"),
    _engagement("calls", "0-48", "call", "hs_call_body"),
    _engagement("notes", "0-46", "note", "hs_note_body"),
    _engagement("meetings", "0-47", "meeting", "hs_meeting_body"),
    _engagement("tasks", "0-27", "task", "hs_task_body"),
)

_BY_WORD = {word: kind for kind in KINDS for word in (kind.name, kind.type_id, kind.singular)}


def kind_of(word: str) -> Kind | None:
    """Return the object type called `word` (its name, its singular or its id such as 0-1), or None."""
    return _BY_WORD.get(word.lower())


# Association type ids (developers.hubspot.com, associations guide, copy of 2026-03-30): there, back.
_LINK_TYPES: dict[tuple[str, str], tuple[int, int]] = {
    ("contacts", "companies"): (279, 280),
    ("deals", "contacts"): (3, 4),
    ("deals", "companies"): (341, 342),
    ("communications", "contacts"): (81, 82),
    ("communications", "companies"): (87, 88),
    ("communications", "deals"): (85, 86),
    ("emails", "contacts"): (198, 197),
    ("emails", "companies"): (186, 185),
    ("emails", "deals"): (210, 209),
    ("calls", "contacts"): (194, 193),
    ("calls", "companies"): (182, 181),
    ("calls", "deals"): (206, 205),
    ("meetings", "contacts"): (200, 199),
    ("meetings", "companies"): (188, 187),
    ("meetings", "deals"): (212, 211),
    ("notes", "contacts"): (202, 201),
    ("notes", "companies"): (190, 189),
    ("notes", "deals"): (214, 213),
    ("tasks", "contacts"): (204, 203),
    ("tasks", "companies"): (192, 191),
    ("tasks", "deals"): (216, 215),
    ("contacts", "contacts"): (449, 449),
    ("companies", "companies"): (450, 450),
    ("deals", "deals"): (451, 451),
}
# The types that mark the one primary company of a contact or deal.
_PRIMARY_TYPES: dict[tuple[str, str], tuple[int, int]] = {
    ("contacts", "companies"): (1, 2),
    ("deals", "companies"): (5, 6),
}


def _both_ways(
    table: dict[tuple[str, str], tuple[int, int]],
) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    for (source, target), (there, back) in table.items():
        yield (source, target), (there, back)
        yield (target, source), (back, there)


LINK_TYPES = dict(_both_ways(_LINK_TYPES))
"""(from, to) -> the type id of a plain link from there, and of the same link seen from the other end."""

PRIMARY_TYPES = dict(_both_ways(_PRIMARY_TYPES))
"""The same for the link that makes a company the primary one."""

LINK_TARGETS = {
    (source, types[0]): _BY_WORD[target]
    for table in (LINK_TYPES, PRIMARY_TYPES)
    for (source, target), types in table.items()
}
"""(from, type id) -> the object type such a link leads to."""

LIFECYCLE = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)

DEAL_PIPELINE = Pipeline(
    "default",
    "Sales Pipeline",
    (
        Stage("appointmentscheduled", "Appointment Scheduled", "0.2", False),
        Stage("qualifiedtobuy", "Qualified To Buy", "0.4", False),
        Stage("presentationscheduled", "Presentation Scheduled", "0.6", False),
        Stage("decisionmakerboughtin", "Decision Maker Bought-In", "0.8", False),
        Stage("contractsent", "Contract Sent", "0.9", False),
        Stage("closedwon", "Closed Won", "1.0", True),
        Stage("closedlost", "Closed Lost", "0.0", True),
    ),
)

OWNERS: tuple[Owner, ...] = (
    Owner("77", 9077, "rui@example.com", "Rui", "Costa"),
    Owner("78", 9078, "marta@example.com", "Marta", "Lima"),
)
