"""What stands in a page as an example: YAML, command lines, links, and whether each of them is true."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^([ ]*)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"(?:\[[^\]\[]*\]\(|<img src=\")([^)\s\"]+)")
_COMMAND = re.compile(
    r"(?:^|[\s/(])crmbridge +((?:[a-z][a-z-]*|--version|--help)(?: +[^\s#;|&>]+)*)", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: its language, text without indentation, and the line it begins at."""

    language: str
    text: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Block(language=found[2], text=textwrap.dedent(found[3]), line=line)


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Return the targets of the links and images of a page that lie in this repository."""
    found = _LINK.findall(prose(text))
    return [target for target in found if not target.startswith(("https://", "http://", "mailto:"))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def command_lines(text: str) -> list[list[str]]:
    """Return the words after `crmbridge` wherever a page shows a command line."""
    shown = [block.text for block in blocks(text) if block.language in ("", "sh", "ini")]
    shown += _INLINE.findall(prose(text))
    return [found.split() for part in shown for found in _COMMAND.findall(part)]
