"""What stands at HubSpot: contacts by handle, objects by id, and writes whose outcome is unknown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, takewhile

import orjson

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
from bridge_hubspot.client import SEARCH, Client, Row, chunks, dig, in_order, instant
from bridge_hubspot.setup import Setup
from bridge_hubspot.source import as_record
from bridge_hubspot.words import (
    BATCH,
    KEY_PROPERTY,
    OBJECTS,
    PHONE_PROPERTIES,
    SEARCH_CHARACTERS,
    SEARCH_PAGE,
    ObjectType,
    as_text,
)

_SEARCH_VALUES = 100
_EMAIL_PROPERTIES = ("email", "hs_additional_emails")
_LINKS = "associations."
_MERGED = "hs_merged_object_ids"
_MARKER = re.compile(r"crmbridge(?:\s|&nbsp;)+([0-9A-HJKMNP-TV-Z]{12})(?![0-9A-Z])")


class Lookup:
    """Looks things up in one account, wherever it can by calls that do not lag behind writes."""

    def __init__(self, client: Client, setup: Setup) -> None:
        self._client = client
        self._setup = setup

    def find(self, people: Sequence[Person]) -> Iterator[Match]:
        """
        Yield the contacts that carry an e-mail address or a number of each person.

        Addresses go by batch read, which knows a contact at once; further addresses and numbers by
        search, which knows it after some minutes. Raises Unavailable when any of it was refused.
        """
        for start in range(0, len(people), BATCH):
            some = people[start : start + BATCH]
            try:
                by_email = self._by_email(
                    {email.lower() for person in some for email in person.emails if email}
                )
                by_phone = self._by_phone(
                    {phone for person in some for phone in person.phones if _digits(phone)}
                )
            except Rejected as error:
                raise Unavailable(f"HubSpot refused to look for contacts: {error}") from error
            for person in some:
                ids = {id_ for email in person.emails for id_ in by_email.get(email.lower(), ())}
                digits = {_digits(phone) for phone in person.phones} - {""}
                ids |= {id_ for number in digits for id_ in by_phone.get(number, ())}
                yield Match(key=person.key, ids=in_order(ids))

    def _by_email(self, emails: set[str]) -> dict[str, set[str]]:
        rows = self._client.read("contacts", sorted(emails), _EMAIL_PROPERTIES, id_property="email")
        rest = sorted(emails - _holders(rows, _EMAIL_PROPERTIES, str.lower).keys())
        rows += self._search(rest, _EMAIL_PROPERTIES)
        return _holders(rows, _EMAIL_PROPERTIES, str.lower)

    def _by_phone(self, phones: set[str]) -> dict[str, set[str]]:
        if not phones:
            return {}
        there = self._setup.known("contacts")
        properties = [name for name in PHONE_PROPERTIES if name in there] or ["phone"]
        return _holders(self._search(sorted(phones), properties), properties, _digits)

    def _search(self, values: Sequence[str], properties: Sequence[str]) -> Iterator[Row]:
        """Yield the contacts that have one of the values in one of the properties, in few searches."""
        url = self._client.objects("contacts", "/search")
        for body in searches(values, properties):
            after = None
            while True:
                answer = self._client.ask(url, {**body, **({"after": after} if after else {})}, budget=SEARCH)
                yield from answer.objects
                if answer.after is None:
                    break
                if answer.after == after:
                    raise Unavailable(f"HubSpot answered {answer.call} with the same page twice")
                after = answer.after

    def read(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        """
        Yield the present values of objects, in the order of `ids`, with `requested_id` in the data.

        Fields are properties, bare or as a mapping reads them (`properties.x`), and `associations.<stream>`.
        What was merged comes under the id it has now; what is in the recycle bin or gone comes as deleted.
        Raises Rejected for a stream that holds no objects.
        """
        kind = _kind(stream)
        streams = [name.removeprefix(_LINKS) for name in fields if name.startswith(_LINKS)]
        names = [name.removeprefix("properties.") for name in fields if not name.startswith(_LINKS)]
        rows = list(self._rows(kind, ids, [name for name in names if "." not in name]))
        there = [row["id"] for _, row, deleted in rows if not deleted]
        links = {to: self._client.links(stream, to, there) for to in streams}
        for id_, row, deleted in rows:
            yield as_record(stream, {**row, "requested_id": id_}, {} if deleted else links, deleted=deleted)

    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        """
        Yield since when these properties have their values, once for each object, at a call for 50.

        An emptied property tells since when it is empty; one that was never set, or that HubSpot does not
        know, is left out. What was merged comes once, under the id it has now, as in `read`; what is in the
        recycle bin or gone is left out. Raises Rejected for a stream that holds no objects.
        """
        kind = _kind(stream)
        names = {field: name for field in fields if "." not in (name := field.removeprefix("properties."))}
        told: set[str] = set()
        for _, row, deleted in self._rows(kind, ids, (), history=list(names.values())):
            if deleted or row["id"] in told:
                continue
            told.add(row["id"])
            times = {field: since(dig(row, "propertiesWithHistory", name)) for field, name in names.items()}
            yield FieldTimes(id=row["id"], at={field: at for field, at in times.items() if at is not None})

    def _rows(
        self, kind: ObjectType, ids: Iterable[str], fields: Iterable[str], history: Sequence[str] = ()
    ) -> Iterator[tuple[str, Row, bool]]:
        """Yield for each id: the id, the object it leads to, and whether that is deleted."""
        properties = [*fields, _MERGED] if kind.merges else list(fields)
        for some in chunks(ids, BATCH):
            read = self._client.read(kind.name, some, properties, history=history)
            rows = {row["id"]: row for row in read}
            now = {old: row for row in rows.values() for old in _split(row["properties"].get(_MERGED))} | rows
            rest = [id_ for id_ in some if id_ not in now]
            binned = self._client.read(kind.name, rest, properties, archived=True)
            gone = {row["id"]: row for row in binned}
            for id_ in some:
                row = now.get(id_)
                if row is None and id_ not in gone and kind.merges:
                    row = self._survivor(kind.name, id_, properties, history)
                if row is not None:
                    yield id_, row, False
                else:
                    yield id_, gone.get(id_, {"id": id_, "properties": {}}), True

    def _survivor(
        self, stream: str, id_: str, properties: Sequence[str], history: Sequence[str]
    ) -> Row | None:
        """Ask for one object that a batch did not answer: a merged one still answers under its old id."""
        params = {"properties": ",".join(properties)}
        if history:
            params["propertiesWithHistory"] = ",".join(history)
        return self._client.get_if_there(self._client.objects(stream, f"/{id_}"), params)

    def locate(self, writes: Sequence[Write]) -> Iterator[Location]:
        """
        Say for each write whether it stands, by id, key and association alone, never by search.

        An entry is looked for among those of its contact: by its key property, or the marker in its text.
        """
        order = sorted(writes, key=lambda write: (write.op, write.stream))
        for (op, stream), some in groupby(order, key=lambda write: (write.op, write.stream)):
            batch = list(some)
            kind = OBJECTS.get(stream)
            if kind is None:
                yield from (Unknown(key=write.key, reason=f"HubSpot has no {stream}") for write in batch)
            elif op == "create":
                yield from self._created(kind, batch)
            elif op in ("link", "unlink"):
                yield from self._linked(kind, batch)
            else:
                yield from self._changed(kind, batch)

    def _created(self, kind: ObjectType, writes: Sequence[Write]) -> Iterator[Location]:
        field = self._setup.key_field(kind.name)
        unique = field is not None and field.unique
        found: dict[str, str] = {}
        if unique:
            keys = [write.key for write in writes]
            rows = self._client.read(kind.name, keys, [KEY_PROPERTY], id_property=KEY_PROPERTY)
            found = {str(row["properties"].get(KEY_PROPERTY)): row["id"] for row in rows}
        rest = [write for write in writes if write.key not in found]
        unknown: dict[str, str] = {}
        if kind.name == "contacts":
            found |= self._contacts(rest, keyed=field is not None)
            nowhere = {write.key for write in rest if not write.fields.get("email")}
            reason = "a contact without e-mail address is found by its key only: run `crmbridge setup`"
            unknown = dict.fromkeys(nowhere, reason)
        else:
            entries, unknown = self._entries(kind, rest)
            found |= entries
        for write in writes:
            if write.key in found:
                yield Found(key=write.key, id=found[write.key])
            elif write.key in unknown and not unique:
                yield Unknown(key=write.key, reason=unknown[write.key])
            else:
                yield Absent(key=write.key)

    def _contacts(self, writes: Sequence[Write], *, keyed: bool) -> dict[str, str]:
        """
        Return which contacts of ours stand under their address.

        With a key property, one that has not our key is somebody else's, and a create will say so.
        Without, a contact that shows just what was sent counts as ours.
        """
        sent = {str(write.fields["email"]).lower(): write for write in writes if write.fields.get("email")}
        names = sorted({name for write in sent.values() for name in write.fields} | {"email", KEY_PROPERTY})
        found = {}
        for row in self._client.read("contacts", sent, names, id_property="email"):
            write = sent.get(str(row["properties"].get("email")).lower())
            if write is None:
                continue
            ours = row["properties"].get(KEY_PROPERTY) == write.key
            if ours or (not keyed and shows(row["properties"], write.fields)):
                found[write.key] = row["id"]
        return found

    def _entries(self, kind: ObjectType, writes: Sequence[Write]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the ids of the entries that stand, by key, and why others cannot be looked for."""
        found: dict[str, str] = {}
        unknown: dict[str, str] = {}
        anchors: dict[str, str] = {}
        for write in writes:
            contacts = [link.to for link in write.links if link.stream == "contacts" and link.to.isdecimal()]
            if contacts:
                anchors[write.key] = contacts[0]
            else:
                unknown[write.key] = (
                    f"no contact is linked to this {kind.label}, and HubSpot finds it only there"
                )
        contacts_now: dict[str, str] = {}
        for id_, row, deleted in self._rows(OBJECTS["contacts"], anchors.values(), ()):
            if not deleted:
                contacts_now[id_] = row["id"]
        for key, contact in anchors.items():
            if contact not in contacts_now:
                unknown[key] = f"contact {contact}, to which it was linked, is deleted"
        wanted = anchors.keys() - unknown.keys()
        links = self._client.links("contacts", kind.name, contacts_now.values())
        # The newest first: what was just written has one of the highest ids.
        candidates = in_order({id_ for ids in links.values() for id_ in ids})[::-1]
        for some in chunks(candidates, BATCH):
            if wanted <= found.keys():
                break
            for row in self._client.read(kind.name, some, [KEY_PROPERTY, *kind.text]):
                found |= {key: row["id"] for key in marks(kind, row) if key in wanted}
        return found, unknown

    def _linked(self, kind: ObjectType, writes: Sequence[Write]) -> Iterator[Location]:
        targets = sorted({link.stream for write in writes for link in write.links})
        ids = [str(write.id) for write in writes]
        links = {to: self._client.links(kind.name, to, ids) for to in targets}
        for write in writes:
            there = [link.to in links[link.stream].get(str(write.id), ()) for link in write.links]
            stands = all(there) if write.op == "link" else not any(there)
            yield Found(key=write.key, id=str(write.id)) if stands else Absent(key=write.key)

    def _changed(self, kind: ObjectType, writes: Sequence[Write]) -> Iterator[Location]:
        names = sorted({name for write in writes for name in write.fields})
        ids = [str(write.id) for write in writes]
        present = {id_: (row, deleted) for id_, row, deleted in self._rows(kind, ids, names)}
        for write in writes:
            row, deleted = present[str(write.id)]
            shown = not deleted and shows(row["properties"], write.fields)
            stands = deleted if write.op == "archive" else shown
            yield Found(key=write.key, id=row["id"]) if stands else Absent(key=write.key)


def searches(values: Sequence[str], properties: Sequence[str]) -> Iterator[dict[str, Json]]:
    """Yield bodies that search for all values in each of at most five properties, none too long."""

    def body(some: Sequence[str]) -> dict[str, Json]:
        groups = [
            {"filters": [{"propertyName": name, "operator": "IN", "values": list(some)}]}
            for name in properties
        ]
        return {"filterGroups": groups, "properties": list(properties), "limit": SEARCH_PAGE}

    room = SEARCH_CHARACTERS - len(orjson.dumps(body(()))) - len(',"after":"10000"')
    some: list[str] = []
    used = 0
    for value in values:
        length = (len(orjson.dumps(value)) + 1) * len(properties)
        if some and (used + length > room or len(some) == _SEARCH_VALUES):
            yield body(some)
            some, used = [], 0
        some.append(value)
        used += length
    if some:
        yield body(some)


def shows(properties: Mapping[str, Json], fields: Mapping[str, Json]) -> bool:
    """Whether an object shows each of these values, however HubSpot spells them."""
    for name, value in fields.items():
        sent, read = as_text(value), as_text(properties.get(name))
        if sent != read and (instant(sent) is None or instant(sent) != instant(read)):
            return False
    return True


def since(history: Json) -> datetime | None:
    """
    Return since when a property has its present value, None where it has no history.

    The newest entry stands first and is the present value; entries behind it that repeat it changed
    nothing. Raises Unavailable for an entry without a time. Shape and order: an answer shown in
    github.com/HubSpot/hubspot-api-nodejs/issues/154, read 2026-11-22.
    """
    if not history:
        return None
    entries = history if isinstance(history, list) else [history]
    same = list(takewhile(lambda entry: dig(entry, "value") == dig(entries[0], "value"), entries))
    at = instant(dig(same[-1], "timestamp"))
    if at is None:
        raise Unavailable(
            f"HubSpot told a property's history without a time: {history!r:.200}; the next sync asks again"
        )
    return at


def marks(kind: ObjectType, row: Row) -> set[str]:
    """Return the keys that an entry carries: in its property, and last in each of its texts."""
    properties = row["properties"]
    found = {str(properties.get(KEY_PROPERTY) or "")}
    for name in kind.text:
        found.update(_MARKER.findall(str(properties.get(name) or ""))[-1:])
    return found


def _kind(stream: str) -> ObjectType:
    kind = OBJECTS.get(stream)
    if kind is None:
        raise Rejected(f"HubSpot has no objects called {stream!r}; known: {', '.join(OBJECTS)}")
    return kind


def _holders(
    rows: Iterable[Row], properties: Sequence[str], spelled: Callable[[str], str]
) -> dict[str, set[str]]:
    """Return which ids hold each value of these properties; a value may be a list with `;`."""
    holders: dict[str, set[str]] = {}
    for row in rows:
        for name in properties:
            for value in _split(row["properties"].get(name)):
                holders.setdefault(spelled(value), set()).add(row["id"])
    return holders


def _split(value: Json) -> list[str]:
    return [word.strip() for word in str(value or "").split(";") if word.strip()]


def _digits(phone: str) -> str:
    return "".join(filter(str.isdecimal, phone))
