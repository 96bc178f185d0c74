"""What the demo says, and the count of what it checked."""

from __future__ import annotations

import io
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 100
ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Screen:
    """
    Say lines to people, and keep the essential ones for a picture.

    A shown number goes through `check`, which compares it with what the week's definition says.
    """

    checked: int = 0
    wrong: list[str] = field(default_factory=list)
    _console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    _picture: Console = field(
        default_factory=lambda: Console(
            record=True,
            width=WIDTH,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
            highlight=False,
            soft_wrap=False,
        )
    )

    def say(self, text: str = "", *, style: str = "", essential: bool = False) -> None:
        """Print a line; an essential one stands in the picture as well."""
        text = text.replace(f"{ROOT}/", "")
        self._console.print(Text(text, style=style))
        if essential:
            indent = " " * (len(text) - len(text.lstrip()) + 2)
            for part in textwrap.wrap(text, WIDTH, subsequent_indent=indent, drop_whitespace=False) or [""]:
                self._picture.print(Text(part.rstrip(), style=style))

    def stage(self, number: int, title: str, *, essential: bool = True) -> None:
        """Begin a stage."""
        self.say(essential=essential)
        self.say(f"{number}  {title}", style="bold cyan", essential=essential)

    def command(self, words: str, *, essential: bool = True) -> None:
        """Show the command that is run."""
        self.say(f"$ {words}", style="green", essential=essential)

    def told(self, text: str, *, essential: bool = False) -> None:
        """Show what a command said, or what stands in the CRM, set in."""
        for line in text.rstrip().splitlines():
            self.say(f"  {line}".rstrip(), essential=essential)

    def note(self, text: str, *, essential: bool = False) -> None:
        """Show what the demo itself did, saw or counted, so that nobody takes it for a command's words."""
        for line in text.splitlines():
            self.say(f"  # {line}", style="yellow", essential=essential)

    def check(self, what: str, found: object, expected: object) -> None:
        """Compare something shown with what must come of the week."""
        self.checked += 1
        if found != expected:
            self.wrong.append(what)
            self.say(f"  NOT AS EXPECTED, {what}: {found!r} instead of {expected!r}", style="bold red")

    def draw(self, path: Path) -> None:
        """Write the essential lines as a picture that loads no font from elsewhere."""
        drawn = self._picture.export_svg(title="make demo", theme=MONOKAI, unique_id="demo")
        path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")
