"""
Runs every benchmark, each in a process of its own, or lists them.

    python -m benchmarks [--list] [NAME ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

NAMES = ("mapping", "validation", "mail_parse", "contacts", "webhooks", "imap_first_sync")


def title(name: str) -> str:
    """Return the first line of what a benchmark says of itself."""
    text = Path(__file__).with_name(f"{name}.py").read_text()
    return text.split('"""')[1].strip().splitlines()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; all when left out"
    )
    parser.add_argument("--list", action="store_true", help="only say what there is")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    failed = []
    for name in arguments.names or NAMES:
        print(f"{name}: {title(name)}", flush=True)
        if (
            not arguments.list
            and subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
        ):
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
