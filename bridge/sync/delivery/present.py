"""What the CRM shows, read just before it changes: fields of contacts and since when, what an entry stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bridge.connector import Historian, Sink
from bridge.errors import MappingError, Rejected
from bridge.mapping import Mapping as MappingFile
from bridge.model import FieldTimes, Json, Record
from bridge.sync.delivery.plan_contact import ages_to_ask, fields_to_read
from bridge.sync.delivery.plan_values import Destination, PersonState
from bridge.sync.runtime import asked_id, log


def fields_about_to_change(state: PersonState, destination: Destination) -> tuple[str, ...]:
    """Return the contact fields to read; none of whom the mapping refuses, as their plan says why."""
    try:
        return fields_to_read(state, destination)
    except MappingError:
        return ()


def with_present(sink: Sink, destination: Destination, states: list[PersonState]) -> list[PersonState]:
    """Return the states with the present values of the fields about to change. Raises what the connector raised."""
    wanted = _by_contact({state.contacts: fields_about_to_change(state, destination) for state in states})
    if not wanted:
        return states
    present: dict[str, Mapping[str, Json]] = {}
    for record in sink.read(destination.contact_stream, sorted(wanted), _names(wanted)):
        if record.deleted or not isinstance(record.data, dict):
            continue
        values = record.data.get("properties", record.data)
        present[record.id] = values
        present[asked_id(record)] = values
    return [
        replace(state, present=present[state.contacts[0]])
        if len(state.contacts) == 1 and state.contacts[0] in present
        else state
        for state in states
    ]


def with_ages(sink: Sink, destination: Destination, states: list[PersonState]) -> list[PersonState]:
    """Return the states with since when those fields have their values that differ and of which the later counts."""
    found: dict[str, Mapping[str, datetime]] = {}
    wanted = _by_contact({state.contacts: _ages_to_ask(state, destination) for state in states})
    if wanted and isinstance(sink, Historian):
        times = _times(sink, destination, sorted(wanted), _names(wanted))
        found = {one.id: one.at for one in times}
    return [
        replace(state, present_since=found.get(state.contacts[0], {})) if len(state.contacts) == 1 else state
        for state in states
    ]


def _times(
    sink: Historian, destination: Destination, ids: Sequence[str], names: Sequence[str]
) -> list[FieldTimes]:
    """Return since when; where the CRM refuses to tell of some, what it tells of the others, each asked by itself."""
    stream = destination.contact_stream
    try:
        return list(sink.field_times(stream, ids, names))
    except Rejected as error:
        if len(ids) == 1:
            log.warning(
                "%s: does not tell since when %s %s has its values, so the later of two is not known: %s",
                destination.account_key,
                stream,
                ids[0],
                error,
            )
            return []
        return [one for id_ in ids for one in _times(sink, destination, [id_], names)]


def _ages_to_ask(state: PersonState, destination: Destination) -> tuple[str, ...]:
    try:
        return ages_to_ask(state, destination)
    except MappingError:
        return ()


def stands_on(mapping: MappingFile, record: Record, stream: str, field: str) -> frozenset[str] | None:
    """Return the records of a stream that an entry stands on, as the mapping reads them; None where it cannot."""
    rule = mapping.pull.get(record.stream)
    try:
        body = rule.map(record.data) if rule else None
    except MappingError:
        body = None
    if body is None:
        return None
    start = f"{stream}/"
    return frozenset(ref.removeprefix(start) for ref in body.get(field, ()) if ref.startswith(start))


def _by_contact(fields: Mapping[tuple[str, ...], Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the fields asked for by contact, of people who have one."""
    return {contacts[0]: names for contacts, names in fields.items() if len(contacts) == 1 and names}


def _names(wanted: Mapping[str, Sequence[str]]) -> list[str]:
    return sorted({name for some in wanted.values() for name in some})
