"""
The undo plan: what a run wrote, compared with what the CRM shows now, as small steps that take it back.

A pure function. Only what the run wrote last is touched: what a later run wrote, or a person edited,
deleted or merged since, is reported and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from html import unescape
from itertools import takewhile
from typing import Literal

from bridge.journey.keys import marker
from bridge.model import Json, Op, Write
from bridge.store.holds import DELETED, EDITED, MOVED
from bridge.store.intents import CONTACT_SLOT, DOUBLE_SLOT, FIELDS_SLOT, UNDO_SLOT, Intent
from bridge.store.receipts import Written
from bridge.sync.delivery.plan_contact import EMPTY
from bridge.sync.delivery.plan_values import Change
from bridge.sync.reversal.undo_values import Place, Step, StepKind, UndoState

TITLE_LENGTH = 100
SHOWN_LENGTH = 60

_BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li)>|\n", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def plan_undo(state: UndoState) -> list[Step]:
    """Return what takes the run back, entries first, newest first, then contacts, then what was not written yet."""
    objects: dict[Place, list[Written]] = {}
    for one in state.receipts:
        objects.setdefault(one.place, []).append(one)
    steps: list[Step] = []
    for place, found in objects.items():
        if place[0] != state.contact_stream:
            steps += _entry(state, place, found)
    leaving = {
        (step.write.stream, step.write.id or "")
        for step in steps
        if step.write is not None and step.write.op in ("archive", "unlink")
    }
    for place, found in objects.items():
        if place[0] == state.contact_stream:
            steps += _contact(state, place, found, leaving)
    steps += [_pending(state, item) for item in state.pending]
    return steps + [
        Step(kind="release", person_id="", name="", title=f"{key}, dropped before it was sent", entry=key)
        for key in state.dropped
    ]


def _entry(state: UndoState, place: Place, found: Sequence[Written]) -> Iterator[Step]:
    made = next((one for one in found if one.op in ("create", "archive")), None)
    if made is not None and made.slot == DOUBLE_SLOT:
        yield _leave(state, found, "it was archived as what it tells stands elsewhere too")
    elif made is not None and made.op == "archive":
        yield _release(state, place, found, made)
    elif made is not None:
        reason = _why_kept(state, place, found) or _elsewhere(state, place)
        yield _leave(state, found, reason) if reason else _archive(state, place, found, made)
    else:
        texts = [one for one in found if one.op == "update"]
        if texts:
            yield _regrow(state, place, texts)
        for one in found:
            if one.op in ("link", "unlink"):
                yield _relink(state, place, one)


def _contact(state: UndoState, place: Place, found: Sequence[Written], leaving: set[Place]) -> Iterator[Step]:
    made = next((one for one in found if one.op in ("create", "archive")), None)
    if made is not None and made.op == "archive":
        yield _release(state, place, found, made)
    elif made is not None:
        staying = state.ours.get(place[1], frozenset()) - leaving
        reason = _why_kept(state, place, found)
        if not reason and staying:
            told = ", ".join(f"{stream} {ext_id}" for stream, ext_id in sorted(staying)[:3])
            reason = f"{told}{', ...' if len(staying) > 3 else ''} of ours stand on it"
        if not reason and state.others.get(place[1]):
            reason = f"{', '.join(state.others[place[1]])} of others refer to it"
        yield _leave(state, found, reason) if reason else _archive(state, place, found, made)
    else:
        yield from _fields(state, place, found)


def _archive(state: UndoState, place: Place, found: Sequence[Written], made: Written) -> Step:
    write = _write(state, place, "archive", found[0])
    return replace(_line(state, "archive", found), write=write, entry=made.key, before=_sent(found))


def _release(state: UndoState, place: Place, found: Sequence[Written], made: Written) -> Step:
    """Return the step that lets go of what was archived: no CRM restores by its interface, so it is made anew."""
    present = state.present.get(place)
    if present is None:
        return _leave(state, found, "it could not be read")
    return replace(
        _line(state, "release", found),
        entry=made.entry,
        receipts=tuple(one.pk for one in found),
        stands=not present.gone,
    )


def _regrow(state: UndoState, place: Place, texts: Sequence[Written]) -> Step:
    """Return the step after which an entry tells again what it told before the run."""
    entry = texts[0].entry or ""
    reason = _why_kept(state, place, texts)
    if reason:
        return _leave(state, texts, reason)
    present = state.present[place].fields
    target: dict[str, Json] = {}
    for one in texts:
        target |= one.before
    return replace(
        _line(state, "regrow", texts),
        write=_write(state, place, "update", texts[0], target),
        entry=entry,
        entity_ids=tuple(dict.fromkeys(entity_id for one in texts for entity_id in one.entity_ids)),
        changes=tuple(
            Change(field=name, before=present.get(name), after=value)
            for name, value in sorted(target.items())
        ),
        before=_sent(texts),
    )


def _relink(state: UndoState, place: Place, one: Written) -> Step:
    ends = {link.to for link in one.links}
    same = [other for other in state.later if ends & {link.to for link in other.links}]
    reason = _decided(state, place) or _gone(state, place) or _later(place, one.pk, same)
    if reason:
        return _leave(state, [one], reason)
    op: Literal["link", "unlink"] = "unlink" if one.op == "link" else "link"
    return replace(
        _line(state, op, [one]),
        write=_write(state, place, op, one, links=one),
        entry=state.entries.get(place),
    )


def _fields(state: UndoState, place: Place, found: Sequence[Written]) -> Iterator[Step]:
    """Yield the update that puts a contact's fields back, and what is left alone, field by field."""
    reason = _gone(state, place)
    if reason:
        yield _leave(state, found, reason)
        return
    present = state.present[place].fields
    changes: list[Change] = []
    for name in sorted({name for one in found for name in one.fields}):
        writes = [one for one in found if name in one.fields]
        others = [one for one in state.later if name in one.fields]
        now = present.get(name)
        reason = _later(place, writes[0].pk, others)
        if not reason and _differs(writes[0], name, now):
            reason = _edited(writes[0].left(name), now)
        if reason:
            yield replace(_leave(state, writes, reason), title=f"{_title(state, writes)}, {name}")
            continue
        oldest = writes[0]
        for one in writes[1:]:
            if _later(place, one.pk, others) or _differs(one, name, oldest.before.get(name)):
                break
            oldest = one
        changes.append(Change(field=name, before=now, after=oldest.before.get(name)))
    if changes:
        values = {change.field: change.after for change in changes}
        sent = _sent(found)
        yield replace(
            _line(state, "restore", found),
            write=_write(state, place, "update", found[0], values),
            changes=tuple(changes),
            before={name: sent[name] for name in values},
        )


def _pending(state: UndoState, item: Intent) -> Step:
    """Return what happens to a write of the run that does not stand yet."""
    name = state.names.get(item.person_id, "")
    what = {CONTACT_SLOT: "new contact", FIELDS_SLOT: "fields of a contact"}
    title = what.get(item.slot) or f"{item.write.stream}: {first_line(item.write.fields, item.write.key)}"
    if item.state in ("uncertain", "held"):
        reason = f"whether it was written is not known yet; later: crmbridge undo {state.scope}"
        return Step(kind="leave", person_id=item.person_id, name=name, title=title, reason=reason)
    return Step(
        kind="drop",
        person_id=item.person_id,
        name=name,
        title=title,
        entry=item.entry or state.entries.get((item.write.stream, item.write.id or "")),
        dropped=item,
    )


def _why_kept(state: UndoState, place: Place, found: Sequence[Written]) -> str:
    """Return why an object is no longer ours alone to change, an empty text while it is."""
    reason = _decided(state, place) or _gone(state, place) or _later(place, found[0].pk, state.later)
    if reason:
        return reason
    present = state.present[place].fields
    for name in sorted({name for one in found for name in one.fields}):
        newest = next(one for one in found if name in one.fields)
        now = present.get(name)
        if _differs(newest, name, now):
            return f"{name}: {_edited(newest.left(name), now)}"
    return ""


def _elsewhere(state: UndoState, place: Place) -> str:
    """Return on which contacts somebody put an entry besides, or instead of, those where crmbridge did."""
    shown, ours = state.present[place].contacts, state.placed.get(state.entries.get(place, ""))
    if shown is None or ours is None or shown <= ours:
        return ""
    return f"it stands on contact {', '.join(sorted(shown - ours))}, where somebody else put it"


def _decided(state: UndoState, place: Place) -> str:
    held = state.held.get(state.entries.get(place, ""))
    return f"a person {held} it in the CRM" if held in (EDITED, DELETED, MOVED) else ""


def _later(place: Place, pk: int, others: Iterable[Written]) -> str:
    runs = sorted({one.run for one in others if one.place == place and one.pk > pk}, reverse=True)
    return f"run {runs[0]} wrote it since; take that back first: crmbridge undo {runs[0]}" if runs else ""


def _gone(state: UndoState, place: Place) -> str:
    present = state.present.get(place)
    if present is None:
        return "it could not be read"
    if present.gone:
        ours = any(one.place == place and one.op == "archive" for one in state.later)
        return "crmbridge archived it since" if ours else "it was deleted in the CRM since"
    return f"it was merged into {present.id} since" if present.id != place[1] else ""


def _differs(one: Written, name: str, now: Json) -> bool:
    """Tell whether a field shows anything but what a write left there."""
    if name in one.as_read:
        left = one.as_read[name]
        return now != left and not (now in EMPTY and left in EMPTY)
    return not shows(now, one.fields.get(name))


def shows(now: Json, sent: Json) -> bool:
    """Tell whether a field shows what was sent to it, whether or not the CRM spells it its own way."""
    return now == sent or (now in EMPTY and sent in EMPTY) or _plain(now) == _plain(sent)


def _plain(value: Json) -> object:
    """Return a value so that a CRM's own spelling of it compares equal: an instant, or text without markup."""
    text = unescape(_TAG.sub(" ", str(value)))
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return "".join(text.split())


def _sent(found: Sequence[Written]) -> dict[str, Json]:
    """Return the last values that these writes (newest first) sent to each field."""
    values: dict[str, Json] = {}
    for one in reversed(found):
        values |= one.fields
    return values


def _write(
    state: UndoState,
    place: Place,
    op: Op,
    newest: Written,
    fields: Mapping[str, Json] | None = None,
    *,
    links: Written | None = None,
) -> Write:
    return Write(
        key=marker(state.account_key, f"{newest.key}/{newest.pk}", UNDO_SLOT),
        op=op,
        stream=place[0],
        id=place[1],
        fields=fields or {},
        links=links.links if links is not None else (),
    )


def _line(state: UndoState, kind: StepKind, found: Sequence[Written]) -> Step:
    person = found[0].person_id
    return Step(kind=kind, person_id=person, name=state.names.get(person, ""), title=_title(state, found))


def _leave(state: UndoState, found: Sequence[Written], reason: str) -> Step:
    return replace(_line(state, "leave", found), reason=reason)


def _title(state: UndoState, found: Sequence[Written]) -> str:
    """Return how a person recognises an object: a contact by its id, an entry by its first line."""
    stream, ext_id = found[0].place
    if stream == state.contact_stream:
        return f"contact {ext_id}"
    line = next((line for one in found if (line := first_line(one.fields, one.entry or one.key))), "")
    line = line or next((line for one in found if (line := first_line(one.before, one.entry or ""))), "")
    return f"{stream} {ext_id}: {line}" if line else f"{stream} {ext_id}"


def first_line(fields: Mapping[str, Json], key: str) -> str:
    """Return the first line of the longest text that carries the marker `key`."""
    texts = [value for value in fields.values() if isinstance(value, str) and key in value and value != key]
    if not key or not texts:
        return ""
    lines = (unescape(_TAG.sub("", line)).strip() for line in _BREAK.split(max(texts, key=len)))
    return next((line for line in lines if line), "")[:TITLE_LENGTH]


def _edited(left: Json, now: Json) -> str:
    """Say what a field showed and shows, from where the two part where they are long."""
    ours, theirs = _one_line(left), _one_line(now)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    start = max(0, same - SHOWN_LENGTH // 3) if max(len(ours), len(theirs)) > SHOWN_LENGTH else 0
    return f"edited since: we left {_short(ours, start)}, it shows {_short(theirs, start)}"


def _one_line(value: Json) -> str:
    return "" if value in EMPTY else " ".join(unescape(_TAG.sub(" ", str(value))).split())


def _short(text: str, start: int) -> str:
    if not text:
        return "nothing"
    shown = text[start : start + SHOWN_LENGTH]
    return f"{'…' if start else ''}{shown!r}{'…' if len(text) > start + SHOWN_LENGTH else ''}"
