"""The endpoints of Pipedrive's version 1 for records: notes, leads, users."""

from __future__ import annotations

from bridge_pipedrive import sandbox_shapes as shapes
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Answer, Asked, Refusal
from bridge_pipedrive.sandbox_kinds import LEADS, NOTES, USERS
from bridge_pipedrive.sandbox_lists import bound_of, number_of, offset_list, ordered
from bridge_pipedrive.sandbox_rows import Row
from bridge_pipedrive.sandbox_rules import draft
from bridge_pipedrive.sandbox_v2 import numbered
from bridge_pipedrive.sandbox_values import loose_flag, stamp

_NOTE_FILTERS = ("user_id", "deal_id", "person_id", "org_id", "project_id", "task_id")
_PINS = tuple(
    f"pinned_to_{word}_flag" for word in ("lead", "deal", "organization", "person", "project", "task")
)
_LEAD_FILTERS = ("owner_id", "person_id", "organization_id")


def list_notes(account: Account, asked: Asked) -> Answer:
    rows = list(account.rows(NOTES))
    for name in _NOTE_FILTERS:
        if name in asked.query:
            rows = [row for row in rows if row.values.get(name) == number_of(asked, name, 0)]
    for name in _PINS:
        if name in asked.query:
            pinned = loose_flag(name, asked.query[name])
            rows = [row for row in rows if row.values.get(name, False) is pinned]
    if lead := asked.query.get("lead_id"):
        rows = [row for row in rows if row.values["lead_id"] == lead]
    if since := bound_of(asked, "updated_since", fraction=True):
        rows = [row for row in rows if row.updated_at >= since]
    if start := asked.query.get("start_date"):
        rows = [row for row in rows if stamp(row.added_at)[:10] >= start]
    if end := asked.query.get("end_date"):
        rows = [row for row in rows if stamp(row.added_at)[:10] <= end]
    sortable = "id user_id deal_id person_id org_id content add_time update_time"

    def show(row: Row) -> dict[str, object]:
        return shapes.note(account, row, asked.actor.user)

    return offset_list(asked, ordered(asked, rows, show, sortable), show, nested=True)


def get_note(account: Account, asked: Asked) -> Answer:
    """Answer a note; a deleted one is no longer active."""
    return _note(account, asked, numbered(account, asked, NOTES, deleted=None))


def create_note(account: Account, asked: Asked) -> Answer:
    made = draft(account, NOTES, asked.body, asked.actor)
    return _note(account, asked, account.create(NOTES, made.values, {}, asked.actor))


def update_note(account: Account, asked: Asked) -> Answer:
    row = numbered(account, asked, NOTES)
    account.change(row, draft(account, NOTES, asked.body, asked.actor, row).values, {}, asked.actor)
    return _note(account, asked, row)


def delete_note(account: Account, asked: Asked) -> Answer:
    account.delete(numbered(account, asked, NOTES), asked.actor)
    return Answer(body={"success": True, "data": True})


def _note(account: Account, asked: Asked, row: Row) -> Answer:
    return Answer(body={"success": True, "data": shapes.note(account, row, asked.actor.user)})


def list_leads(account: Account, asked: Asked) -> Answer:
    return _leads(account, asked, archived=False)


def list_archived_leads(account: Account, asked: Asked) -> Answer:
    return _leads(account, asked, archived=True)


def _leads(account: Account, asked: Asked, *, archived: bool) -> Answer:
    rows = [row for row in account.rows(LEADS) if row.values["is_archived"] is archived]
    for name in _LEAD_FILTERS:
        if name in asked.query:
            rows = [row for row in rows if row.values[name] == number_of(asked, name, 0)]
    if since := bound_of(asked, "updated_since"):
        rows = [row for row in rows if row.updated_at >= since]
    sortable = (
        "id title owner_id creator_id was_seen expected_close_date next_activity_id add_time update_time"
    )

    def show(row: Row) -> dict[str, object]:
        return shapes.lead(account, row)

    return offset_list(asked, ordered(asked, rows, show, sortable), show, nested=False)


def get_lead(account: Account, asked: Asked) -> Answer:
    return Answer(body={"success": True, "data": shapes.lead(account, _lead(account, asked))})


def create_lead(account: Account, asked: Asked) -> Answer:
    made = draft(account, LEADS, asked.body, asked.actor)
    row = account.create(LEADS, made.values, made.custom, asked.actor)
    return Answer(status=201, body={"success": True, "data": shapes.lead(account, row)})


def update_lead(account: Account, asked: Asked) -> Answer:
    row = _lead(account, asked)
    made = draft(account, LEADS, asked.body, asked.actor, row)
    account.change(row, made.values, made.custom, asked.actor)
    return Answer(body={"success": True, "data": shapes.lead(account, row)})


def delete_lead(account: Account, asked: Asked) -> Answer:
    row = _lead(account, asked)
    account.delete(row, asked.actor)
    return Answer(body={"success": True, "data": {"id": row.id}})


def _lead(account: Account, asked: Asked) -> Row:
    row = account.get(LEADS, asked.words["id"])
    if row is None:
        raise Refusal(404, "requested lead not found")
    return row


def list_users(account: Account, asked: Asked) -> Answer:
    rows = [shapes.user(account, row, asked.actor.user) for row in account.rows(USERS, deleted=None)]
    return Answer(body={"success": True, "data": rows})


def get_user(account: Account, asked: Asked) -> Answer:
    word = asked.words["id"]
    row = account.get(USERS, int(word), deleted=None) if word.isascii() and word.isdigit() else None
    if row is None:
        raise Refusal(404, "User not found or not accessible.")
    return Answer(body={"success": True, "data": shapes.user(account, row, asked.actor.user)})


def get_me(account: Account, asked: Asked) -> Answer:
    row = account.demand(USERS, asked.actor.user)
    return Answer(
        body={"success": True, "data": shapes.user(account, row, asked.actor.user) | shapes.company(account)}
    )
