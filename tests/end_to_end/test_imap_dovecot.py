"""A mailbox on a real Dovecot, and everything that other mail programs do to it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imap_world import Pulled, mail, meta_of, raw_of, versions

from bridge import ConfigError, Record, Skip
from bridge.testing.context import CaptureRules
from end_to_end.dovecot import REMEDY, USER, Dovecot, available
from end_to_end.slow_line import SlowLine

pytestmark = pytest.mark.skipif(not available(), reason=REMEDY)

SAMPLES = Path(os.environ.get("CRMBRIDGE_SHARED", Path(__file__).parents[3] / "shared")) / "samples/email"

LONG_AGO = datetime(2024, 3, 1, 12, tzinfo=UTC)


def test_new_mail_comes_live_and_old_mail_by_backfill_each_once(dovecot: Dovecot, box: Pulled) -> None:
    dovecot.append("INBOX", *(mail(n) for n in range(5)), at=LONG_AGO)
    dovecot.append("Sent", mail("sent"), at=LONG_AGO)
    assert box.ids() == []
    dovecot.append("INBOX", mail("new"))
    assert box.ids() == ["new@ana.example"]
    assert box.ids("backfill") == [
        "sent@ana.example",
        "new@ana.example",
        *(f"{n}@ana.example" for n in (4, 3, 2, 1, 0)),
    ]
    assert box.ids() == []
    assert box.ids("backfill") == []


def test_the_stored_bytes_are_the_mail_and_what_the_server_knows_of_it(dovecot: Dovecot, box: Pulled) -> None:
    raw = mail(1, text="Dois fornos, 60x40.\r\n.\r\n\r\nAna")
    at = datetime(2026, 11, 18, 17, 2, 9, tzinfo=UTC)
    dovecot.append("Sent", raw, at=at)
    (record,) = box.records("backfill")
    assert isinstance(record, Record)
    assert (record.id, record.version, record.modified_at) == ("1@ana.example", "full", at)
    assert raw_of(record) == raw
    meta = meta_of(record)
    assert (meta["folder"], meta["role"], meta["uid"], meta["size"]) == ("Sent", "sent", 1, len(raw))
    assert meta["internal_date"] == "2026-11-18T17:02:09Z"


def test_the_view_is_decoded_from_the_stored_bytes_alone(dovecot: Dovecot, box: Pulled) -> None:
    dovecot.append("INBOX", mail(1))
    (record,) = box.records("backfill")
    assert isinstance(record, Record)
    (view,) = box.connector.decode(record)
    assert (view.stream, view.id, view.version) == (record.stream, record.id, record.version)
    assert view.data["text_new"] == "Vocês entregam em Santos?"
    assert view.data["direction"] == "inbound"
    assert view.data["dedupe_keys"] == ["message-id:1@ana.example"]


def test_several_thousand_mails_with_commands_ahead_come_each_once_and_whole(
    dovecot: Dovecot, box: Pulled
) -> None:
    mails = {f"{n}@ana.example": mail(n, text="x" * (n * 7 % 9000)) for n in range(2500)}
    dovecot.deliver(*mails.values())
    records = box.records("backfill")
    assert len(records) == len(mails)
    assert {record.id: raw_of(record) for record in records} == mails


def test_nothing_becomes_seen(dovecot: Dovecot, box: Pulled) -> None:
    dovecot.append("INBOX", *(mail(n) for n in range(3)))
    box.pages("live")
    box.pages("backfill")
    with dovecot.session() as session:
        session.select_folder("INBOX", readonly=True)
        assert session.search("UNSEEN") == [1, 2, 3]


def test_a_moved_mail_is_a_repeat_in_its_new_folder(dovecot: Dovecot, box: Pulled) -> None:
    box.pages()
    dovecot.append("INBOX", mail(1), mail(2))
    first = box.records()
    with dovecot.session() as session:
        session.select_folder("INBOX")
        session.move([1], "Archive")
    again = box.records()
    assert meta_of(again[0])["folder"] == "Archive"
    assert versions(again) < versions(first)


def test_an_expunged_mail_takes_nothing_with_it(dovecot: Dovecot, box: Pulled) -> None:
    box.pages()
    dovecot.append("INBOX", mail(1), mail(2))
    box.pages()
    dovecot.doveadm("expunge", "-u", USER, "mailbox", "INBOX", "uid", "1")
    assert box.records() == []
    dovecot.append("INBOX", mail(3))
    assert box.ids() == ["3@ana.example"]


def test_when_uidvalidity_changes_known_mail_is_a_repeat_and_unknown_mail_comes(
    dovecot: Dovecot, box: Pulled
) -> None:
    dovecot.append("INBOX", mail(1), mail(2), at=LONG_AGO)
    box.pages()
    past = box.records("backfill")
    dovecot.append("INBOX", mail(3))
    dovecot.doveadm("mailbox", "update", "-u", USER, "--uid-validity", "424242", "INBOX")
    again = box.records()
    assert {record.id for record in again} == {"1@ana.example", "2@ana.example", "3@ana.example"}
    assert versions(past) < versions(again)
    dovecot.append("INBOX", mail(4))
    assert box.ids() == ["4@ana.example"]


def test_a_folder_deleted_and_made_anew_is_read_again(dovecot: Dovecot, box: Pulled) -> None:
    dovecot.append("Archive", mail(1))
    box.pages()
    dovecot.doveadm("mailbox", "delete", "-u", USER, "Archive")
    time.sleep(1.1)  # Dovecot's UIDVALIDITY is the second of creation
    dovecot.doveadm("mailbox", "create", "-u", USER, "Archive")
    dovecot.append("Archive", mail(2))
    assert box.ids() == ["2@ana.example"]


def test_a_killed_backfill_goes_on_after_its_last_page(
    dovecot: Dovecot, box: Pulled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_imap.reading.CHUNK", 4)
    dovecot.append("INBOX", *(mail(n) for n in range(11)), at=LONG_AGO)
    came = [r.id for page in box.pages("backfill", stop_after=2) for r in page.records]
    box.reopen()
    dovecot.append("INBOX", mail("meanwhile"))
    came += box.ids("backfill")
    assert came == [f"{n}@ana.example" for n in range(10, -1, -1)]


def test_a_mail_with_a_broken_header_goes_through_with_the_rest(dovecot: Dovecot, box: Pulled) -> None:
    broken = b"\xff\xfe\x00 no header at all\n\x00\n\nFrom: nobody\n" + bytes(range(256))
    dovecot.deliver(mail(1), broken, mail(2))
    records = box.records("backfill")
    assert len(records) == 3
    assert {"1@ana.example", "2@ana.example"} < {record.id for record in records}
    for record in records:
        assert isinstance(record, Record)
        assert list(box.connector.decode(record))


def test_a_mail_above_the_limit_is_stored_by_its_beginning_and_the_names_of_its_files(
    dovecot: Dovecot,
) -> None:
    parts = [
        "--b", "Content-Type: text/plain; charset=utf-8", "", "Segue a planta.", "--b",
        'Content-Type: application/pdf; name="Planta da padaria.pdf"', "Content-Transfer-Encoding: base64",
        'Content-Disposition: attachment; filename="Planta da padaria.pdf"', "", *["QUJD" * 19] * 8000, "--b--",
    ]  # fmt: skip
    raw = mail("big", text="\r\n".join(parts), Content_Type="multipart/mixed; boundary=b")
    dovecot.append("INBOX", mail(1), raw, mail(2))
    box = Pulled({**dovecot.settings, "max_message_bytes": 65536})
    records = {record.id: record for record in box.records("backfill")}
    box.close()
    assert len(records) == 3
    record = records["big@ana.example"]
    assert isinstance(record, Record)
    assert record.version == "cut"
    assert len(raw_of(record)) < 300_000 < len(raw)
    (view,) = box.connector.decode(record)
    assert view.data["text_new"] == "Segue a planta."
    (file,) = view.data["files"]
    assert (file["id"], file["filename"], file["state"]) == ("2", "Planta da padaria.pdf", "skipped")
    assert file["size"] == 8000 * 57
    assert view.data["size"] == len(raw)


def test_rules_are_asked_before_a_body_is_fetched(dovecot: Dovecot) -> None:
    rules = CaptureRules(never=["*@lawyer.example"])
    dovecot.append(
        "INBOX", mail(1), mail(2, From="Dr. Silva <silva@lawyer.example>", text="PRIVATE"), mail(3)
    )
    with SlowLine(dovecot.port, poison=b"PRIVATE") as line:  # cuts the connection if it were fetched
        box = Pulled({**dovecot.settings, "host": "127.0.0.1", "port": line.port}, capture=rules)
        records = box.records("backfill")
        box.close()
    assert [record.id for record in records if isinstance(record, Record)] == [
        "3@ana.example",
        "1@ana.example",
    ]
    (skip,) = [record for record in records if isinstance(record, Skip)]
    assert (skip.id, skip.rule) == ("2@ana.example", "never")


@pytest.mark.parametrize(("detail", "subject"), [("subject", "Fornos 1"), ("metadata", None)])
def test_less_detail_stores_no_more_than_that(dovecot: Dovecot, detail: str, subject: str | None) -> None:
    dovecot.append("INBOX", mail(1, Thread_Topic="Fornos 1", X_Spam_Report="Vocês entregam"))
    box = Pulled(dovecot.settings, capture=CaptureRules(detail=detail))  # type: ignore[arg-type]
    (record,) = box.records("backfill")
    box.close()
    assert record.version == detail
    assert b"entregam" not in raw_of(record)
    assert (b"Fornos" in raw_of(record)) == (subject is not None)
    assert isinstance(record, Record)
    (view,) = box.connector.decode(record)
    assert view.data["subject"] == subject
    assert view.data["visibility"] == detail
    assert view.data["from"][0]["email"] == "ana@padarialima.example"


def test_mail_older_than_since_is_not_even_looked_at(dovecot: Dovecot) -> None:
    dovecot.append("INBOX", mail("old"), at=LONG_AGO)
    dovecot.append("INBOX", mail("new"), at=datetime(2026, 11, 18, tzinfo=UTC))
    box = Pulled(dovecot.settings, capture=CaptureRules(since=datetime(2026, 1, 1, tzinfo=UTC)))
    assert [record.id for record in box.records("backfill")] == ["new@ana.example"]
    box.close()


def test_a_draft_is_skipped_under_an_id_that_leaves_the_sent_mail_its_own(
    dovecot: Dovecot, box: Pulled
) -> None:
    box.pages()
    dovecot.append("INBOX", mail(1), flags=["\\Draft"])
    (skip,) = box.records()
    assert isinstance(skip, Skip)
    assert skip.rule == "draft"
    dovecot.append("Sent", mail(1), flags=["\\Seen"])
    assert box.ids() == ["1@ana.example"]


def test_named_folders_are_read_instead_of_the_usual_ones(dovecot: Dovecot) -> None:
    with dovecot.session() as session:
        session.create_folder("Clientes/São Paulo")
    dovecot.append("Clientes/São Paulo", mail(1))
    dovecot.append("INBOX", mail(2))
    box = Pulled({**dovecot.settings, "folders": ["clientes/são paulo"]})
    assert box.ids("backfill") == ["1@ana.example"]
    box.close()


def test_a_folder_that_is_not_there_is_a_configuration_error_that_names_the_nearest(dovecot: Dovecot) -> None:
    box = Pulled({**dovecot.settings, "folders": ["INBOX", "Archiv"]})
    with pytest.raises(
        ConfigError, match=r'sales-mailbox\.settings\.folders: .*"Archiv".*Did you mean "Archive"'
    ):
        box.connector.check()
    box.close()


@pytest.mark.skipif(not SAMPLES.exists(), reason=f"needs the mails in {SAMPLES}; set CRMBRIDGE_SHARED")
def test_the_mails_of_a_corpus_come_through_each_with_a_view(dovecot: Dovecot, box: Pulled) -> None:
    raws = [path.read_bytes() for path in sorted(SAMPLES.glob("*.eml"))]
    dovecot.deliver(*raws)
    records = box.records("backfill")
    assert len(records) == len(raws)
    for record in records:
        assert isinstance(record, Record)
        (view,) = box.connector.decode(record)
        assert view.data["unreadable"] is None
