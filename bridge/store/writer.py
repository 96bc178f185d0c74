"""The one writer of a process: every change of the store passes this thread, by priority, in grouped commits."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from bridge.errors import StoreError
from bridge.store.database import EPOCH, Database
from bridge.store.tables import meta

T = TypeVar("T")

_EPOCH_NOW = select(meta.c.value).where(meta.c.key == EPOCH).with_for_update(read=True)
Work = Callable[[Connection], Any]

STOPPING = "closed, because crmbridge is stopping"

GROUP_SECONDS = 0.010
"""How long one transaction keeps taking further waiting work; what came meanwhile waits for the next."""


class Priority(IntEnum):
    """Who goes first when several wait for the writer."""

    INBOX = 0
    DELIVERY = 1
    LIVE = 2
    RESOLVE = 3
    BACKFILL = 4


class Writer:
    """
    Run pieces of work, each atomically, grouped into few commits.

    Durable work is on disk before its future resolves (SQLite synchronous=FULL, PostgreSQL
    synchronous_commit=on); other work may be lost by a power failure, never by a crash of the
    process, and is then read again from its source. A piece that raises is rolled back alone.
    """

    def __init__(self, database: Database, *, epoch: int = 0) -> None:
        self._database = database
        self._epoch = epoch
        self._queue: queue.PriorityQueue[tuple[int, int, bool, Work | None, Future[Any]]] = (
            queue.PriorityQueue()
        )
        self._sequence = itertools.count()
        self._gate = threading.Lock()
        self._closed: str | None = None
        self._durable: bool | None = None
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[..., T], *arguments: Any, priority: Priority, durable: bool = False
    ) -> Future[T]:
        """
        Queue `work(connection, *arguments)`.

        The future resolves after its commit, or raises what the work raised. Raises StoreError once the
        writer has ended.
        """
        future: Future[T] = Future()
        piece = (lambda connection: work(connection, *arguments)) if arguments else work
        with self._gate:
            if self._closed is not None:
                raise StoreError(f"store: {self._closed}; nothing was written.")
            self._queue.put((priority, next(self._sequence), durable, piece, future))
        return future

    def run(self, work: Callable[..., T], *arguments: Any, priority: Priority, durable: bool = False) -> T:
        """Do `work(connection, *arguments)` and wait until it is committed."""
        return self.submit(work, *arguments, priority=priority, durable=durable).result()

    @property
    def backlog(self) -> int:
        """How many pieces wait; work that can wait longer asks before it adds to them."""
        return self._queue.qsize()

    def close(self) -> None:
        """Finish what is queued and stop."""
        with self._gate:
            if self._closed is None:
                self._closed = STOPPING
                self._queue.put((99, next(self._sequence), False, None, Future()))
        self._thread.join()

    def _loop(self) -> None:
        """Work until closed; whatever ends this thread, nobody waits for it in vain."""
        reason = STOPPING
        try:
            with self._database.writer.connect() as connection:
                while (first := self._queue.get())[3] is not None:
                    self._commit_group(connection, first)
        except BaseException as error:
            reason = f"its writer ended: {_cause(error)}"
        with self._gate:
            self._closed = reason
        while not self._queue.empty():
            self._queue.get()[4].set_exception(StoreError(f"store: {reason}; nothing was written."))

    def _commit_group(self, connection: Connection, first: Any) -> None:
        taken = [first]
        done: list[tuple[Any, BaseException | None]] = []
        durable = first[2]
        stop = None
        try:
            try:
                self._begin(connection, durable)
                until = time.monotonic() + GROUP_SECONDS
                while len(done) < len(taken):
                    done.append(self._attempt(connection, taken[-1][3]))
                    item = self._next(durable, until)
                    if item is not None and item[3] is None:
                        stop = item
                    elif item is not None:
                        taken.append(item)
                connection.commit()
            except (
                BaseException
            ) as error:  # whatever broke the transaction, every waiting caller must hear of it
                failure = error if isinstance(error, StoreError) else StoreError(f"store: {_cause(error)}")
                done = [(None, failure)] * len(taken)
                connection.rollback()
        finally:
            for (*_, future), (result, raised) in zip(taken, done, strict=True):
                if raised is not None:
                    future.set_exception(raised)
                else:
                    future.set_result(result)
            if stop is not None:
                self._queue.put(stop)

    def _next(self, durable: bool, until: float) -> Any:
        """Return the next waiting piece that may share this transaction, or None."""
        if time.monotonic() >= until:
            return None
        try:
            item = self._queue.get_nowait()
        except queue.Empty:
            return None
        if item[2] != durable and item[3] is not None:
            self._queue.put(item)
            return None
        return item

    def _begin(self, connection: Connection, durable: bool) -> None:
        if self._database.dialect == "sqlite":
            if durable != self._durable:
                driver: Any = connection.connection.driver_connection
                driver.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}").close()
                self._durable = durable
            connection.begin()
            return
        if not durable:
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
        if self._epoch:
            found = connection.execute(_EPOCH_NOW).scalar()
            if found != str(self._epoch):
                raise StoreError(
                    f"store {self._database.shown}: another crmbridge took over while this one had lost its"
                    " connection. This process stops; nothing of its last step was written."
                )

    @staticmethod
    def _attempt(connection: Connection, work: Work) -> tuple[Any, BaseException | None]:
        connection.exec_driver_sql("SAVEPOINT piece")
        try:
            result = work(connection)
        except Exception as error:  # the piece's own fault: its future carries it, its neighbours go on
            try:
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT piece")
            except DBAPIError:
                raise error from None  # it broke the whole transaction, as a full disk does
            connection.exec_driver_sql("RELEASE SAVEPOINT piece")
            return None, error
        connection.exec_driver_sql("RELEASE SAVEPOINT piece")
        return result, None


def _cause(error: BaseException) -> str:
    """Return what the database said, without SQL and what customers wrote."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return f"{said or type(error).__name__}"
