"""What Pipedrive tells its webhooks, and the endpoints by which they are set up."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from urllib.parse import urlsplit

from bridge import Json
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Actor, Answer, Asked, Refusal, fields_of
from bridge_pipedrive.sandbox_hooks import Delivery, Subscription
from bridge_pipedrive.sandbox_kinds import USERS
from bridge_pipedrive.sandbox_rows import Id, Row, Version
from bridge_pipedrive.sandbox_shapes import shown
from bridge_pipedrive.sandbox_values import stamp

_ACTIONS = ("create", "change", "delete", "*")
_OBJECTS = (
    *(
        "activity",
        "deal",
        "lead",
        "note",
        "organization",
        "person",
        "pipeline",
        "product",
        "stage",
        "user",
        "*",
    ),
)
_MOST = 40
_UNLISTED = ("is_deleted",)


def tell(
    account: Account, action: str, row: Row, before: Version | None, actor: Actor, other: Id | None
) -> None:
    """Queue an event for everyone who subscribed to it."""
    now = account.clock()
    data = None if action == "delete" else _data(account, row, row.versions[-1])
    past = None if before is None else _data(account, row, before)
    if action == "change" and past is not None and data is not None:
        past = {name: value for name, value in past.items() if value != data.get(name)}
    for one in account.hooks.matching(action, row.kind.entity, now):
        account.event += 1
        meta: dict[str, Json] = {
            "action": action,
            "entity": row.kind.entity,
            "company_id": str(account.company),
            "correlation_id": _unique(account, "correlation"),
            "entity_id": str(row.id),
            "id": _unique(account, "event"),
            "is_bulk_edit": False,
            "timestamp": stamp(now).replace("Z", f".{now.microsecond // 1000:03d}Z"),
            "type": "general",
            "user_id": str(actor.user),
            "version": "2.0",
            "webhook_id": str(one.id),
            "webhook_owner_id": str(one.user),
            "change_source": actor.source,
            "attempt": 1,
            "host": f"{account.domain}.pipedrive.com",
        }
        if row.kind is not USERS:
            meta["permitted_user_ids"] = [str(user.id) for user in account.rows(USERS)]
        if other is not None:
            meta["merged_to_id" if action == "delete" else "merged_from_id"] = str(other)
        account.hooks.waiting.append(
            Delivery(
                url=one.url,
                payload={"meta": meta, "data": data, "previous": past},
                login=one.login,
                password=one.password,
                subscription=one.id,
                due=now,
            )
        )


def _unique(account: Account, what: str) -> str:
    """Return an id that is the same whenever the same things happen."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account.company} {what} {account.event}"))


def _data(account: Account, row: Row, version: Version) -> dict[str, Json]:
    """Return a record as webhooks show it: custom fields with their types (as published clients read them)."""
    found = {name: value for name, value in shown(row, version).items() if name not in _UNLISTED}
    if row.kind.custom:
        owner = "deals" if row.kind.name == "leads" else row.kind.name
        found["custom_fields"] = {
            code: _typed(field.type, version.custom.get(code))
            for code, field in account.setup.fields[owner].items()
        }
    return found


def _typed(type: str, value: Json) -> Json:
    if value is None:
        return None
    if type == "enum":
        return {"type": type, "id": value}
    if type == "set":
        return {"type": type, "values": [{"id": id} for id in value]}
    return {"type": type, **value} if isinstance(value, Mapping) else {"type": type, "value": value}


def list_webhooks(account: Account, asked: Asked) -> Answer:
    rows = [_shown(account, one) for one in account.hooks.subscriptions.values()]
    return Answer(body={"status": "ok", "success": True, "data": rows})


def create_webhook(account: Account, asked: Asked) -> Answer:
    sent = fields_of(asked.body)
    wrong: dict[str, list[str]] = {}
    url = sent.get("subscription_url")
    if (
        not isinstance(url, str)
        or urlsplit(url).scheme not in ("http", "https")
        or not urlsplit(url).hostname
    ):
        wrong["subscription_url"] = ["invalid or non-reachable URL"]
    if sent.get("event_action") not in _ACTIONS:
        wrong["event_action"] = [f"must be one of {', '.join(_ACTIONS)}"]
    if sent.get("event_object") not in _OBJECTS:
        wrong["event_object"] = [f"must be one of {', '.join(_OBJECTS)}"]
    if not isinstance(sent.get("name"), str) or not 0 < len(sent["name"]) <= 255:
        wrong["name"] = ["must be a text of 1 to 255 characters"]
    if sent.get("version", "2.0") != "2.0":
        wrong["version"] = ["this stand-in sends version 2.0 only"]
    if len(account.hooks.subscriptions) >= _MOST:
        wrong["webhooks"] = [f"a user can have {_MOST} webhooks"]
    if wrong:
        raise Refusal(400, "webhook", body={"status": "error", "success": False, "errors": wrong})
    account.hooks.last_id += 1
    one = Subscription(
        id=account.hooks.last_id,
        url=str(url),
        action=sent["event_action"],
        entity=sent["event_object"],
        name=sent["name"],
        user=sent.get("user_id") or asked.actor.user,
        login=sent.get("http_auth_user"),
        password=sent.get("http_auth_password"),
        added_at=account.clock(),
    )
    account.hooks.subscriptions[one.id] = one
    return Answer(status=201, body={"status": "ok", "success": True, "data": _shown(account, one)})


def delete_webhook(account: Account, asked: Asked) -> Answer:
    word = asked.words["id"]
    if not word.isdigit() or account.hooks.subscriptions.pop(int(word), None) is None:
        body = {"status": "error", "success": False, "errors": {"id": ["not found"]}}
        raise Refusal(404, "webhook", body=body)
    return Answer(body={"status": "ok", "success": True})


def _shown(account: Account, one: Subscription) -> dict[str, Json]:
    return {
        "id": one.id,
        "company_id": account.company,
        "owner_id": one.user,
        "user_id": one.user,
        "event_action": one.action,
        "event_object": one.entity,
        "subscription_url": one.url,
        "version": "2.0",
        "is_active": 0 if one.banned_until else 1,
        "add_time": stamp(one.added_at).replace("Z", ".000Z"),
        "remove_time": None,
        "type": "general",
        "http_auth_user": one.login,
        "http_auth_password": one.password,
        "remove_reason": None,
        "last_delivery_time": stamp(one.last_at).replace("Z", ".000Z") if one.last_at else None,
        "last_http_status": one.last_status,
        "admin_id": one.user,
        "name": one.name,
    }
