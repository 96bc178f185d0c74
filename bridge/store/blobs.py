"""Large bodies as files beside the database, named by their SHA-256, or by a name nobody shares."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

THRESHOLD = 256 * 1024
"""Bodies above this many bytes become files; below, a database row is faster and simpler to back up."""

LOST_HINT = "Restore the folder of bodies that belongs to the store, then replay."


class Blobs:
    """A folder of content-addressed files; the same body twice is one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, body: bytes, *, shared: bool = True) -> str:
        """Write `body`, durably, and return its name: its SHA-256 in hex, alone or with a random end."""
        name = hashlib.sha256(body).hexdigest() + ("" if shared else f"-{secrets.token_hex(4)}")
        path = self._path(name)
        if path.exists():
            return name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return name

    def get(self, name: str) -> bytes:
        """Return a body; FileNotFoundError when the folder was not restored with the database."""
        return self._path(name).read_bytes()

    def drop(self, name: str) -> None:
        """Remove a body, if it is there."""
        self._path(name).unlink(missing_ok=True)

    def keep(self, body: bytes, *, shared: bool = True) -> tuple[bytes | None, str | None]:
        """
        Return (body, None) for a small body and (None, name) for a large one, which is then a file.

        One that is not `shared` can be removed without asking who else has the same body.
        """
        return (body, None) if len(body) <= THRESHOLD else (None, self.put(body, shared=shared))

    def load(self, body: bytes | None, blob: str | None) -> bytes:
        """Return a body from where `keep` put it; empty when it was dropped."""
        if body is not None:
            return body
        return self.get(blob) if blob else b""

    def load_or_say(self, body: bytes | None, blob: str | None) -> tuple[bytes, str]:
        """Return a body, or nothing and why its file cannot be read: one lost file must not stop the others."""
        try:
            return self.load(body, blob), ""
        except OSError as error:
            return b"", f"its body cannot be read: {error.strerror}: {error.filename}"

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name[2:]
