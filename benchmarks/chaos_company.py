"""The company of the chaos run: its channel, and its process, which dies in every way."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from sqlalchemy import Table, select

from benchmarks.chaos_crms import CRMS, KEY, Crm
from benchmarks.chaos_store import Backup
from benchmarks.chaos_truth import WORD, Said, Truth
from bridge.budgets import Budgets
from bridge.config import Config, parse_config
from bridge.connector import Context, Describer
from bridge.engine import commands, cycle, opening
from bridge.engine.reading import is_behind, unread_streams
from bridge.errors import BridgeError, Rejected
from bridge.http import Session
from bridge.journey.identity.decisions import standing
from bridge.model import Json, Phase, Receipt, Write
from bridge.store import database, runs
from bridge.store.decisions import all_decisions, decisions_on
from bridge.store.intents import intent_counts
from bridge.store.tables import entity, ledger, member
from bridge.store.writer import Priority
from bridge.sync.runtime import Connection, Runtime
from bridge.testing.context import Clock
from bridge_memory import SPEC as MEMORY
from bridge_memory.client import Folder
from tests.stores import create_engine
from tests.sync_world import MAPPING, START, Crash, party

DAY = "2026-11-{day:02}T{hour:02}:{minute:02}:00Z"


class Company:
    """
    One company with a CRM and a store; its clock stands still unless moved.

    Whatever happens is drawn from `chance` and told in `trail`, so that a seed repeats it.
    """

    def __init__(self, home: Path, crm: str, store: str, *, seed: int, contacts: int) -> None:
        self.home = home
        self.chance = random.Random(seed)
        self.clock = Clock(START)
        self.trail: list[str] = []
        self.truth = Truth()
        self.kills: Counter[str] = Counter()
        self.people = contacts
        self.store = store
        self._chat = Folder(home / "chat", KEY, self.clock)
        self._open = ExitStack()
        self._backup: Backup | None = None
        self._worked: set[tuple[str, Phase]] = set()
        self.cycle_seconds = 0.5
        self.meddle: Meddle = Meddle()
        self._held_back: list[dict[str, Json]] = []
        (home / "key").write_text(KEY)
        (home / "chat.yaml").write_text(MAPPING)
        if crm == "memory":
            (home / "crm.yaml").write_text(MAPPING)
        self.crm: Crm = CRMS[crm](home, self.clock)
        self.config = self._config(crm)
        self._mappings = opening.load_mappings(self.config)

    def _config(self, crm: str) -> Config:
        rules = {"whatsapp": "first_message", "email": "first_message"}
        push = {"timeline": True, "create": rules, "hold_above": {"number": 1_000_000}}
        there: dict[str, Any] = {"connector": crm, "settings": dict(self.crm.settings), "push": push}
        if (self.home / "crm.yaml").exists():
            there["mapping"] = "crm.yaml"
        chat = {"directory": str(self.home / "chat"), "key": "${file:key}"}
        document = {
            "company": {"time_zone": "America/Sao_Paulo"},
            "store": self.store,
            "blobs": "blobs",
            "connections": {
                "crm": there,
                "chat": {"connector": "memory", "mapping": "chat.yaml", "settings": chat},
            },
            "identity": {"default_region": "BR", "own_domains": ["example.com"]},
        }
        found = parse_config(json.dumps(document), file="config.yaml", folder=self.home)
        if crm == "memory":
            opens = {"chat": MEMORY.open, "crm": self.crm.spec.open}

            def open_it(settings: Any, context: Context) -> Any:
                made = opens[Path(settings["directory"]).name](settings, context)
                return self._meddled(made) if Path(settings["directory"]).name == "crm" else made

            return replace(found, specs={"memory": replace(self.crm.spec, open=open_it)})
        spec = self.crm.spec
        meddled = replace(spec, open=lambda settings, context: self._meddled(spec.open(settings, context)))
        return replace(found, specs={**found.specs, crm: meddled})

    def _meddled(self, connector: Any) -> Any:
        connector.push = partial(self._push, connector.push)
        return connector

    def _push(self, push: Callable[[Any], Iterator[Receipt]], writes: list[Write]) -> Iterator[Receipt]:
        """Push with rows that the CRM refuses, and with the process dying once so many writes were carried out."""
        meddle = self.meddle
        refused = [write for write in writes if meddle.refuses and self.chance.random() < meddle.refuses]
        for write in refused:
            yield Receipt(key=write.key, error=Rejected("this row is not valid", code="ROW"))
        keys = {write.key for write in refused}
        for receipt in push([write for write in writes if write.key not in keys]):
            meddle.pushed -= 1
            if meddle.pushed == 0:
                meddle.dies()
            yield receipt

    def tell(self, words: str) -> None:
        self.trail.append(f"{self.clock.elapsed:8.0f} {words}")

    # The process

    def start(self) -> Company:
        """Open a process on the store; ends the one before."""
        self.stop()
        sleeping = {"sleep": self.clock.sleep}
        with (
            mock.patch.object(database, "create_engine", create_engine),
            mock.patch.object(opening, "load_mappings", return_value=self._mappings),
            mock.patch.object(opening, "Session", partial(Session, timeouts=(3.0, 3.0), **sleeping)),
            mock.patch.object(opening, "Budgets", partial(Budgets, now=self.clock.seconds, **sleeping)),
        ):
            self.runtime: Runtime = self._open.enter_context(
                opening.open_runtime(self.config, lock_as="crmbridge chaos", clock=self.clock)
            )
        self._worked = set()
        self.run = self.runtime.writer.run(runs.start_run, "sync", self.clock(), priority=Priority.LIVE)
        return self

    def stop(self) -> None:
        """End the process."""
        self._open.close()

    def close(self) -> None:
        self.stop()
        self.crm.close()

    @property
    def destination(self) -> Connection:
        return self.runtime.connections["crm"]

    def set_up(self) -> None:
        """Make the fields of ours in the CRM, as `crmbridge setup --apply` does."""
        connector = self.destination.connector
        if isinstance(connector, Describer):
            for stream, fields in self.destination.mapping.properties.items():
                connector.create(stream, fields)

    def collect(self) -> None:
        """Pull everything; what goes wrong is tried again the next time."""
        for name in ("crm", "chat"):
            connection = self.runtime.connections[name]
            error = opening.learn_account(self.runtime, connection)
            if error is not None:
                self.tell(f"  {name}: {error}")
                continue
            done = cycle.pull(self.runtime, connection, run=self.run, force=True, whole=True)
            for one in done.errors:
                self.tell(f"  {one}")
            if name == "crm":
                self._worked |= done.worked

    def resolve(self) -> None:
        cycle.settle_inbox(self.runtime, run=self.run)

    def deliver(self) -> int:
        """Write what differs, once what stands in the CRM was read since the start, as the daemon does."""
        destination = self.destination
        if not destination.asked or unread_streams(destination, self._worked):
            return 0
        if is_behind(self.runtime, destination):
            return 0
        try:
            done = cycle.deliver_all(self.runtime, destination, run=self.run)
        except BridgeError as error:
            self.tell(f"  deliver: {type(error).__name__} {error}")
            return 0
        self.tell(f"  delivered {done.written} {dict(done.counts)}")
        return done.written

    def cycle(self) -> int:
        """Collect, resolve and deliver."""
        self.collect()
        self.resolve()
        return self.deliver()

    # Backups

    def back_up(self) -> None:
        known = noted(self)
        self.stop()
        self._backup = Backup(self.store, self.home, known)
        self.tell("backup")
        self.start()

    def restore(self) -> None:
        """
        Put the backup in the place of the store.

        What it does not say of an entry that is gone from the CRM by now, nobody can know any more.
        """
        if self._backup is None:
            return
        self.stop()
        self.clock.sleep(self.crm.late + 1)
        self.crm.land()
        self.clock.sleep(60)
        self._backup.restore()
        for place, words in self.truth.deleted.items():
            self.truth.perhaps |= words.keys() - self._backup.known.get(place, set())
        self.kills["backup restored"] += 1
        self.tell("the backup is restored")
        self.start()

    # What stands in the store

    def rows(self, table: Table) -> list[Any]:
        with self.runtime.database.read() as c:
            return list(c.execute(select(table)))

    def pending(self) -> dict[str, int]:
        account_pk = self.destination.account_pk
        assert account_pk is not None
        with self.runtime.database.read() as c:
            return intent_counts(c, account_pk)

    def moved_senders(self, kind: Literal["link", "split"]) -> set[tuple[str, str]]:
        """Return (contact, number or address of a sender) for the moves of entries that crmbridge took as a word."""
        start = self.destination.node_key(self.destination.spec.contact_stream, "")
        with self.runtime.database.read() as c:
            said = {key for one in all_decisions(c) for key in one.decision.keys}
            found = standing(decisions_on(c, said).values())
        return {
            (contact.removeprefix(start), sender.partition(":")[2])
            for one in (found.links if kind == "link" else found.splits)
            for contact, sender in permutations(one.records | one.others, 2)
            if contact.startswith(start) and not sender.startswith(start)
        }

    @property
    def is_sqlite(self) -> bool:
        return self.store.startswith("sqlite")

    def refuse_rows(self, share: float) -> None:
        """Let the CRM refuse this share of the rows of each call."""
        self.meddle.refuses = share

    def replay(self) -> None:
        commands.replay(self.runtime, {"group": None})

    # The channel

    def phone(self, person: int) -> str:
        return f"551197{3_141_593 + 37 * person}"

    def email(self, person: int) -> str:
        return f"p{person}@one{person}.example"

    def person_of(self, *handles: str) -> int | None:
        """Return the person whose number or address is the first of these."""
        for person in range(self.people):
            if handles and handles[0] in (f"+{self.phone(person)}", self.email(person)):
                return person
        return None

    def say(self) -> None:
        """Let somebody write: a chat message, a mail, a mail of ours to two; captured once or twice, now or late."""
        number = len(self.truth.said) + 1
        person = self.chance.randrange(self.people)
        at = DAY.format(
            day=self.chance.randint(17, 19),
            hour=self.chance.randint(11, 22),
            minute=self.chance.randint(0, 59),
        )
        kind = self.chance.choices(["chat", "mail", "ours", "twins"], [12, 3, 2, 1])[0]
        handles: tuple[str, ...] = (self.phone(person) if kind == "chat" else self.email(person),)
        if kind == "ours":
            handles += (self.email(self.chance.randrange(self.people)),)
            handles = tuple(dict.fromkeys(handles))
        said = Said(number=number, handles=handles, at=at, mail=kind != "chat", outbound=kind == "ours")
        said.twin = kind == "twins"
        self.truth.said[number] = said
        self.tell(f"{said.word}: {kind} of {', '.join(handles)} at {at}")
        if kind == "twins":
            thing = self._thing(said)
            self._append({**thing, "keys": [f"one:{number}"]})
            self._append({**thing, "keys": [f"two:{number}"]})
            self._held_back.append({**thing, "keys": [f"one:{number}", f"two:{number}"]})
            return
        self._append(self._thing(said))
        if self.chance.random() < 0.15:
            self._append(self._thing(said))

    def _append(self, thing: dict[str, Json]) -> None:
        if self.chance.random() < 0.2:
            self._held_back.append(thing)
        else:
            self._chat.append("messages", thing)

    def _thing(self, said: Said, **more: Json) -> dict[str, Json]:
        us = {"role": "from", "side": "team", "handles": [{"kind": "email", "value": "rui@example.com"}]}
        role = "to" if said.outbound else "from"
        people = [party(role, handle, side="customer") for handle in said.handles]
        return {
            "kind": "email" if said.mail else "message",
            "channel": "email" if said.mail else "whatsapp",
            "direction": "outbound" if said.outbound else "inbound",
            "text": f"{said.word} v{said.version}",
            "at": said.at,
            "thread": said.handles[0],
            "people": [us, *people] if said.outbound else people,
            "keys": [f"key:{said.number}"],
            **more,
        }

    def change_a_message(self) -> None:
        """Let somebody edit or remove a chat message of theirs."""
        chats = [one for one in self.truth.said.values() if not one.mail and not one.removed]
        if not chats:
            return
        said = self.chance.choice(chats)
        later = f"2026-11-19T23:{min(59, said.version):02}:00Z"
        if self.chance.random() < 0.7:
            said.version += 1
            self._append(self._thing(said, tells="edit", at=later))
            self.tell(f"{said.word} is edited, v{said.version}")
        else:
            said.removed = True
            self._append(self._thing(said, tells="removal", text="", at=later))
            self.tell(f"{said.word} is removed")

    def catch_up(self, *, all: bool = False) -> None:
        """Bring some of what came late, in any order."""
        self.chance.shuffle(self._held_back)
        count = len(self._held_back) if all else self.chance.randint(0, len(self._held_back))
        for _ in range(count):
            self._chat.append("messages", self._held_back.pop())


def crash() -> None:
    """End the process between what the CRM carried out and our note of it."""
    raise Crash


@dataclass(slots=True, kw_only=True)
class Meddle:
    """What goes wrong around pushes: the share of rows refused, after how many receipts the process dies, and how."""

    refuses: float = 0.0
    pushed: int = 0
    dies: Callable[[], None] = crash


def filed(company: Company) -> dict[tuple[str, str], Any]:
    """Return the rows of our entries in the books by where they stand."""
    return {(row.stream, row.ext_id): row for row in company.rows(ledger) if row.slot == "entry"}


def noted(company: Company) -> dict[tuple[str, str], set[str]]:
    """Return the words of each entry of which our books say that it tells them, by where it stands."""
    words: dict[str, set[str]] = {}
    for row in company.rows(entity):
        words.setdefault(row.entity_id, set()).update(WORD.findall(row.body.decode()))
    told: dict[str, set[str]] = {}
    for row in company.rows(member):
        told.setdefault(row.key, set()).update(words.get(row.entity_id, ()))
    return {place: told.get(row.key, set()) for place, row in filed(company).items()}


@contextmanager
def quiet_logs() -> Iterator[None]:
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
