"""One record of the stand-in of Pipedrive, with everything it has ever been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bridge import Json
from bridge_pipedrive.sandbox_answers import Actor
from bridge_pipedrive.sandbox_kinds import Kind

Id = int | str
"""A number, or a UUID's text for leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a record was from `at` on, and who made it so."""

    at: datetime
    values: Mapping[str, Json]
    custom: Mapping[str, Json]
    deleted: bool
    actor: Actor


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """
    One record; `versions` holds every state, oldest first.

    `updated_at` also moves when something is linked to it. `merged_into` is the survivor of a merge.
    """

    kind: Kind
    id: Id
    added_at: datetime
    updated_at: datetime
    versions: list[Version] = field(default_factory=list)
    merged_into: Id | None = None

    @property
    def values(self) -> Mapping[str, Json]:
        return self.versions[-1].values

    @property
    def custom(self) -> Mapping[str, Json]:
        return self.versions[-1].custom

    @property
    def deleted(self) -> bool:
        return self.versions[-1].deleted

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.values.get(self.kind.title) or "")

    def as_of(self, moment: datetime) -> Version | None:
        """Return the state at `moment`; None when it was not there yet."""
        return next((version for version in reversed(self.versions) if version.at <= moment), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail that the mailbox of Pipedrive caught; `sent` by us."""

    id: int
    message_id: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    text: str
    sent: bool
    at: datetime
