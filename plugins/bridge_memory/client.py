"""The folder: its account, its streams as files of JSON lines that only grow, its fields."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bridge import Account, AuthError, CursorExpired, Field, Rejected, Unavailable
from bridge_memory.words import FIELDS

Thing = dict[str, Any]
"""One line: the object in one version. The last line with an id is the object's present state."""


class Lines(NamedTuple):
    """Things in the order they were written, and the offset after the last of them."""

    things: list[Thing]
    after: int


class Folder:
    """
    The client: several processes may use one folder at once.

    A killed process loses nothing it was told is written; a line torn by a kill is dropped by
    the next writer. Each call raises AuthError for another folder's key and Unavailable when
    the disk fails.
    """

    def __init__(self, path: Path, key: str, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._key = key
        self._clock = clock
        self._known: dict[str, tuple[int, dict[str, Thing]]] = {}

    def account(self) -> Account:
        """Return the folder's account; an empty folder becomes one with this key."""
        with self._guarded() as account:
            return Account(id=account["id"], name=str(self._path))

    def lines(self, stream: str, offset: int, limit: int) -> Lines:
        """
        Return up to `limit` things written after `offset`, oldest first.

        A line that is no JSON object with an id comes as {"id": "line-<digest>", "unreadable": text}, with
        what is wrong (`because`) and what to do (`remedy`). Raises CursorExpired when the file has no line
        that ends at `offset`.
        """
        with self._guarded():
            return self._lines(stream, offset, limit)

    def latest(self, stream: str) -> Mapping[str, Thing]:
        """Return the present state of every object by id; deleted ones have `"deleted": true`."""
        with self._guarded():
            return self._latest(stream)

    def append(self, stream: str, thing: Mapping[str, Any]) -> Thing:
        """
        Write a new object or a new version of one and return it as it stands now.

        `id` is chosen where it is missing. `modified` is set, later than the version before.
        """
        with self._guarded():
            known = self._latest(stream)
            identifier = thing.get("id") or self._free_id(known)
            written = {**thing, "id": identifier, "modified": self._stamp(known.get(identifier))}
            line = json.dumps(written, ensure_ascii=False).encode() + b"\n"
            with self._file(stream).open("ab") as file:
                file.truncate(self._known[stream][0])
                file.write(line)
            return self._latest(stream)[identifier]

    def fields(self, stream: str) -> Sequence[Field]:
        """Return the fields of a stream, those that were added to this folder last."""
        with self._guarded() as account:
            added = account.get("fields", {}).get(stream, [])
            return FIELDS[stream] + tuple(Field(**field) for field in added)

    def add_field(self, stream: str, field: Field) -> None:
        """Add a field to a stream of this folder."""
        with self._guarded() as account:
            kept = {"name": field.name, "label": field.label, "type": field.type, "unique": field.unique}
            account.setdefault("fields", {}).setdefault(stream, []).append(kept)
            self._write_account(account)

    def file(self, name: str) -> bytes:
        """Return the content of an attachment, which lies in `files/` under this name."""
        with self._guarded():
            path = self._path / "files" / name
            if path.parent != self._path / "files" or not path.is_file():
                raise Rejected(f"{self._path}: no file {name!r} in files/", code="missing")
            return path.read_bytes()

    @contextmanager
    def _guarded(self) -> Iterator[dict[str, Any]]:
        """Hold the folder's lock, check the key, and turn faults of the disk into ours."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with (self._path / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self._account()
        except OSError as error:
            raise Unavailable(
                f"{self._path}: {error.strerror}; check the disk; the next sync tries again"
            ) from None

    def _account(self) -> dict[str, Any]:
        file = self._path / "account.json"
        if not file.exists():
            salt = secrets.token_hex(8)
            self._write_account(
                {"id": f"folder-{secrets.token_hex(4)}", "salt": salt, "key": self._mark(salt)}
            )
        try:
            account: dict[str, Any] = json.loads(file.read_bytes())
            mark, salt = account["key"], account["salt"]
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"{file}: makes no sense; restore it; the next sync tries again") from None
        if mark != self._mark(salt):
            raise AuthError(
                f"{self._path}: the key is not this folder's; set settings.key to the one it was made with"
            )
        return account

    def _write_account(self, account: Mapping[str, Any]) -> None:
        half = self._path / "account.json.half"
        half.write_text(json.dumps(account))
        os.replace(half, self._path / "account.json")

    def _mark(self, salt: str) -> str:
        return hashlib.sha256(f"{salt}:{self._key}".encode()).hexdigest()

    def _file(self, stream: str) -> Path:
        if stream not in FIELDS:
            raise Rejected(
                f"{self._path}: no stream {stream!r}; there are {', '.join(FIELDS)}", code="stream"
            )
        return self._path / f"{stream}.jsonl"

    def _lines(self, stream: str, offset: int, limit: int | None) -> Lines:
        file = self._file(stream)
        things: list[Thing] = []
        if not file.exists():
            if offset:
                raise CursorExpired(f"{file}: is gone; it is read again from the start")
            return Lines(things, 0)
        with file.open("rb") as lines:
            if offset:
                lines.seek(offset - 1)
                if lines.read(1) != b"\n":
                    raise CursorExpired(f"{file}: no line ends at {offset}; it is read again from the start")
            number: int | None = None
            for line in lines:
                if len(things) == limit or not line.endswith(b"\n"):
                    break
                thing = _thing(line)
                if isinstance(thing, str):
                    number = number or file.read_bytes()[:offset].count(b"\n") + 1
                    thing = _broken(line, f"{file}:{number} {thing}")
                things.append(thing)
                offset += len(line)
                number = number and number + 1
        return Lines(things, offset)

    def _latest(self, stream: str) -> dict[str, Thing]:
        offset, known = self._known.get(stream, (0, {}))
        try:
            things, after = self._lines(stream, offset, None)
        except CursorExpired:
            known = {}
            things, after = self._lines(stream, 0, None)
        known.update({thing["id"]: thing for thing in things if "unreadable" not in thing})
        self._known[stream] = (after, known)
        return known

    def _free_id(self, known: Mapping[str, Thing]) -> str:
        number = len(known) + 1
        while str(number) in known:
            number += 1
        return str(number)

    def _stamp(self, before: Thing | None) -> str:
        now = self._clock()
        last = instant((before or {}).get("modified"))
        if last is not None and last >= now:
            now = last + timedelta(microseconds=1)
        return now.isoformat().replace("+00:00", "Z")


def instant(text: object) -> datetime | None:
    """Return an RFC 3339 text as an instant in UTC; None where it is none or names no offset."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return when.astimezone(UTC) if when.tzinfo else None


def _thing(line: bytes) -> Thing | str:
    """Return the object of a line, or what is wrong with it."""
    try:
        thing = json.loads(line.rstrip(b"\n"))
    except json.JSONDecodeError as error:
        return f"is no JSON: {error.msg} at column {error.colno}."
    except ValueError:
        return "is no text in UTF-8."
    if not isinstance(thing, dict):
        return "is no JSON object."
    if not isinstance(thing.get("id"), str):
        return 'has no "id", or one that is no text.'
    return thing


def _broken(line: bytes, because: str) -> Thing:
    return {
        "id": f"line-{hashlib.sha256(line).hexdigest()[:12]}",
        "unreadable": line.decode(errors="replace").rstrip("\n"),
        "because": because,
        "remedy": 'Append it to its file anew, mended. The line {"id": "line-...", "deleted": true} closes the reject.',
    }
