"""The folder as a difficult vendor, for tests: a folder with levers, and the kit of the conformance suite."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge import (
    Account,
    BridgeError,
    Context,
    Field,
    Json,
    Link,
    RateLimited,
    Request,
    Unavailable,
    Write,
)
from bridge.testing.context import Clock
from bridge_memory import SPEC, Memory
from bridge_memory.client import Folder, Lines, Thing
from bridge_memory.receiver import HEADER, sign

KEY = "the key of the sandbox"
SETTLE = 8.0
LATE = SETTLE / 2


class Levers:
    """
    How the vendor fails now; shared by every connector opened on one sandbox.

    `error` is raised by every call. `lag` hides from pulls what was written in the last so many
    seconds, as a search index does; `twice` yields each line of a pull twice. `lose` and `late`
    count the writes to come whose receipt is lost, or which are carried out after a time-out.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.error: BridgeError | None = None
        self.lag = 0.0
        self.twice = False
        self.lose = 0
        self.late = 0
        self.pending: list[tuple[float, str, Mapping[str, Any]]] = []


class DifficultFolder(Folder):
    """A folder that fails as its levers say."""

    def __init__(self, path: Path, key: str, levers: Levers) -> None:
        super().__init__(path, key, levers.clock)
        self._levers = levers

    def account(self) -> Account:
        self._reach()
        return super().account()

    def lines(self, stream: str, offset: int, limit: int) -> Lines:
        self._reach()
        found = super().lines(stream, offset, limit)
        if self._levers.lag:
            seen = [thing for thing in found.things if self._age(thing) >= self._levers.lag]
            found = super().lines(stream, offset, len(seen)) if seen else Lines([], offset)
        if self._levers.twice:
            return Lines([thing for thing in found.things for _ in range(2)], found.after)
        return found

    def latest(self, stream: str) -> Mapping[str, Thing]:
        self._reach()
        return super().latest(stream)

    def append(self, stream: str, thing: Mapping[str, Any]) -> Thing:
        self._reach()
        if self._levers.late:
            self._levers.late -= 1
            now = super().latest(stream).get(str(thing.get("id")), {})
            change = {name: value for name, value in thing.items() if name not in now or now[name] != value}
            dropped = now.keys() - thing.keys() - {"modified"}
            late = {**change, **dict.fromkeys(dropped), **({"id": thing["id"]} if now else {})}
            self._levers.pending.append((self._levers.clock.seconds() + LATE, stream, late))
            raise Unavailable("the folder did not answer in time")
        written = super().append(stream, thing)
        if self._levers.lose:
            self._levers.lose -= 1
            raise Unavailable("the connection to the folder broke off")
        return written

    def fields(self, stream: str) -> Sequence[Field]:
        self._reach()
        return super().fields(stream)

    def file(self, name: str) -> bytes:
        self._reach()
        return super().file(name)

    def _reach(self) -> None:
        due = [late for late in self._levers.pending if late[0] <= self._levers.clock.seconds()]
        for late in due:
            self._levers.pending.remove(late)
            now = super().latest(late[1]).get(str(late[2].get("id")), {})
            if not now.get("deleted"):
                left = {name: value for name, value in {**now, **late[2]}.items() if value is not None}
                super().append(late[1], left)
        if self._levers.error is not None:
            raise self._levers.error

    def _age(self, thing: Thing) -> float:
        return (self._levers.clock() - datetime.fromisoformat(thing["modified"])).total_seconds()


class MemoryKit:
    """The conformance kit: a folder in a temporary directory, its clock moved by `wait` only."""

    page_size = 5
    fields: Mapping[str, Sequence[str]] = {}
    signs_body = True
    signs_time = True
    new_field = ("contacts", Field(name="journey", label="Journey", type="string"))
    cannot: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="bridge-memory-"))
        self.levers = Levers(Clock())
        self.settings: Mapping[str, Json] = {
            "directory": str(self.path),
            "key": KEY,
            "page_size": self.page_size,
        }
        self.spec = replace(SPEC, settle=SETTLE, open=self._open)
        self._folder = Folder(self.path, KEY, self.levers.clock)
        self._folder.account()
        self._seeded = 0

    def _open(self, settings: Mapping[str, Json], context: Context) -> Memory:
        folder = DifficultFolder(Path(settings["directory"]), settings["key"], self.levers)
        return Memory(folder, settings["key"], settings["page_size"], context)

    def close(self) -> None:
        shutil.rmtree(self.path)

    def wrong_key(self) -> None:
        account = json.loads((self.path / "account.json").read_text())
        (self.path / "account.json").write_text(json.dumps(account | {"salt": "another"}))

    def rate_limit(self) -> float:
        self.levers.error = RateLimited("the folder is read too often", wait=7.0)
        return 7.0

    def outage(self) -> None:
        self.levers.error = Unavailable("the folder is out of order")

    def hang(self) -> None:
        self.levers.error = Unavailable("the folder did not answer in time")

    def garbage(self) -> None:
        (self.path / "account.json").write_text("<html>")

    def seed(self, stream: str, count: int) -> Sequence[str]:
        return [self._add(stream) for _ in range(count)]

    def change(self, stream: str, id: str) -> None:
        self._folder.append(stream, {**self._folder.latest(stream)[id], "text": "changed", "name": "changed"})

    def delete(self, stream: str, id: str) -> None:
        self._folder.append(stream, {**self._folder.latest(stream)[id], "deleted": True})

    def attach(self, content: bytes) -> str:
        (self.path / "files").mkdir(exist_ok=True)
        (self.path / "files" / "voice.ogg").write_bytes(content)
        return "voice.ogg"

    def request(self, events: int, at: datetime, *, forged: bool = False, odd: bool = False) -> Request:
        said: list[Json] = [
            {"stream": "messages", "object": {"id": f"m{number}", "from": "ana@one.example", "text": "Olá"}}
            for number in range(events)
        ]
        if odd:
            said.insert(events // 2, {"surprise": ["new", "kind"]})
        body = json.dumps({"events": said}).encode()
        signature = sign(body, "another key" if forged else KEY, int(at.timestamp()))
        return Request(
            method="POST",
            url="https://bridge.example/hooks/memory",
            query={},
            headers={"content-type": "application/json", HEADER: signature},
            body=body,
            received_at=at,
        )

    def add_contact(self, email: str, phone: str) -> str:
        return str(self._folder.append("contacts", {"email": email, "phone": phone})["id"])

    def contact_write(self, key: str, email: str) -> Write:
        return Write(key=key, op="create", stream="contacts", fields={"email": email})

    def entry_write(self, key: str, contact: str) -> Write:
        link = Link(stream="contacts", to=contact)
        return Write(key=key, op="create", stream="entries", fields={"text": "Olá"}, links=[link])

    def bad_write(self, key: str) -> Write:
        return Write(key=key, op="create", stream="contacts", fields={"colour": "blue"})

    def count(self, key: str) -> int:
        streams = [stream.name for stream in self.spec.streams]
        return sum(
            thing.get("key") == key for name in streams for thing in self._folder.latest(name).values()
        )

    def linked(self, id: str) -> Sequence[str]:
        return [self._folder.latest("entries")[id]["contact"]]

    def lose_receipt(self) -> None:
        self.levers.lose = 1

    def commit_late(self) -> None:
        self.levers.late = 1

    def wait(self, seconds: float) -> None:
        self.levers.clock.sleep(seconds)
        DifficultFolder(self.path, KEY, self.levers).account()

    def _add(self, stream: str) -> str:
        self._seeded += 1
        thing = {"name": f"Person {self._seeded}", "text": f"Message {self._seeded}"}
        return str(self._folder.append(stream, thing)["id"])
