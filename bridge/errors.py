"""
One class for each thing that happens next.

BridgeError
├── ConfigError        stop: the configuration must be mended; lists every problem at once
├── PluginError        leave the plugin out, run the rest
├── MappingError       reject this record, go on with the next
├── AuthError          pause the connection until a person renews the key
├── RateLimited        wait, then ask again
├── Unavailable        retry later; the outcome of a write is unknown
├── CursorExpired      read the stream again from the start
├── Rejected           reject this write, go on with the next
└── StoreError         stop: the store is locked, too new or damaged

Nothing else leaves a connector. A message says who, what, which value and what
to do, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class BridgeError(Exception):
    """Base of every error that crmbridge raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in a file: where it stands, what it is, what to do."""

    path: str
    message: str
    remedy: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column} " if self.file and self.line else ""
        if self.file and not self.line:
            where = f"{self.file}: "
        path = f"{self.path}: " if self.path else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{where}{path}{self.message}{remedy}"


class ConfigError(BridgeError):
    """Stop: what an admin wrote cannot be used; `problems` holds every fault found."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = [Problem(path="", message=problems)]
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(BridgeError):
    """Leave this plugin out; the message names its distribution."""


class MappingError(BridgeError):
    """Reject one record; `field` is the target field and `line` its line in the mapping."""

    def __init__(self, message: str, *, field: str = "", line: int = 0, hint: str = "") -> None:
        self.field = field
        self.line = line
        self.hint = hint
        super().__init__(message)


class AuthError(BridgeError):
    """Pause the connection: the vendor refused the key; `missing_scopes` where it says which."""

    def __init__(self, message: str, *, missing_scopes: Sequence[str] = ()) -> None:
        self.missing_scopes = tuple(missing_scopes)
        super().__init__(message)


class RateLimited(BridgeError):
    """Wait `wait` seconds; `budget` names the exhausted one. Nothing was executed."""

    def __init__(self, message: str, *, wait: float, budget: str = "") -> None:
        self.wait = wait
        self.budget = budget
        super().__init__(message)


class Unavailable(BridgeError):
    """Retry later: time-out, broken connection, 5xx or an answer that makes no sense."""

    def __init__(self, message: str, *, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(message)


class CursorExpired(BridgeError):
    """Read the stream again from the start; its cursor no longer means anything to the vendor."""


class Rejected(BridgeError):
    """
    Reject one write or one call in the vendor's own words.

    `code` is the vendor's, `existing_id` the id the vendor named in a conflict,
    `trace` the vendor's correlation id for its support.
    """

    def __init__(
        self, message: str, *, code: str = "", existing_id: str | None = None, trace: str = ""
    ) -> None:
        self.code = code
        self.existing_id = existing_id
        self.trace = trace
        super().__init__(message)


class StoreError(BridgeError):
    """Stop: the store is held by another daemon, newer than this program, or damaged."""
