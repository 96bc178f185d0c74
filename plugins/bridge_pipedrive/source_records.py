"""Pipedrive's rows as records: their versions, when an activity took place, the stages a deal went through."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping

import orjson

from bridge import Json, Record
from bridge_pipedrive.client import Client, Row
from bridge_pipedrive.words import PAGE, instant, second

_MOST_KEPT = 5_000
_FLEETING = frozenset(
    ("body_url", "s3_bucket", "s3_bucket_path", "read_flag", "mail_tracking_status", "timestamp")
)
_SIDES = ("from", "to", "cc", "bcc")
_OTHER_RECORDS = frozenset(("person", "deal", "organization", "project", "task", "user"))
"""What version 1 shows of the records that a note is on."""


class History:
    """The stages of deals, asked for once each time that a deal changed its stage."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], list[dict[str, Json]]] = {}

    def told(self, row: Row) -> Row:
        """
        Return a deal with `stage_history`: its stages, oldest first, when it entered each and who moved it.

        Only a deal that ever changed its stage takes a call, of 20 tokens.
        """
        changed, added = row.get("stage_change_time"), row.get("add_time")
        first: dict[str, Json] = {"stage_id": row.get("stage_id"), "entered_at": added}
        if not changed or changed == added or row.get("is_deleted"):
            return {**row, "stage_history": [first]}
        key = (str(row["id"]), str(changed))
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            known = self._asked(row, first)
            with self._lock:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()
                self._kept[key] = known
        return {**row, "stage_history": known}

    def _asked(self, row: Row, first: dict[str, Json]) -> list[dict[str, Json]]:
        path = f"/v1/deals/{row['id']}/changelog"
        moves = [
            one
            for answer in self._client.pages(path, {"limit": PAGE})
            for one in answer.rows
            if one.get("field_key") == "stage_id" and instant(one.get("time")) is not None
        ]
        moves.sort(key=lambda one: str(one["time"]))
        if moves:
            first = {**first, "stage_id": _number(moves[0].get("old_value"))}
        return [
            first,
            *(
                {
                    "stage_id": _number(one.get("new_value")),
                    "entered_at": second(at),
                    "user_id": one.get("actor_user_id"),
                }
                for one in moves
                if (at := instant(one["time"])) is not None
            ),
        ]


class Missing:
    """Persons that turned out to be gone, and by whom they were absorbed; no list tells of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[str, None] = {}
        self._absorbed: dict[str, set[str]] = {}

    def note(self, *ids: str) -> None:
        """Remember persons until the next look at what changed."""
        with self._lock:
            self._ids.update(dict.fromkeys(ids))

    def take(self) -> list[str]:
        """Return who was noted since the last time."""
        with self._lock:
            taken, self._ids = list(self._ids), {}
            return taken

    def merged(self, loser: str, survivor: str) -> None:
        """Remember whom a person absorbed."""
        with self._lock:
            self._absorbed.setdefault(survivor, set()).add(loser)

    def told(self, row: Row) -> Row:
        """Return a person with `merged_ids`, those whom it is known to have absorbed."""
        with self._lock:
            losers = self._absorbed.get(str(row["id"]))
            return {**row, "merged_ids": sorted(losers)} if losers else row


def as_record(stream: str, row: Row) -> Record:
    """
    Make a record of a row.

    Its version holds a digest of the content as well as its time, which is told in whole seconds only.
    """
    data = {**row, **_plain(stream, row)}
    at = instant(row.get("update_time") or row.get("modified"))
    deleted = row.get("is_deleted") is True or row.get("active_flag") is False
    if stream in ("users", "pipelines"):
        deleted = False
    return Record(
        stream=stream,
        id=str(row["id"]),
        version=f"{second(at) if at else ''}{'-deleted' if deleted else ''}-{_digest(data)}",
        modified_at=at,
        data=data,
        deleted=deleted,
    )


def mail_record(person: str, row: Row) -> Record | None:
    """
    Make a record of a mail that was listed with a person; None for a draft.

    `person_ids` are those it is with. Whether somebody has read it, where its text may be loaded from for a
    while, and what those persons are called by now, is no part of it.
    """
    mail = row["data"] if isinstance(row.get("data"), dict) else row
    if mail.get("id") is None or mail.get("draft_flag") in (1, True):
        return None
    data = {name: value for name, value in mail.items() if name not in _FLEETING}
    for name in _SIDES:
        data[name] = [_without(party, "linked_person_name") for party in mail.get(name) or ()]
    data["person_ids"] = people_in(mail) or ([int(person)] if person else [])
    at = instant(data.pop("update_time", None) or data.get("add_time"))
    deleted = data.get("deleted_flag") in (1, True)
    version = f"{'deleted-' if deleted else ''}{_digest(data)}"
    return Record(
        stream="mails", id=str(data["id"]), version=version, modified_at=at, data=data, deleted=deleted
    )


def people_in(mail: Row) -> list[int]:
    """Return the persons that a mail is with, each once."""
    linked = [id_ for name in _SIDES for id_ in _each(mail.get(name), "linked_person_id")]
    return list(dict.fromkeys(linked))


def _plain(stream: str, row: Row) -> Row:
    """
    Return what a mapping could not read out of a row.

    A person's `email_addresses` and `phone_numbers`, an activity's `participant_ids`, and `due_at`, the
    instant that its date and time of day in UTC are; nothing where it names no time.
    """
    if stream == "persons":
        return {
            "email_addresses": _each(row.get("emails"), "value"),
            "phone_numbers": _each(row.get("phones"), "value"),
        }
    if stream != "activities":
        return {}
    people = _each(row.get("participants"), "person_id") or [row.get("person_id")]
    due = instant(f"{row.get('due_date')}T{row.get('due_time')}")
    return {
        "participant_ids": [one for one in people if one is not None],
        "due_at": second(due) if due is not None else None,
    }


def _without(row: Json, name: str) -> Json:
    return {key: value for key, value in row.items() if key != name} if isinstance(row, dict) else row


def _each(rows: Json, name: str) -> list[Json]:
    found = [one.get(name) for one in rows or () if isinstance(one, dict)]
    return [value for value in found if value not in (None, "")]


def gone(stream: str, id_: str) -> Record:
    """Return the record of what Pipedrive no longer knows."""
    return Record(stream=stream, id=id_, version="gone", modified_at=None, data={"id": id_}, deleted=True)


def _digest(data: Mapping[str, Json]) -> str:
    """
    Return a digest of what a row says, whichever of its lists said it.

    Empty fields do not count, nor what a note shows of other records, which is no change of the note.
    """
    content = {
        name: value for name, value in data.items() if value is not None and name not in _OTHER_RECORDS
    }
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=6).hexdigest()


def _number(text: Json) -> Json:
    return int(text) if isinstance(text, str) and text.isdecimal() else text
