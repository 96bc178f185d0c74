"""How the participants, files and reactions that several records tell of become one list each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_ROLES = {
    role: place
    for place, role in enumerate(
        (
            *("from", "author", "caller", "organizer", "to", "callee", "attendee"),
            *("cc", "bcc", "reply_to", "mentioned"),
        )
    )
}
_FILE_STATES = ("unknown", "skipped", "failed", "pending", "available")


@dataclass(slots=True)
class _Someone:
    keys: set[tuple[str, ...]]
    fields: dict[str, Any]
    handles: list[Mapping[str, str]]


def fold_participants(people: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """
    Merge who has one role and shares a handle, the preferred record's participants coming first.

    The first handle of the first stays first. Who has no handle is merged by name. Sorted by role, then
    handle or name.
    """
    merged: list[_Someone] = []
    for person in people:
        handles = list(person.get("handles", ()))
        someone = _Someone(_keys(person), dict(person), handles)
        same = [other for other in merged if not other.keys.isdisjoint(someone.keys)]
        if not same:
            merged.append(someone)
            continue
        first, *others = same
        for other in (*others, someone):
            first.keys |= other.keys
            first.handles += [handle for handle in other.handles if handle not in first.handles]
            _fill(first.fields, other.fields)
        merged = [other for other in merged if other not in others]
    for someone in merged:
        if someone.handles:
            someone.fields["handles"] = someone.handles
    return sorted((someone.fields for someone in merged), key=_place)


def are_folded(people: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether participants stand as they would when folded, since each has another role and these in order."""
    places = [_ROLES[person["role"]] for person in people]
    return bool(places) and all(one < other for one, other in pairwise(places))


def _keys(person: Mapping[str, Any]) -> set[tuple[str, ...]]:
    role = person["role"]
    handles = person.get("handles")
    if not handles:
        return {(role, person.get("display_name", ""))}
    return {
        (role, handle["kind"], handle.get("scope", ""), _comparable(handle["kind"], handle["value"]))
        for handle in handles
    }


def _comparable(kind: str, value: str) -> str:
    return value.lower() if kind == "email" else value


def _place(person: Mapping[str, Any]) -> tuple[int, str, str]:
    handles = person.get("handles")
    return (
        _ROLES[person["role"]],
        handles[0]["value"] if handles else "",
        person.get("display_name", ""),
    )


def _fill(fields: dict[str, Any], others: Mapping[str, Any]) -> None:
    """Add what is missing or unknown."""
    for name, value in others.items():
        if fields.get(name) in (None, "", "unknown"):
            fields[name] = value


def fold_attachments(lists: Iterable[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """
    Unite lists of files, the preferred record's first; within one list no two are the same file.

    Files are the same by hash, by id, or by name where nothing speaks against it; one of which a copy tells
    no more than an id is then one of those that are left. One whose bytes are here wins over one still
    awaited. Keeps the order in which they were sent.
    """
    united: list[dict[str, Any]] = []
    for files in lists:
        left = list(range(len(united)))
        unknown: list[Mapping[str, Any]] = []
        for file in files:
            match = next((index for index in left if _same_file(united[index], file)), None)
            if match is None:
                unknown.append(file)
            else:
                left.remove(match)
                united[match] = _united(united[match], file)
        for file in unknown:
            if left and not _told(file):
                match = left.pop(0)
                united[match] = _united(united[match], file)
            else:
                united.append(dict(file))
    return united


def _united(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    first, second = (other, one) if _reached(other) > _reached(one) else (one, other)
    fields = dict(first)
    _fill(fields, second)
    return fields


def _told(file: Mapping[str, Any]) -> bool:
    return any(file.get(field) for field in ("sha256", "filename", "size", "content_type"))


def _reached(file: Mapping[str, Any]) -> int:
    return _FILE_STATES.index(file.get("state", "unknown"))


def _same_file(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    for field in ("sha256", "id"):
        if one.get(field) and one.get(field) == other.get(field):
            return True
    for field in ("sha256", "size"):
        if one.get(field) and other.get(field) and one[field] != other[field]:
            return False
    return bool(one.get("filename")) and one["filename"] == other.get("filename")


def fold_reactions(reactions: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """
    Keep each author's latest reaction unless it was taken back; oldest first.

    Takes pairs of the instant at which the record speaks and the reaction, which may tell its own.
    """
    latest: dict[str, tuple[str, str]] = {}
    for instant, reaction in reactions:
        author = reaction.get("by", "")
        said = (reaction.get("at", instant), reaction.get("emoji", ""))
        if author not in latest or _age(said) > _age(latest[author]):
            latest[author] = said
    kept = sorted((_age(said), author, said) for author, said in latest.items() if said[1])
    return [
        {"by": author, "emoji": emoji, "at": at} if author else {"emoji": emoji, "at": at}
        for _, author, (at, emoji) in kept
    ]


def _age(said: tuple[str, str]) -> tuple[str, str]:
    """Without their final Z, instants with and without milliseconds compare as text."""
    at, emoji = said
    return at[:-1], emoji
