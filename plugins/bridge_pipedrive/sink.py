"""Writing to Pipedrive: one call for each write, contacts side by side, each contact's writes in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

from bridge import BridgeError, Json, RateLimited, Receipt, Rejected, Unavailable, Write
from bridge_pipedrive.client import Client, Row
from bridge_pipedrive.setup import Setup
from bridge_pipedrive.sink_bodies import Bodies, link_field, linked, participants
from bridge_pipedrive.source_records import Missing
from bridge_pipedrive.words import KEY_FIELD, KINDS, LABELS, LANES, WRITABLE

_PAUSE = 10.0


class Sink:
    """Pushes writes to one account."""

    def __init__(self, client: Client, setup: Setup, bodies: Bodies, missing: Missing) -> None:
        self._client = client
        self._setup = setup
        self._bodies = bodies
        self._missing = missing

    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        """
        Carry out the writes and yield one receipt each, as soon as it is known.

        Pipedrive has no batches (OpenAPI descriptions, read 2026-11-22), so that a few contacts are written to
        at once; what concerns one contact goes in order, the contact first. After a 429, a refused key or an
        outage nothing more is sent, and the rest comes back as never sent.
        """
        drafts = {write.key: self._draft(write) for write in writes}
        receipts: SimpleQueue[Receipt | BaseException] = SimpleQueue()
        push = _Push(lambda write: self._carry_out(write, drafts[write.key]), receipts)
        pool = ThreadPoolExecutor(max_workers=LANES, thread_name_prefix="pipedrive")
        try:
            for lane in lanes(writes):
                pool.submit(push.run, lane)
            for _ in writes:
                receipt = receipts.get()
                if isinstance(receipt, BaseException):
                    raise receipt
                yield receipt
        finally:
            push.stop()
            pool.shutdown()

    def _draft(self, write: Write) -> dict[str, Json] | Rejected:
        """Return the fields of a write as they are sent, or why they cannot be; what that takes is read now."""
        if write.stream not in WRITABLE:
            return Rejected(f"crmbridge writes no {write.stream} to Pipedrive, only {', '.join(WRITABLE)}")
        try:
            body = self._bodies.of(write)
        except Rejected as error:
            return error
        is_new = write.op == "create" and write.stream == "persons"
        return self._with_key(write.key, body) if is_new else body

    def _carry_out(self, write: Write, draft: dict[str, Json] | Rejected) -> Receipt:
        """Carry out one write. Raises what the client raises."""
        if isinstance(draft, Rejected):
            raise draft
        try:
            return self._called(write, draft)
        except Rejected as error:
            raise self._explained(write, error) from error

    def _explained(self, write: Write, error: Rejected) -> Rejected:
        """Return a refusal with what Pipedrive does not say: that the person is gone, deleted or merged."""
        people = [link.to for link in write.links if link.stream == "persons"]
        if write.stream == "persons" and write.id:
            people.append(write.id)
        try:
            rows = self._client.by_id(KINDS["persons"].path, people)
        except BridgeError:
            return error
        there = {str(row["id"]) for row in rows if row.get("is_deleted") is not True}
        lost = [one for one in people if one not in there]
        if not lost:
            return error
        self._missing.note(*lost)
        said = f"{error}; person {', '.join(lost)} is no longer in Pipedrive: deleted, or merged into another"
        return Rejected(said, code="gone", trace=error.trace)

    def _called(self, write: Write, draft: dict[str, Json]) -> Receipt:
        path = KINDS[write.stream].path
        if write.op == "create":
            body = {**draft, **linked(write.stream, write.links)}
            return self._receipt(write, self._client.send("POST", path, body).record)
        path = f"{path}/{write.id}"
        if write.op == "update":
            return self._receipt(write, self._change(write, path, draft))
        if write.op == "archive":
            self._client.remove(path)
            return Receipt(key=write.key, id=write.id)
        body = self._relinked(write, path)
        if body:
            self._change(write, path, body)
        return Receipt(key=write.key, id=write.id)

    def _change(self, write: Write, path: str, body: Json) -> Row:
        method = "PUT" if KINDS[write.stream].old else "PATCH"
        return self._client.send(method, path, body).record

    def _with_key(self, key: str, body: dict[str, Json]) -> dict[str, Json]:
        """Put a person's key into its field, where `setup` made it."""
        code = next((one.code for one in self._setup.custom("persons") if one.name == KEY_FIELD), None)
        if code is None:
            return body
        return {**body, "custom_fields": {**(body.get("custom_fields") or {}), code: key}}

    def _relinked(self, write: Write, path: str) -> dict[str, Json]:
        """
        Return what an entry's links must become, nothing where they are so already.

        A note has one person, whom a change of `person_id` replaces (OpenAPI description, PUT /notes/{id}, read
        2026-11-22); so it is put on another only where it moves there. An
        entry has one deal likewise.
        """
        row = self._client.get_if_there(path)
        if row is None:
            raise Rejected(f"{LABELS[write.stream]} {write.id} is no longer in Pipedrive", code="404")
        body: dict[str, Json] = {}
        for link in write.links:
            adds = write.op == "link"
            if link.stream == "persons" and write.stream == "activities":
                people = [str(one.get("person_id")) for one in row.get("participants") or ()]
                rest = [one for one in people if one != link.to]
                after = [*people, link.to] if adds and link.to not in people else people if adds else rest
                if after != people:
                    row = {**row, "participants": participants(after)}
                    body["participants"] = row["participants"]
                continue
            name = "person_id" if link.stream == "persons" else link_field(link.stream)
            if name is None or write.stream == "persons":
                raise Rejected(f"Pipedrive links no {LABELS[write.stream]} to {link.stream!r}", code="link")
            now = row.get(name)
            moves = link.role == "move" and (write.stream == "notes" or link.stream != "persons")
            if adds and not moves and now not in (None, "") and str(now) != link.to:
                raise Rejected(
                    f"{LABELS[write.stream]} {write.id} belongs to {link.stream} {now} already, and Pipedrive lets it"
                    " belong to one only",
                    code="link",
                )
            if adds and str(now) != link.to:
                body[name] = int(link.to) if link.to.isdecimal() else link.to
            elif not adds and str(now) == link.to:
                body[name] = None
        return body

    def _receipt(self, write: Write, row: Row) -> Receipt:
        as_read: dict[str, Json] | None
        try:
            as_read = self._bodies.as_read(write.stream, row, list(write.fields))
        except BridgeError:  # it stands, whatever became of looking up the names of its fields
            as_read = None
        return Receipt(key=write.key, id=str(row["id"]), as_read=as_read)


@dataclass(slots=True)
class _Push:
    """One call of `push`: which ids were made, what failed, and what stopped it."""

    carry_out: Callable[[Write], Receipt]
    receipts: SimpleQueue[Receipt | BaseException]
    made: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    stopped: BridgeError | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, lane: Sequence[Write]) -> None:
        """Carry out the writes of one lane in order."""
        try:
            for write in lane:
                self.receipts.put(self._one(write))
        except BaseException as error:  # a lane is a thread: whoever takes the receipts raises it
            self.receipts.put(error)

    def stop(self) -> None:
        """Send nothing more: nobody takes the receipts."""
        with self.lock:
            self.stopped = self.stopped or Unavailable("not sent: the push was given up")

    def _one(self, write: Write) -> Receipt:
        with self.lock:
            stopped = self.stopped
            parent = next((link.to for link in write.links if link.to in self.failed), None)
            links = [replace(link, to=self.made.get(link.to, link.to)) for link in write.links]
        if parent is not None:
            return self._failed(
                write, Rejected(f"it links to write {parent}, which did not succeed", code="parent")
            )
        if stopped is not None:
            return self._failed(write, not_sent(stopped))
        try:
            receipt = self.carry_out(replace(write, links=links))
        except BridgeError as error:
            if not isinstance(error, Rejected):
                with self.lock:
                    self.stopped = self.stopped or error
            return self._failed(write, error)
        with self.lock:
            if write.op == "create" and receipt.id:
                self.made[write.key] = receipt.id
        return receipt

    def _failed(self, write: Write, error: BridgeError) -> Receipt:
        with self.lock:
            self.failed.add(write.key)
        return Receipt(key=write.key, id=write.id, error=error)


def lanes(writes: Sequence[Write]) -> list[list[Write]]:
    """
    Return the writes in lanes: those that share a person or a parent stand in one, in their order, parents first.

    Lanes have nothing in common, so that they may go side by side.
    """
    made = {write.key for write in writes if write.op == "create"}
    lane_of: dict[str, list[int]] = {}
    for number, write in enumerate(writes):
        lane = [number]
        names = _names(write, made)
        for other in {id(one): one for name in names if (one := lane_of.get(name))}.values():
            lane = other + lane if len(lane) == 1 else sorted(other + lane)
        for place in lane:
            lane_of.update(dict.fromkeys(_names(writes[place], made), lane))
    found = {id(lane): [writes[place] for place in lane] for lane in lane_of.values()}
    return [_parents_first(lane) for lane in found.values()]


def _names(write: Write, made: set[str]) -> set[str]:
    names = {
        link.to if link.to in made else f"{link.stream}/{link.to}"
        for link in write.links
        if link.stream == "persons" or link.to in made
    }
    return names | {write.key if write.op == "create" else f"{write.stream}/{write.id}"}


def _parents_first(lane: list[Write]) -> list[Write]:
    parents = {link.to for write in lane for link in write.links}
    return sorted(lane, key=lambda write: write.key not in parents)


def not_sent(stopped: BridgeError) -> BridgeError:
    """Return the error of a write that was not sent, because an earlier one met `stopped`."""
    if isinstance(stopped, Unavailable):
        wait = stopped.wait or _PAUSE
        return RateLimited(f"not sent, since Pipedrive was not available: {stopped}", wait=wait)
    return stopped
