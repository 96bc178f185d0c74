"""The receiver when something is wrong: what a vendor can send again, and what holds nobody up."""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge import Account, Delivery, Record, Reply, Request
from bridge.errors import StoreError
from bridge.store.writer import Writer
from bridge.sync.runtime import Runtime
from bridge.web import app as web_app
from tests.web_world import KEY, SECRETS, Receiver, receiving


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_cannot_be_stored_is_to_be_sent_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiving(tmp_path) as receiver:
        receiver.execute(
            "CREATE TRIGGER full BEFORE INSERT ON delivery BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
        for number in range(3):
            answer = receiver.signed(b'{"events": [%d]}' % number)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json() == {"error": "not stored; send it again"}
        assert receiver.stored() == []
        assert len(lines(caplog)) == 1
        assert "webhooks cannot be stored: " in lines(caplog)[0]
        assert "the disk is full" in lines(caplog)[0]
        assert "events" not in caplog.text
        receiver.execute("DROP TRIGGER full")
        for number in range(3):
            assert receiver.signed(b'{"events": [%d]}' % number).status_code == 200
        assert len(receiver.stored()) == 3
        assert lines(caplog)[1:] == ["webhooks are stored again"]


def test_a_store_that_does_not_even_begin_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Writer, *_: object) -> None:
        raise StoreError("store: another crmbridge took over.")

    with receiving(tmp_path) as receiver:
        monkeypatch.setattr(Writer, "_begin", refuse)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda number: receiver.signed(b"[%d]" % number), range(16)))
        assert [answer.status_code for answer in answers] == [503] * 16
        monkeypatch.undo()
        assert receiver.signed(b"[1]").status_code == 200


def test_a_closed_store_refuses_at_once(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        receiver.runtime.writer.close()
        assert [receiver.signed(b"[1]").status_code for _ in range(2)] == [503, 503]


def test_one_body_that_the_database_refuses_does_not_take_others_along(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        receiver.execute(
            "CREATE TRIGGER odd BEFORE INSERT ON delivery WHEN NEW.body = CAST('[7]' AS BLOB)"
            " BEGIN SELECT RAISE(ABORT, 'no sevens'); END"
        )
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda number: receiver.signed(b"[%d]" % number), range(48)))
        assert [number for number, answer in enumerate(answers) if answer.status_code != 200] == [7]
        assert answers[7].status_code == 503
        assert sorted(receiver.stored()) == sorted(b"[%d]" % number for number in range(48) if number != 7)


def test_a_slow_sender_holds_nobody_up_and_is_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = b"POST /hooks/folder HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf a body"
    with receiving(tmp_path) as receiver:
        host, port = receiver.url.removeprefix("http://").split(":")
        monkeypatch.setattr(web_app, "BODY_SECONDS", 600.0)
        with socket.create_connection((host, int(port)), timeout=60) as slow:
            slow.sendall(half)
            assert receiver.signed(b"[1]").status_code == 200
        monkeypatch.setattr(web_app, "BODY_SECONDS", 0.5)
        with socket.create_connection((host, int(port)), timeout=60) as slow:
            slow.sendall(half)
            answer = slow.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body did not come within 0.5 s" in answer
        assert receiver.stored() == [b"[1]"]


def test_a_sender_that_hangs_up_leaves_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving(tmp_path) as receiver:
        host, port = receiver.url.removeprefix("http://").split(":")
        for _ in range(5):
            with socket.create_connection((host, int(port)), timeout=60) as gone:
                gone.sendall(
                    b"POST /hooks/folder HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf a body"
                )
        assert receiver.signed(b"[1]").status_code == 200
        assert receiver.stored() == [b"[1]"]
    assert lines(caplog) == []


class Signed:
    """A third party's receiver that signs the address it calls."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def check(self) -> Account:
        return Account(id="1")

    def verify(self, request: Request) -> Reply:
        self.requests.append(request)
        if request.query.get("break"):
            raise RuntimeError(f"the signature {KEY} makes no sense")
        signature = hashlib.sha256(f"{request.url}|{KEY}".encode()).hexdigest()
        if request.headers.get("x-signature") != signature:
            return Reply(status=401, body=b"signed for another address")
        return Reply(
            status=201, store=True, headers={"X-Seen": "yes"}, body=b"{}", content_type="application/json"
        )

    def split(self, delivery: Delivery) -> Iterator[Record]:
        yield from ()


@pytest.fixture
def third() -> Signed:
    return Signed()


@pytest.fixture
def behind_a_proxy(tmp_path: Path, third: Signed) -> Iterator[Receiver]:
    def change(runtime: Runtime) -> None:
        runtime.connections["folder"].connector = third

    with receiving(tmp_path, ", public_url: 'https://bridge.example.com/in/'", change) as receiver:
        yield receiver


def test_signatures_are_checked_against_the_public_address(behind_a_proxy: Receiver, third: Signed) -> None:
    public = "https://bridge.example.com/in/hooks/folder?a=1&b=%C3%A9"
    signature = hashlib.sha256(f"{public}|{KEY}".encode()).hexdigest()
    answer = behind_a_proxy.post("/hooks/folder?a=1&b=%C3%A9", b"x", {"X-Signature": signature})
    assert (answer.status_code, answer.headers["x-seen"], answer.headers["content-type"]) == (
        201,
        "yes",
        "application/json",
    )
    request = third.requests[-1]
    assert (request.method, request.url, request.query, request.body) == (
        "POST",
        public,
        {"a": "1", "b": "é"},
        b"x",
    )
    assert request.received_at - datetime.now(UTC) < timedelta(seconds=5)
    inside = hashlib.sha256(f"{behind_a_proxy.url}/hooks/folder|{KEY}".encode()).hexdigest()
    assert behind_a_proxy.post("/hooks/folder", b"x", {"X-Signature": inside}).status_code == 401


def test_a_verify_that_raises_is_a_500_and_shows_no_secret(
    behind_a_proxy: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    answer = behind_a_proxy.post("/hooks/folder?break=1", b"x")
    assert (answer.status_code, answer.json()) == (500, {"error": "this request could not be checked"})
    assert behind_a_proxy.stored() == []
    (line,) = lines(caplog)
    assert line.startswith(
        "folder: a fault of the connector memory: RuntimeError: the signature [secret] makes"
    )
    assert KEY not in answer.text
