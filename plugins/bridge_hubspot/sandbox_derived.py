"""The properties HubSpot fills in by itself from others of the same record."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import nh3
import orjson

from bridge_hubspot.sandbox_catalog import LIFECYCLE, Kind, Pipeline, Stage
from bridge_hubspot.sandbox_values import instant_text

_PREVIEW = 255
_BREAKS = re.compile(r"<(?:br|/p|/div|/li)\s*/?>", re.IGNORECASE)


def plain(body: str) -> str:
    """Return the text of an HTML body, lines where it breaks them."""
    return html.unescape(nh3.clean(_BREAKS.sub("\n", body), tags=set())).strip()


def derived(
    kind: Kind,
    now_held: Mapping[str, str],
    changed: Iterable[str],
    pipelines: Iterable[Pipeline],
    at: datetime,
) -> dict[str, str | None]:
    """Return what follows from the `changed` ones of the properties `now_held`; None clears."""
    names = set(changed)
    result: dict[str, str | None] = {}
    if kind.body in names:
        result["hs_body_preview"] = plain(now_held.get(kind.body, ""))[:_PREVIEW] or None
    if kind.name == "emails" and "hs_email_headers" in names:
        result |= _from_headers(now_held.get("hs_email_headers", ""))
    if kind.name == "contacts":
        if "email" in names:
            result["hs_email_domain"] = now_held.get("email", "").partition("@")[2] or None
        if "phone" in names:
            result["hs_searchable_calculated_phone_number"] = _searchable(now_held.get("phone", ""))
        if "mobilephone" in names:
            result["hs_searchable_calculated_mobile_number"] = _searchable(now_held.get("mobilephone", ""))
    if kind.name == "deals" and "dealstage" in names:
        stage = stage_of(pipelines, now_held.get("dealstage", ""))
        if stage is not None:
            result["hs_is_closed"] = "true" if stage.closed else "false"
            won = stage.closed and stage.probability == "1.0"
            result["hs_is_closed_won"] = "true" if won else "false"
            result["hs_closed_won_date"] = now_held.get("closedate", instant_text(at)) if won else None
            result["hs_deal_stage_probability"] = stage.probability
            if stage.closed and "closedate" not in now_held:
                result["closedate"] = instant_text(at)
    if kind.name == "tasks" and "hs_task_status" in names:
        done = now_held.get("hs_task_status") == "COMPLETED"
        result["hs_task_completion_date"] = instant_text(at) if done else None
    return result


def stage_of(pipelines: Iterable[Pipeline], stage_id: str) -> Stage | None:
    """Return the stage with this id in any pipeline, None if there is none."""
    return next((stage for pipeline in pipelines for stage in pipeline.stages if stage.id == stage_id), None)


def backwards(before: str | None, after: str | None) -> bool:
    """
    Say whether a lifecycle stage would move back, which HubSpot ignores until the property is cleared.

    knowledge.hubspot.com, use lifecycle stages, read 2026-11-21.
    """
    if before not in LIFECYCLE or after not in LIFECYCLE:
        return False
    return LIFECYCLE.index(after) < LIFECYCLE.index(before)


def headers_fit(value: str) -> bool:
    """Say whether hs_email_headers holds what HubSpot reads: a JSON object in a string."""
    try:
        return isinstance(orjson.loads(value), dict)
    except orjson.JSONDecodeError:
        return False


def _from_headers(value: str) -> dict[str, str | None]:
    headers = orjson.loads(value) if value and headers_fit(value) else {}
    result: dict[str, str | None] = {}
    for role, fields in {
        "from": ("email", "firstname", "lastname"),
        "sender": ("email",),
        "to": ("email", "firstname", "lastname"),
        "cc": ("email",),
        "bcc": ("email",),
    }.items():
        people = headers.get(role)
        people = people if isinstance(people, list) else [people]
        people = [person for person in people if isinstance(person, dict)]
        for field in fields:
            key = {"firstname": "firstName", "lastname": "lastName"}.get(field, field)
            found = [str(person[key]) for person in people if person.get(key)]
            result[f"hs_email_{role}_{field}"] = ";".join(found) or None
    return result


def _searchable(number: str) -> str | None:
    """Return the digits people search a number by: those after the country code, roughly."""
    digits = re.sub(r"\D", "", number)
    if number.startswith("+1") and len(digits) == 11:
        return digits[1:]
    return (digits[2:] if number.startswith("+") and len(digits) > 10 else digits) or None
