"""The endpoints of Pipedrive that tell what became of a record, and those that merge two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from bridge import Json
from bridge_pipedrive import sandbox_shapes as shapes
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Answer, Asked, Refusal, fields_of
from bridge_pipedrive.sandbox_kinds import KINDS, Kind
from bridge_pipedrive.sandbox_lists import limit_of, number_of, paged
from bridge_pipedrive.sandbox_rows import Row, Version
from bridge_pipedrive.sandbox_v2 import Endpoint, numbered
from bridge_pipedrive.sandbox_values import old_stamp, stamp

_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
# Version 1 calls the owner of a deal its user, and addresses and numbers by one of them.
_OLD_NAMES = {
    ("deals", "owner_id"): "user_id",
    ("persons", "emails"): "email",
    ("persons", "phones"): "phone",
}


def flow(kind: Kind) -> Endpoint:
    """Return the flow of a type of object: changes of fields, activities and notes, newest first."""
    change = f"{kind.entity}Change"

    def flowed(account: Account, asked: Asked) -> Answer:
        row = numbered(account, asked, kind)
        rows = [
            {"object": change, "timestamp": step["log_time"], "data": step}
            for step in _steps(row, custom=asked.flag("all_changes"))
        ]
        for entry in account.entries(row):
            is_note = entry.kind.name == "notes"
            data = shapes.note(account, entry, asked.actor.user) if is_note else _old_activity(entry)
            rows.append({"object": entry.kind.entity, "timestamp": data["add_time"], "data": data})
        wanted = {change if word == "change" else word for word in asked.names("items")}
        rows = [one for one in rows if not wanted or one["object"] in wanted]
        rows.sort(key=lambda one: str(one["timestamp"]), reverse=True)
        start, limit = number_of(asked, "start", 0), limit_of(asked)
        place = {"start": start, "limit": limit, "more_items_in_collection": start + limit < len(rows)}
        body = {
            "success": True,
            "data": rows[start : start + limit],
            "additional_data": {"pagination": place} | place,
            "related_objects": _related(account, row),
        }
        return Answer(body=body)

    return flowed


def changelog(kind: Kind) -> Endpoint:
    """Return the changes of a type of object's fields as texts, newest first."""

    def logged(account: Account, asked: Asked) -> Answer:
        row = numbered(account, asked, kind)
        rows = [
            {
                "field_key": step["field_key"],
                "old_value": _word(step["old_value"]),
                "new_value": _word(step["new_value"]),
                "actor_user_id": step["user_id"],
                "time": step["log_time"],
                "change_source": step["change_source"],
                "change_source_user_agent": step["change_source_user_agent"],
                "is_bulk_update_flag": False,
            }
            for step in _steps(row, custom=True)
        ]
        page, cursor = paged(asked, rows)
        return Answer(body={"success": True, "data": page, "additional_data": {"next_cursor": cursor}})

    return logged


def merger(kind: Kind) -> Endpoint:
    """Merge the record of the path into `merge_with_id`, which remains."""

    def merge(account: Account, asked: Asked) -> Answer:
        other = numbered(account, asked, kind)
        id = fields_of(asked.body).get("merge_with_id")
        if not isinstance(id, int) or id == other.id:
            raise Refusal(400, f"merge_with_id must be the id of another {kind.entity}")
        survivor = account.demand(kind, id)
        account.merge(kind, survivor, other, asked.actor)
        data = _old_record(account, survivor) | {"merge_what_id": other.id}
        return Answer(body={"success": True, "data": data})

    return merge


def _steps(row: Row, *, custom: bool) -> Iterator[dict[str, Json]]:
    """Yield every change of every field, newest first; the creation is the first value of add_time."""
    steps = []
    born = stamp(row.added_at)
    steps.append(_step(row, row.versions[0], "add_time", None, old_stamp(born)))
    for before, after in pairwise(row.versions):
        for name, value in after.values.items():
            if value != before.values.get(name):
                steps.append(_step(row, after, name, before.values.get(name), value))
        for code in sorted({*before.custom, *after.custom}) if custom else ():
            if before.custom.get(code) != after.custom.get(code):
                steps.append(_step(row, after, code, before.custom.get(code), after.custom.get(code)))
        if before.deleted is not after.deleted:
            steps.append(_step(row, after, "active_flag", not before.deleted, not after.deleted))
    for number, step in reversed(list(enumerate(steps, start=1))):
        yield {"id": number, **step}


def _step(row: Row, version: Version, name: str, old: Json, new: Json) -> dict[str, Json]:
    return {
        "item_id": row.id,
        "user_id": version.actor.user,
        "field_key": _OLD_NAMES.get((row.kind.name, name), name),
        "old_value": _plain(old),
        "new_value": _plain(new),
        "is_bulk_update_flag": None,
        "log_time": old_stamp(stamp(version.at)),
        "change_source": version.actor.source,
        "change_source_user_agent": _BROWSER if version.actor.source == "app" else None,
        "additional_data": {},
    }


def _plain(value: Json) -> Json:
    """Return a value as version 1 tells it: addresses and numbers as one text."""
    if not isinstance(value, list) or not all(isinstance(one, dict) and "value" in one for one in value):
        return value
    return ", ".join(one["value"] for one in value) or None


def _word(value: Json) -> str | None:
    return None if value is None else str(value)


def _old_activity(entry: Row) -> dict[str, Json]:
    held = shapes.shown(entry)
    return {
        **{
            name: held[name] for name in ("id", "subject", "type", "done", "due_date", "due_time", "duration")
        },
        **{name: held[name] for name in ("deal_id", "lead_id", "person_id", "org_id", "note")},
        "user_id": held["owner_id"],
        "active_flag": True,
        "add_time": old_stamp(held["add_time"]),
        "update_time": old_stamp(held["update_time"]),
        "marked_as_done_time": old_stamp(held["marked_as_done_time"] or ""),
        "participants": [
            {"person_id": one["person_id"], "primary_flag": one["primary"]} for one in held["participants"]
        ],
    }


def _related(account: Account, row: Row) -> dict[str, Json]:
    """Return what a flow names beside its rows: the record itself, and who appears in it."""
    users = {version.actor.user for version in row.versions}
    found: dict[str, Json] = {
        "user": {
            str(user.id): {
                "id": user.id,
                "name": user.name,
                "email": user.values["email"],
                "active_flag": True,
            }
            for user in account.rows(KINDS["users"])
            if user.id in users
        }
    }
    found[row.kind.entity] = {str(row.id): _brief(row)}
    return found


def _brief(row: Row) -> Mapping[str, Json]:
    names = ("name", "title", "status", "value", "currency", "stage_id", "pipeline_id", "owner_id")
    return {"id": row.id, **{name: row.values[name] for name in names if name in row.values}}


def _old_record(account: Account, row: Row) -> dict[str, Json]:
    """Return what a merge answers: the surviving record in the words of version 1."""
    if row.kind.name == "organizations":
        return {"id": row.id}
    held = shapes.shown(row)
    times = {name: old_stamp(held[name]) for name in ("add_time", "update_time")}
    organization = account.get(KINDS["organizations"], held["org_id"])
    owner = account.get(KINDS["users"], held["owner_id"])
    found: dict[str, Json] = {
        "id": row.id,
        "org_id": held["org_id"],
        "org_name": organization.name if organization else None,
        "owner_name": owner.name if owner else "",
        "visible_to": str(held["visible_to"]),
        **times,
    }
    if row.kind.name == "deals":
        names = (
            "title",
            "person_id",
            "stage_id",
            "pipeline_id",
            "value",
            "currency",
            "status",
            "is_archived",
        )
        return found | {name: held[name] for name in names} | {"user_id": held["owner_id"], "deleted": False}
    return found | {
        "company_id": account.company,
        "owner_id": held["owner_id"],
        "active_flag": True,
        "email": held["emails"],
        "phone": held["phones"],
        "first_char": str(held["name"])[:1].lower(),
        "label_ids": held["label_ids"],
        **{name: held[name] for name in ("name", "first_name", "last_name")},
    }
