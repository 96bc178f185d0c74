"""How Pipedrive shows its records: version 2 flat and by id, version 1 with what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from bridge import Json
from bridge_pipedrive.sandbox_account import Account, primary
from bridge_pipedrive.sandbox_kinds import KINDS
from bridge_pipedrive.sandbox_rows import Row, Version
from bridge_pipedrive.sandbox_values import old_stamp, stamp

_ON_REQUEST = ("attendees", "source_lead_id")


def shown(
    row: Row, version: Version | None = None, *, custom: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """Return a record as version 2 shows it; `version` an earlier one, `custom` other custom fields than its own."""
    version = version or row.versions[-1]
    found: dict[str, Json] = {
        "id": row.id,
        **{name: value for name, value in version.values.items() if name not in _ON_REQUEST},
    }
    if row.kind.name == "persons":
        first, _, last = str(found["name"]).partition(" ")
        found |= {"first_name": first, "last_name": last or None, "picture_id": None}
    if row.kind.name == "activities":
        found["person_id"] = primary(version.values)
    found |= {
        "add_time": stamp(row.added_at),
        "update_time": stamp(row.updated_at if version is row.versions[-1] else version.at),
        "is_deleted": version.deleted,
    }
    if row.kind.custom:
        found["custom_fields"] = dict(version.custom if custom is None else custom)
    return found


def custom(account: Account, row: Row) -> dict[str, Json]:
    """Return a value, or None, for every custom field there is; leads have those of deals."""
    fields = account.setup.fields.get("deals" if row.kind.name == "leads" else row.kind.name, {})
    return {code: row.custom.get(code) for code in fields}


def note(account: Account, row: Row, you: int) -> dict[str, Json]:
    """Return a note as version 1 shows it, with the names of what it is on."""
    held = row.values
    person, deal, organization, user = (
        account.get(KINDS[kind], held.get(name), deleted=None)
        for kind, name in (
            ("persons", "person_id"),
            ("deals", "deal_id"),
            ("organizations", "org_id"),
            ("users", "user_id"),
        )
    )
    return {
        "id": row.id,
        **held,
        "active_flag": not row.deleted,
        "add_time": old_stamp(stamp(row.added_at)),
        "update_time": old_stamp(stamp(row.updated_at)),
        "last_update_user_id": row.versions[-1].actor.user,
        "project_id": None,
        "task_id": None,
        "person": {"name": person.name} if person else None,
        "deal": {"title": deal.name} if deal else None,
        "organization": {"name": organization.name} if organization else None,
        "project": None,
        "task": None,
        "pinned_to_project_flag": False,
        "pinned_to_task_flag": False,
        "user": {
            "email": user.values["email"] if user else "",
            "icon_url": None,
            "is_you": held["user_id"] == you,
            "name": user.name if user else "",
        },
    }


def lead(account: Account, row: Row) -> dict[str, Json]:
    """Return a lead as version 1 shows it; custom fields without a value are not there."""
    source = "API" if row.values["origin"] == "API" else "Manually created"
    return {
        "id": row.id,
        **row.values,
        **{code: value for code, value in custom(account, row).items() if value is not None},
        "source_name": source,
        "source_deal_id": None,
        "next_activity_id": None,
        "add_time": stamp(row.added_at).replace("Z", ".000Z"),
        "update_time": stamp(row.updated_at).replace("Z", ".000Z"),
        "cc_email": f"{account.domain}+{account.company}+lead{str(row.id)[:8]}@pipedrivemail.com",
    }


def user(account: Account, row: Row, you: int) -> dict[str, Json]:
    offset = f"{account.clock().astimezone(ZoneInfo(account.time_zone)):%z}"
    admin = row.id == you and account.levers.admin
    return {
        "id": row.id,
        "name": row.name,
        "default_currency": account.currency,
        "locale": "en_US",
        "lang": 1,
        "email": row.values["email"],
        "phone": None,
        "activated": True,
        "last_login": old_stamp(stamp(row.updated_at)),
        "created": old_stamp(stamp(row.added_at)),
        "modified": old_stamp(stamp(row.updated_at)),
        "has_created_company": row.id == you,
        "access": [
            {
                "app": app,
                "admin": admin,
                "permission_set_id": f"00000000-0000-4000-8000-0000000000{place:02d}",
            }
            for place, app in enumerate(("global", "sales", "account_settings"))
        ],
        "active_flag": not row.deleted,
        "timezone_name": account.time_zone,
        "timezone_offset": f"{offset[:3]}:{offset[3:]}",
        "role_id": 1,
        "icon_url": None,
        "is_you": row.id == you,
        "is_deleted": row.deleted,
    }


def company(account: Account) -> dict[str, Json]:
    """Return what users/me adds: whose account this is."""
    return {
        "company_id": account.company,
        "company_name": account.domain.capitalize(),
        "company_domain": account.domain,
        "company_country": "BR",
        "company_industry": "Retail",
        "language": {"language_code": "en", "country_code": "US"},
    }
