"""
First sync of a mailbox, and a look at it when nothing changed: crmbridge beside mbsync, same server, same run.

Both read INBOX from a private Dovecot on loopback, directly and with round trips of 20 ms, in interleaved
rounds. crmbridge collects into its store on SQLite, and then parses and resolves what it collected, which is
timed apart; mbsync writes a Maildir, with each file on disk (its default) and without. The second look is
the whole process, the start of Python included. Needs root, Dovecot and mbsync: sudo .ci/install-servers bench.

    python -m benchmarks.imap_first_sync [--mails 20000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import PYTHON, conditions, middle, table
from bridge.config import parse_config
from bridge.engine import cycle
from bridge.engine.memory import spare_what_stays
from bridge.engine.opening import learn_account, open_runtime
from bridge.store import runs
from bridge.store.writer import Priority

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from end_to_end.dovecot import PASSWORD, REMEDY, Dovecot, available
from end_to_end.slow_line import SlowLine

SEED = 20261121
ROUND_TRIP = 0.020
PROGRAMS = ("crmbridge", "mbsync", "mbsync, no fsync")
CONFIG = """
connections:
  mailbox:
    connector: imap
    settings:
      {{host: 127.0.0.1, port: {port}, tls: none, user: {user}, password: "${{env:BENCH_PASSWORD}}", folders: [INBOX]}}
"""

MBSYNC = """{fsync}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """
    What one program took, in seconds; `resolve` and what follows is crmbridge's second step.

    `ahead_cpu` is that of the process that parses ahead.
    """

    wall: float
    cpu: float
    collect: float
    resolve: float = 0.0
    resolve_cpu: float = 0.0
    ahead_cpu: float = 0.0
    resolved: int = 0


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


def ours(port: int, folder: Path) -> None:
    """Be the measured process: one sync as `crmbridge sync --collect-only` does it, but step after step."""
    os.environ["BENCH_PASSWORD"] = PASSWORD
    config = parse_config(CONFIG.format(port=port, user=Dovecot.user), file="benchmark", folder=folder)
    with open_runtime(config, lock_as="benchmark") as runtime:
        spare_what_stays()
        mailbox = runtime.connections["mailbox"]
        if (problem := learn_account(runtime, mailbox)) is not None:
            raise problem
        started = time.perf_counter()
        run = runtime.writer.run(lambda c: runs.start_run(c, "sync", runtime.clock()), priority=Priority.LIVE)
        outcome = cycle.pull(runtime, mailbox, run=run, force=True, whole=True)
        if outcome.errors:
            sys.exit(outcome.errors[0])
        collected = time.perf_counter()
        before = os.times()
        count = cycle.settle_inbox(runtime, run=run)
        resolved = time.perf_counter()
    after = os.times()  # once the second process has ended, what it used is counted
    first, second = sum(after[:2]) - sum(before[:2]), sum(after[2:4]) - sum(before[2:4])
    print(json.dumps([collected - started, resolved - collected, first, second, count]))


def theirs(port: int, folder: Path, *, fsync: bool) -> list[str]:
    """Return the command that reads the same mailbox into a Maildir."""
    config = folder / "mbsync.rc"
    config.write_text(
        MBSYNC.format(
            fsync="" if fsync else "FSync no\n",
            port=port,
            user=Dovecot.user,
            password=PASSWORD,
            folder=folder,
        )
    )
    return ["mbsync", "-q", "-c", str(config), "first"]


def measure(command: Sequence[str]) -> Used:
    """Run a command to its end; one that fails ends the benchmark."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    wall = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if not done.stdout:
        return Used(wall=wall, cpu=cpu, collect=wall)
    collect, resolve, resolve_cpu, ahead_cpu, count = json.loads(done.stdout)
    return Used(
        wall=wall,
        cpu=cpu,
        collect=collect,
        resolve=resolve,
        resolve_cpu=resolve_cpu,
        ahead_cpu=ahead_cpu,
        resolved=count,
    )


def check(folder: Path, mails: int) -> None:
    """End the benchmark unless every mail arrived."""
    if (folder / "crmbridge.db").exists():
        with closing(sqlite3.connect(folder / "crmbridge.db")) as store:
            found = store.execute("SELECT count(*) FROM entity WHERE type = 'interaction'").fetchone()[0]
    else:
        found = len(list((folder / "INBOX").glob("[cn][ue][rw]/*")))
    if found != mails:
        sys.exit(f"{found:,} of {mails:,} mails are in {folder}")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", nargs=2, metavar=("PORT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        ours(int(args.ours[0]), Path(args.ours[1]))
        return
    if not available() or not shutil.which("mbsync"):
        sys.exit(REMEDY)
    print(conditions())
    results: dict[tuple[str, str, str], list[Used]] = {}
    with Dovecot() as server, SlowLine(server.port, ROUND_TRIP) as far:
        size = fill(server, args.mails)
        for _ in range(args.rounds):
            for label, port in (("loopback", server.port), ("20 ms", far.port)):
                for name in PROGRAMS:
                    with tempfile.TemporaryDirectory() as place:
                        folder = Path(place)
                        command = [PYTHON, "-m", "benchmarks.imap_first_sync", "--ours", str(port), place]
                        if name != "crmbridge":
                            command = theirs(port, folder, fsync=name == "mbsync")
                        results.setdefault((label, name, "first"), []).append(measure(command))
                        time.sleep(1.5)  # mbsync waits for a Maildir that changed in this very second
                        results.setdefault((label, name, "again"), []).append(measure(command))
                        check(folder, args.mails)
    print(f"\n{args.mails:,} mails, {size / 1e6:.0f} MB, {args.rounds} interleaved rounds, medians\n")
    rows = []
    for (label, name, which), rounds in results.items():
        if which == "first":
            again = results[label, name, "again"]
            rows.append(
                [
                    label,
                    name,
                    f"{middle(one.collect for one in rounds):.2f}",
                    f"{middle(one.cpu - one.resolve_cpu - one.ahead_cpu for one in rounds):.2f}",
                    f"{middle(one.wall for one in again):.2f}",
                ]
            )
    table(["line", "program", "collect: wall s", "CPU s", "nothing new: wall s"], rows)
    first = [one for (_, name, which), rounds in results.items() for one in rounds if which == "first"]
    ours_only = [one for one in first if one.resolved]
    rate = middle(one.resolved / one.resolve for one in ours_only)
    cpu = middle(one.resolve_cpu / one.resolved for one in ours_only) * 1e6
    ahead = middle(one.ahead_cpu / one.resolved for one in ours_only) * 1e6
    print(
        f"\nParsed and resolved by crmbridge afterwards: {rate:,.0f} mails/s, {cpu:,.0f} CPU µs a mail"
        f" and {ahead:,.0f} in the process that parses ahead"
    )


if __name__ == "__main__":
    main()
