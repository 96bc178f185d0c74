"""What the sender typed, told apart from quotes and signatures."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bridge_imap.replies import Split, split_html, split_text

FOLDER = Path(__file__).parent / "data" / "replies"
HELD_OUT = "held_out"


def labelled(held_out: bool) -> list[Any]:
    return [
        pytest.param(reply, id=f"{path.stem}: {reply['name']}")
        for path in sorted(FOLDER.glob("*.yaml"))
        if (path.stem == HELD_OUT) is held_out
        for reply in yaml.safe_load(path.read_text("utf-8"))
    ]


KNOWN, UNSEEN = labelled(held_out=False), labelled(held_out=True)


def split(reply: dict[str, str]) -> Split:
    if "html" in reply:
        return split_html(reply["html"], reply.get("parent"))
    return split_text(reply["text"], reply.get("parent"))


def squeezed(text: str) -> str:
    return " ".join(text.split())


def rate(replies: list[Any]) -> float:
    exact = [squeezed(split(p.values[0]).new) == squeezed(p.values[0]["new"]) for p in replies]
    return sum(exact) / len(exact)


@pytest.mark.parametrize("reply", KNOWN)
def test_the_new_text_of_a_known_reply_is_exact(reply: dict[str, str]) -> None:
    assert squeezed(split(reply).new) == squeezed(reply["new"])


def test_nine_in_ten_replies_nobody_tuned_on_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    known, unseen = rate(KNOWN), rate(UNSEEN)
    with capsys.disabled():
        sys.stdout.write(
            f"\nreplies exact: {known:.1%} of {len(KNOWN)} known, {unseen:.1%} of {len(UNSEEN)} held out\n"
        )
    assert len(UNSEEN) >= 30
    assert unseen >= 0.9


@pytest.mark.parametrize("reply", KNOWN + UNSEEN)
def test_nothing_of_a_reply_is_lost_or_empty(reply: dict[str, str]) -> None:
    parts = split(reply)
    assert parts.new
    if "text" in reply:
        words = squeezed(" ".join((parts.new, parts.quoted, parts.signature))).split()
        assert sorted(words) == sorted(reply["text"].split())


@pytest.mark.parametrize(
    "text",
    [
        "> only\n> a quote",
        "Sent from my iPhone",
        "On Tue, Mar 10, 2026 at 4:05 PM Rui <rui@vendor.example> wrote:\n\n> Hi",
        "-- \nAna",
        "From: Rui <rui@vendor.example>\nSent: Tuesday\nTo: Ana\nSubject: Offer\n\nHere it is.",
    ],
)
def test_a_mail_with_nothing_of_its_own_is_kept_whole(text: str) -> None:
    parts = split_text(text)
    assert squeezed(parts.new) == squeezed(text)
    assert (parts.quoted, parts.signature) == ("", "")


def test_an_empty_text_stays_empty() -> None:
    assert split_text(" \n\t\n") == Split(new="", quoted="", signature="")


def test_the_three_parts_are_told_apart() -> None:
    parts = split_text(
        "Fine.\n\n-- \nHelen\n+44 20 7946 0000\n\nOn 10/03/2026 16:05, Rui wrote:\n> Is it fine?\n"
    )
    assert parts.new == "Fine."
    assert parts.signature == "--\nHelen\n+44 20 7946 0000"
    assert parts.quoted == "On 10/03/2026 16:05, Rui wrote:\n> Is it fine?"


def test_an_html_mail_without_marks_goes_through_the_rules_for_text() -> None:
    parts = split_html("<p>Yes.</p><p>On 10/03/2026 16:05, Rui wrote:</p><blockquote>Is it?</blockquote>")
    assert parts.new == "Yes."
    assert "Is it?" in parts.quoted


def test_a_line_about_sending_mail_is_no_phone_line() -> None:
    text = "Sent the offer by mail today.\nGet two ovens on your mobile plan."
    assert split_text(text).new == text


def test_a_rule_between_own_paragraphs_is_no_signature() -> None:
    text = "Prices:\n-----\noven 900\n-----\nWe need them in May, and please call before you come."
    assert split_text(text).new == text


def test_a_parent_of_three_words_cuts_nothing() -> None:
    assert split_text("Thanks a lot, Rui!", parent="Thanks a lot").new == "Thanks a lot, Rui!"


@pytest.mark.parametrize(
    "line",
    ["> a\nb\n", "----\n", "-- \n> a\n", "On 2020 X wrote:\n", "From: a\n", "\n", "_" * 40 + "\n", "a " * 50],
)
def test_time_grows_with_the_text_only(line: str) -> None:
    def seconds(times: int) -> float:
        text = line * times
        start = time.process_time()
        split_text(text)
        return time.process_time() - start

    small = min(seconds(2_000) for _ in range(3))
    assert any(seconds(16_000) < 8 * 4 * small + 0.05 for _ in range(3))


@given(st.text(alphabet=">-_: \n\tOn2026wrote<a@b.example>schrieb—*From", max_size=400), st.text(max_size=50))
def test_any_text_keeps_something_new(text: str, parent: str) -> None:
    parts = split_text(text, parent)
    assert bool(parts.new) == bool(parts.new.strip())
    if text.strip():
        assert parts.new
