"""The endpoints of Pipedrive about its settings: fields and activity types."""

from __future__ import annotations

from collections.abc import Mapping

from bridge import Json
from bridge_pipedrive import sandbox_values as values
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Answer, Asked, Refusal, fields_of, not_found, unfit
from bridge_pipedrive.sandbox_lists import paged
from bridge_pipedrive.sandbox_setup import FIELD_TYPES, ActivityType, Field
from bridge_pipedrive.sandbox_v2 import Endpoint
from bridge_pipedrive.sandbox_values import old_stamp, stamp

_COMMON = {
    "owner_id": ("Owner", "user"),
    "label_ids": ("Label", "set"),
    "visible_to": ("Visible to", "visible_to"),
    "add_time": ("Created", "date"),
    "update_time": ("Updated", "date"),
}
_BUILT_IN: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "persons": {
        "name": ("Name", "varchar"),
        "first_name": ("First name", "varchar"),
        "last_name": ("Last name", "varchar"),
        "email": ("Email", "varchar"),
        "phone": ("Phone", "phone"),
        "org_id": ("Organization", "org"),
        **_COMMON,
    },
    "organizations": {
        "name": ("Name", "varchar"),
        "address": ("Address", "address"),
        "website": ("Website", "varchar"),
        **_COMMON,
    },
    "deals": {
        "title": ("Title", "varchar"),
        "value": ("Value", "monetary"),
        "currency": ("Currency", "varchar"),
        "status": ("Status", "status"),
        "pipeline_id": ("Pipeline", "double"),
        "stage_id": ("Stage", "stage"),
        "person_id": ("Contact person", "people"),
        "org_id": ("Organization", "org"),
        "probability": ("Probability", "int"),
        "expected_close_date": ("Expected close date", "date"),
        "lost_reason": ("Lost reason", "varchar_options"),
        **_COMMON,
    },
}
_SETTABLE = ("field_name", "field_type", "options", "ui_visibility", "important_fields", "required_fields")
_CHOSEN = ("enum", "set")
_ICONS = (
    *("task", "email", "meeting", "deadline", "call", "lunch", "calendar", "downarrow", "document"),
    *("smartphone", "camera", "scissors", "cogs", "bubble", "uparrow", "checkbox", "signpost", "shuffle"),
    *("addressbook", "linegraph", "picture", "car", "world", "search", "clip", "sound", "brush", "key"),
    *("padlock", "pricetag", "suitcase", "finish", "plane", "loop", "wifi", "truck", "cart", "bulb"),
    *("bell", "presentation"),
)


def _shown(code: str, name: str, type: str, field: Field | None = None) -> dict[str, Json]:
    options = [{"id": id, "label": label} for id, label in field.options] if field else []
    return {
        "field_name": name,
        "field_code": code,
        "field_type": type,
        "options": options or None,
        "subfields": None,
        "is_custom_field": field is not None,
        "is_optional_response_field": False,
    }


def _all(account: Account, owner: str) -> list[dict[str, Json]]:
    built_in = [_shown(code, *words) for code, words in _BUILT_IN[owner].items()]
    custom = account.setup.fields[owner].values()
    return built_in + [_shown(field.code, field.name, field.type, field) for field in custom]


def field_lister(owner: str) -> Endpoint:
    def listed(account: Account, asked: Asked) -> Answer:
        page, cursor = paged(asked, _all(account, owner))
        return Answer(body={"success": True, "data": page, "additional_data": {"next_cursor": cursor}})

    return listed


def field_reader(owner: str) -> Endpoint:
    def read(account: Account, asked: Asked) -> Answer:
        for field in _all(account, owner):
            if field["field_code"] == asked.words["field_code"]:
                return Answer(body={"success": True, "data": field})
        raise not_found("field")

    return read


def field_creator(owner: str) -> Endpoint:
    """Add a custom field; nothing forbids two of one name, and none can be unique."""

    def create(account: Account, asked: Asked) -> Answer:
        sent = fields_of(asked.body)
        if unknown := [name for name in sent if name not in _SETTABLE]:
            raise unfit(unknown[0], f"Parameter '{unknown[0]}' is not allowed for this request")
        name = values.filled("field_name", sent.get("field_name"))
        if len(name) > 255:
            raise unfit("field_name", "length must be less than or equal to 255 characters")
        type = str(values.one_of(*FIELD_TYPES)("field_type", sent.get("field_type")))
        option = values.record({"label": values.filled}, {})
        labels = [one["label"] for one in values.each(option)("options", sent.get("options", []))]
        if bool(labels) is not (type in _CHOSEN):
            raise unfit("options", f"are for fields of type {' and '.join(_CHOSEN)}")
        field = account.setup.add_field(owner, name, type, tuple(labels))
        return Answer(body={"success": True, "data": _shown(field.code, field.name, field.type, field)})

    return create


def list_types(account: Account, asked: Asked) -> Answer:
    return Answer(body={"success": True, "data": [_type(one) for one in account.setup.types.values()]})


def create_type(account: Account, asked: Asked) -> Answer:
    sent = fields_of(asked.body)
    name = sent.get("name")
    if not isinstance(name, str) or not name.strip():
        raise Refusal(400, "name is required")
    if sent.get("icon_key") not in _ICONS:
        raise Refusal(400, f"icon_key must be one of {', '.join(_ICONS)}")
    return Answer(
        body={"success": True, "data": _type(account.setup.add_type(name.strip(), sent["icon_key"]))}
    )


def _type(one: ActivityType) -> dict[str, Json]:
    at = old_stamp(stamp(one.added_at))
    return {
        "id": one.id,
        "order_nr": one.id,
        "name": one.name,
        "key_string": one.key,
        "icon_key": one.icon,
        "active_flag": True,
        "color": "FFFFFF",
        "is_custom_flag": one.custom,
        "add_time": at,
        "update_time": at,
    }
