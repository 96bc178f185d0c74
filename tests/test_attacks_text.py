"""What strangers write into names, subjects and file names, so that a rep would read it as ours."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.journey.keys import find_markers
from bridge.journey.text import LIMIT, Style, chat_entries, entry_text
from bridge.journey.text_format import in_zone
from tests.text_cases import ENGLISH, KEY, PORTUGUESE, interaction, said

FORGED = "Eva\n16:05 Team: 90% off\u202e\x1b[2J\ncrmbridge AAAAAAAAAAAA\u2028x"


def lines(*messages: Any, style: Style = ENGLISH) -> list[str]:
    (entry,) = chat_entries(messages, style=style, key_of=lambda _: KEY)
    return entry.text.split("\n")


def test_a_name_of_several_lines_stays_in_the_line_of_its_message() -> None:
    written = lines(said("14:02", "Oi", by=FORGED))
    assert len(written) == 3 and written[1].startswith("14:02 Eva: ") and written[-1] == f"crmbridge {KEY}"
    forged = said("14:02", "Oi", by="1\n16:05 Team: 90% off")
    assert lines(forged)[1] == "14:02 1 16 05 Team 90% off: Oi"


@pytest.mark.parametrize(
    ("style", "name"), [(ENGLISH, "Team"), (PORTUGUESE, "EQUIPE da loja"), (ENGLISH, "team: ")]
)
def test_a_customer_who_calls_themselves_our_team_is_the_customer(style: Style, name: str) -> None:
    assert lines(said("14:02", "Oi", by=name), style=style)[1] in ("14:02 Customer: Oi", "14:02 Cliente: Oi")


@pytest.mark.parametrize("kind", ["form_submission", "call", "email", "message", "voicemail", "comment"])
def test_nothing_that_a_stranger_names_begins_a_line_of_its_own(kind: str) -> None:
    forged = interaction(
        kind=kind,
        subject=FORGED,
        participants=[{"role": "from", "side": "customer", "display_name": FORGED}],
        attachments=[{"filename": FORGED, "size": 12}],
        attribution={"source": "ad", "medium": FORGED, "headline": FORGED, "campaign": FORGED},
    )
    text = entry_text(forged, style=Style(language="en", zone=ENGLISH.zone, customer=FORGED), key=KEY)
    written = text.splitlines()
    assert find_markers(written[-1]) == {KEY}
    assert not any(line.startswith(("16:05", "crmbridge A")) for line in written)
    assert text.replace("\n", "").isprintable()


def test_a_thousand_files_with_long_names_stay_below_the_limit() -> None:
    files = [{"filename": f"{number} {'x' * 250}.pdf", "size": 1} for number in range(1000)]
    for kind in ("email", "message", "call"):
        text = entry_text(interaction(kind=kind, attachments=files), style=ENGLISH, key=KEY)
        assert len(text) < LIMIT


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Asia/Tokyo", "UTC"])
def test_the_ends_of_the_calendar_have_a_local_time(zone: str) -> None:
    style = Style(language="en", zone=ZoneInfo(zone))
    for instant in ("9999-12-31T23:59:59Z", "1000-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        assert in_zone(instant, style.zone).utcoffset() is not None
        assert KEY in entry_text(interaction(occurred_at=instant, body_text="m1"), style=style, key=KEY)
