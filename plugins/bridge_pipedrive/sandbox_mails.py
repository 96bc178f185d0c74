"""The mails that the stand-in's mailbox caught: which persons they are with, and how version 1 shows them."""

from __future__ import annotations

from collections.abc import Sequence

from bridge import Json
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Answer, Asked, not_found
from bridge_pipedrive.sandbox_kinds import PERSONS
from bridge_pipedrive.sandbox_lists import limit_of, number_of
from bridge_pipedrive.sandbox_rows import Mail
from bridge_pipedrive.sandbox_v2 import numbered
from bridge_pipedrive.sandbox_values import stamp


def list_mails(account: Account, asked: Asked) -> Answer:
    """Answer the mails with a person, newest first, each in a wrapper of its own."""
    row = numbered(account, asked, PERSONS)
    found = sorted(account.mails_with(row), key=lambda mail: (mail.at, mail.id), reverse=True)
    start, limit = number_of(asked, "start", 0), limit_of(asked)
    more = start + limit < len(found)
    page: list[Json] = []
    for mail in found[start : start + limit]:
        shown = _mail(account, mail, body=asked.query.get("include_body") == "1")
        shown |= {
            "mua_message_id": mail.message_id,
            "item_type": "mailMessage",
            "company_id": account.company,
        }
        shown |= {"nylas_id": f"nylas-{mail.id}", "s3_bucket": "mails", "s3_bucket_path": f"{mail.id}/body"}
        shown |= {"external_deleted_flag": False, "timestamp": stamp(mail.at)}
        page.append({"object": "mailMessage", "timestamp": stamp(mail.at), "data": shown})
    place = {"start": start, "limit": limit, "more_items_in_collection": more}
    return Answer(body={"success": True, "data": page, "additional_data": {"pagination": place}})


def get_mail(account: Account, asked: Asked) -> Answer:
    """Answer one mail, which does not tell its Message-ID."""
    mail = next((one for one in account.mails if str(one.id) == asked.words["id"]), None)
    if mail is None:
        raise not_found("mailMessage")
    shown = _mail(account, mail, body=asked.query.get("include_body") == "1")
    base = {"success": True, "statusCode": 2000, "statusText": "Success", "service": "email-api"}
    return Answer(body={**base, "data": shown})


def _mail(account: Account, mail: Mail, *, body: bool) -> dict[str, Json]:
    at = stamp(mail.at).replace("Z", ".000Z")
    flags = ("mail_link_tracking_enabled_flag", "draft_flag", "deleted_flag", "sent_from_pipedrive_flag")
    files = ("has_attachments_flag", "has_inline_attachments_flag", "has_real_attachments_flag")
    return {
        "id": mail.id,
        "from": _parties(account, [mail.sender]),
        "to": _parties(account, mail.to),
        "cc": _parties(account, mail.cc),
        "bcc": [],
        "body_url": f"https://mails.example/{mail.id}?signed=1",
        "account_id": "account",
        "user_id": 501,
        "mail_thread_id": mail.id,
        "subject": mail.subject,
        "snippet": mail.text[:225],
        "mail_tracking_status": "not opened",
        **dict.fromkeys((*flags, *files, "smart_bcc_flag"), 0),
        **dict.fromkeys(("read_flag", "synced_flag", "has_body_flag"), 1),
        "draft": "",
        "sent_flag": 1 if mail.sent else 0,
        "message_time": at,
        "add_time": at,
        "update_time": at,
        **({"body": mail.text} if body else {}),
    }


def _parties(account: Account, addresses: Sequence[str]) -> list[Json]:
    found: list[Json] = []
    for number, address in enumerate(addresses, start=1):
        person = next(iter(account.persons_at(address)), None)
        linked = {"linked_person_id": person.id, "linked_person_name": person.name} if person else {}
        none = {"linked_person_id": None, "linked_person_name": None}
        name = address.partition("@")[0]
        party = {"id": number, "email_address": address, "name": name, "mail_message_party_id": number}
        found.append({**party, **none, **linked})
    return found
