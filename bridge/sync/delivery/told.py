"""What an entry in the CRM tells, read back from its text: which messages, and whether we wrote it so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import cast

from bridge.journey.fold import fold
from bridge.journey.interaction import Interaction as Body
from bridge.journey.text import chat_entries, is_shown
from bridge.journey.text_format import CONTROLS, clock_time, in_zone
from bridge.mapping.html_text import text_of_html
from bridge.model import Json
from bridge.store.entities import Interaction
from bridge.sync.delivery.entries import Entry, entries_of, group_of
from bridge.sync.delivery.plan_values import Destination, PersonState

SHOWN = 40
"""Characters by which a message is recognised in a text that a person changed."""

PARTS = 10
"""Entries of a day among which one whose number is not known is looked for."""

MOST_COPIES = 5
"""Records of a message of which any may have been missing when an entry was written; the last ones of more."""

_name = re.compile(r"^(\d\d:\d\d) [^:]*: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """
    What an entry tells: the messages in it, and the entry as we wrote it at some time.

    `entry` is None where no state of the messages gives that text: then a person changed it, or nobody knows.
    """

    members: tuple[Interaction, ...] = ()
    entry: Entry | None = None


def read_back(
    state: PersonState,
    destination: Destination,
    group: Sequence[Interaction],
    shown: Mapping[str, Json],
    key: str,
) -> Told:
    """
    Return what an entry tells of `group`, the messages by time that may stand in it.

    A message counts in any version that is known of it, so that one which was edited since is not told twice.
    The names in front of messages are not looked at: people come to be called otherwise.
    """
    rules = destination.mapping.push_interaction
    values = [value for value in shown.values() if isinstance(value, str) and key in value]
    texts = [text for value in values for text in (value, text_of_html(value))]
    if not group or rules is None:
        return Told()
    alone = len(group_of(group[0], rules, destination.style)) == 1
    style = destination.style_of(state)
    first = min(state.interactions, key=order).entity_id
    for text in texts:
        lines = _lines(text)
        written = [[one] for one in _versions(group[0])] if alone else [_in_lines(lines, group, destination)]
        for versions in filter(None, written):
            for part in range(1, 2 if alone else PARTS):
                entry, *_ = entries_of(
                    versions,
                    rules,
                    style=style,
                    account_key=destination.account_key,
                    first=first,
                    part=part,
                    key=key,
                )
                if _lines(str(entry.view["text"])) == lines:
                    inside = set(entry.entity_ids)
                    return Told(members=tuple(one for one in group if one.entity_id in inside), entry=entry)
    return Told(members=tuple(group if alone else _seem_told(texts, group, destination)))


def order(one: Interaction) -> tuple[str, str]:
    """Return by what interactions are put in order: when they happened."""
    return one.body.get("occurred_at", ""), one.entity_id


def _lines(text: str) -> list[str]:
    """Return the lines of an entry as they compare: without names, however the CRM spells spaces."""
    found = (" ".join(line.split()) for line in text.splitlines())
    return [_name.sub(r"\1 ", line) for line in found if line]


def _versions(one: Interaction) -> Iterator[Interaction]:
    """Yield an interaction as it is, and as it was while some of its records were not there."""
    yield one
    copies = sorted(one.copies, key=lambda copy: (copy.entity.get("occurred_at", ""), copy.record_key))
    copies = copies[-MOST_COPIES:]
    for count in range(len(copies) - 1, 0, -1):
        for some in combinations(copies, count):
            yield replace(one, body=fold(some))


def _line_of(one: Interaction, destination: Destination) -> str:
    """Return the line of a message, empty where it has none."""
    if not is_shown(cast(Body, one.body)):
        return ""
    (entry, *_) = chat_entries([cast(Body, one.body)], style=destination.style, key_of=lambda _: "")
    return _lines(entry.text)[-2]


def _in_lines(
    lines: Sequence[str], group: Sequence[Interaction], destination: Destination
) -> list[Interaction]:
    """Return the messages that these lines tell, in their order and in the version told; each takes one line."""
    told: dict[str, list[Interaction]] = {}
    for one in group:
        for version in _versions(one):
            line = _line_of(version, destination)
            if line:
                told.setdefault(line, []).append(version)
    found: dict[str, Interaction] = {}
    for line in lines:
        free = [one for one in told.get(line, ()) if one.entity_id not in found]
        found |= {one.entity_id: one for one in free[:1]}
    return list(found.values())


def _seem_told(
    texts: Sequence[str], group: Sequence[Interaction], destination: Destination
) -> Iterator[Interaction]:
    """
    Yield the messages for which a text that a person changed still has a line.

    What has no text of its own, such as a voice message, counts as told where something later is.
    """
    lines = [line for text in texts for line in _lines(text)]
    exact = {one.entity_id for one in _in_lines(lines, group, destination)}
    silent: list[Interaction] = []
    for one in group:
        said = set(_said(one))
        start = clock_time(in_zone(one.body["occurred_at"], destination.style.zone))
        if one.entity_id in exact or any(
            line.startswith(start) and text in line for line in lines for text in said
        ):
            yield from silent
            yield one
            silent = []
        elif not said:
            silent.append(one)


def _said(one: Interaction) -> Iterator[str]:
    """Yield the beginning of a message in every version of it that has a text."""
    bodies: Iterable[Mapping[str, Json]] = (one.body, *(copy.entity for copy in one.copies))
    for body in bodies:
        lines = str(body.get("body_text") or "").splitlines()
        said = " ".join(next((line for line in lines if line.strip()), "").translate(CONTROLS).split())
        if said:
            yield said[:SHOWN]
