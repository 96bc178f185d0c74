"""Writing to HubSpot: batches by object type, parents first, and one receipt for each write."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TypeVar

from bridge import BridgeError, Json, Receipt, Rejected, Unavailable, Write
from bridge_hubspot import outcomes
from bridge_hubspot.client import Answer, Client
from bridge_hubspot.outcomes import Done, Outcome, Pair
from bridge_hubspot.setup import Setup
from bridge_hubspot.words import (
    BATCH,
    KEY_PROPERTY,
    LANES,
    LINK_WRITE_BATCH,
    OBJECTS,
    UNLINK_BATCH,
    as_text,
    link_type,
)

log = logging.getLogger(__name__)

T = TypeVar("T", Write, Pair)

_ORDER = [(op, stream) for op in ("create", "update", "link", "unlink", "archive") for stream in OBJECTS]


class Sink:
    """Pushes writes to one account."""

    def __init__(self, client: Client, setup: Setup) -> None:
        self._client = client
        self._setup = setup

    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        """
        Carry out the writes, parents first, and yield one receipt each.

        Each object carries its write's key as trace id, so that HubSpot says of every row what
        became of it; a batch that it refuses whole is sent in parts. Batches of one kind go side by side:
        no two of them name the same object, and what they link to stands. After a 429, a refused key
        or an outage nothing more is sent, and the rest comes back as never sent.
        """
        streams = {write.stream for write in writes if write.op == "create" and write.stream in OBJECTS}
        keyed = {stream for stream in streams if self._setup.key_field(stream) is not None}
        yield from _Push(self._client, keyed, writes).run()


class _Push:
    """One call of `push`: what waits, which ids were made, what failed and what stopped it."""

    def __init__(self, client: Client, keyed: set[str], writes: Sequence[Write]) -> None:
        self._client = client
        self._keyed = keyed
        self._waiting = list(writes)
        self._made: dict[str, str] = {}
        self._failed: set[str] = set()
        self._stopped: BridgeError | None = None

    def run(self) -> Iterator[Receipt]:
        """Send round after round, each of what the ones before made possible."""
        while self._waiting:
            yield from self._give_up()
            ready = self._ready()
            keys = {write.key for write in ready}
            self._waiting = [write for write in self._waiting if write.key not in keys]
            queues: dict[tuple[str, str], list[Write]] = {}
            for write in ready:
                queues.setdefault((write.op, write.stream), []).append(write)
            for op, stream in sorted(queues, key=_ORDER.index):
                some = queues[op, stream]
                for write, outcome in self._carry_out(op, stream, some):
                    yield self._receipt(write, outcome)
                if op == "create":
                    self._mend_links(stream, [write for write in some if write.key in self._made])

    def _give_up(self) -> Iterator[Receipt]:
        """Yield receipts for what cannot be sent: what HubSpot has no words for, children of what failed."""
        while refused := next(
            ((write, error) for write in self._waiting if (error := self._unfit(write))), None
        ):
            self._waiting.remove(refused[0])
            yield self._receipt(*refused)

    def _unfit(self, write: Write) -> Rejected | None:
        failed = [link.to for link in write.links if link.to in self._failed]
        if failed:
            return Rejected(f"it links to write {failed[0]}, which did not succeed", code="parent")
        if write.stream not in OBJECTS:
            return Rejected(f"HubSpot has no objects called {write.stream!r}; known: {', '.join(OBJECTS)}")
        strange = [link.stream for link in write.links if link_type(write.stream, link.stream) is None]
        if strange:
            return Rejected(f"HubSpot has no association from {write.stream} to {strange[0]!r}")
        return None

    def _ready(self) -> list[Write]:
        """
        Return what can be sent now: its parents stand, and no earlier write to the same object waits.

        HubSpot refuses a batch that names an object twice. Writes that wait for each other in a
        circle are sent as they are, for HubSpot to refuse.
        """
        coming = {write.key for write in self._waiting if write.op == "create"}
        ready: list[Write] = []
        taken: set[tuple[str, str]] = set()
        for write in self._waiting:
            target = (write.stream, write.id or write.key)
            if target not in taken and not any(link.to in coming for link in write.links):
                ready.append(write)
            taken.add(target)
        return [self._resolved(write) for write in ready or self._waiting]

    def _resolved(self, write: Write) -> Write:
        if not any(link.to in self._made for link in write.links):
            return write
        links = [replace(link, to=self._made.get(link.to, link.to)) for link in write.links]
        return replace(write, links=links)

    def _receipt(self, write: Write, outcome: Outcome) -> Receipt:
        if isinstance(outcome, Done):
            if write.op == "create":
                self._made[write.key] = outcome.id
            return Receipt(key=write.key, id=outcome.id, as_read=outcome.as_read)
        self._failed.add(write.key)
        return Receipt(key=write.key, id=write.id, error=outcome)

    def _carry_out(self, op: str, stream: str, writes: Sequence[Write]) -> Iterable[tuple[Write, Outcome]]:
        url = self._client.objects(stream, f"/batch/{op}")
        if op == "create":
            return self._create(url, stream, writes)
        if op == "update":
            return self._batches(url, writes, BATCH, _updates, outcomes.by_trace)
        if op == "archive":
            return self._batches(url, writes, BATCH, _archives, outcomes.archived)
        return self._link(op, stream, writes)

    def _create(self, url: str, stream: str, writes: Sequence[Write]) -> Iterator[tuple[Write, Outcome]]:
        keyed = stream in self._keyed

        def inputs(some: Sequence[Write]) -> Json:
            return [_create_input(write, keyed=keyed) for write in some]

        for write, outcome in self._batches(url, writes, BATCH, inputs, outcomes.by_trace):
            if keyed and isinstance(outcome, Rejected) and outcome.existing_id:
                yield write, self._made_before(write, outcome.existing_id) or outcome
            else:
                yield write, outcome

    def _made_before(self, write: Write, id_: str) -> Done | None:
        """Return the object in the way, if it is this very write, made in a call whose answer was lost."""
        try:
            rows = self._client.read(write.stream, [id_], [KEY_PROPERTY, *write.fields])
        except BridgeError:
            return None
        ours = [row for row in rows if row["properties"].get(KEY_PROPERTY) == write.key]
        return Done(id=ours[0]["id"], as_read=ours[0]["properties"]) if ours else None

    def _link(self, op: str, stream: str, writes: Sequence[Write]) -> Iterator[tuple[Write, Outcome]]:
        """Link or unlink by pairs of object types; a write has succeeded when all its pairs have."""
        found: dict[str, Outcome] = {write.key: Done(id=str(write.id)) for write in writes}
        for to, pairs in _pairs(writes):
            url = self._client.associations(stream, to, "/batch/create" if op == "link" else "/batch/archive")
            sent = (
                self._batches(url, pairs, LINK_WRITE_BATCH, _links, outcomes.by_ends)
                if op == "link"
                else self._batches(url, pairs, UNLINK_BATCH, _unlinks, outcomes.unlinked)
            )
            for (write, _), outcome in sent:
                if isinstance(outcome, BridgeError):
                    found[write.key] = outcome
        for write in writes:
            yield write, found[write.key]

    def _mend_links(self, stream: str, writes: Sequence[Write]) -> None:
        """
        Count the links of what was just made, and make those that HubSpot left out without a word.

        Seen by users of its client (github.com/HubSpot/hubspot-api-nodejs/issues/382). The objects
        stand either way, so that a failure here changes no receipt and is logged.
        """
        for to, pairs in _pairs(writes):
            wanted = Counter(self._made[write.key] for write, _ in pairs)
            try:
                there = self._client.links(stream, to, wanted)
                lost = [
                    (replace(write, id=id_), link)
                    for write, link in pairs
                    if len(there[id_ := self._made[write.key]]) < wanted[id_]
                ]
                if lost:
                    url = self._client.associations(stream, to, "/batch/create")
                    outcomes.whole(self._client.send(url, {"inputs": _links(lost)}))
            except BridgeError as error:
                log.warning("HubSpot: the links of new %s to %s could not be counted: %s", stream, to, error)

    def _batches(
        self,
        url: str,
        items: Sequence[T],
        size: int,
        inputs: Callable[[Sequence[T]], Json],
        read: Callable[[Answer, Sequence[T]], Iterable[tuple[T, Outcome]]],
    ) -> Iterator[tuple[T, Outcome]]:
        """Send items in batches, a few at the same time, and yield what became of each as soon as it is known."""
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        if len(batches) < 2:
            for some in batches:
                yield from self._answered(url, some, inputs, read)
            return
        lanes = ThreadPoolExecutor(max_workers=min(LANES, len(batches)), thread_name_prefix="hubspot")
        try:
            calls = [lanes.submit(self._answered, url, some, inputs, read) for some in batches]
            for call in as_completed(calls):
                yield from call.result()
        except BaseException:
            self._stopped = self._stopped or Unavailable("not sent: the push was given up")
            raise
        finally:
            lanes.shutdown(cancel_futures=True)

    def _answered(
        self,
        url: str,
        items: Sequence[T],
        inputs: Callable[[Sequence[T]], Json],
        read: Callable[[Answer, Sequence[T]], Iterable[tuple[T, Outcome]]],
    ) -> list[tuple[T, Outcome]]:
        """
        Send one batch and return what became of each item.

        Where it is refused whole, what it names is to blame; where it names nothing, its halves are
        sent, until the bad one stands alone.
        """
        queue = [list(items)]
        found: list[tuple[T, Outcome]] = []
        while queue:
            some = queue.pop(0)
            if self._stopped is not None:
                stopped = outcomes.not_sent(self._stopped)
                found += [(item, stopped) for item in some]
                continue
            try:
                found += read(self._client.send(url, {"inputs": inputs(some)}), some)
            except Rejected as error:
                blamed = outcomes.to_blame(error, some)
                found += [(item, outcomes.completed(error)) for item in blamed]
                rest = [item for item in some if all(item is not one for one in blamed)]
                middle = 0 if blamed else len(rest) // 2
                queue[:0] = [part for part in (rest[:middle], rest[middle:]) if part]
            except BridgeError as error:
                self._stopped = self._stopped or error
                found += [(item, error) for item in some]
        return found


def _create_input(write: Write, *, keyed: bool) -> dict[str, Json]:
    properties = {name: as_text(value) for name, value in write.fields.items() if value is not None}
    if keyed:
        properties[KEY_PROPERTY] = write.key
    return {
        "properties": properties,
        "associations": [
            {"to": {"id": link.to}, "types": [link_type(write.stream, link.stream)]} for link in write.links
        ],
        "objectWriteTraceId": write.key,
    }


def _updates(writes: Sequence[Write]) -> Json:
    return [
        {
            "id": write.id,
            "properties": {name: as_text(value) for name, value in write.fields.items()},
            "objectWriteTraceId": write.key,
        }
        for write in writes
    ]


def _archives(writes: Sequence[Write]) -> Json:
    return [{"id": write.id} for write in writes]


def _links(pairs: Sequence[Pair]) -> Json:
    return [
        {"from": {"id": write.id}, "to": {"id": link.to}, "types": [link_type(write.stream, link.stream)]}
        for write, link in pairs
    ]


def _unlinks(pairs: Sequence[Pair]) -> Json:
    return [{"from": {"id": write.id}, "to": [{"id": link.to}]} for write, link in pairs]


def _pairs(writes: Sequence[Write]) -> Iterator[tuple[str, list[Pair]]]:
    """Yield the associations of some writes by the object type at their other end."""
    for to in sorted({link.stream for write in writes for link in write.links}):
        yield to, [(write, link) for write in writes for link in write.links if link.stream == to]
