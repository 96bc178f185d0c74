"""The documentation: its pages, the parts of them that the program writes, and whether those are up to date."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

_PART = re.compile(r"(<!-- generated: ([^>]*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_BEGIN = "<!-- generated: "


def pages() -> list[Path]:
    """Return the pages of the documentation."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def names_in(text: str) -> list[str]:
    """Return the names of the generated parts of a page."""
    return [found[1] for found in _PART.findall(text)]


def written(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """
    Return a page with its generated parts made anew.

    Raises ValueError for a part that nobody writes, and for one without an end.
    """

    def fill(found: re.Match[str]) -> str:
        begin, name, _, end = found.groups()
        if name not in parts:
            raise ValueError(f'nothing writes the part "{name}"; there are: {", ".join(parts)}')
        return f"{begin}\n{parts[name]().strip()}\n\n{end}"

    if text.count(_BEGIN) != len(_PART.findall(text)):
        raise ValueError("a generated part has no `<!-- end -->`")
    return _PART.sub(fill, text)


def stale(parts: Mapping[str, Callable[[], str]]) -> Iterator[tuple[Path, str, str]]:
    """Yield (page, as it should be, the difference) for every page that is not up to date."""
    for page in pages():
        before = page.read_text()
        after = written(before, parts)
        if after != before:
            name = str(page.relative_to(ROOT))
            lines = difflib.unified_diff(
                before.splitlines(), after.splitlines(), name, name, lineterm="", n=1
            )
            yield page, after, "\n".join(lines)
