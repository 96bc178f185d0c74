"""Merges of which a CRM tells nothing: a contact of ours is gone, and its marker stands on another by now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection as Transaction

from bridge.store import collected, entities, people
from bridge.store import ledger as books
from bridge.sync.intake.interpret import Meaning
from bridge.sync.intake.marks import Marks, marks_of, taken_as
from bridge.sync.runtime import Connection


def newly_taken(connection: Connection, marks: Marks, meanings: Sequence[Meaning]) -> dict[str, str]:
    """Return, under their alias, the contacts that show a marker under which the books have another contact."""
    return {
        taken_as(connection.account_key, mark): connection.node_key(meaning.stream, meaning.ext_id)
        for meaning in meanings
        if meaning.type == "contact"
        for mark in marks_of(meaning)
        if marks.places_of(mark) - {meaning.ext_id}
    }


def untold_merges(
    c: Transaction,
    connection: Connection,
    marks: Marks,
    taken: Mapping[str, str],
    deleted: Collection[str],
    present: Collection[str],
) -> dict[str, str]:
    """
    Return the nodes of contacts that are gone, with the node of that into which each was merged.

    A CRM fills the gaps of the one that stays from the other, the marker of ours as well; a person who copied the
    marker leaves the first contact where it is. `taken` is what this page shows, `deleted` are the vendor ids of
    contacts of which it says so, `present` the nodes that come with it.
    """
    account_pk, stream = connection.account_pk, connection.spec.contact_stream
    assert account_pk is not None
    start = taken_as(connection.account_key, "")
    first = {ext_id for alias in taken for ext_id in marks.places_of(alias.removeprefix(start))}
    gone = {*deleted, *(collected.deleted_among(c, account_pk, stream, first) if first else ())}
    names = {
        one: [taken_as(connection.account_key, key) for key in books.keys_of_contact(c, account_pk, one)]
        for one in gone
    }
    asked = {name for some in names.values() for name in some}
    if not asked:
        return {}
    heirs = {**entities.load_aliases(c, asked), **taken}
    there = {*people.load_nodes(c, set(heirs.values())), *present}
    found: dict[str, str] = {}
    for one, some in names.items():
        loser = connection.node_key(stream, one)
        heir = {heirs[name] for name in some if name in heirs} - {loser}
        if len(heir) == 1 and heir <= there:
            (found[loser],) = heir
    return found
