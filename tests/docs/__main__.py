"""`python -m tests.docs` writes the generated parts of the documentation; `--check` only says what is stale."""

from __future__ import annotations

import sys

from tests.docs import ROOT, stale
from tests.docs.parts import PARTS


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; return the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m tests.docs [--check]\n")
        return 2
    found = list(stale(PARTS))
    for page, text, difference in found:
        if arguments:
            sys.stdout.write(f"{difference}\n")
        else:
            page.write_text(text)
            sys.stdout.write(f"wrote {page.relative_to(ROOT)}\n")
    if arguments and found:
        sys.stderr.write("The documentation is not up to date. Write it with: make docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
