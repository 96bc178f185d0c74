"""
A CRM with HubSpot's addresses and no rules, in a process of its own: it answers batches after a fixed time.

For the benchmark of delivery: what it does itself must cost next to nothing, so that what is measured is the
program that writes to it.

    python -m benchmarks.delivery_crm MILLISECONDS     prints its address
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import uvicorn

Row = dict[str, Any]
HEADERS = [(b"content-type", b"application/json")]


class Crm:
    """The objects that were made, by id their links, and how often each address was called."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ids = itertools.count(1_000_000)
        self._links: dict[str, list[Row]] = {}
        self._properties: dict[str, list[Row]] = {}
        self.calls: Counter[str] = Counter()

    async def __call__(
        self,
        scope: Row,
        receive: Callable[[], Awaitable[Row]],
        send: Callable[[Row], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        path = scope["path"]
        if path == "/calls":
            status, answer = 200, dict(self.calls)
        elif path.startswith("/know/"):
            self._properties[path.rpartition("/")[2]] = orjson.loads(body)
            status, answer = 200, {}
        else:
            until = asyncio.get_running_loop().time() + self._seconds
            parts = path.strip("/").split("/")
            self.calls["/".join([scope["method"], *parts[3 if parts[1] == "objects" else 1 :]])] += 1
            status, answer = self._answer(parts, orjson.loads(body) if body else {})
            await asyncio.sleep(until - asyncio.get_running_loop().time())
        await send({"type": "http.response.start", "status": status, "headers": HEADERS})
        await send({"type": "http.response.body", "body": orjson.dumps(answer)})

    def _answer(self, parts: list[str], body: Row) -> tuple[int, Row]:
        inputs = body.get("inputs", [])
        if parts[1] == "properties":
            return 200, {"results": self._properties.get(parts[-1], [])}
        if parts[1] == "associations":
            found = [{"from": one, "to": self._links.get(one["id"], [])} for one in inputs]
            return 200, {"results": found}
        if parts[-1] == "create":
            return 201, {"results": [self._made(one) for one in inputs]}
        return 200, {
            "results": [{"id": one["id"], "properties": one.get("properties", {})} for one in inputs]
        }

    def _made(self, one: Row) -> Row:
        id_ = str(next(self._ids))
        self._links[id_] = [{"toObjectId": link["to"]["id"]} for link in one["associations"]]
        return {
            "id": id_,
            "properties": one["properties"],
            "objectWriteTraceId": one["objectWriteTraceId"],
        }


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    crm = Crm(float(sys.argv[1]) / 1000)
    uvicorn.Server(uvicorn.Config(crm, log_level="warning", access_log=False, lifespan="off")).run([listener])


if __name__ == "__main__":
    main()
