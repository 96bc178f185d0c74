"""One mail, from its bytes to the view that the mapping reads."""

from __future__ import annotations

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from mail_cases import ARRIVED, INBOX, OURS, SENT, mail, stored, view

from bridge.journey.schema import Validator
from bridge.mapping import load_mapping
from bridge_imap.mail import MailContext, parse

MAPPING = load_mapping(Path(__file__).parents[1] / "mappings" / "imap.yaml", connector="imap")


def email(person: Any) -> str:
    return str(person["handles"][0]["value"])


def people(found: Any) -> list[tuple[str, str, str]]:
    return [(person["role"], person["side"], email(person)) for person in found["participants"]]


def test_a_reply_is_read_whole() -> None:
    found = stored("reply-gmail-html-de")
    assert found["message_id"] == "CAJx1reply118@mail.gmail.example"
    assert found["dedupe_keys"] == ["message-id:CAJx1reply118@mail.gmail.example"]
    assert found["mail_hash"] is None
    assert found["occurred_at"] == "2026-03-11T07:12:33Z"
    assert found["subject"] == "Re: Offerte 118"
    assert found["from"] == [{"email": "juerg.kuenzli@customer.example", "name": "Jürg Künzli"}]
    assert found["direction"] == "inbound"
    assert found["state"] == "received"
    assert found["text_new"] == "Grüezi, passt so. Bitte die Rechnung an unsere Buchhaltung."
    assert "> im Anhang die Offerte 118." in found["text_full"]
    assert found["body_full"] == found["text_full"]
    assert found["html"].startswith('<div dir="ltr">Grüezi')
    assert found["in_reply_to"] == "offer-118@vendor.example"
    assert found["references"] == ["offer-118@vendor.example"]
    assert found["thread_key"] == "offer-118@vendor.example"
    assert people(found) == [
        ("from", "customer", "juerg.kuenzli@customer.example"),
        ("to", "team", "sales@vendor.example"),
        ("cc", "customer", "buchhaltung@customer.example"),
    ]


def test_the_whole_text_is_given_only_where_it_differs() -> None:
    assert mail("No quote here.")["body_full"] is None


def test_an_html_mail_is_read_as_text_without_what_nobody_sees() -> None:
    found = stored("newsletter")
    assert found["text_new"] == "Hello there,\n\nlook at these ovens:\n\n- big\n- small"
    assert found["text_full"] == found["text_new"]


def test_the_marks_of_html_cut_an_outlook_reply() -> None:
    assert stored("reply-outlook-html-no-references")["text_new"] == "Danke, ist in Ordnung für uns."


def test_the_html_beside_a_text_tells_of_a_quote_that_the_text_does_not_mark() -> None:
    body = (
        "--a\r\nContent-Type: text/plain\r\n\r\nFine.\r\n\r\nIs it fine?\r\n"
        "--a\r\nContent-Type: text/html\r\n\r\n<p>Fine.</p>"
        '<div class="gmail_quote"><blockquote class="gmail_quote">Is it fine?</blockquote></div>\r\n--a--'
    )
    assert mail(body, content_type="multipart/alternative; boundary=a")["text_new"] == "Fine."


@pytest.mark.parametrize(
    ("context", "fields", "direction"),
    [
        (INBOX, {}, "inbound"),
        (SENT, {"from": "sales@vendor.example", "to": "ana@padaria.example"}, "outbound"),
        (INBOX, {"from": "Rui <rui@vendor.example>", "to": "ana@padaria.example"}, "outbound"),
        (INBOX, {"from": "sales+tag@vendor.example", "to": "ana@padaria.example"}, "outbound"),
        (INBOX, {"from": "rui@vendor.example"}, "internal"),
        (INBOX, {"from": "rui@vendor.example", "cc": "ana@padaria.example"}, "outbound"),
        (INBOX, {"from": "rui@shop.vendor.example"}, "internal"),
        (INBOX, {"from": "rui@notvendor.example"}, "inbound"),
        (INBOX, {"from": None}, "unknown"),
        (INBOX, {"from": None, "sender": "ana@padaria.example"}, "inbound"),
        (SENT, {"from": "alias@elsewhere.example", "to": "ana@padaria.example"}, "outbound"),
        (MailContext(folder_role="sent"), {"from": None}, "outbound"),
        (MailContext(), {}, "inbound"),
    ],
)
def test_direction_follows_our_addresses_and_the_folder(
    context: MailContext, fields: dict[str, str | None], direction: str
) -> None:
    assert mail("x", context, **fields)["direction"] == direction


@pytest.mark.parametrize(
    ("date", "occurred"),
    [
        ("Tue, 10 Mar 2026 16:05:00 -0300", "2026-03-10T19:05:00Z"),
        ("10 Mar 26 16:05 EST", "2026-03-10T21:05:00Z"),
        ("Tue, 10 Mar 2026 16:05:60 +0000 (UTC)", "2026-03-10T16:05:59Z"),
        ("Tue, 10 Mar 2026 16:05:00 NOWHERE", "2026-03-10T16:05:00Z"),
        ("Wed, 1 Apr 2026 20:00:00 +0000", "2026-04-01T20:00:00Z"),
        ("Fri, 3 Apr 2026 20:00:00 +0000", "2026-04-01T12:00:00Z"),
        ("Thu, 1 Jan 1970 00:00:00 +0000", "2026-04-01T12:00:00Z"),
        ("Tue, 31 Feb 2026 16:05:00 +0000", "2026-04-01T12:00:00Z"),
        ("Tue, 10 Mar 99999 16:05:00 +0000", "2026-04-01T12:00:00Z"),
        ("Sat, 31 Dec 9999 23:59:59 -1200", "2026-04-01T12:00:00Z"),
        ("Tue, 10 Mar 2026 16:05:00 +9999", "2026-04-01T12:00:00Z"),
        ("yesterday", "2026-04-01T12:00:00Z"),
        (None, "2026-04-01T12:00:00Z"),
    ],
)
def test_a_date_that_cannot_be_true_gives_way_to_the_arrival(date: str | None, occurred: str) -> None:
    found = mail(date=date)
    assert found["occurred_at"] == occurred
    assert found["internal_date"] == "2026-04-01T12:00:00Z"


def test_what_the_date_claims_is_kept_beside() -> None:
    assert mail(date="Fri, 3 Apr 2026 20:00:00 +0000")["date_claimed"] == "2026-04-03T20:00:00Z"
    assert mail("x", MailContext(), date="Thu, 1 Jan 1970 00:00:00 +0000")["occurred_at"] is None


@pytest.mark.parametrize(
    ("given", "bare"),
    [
        ("<a.b@c>", "a.b@c"),
        ("a.b@c", "a.b@c"),
        (" <a.b@c> (added by relay)", "a.b@c"),
        ("<a.b\r\n @c>", "a.b@c"),
        ("<Case@Kept>", "Case@Kept"),
        ("<no-at-sign>", "no-at-sign"),
        ("<>", None),
        (None, None),
        (f"<{'x' * 1000}@c>", None),
    ],
)
def test_a_message_id_loses_its_brackets(given: str | None, bare: str | None) -> None:
    assert mail(message_id=given)["message_id"] == bare


def test_copies_without_message_id_share_a_hash_whatever_their_line_ends() -> None:
    raw = (OURS / "no-message-id.eml").read_bytes()
    found = view(raw)
    assert found["message_id"] is None
    assert found["dedupe_keys"] == [f"mail-hash:{found['mail_hash']}"]
    assert found["thread_key"] == found["mail_hash"]
    assert view(raw.replace(b"\n", b"\r\n"))["mail_hash"] == found["mail_hash"]
    assert view(raw.replace(b"pages", b"page"))["mail_hash"] != found["mail_hash"]
    assert view(raw.replace(b"Scan", b"Fax"))["mail_hash"] != found["mail_hash"]


@pytest.mark.parametrize(
    ("fields", "root"),
    [
        ({"references": "<root@a> <mid@a>", "in_reply_to": "<mid@a>"}, "root@a"),
        ({"in_reply_to": "<mid@a>"}, "mid@a"),
        ({"in_reply_to": 'Your message of "Tue" <mid@a>'}, "mid@a"),
        ({"in_reply_to": "Your message of Tuesday"}, "m1@padaria.example"),
        ({"references": "<m1@padaria.example>"}, "m1@padaria.example"),
        ({"references": "<ro\r\n ot@a>\r\n <mid@a>"}, "root@a"),
        ({}, "m1@padaria.example"),
        ({"thread_index": "AQHbkxyzAAECAwQFBgcICQoLDA0ODw==", "thread_topic": "x"}, "m1@padaria.example"),
        ({"thread_index": "not base64!", "thread_topic": "x"}, "m1@padaria.example"),
    ],
)
def test_the_thread_is_known_by_its_first_mail(fields: dict[str, str], root: str) -> None:
    assert mail(**fields)["thread_key"] == root


def test_outlook_answers_without_references_meet_by_thread_index_and_topic() -> None:
    def key(index: bytes, topic: str) -> str:
        return str(mail(thread_index=base64.b64encode(index).decode(), thread_topic=topic)["thread_key"])

    start = bytes(range(22))
    first, second = key(start + b"12345", "Offer"), key(start + b"1234567890", "OFFER")
    assert first == second
    assert first.startswith("outlook:")
    assert first != key(start + b"12345", "Other")
    assert first != key(bytes(22) + b"12345", "Offer")


def test_an_answer_to_itself_is_no_answer() -> None:
    found = mail(in_reply_to="<m1@padaria.example>", references="<m1@padaria.example>")
    assert found["in_reply_to"] is None
    assert found["references"] == []


def test_a_photo_is_a_file_and_a_shown_logo_is_not() -> None:
    found = stored("photo-and-logo")
    logo, photo = found["attachments"]
    assert (logo["id"], logo["inline"], logo["content_id"]) == ("1.2", True, "logo@padaria.example")
    assert photo == {
        "id": "2",
        "filename": "defeito número 1.jpg",
        "content_type": "image/jpeg",
        "size": 6,
        "sha256": hashlib.sha256(b"\xff\xd8\xff\xe0\x00\x10").hexdigest(),
        "disposition": "attachment",
        "content_id": None,
        "inline": False,
    }
    assert [file["id"] for file in found["files"]] == ["2"]


def test_a_mail_that_is_one_file_names_it_as_part_one() -> None:
    found = mail(b"%PDF", content_type='application/pdf; name="offer.pdf"')
    assert [(file["id"], file["filename"], file["size"]) for file in found["files"]] == [
        ("1", "offer.pdf", 4)
    ]
    assert found["text_new"] == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('"../../etc/passwd"', "passwd"),
        ('"C:\\\\Users\\\\a\\\\offer.pdf"', "offer.pdf"),
        ('"=?utf-8?Q?or=C3=A7amento.pdf?="', "orçamento.pdf"),
        ("two words.pdf", "two words.pdf"),
        ('"a\x07b.pdf"', "ab.pdf"),
    ],
)
def test_the_name_of_a_file_is_safe_to_show(name: str, shown: str) -> None:
    found = mail(b"x", content_type=f"application/pdf; name={name}")
    assert found["files"][0]["filename"] == shown


def test_a_file_without_a_name_has_none() -> None:
    assert "filename" not in mail(b"x", content_type="application/pdf")["files"][0]


def test_the_limit_bounds_text_and_html() -> None:
    small = MailContext(max_body=100, internal_date=ARRIVED)
    assert len(mail("word " * 1000, small)["text_full"]) <= 100
    assert len(mail("<p>word " * 1000, small, content_type="text/html")["html"]) <= 100


def test_a_page_built_to_explode_is_not_passed_on() -> None:
    bomb = "".join(f"<p><b title={number}>" for number in range(4000))
    start = time.process_time()
    found = mail(bomb, content_type="text/html")
    assert time.process_time() - start < 2
    assert found["html"] is None


def test_a_mail_of_which_only_the_header_was_fetched_says_so() -> None:
    found = mail(b"", MailContext(detail="metadata", internal_date=ARRIVED), subject=None)
    assert found["visibility"] == "metadata"
    assert found["subject"] is None
    assert found["text_new"] == ""


def test_the_view_depends_on_nothing_but_the_mail_and_the_context() -> None:
    for path in OURS.glob("*.eml"):
        assert parse(path.read_bytes(), INBOX) == parse(path.read_bytes(), INBOX)


def test_a_fault_in_reading_leaves_a_mail_that_is_shown_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = mail()

    def broken(raw: bytes) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("bridge_imap.mail.read_parts", broken)
    found = parse(b"From: a@b\r\n\r\nx", INBOX)
    assert found["unreadable"] == "RecursionError: too deep"
    assert found["dedupe_keys"][0].startswith("mail-hash:")
    assert found["occurred_at"] == "2026-04-01T12:00:00Z"
    assert set(found) == set(fine)


@pytest.mark.parametrize("path", sorted(OURS.glob("*.eml")), ids=lambda path: path.stem)
def test_every_stored_mail_becomes_a_valid_interaction(path: Path) -> None:
    seen = orjson.loads(orjson.dumps(view(path.read_bytes())))
    assert Validator.for_entity("interaction").check(MAPPING.pull["messages"].map(seen)) == []


def test_a_file_that_was_not_fetched_is_still_named() -> None:
    seen = orjson.loads(orjson.dumps(mail()))
    seen["files"] = [
        {
            "filename": "big.pdf",
            "content_type": "application/pdf",
            "size": 9,
            "sha256": None,
            "state": "skipped",
        }
    ]
    mapped = MAPPING.pull["messages"].map(seen)
    assert Validator.for_entity("interaction").check(mapped) == []
    assert mapped["attachments"] == [
        {"filename": "big.pdf", "content_type": "application/pdf", "size": 9, "state": "skipped"}
    ]


def test_the_mapping_passes_its_own_tests() -> None:
    results = MAPPING.run_tests()
    assert len(results) >= 4
    assert [result.difference for result in results if not result.ok] == []


def test_internal_dates_of_other_zones_are_shown_in_utc() -> None:
    late = MailContext(internal_date=datetime(2026, 3, 10, 19, 0, tzinfo=UTC) + timedelta(minutes=5))
    assert mail("x", late)["internal_date"] == "2026-03-10T19:05:00Z"
