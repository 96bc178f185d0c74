"""A TCP relay on loopback that delays every byte, and can be cut: a server far away on a bad line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

CHUNK = 256 * 1024
WINDOW = 4 * 1024 * 1024
"""Bytes under way in one direction; more makes the sender wait, as TCP would."""


class SlowLine:
    """
    Relays connections to 127.0.0.1:`target` from 127.0.0.1:`port`, with a `round_trip` in seconds.

    A connection over which the server sends `poison` is cut there and then. `asked` is what was sent to it.
    """

    def __init__(self, target: int, round_trip: float = 0.0, poison: bytes = b"") -> None:
        self._target = target
        self._delay = round_trip / 2
        self._poison = poison
        self.asked = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0, limit=CHUNK)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        far, ask = await asyncio.open_connection("127.0.0.1", self._target, limit=CHUNK)
        cut = asyncio.Event()
        self._spawn(self._one_way(near, ask, b"", cut, self.asked))
        self._spawn(self._one_way(far, answer, self._poison, cut, None))
        self._spawn(self._cut(cut, ask, answer))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cut(self, cut: asyncio.Event, *writers: asyncio.StreamWriter) -> None:
        try:
            await cut.wait()
        finally:
            for writer in writers:
                writer.transport.abort()

    async def _one_way(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        poison: bytes,
        cut: asyncio.Event,
        heard: bytearray | None,
    ) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=max(1, WINDOW // CHUNK))

        async def deliver() -> None:
            while True:
                due, chunk = await under_way.get()
                await asyncio.sleep(due - self._loop.time())
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()

        delivery = self._loop.create_task(deliver())
        tail = b""
        try:
            while not cut.is_set():
                chunk = await reader.read(CHUNK)
                if poison and poison in tail + chunk:
                    break
                tail = chunk[-len(poison) :] if poison else b""
                if heard is not None:
                    heard += chunk
                await under_way.put((self._loop.time() + self._delay, chunk))
                if not chunk:
                    await delivery
                    break
        except OSError:
            pass  # one side hung up; so does the other
        finally:
            delivery.cancel()
            cut.set()
