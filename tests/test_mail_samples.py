"""Mails of other people and damaged mails: read without a fault, and as others read them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_cases import ARRIVED, INBOX, OURS, SENT, SHARED, view

from bridge_imap.bodies import leaves_of
from bridge_imap.charsets import decode
from bridge_imap.mail import MailContext, parse
from bridge_imap.mime import content, read_parts

SAMPLES = sorted(SHARED.glob("*.eml"))
EXPECTED = sorted(SHARED.glob("*.expected.json"))
OTHERWISE = {("stalwart--thirdparty-005.expected.json", 4)}
"""It takes a boundary inside a line for one; RFC 2046, section 5.1.1, wants it at the beginning of a line."""
MUTANTS = 500
FIELDS = (
    *(
        "From",
        "To",
        "Cc",
        "Reply-To",
        "Date",
        "Subject",
        "Message-ID",
        "References",
        "In-Reply-To",
        "Content-Type",
    ),
    *("Thread-Index", "Content-Transfer-Encoding", "Content-Disposition", "Auto-Submitted", "List-Id"),
)
SPICE = (
    *(b"\0", b"\r", b"\n\n", b"--", b"=?utf-8?B?", b"?=", b'"', b"<", b">", b";", b"=", b"\xff\xfe", b"\x80"),
    *(b"Content-Type: multipart/mixed; boundary=x\n\n--x\n", b"charset=utf-7", b"charset=utf-16", b"base64"),
    *(b"Content-Transfer-Encoding: base64\n", b"Date: Mon, 99 Foo -1 99:99:99 +9999\n", b"From: @,<>;:\n"),
    *(b"Message-ID: <>\n", b"References: <<<>>>\n", b"<blockquote type=cite>", b"<div class=gmail_quote>"),
    *(b"On 2026 wrote:\n", b"From: a\nSent: b\nTo: c\n", b"-- \n", b"multipart/report", b"text/calendar"),
    *(b"message/delivery-status", b"Final-Recipient: ;;\n", b"Subject: Fwd: \n", b"+2AA-", b"&#xD800;"),
)


def needs(found: list[Path]) -> None:
    if not found:
        pytest.skip(f"no samples in {SHARED}; set CRMBRIDGE_SHARED to the folder that holds samples/email")


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_read(path: Path) -> None:
    for context in (INBOX, SENT, MailContext()):
        found = view(path.read_bytes(), context)
        assert orjson.loads(orjson.dumps(found)) == found
        assert bool(found["text_new"]) == bool(found["text_full"])


def test_the_samples_are_there() -> None:
    needs(SAMPLES)
    assert len(SAMPLES) > 60


def header_of(expected: Any, name: str) -> Any:
    return next((field["value"] for field in expected["parts"][0]["headers"] if field["name"] == name), None)


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.name)
def test_samples_are_read_as_another_parser_reads_them(path: Path) -> None:
    """Subject, people, id, text and files are those that the repository of the sample expects."""
    expected = json.loads(path.read_text("utf-8"))
    raw = path.with_name(path.name.replace(".expected.json", ".eml")).read_bytes()
    found: Any = view(raw)
    subject = header_of(expected, "subject")
    assert (found["subject"] or "") == " ".join((subject or {"Text": ""})["Text"].split())
    ids = header_of(expected, "message_id")
    assert found["message_id"] == (ids["Text"] if ids else None)
    for name in ("from", "to", "cc"):
        listed = header_of(expected, name)
        people = listed["Address"]["List"] if listed else []
        assert [(person["email"], person["name"]) for person in found[name]] == [
            (person["address"].lower(), person["name"] or "") for person in people
        ]
    if path.name.startswith("stalwart--malformed"):
        return  # a boundary is broken there: RFC 2046, section 5.1.2, and Python's parser read it as we do
    leaves = leaves_of(read_parts(raw))
    theirs = [part["body"] for part in expected["parts"] if "Multipart" not in part["body"]]
    assert len(leaves) == len(theirs)
    for number, (leaf, body) in enumerate(zip(leaves, theirs, strict=True)):
        text = body.get("Text", body.get("Html"))
        if text is not None and (path.name, number) not in OTHERWISE:
            assert decode(content(raw, leaf), leaf.params.get("charset")).split() == text.split()
    assert len(found["attachments"]) == len(expected["attachments"])


def test_another_parser_has_judged_samples() -> None:
    needs(EXPECTED)
    assert len(EXPECTED) >= 5


KNOWN = {
    "flanker--bounce-gmail-invalid-address": "bounce",
    "flanker--bounce-mailbox-full": "bounce",
    "flanker--bounce-office365": "bounce",
    "flanker--complaints-yahoo": "report",
    "flanker--disposition-notification": "report",
    "mikel-mail--multipart_report_emails-report_422": "bounce",
    "nodemailer--delivery-status": "bounce",
    "sisimai--arf-12": "report",
    "sisimai--lhost-exchange2007-04": "bounce",
    "sisimai--lhost-ezweb-01": "bounce",
    "sisimai--lhost-gmx-01": "bounce",
    "sisimai--lhost-googleworkspace-01": "bounce",
    "sisimai--rfc3834-01": "auto_reply",
    "sisimai--rfc3834-03": "auto_reply",
    "sisimai--rfc3834-05": "auto_reply",
    "stalwart--thirdparty-014": "list",
    "talon--standard_replies-gmail": None,
    "talon--standard_replies-yahoo": None,
    "flanker--iphone": None,
    "mikel-mail--plain_emails-raw_email_reply": None,
}


@pytest.mark.parametrize("name", KNOWN)
def test_bounces_and_answering_machines_of_the_samples_are_known(name: str) -> None:
    needs(SAMPLES)
    assert view((SHARED / f"{name}.eml").read_bytes())["automated_by"] == KNOWN[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("talon--standard_replies-gmail", "Hello"),
        ("talon--standard_replies-outlook", "Hello"),
        ("talon--standard_replies-yahoo", "Hello"),
        ("talon--standard_replies-apple_mail_2", "Hello"),
        ("flanker--iphone", "Hello\n\n~Danielle"),
    ],
)
def test_quotes_of_the_samples_are_cut(name: str, text: str) -> None:
    needs(SAMPLES)
    assert view((SHARED / f"{name}.eml").read_bytes())["text_new"] == text


def mutant(raw: bytes, chance: random.Random) -> bytes:
    made = bytearray(raw)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(made) + 1)
        match chance.randrange(5):
            case 0:
                made[place:place] = chance.choice(SPICE)
            case 1:
                del made[place : place + chance.randint(1, 80)]
            case 2:
                made[place : place + 1] = bytes([chance.randrange(256)])
            case 3:
                made[place:place] = made[place : place + chance.randint(1, 400)]
            case _:
                del made[place:]
    return bytes(made)


def test_five_hundred_damaged_mails_are_read() -> None:
    chance = random.Random(20261121)
    seeds = [
        path.read_bytes() for path in (*sorted(OURS.glob("*.eml")), *SAMPLES) if path.stat().st_size < 20_000
    ]
    for _ in range(MUTANTS):
        raw = mutant(chance.choice(seeds), chance)
        found = view(raw, chance.choice((INBOX, SENT)))
        assert orjson.loads(orjson.dumps(found)) == found


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_bytes_of_any_kind_are_read(raw: bytes) -> None:
    orjson.dumps(view(raw))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(FIELDS),
            st.text(max_size=60),
        ),
        max_size=12,
    ),
    st.text(max_size=200),
)
def test_headers_of_any_kind_are_read(fields: list[tuple[str, str]], body: str) -> None:
    header = "".join(f"{name}: {value}\n" for name, value in fields)
    found = parse(f"{header}\n{body}".encode("utf-8", "replace"), INBOX)
    assert found["unreadable"] is None
    assert found["occurred_at"] is not None
    assert found["occurred_at"] <= f"{ARRIVED.year + 1}"
    orjson.dumps(found)
