"""HubSpot's stand-in against the suite that every connector passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from bridge import Field, Json, Link, Write
from bridge.testing.conformance import suite
from bridge_hubspot import SPEC
from bridge_hubspot.sandbox import HubSpotSandbox, Pipeline, Stage

TOKEN = "pat-na1-secret-of-the-suite"
ALWAYS = 1_000_000
LATER = {"hs_timestamp": "2026-11-20T14:02:00Z"}
NEW: Mapping[str, Mapping[str, str]] = {
    "contacts": {"firstname": "Ana"},
    "companies": {"name": "Padaria Lima"},
    "deals": {"dealname": "Dois fornos", "dealstage": "qualifiedtobuy"},
    "communications": {**LATER, "hs_communication_channel_type": "WHATS_APP"},
    "emails": {**LATER, "hs_email_direction": "INCOMING_EMAIL"},
    "calls": LATER,
    "notes": LATER,
    "meetings": LATER,
}
CHANGED = {
    "contacts": {"firstname": "Ana Paula"},
    "companies": {"name": "Padaria Lima Ltda"},
    "deals": {"dealname": "Três fornos"},
    "communications": {"hs_communication_body": "Oi!"},
    "emails": {"hs_email_subject": "Proposta"},
    "calls": {"hs_call_title": "Fornos"},
    "notes": {"hs_note_body": "Quer dois"},
    "meetings": {"hs_meeting_title": "Visita"},
}


class HubSpotKit:
    """
    The stand-in with its levers in the suite's words; `wait` moves its clock ahead of the real one.

    A tenth of HubSpot's pages is asked for, so that several are not hundreds of objects in each test.
    """

    page_size = 20
    fields: Mapping[str, Sequence[str]] = {
        stream: [f"properties.{name}" for name in {*NEW[stream], *CHANGED[stream]}] for stream in NEW
    }
    dated = ("firstname", "jobtitle")
    new_field = ("notes", Field(name="crmbridge_key", label="crmbridge key", unique=True))
    cannot: Mapping[str, str] = {
        "pages pipelines": "HubSpot gives all pipelines in one answer",
        "change owners": "users are changed in their own settings, which the stand-in does not have",
        "change pipelines": "pipelines are changed in the settings, which the stand-in does not have",
    }

    def __init__(self) -> None:
        self._ahead = 0.0
        self._seeded = 0
        self._patch = pytest.MonkeyPatch()
        for name, size in (("SEARCH_PAGE", self.page_size), ("BATCH", 10), ("HISTORY_BATCH", 5)):
            self._patch.setattr(f"bridge_hubspot.source.{name}", size)
        self.hub = HubSpotSandbox(token=TOKEN, clock=self._clock)
        self.hub.start()
        self.spec = SPEC
        self.settings: Mapping[str, Json] = {"token": TOKEN, "base_url": self.hub.url}

    def _clock(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def close(self) -> None:
        self.hub.stop()
        self._patch.undo()

    def wrong_key(self) -> None:
        self.hub.levers.expired = True

    def rate_limit(self) -> float:
        self.hub.levers.ten_secondly = 0
        return 10.0

    def outage(self) -> None:
        self.hub.levers.fail(503, times=ALWAYS)

    def hang(self) -> None:
        self.hub.levers.slow(60.0, times=ALWAYS)

    def garbage(self) -> None:
        self.hub.levers.fail(200, body="<html>Be right back</html>", times=ALWAYS)

    def seed(self, stream: str, count: int) -> Sequence[str]:
        return [self._new(stream) for _ in range(count)]

    def _new(self, stream: str) -> str:
        self._seeded += 1
        if stream == "owners":
            return self.hub.add_owner(f"rep{self._seeded}@example.com", "Rep", str(self._seeded))
        if stream == "pipelines":
            stage = Stage(f"first{self._seeded}", "First", "0.1", False)
            self.hub.add_pipeline(Pipeline(f"pipeline{self._seeded}", f"Pipeline {self._seeded}", (stage,)))
            return f"pipeline{self._seeded}"
        return self.hub.create(stream, NEW[stream])

    def change(self, stream: str, id: str) -> None:
        self.hub.edit(stream, id, CHANGED[stream])

    def delete(self, stream: str, id: str) -> None:
        self.hub.delete(stream, id)

    def add_contact(self, email: str, phone: str) -> str:
        return self.hub.create("contacts", {"email": email, "phone": phone})

    def edit(self, id: str, field: str, word: str) -> None:
        self.hub.edit("contacts", id, {field: word})

    def contact_write(self, key: str, email: str) -> Write:
        return Write(key=key, op="create", stream="contacts", fields={"email": email})

    def entry_write(self, key: str, contact: str) -> Write:
        fields = {**LATER, "hs_note_body": f"Oi!<br>crmbridge {key}"}
        link = Link(stream="contacts", to=contact)
        return Write(key=key, op="create", stream="notes", fields=fields, links=[link])

    def bad_write(self, key: str) -> Write:
        return Write(key=key, op="create", stream="notes", fields={**LATER, "colour": "blue"})

    def count(self, key: str) -> int:
        return sum(f"crmbridge {key}" in note["properties"].get("hs_note_body", "") for note in self._notes())

    def linked(self, id: str) -> Sequence[str]:
        return [
            contact for note in self._notes() if note["id"] == id for contact in note["links"]["contacts"]
        ]

    def _notes(self) -> list[dict[str, Json]]:
        return self.hub.objects("notes")

    def lose_receipt(self) -> None:
        self.hub.levers.drop(path="/batch/create", commits=0.0)

    def commit_late(self) -> None:
        self.hub.levers.drop(path="/batch/create", commits=SPEC.settle / 2)

    def wait(self, seconds: float) -> None:
        self._ahead += seconds


TestHubSpot = suite(HubSpotKit)
