"""What a plan is made from, one person at one destination, and what it is made of, small actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from bridge.config import Push
from bridge.journey.text import Style
from bridge.mapping import Mapping as MappingFile
from bridge.model import Json, Write
from bridge.store.entities import Interaction
from bridge.store.ledger import FieldState, Filed

Kind = Literal["create_contact", "entry", "link", "fields", "adopt", "skip", "hold", "moved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A deal of a contact: open from `created_at` until `closed_at` (None: still open or unknown)."""

    id: str
    created_at: datetime | None
    closed_at: datetime | None
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """
    A CRM account that may be written to, with the rules of its mapping.

    `lacking` are contact fields that the mapping owns and the CRM does not have yet.
    """

    account_pk: int
    account_key: str
    contact_stream: str
    deal_stream: str
    push: Push
    mapping: MappingFile
    style: Style
    lacking: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the CRM shows under one of our markers, `key`, that is not in the books; `contacts` are those it is on."""

    key: str
    entity_id: str
    stream: str
    ext_id: str
    contacts: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonState:
    """
    One person as a destination's plan needs to know them.

    `contacts` are the ids of their contacts there, `candidates` those they might be when
    nothing decides, `pending` the key of a contact being created. `entry_of` names the entry
    each interaction already stands in, `filed` where an entry was filed, `standing` what stands
    there unfiled, by marker. `shared` are, for an interaction with others, their contacts.
    `present` are the CRM's values now, None while unread.
    """

    person_id: str
    name: str
    contacts: tuple[str, ...]
    candidates: tuple[str, ...] = ()
    pending: str | None = None
    interactions: tuple[Interaction, ...] = ()
    entry_of: Mapping[str, str] = field(default_factory=dict)
    filed: Mapping[str, Filed] = field(default_factory=dict)
    standing: Mapping[str, Standing] = field(default_factory=dict)
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    view: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, FieldState] = field(default_factory=dict)
    present: Mapping[str, Json] | None = None
    deals: tuple[Deal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field of a planned write: what it shows now and what it will show."""

    field: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """
    One line of the plan.

    `write` is None where nothing will be written (adopt, skip, hold, moved) and `reason` says why.
    `entity_ids` are the interactions it is about, `standing` is what is adopted.
    """

    kind: Kind
    person_id: str
    name: str
    write: Write | None = None
    slot: str = ""
    entity_ids: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    title: str = ""
    reason: str = ""
    standing: Standing | None = None


def no_write(kind: Kind, state: PersonState, interactions: Sequence[Interaction], reason: str) -> Action:
    """Return a line of the plan that only says why nothing is written."""
    return Action(
        kind=kind,
        person_id=state.person_id,
        name=state.name,
        entity_ids=tuple(interaction.entity_id for interaction in interactions),
        reason=reason,
    )
