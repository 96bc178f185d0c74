"""What the daemon tells of itself: whether it is ready, and numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from bridge.store.tables import journey
from bridge.sync.runtime import Runtime
from bridge.sync.views.status import held_changes, overview, troubles


class Metrics:
    """Counters of the receiver, and gauges read from the store when they are asked for."""

    def __init__(self, runtime: Runtime, alive: Callable[[], list[str]]) -> None:
        self._runtime = runtime
        self._alive = alive
        self._registry = CollectorRegistry()
        self._received = Counter(
            "crmbridge_webhooks_received",
            "Webhook bodies stored and answered.",
            ["connection"],
            registry=self._registry,
        )
        self._refused = Counter(
            "crmbridge_webhooks_refused",
            "Webhook requests refused: forged, stale, too large.",
            ["connection"],
            registry=self._registry,
        )
        self._received_by = {name: self._received.labels(name) for name in runtime.connections}
        self._registry.register(_StoreGauges(runtime))

    def received(self, connection: str) -> None:
        """Count a stored webhook."""
        self._received_by[connection].inc()

    def refused(self, connection: str) -> None:
        """Count a refused webhook."""
        self._refused.labels(connection).inc()

    def problems(self) -> list[str]:
        """Return why the daemon is not ready, nothing when it is."""
        return [
            *self._alive(),
            *(str(problem) for problem in self._runtime.config.left_out),
            *(
                f"{name}: {error.removeprefix(f'{name}: ')}"
                for name, errors in troubles(self._runtime).items()
                for error in errors
            ),
        ]

    def held(self) -> list[str]:
        """Return which mass changes wait for a person; the daemon is ready nevertheless."""
        return [f"{name}: {message}" for name, message in held_changes(self._runtime).items()]

    def exposition(self) -> bytes:
        """Return every metric in Prometheus' text format."""
        return generate_latest(self._registry)


class _StoreGauges(Collector):
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        found = overview(self._runtime)
        troubled = troubles(self._runtime)
        up = GaugeMetricFamily(
            "crmbridge_connection_up",
            "1 while neither the connection nor one of its streams has an error.",
            labels=["connection"],
        )
        silence = GaugeMetricFamily(
            "crmbridge_connection_silence_seconds",
            "Seconds since anything last came in.",
            labels=["connection"],
        )
        records = GaugeMetricFamily(
            "crmbridge_records", "Records by state.", labels=["connection", "stream", "state"]
        )
        freshness = GaugeMetricFamily(
            "crmbridge_stream_age_seconds",
            "Seconds since the last successful pull.",
            labels=["connection", "stream"],
        )
        writes = GaugeMetricFamily(
            "crmbridge_writes",
            "Writes that are not at the CRM yet, by state.",
            labels=["connection", "state"],
        )
        held = GaugeMetricFamily(
            "crmbridge_held_contacts",
            "Contacts that a held mass change would change; crmbridge approve releases it.",
            labels=["connection"],
        )
        used = GaugeMetricFamily(
            "crmbridge_budget_used",
            "Calls (or tokens) used of a budget of an hour or more, by all apps where the vendor tells.",
            labels=["connection", "budget"],
        )
        allowed = GaugeMetricFamily(
            "crmbridge_budget_limit", "What the vendor allows of a budget.", labels=["connection", "budget"]
        )
        spent = GaugeMetricFamily(
            "crmbridge_budget_waits",
            "1 while news and writes wait because our share of a budget is used up.",
            labels=["connection", "budget"],
        )
        queued = GaugeMetricFamily(
            "crmbridge_people_queued", "People to look at for an account.", labels=["connection"]
        )
        now = datetime.fromisoformat(found["at"])
        for connection in found["connections"]:
            held.add_metric([connection["name"]], connection["held"]["count"] if connection["held"] else 0)
            up.add_metric([connection["name"]], 0 if troubled[connection["name"]] else 1)
            if connection["last_event_at"] is not None:
                last = datetime.fromisoformat(connection["last_event_at"])
                silence.add_metric([connection["name"]], (now - last).total_seconds())
            for stream in connection["streams"]:
                for state in ("mapped", "skipped", "rejected", "waiting"):
                    records.add_metric([connection["name"], stream["name"], state], stream[state])
                if stream["age_seconds"] is not None:
                    freshness.add_metric([connection["name"], stream["name"]], stream["age_seconds"])
            if connection["left"] is not None:
                queued.add_metric([connection["name"]], connection["left"]["people"])
            for one in connection["budgets"]:
                used.add_metric([connection["name"], one["name"]], one["used"])
                allowed.add_metric([connection["name"], one["name"]], one["limit"])
                spent.add_metric([connection["name"], one["name"]], 1 if "news" in one["waits"] else 0)
            for state, count in connection["writes"].items():
                writes.add_metric([connection["name"], state], count)
        people = GaugeMetricFamily("crmbridge_people_waiting", "People who wait for an answer from us.")
        with self._runtime.database.read() as c:
            query = select(func.count()).select_from(journey).where(journey.c.waiting_since.is_not(None))
            people.add_metric([], int(c.execute(query).scalar_one()))
        backlog = GaugeMetricFamily(
            "crmbridge_writer_backlog", "Pieces of work that wait for the store's writer."
        )
        backlog.add_metric([], self._runtime.writer.backlog)
        yield from (
            up,
            silence,
            records,
            freshness,
            writes,
            held,
            used,
            allowed,
            spent,
            queued,
            people,
            backlog,
        )
