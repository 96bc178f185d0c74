"""Pipedrive's stand-in against the suite that every connector passes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge import Field, Json, Link, Request, Write
from bridge.testing.conformance import suite
from bridge_pipedrive import SPEC
from bridge_pipedrive.sandbox import PipedriveSandbox

TOKEN = "d6f0e1c2b3a4958677665544332211ffeeddccbb"
PASSWORD = "webhook-secret-of-the-suite"
ALWAYS = 1_000_000
LATER = {"due_date": "2026-11-20T14:02:00Z", "due_time": "2026-11-20T14:02:00Z"}
NEW: Mapping[str, Mapping[str, Json]] = {
    "persons": {"name": "Ana"},
    "organizations": {"name": "Padaria Lima"},
    "deals": {"title": "Dois fornos"},
    "activities": {"subject": "WhatsApp", "type": "task", "done": True},
    "leads": {"title": "Um forno"},
    "notes": {"content": "Quer dois"},
}
CHANGED: Mapping[str, Mapping[str, Json]] = {
    "persons": {"name": "Ana Paula"},
    "organizations": {"name": "Padaria Lima Ltda"},
    "deals": {"title": "Três fornos"},
    "activities": {"subject": "Proposta"},
    "leads": {"title": "Três fornos"},
    "notes": {"content": "Quer três"},
}


class PipedriveKit:
    """
    The stand-in with its levers in the suite's words; `wait` moves its clock ahead of the real one.

    A tenth of Pipedrive's pages is asked for, so that several are not a thousand things in each test.
    """

    page_size = 50
    fields: Mapping[str, Sequence[str]] = {"deals": ["title", "stage_history"]}
    dated = ("name", "emails")
    new_field = ("persons", Field(name="Waiting on channel"))
    signs_body = False
    signs_time = False
    cannot: Mapping[str, str] = {
        "change mails": "a mail stays as it was caught",
        "pages users": "Pipedrive gives all users in one answer",
        "pages pipelines": "nobody has more pipelines than stand on a page",
        "change users": "users are changed in their own settings, which the stand-in does not have",
        "change pipelines": "pipelines are changed in the settings, which the stand-in does not have",
    }

    def __init__(self) -> None:
        self._ahead = 0.0
        self._seeded = 0
        self._patch = pytest.MonkeyPatch()
        for module in ("source", "source_gaps", "source_mails", "source_records"):
            self._patch.setattr(f"bridge_pipedrive.{module}.PAGE", self.page_size)
        self.crm = PipedriveSandbox(token=TOKEN, clock=self._clock)
        self.crm.start()
        self.spec = SPEC
        self.settings: Mapping[str, Json] = {
            "api_token": TOKEN,
            "webhook_password": PASSWORD,
            "base_url": self.crm.url,
            "plan": "ultimate",
        }

    def _clock(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def close(self) -> None:
        self.crm.stop()
        self._patch.undo()

    def wrong_key(self) -> None:
        self.crm.levers.expired = True

    def rate_limit(self) -> float:
        self.crm.levers.burst = 0
        return 2.0

    def outage(self) -> None:
        self.crm.levers.fail(503, times=ALWAYS)

    def hang(self) -> None:
        self.crm.levers.slow(60.0, times=ALWAYS)

    def garbage(self) -> None:
        self.crm.levers.fail(200, body="<html>Be right back</html>", times=ALWAYS)

    def seed(self, stream: str, count: int) -> Sequence[str]:
        person = self.crm.create("persons", NEW["persons"]) if stream in ("leads", "notes") else ""
        return [self._new(stream, person) for _ in range(count)]

    def _new(self, stream: str, person: str) -> str:
        self._seeded += 1
        if stream == "users":
            return self.crm.add_user(f"Rep {self._seeded}", f"rep{self._seeded}@example.com")
        if stream == "mails":
            address = f"customer-{self._seeded // 250}@example.com"
            if self._seeded % 250 == 0 or self._seeded == 1:
                self.crm.create("persons", {"name": "Ana", "emails": [{"value": address, "primary": True}]})
            return self.crm.catch_mail(f"{self._seeded}@example.com", sender=address, to=["rui@example.com"])
        if stream == "pipelines":
            return self.crm.create("pipelines", {"name": f"Pipeline {self._seeded}"})
        anchor = {"person_id": int(person)} if person else {}
        return self.crm.create(stream, {**NEW[stream], **anchor})

    def change(self, stream: str, id: str) -> None:
        self.crm.edit(stream, id, CHANGED[stream])

    def delete(self, stream: str, id: str) -> None:
        self.crm.delete(stream, id)

    def request(self, events: int, at: datetime, *, forged: bool = False, odd: bool = False) -> Request:
        """Return the webhooks of so many events as one body; Pipedrive sends one each, a relay may join them."""
        bodies: list[Json] = [event(number, at) for number in range(events)]
        if odd:
            bodies.insert(events // 2, {"meta": 7})
        pair = f"crmbridge:{'wrong' if forged else PASSWORD}".encode()
        return Request(
            method="POST",
            url="https://bridge.example.com/hooks/crm",
            query={},
            headers={
                "content-type": "application/json",
                "authorization": f"Basic {base64.b64encode(pair).decode()}",
            },
            body=json.dumps(bodies[0] if len(bodies) == 1 else bodies).encode(),
            received_at=at,
        )

    def add_contact(self, email: str, phone: str) -> str:
        channels = {
            name: [{"value": value, "primary": True}]
            for name, value in (("emails", email), ("phones", phone))
        }
        return self.crm.create("persons", {"name": "Ana", **channels})

    def edit(self, id: str, field: str, word: str) -> None:
        value = [{"value": f"{word}@one.example"}] if field == "emails" else word
        self.crm.edit("persons", id, {field: value})

    def contact_write(self, key: str, email: str) -> Write:
        return Write(key=key, op="create", stream="persons", fields={"name": "Ana", "emails": email})

    def entry_write(self, key: str, contact: str) -> Write:
        fields = {**NEW["activities"], **LATER, "note": f"Oi!<br>crmbridge {key}"}
        link = Link(stream="persons", to=contact)
        return Write(key=key, op="create", stream="activities", fields=fields, links=[link])

    def bad_write(self, key: str) -> Write:
        return Write(key=key, op="create", stream="activities", fields={**LATER, "duration": "long"})

    def count(self, key: str) -> int:
        return sum(f"crmbridge {key}" in str(one["note"]) for one in self.crm.objects("activities"))

    def linked(self, id: str) -> Sequence[str]:
        return [
            str(one["person_id"])
            for activity in self.crm.objects("activities")
            if activity["id"] == id
            for one in activity["participants"]
        ]

    def lose_receipt(self) -> None:
        self.crm.levers.drop(method="POST", path="/activities", commits=0.0)

    def commit_late(self) -> None:
        self.crm.levers.drop(method="POST", path="/activities", commits=SPEC.settle / 2)

    def wait(self, seconds: float) -> None:
        self._ahead += seconds


def event(number: int, at: datetime) -> dict[str, Any]:
    """Return a webhook of version 2: a person was changed, or deleted where the number is even."""
    action = "change" if number % 2 else "delete"
    meta = {"action": action, "entity": "person", "entity_id": str(1000 + number), "version": "2.0"}
    data = {"id": 1000 + number, "name": "Ana"} if action == "change" else None
    return {"meta": {**meta, "timestamp": at.isoformat()}, "data": data, "previous": None}


TestPipedrive = suite(PipedriveKit)
