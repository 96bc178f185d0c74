"""Dotted paths into a vendor's JSON: their grammar, and the functions that follow them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bridge.model import Json

Make = Callable[[Json, Json], Json]
"""Makes one value from (the item at hand, the whole record); None where there is nothing."""

_NAME = re.compile(r"[^\s.\[\]{}\"']+")
_QUOTED = re.compile(r"\[\"([^\"]+)\"\]|\['([^']+)'\]")
_INDEX = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A parsed path: from the whole record where `root`, else from the item; no keys mean just that."""

    keys: tuple[str, ...]
    root: bool = False

    def within(self, base: tuple[str, ...]) -> tuple[str, ...]:
        """Return the keys from the top of the record, `base` being those of the item at hand."""
        return self.keys if self.root else (*base, *self.keys)


def parse_path(text: str) -> Path:
    """
    Read `a.b.c`, `a.0.b`, `a["x.y"]`, `$.a` (from the whole record) or `.` (the item itself).

    Raises ValueError, which says what is wrong.
    """
    if text == ".":
        return Path(keys=())
    root = text == "$" or text.startswith(("$.", "$["))
    position = 1 if root else 0
    keys: list[str] = []
    while position < len(text):
        if quoted := _QUOTED.match(text, position):
            keys.append(quoted.group(1) or quoted.group(2))
            position = quoted.end()
            continue
        if text[position] == "[":
            raise ValueError('write a list position as `a.0`, and a key with dots as `a["x.y"]`')
        position += text[position] == "." and position > 0
        name = _NAME.match(text, position)
        if name is None:
            raise ValueError('expected a path such as `a.b`, `a.0.b` or `a["x.y"]`')
        keys.append(name.group())
        position = name.end()
    if not keys and not root:
        raise ValueError("expected a path; `.` is the item itself, `$` the whole record")
    return Path(keys=tuple(keys), root=root)


def keys_text(keys: tuple[str, ...]) -> str:
    """Write keys as a path; `*` stands for every item of a list."""
    text = ""
    for key in keys:
        if _NAME.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f'["{key}"]'
    return text


def getter(path: Path) -> Make:
    """Return the function that follows a path; what is not there is None."""
    keys, root = path.keys, path.root
    if not keys:
        return (lambda item, whole: whole) if root else (lambda item, whole: item)
    if len(keys) > 2 or any(_INDEX.fullmatch(key) for key in keys):
        return _walker(keys, root)
    if len(keys) == 1:
        [key] = keys

        def one(item: Json, whole: Json) -> Json:
            top = whole if root else item
            return top.get(key) if isinstance(top, dict) else None

        return one
    first, second = keys

    def two(item: Json, whole: Json) -> Json:
        top = whole if root else item
        inner = top.get(first) if isinstance(top, dict) else None
        return inner.get(second) if isinstance(inner, dict) else None

    return two


def _walker(keys: tuple[str, ...], root: bool) -> Make:
    steps = tuple((key, int(key) if _INDEX.fullmatch(key) else -1) for key in keys)

    def walk(item: Json, whole: Json) -> Json:
        value = whole if root else item
        for key, index in steps:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and 0 <= index < len(value):
                value = value[index]
            else:
                return None
        return value

    return walk
