"""
Webhooks durable before the 200: requests a second and latency of a running daemon.

A daemon with the WhatsApp connector on an empty SQLite store (fsync on); 32 keep-alive connections on
loopback, each sending the next signed delivery (one message, about 600 bytes) as soon as the last was
answered. Meanwhile the daemon also splits, maps and identifies what it stored. Afterwards every answered
delivery must be in the store. The floor, in turns with it, is the same server stack answering 200
without looking or storing. CPU is the server's alone; the client shares the machine.

    python -m benchmarks.webhooks [--requests 20000] [--connections 32] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import uvloop

from benchmarks.measure import PYTHON, WORK, conditions, cpu_of, middle, server, table
from bridge_whatsapp.sandbox import BUSINESS, Sender, batch, serialise, signed, text_message

FOLDER = WORK / "webhooks"
SECRET = "benchmark-app-secret"
NOW = datetime(2026, 11, 1, tzinfo=UTC)

CONFIG = """
store: sqlite:///{folder}/store.db
connections:
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{account}"
      app_secret: "${{env:BENCH_SECRET}}"
      verify_token: "${{env:BENCH_SECRET}}"
web: {{listen: "127.0.0.1:0"}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one server did: requests a second, latencies in ms, microseconds of its CPU a request."""

    rate: float
    p50: float
    p99: float
    worst: float
    cpu: float


def deliveries(count: int) -> list[bytes]:
    """Return whole HTTP requests, each a signed delivery of one message."""
    found = []
    for number in range(count):
        sender = Sender(name=f"Cliente {number % 200}", wa_id=f"55119{70000000 + number % 200:08d}")
        text = f"Mensagem {number}: quanto custa o forno?"
        body = serialise(batch([text_message(sender, text, at=NOW + timedelta(seconds=number))]))
        lines = [
            "POST /hooks/whatsapp HTTP/1.1",
            "Host: bench",
            "Content-Type: application/json",
            *(f"{name}: {value}" for name, value in signed(body, SECRET).items()),
            f"Content-Length: {len(body)}",
        ]
        found.append("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return found


class Client(asyncio.Protocol):
    """Sends the next request when the last is answered, and keeps the times."""

    def __init__(
        self, requests: list[bytes], latencies: list[float], refused: list[bytes], done: asyncio.Future[None]
    ) -> None:
        self._requests = requests
        self._latencies = latencies
        self._refused = refused
        self._done = done
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._latencies.append(time.perf_counter() - self._since)
        if not data.startswith(b"HTTP/1.1 200"):
            self._refused.append(data)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _next(self) -> None:
        if self._requests:
            self._since = time.perf_counter()
            self._transport.write(self._requests.pop())
        else:
            self._transport.close()


async def send(url: str, requests: list[bytes], connections: int) -> tuple[list[float], float, list[bytes]]:
    """Send every request and return the latencies, the seconds in all, and the answers that were no 200."""
    loop = asyncio.get_running_loop()
    address = urlsplit(url)
    latencies: list[float] = []
    refused: list[bytes] = []
    waits = []
    started = time.perf_counter()
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(
            lambda done=done: Client(requests, latencies, refused, done), address.hostname, address.port
        )
        waits.append(done)
    await asyncio.gather(*waits)
    return latencies, time.perf_counter() - started, refused


def measure(url: str, process: int, requests: list[bytes], connections: int) -> Round:
    """Load one server; a refused delivery ends the benchmark."""
    count = len(requests)
    before = cpu_of(process)
    latencies, seconds, refused = uvloop.run(send(url, list(requests), connections))
    cpu = cpu_of(process) - before
    if refused or len(latencies) != count:
        sys.exit(f"{len(refused)} of {count} deliveries were refused: {refused[:1]!r}")
    latencies.sort()

    def at(share: float) -> float:
        return latencies[min(count - 1, int(count * share))] * 1000

    return Round(
        rate=count / seconds, p50=at(0.5), p99=at(0.99), worst=latencies[-1] * 1000, cpu=cpu / count * 1e6
    )


def floor(requests: list[bytes], connections: int) -> Round:
    """Load the bare server stack."""
    with server([PYTHON, "-m", "benchmarks.webhooks_floor"]) as (url, process):
        return measure(url, process, requests, connections)


def ours(requests: list[bytes], connections: int) -> Round:
    """Load a daemon, and look for every delivery in its store."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    config = FOLDER / "config.yaml"
    config.write_text(CONFIG.format(folder=FOLDER, account=BUSINESS.waba))
    command = [PYTHON, "-m", "bridge.cli", "run", "--config", str(config)]
    with server(command, {**os.environ, "BENCH_SECRET": SECRET}) as (line, process):
        url = line.split("webhooks at ")[1].split("/hooks")[0]
        found = measure(url, process, requests, connections)
    with closing(sqlite3.connect(FOLDER / "store.db")) as store:
        stored = store.execute("SELECT count(*) FROM delivery").fetchone()[0]
    if stored != len(requests):
        sys.exit(f"{stored} of {len(requests)} deliveries are in the store")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    print(conditions())
    requests = deliveries(options.requests)
    found: dict[str, list[Round]] = {"floor, nothing stored": [], "crmbridge, on disk": []}
    for _ in range(options.rounds):
        for rounds, load in zip(found.values(), (floor, ours), strict=True):
            rounds.append(load(requests, options.connections))
    print(
        f"\n{options.requests:,} deliveries over {options.connections} connections,"
        f" {options.rounds} interleaved rounds, medians\n"
    )
    table(
        ["", "requests/s", "p50 ms", "p99 ms", "worst ms", "server CPU µs/request"],
        [
            [
                name,
                f"{middle(one.rate for one in rounds):,.0f}",
                f"{middle(one.p50 for one in rounds):.1f}",
                f"{middle(one.p99 for one in rounds):.1f}",
                f"{max(one.worst for one in rounds):.0f}",
                f"{middle(one.cpu for one in rounds):.0f}",
            ]
            for name, rounds in found.items()
        ],
    )
    bare, full = found.values()
    rate = middle(one.rate for one in full) / middle(one.rate for one in bare)
    print(f"\n{rate:.2f} of the floor's rate")


if __name__ == "__main__":
    main()
