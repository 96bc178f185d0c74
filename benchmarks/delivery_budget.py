"""
Delivery against the call budgets of vendors: how much of what a plan allows is really written.

A plan allows so many calls in so many seconds; a call of HubSpot writes a hundred entries, one of Pipedrive one; and
with as many calls at once as we make, each answered after 20 ms, no more can be under way. The least of the three
is what is allowed. In a span of whole windows of the budget it is counted how many entries were written by calls that
began in it, what a window allows at its start included: by the whole delivery (planned, committed, written, booked;
timeline alone), by the connector alone, and by bare `requests` sessions that keep the same budget. Nine tenths of a
plan are ours, as by default; the rest is left to other programs.

    python -m benchmarks.delivery_budget [PLAN ...]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import requests

from benchmarks.delivery import (
    CONFIG,
    ROUND_TRIP,
    TOKEN,
    bodies,
    lent,
    phone,
    receive,
    tell_properties,
    ungrouped,
)
from benchmarks.measure import PYTHON, conditions, server, table
from bridge import Budget, Json, Sink, Write
from bridge.config import parse_config
from bridge.engine import cycle
from bridge.engine.memory import spare_what_stays
from bridge.engine.opening import learn_account, open_runtime
from bridge.errors import RateLimited
from bridge.http import Session
from bridge.store import receipts
from bridge.store.intents import ENTRY_SLOT
from bridge.sync.delivery.deliver import BATCH
from bridge.sync.runtime import Runtime
from bridge_hubspot import SPEC as HUBSPOT
from bridge_hubspot import words as hubspot_words
from bridge_hubspot.client import BURST
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_pipedrive import limits
from bridge_pipedrive import words as pipedrive_words
from bridge_pipedrive.sandbox import PipedriveSandbox
from bridge_whatsapp.sandbox import BUSINESS

PER_CONTACT = 5
MORE = 1.1
SHARE = 0.9
"""The part of an account's calls that is ours, unless its configuration says otherwise."""

TOO_MANY = 429
LARGEST = 190
"""Calls in ten seconds that HubSpot allows from Professional on (usage guidelines, read 2026-11-21)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan of a vendor: what of it is measured, for how many of its windows, and how it is written to."""

    vendor: str
    short: str
    name: str
    budgets: Sequence[Budget]
    windows: int
    per_call: int
    lanes: int
    creating: str

    @property
    def burst(self) -> Budget:
        return self.budgets[0]

    @property
    def seconds(self) -> float:
        return self.windows * self.burst.seconds

    @property
    def allowed(self) -> float:
        """Entries a second: by our share of the budget, or by the calls that can be under way where that is less."""
        calls = min(SHARE * self.burst.calls / self.burst.seconds, self.lanes / ROUND_TRIP)
        return calls * self.per_call

    @property
    def messages(self) -> int:
        """More than may be written in the span."""
        return int(MORE * self.allowed * self.seconds)


def plans() -> dict[str, Plan]:
    """Return the smallest and the largest plan of both vendors, by a short name."""
    hubspot = Plan(
        vendor="hubspot",
        short="starter",
        name="HubSpot, Free and Starter",
        budgets=HUBSPOT.budgets,
        windows=2,
        per_call=hubspot_words.BATCH,
        lanes=hubspot_words.LANES,
        creating="communications/batch/create",
    )
    larger = tuple(
        replace(budget, calls=LARGEST) if budget.name == BURST else budget for budget in HUBSPOT.budgets
    )
    pipedrive = Plan(
        vendor="pipedrive",
        short="lite",
        name="Pipedrive, Lite",
        budgets=limits({"plan": "lite"}),
        windows=10,
        per_call=1,
        lanes=pipedrive_words.LANES,
        creating="/activities",
    )
    return {
        "starter": hubspot,
        "professional": replace(
            hubspot, short="professional", name="HubSpot, from Professional on", budgets=larger, windows=1
        ),
        "lite": pipedrive,
        "ultimate": replace(
            pipedrive, short="ultimate", name="Pipedrive, Ultimate", budgets=limits({"plan": "ultimate"})
        ),
    }


class Watched:
    """The `Http` of a connection, which notes when calls that make entries began, and what they sent."""

    def __init__(self, plan: Plan) -> None:
        self._budgets = plan.budgets
        self._ending = plan.creating
        self.sent: list[tuple[str, Json]] = []
        self.began: list[tuple[float, int]] = []
        self._http = Session(connection="crm", budgets=self._budgets, share=SHARE)

    def pause(self, seconds: float, *, budget: str | None = None) -> None:
        self._http.pause(seconds, budget=budget)

    def fresh(self) -> None:
        """Begin anew once nothing of the budget is used at the vendor either."""
        time.sleep(self._budgets[0].seconds)
        self._http = Session(connection="crm", budgets=self._budgets, share=SHARE)
        self.sent.clear()
        self.began.clear()

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        if method != "POST" or not url.endswith(self._ending):
            return self._http.request(method, url, **more)
        self.sent.append((url, more["json"]))
        response = self._http.request(method, url, **more)
        self.began.append((time.perf_counter() - response.elapsed.total_seconds(), entries_in(more["json"])))
        return response


def entries_in(body: Json) -> int:
    return len(body["inputs"]) if "inputs" in body else 1


def written(began: Sequence[tuple[float, int]], plan: Plan) -> float:
    """Return how many entries a second were written by calls that began in the plan's span, from the first on."""
    since = min(at for at, _ in began)
    return sum(count for at, count in began if at < since + plan.seconds) / plan.seconds


class Limit:
    """What a bare program needs to keep a budget: the starts of the last calls."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._starts: deque[float] = deque(maxlen=int(SHARE * budget.calls))

    def wait(self) -> float:
        """Wait for a turn and return when it began."""
        with self._lock:
            now = time.perf_counter()
            if len(self._starts) == self._starts.maxlen:
                time.sleep(max(0.0, self._starts[0] + self._budget.seconds - now))
                now = time.perf_counter()
            self._starts.append(now)
            return now


def bare(plan: Plan, sent: Sequence[tuple[str, Json]], headers: dict[str, str]) -> float:
    """Send what was sent with bare sessions under the same budget; return entries a second."""
    mine = threading.local()
    limit = Limit(plan.burst)

    def send(one: tuple[str, Json]) -> tuple[float, int]:
        if not hasattr(mine, "session"):
            mine.session = requests.Session()
        data = orjson.dumps(one[1])
        while True:
            at = limit.wait()
            response = mine.session.post(one[0], data=data, headers=headers, timeout=30)
            if response.status_code != TOO_MANY:
                response.raise_for_status()
                return at, entries_in(one[1])

    with ThreadPoolExecutor(max_workers=plan.lanes) as threads:
        return written(list(threads.map(send, sent)), plan)


@contextmanager
def prepared(folder: Path, plan: Plan, calls: Watched) -> Iterator[Runtime]:
    """Lend a store that has read contacts and messages of them, and writes to a CRM that answers after 20 ms."""
    contacts = plan.messages // PER_CONTACT
    secret = "token" if plan.vendor == "hubspot" else "api_token"
    text = CONFIG.replace("connector: hubspot", f"connector: {plan.vendor}").replace(
        "{{token:", f"{{{{{secret}:"
    )
    text = text.replace("hubspot.yaml", f"{plan.vendor}.yaml").replace(
        "timeline: true", "timeline: true, fields: false"
    )
    (folder / f"{plan.vendor}.yaml").write_text(ungrouped(plan.vendor), encoding="utf-8")
    os.environ["BENCH_TOKEN"] = TOKEN
    with ExitStack() as stack:
        if plan.vendor == "hubspot":
            hub = stack.enter_context(HubSpotSandbox(token=TOKEN, time_zone="America/Sao_Paulo"))
            for number in range(contacts):
                hub.create("contacts", {"firstname": f"Cliente {number}", "phone": f"+{phone(number)}"})
            known = hub.url
        else:
            pipe = stack.enter_context(PipedriveSandbox(token=TOKEN, time_zone="America/Sao_Paulo"))
            for number in range(contacts):
                phones = [{"value": f"+{phone(number)}", "primary": True}]
                pipe.create("persons", {"name": f"Cliente {number}", "phones": phones})
            known = pipe.url
        text = text.format(folder=folder, url=known, account=BUSINESS.waba)
        runtime = stack.enter_context(
            open_runtime(parse_config(text, file="benchmark", folder=folder), lock_as="benchmark")
        )
        for connection in runtime.connections.values():
            learn_account(runtime, connection)
        crm = runtime.connections["crm"]
        cycle.pull(runtime, crm, run=1, force=True, whole=True)
        receive(runtime, bodies(plan.messages, contacts, datetime.now(UTC) - timedelta(days=1)))
        cycle.settle_inbox(runtime, run=1)
        if plan.vendor == "hubspot":
            command = [PYTHON, "-m", "benchmarks.delivery_crm", str(1000 * ROUND_TRIP)]
            url, _ = stack.enter_context(server(command))
            tell_properties(known, url)
        else:
            url, pipe.levers.pace = known, ROUND_TRIP
            pipe.levers.subscribe(plan.short)
        crm.connector = crm.spec.open({secret: TOKEN, "base_url": url}, lent(runtime, calls))
        spare_what_stays()
        yield runtime


def push_all(sink: Sink, writes: Sequence[Write]) -> None:
    """Write all by the connector alone; what a 429 stopped is sent again after its wait, as a delivery does."""
    left = list(writes)
    while left:
        errors = {
            receipt.key: receipt.error for receipt in sink.push(left[:BATCH]) if receipt.error is not None
        }
        left = [write for write in left[:BATCH] if write.key in errors] + left[BATCH:]
        waits = [error.wait for error in errors.values() if isinstance(error, RateLimited)]
        if len(waits) < len(errors):
            raise next(error for error in errors.values() if not isinstance(error, RateLimited))
        time.sleep(max(waits, default=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """
    Entries a second that were written; `cpu` are the seconds of CPU that the whole delivery took for each.

    That is not told of Pipedrive, whose stand-in runs in the same process.
    """

    whole: float
    connector: float
    bare: float
    cpu: float


def reached(plan: Plan) -> Reached:
    """Deliver under a plan's budget: all of it, then the same writes by the connector alone, then bare."""
    calls = Watched(plan)
    with tempfile.TemporaryDirectory() as folder, prepared(Path(folder), plan, calls) as runtime:
        crm = runtime.connections["crm"]
        calls.fresh()
        before = time.process_time()
        while (wait := cycle.deliver_all(runtime, crm, run=1).wait) is not None:
            time.sleep(wait)
        cpu = (time.process_time() - before) / plan.messages
        whole = written(calls.began, plan)
        sent = list(calls.sent)
        with runtime.database.read() as c:
            rows = [row for row in receipts.of_run(c, 1) if row.slot == ENTRY_SLOT]
        writes = [
            Write(key=row.key, op="create", stream=row.stream, fields=row.fields, links=row.links)
            for row in rows
        ]
        calls.fresh()
        assert isinstance(crm.connector, Sink)
        push_all(crm.connector, writes)
        connector = written(calls.began, plan)
        calls.fresh()
        return Reached(
            whole=whole,
            connector=connector,
            bare=bare(plan, sent, {"Content-Type": "application/json", "x-api-token": TOKEN}),
            cpu=cpu,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    known = plans()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=f"of {', '.join(known)}; all of them")
    options = parser.parse_args(arguments)
    print(conditions())
    rows = []
    for name in options.plans or known:
        plan = known[name]
        found = reached(plan)
        shares = [
            f"{speed:,.0f} ({100 * speed / plan.allowed:.0f} %)"
            for speed in (found.whole, found.connector, found.bare)
        ]
        rows.append(
            [
                plan.name,
                f"{plan.allowed:,.0f}",
                *shares,
                f"{1000 * found.cpu:.2f} ms" if plan.per_call > 1 else "",
            ]
        )
    table(
        ["plan", "our part, a second", "delivered", "connector alone", "bare sessions", "CPU of each"], rows
    )


if __name__ == "__main__":
    main()
