"""Decoding ahead: a second process decodes the records that wait, while this one resolves those before them."""

from __future__ import annotations

import logging
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bridge.model import Record

if TYPE_CHECKING:  # the second process needs nothing of the store
    from bridge.store.collected import Stored

log = logging.getLogger("crmbridge")

AT_ONCE = 50
"""Records handed over together; of what was not begun when it is needed, nothing is waited for."""

Decode = Callable[[Record], Iterator[Record]]
Decoded = dict[int, list[Record]]


class Ahead:
    """
    What the second process decodes.

    It runs as long as there is a backlog. What it does is a head start and nothing more: where a connector's
    `decode` cannot be pickled, where the process does not start or dies, records are decoded here. It ends by
    itself when this process does, however that ends. `read` is what was read for it and not taken back yet, so
    that it need not be read again.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = False
        self._broken = False
        self._closed = False
        self._talk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode-ahead")
        self._under_way: dict[int, Future[Decoded]] = {}
        self.read: dict[int, Stored] = {}

    def decode(self, decode: Decode, records: Sequence[tuple[int, Record]]) -> None:
        """Have records decoded, each with the key to ask for it; those that are under way are left alone."""
        asked = [(key, one) for key, one in records if key not in self._under_way]
        for start in range(0, len(asked), AT_ONCE):
            batch = asked[start : start + AT_ONCE]
            try:
                request = pickle.dumps((decode, batch))
            except (pickle.PicklingError, TypeError, AttributeError):
                return
            future = self._talk.submit(self._ask, request)
            self._under_way.update({key: future for key, _ in batch})

    def take(self, keys: Iterable[int]) -> Decoded:
        """Return what was decoded of these records, or is just being decoded; nothing while the process starts."""
        found: Decoded = {}
        for key in keys:
            self.read.pop(key, None)
            future = self._under_way.pop(key, None)
            if future is None or future.cancel() or not (self._answers or future.done()):
                continue
            views = future.result().get(key)
            if views is not None:
                found[key] = views
        return found

    @property
    def runs(self) -> bool:
        """Tell whether the second process is there."""
        return self._process is not None

    def rest(self) -> None:
        """End the second process unless something is under way; it starts again when it is needed."""
        if self._process is not None and not self._under_way:
            self.read.clear()
            self._talk.submit(self._end)

    def close(self) -> None:
        """End the second process."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
        self._talk.shutdown(cancel_futures=True)
        self._end()

    def _ask(self, request: bytes) -> Decoded:
        if self._broken:
            return {}
        try:
            if self._process is None:
                self._process = subprocess.Popen(  # noqa: S603 ourselves, and nothing of the folder we are in
                    [sys.executable, "-P", "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(request)
            self._process.stdin.flush()
            found: Decoded = pickle.load(self._process.stdout)  # noqa: S301 from our own process
            self._answers = True
            return found
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            if not self._closed:
                log.warning(
                    "the process that decodes ahead is gone (%s); this one does it alone",
                    str(error) or "ended",
                )
            self._broken = True
            self._end()
            return {}

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            self._answers = False


def main() -> None:
    """Be the second process: decode what comes until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError):
        while True:
            decode, batch = pickle.load(sys.stdin.buffer)  # noqa: S301 from the process that started this one
            found = {key: views for key, record in batch if (views := _decoded(decode, record)) is not None}
            sys.stdout.buffer.write(pickle.dumps(found))
            sys.stdout.buffer.flush()


def _decoded(decode: Decode, record: Record) -> Any:
    """Return what a record holds, None where that fails: the one who asked finds out why."""
    try:
        return list(decode(record))
    except Exception:  # decode broke its promise
        return None


if __name__ == "__main__":
    main()
