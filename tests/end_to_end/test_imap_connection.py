"""The connection to a real Dovecot: signing in, waiting, being cut off, coming back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from imap_world import Pulled, mail

from bridge import AuthError, ConfigError, Unavailable
from bridge_imap import client
from bridge_imap.wire import Wire
from end_to_end.dovecot import JWT_KEY, REMEDY, USER, Dovecot, available
from end_to_end.slow_line import SlowLine

pytestmark = pytest.mark.skipif(not available(), reason=REMEDY)

LONG_AGO = datetime(2024, 3, 1, 12, tzinfo=UTC)

Meanwhile = Callable[[Callable[[], object]], threading.Thread]


@pytest.fixture
def while_it_waits(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Do something as soon as a connection idles; join the thread."""
    idles = threading.Event()
    begin = Wire.begin_idle

    def begin_idle(wire: Wire) -> tuple[bytes, bool]:
        begun = begin(wire)
        idles.set()
        return begun

    def meanwhile(act: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=lambda: idles.wait(60) and act())
        thread.start()
        return thread

    monkeypatch.setattr(Wire, "begin_idle", begin_idle)
    return meanwhile


def test_mail_that_arrives_while_waiting_ends_the_wait(
    dovecot: Dovecot, box: Pulled, while_it_waits: Meanwhile
) -> None:
    box.pages()
    other = while_it_waits(lambda: dovecot.append("INBOX", mail(1)))
    assert box.connector.wait("messages", 60)
    other.join()
    assert box.ids() == ["1@ana.example"]


def test_mail_that_arrived_between_the_pull_and_the_wait_ends_the_wait_at_once(
    dovecot: Dovecot, box: Pulled
) -> None:
    box.pages()
    dovecot.append("Sent", mail(1))
    assert box.connector.wait("messages", 0)  # only INBOX is watched longer


def test_a_quiet_wait_ends_in_time(box: Pulled) -> None:
    box.pages()
    started = time.monotonic()
    assert not box.connector.wait("messages", 1.2)
    assert time.monotonic() - started > 1.0


def test_a_flag_set_elsewhere_does_not_end_the_wait(
    dovecot: Dovecot, box: Pulled, while_it_waits: Meanwhile
) -> None:
    dovecot.append("INBOX", mail(1))
    box.pages()

    def read_it() -> None:
        with dovecot.session() as session:
            session.select_folder("INBOX")
            session.add_flags([1], [b"\\Seen"])

    other = while_it_waits(read_it)
    assert not box.connector.wait("messages", 2)
    other.join()


def test_a_connection_cut_while_waiting_is_told_and_the_next_call_connects_anew(
    dovecot: Dovecot, box: Pulled, while_it_waits: Meanwhile
) -> None:
    box.pages()
    other = while_it_waits(dovecot.kick)
    with pytest.raises(Unavailable, match="sales-mailbox"):
        box.connector.wait("messages", 60)
    other.join()
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
    dovecot: Dovecot, tls: str, monkeypatch: pytest.MonkeyPatch, while_it_waits: Meanwhile
) -> None:
    port = dovecot.tls_port if tls == "implicit" else dovecot.port
    box = Pulled({**dovecot.settings, "tls": tls, "port": port})
    with pytest.raises(Unavailable, match=r"certificate is not trusted.*SSL_CERT_FILE"):
        box.connector.check()
    monkeypatch.setenv("SSL_CERT_FILE", dovecot.certificate)
    dovecot.append("INBOX", mail(1, text="x" * 3_000_000))
    assert box.ids("backfill") == ["1@ana.example"]
    box.pages()
    other = while_it_waits(lambda: dovecot.append("INBOX", mail(2)))
    assert box.connector.wait("messages", 60)
    other.join()
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
        assert box.connector.wait("messages", 60)
        timer.join()
        assert box.ids() == ["1@ana.example"]
        box.close()


def test_a_backfill_and_a_wait_use_connections_of_their_own(dovecot: Dovecot, box: Pulled) -> None:
    dovecot.append("INBOX", *(mail(n) for n in range(20)), at=LONG_AGO)
    box.pages()
    news: list[bool] = []
    waiting = threading.Thread(target=lambda: news.append(box.connector.wait("messages", 60)))
    waiting.start()
    assert len(box.ids("backfill")) == 20
    dovecot.append("INBOX", mail("new"))
    waiting.join()
    assert news == [True]


def test_closing_ends_a_wait(box: Pulled, while_it_waits: Meanwhile) -> None:
    box.pages()
    waiting = threading.Thread(target=box.connector.wait, args=("messages", 600))
    waiting.start()
    while_it_waits(box.connector.close).join()
    waiting.join(60)
    assert not waiting.is_alive()


def test_a_pull_with_nothing_new_asks_once_per_folder_however_much_is_there(
    dovecot: Dovecot, box: Pulled
) -> None:
    dovecot.append("INBOX", *(mail(n) for n in range(50)), at=LONG_AGO)
    box.pages()
    with SlowLine(dovecot.port) as line:
        far = Pulled({**dovecot.settings, "host": "127.0.0.1", "port": line.port})
        far.cursors = dict(box.cursors)
        far.pages()
        before = len(line.asked)
        assert far.pages() == []
        far.close()
    commands = [line.split()[1] for line in bytes(line.asked[before:]).splitlines()]
    assert commands == [b"STATUS"] * 3
