"""
A sync of contacts: pull over HTTP, map 20 fields, validate, identify, store, queue.

Records of 1 KB come in pages of 100 from a server in a process of its own, which is not counted. Beside
crmbridge run a floor (plain Python: parse, map by hand, upsert) and dlt into SQLite at its best settings,
in turns; both map and store only. Each syncs twice, the second time with nothing changed. CPU is that
of the whole process, start-up included. dlt is installed into benchmarks/.work the first time.

    python -m benchmarks.contacts [--records 10000 100000 300000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.measure import PYTHON, WORK, Used, conditions, middle, run, server, spread, table

DLT = WORK / "dlt"
COUNTS = {
    "floor": ("floor.db", "SELECT count(*) FROM contact"),
    "dlt": ("dlt.db", "SELECT count(*) FROM contacts"),
    "crmbridge": ("crmbridge.db", "SELECT count(*) FROM node WHERE contact_id IS NOT NULL"),
}


def dlt_python() -> str | None:
    """Return the interpreter of dlt's environment, made if there is none; None where PyPI is out of reach."""
    python = DLT / "bin" / "python"
    if (DLT / "ready").exists():
        return str(python)
    print("Installing dlt into benchmarks/.work/dlt", flush=True)
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", str(DLT)],
        [*install, "dlt[sqlalchemy]>=1.31", "pyarrow", "orjson"],
    ):
        if subprocess.run(command, check=False).returncode:
            return None
    (DLT / "ready").touch()
    return str(python)


def commands(url: str, folder: Path) -> dict[str, list[str]]:
    """Return how each program syncs from `url` into `folder`."""
    tail = [url, str(folder)]
    found = {"floor": [PYTHON, "-m", "benchmarks.contacts_floor", *tail]}
    if (python := dlt_python()) is not None:
        found["dlt"] = [python, "-m", "benchmarks.contacts_dlt", *tail]
    return found | {"crmbridge": [PYTHON, "-m", "benchmarks.contacts_ours", *tail]}


def check(program: str, folder: Path, records: int) -> None:
    """End the benchmark unless every record arrived."""
    name, query = COUNTS[program]
    with closing(sqlite3.connect(folder / name)) as store:
        found = store.execute(query).fetchone()[0]
    if found != records:
        sys.exit(f"{program} stored {found} of {records} records")


def measure(records: int, rounds: int) -> dict[str, list[tuple[Used, Used]]]:
    """Return, for each program, what its first and its second sync used, round by round."""
    found: dict[str, list[tuple[Used, Used]]] = {}
    with server([PYTHON, "-m", "benchmarks.contacts_world", str(records)]) as (port, _):
        for _ in range(rounds):
            for program, command in commands(f"http://127.0.0.1:{port}/contacts", WORK / "contacts").items():
                shutil.rmtree(WORK / "contacts", ignore_errors=True)
                (WORK / "contacts").mkdir(parents=True)
                first, second = run(command), run(command)
                check(program, WORK / "contacts", records)
                found.setdefault(program, []).append((first, second))
    return found


def show(records: int, found: dict[str, list[tuple[Used, Used]]]) -> None:
    """Print the table of one size."""

    def cpu(program: str, sync: int) -> float:
        return middle(pair[sync].cpu for pair in found[program])

    def ratio(program: str, sync: int) -> str:
        return f"{cpu(program, sync) / cpu('dlt', sync):.2f}" if "dlt" in found else "-"

    print(f"\n{records:,} records, {len(found['crmbridge'])} interleaved rounds, medians (least-most)\n")
    table(
        ["", "first: CPU s", "x dlt", "wall s", "peak MB", "second: CPU s", "x dlt", "peak MB"],
        [
            [
                program,
                spread([first.cpu for first, _ in pairs]),
                ratio(program, 0),
                f"{middle(first.wall for first, _ in pairs):.1f}",
                f"{max(first.peak for first, _ in pairs):.0f}",
                spread([second.cpu for _, second in pairs]),
                ratio(program, 1),
                f"{max(second.peak for _, second in pairs):.0f}",
            ]
            for program, pairs in found.items()
        ],
    )
    if "dlt" not in found:
        print("dlt: left out, as it could not be installed")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000, 300_000])
    parser.add_argument(
        "--rounds", type=int, default=3, help="of sizes up to 100,000; a larger one runs once"
    )
    options = parser.parse_args(arguments)
    print(conditions())
    for records in options.records:
        show(records, measure(records, options.rounds if records <= 100_000 else 1))


if __name__ == "__main__":
    main()
