"""Decoding in a second process: the same as here, a head start and nothing more, and never an orphan."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from bridge.config import parse_config
from bridge.engine.opening import open_runtime
from bridge.model import Account, Record
from bridge.store import accounts, collected
from bridge.store.tables import SKIPPED, entity
from bridge.store.tables import record as record_table
from bridge.store.writer import Priority
from bridge.sync.ahead import Ahead, Decode
from bridge.sync.intake.resolve import resolve
from bridge.sync.runtime import Connection, Runtime
from bridge_imap.decoding import Decoder
from bridge_imap.people import MailContext
from bridge_imap.records import Meta, record
from tests.outside import until

DECODE = Decoder(own=MailContext(own_addresses=frozenset({"sales@vendor.example"}))).decode
AT = datetime(2026, 3, 11, tzinfo=UTC)


def mail(number: int) -> Record:
    raw = f"From: Ana <ana{number}@padaria.example>\r\nTo: sales@vendor.example\r\n\r\nOlá {number}\r\n"
    meta = Meta(uid=number, size=len(raw), detail="full", internal_date="2026-03-11T00:00:00Z")
    return record(f"{number}@padaria.example", AT, meta, raw.encode())


MAILS = [(number, mail(number)) for number in range(120)]


@pytest.fixture(scope="module")
def running() -> Iterator[Ahead]:
    ahead = Ahead()
    until_it_answers(ahead)
    yield ahead
    ahead.close()


def until_it_answers(ahead: Ahead) -> None:
    def answers() -> object:
        ahead.decode(DECODE, [(-1, mail(1))])
        until_done(ahead)
        return ahead.take([-1])

    until(answers)


def until_done(ahead: Ahead) -> None:
    wait(ahead._under_way.values(), timeout=120)


def test_what_a_second_process_decodes_is_what_this_one_would(running: Ahead) -> None:
    running.decode(DECODE, MAILS)
    until_done(running)
    assert running.take(number for number, _ in MAILS) == {number: list(DECODE(one)) for number, one in MAILS}


def test_nothing_is_waited_for_that_was_not_begun(running: Ahead) -> None:
    gate = threading.Event()
    running._talk.submit(gate.wait, 60)  # whoever talks to the second process is about something else
    running.decode(DECODE, MAILS)
    assert running.take(range(len(MAILS))) == {}
    gate.set()
    assert running.take(range(len(MAILS))) == {}


def test_a_record_that_cannot_be_decoded_is_left_to_the_one_who_asks(running: Ahead) -> None:
    running.decode(int, MAILS[:1])  # type: ignore[arg-type]
    until_done(running)
    assert running.take([0]) == {}


def test_a_decoder_that_cannot_be_sent_is_not_sent(running: Ahead) -> None:
    here: Decode = lambda record: iter([record])  # noqa: E731
    running.decode(here, MAILS)
    assert running.take(range(len(MAILS))) == {}


def test_when_the_second_process_dies_the_first_goes_on_alone(caplog: pytest.LogCaptureFixture) -> None:
    ahead = Ahead()
    until_it_answers(ahead)
    process = ahead._process
    assert process is not None
    process.kill()
    process.wait()
    ahead.decode(DECODE, MAILS)
    until_done(ahead)
    assert ahead.take(range(len(MAILS))) == {}
    assert not ahead.runs
    ahead.close()
    assert [one.message for one in caplog.records if "this one does it alone" in one.message]


def test_it_ends_with_the_process_that_started_it_even_when_that_is_killed() -> None:
    program = (
        "from tests.test_ahead import *\n"
        "ahead = Ahead()\nuntil_it_answers(ahead)\nprint(ahead._process.pid, flush=True)\nthreading.Event().wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    until(lambda: has_ended(child))


def has_ended(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"  # nobody reaps orphans in some containers


CONFIG = """
connections:
  mailbox: {connector: imap, settings: {host: 127.0.0.1, tls: none, user: sales@vendor.example, password: "${env:KEY}"}}
"""


@contextmanager
def backlog(folder: Path, ahead: Ahead | None = None) -> Iterator[tuple[Runtime, Connection]]:
    """Lend a mailbox whose mails wait to be resolved."""
    folder.mkdir()
    with open_runtime(parse_config(CONFIG, file="test", folder=folder), lock_as="test") as runtime:
        runtime.ahead = ahead or runtime.ahead
        mailbox = runtime.connections["mailbox"]
        mailbox.account = Account(id="sales@vendor.example")
        mailbox.account_pk = runtime.writer.run(
            accounts.save_account, "mailbox", "imap", mailbox.account, priority=Priority.LIVE
        )
        rows = collected.record_rows(
            [one for _, one in MAILS], account_pk=mailbox.account_pk, run=1, now=AT, blobs=runtime.blobs
        )
        runtime.writer.run(collected.insert_records, rows, priority=Priority.LIVE)
        yield runtime, mailbox


def resolved(folder: Path, *, limit: int, ahead: Ahead | None = None) -> list[tuple[object, ...]]:
    """Return the entities of a mailbox that is resolved in pages of `limit`."""
    with backlog(folder, ahead) as (runtime, mailbox):
        while resolve(runtime, mailbox, "messages", limit=limit):
            pass
        with runtime.database.read() as c:
            found = c.execute(select(entity.c.ext_id, entity.c.entity_id, entity.c.body, entity.c.record_pk))
            return sorted(map(tuple, found))


def test_a_backlog_becomes_the_same_with_and_without_a_second_process(
    running: Ahead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "not-used-here")
    whole = resolved(tmp_path / "without", limit=len(MAILS) + 1)
    assert len(whole) == len(MAILS)
    assert resolved(tmp_path / "with", limit=10, ahead=running) == whole
    assert running.read == {}


def test_what_was_read_ahead_and_went_another_way_meanwhile_is_not_resolved(
    running: Ahead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "not-used-here")
    with backlog(tmp_path / "store", running) as (runtime, mailbox):
        resolve(runtime, mailbox, "messages", limit=10)
        left = sorted(running.read)[3]
        runtime.writer.run(collected.set_states, [(left, SKIPPED, "by hand")], priority=Priority.LIVE)
        assert resolve(runtime, mailbox, "messages", limit=10) == 9
        with runtime.database.read() as c:
            assert (
                c.execute(select(record_table.c.state).where(record_table.c.pk == left)).scalar() == SKIPPED
            )
            assert set(c.execute(select(entity.c.record_pk)).scalars()) == {*range(1, 21)} - {left}
        running.take(list(running.read))
