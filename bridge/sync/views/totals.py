"""What a run came to, added up from the store: how it ended is arithmetic, nobody's impression."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bridge.store import collected, deliveries, mass, rejects, runs
from bridge.store.intents import intent_counts
from bridge.store.mass import Hold
from bridge.sync.runtime import Runtime


@dataclass(slots=True, kw_only=True)
class Totals:
    """
    The numbers of a run.

    `read` counts its records by state, those that wait for whatever run included, `rules` its skips by rule,
    `rejects` what was rejected in it, at once or again; `pending` are writes that do not stand, by state, and
    `held` mass changes by connection.
    """

    read: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    rejects: int = 0
    pending: Counter[str] = field(default_factory=Counter)
    held: dict[str, Hold] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing was rejected, nothing waits and nothing is held."""
        return not (
            self.rejects or self.read["rejected"] or self.read["waiting"] or self.pending or self.held
        )

    def counts(self) -> dict[str, int]:
        """Return the numbers that are kept with the run."""
        words = ("mapped", "skipped", "rejected", "waiting")
        return {"read": sum(self.read.values()), **{word: self.read[word] for word in words}}


def totals(runtime: Runtime, number: int) -> Totals:
    """Add up what a run came to."""
    found = Totals()
    for row in collected.tally(runtime.database, run=number):
        found.read[row["state"]] += row["count"]
        if row["state"] == "skipped":
            found.rules[row["rule"] or "no rule"] += row["count"]
    with runtime.database.read() as c:
        began = runs.started_at(c, number)
        found.read["waiting"] += sum(deliveries.waiting_deliveries(c).values())
        found.read["rejected"] += sum(deliveries.refused_deliveries(c, since=began).values())
        found.rejects = rejects.filed_since(c, began)
        for connection in runtime.destinations():
            assert connection.account_pk is not None
            found.pending.update(intent_counts(c, connection.account_pk))
            hold = mass.load_hold(c, connection.account_pk)
            if hold is not None:
                found.held[connection.name] = hold
    return found
