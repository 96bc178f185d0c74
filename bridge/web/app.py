"""The receiver: who sent it is checked over the raw bytes, the body is stored, then it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from bridge.connector import Receiver
from bridge.engine.opening import fault_of
from bridge.errors import StoreError
from bridge.model import Reply, Request
from bridge.store.collected import delivery_row
from bridge.sync.runtime import Connection, Runtime, log
from bridge.web.inbox import Inbox
from bridge.web.metrics import Metrics

T = TypeVar("T")

MAX_BODY = 16 * 1024 * 1024
"""Bytes of one webhook; a history webhook of WhatsApp is the largest known, at a few megabytes."""

BODY_SECONDS = 60.0
"""How long a sender may take over a body; a connection that never ends would be kept for good."""

SLOW_BODY = 64 * 1024
"""Above this many bytes checking a body would hold up the other requests; a thread does it."""


def make_app(runtime: Runtime, metrics: Metrics) -> Starlette:
    """Return the ASGI application of a daemon."""
    inbox = Inbox(runtime.writer)
    by_path = {
        path: (connection, connection.connector)
        for connection in runtime.connections.values()
        if isinstance(connection.connector, Receiver)
        for path in (f"/hooks/{connection.name}", *connection.spec.paths)
    }
    receiving = _Receiving(runtime, metrics, inbox)
    runtime.rest = inbox.rest

    async def hook(request: HttpRequest) -> Response:
        found = by_path.get(request.scope["path"])
        if found is None:
            return _json(404, {"error": f"no connection listens at {request.scope['path']}"})
        return await receiving.answer(*found, request)

    async def health(request: HttpRequest) -> Response:
        return _json(200, {"status": "ok"})

    async def ready(request: HttpRequest) -> Response:
        try:
            problems = await asyncio.to_thread(metrics.problems)
        except StoreError as error:
            problems = [runtime.message(error)]
        return _json(
            503 if problems else 200, {"status": "not ready" if problems else "ok", "problems": problems}
        )

    async def scrape(request: HttpRequest) -> Response:
        try:
            body = await asyncio.to_thread(metrics.exposition)
        except StoreError as error:
            return _json(503, {"error": runtime.message(error)})
        return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH"]
    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/readyz", ready),
            Route("/metrics", scrape),
            *(Route(path, hook, methods=methods) for path in by_path),
            Route("/hooks/{connection}", hook, methods=methods),
        ]
    )


class _Receiving:
    """Takes requests in: checked over the raw bytes, stored, then answered."""

    def __init__(self, runtime: Runtime, metrics: Metrics, inbox: Inbox) -> None:
        self._runtime = runtime
        self._metrics = metrics
        self._inbox = inbox
        self._failing = False

    async def answer(self, connection: Connection, receiver: Receiver, request: HttpRequest) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except TimeoutError:
            self._metrics.refused(connection.name)
            return _json(408, {"error": f"the body did not come within {BODY_SECONDS:g} s"})
        if body is None:
            self._metrics.refused(connection.name)
            return _json(413, {"error": f"bodies above {MAX_BODY} bytes are not taken"})
        received = Request(
            method=request.method,
            url=_public_url(self._runtime, request),
            query=dict(request.query_params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            received_at=self._runtime.clock(),
        )
        try:
            reply = await _in_thread(len(body) > SLOW_BODY, receiver.verify, received)
        except Exception as error:  # a third party's verify broke its promise; the vendor must send again
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
            return _json(503, {"error": "not stored; send it again"}, {"Retry-After": "5"})
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
        self._runtime.wake("resolve")
        return _answer(reply)

    async def _store(self, connection: Connection, received: Request, reply: Reply) -> bool:
        row = await _in_thread(
            len(received.body) > SLOW_BODY,
            partial(delivery_row, sender=reply.sender, key=reply.idempotency_key),
            connection.name,
            received,
            self._runtime.blobs,
        )
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


async def _body(request: HttpRequest) -> bytes | None:
    """Return the raw body, None when it is longer than what is taken."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        return None
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > MAX_BODY:
            return None
    return bytes(chunks)


def _public_url(runtime: Runtime, request: HttpRequest) -> str:
    public = runtime.config.web.public_url
    if public is None:
        return str(request.url)
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{public.rstrip('/')}{request.url.path}{query}"


def _answer(reply: Reply) -> Response:
    return Response(
        reply.body, status_code=reply.status, media_type=reply.content_type, headers=dict(reply.headers)
    )


def _json(status: int, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(content), status_code=status, media_type="application/json", headers=dict(headers or {})
    )
