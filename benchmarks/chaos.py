"""
Chaos: whether everything stands once, in its place, after every fault that a CRM, a process and people can make.

A company writes interactions to a CRM while answers get lost, calls fail before or after they were
carried out, rows are refused, messages come out of order, twice, edited and removed; while people in
the CRM edit, move and delete what we wrote and merge contacts; and while our process is killed over and
over, loses what was not on disk, or is put back to a backup. Then the faults end, people tidy up, and
everything is looked at. A seed repeats a run step by step (but for `kill -9`, whose moment is the machine's).

    python -m benchmarks.chaos                      five seeds against each CRM, on both databases
    python -m benchmarks.chaos --seed 7 --crm hubspot --store sqlite --trail
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos_check import faults
from benchmarks.chaos_company import Company, quiet_logs
from benchmarks.chaos_crms import CRMS
from benchmarks.chaos_people import People
from benchmarks.measure import conditions, table

DAY = 90_000.0
"""Seconds after which every phase of every stream is due again."""

ROUNDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run came to: `faults` is what was not as it must be, `trail` what happened."""

    faults: list[str]
    trail: list[str]
    kills: Counter[str]
    entries: int
    seconds: float


def chaos(
    home: Path, store: str, *, crm: str, seed: int, interactions: int, contacts: int, hard: bool = False
) -> Run:
    """
    Run one seed on an empty store; `hard` adds `kill -9` of real processes.

    Raises AssertionError where it does not come to rest.
    """
    began = time.monotonic()
    company = Company(home, crm, store, seed=seed, contacts=contacts)
    try:
        with quiet_logs():
            _rage(company, interactions, hard=hard)
            found = _calm(company)
        return Run(
            faults=found,
            trail=company.trail,
            kills=company.kills,
            entries=len(company.crm.entries()),
            seconds=time.monotonic() - began,
        )
    except Exception as error:
        error.add_note("\n".join(company.trail[-40:]))
        raise
    finally:
        company.close()


def _rage(company: Company, interactions: int, *, hard: bool) -> None:
    chance, people = company.chance, People(company)
    company.start()
    for person in range(0, company.people, 2):
        email = company.email(person) if chance.random() < 0.5 else ""
        company.crm.add_contact(f"Client {person}", f"+{company.phone(person)}", email)
    company.collect()
    company.set_up()
    each = max(1, interactions // 60)
    while len(company.truth.said) < interactions:
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
        _step(company, hard=hard)
        if chance.random() < 0.3:
            company.crm.calm()
            company.tell("faults end")
        company.clock.sleep(chance.choice([0, 1, 20, 120]))


def _step(company: Company, *, hard: bool) -> None:
    """Do one cycle, in most steps one that does not come to its end."""
    sqlite = company.is_sqlite
    steps: list[tuple[Callable[[], object], int]] = [
        (company.cycle, 6),
        (company.crash, 4),
        (company.crash_unreceipted, 4),
        (company.power_fails, 1 if sqlite else 0),
        (company.back_up, 1),
        (company.restore, 1),
        (company.kill, 3 if hard else 0),
    ]
    (step,) = company.chance.choices([one for one, _ in steps], [weight for _, weight in steps])
    company.tell(f"step: {step.__name__}")
    step()


def _calm(company: Company) -> list[str]:
    """End the faults, let people tidy up and everything settle, then return what is not as it must be."""
    company.tell("calm")
    company.crm.calm()
    company.refuse_rows(0.0)
    company.catch_up(all=True)
    people = People(company)
    company.clock.sleep(DAY)
    _settle(company)
    while people.tidy():
        _settle(company)
    company.clock.sleep(DAY)
    _settle(company)
    found = faults(company)
    company.start()
    company.collect()
    company.resolve()
    again = company.deliver()
    if again:
        found.append(f"one more sync writes {again}")
    return found


def _settle(company: Company) -> None:
    """Go on as the daemon does until a cycle writes nothing and nothing waits."""
    settle = company.destination.spec.settle
    for _ in range(ROUNDS):
        company.replay()
        written = company.cycle()
        if not written and not company.pending():
            return
        company.clock.sleep(settle + 1)
    raise AssertionError(f"does not come to rest: {company.pending()}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="this seed only; otherwise five by the clock")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--crm", choices=[*CRMS, "all"], default="all")
    parser.add_argument(
        "--store", default="sqlite", help="sqlite, or the URL of an empty PostgreSQL database"
    )
    parser.add_argument("--interactions", type=int, default=1_000)
    parser.add_argument("--contacts", type=int, default=200)
    parser.add_argument("--no-kill", action="store_true", help="no `kill -9`, so that a seed repeats exactly")
    parser.add_argument("--trail", action="store_true", help="tell all that happened")
    options = parser.parse_args(arguments)
    print(conditions())
    first = options.seed if options.seed is not None else time.time_ns() // 1_000_000 % 1_000_000
    seeds = [first] if options.seed is not None else range(first, first + options.seeds)
    rows, failed = [], 0
    for crm in CRMS if options.crm == "all" else [options.crm]:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                store = f"sqlite:///{folder}/store.db" if options.store == "sqlite" else options.store
                found = chaos(
                    Path(folder),
                    store,
                    crm=crm,
                    seed=seed,
                    interactions=options.interactions,
                    contacts=options.contacts,
                    hard=not options.no_kill,
                )
            if options.trail or found.faults:
                print("\n".join(found.trail))
            for fault in found.faults:
                print(f"FAULT {crm} seed {seed}: {fault}")
            failed += bool(found.faults)
            kills = ", ".join(f"{where} {count}" for where, count in sorted(found.kills.items()))
            rows.append(
                [crm, str(seed), str(found.entries), kills, str(len(found.faults)), f"{found.seconds:.0f}"]
            )
    table(["CRM", "seed", "entries", "deaths", "faults", "s"], rows)
    if failed:
        sys.exit(f"{failed} of {len(rows)} runs left something that is not as it must be.")


if __name__ == "__main__":
    main()
