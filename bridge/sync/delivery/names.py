"""Under which markers something may stand in a CRM that was made for an interaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from bridge.journey.keys import entity_id, marker
from bridge.store.entities import Interaction
from bridge.store.intents import CONTACT_SLOT, ENTRY_SLOT


def ids_of(one: Interaction) -> list[str]:
    """
    Return every id that an interaction has or may have had, its own first.

    It is made from the keys of the record that came first; in another order, as after a backup, from others.
    """
    keys = one.body.get("dedupe_keys", ())
    return list(dict.fromkeys([one.entity_id, *(entity_id(key) for key in sorted(keys))]))


def entry_markers(one: Interaction, account_key: str) -> dict[str, str]:
    """Return the markers of the entries that may have been made for an interaction, each with its id by then."""
    return {marker(account_key, id, ENTRY_SLOT): id for id in ids_of(one)}


def contact_markers(one: Interaction, account_key: str, nodes: Collection[str]) -> list[str]:
    """
    Return the markers of contacts that may have been made because of an interaction for one of these nodes.

    Each person in an interaction has a marker of their own: a mail to two may make two contacts.
    """
    mine = sorted(set(one.node_keys) & set(nodes))
    return [marker(account_key, f"{id}/{node}", CONTACT_SLOT) for id in ids_of(one) for node in mine]


def marked_senders(interactions: Iterable[Interaction], account_key: str, key: str) -> frozenset[str]:
    """Return the senders for whom a contact with this marker may have been made."""
    return frozenset(
        node
        for one in interactions
        for node in one.node_keys
        if key in contact_markers(one, account_key, [node])
    )


def markers_of(interactions: Iterable[Interaction], account_key: str) -> Iterator[str]:
    """Yield every marker under which something may stand that was made for one of these interactions."""
    for one in interactions:
        yield from entry_markers(one, account_key)
        yield from contact_markers(one, account_key, one.node_keys)
