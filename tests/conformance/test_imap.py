"""The mailbox against the suite that every connector passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from imap_front import EVERYDAY, GREETING, SILENT, Front
from imap_world import mail

from bridge import Json
from bridge.testing.conformance import suite
from bridge_imap import SPEC
from bridge_imap.sandbox import ImapSandbox

PASSWORD = "a-secret-of-the-suite"


class ImapKit:
    """A mailbox in memory behind a front that fails as servers do; pages are small."""

    spec = SPEC
    page_size = 5
    fields: Mapping[str, Sequence[str]] = {}
    cannot: Mapping[str, str] = {
        "change": "a mail never changes; a changed one is another mail",
        "delete": "a deleted mail stays in the journey: it was said",
    }

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("bridge_imap.reading.CHUNK", self.page_size)
        self._box = ImapSandbox(password=PASSWORD)
        self._box.start()
        self._front = Front(self._box.port)
        self._seeded = 0
        self.settings: Mapping[str, Json] = {**self._box.settings, "port": self._front.port}

    def close(self) -> None:
        self._front.close()
        self._box.stop()
        self._patch.undo()

    def seed(self, stream: str, count: int) -> Sequence[str]:
        numbers = range(self._seeded, self._seeded + count)
        self._seeded += count
        self._box.append("INBOX", *(mail(n) for n in numbers))
        return [f"{n}@ana.example" for n in numbers]

    def wrong_key(self) -> None:
        self._front.script = {**EVERYDAY, "LOGIN": "{tag} NO [AUTHENTICATIONFAILED] Authentication failed."}

    def rate_limit(self) -> float:
        says = "{tag} BAD Request is throttled. Suggested Backoff Time: 17500 milliseconds"
        self._front.script = {**EVERYDAY, "LOGIN": says}
        return 17.5

    def outage(self) -> None:
        self._front.script = {GREETING: "* BYE [UNAVAILABLE] We are down for maintenance."}

    def hang(self) -> None:
        self._patch.setattr("bridge_imap.client.CONNECT_SECONDS", 0.5)
        self._front.script = SILENT

    def garbage(self) -> None:
        self._front.script = {GREETING: "* OK ready", "": "<html>Be right back</html>"}


TestImap = suite(ImapKit)
