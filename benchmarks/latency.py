"""
Latency: how soon a WhatsApp message stands on its HubSpot contact while a long backfill runs.

A daemon with the stand-in of HubSpot (200 contacts), WhatsApp, and a second CRM in a folder. First
messages come while all is quiet; then 100,000 contacts of 1 KB lie in the folder at once, and messages
go on coming until they are read. Each message is of another contact, so that none waits for
its chat's entry to grow. Its time runs from before the webhook is sent until a look at HubSpot, once a
second, finds it on the timeline. Stand-in, daemon and this client are three processes.

    python -m benchmarks.latency [--records 100000] [--every 0.5]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import orjson
import requests

from benchmarks.contacts_world import contact
from benchmarks.measure import PYTHON, WORK, conditions, server, table
from bridge_whatsapp.sandbox import BUSINESS, Sender, batch, serialise, signed, text_message

FOLDER = WORK / "latency"
SECRET = "benchmark-app-secret"
CONTACTS = 200
QUIET = 20
"""Messages that come before the backfill."""

LOOK = 1.0
PATIENCE = 180.0
CONFIG = """
company: {{time_zone: America/Sao_Paulo}}
store: sqlite:///{folder}/store.db
connections:
  crm:
    connector: hubspot
    settings: {{token: "${{env:BENCH_SECRET}}", base_url: "{url}"}}
    push: {{timeline: true}}
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{account}"
      app_secret: "${{env:BENCH_SECRET}}"
      verify_token: "${{env:BENCH_SECRET}}"
  other-crm:
    connector: memory
    settings: {{directory: {folder}/other, key: "${{env:BENCH_SECRET}}"}}
    every: 1
web: {{listen: "127.0.0.1:0"}}
"""


class HubSpot:
    """The stand-in, spoken to over its API."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/crm/objects/2026-09"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {SECRET}"

    def fill(self) -> None:
        """Create the known contacts."""
        inputs = [
            {"properties": {"firstname": f"Cliente {number}", "phone": f"+{phone(number)}"}}
            for number in range(CONTACTS)
        ]
        for start in range(0, CONTACTS, 100):
            url = f"{self._url}/contacts/batch/create"
            answer = self._session.post(url, json={"inputs": inputs[start : start + 100]}, timeout=30)
            answer.raise_for_status()

    def bodies(self) -> Iterator[str]:
        """Yield the text of every message on a timeline."""
        after: str | None = "0"
        while after is not None:
            params = {"limit": "100", "properties": "hs_communication_body", "after": after}
            if after == "0":
                del params["after"]
            answer = self._session.get(f"{self._url}/communications", params=params, timeout=30)
            answer.raise_for_status()
            page = answer.json()
            for one in page["results"]:
                yield one["properties"].get("hs_communication_body") or ""
            after = page.get("paging", {}).get("next", {}).get("after")


class Store:
    """The daemon's store, looked at from outside."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(f"file:{FOLDER}/store.db?mode=ro", uri=True)

    def number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0] or 0)

    def known(self) -> int:
        return self.number("SELECT count(*) FROM node WHERE contact_id IS NOT NULL")

    def is_behind(self, records: int) -> bool:
        """Tell whether the backfill still goes on."""
        return self.known() < records + CONTACTS

    def close(self) -> None:
        self._connection.close()


class Messages:
    """Messages under way: when each was sent, and how long it took to be seen."""

    def __init__(self, hook: str, hubspot: HubSpot) -> None:
        self._hook = hook
        self._hubspot = hubspot
        self._looked = 0.0
        self._number = 0
        self._sent: dict[str, tuple[float, str]] = {}
        self.seen: dict[str, list[float]] = {"quiet": [], "backfill": []}

    def left(self) -> int:
        return CONTACTS - self._number

    def send(self, kind: str) -> None:
        """Send a message of the next contact; a refusal ends the benchmark."""
        number = self._number
        self._number += 1
        sender = Sender(name=f"Cliente {number}", wa_id=phone(number))
        text = f"Mensagem numero {number}."
        body = serialise(batch([text_message(sender, text, at=datetime.now(UTC))]))
        self._sent[text] = (time.monotonic(), kind)
        answer = requests.post(self._hook, data=body, headers=signed(body, SECRET), timeout=30)
        if answer.status_code != 200:
            sys.exit(f"a webhook was answered with {answer.status_code}: {answer.text}")

    def look(self) -> int:
        """Look at HubSpot, at most once in LOOK seconds; return how many messages are not seen yet."""
        if time.monotonic() - self._looked >= LOOK and self._sent:
            everything = "\n".join(self._hubspot.bodies())
            self._looked = now = time.monotonic()
            for text in [text for text in self._sent if text in everything]:
                since, kind = self._sent.pop(text)
                self.seen[kind].append(now - since)
        return len(self._sent)

    def wait(self) -> None:
        """Look until all are seen."""
        until = time.monotonic() + PATIENCE
        while self.look():
            if time.monotonic() > until:
                sys.exit(f"{len(self._sent)} messages did not reach HubSpot within {PATIENCE:.0f} s")
            time.sleep(0.05)


def phone(number: int) -> str:
    return f"551197{3_141_593 + 37 * number}"


def write_past(path: Path, records: int) -> None:
    """Write the contacts of the second CRM as the lines of its folder."""
    with path.open("wb") as file:
        for number in range(records):
            one = contact(number)
            found = one["properties"]
            line = {
                "id": one["id"],
                "name": f"{found['firstname']} {found['lastname']}",
                "email": found["email"],
                "phone": found["phone"],
                "modified": one["updatedAt"],
                "properties": found,
            }
            file.write(orjson.dumps({name: value for name, value in line.items() if value}) + b"\n")


def measure(hook: str, hubspot: HubSpot, records: int, every: float) -> tuple[Messages, float]:
    """Send messages before and during the backfill; return them, and the seconds it took."""
    messages = Messages(hook, hubspot)
    past = FOLDER / "past.jsonl"
    write_past(past, records)
    with closing(Store()) as store:
        until = time.monotonic() + PATIENCE
        while store.known() < CONTACTS:
            if time.monotonic() > until:
                sys.exit("the contacts of HubSpot were not read")
            time.sleep(0.2)
        for _ in range(QUIET):
            messages.send("quiet")
            _rest(messages, every)
        messages.wait()
        past.rename(FOLDER / "other" / "contacts.jsonl")
        started = time.monotonic()
        while store.known() == CONTACTS:
            time.sleep(0.05)
        while store.is_behind(records):
            if messages.left():
                messages.send("backfill")
            _rest(messages, every)
        took = time.monotonic() - started
        messages.wait()
    return messages, took


def _rest(messages: Messages, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        messages.look()
        time.sleep(0.02)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two messages")
    options = parser.parse_args(arguments)
    print(conditions())
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "other").mkdir(parents=True)
    env = {**os.environ, "BENCH_SECRET": SECRET}
    sandbox = [PYTHON, "-m", "bridge_hubspot.sandbox", "--port", "0", "--token", SECRET]
    with server(sandbox) as (line, _):
        url = next(word for word in line.split() if word.startswith("http"))
        hubspot = HubSpot(url)
        hubspot.fill()
        config = FOLDER / "config.yaml"
        config.write_text(CONFIG.format(folder=FOLDER, url=url, account=BUSINESS.waba))
        with server([PYTHON, "-m", "bridge.cli", "run", "--config", str(config)], env) as (line, _):
            hook = line.split("webhooks at ")[1].split("/hooks")[0] + "/hooks/whatsapp"
            messages, took = measure(hook, hubspot, options.records, options.every)
    print(f"\n{options.records:,} records read in {took:.0f} s ({options.records / took:,.0f}/s)\n")
    table(
        ["messages that came", "how many", "p50 s", "p95 s", "slowest s"],
        [
            [
                {"quiet": "before", "backfill": "during the backfill"}[kind],
                str(len(found)),
                *(f"{sorted(found)[min(len(found) - 1, int(len(found) * at))]:.1f}" for at in (0.5, 0.95, 1)),
            ]
            for kind, found in messages.seen.items()
            if found
        ],
    )


if __name__ == "__main__":
    main()
