"""Mails that a hostile sender writes: to stop the queue, to speak for somebody else, to get past a rule."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from bridge.capture import CaptureRules, RuledCapture
from bridge_imap import records
from bridge_imap.mail import MailContext, MailView, parse
from bridge_imap.people import MOST_PEOPLE

CONTEXT = MailContext(
    own_addresses=frozenset({"sales@vendor.example"}),
    own_domains=frozenset({"vendor.example"}),
    internal_date=datetime(2026, 11, 20, tzinfo=UTC),
)
HEAD = b"From: ana@evil.example\r\nTo: sales@vendor.example\r\nMessage-ID: <1@evil.example>\r\n"


def read(content_type: bytes, body: bytes, *, seconds: float) -> MailView:
    began = time.process_time()
    view = parse(HEAD + b"Content-Type: " + content_type + b"\r\n\r\n" + body, CONTEXT)
    assert time.process_time() - began < seconds
    assert view["unreadable"] is None
    return view


def test_a_flowed_text_of_endless_lines_takes_time_in_proportion() -> None:
    view = read(b"text/plain; format=flowed", b"a \n" * 300_000, seconds=3.0)
    assert view["text_new"].startswith("a a a")


def test_a_mail_of_many_texts_is_read_up_to_the_limit_of_one() -> None:
    part = b"--b\r\nContent-Type: text/plain\r\n\r\n" + b"words of no use\r\n" * 20_000
    view = read(b"multipart/mixed; boundary=b", part * 20 + b"--b--", seconds=3.0)
    assert 900_000 < len(view["text_full"]) < 2_000_000


WRITTEN = [
    "bob@lawyer.example",
    "Bob <bob@lawyer.example>",
    '"a@other.example" <bob@lawyer.example>',
    "'bob@lawyer.example'",
    "[bob@lawyer.example]",
    '"bob"@lawyer.example',
    "=?utf-8?q?bob=40lawyer=2Eexample?=",
    "=?utf-8?q?Bob_=3Cbob=40lawyer=2Eexample=3E?=",
    "=?utf-8?b?Ym9iQGxhd3llci5leGFtcGxl?=",
    "bob@(of)lawyer.example",
    "Bob <bob@lawyer\r\n .example>",
    "bob@lawyer.example.",
    "group: bob@lawyer.example;",
    "Bob (bob@lawyer.example)",
    "<@relay.example:bob@lawyer.example>",
    "x@other.example; bob@lawyer.example",
]


@pytest.mark.parametrize("field", ["From", "To", "Cc", "Reply-To"])
@pytest.mark.parametrize("written", WRITTEN)
def test_the_capture_rules_are_asked_about_everybody_who_is_shown_later(field: str, written: str) -> None:
    others = "" if field == "From" else "From: ana@one.example\r\n"
    header = f"{others}{field}: {written}\r\nMessage-ID: <1@x>\r\n\r\n".encode()
    judged = records.addresses(records.fields(header))
    shown = parse(header + b"private", CONTEXT)
    assert {handle["value"] for one in shown["participants"] for handle in one["handles"]} <= judged


def test_the_capture_rules_are_asked_about_whom_a_group_speaks_for() -> None:
    header = (
        b"From: Bob via Sales <sales@vendor.example>\r\nX-Original-From: bob@lawyer.example\r\n"
        b"To: sales@vendor.example\r\nMessage-ID: <1@x>\r\n\r\n"
    )
    assert "bob@lawyer.example" in records.addresses(records.fields(header))
    assert b"X-ORIGINAL-FROM" in records.JUDGED_ITEM


@pytest.mark.parametrize(
    "pattern", ["*" * 40 + "@x.example", "*a*a*a*a*a*@x.example", "*@*.*.*.lawyer.example"]
)
def test_no_address_of_a_stranger_keeps_a_capture_rule_busy(pattern: str) -> None:
    began = time.process_time()
    capture = RuledCapture(rules=CaptureRules(never=(pattern,)))
    for address in ("a" * 50_000 + "@y.example", "a.a@" + "a." * 20_000, "[a]*?@x.example"):
        capture.decide(at=None, addresses=[address])
    assert time.process_time() - began < 2.0
    assert capture.decide(at=None, addresses=["aaaaaa@x.example"]).rule == (
        "private" if pattern.endswith("@x.example") else None
    )


def test_a_mail_to_half_the_world_has_a_bearable_number_of_people_and_files() -> None:
    many = b"".join(
        b"Cc: %s\r\n" % b", ".join(b"u%d.%d@x.example" % (n, m) for m in range(900)) for n in range(100)
    )
    part = b"--b\r\nContent-Type: application/pdf; name=x.pdf\r\n\r\nx\r\n"
    head = HEAD + many + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    view = parse(head + b"--b\r\n\r\nhello\r\n" + part * 900 + b"--b--", CONTEXT)
    assert len(view["cc"]) == 90_000 and len(view["participants"]) == MOST_PEOPLE
    assert view["participants"][0]["handles"][0]["value"] == "ana@evil.example"
    assert len(view["files"]) == 200 and view["text_new"] == "hello"
