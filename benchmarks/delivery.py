"""
Delivery: how many calls to HubSpot a thousand messages of known contacts take.

1,000 WhatsApp messages of 200 contacts that HubSpot has, all of one object type, each an entry of its
own (the shipped mapping would put a chat's day into one). The stand-in of HubSpot counts the calls.

    python -m benchmarks.delivery [--messages 1000] [--contacts 200]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import ROOT, conditions, table
from bridge import Request
from bridge.config import parse_config
from bridge.engine import cycle
from bridge.engine.opening import learn_account, open_runtime
from bridge.store.deliveries import delivery_row, insert_deliveries
from bridge.store.writer import Priority
from bridge.sync.runtime import Runtime
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_whatsapp.sandbox import BUSINESS, Sender, batch, serialise, text_message

TOKEN = "benchmark-token"
PER_BODY = 50
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


def ungrouped() -> str:
    """Return the shipped mapping with an entry for each message."""
    text = (ROOT / "mappings" / "hubspot.yaml").read_text(encoding="utf-8")
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


def deliver(folder: Path, *, messages: int, contacts: int) -> Delivery:
    """Collect the contacts and the messages, then deliver; only the delivery is counted."""
    os.environ["BENCH_TOKEN"] = TOKEN
    with HubSpotSandbox(token=TOKEN, time_zone="America/Sao_Paulo") as hub:
        for number in range(contacts):
            hub.create("contacts", {"firstname": f"Cliente {number}", "phone": f"+{phone(number)}"})
        (folder / "hubspot.yaml").write_text(ungrouped(), encoding="utf-8")
        text = CONFIG.format(folder=folder, url=hub.url, account=BUSINESS.waba)
        config = parse_config(text, file="benchmark", folder=folder)
        with open_runtime(config, lock_as="benchmark") as runtime:
            crm = runtime.connections["crm"]
            for connection in runtime.connections.values():
                learn_account(runtime, connection)
            cycle.pull(runtime, crm, run=1, force=True, whole=True)
            receive(runtime, bodies(messages, contacts, datetime.now(UTC) - timedelta(days=1)))
            cycle.settle_inbox(runtime, run=1)
            before = len(hub.calls)
            started = time.perf_counter()
            cycle.deliver_all(runtime, crm, run=1)
            seconds = time.perf_counter() - started
            calls = Counter(f"{call.method} {_short(call.path)}" for call in hub.calls[before:])
        return Delivery(calls=calls, entries=len(hub.objects("communications")), seconds=seconds)


def _short(path: str) -> str:
    return "/".join(path.split("/")[4:]) or path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000)
    parser.add_argument("--contacts", type=int, default=200)
    options = parser.parse_args(arguments)
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        found = deliver(Path(folder), messages=options.messages, contacts=options.contacts)
    print(
        f"\n{options.messages:,} messages of {options.contacts:,} contacts:"
        f" {found.entries:,} entries in {found.seconds:.1f} s with {sum(found.calls.values())} calls\n"
    )
    table(["call", "times"], [[call, str(times)] for call, times in found.calls.most_common()])


if __name__ == "__main__":
    main()
