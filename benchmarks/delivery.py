"""
Delivery: how many calls messages of known contacts take, how fast they go, and what a look costs afterwards.

WhatsApp messages of contacts that HubSpot has, all of one object type, each an entry of its own (the shipped
mapping would put a chat's day into one). Calls are counted by the stand-in of HubSpot. For the speed a CRM that
answers any call after 20 ms stands in for it (`delivery_crm.py`), without HubSpot's limit of calls, which tells
what the program itself takes (`delivery_budget` measures against the limits); beside it the
same batches are sent by bare `requests` sessions, as many at once. Then everybody is queued again, as after
`remap`, and planned: nothing is to be written.

    python -m benchmarks.delivery [--messages 1000] [--contacts 200] [--many 10000] [--of 2000]
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import requests
from sqlalchemy import select

from benchmarks.measure import PYTHON, ROOT, conditions, server, table
from bridge import Budget, Http, Json, Link, Receipt, Request, Sink, Write
from bridge.capture import RuledCapture
from bridge.cli.work import plan_all
from bridge.config import parse_config
from bridge.engine import cycle
from bridge.engine.lend import Lent
from bridge.engine.memory import spare_what_stays
from bridge.engine.opening import learn_account, open_runtime
from bridge.http import MemoryTokens, Session
from bridge.store import looks
from bridge.store.deliveries import delivery_row, insert_deliveries
from bridge.store.tables import journey
from bridge.store.writer import Priority
from bridge.sync.delivery.deliver import BATCH
from bridge.sync.delivery.mass import Guard
from bridge.sync.runtime import Connection, Runtime
from bridge_hubspot.client import BURST, DAILY, SEARCH
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_hubspot.words import LANES
from bridge_whatsapp.sandbox import BUSINESS, Sender, batch, serialise, text_message

TOKEN = "benchmark-token"
PER_BODY = 50
ROUND_TRIP = 0.02
WRITING = ("batch/create", "batch/update", "batch/archive")
NO_LIMITS = tuple(Budget(name=name, calls=1_000_000, seconds=1.0) for name in (BURST, SEARCH, DAILY))
CONFIG = """
company: {{time_zone: America/Sao_Paulo}}
store: sqlite:///{folder}/store.db
connections:
  crm:
    connector: hubspot
    mapping: {folder}/hubspot.yaml
    settings: {{token: "${{env:BENCH_TOKEN}}", base_url: "{url}"}}
    push: {{timeline: true}}
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{account}"
      app_secret: "${{env:BENCH_TOKEN}}"
      verify_token: "${{env:BENCH_TOKEN}}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What it took: the calls by method and path, the entries HubSpot holds, seconds of the clock."""

    calls: Counter[str]
    entries: int
    seconds: float


def phone(number: int) -> str:
    return f"551197{3_141_593 + 37 * number}"


def ungrouped(connector: str = "hubspot") -> str:
    """Return a shipped mapping with an entry for each message."""
    text = (ROOT / "mappings" / f"{connector}.yaml").read_text(encoding="utf-8")
    return (
        text.replace(" thread_day", " message").replace("\ntests:", "\nx-tests:").partition("\nx-tests:")[0]
        + "\n"
    )


def bodies(messages: int, contacts: int, start: datetime) -> Iterator[bytes]:
    """Yield webhook bodies; message k is of contact k modulo `contacts`."""
    for first in range(0, messages, PER_BODY):
        yield serialise(
            batch(
                [
                    text_message(
                        Sender(name=f"Cliente {number % contacts}", wa_id=phone(number % contacts)),
                        f"Mensagem {number}",
                        at=start + timedelta(seconds=number),
                    )
                    for number in range(first, min(first + PER_BODY, messages))
                ]
            )
        )


def receive(runtime: Runtime, found: Iterator[bytes]) -> None:
    """Store webhook bodies as the receiver does once it has checked them."""
    for body in found:
        request = Request(
            method="POST", url="", query={}, headers={}, body=body, received_at=datetime.now(UTC)
        )
        row = delivery_row("whatsapp", request, runtime.blobs, sender="", key=None)
        runtime.writer.run(insert_deliveries, [row], priority=Priority.INBOX)


@contextmanager
def received(folder: Path, hub: HubSpotSandbox, *, messages: int, contacts: int) -> Iterator[Runtime]:
    """Lend a store that has read the contacts of a CRM and the messages, and has written nothing."""
    os.environ["BENCH_TOKEN"] = TOKEN
    for number in range(contacts):
        hub.create("contacts", {"firstname": f"Cliente {number}", "phone": f"+{phone(number)}"})
    (folder / "hubspot.yaml").write_text(ungrouped(), encoding="utf-8")
    text = CONFIG.format(folder=folder, url=hub.url, account=BUSINESS.waba)
    config = parse_config(text, file="benchmark", folder=folder)
    with open_runtime(config, lock_as="benchmark") as runtime:
        for connection in runtime.connections.values():
            learn_account(runtime, connection)
        cycle.pull(runtime, runtime.connections["crm"], run=1, force=True, whole=True)
        receive(runtime, bodies(messages, contacts, datetime.now(UTC) - timedelta(days=1)))
        cycle.settle_inbox(runtime, run=1)
        yield runtime


def deliver(folder: Path, *, messages: int, contacts: int) -> Delivery:
    """Collect the contacts and the messages, then deliver; only the delivery is counted."""
    with (
        HubSpotSandbox(token=TOKEN, time_zone="America/Sao_Paulo") as hub,
        received(folder, hub, messages=messages, contacts=contacts) as runtime,
    ):
        before = len(hub.calls)
        started = time.perf_counter()
        cycle.deliver_all(runtime, runtime.connections["crm"], run=1)
        seconds = time.perf_counter() - started
        calls = Counter(f"{call.method} {_short(call.path)}" for call in hub.calls[before:])
        return Delivery(calls=calls, entries=len(hub.objects("communications")), seconds=seconds)


class Recorder:
    """The `Http` of a connection, which remembers the batches that make entries."""

    def __init__(self, http: Session) -> None:
        self._http = http
        self.sent: list[tuple[str, Json]] = []

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        if url.endswith("communications/batch/create"):
            self.sent.append((url, more["json"]))
        return self._http.request(method, url, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """
    Seconds for the same messages: `least` is what batches, connections and round trips allow, `bare` bare sessions,
    `push` the connector alone, `whole` the delivery with all it plans and books; then a look at nothing new, at
    everybody, and the count of what would change. `cpu` and `full_cpu` are this process's in `whole` and `full`,
    `counted_cpu` in the count. `writes` are the calls that wrote during the looks.
    """

    least: float
    bare: float
    push: float
    whole: float
    cpu: float
    idle: float
    full: float
    full_cpu: float
    queued: int
    counted_cpu: float
    writes: int


def speed(folder: Path, *, messages: int, contacts: int) -> Speed:
    """Deliver to a CRM that answers after ROUND_TRIP, then look again."""
    crm_process = [PYTHON, "-m", "benchmarks.delivery_crm", str(1000 * ROUND_TRIP)]
    with (
        HubSpotSandbox(token=TOKEN, time_zone="America/Sao_Paulo") as hub,
        server(crm_process) as (url, _),
        received(folder, hub, messages=messages, contacts=contacts) as runtime,
    ):
        tell_properties(hub.url, url)
        crm = runtime.connections["crm"]
        recorder = Recorder(Session(connection="crm", budgets=NO_LIMITS))
        crm.connector = crm.spec.open({"token": TOKEN, "base_url": url}, lent(runtime, recorder))
        spare_what_stays()
        started, before = time.perf_counter(), time.process_time()
        cycle.deliver_all(runtime, crm, run=1)
        whole, cpu = time.perf_counter() - started, time.process_time() - before
        sent = list(recorder.sent)
        writes = [_write(one) for _, body in sent for one in body["inputs"]]
        push = _seconds(
            lambda: [list(_push(crm, writes[at : at + BATCH])) for at in range(0, len(writes), BATCH)]
        )
        bare = _seconds(lambda: _bare(sent))
        calls = _calls(url)
        idle = _seconds(lambda: plan_all(runtime, crm))
        with runtime.database.read() as c:
            everybody = set(c.execute(select(journey.c.person_id)).scalars())
        runtime.writer.run(
            looks.touch, crm.account_pk, everybody, runtime.sequence(), priority=Priority.DELIVERY
        )
        before = time.process_time()
        full = _seconds(lambda: plan_all(runtime, crm))
        full_cpu, before = time.process_time() - before, time.process_time()
        Guard(runtime, crm).holds()
        counted_cpu = time.process_time() - before
        after = _calls(url) - calls
        return Speed(
            least=math.ceil(len(sent) / LANES) * ROUND_TRIP,
            bare=bare,
            push=push,
            whole=whole,
            cpu=cpu,
            idle=idle,
            full=full,
            full_cpu=full_cpu,
            queued=len(everybody),
            counted_cpu=counted_cpu,
            writes=sum(times for call, times in after.items() if call.endswith(WRITING)),
        )


def tell_properties(known: str, url: str) -> None:
    """Let the CRM at `url` have the properties of the stand-in at `known`."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for stream in ("contacts", "communications"):
        rows = requests.get(f"{known}/crm/properties/2026-09/{stream}", headers=headers, timeout=30)
        requests.post(f"{url}/know/{stream}", json=rows.json()["results"], timeout=30)


def lent(runtime: Runtime, http: Http) -> Lent:
    """Return what the connector of the CRM is lent when it calls by `http`."""
    return Lent(
        connection="crm",
        http=http,
        tokens=MemoryTokens(),
        capture=RuledCapture(rules=runtime.connections["crm"].config.capture),
        region="BR",
        own_domains=(),
        now=runtime.clock,
    )


def _push(crm: Connection, writes: Sequence[Write]) -> Iterator[Receipt]:
    assert isinstance(crm.connector, Sink)
    return crm.connector.push(writes)


def _write(one: Json) -> Write:
    links = [Link(stream="contacts", to=link["to"]["id"]) for link in one["associations"]]
    return Write(
        key=one["objectWriteTraceId"],
        op="create",
        stream="communications",
        fields=one["properties"],
        links=links,
    )


def _bare(sent: Sequence[tuple[str, Json]]) -> None:
    """Send batches as the bare library does, with as many connections."""
    mine = threading.local()

    def send(one: tuple[str, Json]) -> None:
        if not hasattr(mine, "session"):
            mine.session = requests.Session()
        data = orjson.dumps(one[1])
        answer = mine.session.post(
            one[0], data=data, headers={"Content-Type": "application/json"}, timeout=30
        )
        assert len(orjson.loads(answer.content)["results"]) == len(one[1]["inputs"])

    with ThreadPoolExecutor(max_workers=LANES) as threads:
        list(threads.map(send, sent))


def _calls(url: str) -> Counter[str]:
    return Counter(requests.get(f"{url}/calls", timeout=30).json())


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _short(path: str) -> str:
    return "/".join(path.split("/")[4:]) or path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000)
    parser.add_argument("--contacts", type=int, default=200)
    parser.add_argument("--many", type=int, default=10_000, help="messages whose speed is measured")
    parser.add_argument("--of", type=int, default=2_000, help="their contacts")
    options = parser.parse_args(arguments)
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        found = deliver(Path(folder), messages=options.messages, contacts=options.contacts)
    print(
        f"\n{options.messages:,} messages of {options.contacts:,} contacts:"
        f" {found.entries:,} entries in {found.seconds:.1f} s with {sum(found.calls.values())} calls\n"
    )
    table(["call", "times"], [[call, str(times)] for call, times in found.calls.most_common()])
    with tempfile.TemporaryDirectory() as folder:
        fast = speed(Path(folder), messages=options.many, contacts=options.of)
    print(
        f"\n{options.many:,} messages of {options.of:,} contacts to a CRM that answers after"
        f" {1000 * ROUND_TRIP:.0f} ms, {LANES} calls at once:\n"
    )
    rows = [
        ("what batches and connections allow", fast.least),
        ("the batches, by bare sessions", fast.bare),
        ("the batches, by the connector", fast.push),
        (f"delivered: planned, written, booked ({fast.cpu:.1f} s of CPU)", fast.whole),
    ]
    table(
        ["", "seconds", "messages a second", "share"],
        [
            [name, f"{seconds:.2f}", f"{options.many / seconds:,.0f}", f"{100 * fast.least / seconds:.0f} %"]
            for name, seconds in rows
        ],
    )
    print(
        f"\nThen `plan` with nothing new: {fast.idle:.2f} s; with all {fast.queued:,} people queued again:"
        f" {fast.full:.2f} s, {fast.full_cpu:.2f} of them CPU; counting a mass change:"
        f" {1000 * fast.counted_cpu / fast.queued:.2f} ms of CPU a person. Calls that write: {fast.writes}."
    )


if __name__ == "__main__":
    main()
