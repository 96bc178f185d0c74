"""
When a message goes or names people otherwise than before: what rests on it no longer, and what must be seen again.

A sender's node gathers what every message said of them. Once one of those is gone, a handle that only it told
of must not go on joining people, and only the messages that remain can say which handle that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection as Transaction

from bridge.store import entities, people
from bridge.store.people import StoredNode
from bridge.sync.identity.identify import Incoming


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """What one record said of the people in an interaction: senders by key, and the contacts it refers to."""

    senders: Mapping[str, Incoming] = field(default_factory=dict)
    contacts: frozenset[str] = frozenset()

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.senders) | self.contacts


def sightings(senders: Iterable[Incoming], contacts: Iterable[str]) -> Sightings:
    """Put what a record says of each sender together; one may take part more than once."""
    found: dict[str, Incoming] = {}
    for one in senders:
        known = found.get(one.key)
        if known is not None:
            one = replace(
                one, handles=tuple(dict.fromkeys((*known.handles, *one.handles))), name=one.name or known.name
            )
        found[one.key] = one
    return Sightings(senders=found, contacts=frozenset(contacts))


@dataclass(slots=True, kw_only=True)
class Lost:
    """What interactions no longer say: pairs of interaction and node, and what was said of the nodes."""

    pairs: set[tuple[str, str]] = field(default_factory=set)
    said: dict[str, list[Incoming]] = field(default_factory=dict)

    def compare(self, entity_id: str, before: Sightings, now: Sightings) -> None:
        """Note what a record said before and does not say now."""
        self.pairs |= {(entity_id, key) for key in before.keys - now.keys}
        for key, old in before.senders.items():
            if old != now.senders.get(key):
                self.said.setdefault(key, []).append(old)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resight:
    """
    What follows for the senders.

    `gone` are those of whom nothing is left, `anew` those who start again from their own key, `records` are
    to be resolved again to tell the rest of them.
    """

    gone: frozenset[str] = frozenset()
    anew: frozenset[str] = frozenset()
    records: frozenset[int] = frozenset()


def resight(c: Transaction, lost: Lost, said: Iterable[tuple[str, str]]) -> Resight:
    """Work out what the senders in what was lost rest on now; `said` are the pairs that this page states."""
    touched = {key for _, key in lost.pairs} | lost.said.keys()
    senders = {key: one for key, one in people.load_nodes(c, touched).items() if one.contact_of is None}
    left: dict[str, set[str]] = {key: set() for key in senders}
    for key, entity_ids in entities.taken_part(c, senders).items():
        left[key] = {entity_id for entity_id in entity_ids if (entity_id, key) not in lost.pairs}
    for entity_id, key in said:
        if key in left:
            left[key].add(entity_id)
    gone = {key for key, entity_ids in left.items() if not entity_ids}
    anew = {key for key in senders.keys() - gone if _rests_on(senders[key], lost.said.get(key, ()))}
    shaken = {entity_id for entity_id, _ in lost.pairs} | {one for key in anew for one in left[key]}
    return Resight(
        gone=frozenset(gone), anew=frozenset(anew), records=frozenset(entities.records_of(c, shaken))
    )


def _rests_on(node: StoredNode, lost: Iterable[Incoming]) -> bool:
    """Tell whether a handle, the age or the name of a sender may come from what was lost."""
    return any(
        one.since is None
        or one.since == node.since
        or (one.name is not None and one.name_at == node.name_at)
        or any(handle.key in node.handles and not _is_own(node.key, handle.key) for handle in one.handles)
        for one in lost
    )


def _is_own(node_key: str, handle_key: str) -> bool:
    """Tell whether a handle follows from a sender's key: a WhatsApp number is a phone number as well."""
    kind, _, value = node_key.partition(":")
    return handle_key == node_key or (kind == "whatsapp_id" and handle_key == f"phone:+{value}")


def restate(c: Transaction, anew: Iterable[str], incoming: dict[str, Incoming]) -> None:
    """Let senders start again with their own handles, besides what the page says of them."""
    for key, node in people.load_nodes(c, sorted(anew)).items():
        own = [handle for name, (handle, made) in node.handles.items() if not made and _is_own(key, name)]
        now = incoming.get(key, Incoming(key=key, handles=()))
        handles = tuple(dict.fromkeys((*own, *now.handles)))
        incoming[key] = replace(now, handles=handles, anew=True)
