"""Strangers at the webhook receiver: without a key they cannot fill the memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.web import app as web_app
from bridge.web.app import SLOW_BODY, make_app
from bridge.web.metrics import Metrics
from tests.sync_world import World


def test_large_bodies_are_read_a_few_at_a_time_and_small_ones_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "LARGE_AT_ONCE", 2)
    scope = {"type": "http", "method": "POST", "path": "/hooks/chat", "scheme": "http", "query_string": b""}
    statuses: list[int] = []
    inside = most = 0

    async def run(app: Any) -> None:
        gate, two, one_more = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])

        async def post(size: int) -> None:
            chunks: list[dict[str, Any]] = [{"body": b"x" * size, "more_body": True}, {"body": b"x"}]

            async def receive() -> Any:
                nonlocal inside, most
                if len(chunks) == 1:  # the rest of it: its turn has come
                    inside += size > SLOW_BODY
                    most = max(most, inside)
                    if size <= SLOW_BODY:
                        one_more.set()
                    elif inside == 2:
                        two.set()
                    await gate.wait()
                    inside -= size > SLOW_BODY
                return {"type": "http.request", **chunks.pop(0)}

            await app({**scope, "headers": []}, receive, send)

        large = [asyncio.create_task(post(SLOW_BODY + 1)) for _ in range(6)]
        await asyncio.wait_for(two.wait(), 60)
        small = asyncio.create_task(post(10))
        await asyncio.wait_for(one_more.wait(), 60)
        gate.set()
        await asyncio.gather(small, *large)

    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as world:
        asyncio.run(run(make_app(world.runtime, Metrics(world.runtime, list))))
    assert (most, inside) == (2, 0)
    assert statuses == [401] * 7
