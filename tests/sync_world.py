"""A whole crmbridge on a store of a test: two folders as channel and CRM, faults on demand, and crashes anywhere."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from bridge.config import Config, parse_config
from bridge.connector import ConnectorSpec, Context
from bridge.engine import cycle
from bridge.engine.opening import learn_account, open_runtime
from bridge.model import (
    Account,
    Delivery,
    Field,
    Hint,
    Json,
    Location,
    Match,
    Page,
    Person,
    Phase,
    Receipt,
    Record,
    Request,
    Skip,
    Write,
)
from bridge.store import runs
from bridge.store.deliveries import delivery_row, insert_deliveries
from bridge.store.intents import intent_counts
from bridge.store.writer import Priority, Writer
from bridge.sync.delivery.receipts import Delivered
from bridge.sync.runtime import Connection, Runtime
from bridge.sync.views.status import overview
from bridge.testing.context import Clock
from bridge_memory import SPEC, Memory
from bridge_memory.client import Folder, Thing
from bridge_memory.receiver import HEADER, sign
from bridge_memory.sandbox import DifficultFolder, Levers
from tests import stores

KEY = "the key of the folder"
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SETTLE = 8.0
PUSH: Mapping[str, Json] = {
    "timeline": True,
    "create": {"whatsapp": "first_message", "email": "after_we_replied"},
}

MAPPING = """
version: 1
connector: memory
pull:
  owners:
    to: user
    fields: {name: name, email: email}
  contacts:
    to: contact
    fields:
      display_name: name
      emails: {each: email, using: split_semicolon}
      phones: {each: phone, using: split_semicolon}
      owner_ref: {from: owner, ref: owners}
      merged_refs: {each: merged, ref: contacts}
      created_at: created
      custom: {object: {crmbridge_key: key}}
  messages:
    to: interaction
    fields:
      kind: {from: kind, default: message}
      channel: {from: channel, default: whatsapp}
      direction: {from: direction, default: inbound}
      occurred_at: at
      received_at: received
      body_text: text
      subject: subject
      thread_id: thread
      state: state
      tells: tells
      is_automated: automated
      automated_by: automated_by
      participants: people
      dedupe_keys: keys
  entries:
    to: interaction
    fields:
      kind: {const: note}
      channel: {const: crm}
      direction: {const: internal}
      occurred_at: {first: [at, modified], using: instant}
      body_text: text
      contact_refs: {each: contact, ref: contacts}
      dedupe_keys: {each: {template: "message-id:{message_id}"}}
push:
  interaction:
    to: entries
    group: {by: channel, map: {whatsapp: thread_day}, else: message}
    fields:
      entries: {key: key, text: text, at: occurred_at, channel: channel}
  contact:
    to: contacts
    fields:
      name: {from: display_name, owns: if_empty}
      email: {from: email, owns: if_empty}
      phone: {from: phone, owns: if_empty}
      waiting_since: {from: waiting_since, owns: always, clear: true}
  task:
    to: tasks
    fields: {key: key, subject: subject, text: text, due: due_on, done: done, owner: owner_id}
    answer: {text: text, done: done, by: changed_by}
properties:
  contacts:
    - {name: waiting_since, label: Waits since}
"""


class Crash(BaseException):
    """The process ends here, as by `kill -9`: nothing of ours catches it."""


class Vendor(Memory):
    """The folder's connector, some methods of which a test replaces; each gets the connector first."""

    def __init__(
        self,
        folder: Folder,
        key: str,
        page_size: int,
        context: Context,
        acts: Mapping[str, Callable[..., Any]],
    ) -> None:
        super().__init__(folder, key, page_size, context)
        self._acts = acts

    def check(self) -> Account:
        return self._acts.get("check", Memory.check)(self)

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        return self._acts.get("pull", Memory.pull)(self, stream, phase, cursor, fields)

    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        return self._acts.get("split", Memory.split)(self, delivery)

    def decode(self, record: Record) -> Iterator[Record]:
        return self._acts.get("decode", lambda _, same: iter([same]))(self, record)

    def find(self, people: Sequence[Person]) -> Iterator[Match]:
        return self._acts.get("find", Memory.find)(self, people)

    def read(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        return self._acts.get("read", Memory.read)(self, stream, ids, fields)

    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        return self._acts.get("push", Memory.push)(self, writes)

    def locate(self, writes: Sequence[Write]) -> Iterator[Location]:
        return self._acts.get("locate", Memory.locate)(self, writes)


class World:
    """
    One company: a channel (`chat`) and a CRM (`crm`), both folders, on one store; a new one is made at first.
    `crms` are those that are written to.

    The clock stands still unless moved. `levers[name]` are the faults of a folder, and
    `acts[name][method]` takes the place of a method of its connector.
    """

    def __init__(
        self,
        store: str,
        home: Path,
        *,
        push: Mapping[str, Json] | None = PUSH,
        capture: Mapping[str, Json] | None = None,
        mapping: str = MAPPING,
        page_size: int = 100,
        identity: Mapping[str, Json] | None = None,
        spec: Mapping[str, Any] | None = None,
        crms: Sequence[str] = ("crm",),
    ) -> None:
        self.crms = crms
        self.store = store
        self.home = home
        self.clock = Clock(START)
        self.levers = {name: Levers(self.clock) for name in ("crm", "chat")}
        self.push = push
        self.capture = capture
        self.page_size = page_size
        self.identity = identity or {"default_region": "BR", "own_domains": ["example.com"]}
        self.spec = spec or {}
        self.acts: dict[str, dict[str, Callable[..., Any]]] = {"crm": {}, "chat": {}}
        self.run = 0
        self._parsed: tuple[str, Config] | None = None
        self._open = ExitStack()
        self._folders = {name: Folder(home / name, KEY, self.clock) for name in self.levers}
        (home / "key").write_text(KEY)
        if store.startswith("sqlite:///"):
            stores.fill(Path(store.removeprefix("sqlite:///")))
        for folder in self._folders.values():
            folder.add_field("contacts", Field(name="waiting_since"))
        self.remap_to(mapping)

    def remap_to(self, mapping: str) -> None:
        """Change the mapping file; counts from the next `start`."""
        (self.home / "mapping.yaml").write_text(mapping)

    def config(self) -> Config:
        """Return the configuration of this company, its connectors on the folders with levers."""
        connections: dict[str, Any] = {
            name: {
                "connector": "memory",
                "mapping": "mapping.yaml",
                "settings": {
                    "directory": str(self.home / name),
                    "key": "${file:key}",
                    "page_size": self.page_size,
                },
            }
            for name in self.levers
        }
        for name in self.crms if self.push is not None else ():
            connections[name]["push"] = self.push
        if self.capture is not None:
            connections["chat"]["capture"] = self.capture
        document = {
            "company": {"time_zone": "America/Sao_Paulo"},
            "store": self.store,
            "blobs": "blobs",
            "connections": connections,
            "identity": self.identity,
        }
        text = json.dumps(document)
        if self._parsed is None or self._parsed[0] != text:
            self._parsed = text, parse_config(text, file="config.yaml", folder=self.home)
        return replace(self._parsed[1], specs={"memory": self._spec()})

    def _spec(self) -> ConnectorSpec:
        def open_it(settings: Mapping[str, Json], context: Context) -> Any:
            name = Path(settings["directory"]).name
            folder = DifficultFolder(Path(settings["directory"]), settings["key"], self.levers[name])
            return Vendor(folder, settings["key"], settings["page_size"], context, self.acts[name])

        return replace(SPEC, **{"settle": SETTLE, "open": open_it, **self.spec})

    def start(self) -> World:
        """Open a process on the store; ends the one before."""
        self.stop()
        self.runtime: Runtime = self._open.enter_context(
            open_runtime(self.config(), lock_as="crmbridge test", clock=self.clock)
        )
        for connection in self.runtime.connections.values():
            assert learn_account(self.runtime, connection) is None
        self.run = self.runtime.writer.run(runs.start_run, "sync", self.clock(), priority=Priority.LIVE)
        return self

    def stop(self) -> None:
        """End the process."""
        self._open.close()

    def __enter__(self) -> World:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def crm(self) -> Connection:
        return self.runtime.connections["crm"]

    @property
    def chat(self) -> Connection:
        return self.runtime.connections["chat"]

    def put(self, folder: str, stream: str, **thing: Json) -> str:
        """Write a thing into a folder as somebody there does, and return its id."""
        return str(self._folders[folder].append(stream, thing)["id"])

    def change(self, folder: str, stream: str, id: str, **fields: Json) -> None:
        """Change a thing in a folder."""
        self._folders[folder].append(stream, {**self._folders[folder].latest(stream)[id], **fields})

    def contact(self, **thing: Json) -> str:
        """Add a contact to the CRM."""
        return self.put("crm", "contacts", **thing)

    def message(self, text: str, sender: str | Mapping[str, str], **more: Json) -> str:
        """Add an inbound WhatsApp message; `sender` is a number, an address or {kind: value}."""
        handles = [{"kind": kind, "value": value} for kind, value in _handles(sender).items()]
        known = more.pop("name", None)
        person = {"role": "from", "side": "customer", "handles": handles}
        if known:
            person["display_name"] = known
        thing = {
            "text": text,
            "at": "2026-11-20T11:00:00Z",
            "people": [person],
            "thread": str(handles[0]["value"]),
            **more,
        }
        return self.put("chat", "messages", **thing)

    def mail(self, text: str, *people: Mapping[str, Json], **more: Json) -> str:
        """Add an e-mail; `people` are participants."""
        thing = {
            "kind": "email",
            "channel": "email",
            "direction": "outbound",
            "text": text,
            "at": "2026-11-20T11:00:00Z",
            "people": list(people),
            **more,
        }
        return self.put("chat", "messages", **thing)

    def there(self, stream: str, folder: str = "crm") -> list[Thing]:
        """Return what stands in a folder now, without what was deleted."""
        return [thing for thing in self._folders[folder].latest(stream).values() if not thing.get("deleted")]

    def told(self) -> dict[str, int]:
        """Return how often each message stands in the CRM's entries; messages of tests are m1, m2, ..."""
        found = Counter(
            word for entry in self.there("entries") for word in re.findall(r"\bm[0-9]+\b", entry["text"])
        )
        return dict(sorted(found.items()))

    def webhook(self, body: bytes, *, connection: str = "chat", key: str | None = None) -> None:
        """Store a webhook body as the receiver does."""
        now = self.clock()
        request = Request(
            method="POST",
            url=f"https://bridge.example/hooks/{connection}",
            query={},
            headers={HEADER: sign(body, KEY, int(now.timestamp()))},
            body=body,
            received_at=now,
        )
        row = delivery_row(connection, request, self.runtime.blobs, sender="", key=key)
        self.runtime.writer.run(insert_deliveries, [row], priority=Priority.INBOX, durable=True)

    def collect(self, *names: str) -> list[str]:
        """Pull every stream and return the errors."""
        return [
            error
            for name in names or ("crm", "chat")
            for error in cycle.pull(
                self.runtime, self.runtime.connections[name], run=self.run, force=True, whole=True
            ).errors
        ]

    def resolve(self) -> int:
        """Split, resolve and project all that waits."""
        return cycle.settle_inbox(self.runtime, run=self.run)

    def deliver(self) -> Delivered:
        """Write what differs, and return what became of it in the last CRM."""
        for name in self.crms:
            done = cycle.deliver_all(self.runtime, self.runtime.connections[name], run=self.run)
        return done

    def sync(self) -> Delivered:
        """Do one whole cycle; nothing may go wrong in collecting."""
        assert self.collect() == []
        self.resolve()
        return self.deliver()

    def settled(self, rounds: int = 12) -> Delivered:
        """Go on as the daemon does, waiting where the CRM asks for it, until a cycle writes nothing."""
        for _ in range(rounds):
            done = self.sync()
            if not done.written and not self.pending():
                return done
            self.clock.sleep(SETTLE + 1)
        raise AssertionError(f"does not come to rest: {self.pending()}, {done}")

    def pending(self) -> dict[str, int]:
        """Return how many writes wait, by state."""
        assert self.crm.account_pk is not None
        with self.runtime.database.read() as c:
            return intent_counts(c, self.crm.account_pk)

    def rows(self, table: Table) -> list[Any]:
        """Return all rows of a table."""
        with self.runtime.database.read() as c:
            return list(c.execute(select(table)))

    def stream(self, name: str, connection: str = "chat") -> dict[str, Any]:
        """Return the counts of a stream as `crmbridge status` shows them."""
        shown = overview(self.runtime)
        (found,) = [one for one in shown["connections"] if one["name"] == connection]
        (stream,) = [one for one in found["streams"] if one["name"] == name]
        return stream


def _handles(sender: str | Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(sender, str):
        return sender
    return {"email": sender} if "@" in sender else {"whatsapp_id": sender}


def party(role: str, sender: str | Mapping[str, str], **more: Json) -> dict[str, Json]:
    """Return a participant."""
    handles = [{"kind": kind, "value": value} for kind, value in _handles(sender).items()]
    return {"role": role, "handles": handles, **more}


class CrashingWriter:
    """The store's writer, until the process dies: before or right after its n-th transaction."""

    def __init__(self, writer: Writer, *, at: int, after: bool) -> None:
        self._writer = writer
        self.left = at
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def submit(self, *arguments: Any, **more: Any) -> Future[Any]:
        return self._writer.submit(*arguments, **more)

    def run(self, *arguments: Any, **more: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self._after:
            raise Crash
        result = self._writer.run(*arguments, **more)
        if self.left == 0:
            raise Crash
        return result


@contextmanager
def dies(world: World, *, at: int, after: bool) -> Iterator[CrashingWriter]:
    """Let the world's process die at its n-th transaction, then start it again; quiet where it lives on."""
    runtime = world.runtime
    writer = runtime.writer
    crashing = CrashingWriter(writer, at=at, after=after)
    runtime.writer = crashing  # type: ignore[assignment]
    try:
        yield crashing
    except Crash:
        pass
    runtime.writer = writer
    world.start()
