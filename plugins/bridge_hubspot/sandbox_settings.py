"""The endpoints of HubSpot about the account itself: properties, groups, owners, pipelines, usage."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bridge import Json
from bridge_hubspot.sandbox_answers import (
    CONFLICT,
    Answer,
    Asked,
    Refusal,
    invalid,
    not_found,
    obj,
    rows,
    text,
    whole,
)
from bridge_hubspot.sandbox_catalog import Kind, Owner, Pipeline, Property, Stage
from bridge_hubspot.sandbox_faults import Meter
from bridge_hubspot.sandbox_objects import BATCH, batch_answer, kind_in
from bridge_hubspot.sandbox_portal import Portal
from bridge_hubspot.sandbox_values import instant_text

_BIRTH = instant_text(datetime(2024, 1, 1, tzinfo=UTC))
_UNIQUE_PER_TYPE = 10
_FIELD_TYPES = {
    "string": {"text", "textarea", "html", "phonenumber", "file"},
    "number": {"number"},
    "date": {"date"},
    "datetime": {"date"},
    "bool": {"booleancheckbox"},
    "enumeration": {"select", "radio", "checkbox", "booleancheckbox"},
    "phone_number": {"phonenumber"},
}


def _shown(definition: Property) -> dict[str, Json]:
    return {
        "name": definition.name,
        "label": definition.label,
        "type": definition.type,
        "fieldType": definition.field_type,
        "groupName": definition.group,
        "description": definition.description,
        "options": [
            {"label": label, "value": value, "displayOrder": order, "hidden": False}
            for order, (value, label) in enumerate(definition.options)
        ],
        "displayOrder": -1,
        "calculated": definition.read_only,
        "externalOptions": definition.refers_to in ("OWNER", "PIPELINE", "STAGE"),
        "hasUniqueValue": definition.unique,
        "hidden": False,
        "formField": not definition.built_in,
        "hubspotDefined": definition.built_in,
        "archived": definition.archived,
        "dataSensitivity": "non_sensitive",
        "createdAt": _BIRTH,
        "updatedAt": _BIRTH,
        "modificationMetadata": {
            "archivable": not definition.built_in,
            "readOnlyDefinition": definition.built_in,
            "readOnlyOptions": definition.built_in,
            "readOnlyValue": definition.read_only,
        },
    }


def list_properties(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    archived = asked.flag("archived")
    results = [
        _shown(portal.setup.definition(kind, name) or definition)
        for name, definition in portal.setup.properties[kind.name].items()
        if definition.archived is archived
    ]
    return Answer(status=200, body={"results": results})


def _demand(portal: Portal, kind: Kind, name: str) -> Property:
    definition = portal.setup.definition(kind, name)
    if definition is None:
        raise not_found(f"{kind.type_id} property named {name[:50]} doesn't exist")
    return definition


def get_property(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    return Answer(status=200, body=_shown(_demand(portal, kind, asked.words["name"])))


def _new(portal: Portal, kind: Kind, row: Mapping[str, Json]) -> Property:
    """Return the property a request asks for. Raises Refusal."""
    name = text(row.get("name"), "name")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
        raise invalid(f"Property name {name[:50]!r} must be lower-case letters, digits and underscores")
    group = text(row.get("groupName"), "groupName")
    if group not in portal.setup.groups[kind.name]:
        raise invalid(f"Property group {group[:50]!r} doesn't exist for {kind.name}")
    type_, field_type = text(row.get("type"), "type"), text(row.get("fieldType"), "fieldType")
    if field_type not in _FIELD_TYPES.get(type_, ()):
        raise invalid(f"Property type {type_[:30]!r} doesn't go with fieldType {field_type[:30]!r}")
    label = text(row.get("label"), "label")
    if not label:
        raise invalid("label must not be empty")
    existing = portal.setup.properties[kind.name].get(name)
    if existing is not None:
        raise Refusal(
            409,
            CONFLICT,
            f"A property named '{name}' already exists.",
            sub_category="Properties.PROPERTY_EXISTS",
        )
    options = _options(row.get("options"))
    if type_ == "enumeration" and field_type != "booleancheckbox" and not options:
        raise invalid(f"Property {name} of type enumeration needs options")
    unique = row.get("hasUniqueValue") is True
    if unique:
        _require_room(portal, kind, name, type_)
    return Property(
        name=name,
        label=label,
        type=type_,
        field_type=field_type,
        group=group,
        options=options,
        description=text(row.get("description"), "description"),
        unique=unique,
        built_in=False,
    )


def _require_room(portal: Portal, kind: Kind, name: str, type_: str) -> None:
    """Raise Refusal unless a unique property may be made: no engagements, ten at most, texts and numbers."""
    if kind.engagement and not portal.levers.unique_on_engagements:
        raise invalid(f"Property {name}: {kind.name} don't support hasUniqueValue")
    if type_ not in ("string", "number"):
        raise invalid(f"Property {name}: hasUniqueValue needs type string or number")
    if sum(one.unique for one in portal.setup.properties[kind.name].values()) >= _UNIQUE_PER_TYPE:
        raise invalid(f"{kind.name} have {_UNIQUE_PER_TYPE} unique properties already, which is the limit")


def _options(value: Json) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid("Invalid input JSON: options must be a list")
    found = {}
    for one in value:
        row = obj(one, "each of options")
        option = text(row.get("value"), "value")
        if not option or option in found:
            raise invalid(f"Option values must be unique and not empty: {option[:50]!r}")
        found[option] = text(row.get("label"), "label") or option
    return tuple(found.items())


def create_property(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    definition = _new(portal, kind, obj(asked.body, "the body"))
    portal.setup.properties[kind.name][definition.name] = definition
    return Answer(status=201, body=_shown(definition))


def create_properties(portal: Portal, asked: Asked) -> Answer:
    """Create many; one that cannot be created fails them all."""
    kind = kind_in(asked.words["type"])
    new = [_new(portal, kind, row) for row in rows(asked.body, "inputs", BATCH)]
    if len({one.name for one in new}) < len(new):
        raise invalid("Duplicate property names found in batch input")
    portal.setup.properties[kind.name] |= {one.name: one for one in new}
    return batch_answer(portal, [_shown(one) for one in new], [], good=201)


def read_properties(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    names = [text(row.get("name"), "name") for row in rows(asked.body, "inputs", BATCH)]
    return batch_answer(portal, [_shown(_demand(portal, kind, name)) for name in names], [], good=200)


def update_property(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    definition = _demand(portal, kind, asked.words["name"])
    if definition.built_in:
        raise invalid(f"Property {definition.name} is defined by HubSpot; its definition is read only")
    body = obj(asked.body, "the body")
    definition = dataclasses.replace(
        definition,
        label=text(body.get("label"), "label") or definition.label,
        description=text(body.get("description"), "description", definition.description),
        options=_options(body["options"]) if "options" in body else definition.options,
    )
    portal.setup.properties[kind.name][definition.name] = definition
    return Answer(status=200, body=_shown(definition))


def archive_property(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    definition = _demand(portal, kind, asked.words["name"])
    if definition.built_in:
        raise invalid(f"Property {definition.name} is defined by HubSpot; it can't be archived")
    portal.setup.properties[kind.name][definition.name] = dataclasses.replace(definition, archived=True)
    return Answer(status=204)


def list_groups(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    results = [_group(name, label) for name, label in portal.setup.groups[kind.name].items()]
    return Answer(status=200, body={"results": results})


def _group(name: str, label: str) -> dict[str, Json]:
    return {"name": name, "label": label, "displayOrder": -1, "archived": False}


def create_group(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    body = obj(asked.body, "the body")
    name, label = text(body.get("name"), "name"), text(body.get("label"), "label")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name) or not label:
        raise invalid(
            "A property group needs a label and a name of lower-case letters, digits and underscores"
        )
    if name in portal.setup.groups[kind.name]:
        raise Refusal(409, CONFLICT, f"A property group named '{name}' already exists.")
    portal.setup.groups[kind.name][name] = label
    return Answer(status=201, body=_group(name, label))


def list_owners(portal: Portal, asked: Asked) -> Answer:
    limit = whole(asked.query.get("limit"), "limit", default=100, low=1, high=500)
    after = whole(asked.query.get("after"), "after", default=0, low=0, high=10**18)
    email = asked.query.get("email", "").lower()
    found = [
        owner
        for owner in portal.setup.owners
        if owner.archived is asked.flag("archived") and (not email or owner.email == email)
    ]
    body: dict[str, Json] = {"results": [_owner(owner) for owner in found[after : after + limit]]}
    if after + limit < len(found):
        body["paging"] = {"next": {"after": str(after + limit)}}
    return Answer(status=200, body=body)


def get_owner(portal: Portal, asked: Asked) -> Answer:
    by_user = asked.query.get("idProperty") == "userId"
    for owner in portal.setup.owners:
        if (str(owner.user_id) if by_user else owner.id) == asked.words["id"]:
            return Answer(status=200, body=_owner(owner))
    raise not_found()


def _owner(owner: Owner) -> dict[str, Json]:
    return {
        "id": owner.id,
        "userId": owner.user_id,
        "userIdIncludingInactive": owner.user_id,
        "email": owner.email,
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "type": "PERSON",
        "teams": [{"id": "1", "name": "Sales", "primary": True}],
        "archived": owner.archived,
        "createdAt": _BIRTH,
        "updatedAt": _BIRTH,
    }


def _pipelines(portal: Portal, asked: Asked) -> list[Pipeline]:
    return portal.setup.pipelines if kind_in(asked.words["type"]).name == "deals" else []


def list_pipelines(portal: Portal, asked: Asked) -> Answer:
    pipelines = _pipelines(portal, asked)
    results = [_pipeline(pipeline, order) for order, pipeline in enumerate(pipelines)]
    return Answer(status=200, body={"results": results})


def get_pipeline(portal: Portal, asked: Asked) -> Answer:
    pipelines = _pipelines(portal, asked)
    for order, pipeline in enumerate(pipelines):
        if pipeline.id == asked.words["id"]:
            return Answer(status=200, body=_pipeline(pipeline, order))
    raise not_found()


def list_stages(portal: Portal, asked: Asked) -> Answer:
    return Answer(status=200, body={"results": get_pipeline(portal, asked).body["stages"]})


def _pipeline(pipeline: Pipeline, order: int) -> dict[str, Json]:
    return {
        "id": pipeline.id,
        "label": pipeline.label,
        "displayOrder": order,
        "stages": [_stage(stage, place) for place, stage in enumerate(pipeline.stages)],
        "archived": False,
        "createdAt": _BIRTH,
        "updatedAt": _BIRTH,
    }


def _stage(stage: Stage, order: int) -> dict[str, Json]:
    return {
        "id": stage.id,
        "label": stage.label,
        "displayOrder": order,
        "metadata": {"isClosed": "true" if stage.closed else "false", "probability": stage.probability},
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        "archived": False,
        "createdAt": _BIRTH,
        "updatedAt": _BIRTH,
    }


def account(portal: Portal) -> Answer:
    offset = portal.clock().astimezone(ZoneInfo(portal.time_zone)).utcoffset()
    seconds = int(offset.total_seconds()) if offset is not None else 0
    sign = "-" if seconds < 0 else "+"
    body = {
        "portalId": int(portal.id),
        "accountType": "STANDARD",
        "timeZone": portal.time_zone,
        "companyCurrency": portal.currency,
        "additionalCurrencies": [],
        "utcOffset": f"{sign}{abs(seconds) // 3600:02d}:{abs(seconds) % 3600 // 60:02d}",
        "utcOffsetMilliseconds": seconds * 1000,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    }
    return Answer(status=200, body=body)


def usage(portal: Portal, meter: Meter) -> Answer:
    result = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": meter.limit,
        "currentUsage": meter.today,
        "collectedAt": instant_text(portal.clock()),
        "fetchStatus": "SUCCESS",
        "resetsAt": instant_text(meter.resets_at()),
    }
    return Answer(status=200, body={"results": [result]})
