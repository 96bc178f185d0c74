"""What must be read of a CRM before anything is written to it, so that nothing is written beside its twin."""

from __future__ import annotations

from collections.abc import Collection

from bridge.connector import Source
from bridge.model import Phase
from bridge.store import collected, cursors, ledger
from bridge.sync.runtime import Connection, Runtime


def written_streams(connection: Connection) -> set[str]:
    """Return the streams of a CRM that hold its contacts and what may be written."""
    rules = connection.mapping.push_interaction
    return {connection.spec.contact_stream, *(rules.streams if rules else ())}


def unread_streams(connection: Connection, worked: Collection[tuple[str, Phase]]) -> list[str]:
    """
    Return the written streams whose news was not read through, given the (stream, phase) pairs that were.

    A store from a backup does not know what was written since, nor a new one what the CRM logged itself: the
    entries of a stream that failed, or rests after it failed, would be written again.
    """
    if not isinstance(connection.connector, Source):
        return []
    return [
        spec.name
        for spec in connection.streams()
        if "live" in spec.phases
        and spec.name in written_streams(connection)
        and (spec.name, "live") not in worked
    ]


def is_behind(runtime: Runtime, connection: Connection) -> bool:
    """
    Tell whether records of a CRM wait to be resolved, or its past is not read to the end before the first write.

    Once something was written the past need not be waited for again: new fields make it be read anew.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    written = written_streams(connection)
    with runtime.database.read() as c:
        if any(collected.is_waiting(c, account_pk, spec.name) for spec in connection.spec.streams):
            return True
        if ledger.written_count(c, account_pk):
            return False
        pasts = [
            cursors.load_cursor(c, account_pk, spec.name, "backfill")
            for spec in connection.spec.streams
            if spec.name in written and "backfill" in spec.phases
        ]
    return any(at is None or not at.complete for at in pasts)
