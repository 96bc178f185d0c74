"""Mails that a hostile sender writes: to stop the queue, to speak for somebody else, to get past a rule."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from bridge_imap.mail import MailContext, MailView, parse

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
