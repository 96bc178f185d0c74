"""
Chaos: whether everything stands once, in its place, after every fault that a CRM, a process and people can make.

A company writes interactions to a CRM while answers get lost, calls fail before or after they were
carried out, rows are refused, messages come out of order, twice, edited and removed; while people in
the CRM edit, move and delete what we wrote and merge contacts; and while our process is killed over and
over, loses what was not on disk, or is put back to a backup. Then the faults end, people tidy up, and
everything is looked at. A seed repeats a run step by step (but for `kill -9`, whose moment is the machine's).

    python -m benchmarks.chaos                      the full run: HubSpot and Pipedrive, SQLite and PostgreSQL
    python -m benchmarks.chaos --small              the same in small, against every CRM
    python -m benchmarks.chaos --seed 7 --crm hubspot --store sqlite --trail
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from benchmarks import chaos_deaths as deaths
from benchmarks.chaos_check import faults, held_entries
from benchmarks.chaos_company import Company, quiet_logs
from benchmarks.chaos_crms import CRMS
from benchmarks.chaos_people import People
from benchmarks.measure import conditions, table
from bridge.store.tables import intent
from bridge_hubspot import sink as hubspot
from bridge_pipedrive import sink as pipedrive
from tests.stores import postgres, postgres_folder

DAY = 90_000.0
"""Seconds after which every phase of every stream is due again."""

ROUNDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run came to: `faults` is what was not as it must be, `held` how many entries a person must look at."""

    faults: list[str]
    trail: list[str]
    kills: Counter[str]
    entries: int
    held: int
    seconds: float


def chaos(
    home: Path, store: str, *, crm: str, seed: int, interactions: int, contacts: int, kills: int = 0
) -> Run:
    """
    Run one seed on an empty store, with so many `kill -9` of real processes, a third of them before a receipt.

    Without any, connectors send one call at a time, so that the seed repeats step by step.
    """
    began = time.monotonic()
    company = Company(home, crm, store, seed=seed, contacts=contacts)
    try:
        with quiet_logs(), nullcontext() if kills else _in_turn():
            _rage(company, interactions, kills)
            found = _calm(company)
        return Run(
            faults=found,
            trail=company.trail,
            kills=company.kills,
            entries=len(company.crm.entries()),
            held=len(held_entries(company)),
            seconds=time.monotonic() - began,
        )
    except Exception as error:
        error.add_note("\n".join(company.trail[-40:]))
        raise
    finally:
        company.close()


@contextmanager
def _in_turn() -> Iterator[None]:
    with mock.patch.object(hubspot, "LANES", 1), mock.patch.object(pipedrive, "LANES", 1):
        yield


def _rage(company: Company, interactions: int, kills: int) -> None:
    chance, people = company.chance, People(company)
    company.start()
    for person in range(0, company.people, 2):
        email = company.email(person) if chance.random() < 0.5 else ""
        company.crm.add_contact(f"Client {person}", f"+{company.phone(person)}", email)
    company.collect()
    company.set_up()
    each = max(1, interactions // (60 + 2 * kills))
    while len(company.truth.said) < interactions or _kills_left(company, kills):
        for _ in range(chance.randint(1, 2 * each)):
            if len(company.truth.said) < interactions:
                company.say()
        if chance.random() < 0.4:
            company.change_a_message()
        company.catch_up()
        for _ in range(chance.randint(0, 1 + each // 4)):
            people.act()
        for _ in range(chance.choice([0, 0, 1, 2])):
            company.tell(f"fault: {company.crm.trouble(chance)}")
        company.refuse_rows(chance.choice([0.0, 0.0, 0.0, 0.3]))
        _step(company, _kills_left(company, kills))
        if chance.random() < 0.3:
            company.crm.calm()
            company.tell("faults end")
        company.clock.sleep(chance.choice([0, 1, 20, 120]))


def _kills_left(company: Company, kills: int) -> tuple[Callable[[Company], None], ...]:
    """Return the ways of `kill -9` of which there were too few."""
    unreceipted = kills // 3 - company.kills["kill -9 unreceipted"]
    anywhere = kills - kills // 3 - company.kills["kill -9"]
    ways = ((deaths.kill, anywhere), (deaths.kill_unreceipted, unreceipted))
    return tuple(way for way, left in ways if left > 0)


def _step(company: Company, kills: Sequence[Callable[[Company], None]]) -> None:
    """Do one cycle, in most steps one that does not come to its end."""
    steps: list[tuple[Callable[[Company], object], int]] = [
        (Company.cycle, 6),
        (deaths.crash, 4),
        (deaths.crash_unreceipted, 4),
        (deaths.power_fails, 1 if company.is_sqlite else 0),
        (Company.back_up, 1),
        (Company.restore, 1),
        *((kill, 8) for kill in kills),
    ]
    (step,) = company.chance.choices([one for one, _ in steps], [weight for _, weight in steps])
    company.tell(f"step: {step.__name__}")
    step(company)


def _calm(company: Company) -> list[str]:
    """End the faults, let people tidy up and everything settle, then return what is not as it must be."""
    company.tell("calm")
    company.crm.calm()
    company.refuse_rows(0.0)
    company.catch_up(all=True)
    people = People(company)
    company.clock.sleep(DAY)
    found = _settle(company)
    tidied = 0
    while not found and people.tidy():
        tidied += 1
        endless = ["people tidy up what comes back"] if tidied > 10 * company.people else []
        found = endless or _settle(company)
    company.clock.sleep(DAY)
    found = [*(found or _settle(company)), *faults(company)]
    company.start()
    company.collect()
    company.resolve()
    again = company.deliver()
    if again:
        found.append(f"one more sync writes {again}")
    return found


def _settle(company: Company) -> list[str]:
    """Go on as the daemon does until a cycle writes nothing and nothing waits; return why it never does."""
    settle = company.destination.spec.settle
    for _ in range(ROUNDS):
        company.replay()
        written = company.cycle()
        if not written and not company.pending():
            return []
        company.clock.sleep(settle + 1)
    why = "; ".join(f"{row.op} {row.stream}, {row.state}: {row.reason}" for row in company.rows(intent))
    return [f"does not come to rest: {why}"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="the first seed; otherwise one by the clock")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--crm", choices=[*CRMS, "all"], help="otherwise HubSpot and Pipedrive")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], help="otherwise both")
    parser.add_argument("--interactions", type=int, default=1_000)
    parser.add_argument("--contacts", type=int, default=200)
    parser.add_argument(
        "--kills", type=int, default=100, help="`kill -9` of a real process; a third unreceipted"
    )
    parser.add_argument(
        "--no-kill", action="store_true", help="none of these, so that a seed repeats exactly"
    )
    parser.add_argument(
        "--small", action="store_true", help="60 interactions, 12 contacts, 6 kills, every CRM"
    )
    parser.add_argument("--trail", action="store_true", help="tell all that happened")
    options = parser.parse_args(arguments)
    if options.small:
        options.interactions, options.contacts, options.kills = 60, 12, min(options.kills, 6)
    print(conditions(), flush=True)
    first = options.seed if options.seed is not None else time.time_ns() // 1_000_000 % 1_000_000
    every = [*CRMS] if options.crm == "all" or options.small else ["hubspot", "pipedrive"]
    rows: list[list[str]] = []
    for crm in [options.crm] if options.crm in CRMS else every:
        for store in [options.store] if options.store else ["sqlite", "postgresql"]:
            for seed in range(first, first + options.seeds):
                rows.append(_report(crm, store, seed, options))
    table(["CRM", "store", "seed", "entries", "held", "deaths", "faults", "s"], rows)
    failed = sum(row[-2] != "0" for row in rows)
    if failed:
        sys.exit(f"{failed} of {len(rows)} runs left something that is not as it must be.")


def _report(crm: str, store: str, seed: int, options: argparse.Namespace) -> list[str]:
    """Run one seed, print what was not as it must be, and return its row of the table."""
    with tempfile.TemporaryDirectory() as folder, _empty_store(store, Path(folder)) as url:
        try:
            found = chaos(
                Path(folder),
                url,
                crm=crm,
                seed=seed,
                interactions=options.interactions,
                contacts=options.contacts,
                kills=0 if options.no_kill else options.kills,
            )
        except Exception as error:
            error.add_note(f"{crm} on {store}, seed {seed}")
            raise
    if options.trail or found.faults:
        print("\n".join(found.trail))
    for fault in found.faults:
        print(f"FAULT {crm} on {store}, seed {seed}: {fault}")
    deaths_told = ", ".join(f"{where} {count}" for where, count in sorted(found.kills.items()))
    row = [crm, store, str(seed), str(found.entries), str(found.held), deaths_told]
    row += [str(len(found.faults)), f"{found.seconds:.0f}"]
    print(" | ".join(row), flush=True)
    return row


@contextmanager
def _empty_store(kind: str, folder: Path) -> Iterator[str]:
    """Lend the URL of an empty store; a private PostgreSQL runs as long as it is used."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/store.db"
        return
    binaries = postgres_folder()
    if binaries is None:
        sys.exit("PostgreSQL is not installed; remedy: apt-get install -y postgresql, or --store sqlite")
    with postgres(binaries) as server:
        yield server.new_store()


if __name__ == "__main__":
    main()
