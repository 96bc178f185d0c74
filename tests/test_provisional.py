"""Somebody who could be one of several contacts, with `on_ambiguous: provisional`: on one of them, and it says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bridge.journey.text import Style
from bridge.sync.identity.decide import revoke
from tests.sync_world import World, dies, party
from tests.test_decided import ANA, SENDER, moved, places, say

UNDECIDED = {"default_region": "BR", "own_domains": ["example.com"], "on_ambiguous": "provisional"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, identity=UNDECIDED) as made:
        yield made


def shared_number(world: World) -> tuple[str, str]:
    """Let two contacts have one number, and the second be heard of by mail; return both."""
    ana = world.contact(name="Ana Lima", phone=f"+{ANA}", email="ana@lima.example")
    rui = world.contact(name="Rui Costa", phone=f"+{ANA}", email="rui@costa.example")
    world.mail("m1", party("from", "rui@costa.example"), direction="inbound", at="2026-11-18T11:00:00Z")
    return ana, rui


def first_lines(world: World) -> dict[str, str]:
    return {
        word: entry["text"].split("\n")[0]
        for entry in world.there("entries")
        for word in ("m2", "m3")
        if word in entry["text"].split()
    }


def test_it_stands_on_the_contact_heard_of_last_and_names_the_other(small: World) -> None:
    _, rui = shared_number(small)
    small.message("m2", ANA)
    small.settled()
    assert places(small) == {"m1": [rui], "m2": [rui]}
    assert first_lines(small) == {"m2": "Not confirmed who this is; could also be Ana Lima"}
    assert len(small.there("contacts")) == 2
    assert small.sync().written == 0


@pytest.mark.parametrize("name", ["Ana Lima", "Rui Costa"])
def test_once_it_is_decided_it_stands_there_and_the_line_is_gone(small: World, name: str) -> None:
    ana, rui = shared_number(small)
    small.message("m2", ANA)
    small.settled()
    chosen = ana if name == "Ana Lima" else rui
    link = say(small, "link", SENDER, chosen)
    small.settled()
    assert places(small) == {"m1": [rui], "m2": [chosen]}
    assert first_lines(small) == {"m2": "WhatsApp, Fri 20 Nov: 1 message (customer 1, us 0)"}
    assert small.sync().written == 0
    revoke(small.runtime, link.id, by="rui")
    small.resolve()
    small.settled()
    assert places(small) == {"m1": [rui], "m2": [chosen]}
    other = "Rui Costa" if chosen == ana else "Ana Lima"
    assert first_lines(small) == {"m2": f"Not confirmed who this is; could also be {other}"}


def test_what_comes_later_never_stands_on_another_contact(small: World) -> None:
    _, rui = shared_number(small)
    small.message("m2", ANA, at="2026-11-19T11:00:00Z")
    small.settled()
    small.mail("m4", party("from", "ana@lima.example"), direction="inbound", at="2026-11-20T11:00:00Z")
    small.settled()
    small.message("m3", ANA, at="2026-11-21T11:00:00Z")
    small.settled()
    assert {places(small)[word][0] for word in ("m2", "m3")} == {rui}


def test_nothing_of_an_undecided_sender_is_written_into_fields(small: World) -> None:
    shared_number(small)
    before = {one["id"]: {**one, "waiting_since": None, "modified": None} for one in small.there("contacts")}
    small.message("m2", ANA, name="Anita")
    small.settled()
    after = {one["id"]: {**one, "waiting_since": None, "modified": None} for one in small.there("contacts")}
    assert after == before


def test_who_moves_an_unconfirmed_entry_decides(small: World) -> None:
    ana, _ = shared_number(small)
    small.message("m2", ANA)
    small.message("m3", ANA, at="2026-11-19T11:00:00Z")
    small.settled()
    moved(small, "m2", to=ana)
    small.settled()
    assert {word: places(small)[word] for word in ("m2", "m3")} == {"m2": [ana], "m3": [ana]}
    assert first_lines(small)["m3"].startswith("WhatsApp")


@pytest.mark.parametrize("at", range(1, 11, 3))
def test_a_process_that_dies_while_it_is_decided_leaves_it_on_one_contact(small: World, at: int) -> None:
    ana, _ = shared_number(small)
    small.message("m2", ANA)
    small.settled()
    say(small, "link", SENDER, ana)
    with dies(small, at=at, after=True):
        small.sync()
    small.settled()
    assert places(small)["m2"] == [ana]
    assert first_lines(small)["m2"].startswith("WhatsApp")


@pytest.mark.parametrize(
    ("language", "others", "line"),
    [
        ("en", (), "Not confirmed who this is"),
        ("pt", ("Rui",), "Não confirmado de quem é; pode ser também Rui"),
        ("es", ("Rui", "Bia", "Eva"), "Sin confirmar de quién es; también podría ser Rui, Bia o Eva"),
    ],
)
def test_the_first_line_is_in_the_companys_language(
    language: str, others: tuple[str, ...], line: str
) -> None:
    assert Style(language=language, zone=ZoneInfo("UTC"), unconfirmed=others).first_line == line
