"""The way of a webhook body onto the disk: many requests, one commit, one answer each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bridge.errors import StoreError
from bridge.store.deliveries import insert_deliveries
from bridge.store.writer import Priority, Writer

Waiting = tuple[Mapping[str, Any], "asyncio.Future[bool]"]


class Inbox:
    """
    Stores webhook bodies durably in group commits.

    Whatever arrives while one commit is on its way shares the next, so that the rate follows
    the number of waiting requests and not the disk's flushes. `stored` is called after each commit.
    """

    def __init__(self, writer: Writer, *, stored: Callable[[], None] = lambda: None) -> None:
        self._writer = writer
        self._stored = stored
        self._lock = threading.Lock()
        self._waiting: list[Waiting] = []
        self._scheduled = False

    async def append(self, row: Mapping[str, Any]) -> bool:
        """
        Store one body and return when it is on the disk.

        False means that its idempotency key was used for another body. Raises what the store raises.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        with self._lock:
            self._waiting.append((row, future))
            schedule = not self._scheduled
            self._scheduled = True
        if schedule:
            loop.call_soon(self._hand_over, loop)
        return await future

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Queue one insert for all that waits by then; a turn of the loop later, as more requests lie ready."""
        taken: list[Waiting] = []
        try:
            job = self._submit(lambda c: self._insert(c, taken))
        except StoreError as error:
            self._refuse(self._take(), error)
        else:
            job.add_done_callback(lambda done: loop.call_soon_threadsafe(self._answer, done, taken))

    def _submit(self, work: Callable[[Connection], list[bool]]) -> Future[list[bool]]:
        return self._writer.submit(work, priority=Priority.INBOX, durable=True)

    def _take(self) -> list[Waiting]:
        with self._lock:
            taken, self._waiting, self._scheduled = self._waiting, [], False
        return taken

    def _insert(self, c: Connection, taken: list[Waiting]) -> list[bool]:
        taken += self._take()
        return insert_deliveries(c, [row for row, _ in taken])

    def _answer(self, done: Future[list[bool]], taken: list[Waiting]) -> None:
        error = done.exception()
        if error is None:
            for (_, future), stands in zip(taken, done.result(), strict=True):
                if not future.done():
                    future.set_result(stands)
            self._stored()
        elif isinstance(error, StoreError) or len(taken) < 2:
            self._refuse(taken or self._take(), error)  # nothing was taken where not even a transaction began
        else:
            self._insert_apart(taken)

    def _insert_apart(self, taken: list[Waiting]) -> None:
        """Store each body by itself, so that one the database refuses does not take its neighbours along."""
        loop = asyncio.get_running_loop()
        for one in taken:
            try:
                job = self._submit(partial(insert_deliveries, rows=[one[0]]))
            except StoreError as error:
                self._refuse([one], error)
            else:
                job.add_done_callback(
                    lambda done, one=one: loop.call_soon_threadsafe(self._answer, done, [one])  # type: ignore[misc]
                )

    @staticmethod
    def _refuse(taken: list[Waiting], error: BaseException) -> None:
        for _, future in taken:
            if not future.done():
                future.set_exception(error)
