"""Reconcile: what the source has, what is stored, what the journeys hold and what stands in the CRM, compared."""

from __future__ import annotations

from bridge.connector import Sink, Source, StreamSpec
from bridge.errors import BridgeError
from bridge.model import Phase
from bridge.store import counted
from bridge.sync.completeness.reconcile_crm import compare_crm
from bridge.sync.completeness.reconcile_journeys import compare_journeys
from bridge.sync.completeness.reconcile_values import Findings, Stream
from bridge.sync.runtime import Connection, Runtime

NO_LIST = "cannot be listed without reading it whole"


def reconcile(runtime: Runtime, connection: Connection) -> Findings:
    """
    Compare one connection's account with the store, stream by stream, and a CRM with what was written there.

    Reads the vendor, changes nothing. Raises what the connector raises; a stream that cannot be listed is
    noted and the others go on.
    """
    assert connection.account is not None
    findings = Findings(connection=connection.name, account=connection.account.id)
    for spec in connection.streams():
        findings.streams.append(_stream(runtime, connection, spec, findings))
    if isinstance(connection.connector, Sink) and connection.config.push is not None:
        compare_journeys(runtime, connection, findings)
        compare_crm(runtime, connection, findings)
    findings.drift(
        "numbers that do not add up", findings.off, "Reconcile again; things may have moved meanwhile."
    )
    return findings


def _stream(runtime: Runtime, connection: Connection, spec: StreamSpec, findings: Findings) -> Stream:
    account_pk = connection.account_pk
    assert account_pk is not None
    there, note = _listed(connection, spec)
    with runtime.database.read() as c:
        found = Stream(
            name=spec.name,
            counts=counted.states(c, account_pk).get(spec.name, {}),
            rules=counted.rules(c, account_pk, spec.name),
            note=note,
        )
        if there is None:
            return found
        stored = counted.ids(c, account_pk, spec.name)
        ours = counted.written(c, account_pk, spec.name)
        merged = counted.merged(c, f"{connection.account_key}:{spec.name}:")
        archived = counted.archived(c, account_pk, spec.name)
    present = {one for one, deleted in stored.items() if not deleted}
    found.source = len(there)
    found.merged = len((present & merged) - there)
    found.unread = tuple(sorted(there - present - ours))
    found.ours = len((there - present) & ours)
    found.archived = len((present & archived) - there - merged)
    found.vanished = tuple(sorted(present - there - merged - archived))
    findings.drift(
        f"{spec.name} at the source and not in the store",
        found.unread,
        "crmbridge sync reads them. What stays was changed in a way that the vendor does not tell.",
    )
    findings.drift(
        f"{spec.name} in the store and no more at the source",
        found.vanished,
        "The next sweep takes them out, where the vendor tells deletions; else they stay in the journeys.",
    )
    return found


def _listed(connection: Connection, spec: StreamSpec) -> tuple[set[str] | None, str]:
    """Return the ids that the source lists now, None and the reason where it cannot be asked."""
    connector = connection.connector
    if not isinstance(connector, Source) or not connection.spec.contact_stream:
        return None, NO_LIST
    phase: Phase = "backfill" if "backfill" in spec.phases else "live"
    there: dict[str, bool] = {}
    try:
        for page in connector.pull(spec.name, phase, None, ()):
            for one in page.records:
                if one.stream == spec.name:
                    there[one.id] = not getattr(one, "deleted", False)
    except BridgeError as error:
        return None, f"not counted: {error}"
    return {one for one, stands in there.items() if stands}, ""
