"""
Webhooks durable before the 200: requests per second and latency of a running daemon.

A daemon with the WhatsApp connector on an empty SQLite store; `CONNECTIONS` keep-alive connections
on loopback, each sending the next signed delivery (one message, about 600 bytes) as soon as the
last was answered. Afterwards every answered delivery must be in the store.

    python -m benchmarks.webhooks [--requests 30000] [--connections 32]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bridge_whatsapp.sandbox import BUSINESS, Sender, batch, serialise, signed, text_message

WORK = Path(__file__).with_name(".work") / "webhooks"
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


def deliveries(count: int) -> list[bytes]:
    """Return whole HTTP requests, each a signed delivery of one message."""
    found = []
    for number in range(count):
        sender = Sender(name=f"Cliente {number % 200}", wa_id=f"55119{70000000 + number % 200:08d}")
        text = f"Mensagem {number}: quanto custa o forno?"
        body = serialise(batch([text_message(sender, text, at=NOW + timedelta(seconds=number))]))
        headers = signed(body, SECRET)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(
            ["POST /hooks/whatsapp HTTP/1.1", "Host: bench", "Content-Type: application/json", *lines, f"Content-Length: {len(body)}"]
        )
        found.append(head.encode() + b"\r\n\r\n" + body)
    return found


class Client(asyncio.Protocol):
    """Sends the next request when the last is answered, and keeps the times."""

    def __init__(self, requests: list[bytes], latencies: list[float], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._done = done
        self._since = 0.0
        self.refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._latencies.append(time.perf_counter() - self._since)
        if not data.startswith(b"HTTP/1.1 200"):
            self.refused += 1
        self._next()

    def _next(self) -> None:
        if not self._requests:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._since = time.perf_counter()
        self._transport.write(self._requests.pop())


async def load(host: str, port: int, requests: list[bytes], connections: int) -> tuple[list[float], float, int]:
    """Send every request and return latencies, seconds in all, and how many were refused."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    clients = []
    waits = []
    started = time.perf_counter()
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        _, client = await loop.create_connection(lambda done=done: Client(requests, latencies, done), host, port)
        clients.append(client)
        waits.append(done)
    await asyncio.gather(*waits)
    return latencies, time.perf_counter() - started, sum(client.refused for client in clients)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=30_000)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    config = WORK / "config.yaml"
    config.write_text(CONFIG.format(folder=WORK, account=BUSINESS.waba))
    daemon = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "run", "--config", str(config)],
        env={**os.environ, "BENCH_SECRET": SECRET},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stdout is not None
        address = urlsplit(daemon.stdout.readline().split("webhooks at ")[1].split("/hooks")[0])
        requests = deliveries(arguments.requests)
        latencies, seconds, refused = uvloop.run(
            load(address.hostname or "", address.port or 0, requests, arguments.connections)
        )
        stored = sqlite3.connect(WORK / "store.db").execute("SELECT count(*) FROM delivery").fetchone()[0]
    finally:
        daemon.terminate()
        daemon.wait(60)
    latencies.sort()

    def at(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000

    print(
        f"{arguments.requests} deliveries over {arguments.connections} connections:"
        f" {arguments.requests / seconds:,.0f}/s, p50 {at(0.5):.1f} ms, p99 {at(0.99):.1f} ms, max {latencies[-1] * 1000:.1f} ms;"
        f" refused {refused}, in the store {stored}"
    )
    if refused or stored != arguments.requests:
        sys.exit("a delivery was lost")


if __name__ == "__main__":
    main()
