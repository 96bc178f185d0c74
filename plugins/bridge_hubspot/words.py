"""HubSpot's words: object types, what is read with each, and the ids of the links between them."""

from __future__ import annotations

from dataclasses import dataclass

from bridge import Json

PAUSE = 10.0
"""Seconds to stay away after a 5xx; HubSpot's page on error handling says "a few"."""

KEY_PROPERTY = "crmbridge_key"
GROUP = "crmbridge"

LANES = 10
"""Batches that are on their way at the same time; the budgets say how many may start."""

BATCH = 100
HISTORY_BATCH = 50
SEARCH_PAGE = 200
SEARCH_CHARACTERS = 3_000
LINK_READ_BATCH = 1_000
LINK_WRITE_BATCH = 2_000
UNLINK_BATCH = 100
QUERY_CHARACTERS = 3_000
"""
What one call may hold.

Batches, search and associations: developers.hubspot.com, guides "using object APIs", "search the CRM"
and "associations", read 2026-11-21. Histories: the API's own refusal, "maximum ... for property
histories is 50". A longer query risks 414, so that wide reads go by POST.
"""

LOOKBACK = 120.0
"""Seconds that HubSpot's search index is allowed to lag; its page says "a few moments"."""

SETTLE = 30.0
"""
Seconds after a time-out in which HubSpot may still commit.

HubSpot's own gateway gives up on a call after about 30 s, so that nothing it still holds can be
committed later than that.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectType:
    """
    One type of CRM object: its path word is the stream's name.

    `modified` is the property that search can order by, `links` the types whose ids are read with
    each record, `history` the properties read with their past values, `text` those in which our
    marker stands, `merges` whether HubSpot merges records of this type, `scope` what reading takes.
    """

    name: str
    label: str
    modified: str = "hs_lastmodifieddate"
    links: tuple[str, ...] = ("contacts", "companies", "deals")
    history: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    merges: bool = False
    scope: str = "crm.objects.contacts"


OBJECTS = {
    kind.name: kind
    for kind in (
        ObjectType(
            name="companies",
            label="company",
            links=(),
            merges=True,
            scope="crm.objects.companies",
        ),
        ObjectType(
            name="contacts",
            label="contact",
            modified="lastmodifieddate",
            links=("companies", "deals"),
            merges=True,
        ),
        ObjectType(
            name="deals",
            label="deal",
            links=("contacts", "companies"),
            history=("dealstage",),
            merges=True,
            scope="crm.objects.deals",
        ),
        ObjectType(name="communications", label="message", text=("hs_communication_body",)),
        ObjectType(name="emails", label="email", text=("hs_email_text", "hs_email_html")),
        ObjectType(name="calls", label="call", text=("hs_call_body",)),
        ObjectType(name="notes", label="note", text=("hs_note_body",)),
        ObjectType(name="meetings", label="meeting", text=("hs_meeting_body",)),
        ObjectType(name="tasks", label="task", text=("hs_task_body",)),
    )
}
"""Parents stand before those that link to them: creates go out in this order."""

LINK_TYPES = {
    ("contacts", "companies"): 279,
    ("contacts", "deals"): 4,
    ("companies", "contacts"): 280,
    ("companies", "deals"): 342,
    ("deals", "contacts"): 3,
    ("deals", "companies"): 341,
    ("communications", "contacts"): 81,
    ("communications", "companies"): 87,
    ("communications", "deals"): 85,
    ("emails", "contacts"): 198,
    ("emails", "companies"): 186,
    ("emails", "deals"): 210,
    ("calls", "contacts"): 194,
    ("calls", "companies"): 182,
    ("calls", "deals"): 206,
    ("meetings", "contacts"): 200,
    ("meetings", "companies"): 188,
    ("meetings", "deals"): 212,
    ("notes", "contacts"): 202,
    ("notes", "companies"): 190,
    ("notes", "deals"): 214,
    ("tasks", "contacts"): 204,
    ("tasks", "companies"): 192,
    ("tasks", "deals"): 216,
}
"""
Ids of the plain links, category HUBSPOT_DEFINED; none of them makes a link the primary one.

developers.hubspot.com, guide "associations", table "association type id values", read 2026-11-21.
"""

PHONE_PROPERTIES = ("phone", "mobilephone", "hs_whatsapp_phone_number")

FIELD_TYPES = {
    "string": "text",
    "number": "number",
    "datetime": "date",
    "date": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
    "phone_number": "phonenumber",
}
"""The form control that each property type gets; HubSpot wants both."""


def link_type(from_type: str, to_type: str) -> dict[str, str | int] | None:
    """Return the association spec of a plain link between two object types, None if HubSpot has none."""
    number = LINK_TYPES.get((from_type, to_type))
    if number is None:
        return None
    return {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}


def as_text(value: Json) -> str:
    """Return a property's value as HubSpot takes it; None clears the property."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(map(as_text, value))
    return str(value)
