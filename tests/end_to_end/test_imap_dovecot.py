"""The mailbox against a real Dovecot, and everything that servers and other mail programs do to it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from imap_world import Pulled, mail, meta_of, raw_of, versions

from bridge import AuthError, ConfigError, Record, Skip, Unavailable
from bridge.testing.context import CaptureRules
from bridge_imap import client
from end_to_end.dovecot import JWT_KEY, REMEDY, USER, Dovecot, available
from end_to_end.slow_line import SlowLine

pytestmark = pytest.mark.skipif(not available(), reason=REMEDY)

SAMPLES = Path(os.environ.get("CRMBRIDGE_SHARED", Path(__file__).parents[3] / "shared")) / "samples/email"
LONG_AGO = datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


@pytest.fixture
def dovecot(server: Dovecot) -> Dovecot:
    server.empty()
    return server


@pytest.fixture
def box(dovecot: Dovecot) -> Iterator[Pulled]:
    box = Pulled(dovecot.settings)
    yield box
    box.close()


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


def test_mail_that_arrives_while_waiting_ends_the_wait(dovecot: Dovecot, box: Pulled) -> None:
    box.pages()
    started = time.monotonic()
    timer = threading.Timer(0.5, lambda: dovecot.append("INBOX", mail(1)))
    timer.start()
    assert box.connector.wait("messages", 20)
    assert 0.4 < time.monotonic() - started < 10
    timer.join()
    assert box.ids() == ["1@ana.example"]


def test_mail_that_arrived_between_the_pull_and_the_wait_ends_the_wait_at_once(
    dovecot: Dovecot, box: Pulled
) -> None:
    box.pages()
    dovecot.append("Sent", mail(1))
    started = time.monotonic()
    assert box.connector.wait("messages", 20)
    assert time.monotonic() - started < 2


def test_a_quiet_wait_ends_in_time(box: Pulled) -> None:
    box.pages()
    started = time.monotonic()
    assert not box.connector.wait("messages", 1.2)
    assert 1.0 < time.monotonic() - started < 4


def test_a_flag_set_elsewhere_does_not_end_the_wait(dovecot: Dovecot, box: Pulled) -> None:
    dovecot.append("INBOX", mail(1))
    box.pages()

    def read_it() -> None:
        with dovecot.session() as session:
            session.select_folder("INBOX")
            session.add_flags([1], [b"\\Seen"])

    timer = threading.Timer(0.3, read_it)
    timer.start()
    assert not box.connector.wait("messages", 2)
    timer.join()


def test_a_connection_cut_while_waiting_is_told_and_the_next_call_connects_anew(
    dovecot: Dovecot, box: Pulled
) -> None:
    box.pages()
    timer = threading.Timer(0.5, dovecot.kick)
    timer.start()
    with pytest.raises(Unavailable, match="sales-mailbox"):
        box.connector.wait("messages", 20)
    timer.join()
    dovecot.append("INBOX", mail(1))
    assert box.ids() == ["1@ana.example"]


def test_a_connection_cut_between_two_pulls_goes_unnoticed(dovecot: Dovecot, box: Pulled) -> None:
    box.pages()
    dovecot.kick()
    dovecot.append("INBOX", mail(1))
    assert box.ids() == ["1@ana.example"]


def test_a_connection_cut_in_the_middle_of_a_pull_loses_nothing(
    dovecot: Dovecot, box: Pulled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_imap.reading.CHUNK", 10)
    dovecot.deliver(*(mail(n, text="x" * 200_000) for n in range(60)))
    came: list[str] = []
    for page in box.connector.pull("messages", "backfill", None, ()):
        came += [record.id for record in page.records]
        if len(came) == 20:
            dovecot.kick()
    assert sorted(came) == sorted(f"{n}@ana.example" for n in range(60))


def test_a_stopped_server_is_unavailable_and_after_its_return_nothing_is_missing(
    dovecot: Dovecot, box: Pulled
) -> None:
    box.pages()
    dovecot.append("INBOX", mail(1))
    dovecot.stop()
    try:
        with pytest.raises(Unavailable, match=r"sales-mailbox: localhost:\d+ cannot be reached"):
            box.pages()
    finally:
        dovecot.start()
    assert box.ids() == ["1@ana.example"]


def test_a_mail_that_always_breaks_the_connection_costs_only_its_own_body(
    dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_imap.reading.CHUNK", 8)
    texts = ["x" * 500] * 30
    texts[13] = "POISON-OF-THE-TEST"
    dovecot.append("INBOX", *(mail(n, text=text) for n, text in enumerate(texts)))
    with SlowLine(dovecot.port, poison=b"POISON-OF-THE-TEST") as line:
        box = Pulled({**dovecot.settings, "host": "127.0.0.1", "port": line.port})
        records = box.records("backfill")
        again = box.records("backfill")
        box.close()
    assert again == []
    assert [record.id for record in records] == [f"{n}@ana.example" for n in range(29, -1, -1)]
    cut = [record for record in records if record.version != "full"]
    assert [(record.id, record.version) for record in cut] == [("13@ana.example", "unreadable")]
    (view,) = box.connector.decode(cut[0])  # type: ignore[arg-type]
    assert view.data["subject"] == "Fornos 13"
    assert "closed the connection" in view.data["unreadable"]


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


def test_check_names_the_account_the_same_however_the_user_is_written(dovecot: Dovecot, box: Pulled) -> None:
    other = Pulled({**dovecot.settings, "user": "Sales@Example.COM"})
    assert box.connector.check().id == other.connector.check().id == "sales@example.com"
    assert box.connector.check().scopes == ["Sent", "INBOX", "Archive"]
    other.close()


def test_a_wrong_password_is_an_auth_error_with_the_remedy_and_without_the_password(dovecot: Dovecot) -> None:
    box = Pulled({**dovecot.settings, "password": "wrong-secret-9"})
    with pytest.raises(AuthError, match=r"settings\.password") as error:
        box.connector.check()
    assert "wrong-secret-9" not in str(error.value)
    box.close()


def test_a_password_with_any_letters_signs_in() -> None:
    with Dovecot(password='pá"s\\s ñ') as dovecot:
        box = Pulled(dovecot.settings)
        assert box.connector.check().id == "sales@example.com"
        box.close()


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_tls_is_spoken_and_the_certificate_checked(
    dovecot: Dovecot, tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = dovecot.tls_port if tls == "implicit" else dovecot.port
    box = Pulled({**dovecot.settings, "tls": tls, "port": port})
    with pytest.raises(Unavailable, match=r"certificate is not trusted.*SSL_CERT_FILE"):
        box.connector.check()
    monkeypatch.setenv("SSL_CERT_FILE", dovecot.certificate)
    dovecot.append("INBOX", mail(1, text="x" * 3_000_000))
    assert box.ids("backfill") == ["1@ana.example"]
    box.pages()
    timer = threading.Timer(0.5, lambda: dovecot.append("INBOX", mail(2)))
    timer.start()
    assert box.connector.wait("messages", 20)
    timer.join()
    box.close()


def test_tls_spoken_to_a_port_without_it_says_what_may_be_wrong(dovecot: Dovecot) -> None:
    box = Pulled({**dovecot.settings, "tls": "implicit"})
    with pytest.raises(Unavailable, match=r"settings\.tls"):
        box.connector.check()
    box.close()


def test_passwords_are_not_sent_in_the_clear_over_a_network() -> None:
    with pytest.raises(ConfigError, match=r"sales-mailbox\.settings\.tls"):
        Pulled({"host": "imap.example.com", "user": USER, "password": "x", "tls": "none"})


def token(seconds: int) -> str:
    now = datetime.now(UTC)
    claims = {
        "email": USER,
        "sub": USER,
        "iat": now - timedelta(hours=1),
        "exp": now + timedelta(seconds=seconds),
    }
    return jwt.encode(claims, JWT_KEY, "HS256", headers={"kid": "default"})


@pytest.mark.parametrize("mechanisms", ["xoauth2 oauthbearer", "oauthbearer"])
def test_a_token_signs_in_and_an_expired_one_is_an_auth_error(mechanisms: str) -> None:
    with Dovecot(mechanisms=f"plain {mechanisms}") as dovecot:
        settings = {**dovecot.settings, "token": token(300)}
        del settings["password"]
        box = Pulled(settings)
        assert box.connector.check().id == "sales@example.com"
        box.close()
        expired = token(-300)
        box = Pulled({**settings, "token": expired})
        with pytest.raises(AuthError, match="expired") as error:
            box.connector.check()
        assert expired not in str(error.value)
        box.close()


def test_without_idle_and_without_extensions_nothing_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "POLL_SECONDS", 0.3)
    with Dovecot(capability="IMAP4rev1 ID SASL-IR") as dovecot:
        box = Pulled(dovecot.settings)
        box.pages()
        assert not box.connector.wait("messages", 0.7)
        timer = threading.Timer(0.5, lambda: dovecot.append("INBOX", mail(1)))
        timer.start()
        assert box.connector.wait("messages", 20)
        timer.join()
        assert box.ids() == ["1@ana.example"]
        box.close()


def test_a_backfill_and_a_wait_use_connections_of_their_own(dovecot: Dovecot, box: Pulled) -> None:
    dovecot.append("INBOX", *(mail(n) for n in range(20)), at=LONG_AGO)
    box.pages()
    news: list[bool] = []
    waiting = threading.Thread(target=lambda: news.append(box.connector.wait("messages", 20)))
    waiting.start()
    assert len(box.ids("backfill")) == 20
    dovecot.append("INBOX", mail("new"))
    waiting.join()
    assert news == [True]


def test_closing_ends_a_wait(box: Pulled) -> None:
    box.pages()
    waiting = threading.Thread(target=box.connector.wait, args=("messages", 60))
    waiting.start()
    time.sleep(0.3)
    box.connector.close()
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_pull_with_nothing_new_asks_once_per_folder_however_much_is_there(
    dovecot: Dovecot, box: Pulled
) -> None:
    dovecot.append("INBOX", *(mail(n) for n in range(50)), at=LONG_AGO)
    box.pages()
    with SlowLine(dovecot.port, round_trip=0.2) as line:
        far = Pulled({**dovecot.settings, "host": "127.0.0.1", "port": line.port})
        far.cursors = dict(box.cursors)
        far.pages()
        started = time.monotonic()
        assert far.pages() == []
        assert time.monotonic() - started < 0.2 * 4
        far.close()


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
