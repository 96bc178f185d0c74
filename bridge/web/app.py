"""The receiver: who sent it is checked over the raw bytes, the body is stored, then it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from bridge.connector import Receiver
from bridge.errors import StoreError
from bridge.model import Reply, Request
from bridge.store.collected import delivery_row
from bridge.sync.runtime import Connection, Runtime, log
from bridge.web.inbox import Inbox
from bridge.web.metrics import Metrics

MAX_BODY = 16 * 1024 * 1024
"""Bytes of one webhook; a history webhook of WhatsApp is the largest known, at a few megabytes."""

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
    runtime.rest = inbox.rest

    async def hook(request: HttpRequest) -> Response:
        found = by_path.get(request.scope["path"])
        if found is None:
            return _json(404, {"error": f"no connection listens at {request.scope['path']}"})
        return await _receive(runtime, metrics, inbox, *found, request)

    async def health(request: HttpRequest) -> Response:
        return _json(200, {"status": "ok"})

    async def ready(request: HttpRequest) -> Response:
        problems = await asyncio.to_thread(metrics.problems)
        return _json(
            503 if problems else 200, {"status": "not ready" if problems else "ok", "problems": problems}
        )

    async def scrape(request: HttpRequest) -> Response:
        body = await asyncio.to_thread(metrics.exposition)
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


async def _receive(
    runtime: Runtime,
    metrics: Metrics,
    inbox: Inbox,
    connection: Connection,
    receiver: Receiver,
    request: HttpRequest,
) -> Response:
    try:
        body = await _body(request)
    except ClientDisconnect:
        return Response(status_code=400)
    if body is None:
        metrics.refused(connection.name)
        return _json(413, {"error": f"bodies above {MAX_BODY} bytes are not taken"})
    received = Request(
        method=request.method,
        url=_public_url(runtime, request),
        query=dict(request.query_params),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        received_at=runtime.clock(),
    )
    verify: Callable[[], Reply] = lambda: receiver.verify(received)  # noqa: E731 used twice, below
    try:
        reply = await asyncio.to_thread(verify) if len(body) > SLOW_BODY else verify()
    except Exception as error:  # a third party's verify broke its promise; the vendor must send again
        log.error("%s: verify failed: %s", connection.name, runtime.message(error))
        return _json(500, {"error": "this request could not be checked"})
    if not reply.store:
        if reply.status >= 400:
            metrics.refused(connection.name)
        return _answer(reply)
    row = delivery_row(
        connection.name, received, runtime.blobs, sender=reply.sender, key=reply.idempotency_key
    )
    try:
        stands = await inbox.append(row)
    except StoreError as error:
        log.error("%s: a webhook could not be stored: %s", connection.name, runtime.message(error))
        return _json(503, {"error": "not stored; send it again"}, {"Retry-After": "5"})
    if not stands:
        metrics.refused(connection.name)
        return _json(
            409,
            {
                "error": "this idempotency key was used for another body",
                "remedy": "use a new key for a new body; send the first body again for a repeat",
            },
        )
    metrics.received(connection.name)
    runtime.wake("resolve")
    return _answer(reply)


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
