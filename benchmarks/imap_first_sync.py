"""
First sync of a mailbox, and a look at it when nothing changed: crmbridge beside mbsync, same server, same run.

    python benchmarks/imap_first_sync.py [--mails 20000] [--rounds 3]

Needs root, Dovecot and mbsync: sudo .ci/install-servers bench. Both read INBOX from a private Dovecot on
loopback, directly and with round trips of 20 ms, in interleaved rounds. crmbridge stores the raw mails into
one SQLite table with one commit per page, mbsync writes a Maildir; both once with each commit or file on disk
(mbsync's default) and once without. Times are of the whole process; "of which" leaves out the start of Python.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import bridge_imap
from bridge import Record
from bridge.testing.context import make_context

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from end_to_end.dovecot import PASSWORD, REMEDY, Dovecot, available
from end_to_end.slow_line import SlowLine

SEED = 20261121
ROUND_TRIP = 0.020

_MBSYNC = """{fsync}
IMAPAccount far
Host 127.0.0.1
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account far

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX

Channel first
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
"""


def fill(server: Dovecot, count: int) -> int:
    """Put `count` seeded mails, 10 KB on average, into INBOX and return their size in bytes."""
    rng = random.Random(SEED)
    words = ["".join(rng.choices("aaeeiioubcdfglmnprstv", k=rng.randint(2, 10))) for _ in range(2000)]
    maildir = server.folder / "mail/sales"
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    total = 0
    for number in range(count):
        length = int(min(rng.lognormvariate(8.6, 1.0), 2_000_000))
        lines = []
        while length > 0:
            lines.append(" ".join(rng.choices(words, k=11)))
            length -= len(lines[-1]) + 2
        sender = f"{rng.choice(words)}.{rng.choice(words)}@{rng.choice(words)}.example"
        when = f"Tue, 20 Oct 2026 10:{number % 60:02}:00 -0300"
        head = (
            f"Return-Path: <{sender}>\r\nReceived: from mx{number % 7}.example by imap.example; {when}\r\n"
            f"Date: {when}\r\n"
            f'From: "{rng.choice(words).title()}" <{sender}>\r\nTo: Sales <sales@example.com>\r\n'
            f"Subject: {' '.join(rng.choices(words, k=5))}\r\n"
            f"Message-ID: <{number}.{rng.getrandbits(64):x}@mx.example>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        )
        raw = (head + "\r\n".join(lines) + "\r\n").encode()
        total += len(raw)
        stamp = 1792500000 + number
        path = maildir / "cur" / f"{stamp}.M{number}.bench,S={len(raw)},W={len(raw)}:2,S"
        path.write_bytes(raw)
        os.utime(path, (stamp, stamp))  # Dovecot's INTERNALDATE
    subprocess.run(["chown", "-R", "mail:mail", str(maildir)], check=True)
    server.doveadm("index", "-u", server.user, "INBOX")
    return total


def ours(port: int, store: Path, synchronous: str) -> None:
    """Be the measured process: pull from the stored cursor and store every page with its cursor."""
    started = time.perf_counter()
    db = sqlite3.connect(store)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={synchronous}")
    db.execute(
        "CREATE TABLE IF NOT EXISTS mail (id TEXT, version TEXT, at TEXT, body BLOB, PRIMARY KEY (id, version))"
    )
    db.execute("CREATE TABLE IF NOT EXISTS cursor (phase TEXT PRIMARY KEY, value TEXT)")
    spec = next(iter(bridge_imap.bridge_connectors()))
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "user": Dovecot.user,
        "password": PASSWORD,
    }
    connector = spec.open({**settings, "folders": ["INBOX"]}, make_context())
    for phase in ("live", "backfill"):
        row = db.execute("SELECT value FROM cursor WHERE phase = ?", (phase,)).fetchone()
        for page in connector.pull("messages", phase, json.loads(row[0]) if row else None, ()):
            rows = [
                (r.id, r.version, str(r.modified_at), r.data) for r in page.records if isinstance(r, Record)
            ]
            with db:
                db.executemany("INSERT OR IGNORE INTO mail VALUES (?, ?, ?, ?)", rows)
                db.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (phase, json.dumps(page.cursor)))
    connector.close()
    db.close()
    print(f"{time.perf_counter() - started:.3f}")


class Runs:
    """The two programs as processes against one port, their results in `folder`."""

    def __init__(self, folder: Path, port: int, label: str) -> None:
        self._folder = folder
        self._port = port
        self._label = label

    def crmbridge(self, fsync: bool) -> Sequence[str]:
        store = self._folder / f"ours-{self._label}-{fsync}.db"
        return [sys.executable, __file__, "--ours", str(self._port), str(store), "FULL" if fsync else "OFF"]

    def mbsync(self, fsync: bool) -> Sequence[str]:
        name = f"mbsync-{self._label}-{fsync}"
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        config = self._folder / f"{name}.rc"
        config.write_text(
            _MBSYNC.format(
                fsync="" if fsync else "FSync no\n",
                port=self._port,
                user=Dovecot.user,
                password=PASSWORD,
                folder=folder,
            )
        )
        return ["mbsync", "-q", "-c", str(config), "first"]


def measure(command: Sequence[str]) -> tuple[float, float, float]:
    """Run a command; return its wall seconds, CPU seconds, and the wall seconds it printed itself (or all)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed")
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, float(done.stdout or wall)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", nargs=3, metavar=("PORT", "STORE", "SYNC"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        ours(int(args.ours[0]), Path(args.ours[1]), args.ours[2])
        return
    if not available() or not shutil.which("mbsync"):
        sys.exit(REMEDY)
    results: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    with Dovecot() as server, SlowLine(server.port, ROUND_TRIP) as far:
        size = fill(server, args.mails)
        print(f"{args.mails} mails, {size / 1e6:.0f} MB, {args.rounds} interleaved rounds; medians")
        for _ in range(args.rounds + 1):
            for label, port in (("loopback", server.port), ("20 ms", far.port)):
                with tempfile.TemporaryDirectory() as folder:
                    runs = Runs(Path(folder), port, label.replace(" ", ""))
                    programs: dict[str, Callable[[], Sequence[str]]] = {
                        "crmbridge": lambda runs=runs: runs.crmbridge(True),
                        "mbsync": lambda runs=runs: runs.mbsync(True),
                        "crmbridge, no fsync": lambda runs=runs: runs.crmbridge(False),
                        "mbsync, no fsync": lambda runs=runs: runs.mbsync(False),
                    }
                    for name, command in programs.items():
                        results.setdefault((label, "first sync", name), []).append(measure(command()))
                        time.sleep(1.5)  # mbsync waits for a Maildir that changed in this very second
                        results.setdefault((label, "no change", name), []).append(measure(command()))
                    for store in Path(folder).glob("ours-*.db"):
                        stored = sqlite3.connect(store)
                        assert stored.execute("SELECT count(*) FROM mail").fetchone()[0] == args.mails
                        stored.close()
                    for near in Path(folder).glob("mbsync-*/INBOX"):
                        assert len(list(near.glob("[cn][ue][rw]/*"))) == args.mails
    print(f"{'':10}{'':12}{'':20}{'wall s':>9}{'of which':>10}{'mails/s':>9}{'CPU s':>8}")
    for (label, job, name), rounds in results.items():
        wall, cpu, inner = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
        rate = f"{args.mails / wall:9.0f}" if job == "first sync" else " " * 9
        print(f"{label:10}{job:12}{name:20}{wall:9.3f}{inner:10.3f}{rate}{cpu:8.2f}")


if __name__ == "__main__":
    main()
