"""What a write must obey at Pipedrive, and what follows from it: defaults, derived fields, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bridge import Json
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Actor, Refusal, fields_of, unfit
from bridge_pipedrive.sandbox_kinds import KINDS, Kind
from bridge_pipedrive.sandbox_rows import Row
from bridge_pipedrive.sandbox_values import Check, stamp

_ANCHORS = ("lead_id", "deal_id", "person_id", "org_id")
_SHOWN_IN_NOTES = ("deal", "person", "organization", "user")


class Draft(NamedTuple):
    """The values of a write that was found good, and its custom fields."""

    values: dict[str, Json]
    custom: dict[str, Json]


def draft(account: Account, kind: Kind, body: Json, actor: Actor, row: Row | None = None) -> Draft:
    """Check a new record, or a change of `row`. Raises Refusal 400 or 403."""
    sent = fields_of(body)
    match kind.name:
        case "notes":
            values, custom = Draft(_note(sent, kind, row), {})
        case "leads":
            values, custom = _lead(account, sent, kind, row)
        case _:
            if kind.name == "activities" and "person_id" in sent:
                message = (
                    "'person_id' is a read-only field. Add a primary participant to set 'person_id' instead."
                )
                raise Refusal(400, message, code="ERR_READ_ONLY_FIELD")
            custom = (
                account.setup.custom(kind.name, "custom_fields", sent.pop("custom_fields", {}))
                if kind.custom
                else {}
            )
            values = _taken(_known(kind, row), sent, strict=True)
    _require(kind, {**(row.values if row else {}), **values})
    account.require_links(kind, values)
    values = _settled(account, kind, values, row, actor)
    return Draft(values, custom)


def _known(kind: Kind, row: Row | None) -> Mapping[str, Check]:
    return {**kind.writable, **(kind.only_change if row else kind.only_create)}


def _taken(known: Mapping[str, Check], sent: Mapping[str, Json], *, strict: bool) -> dict[str, Json]:
    """Return the values that fit; version 2 refuses what it does not know, version 1 leaves it out."""
    if strict and (unknown := [name for name in sent if name not in known]):
        raise unfit(unknown[0], f"Parameter '{unknown[0]}' is not allowed for this request")
    return {name: known[name](name, value) for name, value in sent.items() if name in known}


def _require(kind: Kind, after: Mapping[str, Json]) -> None:
    missing = [name for name in kind.required if after.get(name) in (None, "")]
    if missing:
        raise unfit(missing[0], "is required")


def _note(sent: Mapping[str, Json], kind: Kind, row: Row | None) -> dict[str, Json]:
    """Take a note as version 1 does: shown objects sent back are a bad request (seen by published clients)."""
    if any(name in sent for name in _SHOWN_IN_NOTES):
        raise Refusal(400, "Bad request")
    values = _taken(kind.writable, sent, strict=False)
    after = {**(row.values if row else {}), **values}
    if not any(after.get(name) for name in _ANCHORS):
        raise Refusal(400, "At least one of deal_id, person_id, org_id or lead_id must be specified")
    for name, anchor in zip(("lead", "deal", "person", "organization"), _ANCHORS, strict=True):
        if values.get(f"pinned_to_{name}_flag") and not after.get(anchor):
            raise Refusal(400, f"pinned_to_{name}_flag needs {anchor}")
    return values


def _lead(account: Account, sent: dict[str, Json], kind: Kind, row: Row | None) -> Draft:
    """Take a lead: the custom fields are those of deals and stand beside the others."""
    custom = {name: sent.pop(name) for name in list(sent) if name in account.setup.fields["deals"]}
    if unknown := [name for name in sent if name not in _known(kind, row)]:
        raise Refusal(400, f'"{unknown[0]}" is not allowed')
    values = _taken(_known(kind, row), sent, strict=True)
    after = {**(row.values if row else {}), **values}
    if not after.get("person_id") and not after.get("organization_id"):
        raise Refusal(400, "A lead must be linked to a person or an organization")
    return Draft(values, account.setup.custom("deals", "custom_fields", custom))


def _settled(
    account: Account, kind: Kind, values: dict[str, Json], row: Row | None, actor: Actor
) -> dict[str, Json]:
    """Return the values with the defaults of a new record and what follows from a change."""
    match kind.name:
        case "persons":
            default: dict[str, Json] = {"owner_id": actor.user, "org_id": None, "emails": [], "phones": []}
            default |= {"visible_to": 3, "label_ids": []}
        case "organizations":
            default = {
                "owner_id": actor.user,
                "visible_to": 3,
                "label_ids": [],
                "address": None,
                "website": None,
            }
            default |= dict.fromkeys(("linkedin", "industry", "annual_revenue", "employee_count"))
        case "deals":
            return _deal(account, values, row, actor)
        case "activities":
            return _activity(account, values, row, actor)
        case "notes":
            default = {"user_id": actor.user, **dict.fromkeys(_ANCHORS)}
            default |= {name: False for name in kind.writable if name.startswith("pinned_")}
        case "leads":
            default = {"owner_id": actor.user, "creator_id": actor.user, "label_ids": [], "person_id": None}
            default |= dict.fromkeys(
                ("organization_id", "value", "expected_close_date", "origin_id", "channel", "channel_id")
            )
            default |= {"visible_to": "3", "was_seen": False, "is_archived": False}
            default |= {"origin": "API" if actor.source == "api" else "ManuallyCreated"}
        case "pipelines":
            default = {"is_deal_probability_enabled": False, "order_nr": len(list(account.rows(kind))) + 1}
        case "stages":
            siblings = [
                one for one in account.rows(kind) if one.values["pipeline_id"] == values.get("pipeline_id")
            ]
            default = {"deal_probability": 100, "is_deal_rot_enabled": False, "days_to_rotten": None}
            default |= {"order_nr": len(siblings) + 1}
        case _:
            default = {}
    return values if row else {**default, **values}


def _deal(account: Account, values: dict[str, Json], row: Row | None, actor: Actor) -> dict[str, Json]:
    before: Mapping[str, Json] = row.values if row else {}
    now = stamp(account.clock())
    if before.get("is_archived") and values.get("is_archived", True):
        raise Refusal(403, "Archived deals can not be edited", code="ERR_ARCHIVED")
    after: dict[str, Json] = {
        **dict.fromkeys(("person_id", "org_id", "probability", "lost_reason", "expected_close_date")),
        **dict.fromkeys(("archive_time", "close_time", "won_time", "lost_time")),
        **dict.fromkeys(("origin_id", "channel", "channel_id", "arr", "mrr", "acv", "source_lead_id")),
        "owner_id": actor.user,
        "creator_user_id": actor.user,
        "value": 0,
        "currency": account.currency,
        "status": "open",
        "visible_to": 3,
        "label_ids": [],
        "is_archived": False,
        "stage_change_time": None,
        "origin": "API" if actor.source == "api" else "ManuallyCreated",
        **before,
        **values,
    }
    _place(account, after, values, before)
    if row and after["stage_id"] != before["stage_id"]:
        after["stage_change_time"] = now
    if values.get("lost_reason") and after["status"] != "lost":
        raise unfit("lost_reason", "can only be set if the status is lost")
    if after["status"] != before.get("status", "open"):
        after |= {"won_time": None, "lost_time": None, "close_time": None, "lost_reason": None}
        after |= {
            name: values[name]
            for name in ("won_time", "lost_time", "close_time", "lost_reason")
            if name in values
        }
        if after["status"] != "open":
            name = f"{after['status']}_time"
            after[name] = after[name] or now
            after["close_time"] = after["close_time"] or after[name]
    for name, status in (("won_time", "won"), ("lost_time", "lost")):
        if values.get(name) and after["status"] != status:
            raise unfit(name, f"can only be set if the status is {status}")
    if after["is_archived"] != before.get("is_archived", False):
        after["archive_time"] = (values.get("archive_time") or now) if after["is_archived"] else None
    return after


def _place(
    account: Account, after: dict[str, Json], values: Mapping[str, Json], before: Mapping[str, Json]
) -> None:
    """Bring pipeline and stage together: a stage brings its pipeline, a pipeline its first stage."""
    stages = sorted(account.rows(KINDS["stages"]), key=lambda one: (one.values["order_nr"], one.id))
    if values.get("stage_id") is not None:
        home = account.demand(KINDS["stages"], values["stage_id"]).values["pipeline_id"]
        if values.get("pipeline_id", home) != home:
            raise unfit("stage_id", f"stage {values['stage_id']} is not in pipeline {values['pipeline_id']}")
        after["pipeline_id"] = home
        return
    first = next(one.id for one in account.rows(KINDS["pipelines"]))
    after["pipeline_id"] = after.get("pipeline_id") or first
    if "stage_id" not in before or after["pipeline_id"] != before["pipeline_id"]:
        inside = [one.id for one in stages if one.values["pipeline_id"] == after["pipeline_id"]]
        if not inside:
            raise unfit("pipeline_id", f"pipeline {after['pipeline_id']} has no stages")
        after["stage_id"] = inside[0]


def _activity(account: Account, values: dict[str, Json], row: Row | None, actor: Actor) -> dict[str, Json]:
    before: Mapping[str, Json] = row.values if row else {}
    type = values.get("type")
    if type is not None and type not in account.setup.types:
        raise unfit("type", f"there is no activity type {type[:40]}")
    after: dict[str, Json] = {
        **dict.fromkeys(("deal_id", "lead_id", "org_id", "project_id", "due_date", "due_time", "duration")),
        **dict.fromkeys(("marked_as_done_time", "location", "public_description", "priority", "note")),
        **dict.fromkeys(("conference_meeting_client", "conference_meeting_url", "conference_meeting_id")),
        "owner_id": actor.user,
        "creator_user_id": actor.user,
        "type": "call",
        "busy": False,
        "done": False,
        "participants": [],
        "attendees": [],
        **before,
        **values,
    }
    after["subject"] = after.get("subject") or account.setup.types[after["type"]].name
    if after["done"] != before.get("done", False):
        after["marked_as_done_time"] = stamp(account.clock()) if after["done"] else None
    return after
