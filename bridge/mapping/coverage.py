"""Which fields of real records no rule reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from bridge.mapping.loaded import Mapping
from bridge.mapping.paths import keys_text
from bridge.model import Json


def coverage(mapping: Mapping, stream: str, records: Iterable[Json]) -> dict[str, int]:
    """
    Count in how many records each path holds a value that no rule reads, most frequent first.

    Paths are written as mappings do, `*` for every item of a list; values are never shown. A
    path counts as read when the rule reads it or something it is part of. KeyError if the
    mapping has no rule for the stream.
    """
    read = {_general(keys) for keys in mapping.pull[stream].keys_read}
    seen: Counter[str] = Counter()
    for record in records:
        unread = {
            keys for keys in _leaves(record) if not any(keys[:end] in read for end in range(len(keys) + 1))
        }
        seen.update(keys_text(keys) for keys in unread)
    return dict(sorted(seen.items(), key=lambda entry: (-entry[1], entry[0])))


def _general(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("*" if key.isdecimal() else key for key in keys)


def _leaves(record: Json) -> Iterator[tuple[str, ...]]:
    """Yield where a record holds values; missing and empty ones are none."""
    pending: list[tuple[tuple[str, ...], Json]] = [((), record)]
    while pending:
        keys, value = pending.pop()
        if isinstance(value, dict):
            pending.extend(((*keys, "*" if key.isdecimal() else key), child) for key, child in value.items())
        elif isinstance(value, list):
            pending.extend(((*keys, "*"), child) for child in value)
        elif value is not None and value != "":
            yield keys
