"""Records as bytes: the JSON of whatever a vendor or a plugin takes for JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson


def json_bytes(value: Any) -> bytes:
    """
    Return a value as JSON that can be read back; never raises.

    What JSON cannot hold becomes text (a number beyond 64 bits, another object), half a surrogate pair
    becomes a question mark, and what is nested too deep becomes {"unreadable": its text}.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        return orjson.dumps(_plain(value))
    except (TypeError, RecursionError):
        return orjson.dumps({"unreadable": _text(_loose(value))})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    return _text(value)


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _loose(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return f"{type(value).__name__} that cannot be written down"
