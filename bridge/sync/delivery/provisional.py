"""Where the entries of somebody stand who could be one of several contacts, until somebody decides which."""

from __future__ import annotations

from dataclasses import replace

from bridge.sync.delivery.plan_values import Destination, PersonState


def provisional(state: PersonState, destination: Destination) -> PersonState:
    """
    Return an undecided person as the one contact on which their entries stand meanwhile.

    It is the one on which entries of theirs stand already, so that they never stand on two, else the first of
    the possible ones. What others take part in whose contacts are known is left to those.
    """
    if not destination.provisional or state.contacts or not state.possible:
        return state
    ids = [contact_id for contact_id, _ in state.possible]
    used = {contact for filed in state.filed.values() for contact in filed.contacts}
    here = next((contact_id for contact_id in ids if contact_id in used), ids[0])
    alone = tuple(
        one
        for one in state.interactions
        if not state.shared.get(one.entity_id) and not state.parties.get(one.entity_id)
    )
    entry_of = {
        one.entity_id: state.entry_of[one.entity_id] for one in alone if one.entity_id in state.entry_of
    }
    return replace(
        state,
        contacts=(here,),
        unconfirmed=tuple(name for contact_id, name in state.possible if contact_id != here),
        interactions=alone,
        entry_of=entry_of,
        filed={key: filed for key, filed in state.filed.items() if key in set(entry_of.values())},
    )
