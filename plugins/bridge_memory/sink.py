"""Writing the folder: finding people, carrying out writes one by one, finding a write again by its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge import (
    Absent,
    BridgeError,
    Created,
    Field,
    Found,
    Json,
    Link,
    Location,
    Match,
    Person,
    Receipt,
    Rejected,
    Write,
)
from bridge_memory.client import Folder, Thing
from bridge_memory.words import LINKS, SEVERAL


def find(folder: Folder, people: Sequence[Person]) -> Iterator[Match]:
    """Yield the contacts that carry an e-mail address or phone number of each person."""
    by_handle: dict[str, list[str]] = {}
    for thing in folder.latest("contacts").values():
        if not thing.get("deleted"):
            for handle in {str(thing.get("email", "")).lower(), str(thing.get("phone", ""))} - {""}:
                by_handle.setdefault(handle, []).append(thing["id"])
    for person in people:
        handles = [email.lower() for email in person.emails] + list(person.phones)
        found = dict.fromkeys(identifier for handle in handles for identifier in by_handle.get(handle, ()))
        yield Match(key=person.key, ids=tuple(found))


def push(folder: Folder, writes: Sequence[Write]) -> Iterator[Receipt]:
    """Carry out each write after the writes that its links name, and say what became of it."""
    made: dict[str, str | None] = {}
    ours = {write.key for write in writes}
    for write in parents_first(writes):
        receipt = _one(folder, write, ours, made)
        made[write.key] = None if receipt.error else receipt.id
        yield receipt


def locate(folder: Folder, writes: Sequence[Write]) -> Iterator[Location]:
    """Look each write up in the files themselves, which never lag."""
    for write in writes:
        known = folder.latest(write.stream)
        if write.op == "create":
            standing = (thing for thing in known.values() if not thing.get("deleted"))
            ids = [thing["id"] for thing in standing if thing.get("key") == write.key]
        else:
            ours = known.get(write.id or "")
            ids = [ours["id"]] if ours and _done(folder, ours, write) else []
        yield Found(key=write.key, id=ids[0]) if ids else Absent(key=write.key)


def create_fields(folder: Folder, stream: str, fields: Sequence[Field]) -> Created:
    """Add the fields that the stream lacks."""
    existing = {field.name for field in folder.fields(stream)}
    missing = [field for field in fields if field.name not in existing]
    for field in missing:
        folder.add_field(stream, field)
    return Created(
        created=tuple(field.name for field in missing),
        existing=tuple(field.name for field in fields if field.name in existing),
    )


def parents_first(writes: Sequence[Write]) -> list[Write]:
    """Return the writes so that each stands after those its links name; otherwise in the given order."""
    by_key = {write.key: write for write in writes}
    ordered: dict[str, Write] = {}
    entered: set[str] = set()

    def place(write: Write) -> None:
        entered.add(write.key)
        for link in write.links:
            if link.to in by_key and link.to not in entered:
                place(by_key[link.to])
        ordered[write.key] = write

    for write in writes:
        if write.key not in entered:
            place(write)
    return list(ordered.values())


def _one(folder: Folder, write: Write, ours: set[str], made: Mapping[str, str | None]) -> Receipt:
    try:
        thing = folder.append(write.stream, _wanted(folder, write, ours, made))
    except BridgeError as error:
        return Receipt(key=write.key, error=error)
    return Receipt(key=write.key, id=thing["id"], as_read={name: thing.get(name) for name in write.fields})


def _wanted(folder: Folder, write: Write, ours: set[str], made: Mapping[str, str | None]) -> Thing:
    writable = {field.name for field in folder.fields(write.stream) if field.writable}
    unknown = sorted(set(write.fields) - writable)
    if unknown:
        raise Rejected(f"{write.stream}: no writable field {', '.join(unknown)}", code="field")
    if write.op == "create":
        thing: dict[str, Any] = {"key": write.key}
    else:
        thing = dict(folder.latest(write.stream).get(write.id or "", {"deleted": True}))
        if thing.get("deleted"):
            raise Rejected(f"{write.stream}/{write.id}: is not there", code="missing")
    thing.update({name: _kept(value) for name, value in write.fields.items()})
    for link in write.links:
        field = LINKS.get(link.stream)
        if field not in writable:
            raise Rejected(f"{write.stream}: cannot be linked to {link.stream}", code="link")
        if write.op == "unlink":
            _link(thing, field, [one for one in linked(thing, field) if one != link.to])
        else:
            target = _target(folder, link, ours, made)
            before = linked(thing, field) if field in SEVERAL else []
            _link(thing, field, list(dict.fromkeys([*before, target])))
    if write.op == "archive":
        thing["deleted"] = True
    return thing


def linked(thing: Thing, field: str | None) -> list[str]:
    """Return the ids in a field that holds links: one as it is, several as a list."""
    value = thing.get(field or "")
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _link(thing: Thing, field: str | None, ids: list[str]) -> None:
    assert field is not None
    thing.pop(field, None)
    if ids:
        thing[field] = ids[0] if len(ids) == 1 else ids


def _target(folder: Folder, link: Link, ours: set[str], made: Mapping[str, str | None]) -> str:
    if link.to in ours:
        parent = made.get(link.to)
        if parent is None:
            raise Rejected(f"the write {link.to} it links to was not carried out", code="parent")
        return parent
    if folder.latest(link.stream).get(link.to, {"deleted": True}).get("deleted"):
        raise Rejected(f"{link.stream}/{link.to}: is not there", code="missing")
    return link.to


def _done(folder: Folder, thing: Thing, write: Write) -> bool:
    if write.op == "archive":
        return bool(thing.get("deleted"))
    there = [bool(_ids(folder, link) & set(linked(thing, LINKS.get(link.stream)))) for link in write.links]
    if write.op == "unlink":
        return not any(there)
    return all(there) and all(thing.get(name) == _kept(value) for name, value in write.fields.items())


def _ids(folder: Folder, link: Link) -> set[str]:
    things = folder.latest(link.stream).values()
    return {link.to} | {thing["id"] for thing in things if thing.get("key") == link.to}


def _kept(value: Json) -> Json:
    """Return a value as the folder keeps it: text without blanks around it."""
    return value.strip() if isinstance(value, str) else value
