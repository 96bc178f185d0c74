"""`kill -9` at any moment: whatever the process was about, the next one goes on, and nothing stands twice."""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_memory.client import Folder
from bridge_memory.receiver import HEADER, sign
from tests.killable import Program, program
from tests.outside import until

KEY = "the key of the folder"
TOKEN = "pat-na1-7f3a2c9k"
KILLS = int(os.environ.get("CRMBRIDGE_KILLS", "6"))
"""Kills of each long test against folders, a third as many against HubSpot; set it higher for a soak."""


@pytest.fixture
def seed() -> int:
    """A seed of its own for each run; it is printed, and CRMBRIDGE_SEED repeats it."""
    found = int(os.environ.get("CRMBRIDGE_SEED", time.time_ns() % 1_000_000))
    print(f"CRMBRIDGE_SEED={found}")  # noqa: T201 shown by pytest where the test fails
    return found


class Company:
    """A folder `chat` whose messages go to a CRM; m1, m2, ... stand for what was said."""

    def __init__(self, home: Path, crm: dict[str, Any]) -> None:
        self.home = home
        self.config = home / "config.yaml"
        self._chat = Folder(home / "chat", KEY, lambda: datetime.now(UTC))
        self._messages = 0
        self.senders: set[int] = set()
        chat = {
            "connector": "memory",
            "settings": {"directory": str(home / "chat"), "key": "${env:FOLDER_KEY}"},
        }
        push = {"timeline": True, "create": {"whatsapp": "first_message"}}
        document = {
            "company": {"time_zone": "America/Sao_Paulo"},
            "identity": {"default_region": "BR"},
            "connections": {"crm": {**crm, "push": push}, "chat": chat},
            "web": {"listen": "127.0.0.1:0"},
        }
        self.config.write_text(json.dumps(document))

    def say(self, count: int, sender: int | None = None) -> None:
        """Let people write: four senders, or this one; every message is a thread of its own, so each is an entry."""
        for _ in range(count):
            self._messages += 1
            number = self._messages
            self._chat.append(
                "messages",
                {
                    "text": f"m{number}",
                    "from": self._sender(number % 4 if sender is None else sender),
                    "channel": "whatsapp",
                    "direction": "inbound",
                    "thread": f"t{number}",
                    "at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
                },
            )

    def _sender(self, number: int) -> str:
        self.senders.add(number)
        return f"551197391{4860 + number}"

    @property
    def once(self) -> dict[str, int]:
        """Return what should be told: each message once."""
        return {f"m{number}": 1 for number in range(1, self._messages + 1)}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the store."""
        with sqlite3.connect(self.home / "crmbridge.db") as store:
            return store.execute(query).fetchall()

    def check_store(self) -> None:
        """See that each record was read once and everything was settled."""
        read = self.rows("SELECT ext_id FROM record WHERE stream = 'messages'")
        assert len(read) == len(set(read)) == self._messages
        assert self.rows("SELECT state FROM record WHERE state IN (0, 3)") == []
        assert self.rows("SELECT * FROM intent") == []


def told(texts: Iterator[str]) -> dict[str, int]:
    found = Counter(word for text in texts for word in re.findall(r"\bm[0-9]+\b", text))
    return dict(sorted(found.items(), key=lambda item: int(item[0][1:])))


class Folders(Company):
    """The CRM is a folder too."""

    def __init__(self, home: Path) -> None:
        settings = {"directory": str(home / "crm"), "key": "${env:FOLDER_KEY}"}
        super().__init__(home, {"connector": "memory", "settings": settings})
        self.crm = Folder(home / "crm", KEY, lambda: datetime.now(UTC))

    def check(self) -> None:
        """See that the CRM shows each message once, each person once, and the ledger just that."""
        entries, contacts = self.crm.latest("entries"), self.crm.latest("contacts")
        assert told(entry["text"] for entry in entries.values()) == self.once
        assert len({one["phone"] for one in contacts.values()}) == len(contacts) == len(self.senders)
        assert len({one["key"] for one in entries.values()}) == len(entries)
        written = self.rows("SELECT stream, ext_id FROM ledger WHERE slot IN ('entry', 'contact')")
        shown = [("entries", id) for id in entries] + [("contacts", id) for id in contacts]
        assert sorted(written) == sorted(shown)
        self.check_store()


def settled(found: Program, *, settle: float | None = None) -> None:
    """Sync until nothing is left to write."""

    def rests() -> bool:
        result = found.run("sync", settle=settle)
        if result["writes"] or result["pending_writes"]:
            return False
        assert result["errors"] == []
        return True

    until(rests)


@pytest.mark.slow
def test_a_sync_may_be_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    company = Folders(tmp_path)
    chance = random.Random(seed)
    with program(company.config, FOLDER_KEY=KEY) as found:
        company.say(8)
        usual = found.took("sync")
        for _ in range(KILLS):
            company.say(chance.randint(1, 6))
            running = found.start("sync")
            time.sleep(chance.uniform(0.0, usual))
            running.kill()
            assert running.wait() in (0, -9)
        settled(found)
        company.check()
        assert found.run("sync")["writes"] == 0


@pytest.mark.slow
def test_a_sync_may_be_killed_between_each_write_and_its_receipt(tmp_path: Path) -> None:
    company = Folders(tmp_path)
    with program(company.config, FOLDER_KEY=KEY) as found:
        for number in (1, 2, 3, 5):
            company.say(4)
            assert found.start("sync", dies_after_writes=number).wait() == -9
            (count,) = company.rows("SELECT count(*) FROM intent WHERE state = 'uncertain'")[0]
            assert count > 0
        settled(found)
        company.check()


@pytest.mark.slow
def test_a_daemon_may_be_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    company = Folders(tmp_path)
    chance = random.Random(seed)
    with program(company.config, FOLDER_KEY=KEY) as found:
        answered = 0
        for _ in range(3):
            found.output.unlink(missing_ok=True)
            company.say(3)
            running = found.start("run")
            line = until(lambda: found.output.exists() and "webhooks at" in found.output.read_text())
            assert line
            url = found.output.read_text().split("webhooks at ")[1].split("/hooks")[0]
            for _ in range(chance.randint(1, 4)):
                thing = {"id": f"w{answered}", "text": "Oi", "from": "5511973914860", "channel": "whatsapp"}
                event = {"stream": "messages", "object": {**thing, "at": "2026-11-20T11:00:00Z"}}
                body = json.dumps({"events": [event]}).encode()
                headers = {HEADER: sign(body, KEY, int(time.time()))}
                reply = requests.post(f"{url}/hooks/chat", data=body, headers=headers, timeout=60)
                answered += reply.status_code == 200
            time.sleep(chance.uniform(0.0, 0.6))
            running.kill()
            assert running.wait() == -9
        settled(found)
        (count,) = company.rows("SELECT count(*) FROM record WHERE ext_id LIKE 'w%'")[0]
        assert count == answered > 0
        assert {
            **company.once,
            **told(one["text"] for one in company.crm.latest("entries").values()),
        } == company.once
        assert len(company.crm.latest("contacts")) == len(company.senders | {0})


class HubSpot(Company):
    """The CRM is the stand-in of HubSpot, whose clock is `ahead` of ours by so many seconds."""

    def __init__(self, home: Path) -> None:
        self.ahead = 0.0
        self.hub = HubSpotSandbox(
            token=TOKEN, clock=lambda: datetime.now(UTC) + timedelta(seconds=self.ahead)
        )
        settings = {"token": "${env:HUBSPOT_TOKEN}", "base_url": self.hub.url}
        super().__init__(home, {"connector": "hubspot", "settings": settings})

    def check(self) -> None:
        """See that HubSpot shows each message once, each person once, and the ledger just that."""
        entries, contacts = self.hub.objects("communications"), self.hub.objects("contacts")
        assert told(one["properties"]["hs_communication_body"] for one in entries) == self.once
        phones = [one["properties"].get("phone") for one in contacts]
        assert len(set(phones)) == len(phones) == len(self.senders)
        assert all(len(one["links"]["contacts"]) == 1 for one in entries)
        written = self.rows("SELECT stream, ext_id FROM ledger WHERE slot IN ('entry', 'contact')")
        shown = [("communications", one["id"]) for one in entries]
        made = [("contacts", one["id"]) for one in contacts if one["id"] != self.ana]
        assert sorted(written) == sorted(shown + made)
        self.check_store()

    def open(self) -> None:
        """Give HubSpot a contact of a person's making."""
        self.ana = self.hub.create("contacts", {"firstname": "Ana", "phone": "+55 11 97391-4861"})


SETTLE = 1.0
LATE = 600.0
"""Seconds after which a late write stands, of a clock that the test moves; and a time to settle that never ends."""


@pytest.fixture(scope="module")
def hubspot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubSpot]:
    company = HubSpot(tmp_path_factory.mktemp("company"))
    with company.hub:
        company.open()
        yield company


@pytest.fixture(scope="module")
def synced(hubspot: HubSpot) -> Iterator[Program]:
    """The program on that HubSpot, its own properties made and a first sync done."""
    with program(hubspot.config, FOLDER_KEY=KEY, HUBSPOT_TOKEN=TOKEN) as found:
        hubspot.say(4)
        found.run("setup", "crm", "--apply")
        settled(found, settle=SETTLE)
        hubspot.check()
        yield found


@pytest.mark.slow
def test_a_sync_to_hubspot_may_be_killed_at_any_moment(hubspot: HubSpot, synced: Program, seed: int) -> None:
    chance = random.Random(seed)
    hubspot.say(4)
    usual = synced.took("sync", settle=SETTLE)
    for _ in range(max(1, KILLS // 3)):
        hubspot.say(chance.randint(1, 6))
        running = synced.start("sync", settle=SETTLE)
        time.sleep(chance.uniform(0.0, usual))
        running.kill()
        assert running.wait() in (0, -9)
    settled(synced, settle=SETTLE)
    hubspot.check()
    assert synced.run("sync", settle=SETTLE)["writes"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["contacts", "communications"])
def test_a_write_that_hubspot_carried_out_and_nobody_noted_is_found(
    hubspot: HubSpot, synced: Program, stream: str
) -> None:
    hubspot.say(1, sender=10 + len(hubspot.senders))
    before = len(hubspot.hub.objects(stream))
    hubspot.hub.levers.slow(600.0, method="POST", path=f"{stream}/batch/create")
    running = synced.start("sync", settle=SETTLE)
    until(lambda: len(hubspot.hub.objects(stream)) > before)
    running.kill()
    assert running.wait() == -9
    settled(synced, settle=SETTLE)
    hubspot.check()


@pytest.mark.slow
def test_a_write_that_hubspot_carries_out_after_we_were_killed_is_not_repeated(
    hubspot: HubSpot, synced: Program
) -> None:
    hubspot.say(1)
    hubspot.hub.levers.drop(method="POST", path="communications/batch/create", commits=LATE, delay=600.0)
    running = synced.start("sync", settle=LATE)
    until(lambda: not hubspot.hub.levers.faults)
    running.kill()
    assert running.wait() == -9
    before = len(hubspot.hub.objects("communications"))
    assert synced.run("sync", settle=LATE)["pending_writes"] == {"uncertain": 1}
    hubspot.ahead = LATE
    assert len(hubspot.hub.objects("communications")) == before + 1
    settled(synced, settle=SETTLE)
    hubspot.check()
