"""Which contacts a person is kept apart from, because somebody decided that they are not theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection as Transaction

from bridge.journey.identity import Decision
from bridge.journey.identity.decisions import standing
from bridge.store import ledger as books
from bridge.store import people
from bridge.store.decisions import decisions_on
from bridge.sync.delivery.names import contact_markers
from bridge.sync.delivery.plan_values import PersonState
from bridge.sync.identity.reasons import by_whom
from bridge.sync.runtime import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """A contact that somebody is not, by `decision`."""

    contact_id: str
    decision: Decision

    @property
    def reason(self) -> str:
        """Return why the contact is not used, and what to do about it."""
        return (
            f"kept apart from contact {self.contact_id} {by_whom(self.decision.author)};"
            f" to take that back: crmbridge decisions revoke {self.decision.id}"
        )


def kept_apart(
    c: Transaction, connection: Connection, contacts: Mapping[str, Iterable[str]]
) -> dict[str, dict[str, Apart]]:
    """
    Return, by person, those of some contacts that a decision which holds keeps apart from them, by contact.

    A contact counts as everybody it is known to be: whoever is not Ana is none of her other contacts either.
    """
    stream = connection.spec.contact_stream
    own = {
        person_id: {node.key for node in nodes} for person_id, nodes in people.nodes_of(c, contacts).items()
    }
    found = decisions_on(c, {key for keys in own.values() for key in keys})
    splits = standing(found.values()).splits
    if not splits:
        return {}
    keys = {
        contact_id: connection.node_key(stream, contact_id) for ids in contacts.values() for contact_id in ids
    }
    person_of = people.persons_at(c, keys.values())
    together = {
        person_id: {node.key for node in nodes}
        for person_id, nodes in people.nodes_of(c, set(person_of.values())).items()
    }
    apart: dict[str, dict[str, Apart]] = {}
    for person_id, ids in contacts.items():
        here = own.get(person_id, set())
        for contact_id in ids:
            key = keys[contact_id]
            there = together.get(person_of.get(key, ""), {key})
            for split in splits if not here & there else ():
                if _parts(split, here, there):
                    apart.setdefault(person_id, {})[contact_id] = Apart(contact_id=contact_id, decision=split)
    return apart


def _parts(split: Decision, here: set[str], there: set[str]) -> bool:
    """Tell whether a decision says that two people are not one."""
    return bool(
        (split.records & here and split.others & there) or (split.others & here and split.records & there)
    )


def with_apart(c: Transaction, connection: Connection, states: Sequence[PersonState]) -> list[PersonState]:
    """Return the states with the contacts that were used for people without one and that they are kept apart from."""
    account_pk, account_key = connection.account_pk, connection.account_key
    assert account_pk is not None
    alone = [state for state in states if not state.contacts]
    if not decisions_on(c, {key for state in alone for key in state.nodes}):
        return list(states)
    markers = {
        state.person_id: {
            key for one in state.interactions for key in contact_markers(one, account_key, state.nodes)
        }
        for state in alone
    }
    made = books.written_ids(c, account_pk, {key for keys in markers.values() for key in keys})
    used = {
        state.person_id: {
            *(made[key] for key in markers[state.person_id] if key in made),
            *(contact_id for filed in state.filed.values() for contact_id in filed.contacts),
        }
        for state in alone
    }
    apart = kept_apart(c, connection, used)
    return [
        replace(
            state,
            apart=frozenset(apart[state.person_id]),
            spent=frozenset(markers[state.person_id] & made.keys()),
        )
        if state.person_id in apart
        else state
        for state in states
    ]
