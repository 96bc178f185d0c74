"""
Run the benchmarks, one after the other; each says what it measured and under which load.

    python -m benchmarks            all of them but chaos, about twenty minutes
    python -m benchmarks --list     what there is
    python -m benchmarks --quick    all of them in small, a few minutes
    python -m benchmarks NAME ...   only these
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import PYTHON, ROOT

QUICK: dict[str, tuple[str, ...]] = {
    "contacts": ("--records", "10000", "--rounds", "1"),
    "webhooks": ("--requests", "5000", "--rounds", "1"),
    "latency": ("--records", "10000"),
    "delivery": ("--many", "2000", "--of", "400"),
    "delivery_budget": ("lite",),
    "mapping": (),
    "identity": ("--records", "20000"),
    "validation": (),
    "mail_parse": ("500", "3"),
    "similar": ("--records", "5000"),
    "imap_first_sync": ("--mails", "2000", "--rounds", "1"),
    "chaos": ("--small", "--crm", "memory", "--store", "sqlite"),
}
"""The benchmarks in the order they run, and how each is made small."""

LONG = "chaos"
"""What runs in full only when it is named: a proof that takes longer than all the others."""


def about(name: str) -> str:
    """Return the first line of what a benchmark says of itself."""
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def run(name: str, arguments: Sequence[str]) -> bool:
    """Run one benchmark; False when it failed."""
    print(f"\n## {name}: {about(name)}\n", flush=True)
    started = time.monotonic()
    done = subprocess.run([PYTHON, "-m", f"benchmarks.{name}", *arguments], cwd=ROOT, check=False)
    print(f"\n({time.monotonic() - started:.0f} s)", flush=True)
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(QUICK)}")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--quick", action="store_true", help="run each in small")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in QUICK]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(QUICK)}")
    names = options.names or [name for name in QUICK if name != LONG or options.quick or options.list]
    if options.list:
        for name in names:
            print(f"{name:16} {about(name)}")
        return
    failed = [name for name in names if not run(name, QUICK[name] if options.quick else ())]
    if failed:
        sys.exit(f"\nThese did not come to an end: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
