"""The receiver: who sent it is checked over the raw bytes, the body is stored, then it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.connector import Receiver
from bridge.engine.opening import fault_of
from bridge.errors import StoreError
from bridge.model import Reply, Request
from bridge.store.deliveries import delivery_row
from bridge.sync.runtime import Connection, Runtime, log
from bridge.web.burst import Burst
from bridge.web.inbox import Inbox
from bridge.web.metrics import Metrics

T = TypeVar("T")
Answer = tuple[int, bytes, Mapping[str, str]]
"""Status, body, headers with lower-case names."""

METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"])

MAX_BODY = 16 * 1024 * 1024
"""Bytes of one webhook; a history webhook of WhatsApp is the largest known, at a few megabytes."""

BODY_SECONDS = 60.0
"""How long a sender may take over a body; a connection that never ends would be kept for good."""

LARGE_AT_ONCE = 8
"""Bodies above SLOW_BODY that are held at once, so that strangers cannot fill the memory; the others wait unread."""

SLOW_BODY = 64 * 1024
"""Above this many bytes checking a body would hold up the other requests; a thread does it."""


def make_app(runtime: Runtime, metrics: Metrics) -> ASGIApp:
    """
    Return the ASGI application of a daemon.

    Webhooks are taken as plain ASGI: routing, middleware and request objects would be half of what one costs.
    """
    inbox = Inbox(runtime.writer, stored=lambda: runtime.wake("resolve"))
    by_path = {
        path: (connection, connection.connector)
        for connection in runtime.connections.values()
        if isinstance(connection.connector, Receiver)
        for path in (f"/hooks/{connection.name}", *connection.spec.paths)
    }
    burst = Burst()
    receiving = _Receiving(runtime, metrics, inbox, burst)
    runtime.rest = burst.rest
    pages = _pages(runtime, metrics)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = by_path.get(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await pages(scope, receive, send)
            return
        status, body, headers = await receiving.answer(*found, scope, receive)
        if "content-length" not in headers and status not in (204, 304):
            headers = {**headers, "content-length": str(len(body))}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    return app


def _pages(runtime: Runtime, metrics: Metrics) -> Starlette:
    """Return what is answered beside the webhooks."""

    left_out = {f"/hooks/{problem.path.split('.')[1]}" for problem in runtime.config.left_out}

    async def nobody(request: HttpRequest) -> Response:
        if request.scope["path"] in left_out:
            return _page(503, {"error": "the connector of this connection was left out; send it again"})
        return _page(404, {"error": f"no connection listens at {request.scope['path']}"})

    async def health(request: HttpRequest) -> Response:
        return _page(200, {"status": "ok"})

    async def ready(request: HttpRequest) -> Response:
        held: list[str] = []
        try:
            problems = await asyncio.to_thread(metrics.problems)
            held = await asyncio.to_thread(metrics.held)
        except StoreError as error:
            problems = [runtime.message(error)]
        return _page(
            503 if problems else 200,
            {"status": "not ready" if problems else "ok", "problems": problems, "held": held},
        )

    async def scrape(request: HttpRequest) -> Response:
        try:
            body = await asyncio.to_thread(metrics.exposition)
        except StoreError as error:
            return _page(503, {"error": runtime.message(error)})
        return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/readyz", ready),
            Route("/metrics", scrape),
            Route("/hooks/{connection}", nobody, methods=sorted(METHODS)),
        ]
    )


def _page(status: int, content: Mapping[str, object]) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")


class _Receiving:
    """Takes requests in: checked over the raw bytes, stored, then answered."""

    def __init__(self, runtime: Runtime, metrics: Metrics, inbox: Inbox, burst: Burst) -> None:
        self._runtime = runtime
        self._metrics = metrics
        self._inbox = inbox
        self._burst = burst
        self._failing = False
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def answer(
        self, connection: Connection, receiver: Receiver, scope: Scope, receive: Receive
    ) -> Answer:
        """Take one request and return its answer."""
        turns: list[bool] = []
        try:
            return await self._take(turns, connection, receiver, scope, receive)
        finally:
            if turns:
                self._large.release()

    async def _take(
        self, turns: list[bool], connection: Connection, receiver: Receiver, scope: Scope, receive: Receive
    ) -> Answer:
        if scope["method"] not in METHODS:
            return _json(
                405, {"error": f"{scope['method']} is not taken"}, {"allow": ", ".join(sorted(METHODS))}
            )
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._body(turns, headers, receive)
        except ConnectionResetError:
            return 400, b"", {}
        except TimeoutError:
            self._metrics.refused(connection.name)
            return _json(408, {"error": f"the body did not come within {BODY_SECONDS:g} s"})
        if body is None:
            self._metrics.refused(connection.name)
            return _json(413, {"error": f"bodies above {MAX_BODY} bytes are not taken"})
        query = scope["query_string"].decode("latin-1")
        received = Request(
            method=scope["method"],
            url=_public_url(self._runtime, scope, headers, query),
            query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
            headers=headers,
            body=body,
            received_at=self._runtime.clock(),
        )
        try:
            reply = await _in_thread(len(body) > SLOW_BODY, receiver.verify, received)
        except (Exception, SystemExit) as error:  # verify broke its promise; the vendor must send again
            log.error("%s", self._runtime.told(connection, fault_of(connection, error)))
            return _json(500, {"error": "this request could not be checked"})
        if not reply.store:
            if reply.status >= 400:
                self._metrics.refused(connection.name)
            return _answer(reply)
        try:
            stands = await self._store(connection, received, reply)
        except Exception as error:  # whatever it is, the vendor must hear that nothing was stored
            self._say(error)
            return _json(503, {"error": "not stored; send it again"}, {"retry-after": "5"})
        self._say(None)
        if not stands:
            self._metrics.refused(connection.name)
            return _json(
                409,
                {
                    "error": "this idempotency key was used for another body",
                    "remedy": "use a new key for a new body; send the first body again for a repeat",
                },
            )
        self._metrics.received(connection.name)
        return _answer(reply)

    async def _body(self, turns: list[bool], headers: Mapping[str, str], receive: Receive) -> bytes | None:
        """
        Return the raw body, None when it is longer than what is taken; ConnectionResetError when the sender left.

        A large body waits for its turn before the rest of it is read; `turns` then holds something.
        """
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY:
            return None
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > MAX_BODY:
                return None
            if size > SLOW_BODY and not turns:
                await self._large.acquire()
                turns.append(True)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def _store(self, connection: Connection, received: Request, reply: Reply) -> bool:
        row = await _in_thread(
            len(received.body) > SLOW_BODY,
            partial(delivery_row, sender=reply.sender, key=reply.idempotency_key),
            connection.name,
            received,
            self._runtime.blobs,
        )
        self._burst.came()
        return await self._inbox.append(row)

    def _say(self, error: Exception | None) -> None:
        """Log once when storing begins to fail, and once when it works again."""
        if error is not None and not self._failing:
            log.error(
                "webhooks cannot be stored: %s. Senders are told to send them again.",
                self._runtime.message(getattr(error, "orig", error)).rstrip("."),
            )
        elif error is None and self._failing:
            log.warning("webhooks are stored again")
        self._failing = error is not None


async def _in_thread(slow: bool, work: Callable[..., T], *arguments: object) -> T:
    """Do short work at once and slow work in a thread, where it does not hold up other requests."""
    return await asyncio.to_thread(work, *arguments) if slow else work(*arguments)


def _public_url(runtime: Runtime, scope: Scope, headers: Mapping[str, str], query: str) -> str:
    start = runtime.config.web.public_url
    if start is None:
        server = scope.get("server") or ("localhost", None)
        start = f"{scope['scheme']}://{headers.get('host', server[0])}"
    return f"{start.rstrip('/')}{scope['path']}{'?' if query else ''}{query}"


def _answer(reply: Reply) -> Answer:
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return reply.status, reply.body, {"content-type": reply.content_type, **headers}


def _json(status: int, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Answer:
    return status, orjson.dumps(content), {"content-type": "application/json", **(headers or {})}
