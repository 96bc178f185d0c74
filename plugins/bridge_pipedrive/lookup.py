"""What stands at Pipedrive: people by handle, records by id, and writes whose outcome is unknown."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from bridge import (
    Absent,
    FieldTimes,
    Found,
    Json,
    Location,
    Match,
    Person,
    Record,
    Rejected,
    Unavailable,
    Unknown,
    Write,
)
from bridge_pipedrive.client import Client, Row
from bridge_pipedrive.setup import Setup
from bridge_pipedrive.sink_bodies import Bodies, link_field
from bridge_pipedrive.source_records import Missing, as_record, gone
from bridge_pipedrive.words import (
    CHANGED_AS,
    KEY_FIELD,
    KINDS,
    LOOKBACK,
    PAGE,
    WRITABLE,
    changes_of,
    instant,
    second,
)

_MARKER = re.compile(r"crmbridge(?:\s|&nbsp;)+([0-9A-HJKMNP-TV-Z]{12})(?![0-9A-Z])")
_CODE = re.compile(r"[0-9a-f]{40}")
_ANCHORS = ("persons", "deals", "organizations")


class Directory:
    """
    Which persons carry which handle, kept in memory from their list.

    The list costs 10 tokens for 500 persons and does not lag; a search costs 20 for one handle and does
    (OpenAPI description, `x-token-cost`, read 2026-11-22). After the first time only what changed is read.
    """

    def __init__(self, client: Client, setup: Setup) -> None:
        self._client = client
        self._setup = setup
        self._lock = threading.Lock()
        self._holders: dict[str, set[int]] = {}
        self._since: datetime | None = None

    def refresh(self) -> None:
        """Read what changed since the last time; everything the first time."""
        with self._lock:
            params: dict[str, str | int] = {"limit": PAGE, "sort_by": "id"}
            if self._since is not None:
                params["updated_since"] = second(self._since)
            began: datetime | None = None
            for answer in self._client.pages(KINDS["persons"].path, params):
                began = began or answer.at
                for row in answer.records:
                    for handle in self._handles(row):
                        self._holders.setdefault(handle, set()).add(int(row["id"]))
            if began is not None:
                self._since = began - timedelta(seconds=LOOKBACK)

    def holders(self, handles: Iterable[str]) -> dict[str, list[Row]]:
        """Return the persons that carry each of these handles now, as they are now."""
        wanted = set(handles)
        ids = sorted({id_ for handle in wanted for id_ in self._holders.get(handle, ())})
        found: dict[str, list[Row]] = {}
        for row in self._client.by_id(KINDS["persons"].path, map(str, ids)):
            if row.get("is_deleted") is True:
                continue
            for handle in wanted & self._handles(row):
                found.setdefault(handle, []).append(row)
        return found

    def _handles(self, row: Row) -> set[str]:
        found = {email_handle(value) for value in _values(row, "emails")}
        found |= {phone_handle(value) for value in _values(row, "phones")}
        code = self.key_code()
        if code is not None and (key := (row.get("custom_fields") or {}).get(code)):
            found.add(f"key:{key}")
        return found - {"email:", "phone:"}

    def key_code(self) -> str | None:
        """Return the code of the field that holds our key, None where it was not created."""
        return next((one.code for one in self._setup.custom("persons") if one.name == KEY_FIELD), None)


class Lookup:
    """Looks things up in one account, never by a search, which lags behind writes."""

    def __init__(self, client: Client, setup: Setup, bodies: Bodies, missing: Missing) -> None:
        self._client = client
        self._setup = setup
        self._bodies = bodies
        self._missing = missing
        self.directory = Directory(client, setup)

    def find(self, people: Sequence[Person]) -> Iterator[Match]:
        """
        Yield the persons that carry an e-mail address or a number of each of these people.

        Numbers are compared by their digits. Raises Unavailable when the list was refused.
        """
        wanted = {person.key: _handles_of(person) for person in people}
        everybody = {handle for handles in wanted.values() for handle in handles}
        found: Mapping[str, list[Row]] = {}
        if everybody:
            try:
                self.directory.refresh()
                found = self.directory.holders(everybody)
            except Rejected as error:
                raise Unavailable(f"Pipedrive refused to list persons: {error}") from error
        for key, handles in wanted.items():
            ids = {int(row["id"]) for handle in handles for row in found.get(handle, ())}
            yield Match(key=key, ids=[str(id_) for id_ in sorted(ids)])

    def read(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        """
        Yield the present values of records, in the order of `ids`, with `requested_id` in the data.

        `properties` holds the fields by the names of the mapping. What is deleted comes as deleted.
        """
        kind = KINDS.get(stream)
        if kind is None:
            raise Rejected(f"Pipedrive has no records called {stream!r}; known: {', '.join(KINDS)}")
        for id_, row in self._rows(stream, ids).items():
            if stream == "persons" and (row is None or row.get("is_deleted") is True):
                self._missing.note(id_)
            if row is None:
                yield gone(stream, id_)
                continue
            [shown] = self._setup.translated(stream, [row])
            values = self._bodies.as_read(stream, row, list(fields))
            yield as_record(stream, {**shown, "requested_id": id_, "properties": values})

    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        """
        Yield since when these fields of persons have their values, by the names of the mapping.

        A field that was never changed has its value since the person was added; where that is empty, as that of a
        name without a field, it is left out. An emptied one tells since when it is empty. Who was deleted, or merged
        into another, is left out. Takes 20 tokens for each person that was ever changed, and again for each further
        500 changes that have to be read. Raises Rejected for another stream.
        """
        if stream != "persons":
            raise Rejected(f"Pipedrive is asked for the changes of persons only, not of {stream!r}")
        codes = {one.name: one.code for one in self._setup.custom(stream)}
        keys = {name: {codes.get(name, name), *CHANGED_AS.get(name, ())} for name in fields}
        for id_, row in self._rows(stream, ids).items():
            if row is None or row.get("is_deleted") is True:
                continue
            at = self._changes(row, keys)
            added = instant(row.get("add_time"))
            for name, value in self._bodies.as_read(stream, row, list(keys)).items():
                if added is not None and value not in (None, "", []):
                    at.setdefault(name, added)
            yield FieldTimes(id=id_, at=at)

    def _changes(self, row: Row, keys: Mapping[str, set[str]]) -> dict[str, datetime]:
        """Return when fields of a person were last changed, as far as they ever were; `keys` are their names there."""
        found: dict[str, datetime] = {}
        if row.get("update_time") == row.get("add_time"):
            return found
        for answer in self._client.pages(changes_of(str(row["id"])), {"limit": PAGE}):
            for change in answer.rows:
                key = str(change.get("field_key"))
                # Parts of a value, such as the currency of a sum, stand behind the code of their field.
                key = key[:40] if _CODE.match(key) else key
                for name in [name for name in keys.keys() - found if key in keys[name]]:
                    found[name] = _time_of(change, answer.call)
            if keys.keys() == found.keys():
                break
        return found

    def _rows(self, stream: str, ids: Iterable[str]) -> dict[str, Row | None]:
        """Return records by id, None for what is gone; in one call for 100 where the version can."""
        kind = KINDS[stream]
        wanted = list(dict.fromkeys(ids))
        there = {} if kind.old else {str(row["id"]): row for row in self._client.by_id(kind.path, wanted)}
        found: dict[str, Row | None] = {}
        for id_ in wanted:
            found[id_] = there.get(id_) or self._client.get_if_there(f"{kind.path}/{id_}")
        return found

    def locate(self, writes: Sequence[Write]) -> Iterator[Location]:
        """
        Say for each write whether it stands: a person by our key in the list, an entry by its marker.

        Entries are looked for among those of the person, deal or organization they were linked to.
        """
        known = [write for write in writes if write.stream in WRITABLE]
        for write in writes:
            if write.stream not in WRITABLE:
                yield Unknown(key=write.key, reason=f"crmbridge writes no {write.stream} to Pipedrive")
        yield from self._people([one for one in known if one.op == "create" and one.stream == "persons"])
        yield from self._entries([one for one in known if one.op == "create" and one.stream != "persons"])
        changed = [one for one in known if one.op != "create"]
        for stream in dict.fromkeys(write.stream for write in changed):
            yield from self._changed(stream, [one for one in changed if one.stream == stream])

    def _people(self, writes: Sequence[Write]) -> Iterator[Location]:
        if not writes:
            return
        self.directory.refresh()
        code = self.directory.key_code()
        handles = {write.key: _handles_in(write) for write in writes}
        found = self.directory.holders({f"key:{key}" for key in handles} | set().union(*handles.values()))
        for write in writes:
            ours = [str(row["id"]) for row in found.get(f"key:{write.key}", ())]
            alike = [
                str(row["id"])
                for handle in sorted(handles[write.key])
                for row in found.get(handle, ())
                if not (row.get("custom_fields") or {}).get(code or "") and self._bodies.shows(write, row)
            ]
            if ours or alike:
                yield Found(key=write.key, id=(ours or alike)[0])
            elif code is None and not handles[write.key]:
                reason = f"a person without address or number is found by {KEY_FIELD!r} only: run `crmbridge setup`"
                yield Unknown(key=write.key, reason=reason)
            else:
                yield Absent(key=write.key)

    def _entries(self, writes: Sequence[Write]) -> Iterator[Location]:
        anchored: dict[tuple[str, str, str], list[Write]] = {}
        for write in writes:
            anchor = next(
                ((one.stream, one.to) for name in _ANCHORS for one in write.links if one.stream == name), None
            )
            if anchor is None or not anchor[1].isdecimal():
                reason = f"it is linked to nobody, and Pipedrive finds {write.stream} only where they stand"
                yield Unknown(key=write.key, reason=reason)
            else:
                anchored.setdefault((write.stream, *anchor), []).append(write)
        for (stream, to, id_), some in anchored.items():
            found = self._marked(stream, to, id_, {write.key for write in some})
            missing = [write for write in some if write.key not in found]
            stands = not missing or self._stands(to, id_)
            for write in some:
                if write.key in found:
                    yield Found(key=write.key, id=found[write.key])
                elif stands:
                    yield Absent(key=write.key)
                else:
                    yield Unknown(key=write.key, reason=f"{to} {id_}, to which it was linked, is deleted")

    def _stands(self, stream: str, id_: str) -> bool:
        row = self._rows(stream, [id_])[id_]
        return row is not None and row.get("is_deleted") is not True

    def _marked(self, stream: str, to: str, id_: str, keys: set[str]) -> dict[str, str]:
        """Return the entries on a record that carry one of these keys, the newest read first."""
        field = "person_id" if to == "persons" else str(link_field(to))
        params: dict[str, str | int] = {field: int(id_), "limit": PAGE}
        if KINDS[stream].old:
            params["sort"] = "id DESC"
        else:
            params |= {"sort_by": "id", "sort_direction": "desc"}
        found: dict[str, str] = {}
        for answer in self._client.pages(KINDS[stream].path, params):
            for row in answer.records:
                if row.get("is_deleted") is not True and (key := mark_of(row)) in keys:
                    found.setdefault(str(key), str(row["id"]))
            if keys <= found.keys():
                break
        return found

    def _changed(self, stream: str, writes: Sequence[Write]) -> Iterator[Location]:
        present = self._rows(stream, [str(write.id) for write in writes])
        for write in writes:
            row = present[str(write.id)]
            there = (
                row is not None and row.get("is_deleted") is not True and row.get("active_flag") is not False
            )
            if write.op == "archive":
                stands = not there
            elif not there or row is None:
                stands = False
            elif write.op == "update":
                stands = self._bodies.shows(write, row)
            else:
                linked = [_is_linked(row, link.stream, link.to) for link in write.links]
                stands = all(linked) if write.op == "link" else not any(linked)
            yield Found(key=write.key, id=str(write.id)) if stands else Absent(key=write.key)


def _time_of(change: Row, call: str) -> datetime:
    at = instant(change.get("time"))
    if at is None:
        raise Unavailable(f"Pipedrive answered {call} with a change without a time; the next sync asks again")
    return at


def mark_of(row: Row) -> str | None:
    """Return the key in the last line of an activity or note, None where there is none."""
    marks = _MARKER.findall(str(row.get("note") or row.get("content") or ""))
    return marks[-1] if marks else None


def email_handle(value: str) -> str:
    return f"email:{value.strip().casefold()}"


def phone_handle(value: str) -> str:
    return "phone:" + "".join(filter(str.isdecimal, value))


def _handles_of(person: Person) -> set[str]:
    found = {email_handle(value) for value in person.emails} | {
        phone_handle(value) for value in person.phones
    }
    return found - {"email:", "phone:"}


def _handles_in(write: Write) -> set[str]:
    found: set[str] = set()
    for name, handle in (("emails", email_handle), ("phones", phone_handle)):
        value = write.fields.get(name)
        found |= {handle(str(one)) for one in (value if isinstance(value, list) else [value]) if one}
    return found - {"email:", "phone:"}


def _values(row: Row, name: str) -> list[str]:
    rows = row.get(name)
    return [str(one.get("value") or "") for one in rows or () if isinstance(one, dict)]


def _is_linked(row: Row, stream: str, id_: str) -> bool:
    if stream != "persons":
        return str(row.get(str(link_field(stream)))) == id_
    people: list[Json] = [one.get("person_id") for one in row.get("participants") or ()]
    return id_ in map(str, people or [row.get("person_id")])
