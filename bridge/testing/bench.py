"""The bench of one conformance test: a fresh kit, the connector opened on it, and what it logged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from bridge.connector import (
    Closer,
    Connector,
    Describer,
    Fetcher,
    Historian,
    Receiver,
    Sink,
    Source,
    StreamSpec,
)
from bridge.errors import BridgeError
from bridge.model import Json, Page, Phase, Receipt, Record, Write
from bridge.redact import Redactor, secrets_in
from bridge.testing.context import TIMEOUTS, Clock, TestContext, make_context
from bridge.testing.kit import Kit, SinkKit, SourceKit

KitT_co = TypeVar("KitT_co", bound=Kit, covariant=True)


class Bench(Generic[KitT_co]):
    """
    One connector on one stand-in, both new.

    `reopen` throws the connector away as a kill would and opens another on the same stand-in.
    `spec` is the kit's; `clock` is the connector's clock.
    """

    def __init__(self, factory: Callable[[], KitT_co]) -> None:
        self._factory = factory
        self.kit = factory()
        self.spec = self.kit.spec
        self.clock = Clock()
        self.redactor = Redactor(*secrets_in(self.spec.settings, dict(self.kit.settings)))
        self.log = _Log()
        self._contexts: list[TestContext] = []
        self._connectors: list[Connector] = []
        self.reopen()

    def __enter__(self) -> Self:
        self.log.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.log.stop()
        self.close()

    def close(self) -> None:
        """Close every connector that was opened, its context, and the kit."""
        for connector in self._connectors:
            if isinstance(connector, Closer):
                connector.close()
        for context in self._contexts:
            context.close()
        self.kit.close()

    def another(self) -> Bench[KitT_co]:
        """Return a new bench like this one, with a kit of its own."""
        return Bench(self._factory)

    def context(self, timeouts: tuple[float, float] = TIMEOUTS) -> TestContext:
        """Return a context like the engine's; it is closed with the bench."""
        context = make_context(
            connection="bench",
            clock=self.clock,
            secrets=secrets_in(self.spec.settings, dict(self.kit.settings)),
            budgets=self.spec.limits(self.kit.settings),
            timeouts=timeouts,
        )
        self._contexts.append(context)
        return context

    def reopen(self, timeouts: tuple[float, float] = TIMEOUTS) -> None:
        """Open the connector anew, knowing nothing of what went before."""
        self.connector: Connector = self.spec.open(dict(self.kit.settings), self.context(timeouts))
        self._connectors.append(self.connector)

    @property
    def source(self) -> Source:
        return cast(Source, self.connector)

    @property
    def receiver(self) -> Receiver:
        return cast(Receiver, self.connector)

    @property
    def sink(self) -> Sink:
        return cast(Sink, self.connector)

    @property
    def fetcher(self) -> Fetcher:
        return cast(Fetcher, self.connector)

    @property
    def describer(self) -> Describer:
        return cast(Describer, self.connector)

    @property
    def historian(self) -> Historian:
        return cast(Historian, self.connector)

    def pull(self: Bench[SourceKit], stream: str, phase: Phase, cursor: Json = None) -> Iterator[Page]:
        """Yield the pages after `cursor`, asking for the kit's fields."""
        return self.source.pull(stream, phase, cursor, self.kit.fields.get(stream, ()))

    def push(self: Bench[SinkKit], *writes: Write) -> Mapping[str, Receipt]:
        """Push and return the receipts by key."""
        return {receipt.key: receipt for receipt in self.sink.push(writes)}


@dataclass(frozen=True, slots=True)
class At:
    """A stream in one of its phases, as a test's parameter."""

    stream: StreamSpec
    phase: Phase

    def __str__(self) -> str:
        return f"{self.stream.name}-{self.phase}"


Prepared = Callable[[], object]
"""What reaches the vendor when it is called, with all that it needs prepared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    One test of the suite.

    `run` takes a bench; with `where`, also a stream in a phase, once for each that `where`
    admits; with `calls`, also a call, once for each way to reach the vendor. `of` are the
    protocols that concern it, `levers` the names of the kit without which it cannot be run.
    """

    run: Callable[..., None]
    of: Sequence[type] = ()
    where: Callable[[At], bool] | None = None
    calls: bool = False
    levers: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.run.__name__


def key(number: int) -> str:
    """Return a write key: twelve characters of Crockford's base 32."""
    return f"{number:012d}"


def records_of(pages: Sequence[Page]) -> list[Record]:
    """Return the records of some pages in order, without the skips."""
    return [record for page in pages for record in page.records if isinstance(record, Record)]


def error_of(call: Callable[[], object]) -> BridgeError | None:
    """Make a call that should fail and return its error; anything but a BridgeError is let through."""
    try:
        call()
    except BridgeError as error:
        return error
    return None


class _Log(logging.Handler):
    """
    Every line that the test's own thread logs, before any redaction.

    urllib3 is left out: it logs addresses with their query, and the engine redacts those.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._thread = threading.get_ident()
        self._level = logging.getLogger().level

    def listen(self) -> None:
        self._level = logging.getLogger().level
        logging.getLogger().addHandler(self)
        logging.getLogger().setLevel(logging.DEBUG)

    def stop(self) -> None:
        logging.getLogger().removeHandler(self)
        logging.getLogger().setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and not record.name.startswith("urllib3"):
            self.lines.append(self.format(record))
