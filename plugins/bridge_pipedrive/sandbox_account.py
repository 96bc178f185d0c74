"""The records of one Pipedrive company: how they are kept, changed, deleted and merged."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from bridge import Json
from bridge_pipedrive.sandbox_answers import Actor, not_found, unfit
from bridge_pipedrive.sandbox_faults import Levers
from bridge_pipedrive.sandbox_hooks import Hooks
from bridge_pipedrive.sandbox_kinds import KINDS, Kind
from bridge_pipedrive.sandbox_rows import Id, Mail, Row, Version
from bridge_pipedrive.sandbox_setup import Setup
from bridge_pipedrive.sandbox_values import instant

Told = Callable[[str, Row, Version | None, Actor, Id | None], None]
"""Hears of an event: create, change or delete; the record; what it was before; who; the other one of a merge."""

PURGED_AFTER = timedelta(days=30)
# What follows from the status of a deal, which a merge leaves as it is.
_OF_A_STATUS = ("won_time", "lost_time", "close_time", "lost_reason", "archive_time")
_ENTRIES = ("activities", "notes")


class Gone(NamedTuple):
    """A deletion, until it is for good."""

    at: datetime
    kind: Kind
    id: Id


class Account:
    """Keep the records of one company; hold `lock` around every use, and call `settle` first."""

    def __init__(
        self,
        *,
        company: int,
        domain: str,
        clock: Callable[[], datetime],
        levers: Levers,
        time_zone: str,
        currency: str,
    ) -> None:
        self.company = company
        self.domain = domain
        self.clock = clock
        self.levers = levers
        self.time_zone = time_zone
        self.currency = currency
        self.lock = threading.RLock()
        self.setup = Setup(clock)
        self.tell: Told = lambda action, row, before, actor, other: None
        self.hooks = Hooks()
        self.event = 0
        self.mails: list[Mail] = []
        self._mails_by: dict[str, list[Mail]] = {}
        self._rows: dict[str, dict[Id, Row]] = {name: {} for name in KINDS}
        # Every type counts from the same number: a client that forgets the type takes one for the other.
        self._last_id = dict.fromkeys(KINDS, 500)
        self._entries: dict[tuple[str, Id], dict[Row, None]] = {}
        self._gone: deque[Gone] = deque()
        self._late: list[tuple[datetime, Callable[[], object]]] = []

    def later(self, seconds: float, write: Callable[[], object]) -> None:
        """Make a write once `seconds` of the clock have passed."""
        self._late.append((self.clock() + timedelta(seconds=seconds), write))

    def settle(self) -> None:
        """Make the late writes whose time has come, oldest first, and drop what was deleted long ago."""
        now = self.clock()
        due = sorted((late for late in self._late if late[0] <= now), key=lambda late: late[0])
        self._late = [late for late in self._late if late[0] > now]
        for _, write in due:
            write()
        while self._gone and self._gone[0].at <= now - PURGED_AFTER:
            gone = self._gone.popleft()
            row = self.get(gone.kind, gone.id, deleted=True)
            if row is not None and row.versions[-1].at == gone.at:
                self.purge(row)

    # Reading

    def rows(self, kind: Kind, *, deleted: bool | None = False) -> Iterator[Row]:
        """Yield the records of a type, oldest first; None takes deleted ones as well."""
        for row in self._rows[kind.name].values():
            if deleted is None or row.deleted is deleted:
                yield row

    def get(self, kind: Kind, id: Id | None, *, deleted: bool | None = False) -> Row | None:
        row = self._rows[kind.name].get(id) if id is not None else None
        return row if row is not None and (deleted is None or row.deleted is deleted) else None

    def demand(self, kind: Kind, id: Id, *, deleted: bool | None = False) -> Row:
        """Return a record. Raises Refusal 404."""
        row = self.get(kind, id, deleted=deleted)
        if row is None:
            raise not_found(kind.entity)
        return row

    def entries(self, row: Row) -> list[Row]:
        """Return the activities and notes on a person, organization, deal or lead, newest first."""
        found = [entry for entry in self._entries.get((row.kind.name, row.id), {}) if not entry.deleted]
        return sorted(found, key=lambda entry: (happened(entry), str(entry.id)), reverse=True)

    def persons_at(self, address: str) -> list[Row]:
        """Return the persons with an e-mail address, oldest first."""
        wanted = address.casefold()
        return [
            row
            for row in self.rows(KINDS["persons"])
            if any(one["value"].casefold() == wanted for one in row.values["emails"])
        ]

    def mails_with(self, row: Row) -> list[Mail]:
        """Return the caught mails with an address of a person, oldest first."""
        own = {one["value"].casefold() for one in row.values["emails"]}
        found = {mail.id: mail for address in own for mail in self._mails_by.get(address, ())}
        return [found[id] for id in sorted(found)]

    def catch(self, mail: Mail) -> None:
        """Keep a mail; it moves the update time of its persons where entries do."""
        self.mails.append(mail)
        for address in {one.casefold() for one in (mail.sender, *mail.to, *mail.cc)}:
            self._mails_by.setdefault(address, []).append(mail)
            for row in self.persons_at(address) if self.levers.touches else ():
                row.updated_at = self.clock()

    # Writing

    def create(self, kind: Kind, values: Mapping[str, Json], custom: Mapping[str, Json], actor: Actor) -> Row:
        """Keep a new record whose values were found good."""
        now = self.clock()
        self._last_id[kind.name] += 1
        id: Id = self._last_id[kind.name]
        if kind.name == "leads":
            id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.company} lead {id}"))
        kept = dict(values)
        added = kept.pop("add_time", None)
        row = Row(
            kind=kind,
            id=id,
            added_at=instant(added) if added else now,
            updated_at=now,
            versions=[Version(at=now, values=kept, custom=dict(custom), deleted=False, actor=actor)],
        )
        self._rows[kind.name][id] = row
        self._follow(row)
        self.tell("create", row, None, actor, None)
        return row

    def change(
        self,
        row: Row,
        values: Mapping[str, Json],
        custom: Mapping[str, Json],
        actor: Actor,
        *,
        merged: Id | None = None,
    ) -> None:
        """Change a record; nothing happens where nothing differs."""
        before = row.versions[-1]
        after = {**before.values, **values}
        added = instant(after.pop("add_time")) if "add_time" in after else row.added_at
        kept = {key: value for key, value in {**before.custom, **custom}.items() if value is not None}
        if (after, kept, added) == (before.values, before.custom, row.added_at) and merged is None:
            return
        now = self.clock()
        row.versions.append(Version(at=now, values=after, custom=kept, deleted=False, actor=actor))
        row.updated_at = now
        row.added_at = added
        self._follow(row)
        self.tell("change", row, before, actor, merged)

    def delete(self, row: Row, actor: Actor, *, merged: Id | None = None) -> None:
        """Mark a record as deleted; a deleted lead is gone at once."""
        before = row.versions[-1]
        now = self.clock()
        row.versions.append(
            Version(at=now, values=before.values, custom=before.custom, deleted=True, actor=actor)
        )
        row.updated_at = now
        row.merged_into = merged
        self._gone.append(Gone(now, row.kind, row.id))
        if row.kind.name == "leads":
            del self._rows["leads"][row.id]
        self.tell("delete", row, before, actor, merged)

    def restore(self, row: Row, actor: Actor) -> None:
        """Take a deletion back."""
        before = row.versions[-1]
        now = self.clock()
        row.versions.append(
            Version(at=now, values=before.values, custom=before.custom, deleted=False, actor=actor)
        )
        row.updated_at = now
        row.merged_into = None
        self.tell("change", row, before, actor, None)

    def purge(self, row: Row) -> None:
        """Remove a record for good."""
        del self._rows[row.kind.name][row.id]
        if row.kind.name in _ENTRIES:
            for anchor in _anchors(row.values, row.kind):
                self._entries[anchor].pop(row)

    def merge(self, kind: Kind, survivor: Row, other: Row, actor: Actor) -> None:
        """
        Merge `other` into `survivor`, whose values win and whose gaps are filled.

        Addresses and numbers of both remain; everything linked to `other` moves.
        Source: pipedrive.readme.io, merging two persons, read 2026-11-22.
        """
        values = {
            name: other.values.get(name)
            for name in kind.writable
            if name not in _OF_A_STATUS and survivor.values.get(name) in (None, "", [])
        }
        for name in ("emails", "phones"):
            if name in kind.writable:
                both = [*survivor.values[name], *other.values[name]]
                found = {entry["value"].casefold(): entry for entry in reversed(both)}
                values[name] = kind.writable[name](name, list(reversed(found.values())))
        custom = {key: value for key, value in other.custom.items() if key not in survivor.custom}
        for row in [row for holder in KINDS.values() for row in self.rows(holder)]:
            moved = {
                name: survivor.id
                for name, target in row.kind.links.items()
                if target == kind.name and row.values.get(name) == other.id
            }
            if kind.name == "persons" and "participants" in row.values:
                people = [
                    {**one, "person_id": survivor.id if one["person_id"] == other.id else one["person_id"]}
                    for one in row.values["participants"]
                ]
                moved["participants"] = row.kind.writable["participants"]("participants", people)
            if moved:
                self.change(row, moved, {}, actor)
        self.delete(other, actor, merged=survivor.id)
        self.change(survivor, values, custom, actor, merged=other.id)

    # Rules

    def require_links(self, kind: Kind, values: Mapping[str, Json]) -> None:
        """Raise Refusal 400 where a field names something that is not there."""
        for name, target in kind.links.items():
            self.require(target, name, values.get(name))
        for name in ("participants", "attendees"):
            for one in values.get(name) or ():
                self.require("persons", f"{name}.person_id", one.get("person_id"))

    def require(self, target: str, name: str, id: Id | None) -> None:
        if id is not None and self.get(KINDS[target], id) is None:
            raise unfit(name, f"{KINDS[target].entity} {id} does not exist or is not visible")

    def _follow(self, entry: Row) -> None:
        """Note what an activity or note is on, and move the update time of that, whose counters change with it."""
        if entry.kind.name not in _ENTRIES:
            return
        before = _anchors(entry.versions[-2].values, entry.kind) if len(entry.versions) > 1 else set()
        now = _anchors(entry.values, entry.kind)
        for anchor in before - now:
            self._entries[anchor].pop(entry)
        for anchor in now:
            self._entries.setdefault(anchor, {})[entry] = None
            row = self._rows[anchor[0]].get(anchor[1])
            if row is not None and not row.deleted and self.levers.touches:
                row.updated_at = entry.updated_at


def _anchors(values: Mapping[str, Json], kind: Kind) -> set[tuple[str, Id]]:
    """Return what an entry is on: the type and id of every record but its user."""
    found = {(target, values.get(name)) for name, target in kind.links.items() if target != "users"}
    found |= {("persons", one["person_id"]) for one in values.get("participants") or ()}
    return {(target, id) for target, id in found if id is not None}


def happened(entry: Row) -> datetime:
    """Return when an entry took place, as a timeline sorts it: an activity when it is due, a note when added."""
    if entry.values.get("due_date"):
        return datetime.fromisoformat(
            f"{entry.values['due_date']}T{entry.values.get('due_time') or '00:00:00'}+00:00"
        )
    return entry.added_at


def primary(values: Mapping[str, Json]) -> Id | None:
    """Return the person of an activity: its primary participant."""
    return next((one["person_id"] for one in values.get("participants") or () if one["primary"]), None)
