"""
Who is who in a large store: everybody divided anew, and one record more, beside a plain union of sets.

    python -m benchmarks.identity [--records 500000]

Fills a SQLite store with a made-up company, then measures in a process of its own: dividing everybody
anew (CPU, peak memory), beside the floor, a union-find over the same (record, handle) pairs in memory; and
the time that identifying one new record takes, at a tenth of the size and at the whole, and at the end of a
thousand records and of four thousand of which each shares an address with the next.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import PYTHON, ROOT, run
from bridge.engine.memory import spare_what_stays
from bridge.journey.handles import Handle, Own, normalise
from bridge.journey.identity import Node, Rules
from bridge.journey.keys import person_id
from bridge.store.database import Database
from bridge.store.people import StoredNode, handle_row, node_row, save_nodes
from bridge.sync.identity.identify import Incoming, identify
from bridge.sync.identity.reidentify import changes
from tests.company import make_company

BATCH = 20_000
HUMANS_A_RECORD = 2.8


def fill(path: Path, records: int) -> int:
    """Make a store with about so many records in it, everybody a person of their own; return how many."""
    nodes = make_company(int(records / HUMANS_A_RECORD), seed=7).nodes
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.writer.connect() as c:
        for start in range(0, len(nodes), BATCH):
            some = [stored(node) for node in nodes[start : start + BATCH]]
            handles = [handle_row(one, key) for one in some for key in one.handles]
            persons = [{"id": one.person_id, "founder": one.key} for one in some]
            save_nodes(c, [node_row(one, one.person_id, ()) for one in some], handles, [], persons, 0)
        c.commit()
    database.close()
    return len(nodes)


def stored(node: Node) -> StoredNode:
    """Return a node as the store keeps it."""
    return StoredNode(
        key=node.key,
        person_id=person_id(node.key),
        contact_of=1 if node.contact_of else None,
        contact_id=node.key if node.contact_of else None,
        name=node.name,
        name_at=None,
        since=node.since,
        aliases=(),
        candidates=(),
        handles={handle.key: (handle, False) for handle in node.handles},
        legal=node.legal,
        claimed=node.claimed,
    )


def divide_all(path: Path) -> None:
    """Divide everybody anew and write it."""
    database = Database(f"sqlite:///{path}")
    spare_what_stays()
    with database.read() as c, database.writer.connect() as writing:
        for change in changes(c, Rules(), lambda account_pk: "BR"):
            save_nodes(writing, change.nodes, change.handles, change.dropped, change.persons, 0)
        writing.commit()
    database.close()


def union_all(path: Path) -> None:
    """Do the least that any program must: read the pairs and join what shares a value."""
    database = Database(f"sqlite:///{path}")
    above: dict[str, str] = {}

    def find(key: str) -> str:
        while above.setdefault(key, key) != key:
            above[key] = above[above[key]]
            key = above[key]
        return key

    with database.read() as c:
        for node_key, handle_key in c.exec_driver_sql("SELECT node_key, handle_key FROM node_handle"):
            above[find(node_key)] = find(handle_key)
    database.close()


def one_more(path: Path, times: int = 300) -> list[float]:
    """Return the milliseconds that identifying one new sender of a known number takes, nothing written."""
    database = Database(f"sqlite:///{path}")
    found: list[float] = []
    with database.read() as c:
        query = "SELECT value FROM node_handle WHERE kind = 'phone' AND strength = 'strong' LIMIT 1 OFFSET ?"
        total = c.exec_driver_sql("SELECT count(*) FROM node_handle WHERE kind = 'phone'").scalar_one()
        for number in range(times):
            row = c.exec_driver_sql(query, (number * (total // 2 // times),)).first()
            assert row is not None
            handles = normalise("phone", row[0], region="BR", own=Own())
            began = time.perf_counter()
            identify(c, {f"new:{number}": Incoming(key=f"new:{number}", handles=handles)}, Rules())
            found.append((time.perf_counter() - began) * 1000)
    database.close()
    return found


def one_more_in_a_row(path: Path, records: int, times: int = 5) -> list[float]:
    """Return the milliseconds of CPU that a record takes which shares an address with the last of so many."""
    nodes = [
        Node(key=f"form:{number:06}", handles=_addresses(number, number + 1), since=number)
        for number in range(records)
    ]
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.writer.connect() as c:
        some = [stored(node) for node in nodes]
        handles = [handle_row(one, key) for one in some for key in one.handles]
        save_nodes(c, [node_row(one, one.person_id, ()) for one in some], handles, [], [], 0)
        c.commit()
    came = Incoming(key="form:new", handles=_addresses(records, records + 1))
    found: list[float] = []
    with database.read() as c:
        for _ in range(times):
            began = time.process_time()
            identify(c, {came.key: came}, Rules())
            found.append((time.process_time() - began) * 1000)
    database.close()
    return found


def _addresses(*numbers: int) -> tuple[Handle, ...]:
    return tuple(Handle("email", f"a{number}@x.com.br", "", "strong") for number in numbers)


def say(title: str, milliseconds: Sequence[float]) -> None:
    ordered = sorted(milliseconds)
    print(
        f"{title:44} {statistics.median(ordered):6.2f} ms in the middle,"
        f" {ordered[len(ordered) * 95 // 100]:6.2f} ms for the slowest in twenty"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.identity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--step", choices=("divide", "union"), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        {"divide": divide_all, "union": union_all}[options.step](options.store)
        return
    with tempfile.TemporaryDirectory() as folder:
        for records in (options.records // 10, options.records):
            path = Path(folder) / f"{records}.db"
            subprocess.run(
                [PYTHON, "-c", FILL, str(path), str(records)], cwd=ROOT, check=True, stdout=sys.stderr
            )
            divided, union = (
                run([PYTHON, "-m", "benchmarks.identity", "--step", step, "--store", str(path)])
                for step in ("divide", "union")
            )
            print(
                f"{records:9,} records divided anew: {divided.wall:6.1f} s, {divided.cpu:6.1f} s of CPU,"
                f" {divided.peak:5.0f} MB; a plain union of sets {union.cpu:5.1f} s"
            )
            say(f"one record more among {records:,}", one_more(path))
        for records in (1_000, 4_000):
            row = one_more_in_a_row(Path(folder) / f"row{records}.db", records)
            say(f"one more in a row of {records:,}, of CPU", row)


FILL = (
    "import sys; from pathlib import Path; from benchmarks.identity import fill;"
    " fill(Path(sys.argv[1]), int(sys.argv[2]))"
)


if __name__ == "__main__":
    main()
