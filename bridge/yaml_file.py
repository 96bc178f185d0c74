"""The YAML files people write: YAML 1.2 scalars, no duplicate keys, and the line of every value."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from bridge.errors import ConfigError, Problem
from bridge.model import Json

YamlPath = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top, `("tests", 0, "given")`."""

MAX_BYTES = 2_000_000
MAX_DEPTH = 64
MAX_VALUES = 200_000
"""After aliases are expanded; far above any file written by hand, far below what hurts."""

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file: its content as JSON values, and where each of them stands."""

    file: str
    value: dict[str, Json]
    marks: Mapping[YamlPath, tuple[int, int]] = field(repr=False)

    def mark(self, path: YamlPath) -> tuple[int, int]:
        """Return line and column (from 1) of the key or list item at `path`, or of its nearest parent."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks[path]

    def line(self, path: YamlPath) -> int:
        """Return the line (from 1) of the value at `path`, or of its nearest parent."""
        return self.mark(path)[0]

    def problem(self, path: YamlPath, message: str, remedy: str = "") -> Problem:
        """Make a problem that names this file and where `path` stands in it."""
        line, column = self.mark(path)
        return Problem(
            path=path_text(path), message=message, remedy=remedy, file=self.file, line=line, column=column
        )


@dataclass(slots=True)
class _Node:
    value: Json
    line: int
    column: int


def load(path: Path) -> Document:
    """
    Read a YAML file whose top is a mapping.

    Scalars follow the core schema of YAML 1.2.2 (chapter 10.3): there are no dates, and `NO`,
    `yes` and `12:30` are text. Keys are always text, as written. Raises ConfigError with every problem.
    """
    file = str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = "Create it, or correct the path." if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(
            [Problem(path="", file=file, message=f"cannot be read: {reason}.", remedy=remedy)]
        ) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        problem = Problem(
            path="",
            file=file,
            line=line,
            column=column,
            message=f"byte 0x{raw[error.start]:02x} is not UTF-8.",
            remedy="Save the file as UTF-8.",
        )
        raise ConfigError([problem]) from error
    return parse(text, file=file)


def parse(text: str, *, file: str) -> Document:
    """Read YAML text as `load` does; `file` is the name that problems show."""
    return _Reader(file).read(text)


def path_text(path: YamlPath) -> str:
    """Write a path as people read it: `tests[0].given`, `properties["x.y"]`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f'["{key}"]'
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `Did you mean x?` for the nearest known word, or the list of a few, or nothing."""
    words = list(known)
    near = difflib.get_close_matches(word[:80].lower(), [known.lower() for known in words], n=1, cutoff=0.6)
    if near:
        return f"Did you mean {next(known for known in words if known.lower() == near[0])}?"
    if 0 < len(words) <= 12:
        return f"Known: {', '.join(words)}."
    return ""


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


class _Reader:
    """Reads one text; collects the problems that allow reading on."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.anchors: dict[str, _Node] = {}
        self.marks: dict[YamlPath, tuple[int, int]] = {}

    def read(self, text: str) -> Document:
        if len(text) > MAX_BYTES:
            self.stop(f"is larger than {MAX_BYTES // 1_000_000} MB.")
        try:
            top = self.document(yaml.parse(text, Loader=_LOADER))
            value = self.expand(top, (), top.line, top.column)
        except yaml.MarkedYAMLError as error:
            self.stop_at_syntax(error, text)
        except (yaml.reader.ReaderError, UnicodeEncodeError) as error:
            start = error.start if isinstance(error, UnicodeEncodeError) else error.position
            line = text.count("\n", 0, start) + 1
            self.stop("holds a character that YAML does not allow.", "Remove it.", line, 1)
        if not self.problems and not isinstance(value, dict):
            self.add("holds no settings: expected `key: value` lines.", "", top.line, top.column)
        if self.problems:
            raise ConfigError(self.problems)
        return Document(file=self.file, value=value, marks=self.marks)

    def add(self, message: str, remedy: str, line: int, column: int, path: YamlPath = ()) -> None:
        self.problems.append(
            Problem(
                path=path_text(path), message=message, remedy=remedy, file=self.file, line=line, column=column
            )
        )

    def stop(self, message: str, remedy: str = "", line: int = 0, column: int = 0) -> NoReturn:
        self.add(message, remedy, line, column)
        raise ConfigError(self.problems)

    def stop_at_syntax(self, error: yaml.MarkedYAMLError, text: str) -> NoReturn:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        reason = error.problem or "cannot be read"
        remedy = ""
        if "cannot start any token" in reason and mark:
            culprit = text[mark.index : mark.index + 1]
            reason = f"{culprit!r} cannot stand here"
            remedy = "Indent with spaces." if culprit == "\t" else "Put the text in quotes."
        elif "mapping values are not allowed" in reason:
            remedy = "Put text that holds `: ` in quotes, or correct the indentation."
        elif error.context_mark and error.context_mark.line + 1 != line:
            remedy = f"What it belongs to began in line {error.context_mark.line + 1}."
        self.stop(f"not valid YAML: {reason}.", remedy, line, column)

    def document(self, events: Iterator[Any]) -> _Node:
        top: _Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if top is not None:
                    self.stop("holds a second document.", "Remove the `---` line.", *_place(event))
                top = self.node(next(events), events, ())
        return top or _Node(None, 1, 1)

    def node(self, event: Any, events: Iterator[Any], path: YamlPath) -> _Node:
        line, column = _place(event)
        if len(path) > MAX_DEPTH:
            self.stop(f"is nested deeper than {MAX_DEPTH} levels.", "", line, column)
        if isinstance(event, yaml.AliasEvent):
            target = self.anchors.get(str(event.anchor))
            if target is None:
                self.stop(
                    f"*{event.anchor} has no anchor before it.", "Define it first with &.", line, column
                )
            return _Node(target, line, column)
        if event.tag not in (None, "!"):
            remedy = "Remove it; put text in quotes."
            self.add(f"the tag {event.tag} is not supported.", remedy, line, column, path)
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(self.scalar(event, path), line, column)
        elif isinstance(event, yaml.SequenceStartEvent):
            items: list[_Node] = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                items.append(self.node(item, events, (*path, len(items))))
            node = _Node(items, line, column)
        else:
            node = _Node(self.mapping(events, path), line, column)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def mapping(self, events: Iterator[Any], path: YamlPath) -> dict[str, tuple[_Node, int, int]]:
        """Read `key: value` pairs; each value comes with the place of its key."""
        pairs: dict[str, tuple[_Node, int, int]] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line, column = _place(event)
            if not isinstance(event, yaml.ScalarEvent):
                self.stop("a key must be text.", "", line, column)
            key = str(event.value)
            if event.implicit[0] and key == "<<":
                remedy = "Write the keys out."
                self.add("merge keys (<<) are not part of YAML 1.2.", remedy, line, column, path)
            elif key in pairs:
                remedy = f"Its first is in line {pairs[key][1]}; keep one."
                self.add("stands twice.", remedy, line, column, (*path, key))
            pairs[key] = (self.node(next(events), events, (*path, key)), line, column)
        return pairs

    def scalar(self, event: yaml.ScalarEvent, path: YamlPath) -> str | int | float | bool | None:
        text = str(event.value)
        if not event.implicit[0] or event.tag == "!":
            return text
        if text in _WORDS:
            return _WORDS[text]
        try:
            if _INTEGER.fullmatch(text):
                return int(text)
            if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
                return int(text, 0)
            if not _FLOAT.fullmatch(text) and not _NOT_JSON.fullmatch(text):
                return text
            if math.isfinite(number := float(text)):
                return number
        except ValueError:
            pass  # more digits than int() accepts; reported below
        line, column = _place(event)
        remedy = "Put it in quotes if it is text."
        self.add(f"{text[:40]} is no number that JSON can hold.", remedy, line, column, path)
        return None

    def expand(self, node: _Node, path: YamlPath, line: int, column: int) -> Json:
        """Turn nodes into values, following aliases, and note where each stands."""
        if len(self.marks) >= MAX_VALUES:
            self.stop(f"has more than {MAX_VALUES} values.", "Aliases (*name) count in full.", line, column)
        if len(path) > MAX_DEPTH:
            self.stop(f"is nested deeper than {MAX_DEPTH} levels.", "", line, column)
        self.marks[path] = (line, column)
        value = node.value
        while isinstance(value, _Node):
            value = value.value
        if isinstance(value, dict):
            return {key: self.expand(child, (*path, key), at, col) for key, (child, at, col) in value.items()}
        if isinstance(value, list):
            return [self.expand(child, (*path, i), child.line, child.column) for i, child in enumerate(value)]
        return value
