"""What a plan is made from, one person at one destination, and what it is made of, small actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from bridge.config import Push
from bridge.journey.text import Style
from bridge.mapping import Mapping as MappingFile
from bridge.model import Json, Write
from bridge.store.entities import Interaction
from bridge.store.ledger import FieldState, Filed
from bridge.store.questions import Question

Kind = Literal[
    "create_contact",
    "entry",
    "ask",
    "grow",
    "link",
    "unlink",
    "archive",
    "fields",
    "adopt",
    "skip",
    "conflict",
    "hold",
    "keep",
    "later",
    "propose",
]
"""
What is done: a contact, an entry, a task that asks who somebody is, what an entry takes in, its place on one more
contact or no more on one, its end, a contact's fields; and what is not: it stands already, gets no entry, is filled
otherwise, waits for a person, stays as a person left it, waits for more to come, is for a person to do.
"""


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

    `lacking` are contact fields that the mapping owns and the CRM does not have yet, `zone` is where its
    days begin. With `provisional` whoever could be one of several contacts has their entries on one of them. An
    entry that was written less than `rest` seconds before `now` takes in nothing more until then. Until
    `older_until` an older store wrote there, and moved what it had written; None where none is known of. `asked` are
    the tasks planned for others before, of which the store knows nothing as they are only shown. A CRM that is
    `dated` tells since when a field has its value; what the journey dates later than `as_of` is yet to come.
    """

    account_pk: int
    account_key: str
    contact_stream: str
    deal_stream: str
    push: Push
    mapping: MappingFile
    style: Style
    lacking: frozenset[str] = frozenset()
    zone: tzinfo = UTC
    now: datetime | None = None
    rest: float = 0.0
    provisional: bool = False
    older_until: datetime | None = None
    asked: int = 0
    dated: bool = False
    as_of: datetime | None = None

    def style_of(self, state: PersonState) -> Style:
        """Return how the entries of a person read."""
        return replace(self.style, customer=state.name, unconfirmed=state.unconfirmed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """
    An entry as the CRM shows it now: the fields asked for, `gone` when it was deleted there.

    `contacts` and `deals` are those it stands on, None where the CRM or the mapping does not tell; `at` is when
    it changed last.
    """

    contacts: frozenset[str] | None = None
    deals: frozenset[str] | None = None
    fields: Mapping[str, Json] = field(default_factory=dict)
    gone: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What the CRM shows under one of our markers, `key`, that is not in the books; `contacts` are those it is on.

    `lost` are contacts where the books have it and that are gone, `heir` the one it is on instead of them.
    """

    key: str
    entity_id: str
    stream: str
    ext_id: str
    contacts: tuple[str, ...] = ()
    text: str = ""
    lost: tuple[str, ...] = ()
    heir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonState:
    """
    One person as a destination's plan needs to know them.

    People: `nodes` are the keys of their records and senders, `senders` those of the latter, `handles` their
    addresses, numbers and ids in channels, `contacts` the ids of their contacts there, `candidates` those they
    might be when nothing decides, `yielding` contacts of our making beside their own one, `taken` those of
    their e-mail addresses that another contact carries, `pending` the key of a contact being created,
    `taken_back` that of one that an undo archived, `deals` those of their only contact.
    `possible` are those contacts, id and name, the likeliest first; `dismissed` the key of the suggestion where
    somebody said not to decide it; `unconfirmed` the names of the others where
    entries stand on one of them until somebody decides, None where that is not so.
    `apart` are contacts that were used for somebody who has none now, because a decision says that they are not
    theirs; `spent` the keys that those, or others, were used under.

    Interactions: `carried` says which of several contacts carried one, `shared` the contacts of the others in
    one, `parties` the contacts of everybody in one.

    Entries, by key: `entry_of` names the one an interaction stands in, `members` all that one holds, `filed`
    where it was filed, `deals_of` the deals we put those on that are about to move or whose thread decides,
    `changing` the state of the intent that is about to change it, `held` why it (or a field) stays as it is,
    `doubles` those all of whose interactions stand elsewhere, `twins` the interactions that moved into an entry which
    a person touched, each with its id there, `standing` what stands there unfiled, `shown` what
    the CRM shows of those that were asked for, `seen` those that the CRM showed elsewhere, to be asked for.
    `gone` are contacts, of those they stood on or would go to, that the CRM has no more, and since when.

    Fields: `view` is what the mapping reads, `written` what we wrote last, `present` the CRM's values now,
    None while unread, `present_since` since when it has those whose age decides, None while that was not asked,
    `foreign` those that we filled with an address or number which is somebody else's by now.
    """

    person_id: str
    name: str
    contacts: tuple[str, ...]
    nodes: frozenset[str] = frozenset()
    senders: frozenset[str] = frozenset()
    handles: frozenset[str] = frozenset()
    candidates: tuple[str, ...] = ()
    possible: tuple[tuple[str, str], ...] = ()
    dismissed: str = ""
    unconfirmed: tuple[str, ...] | None = None
    pending: str | None = None
    interactions: tuple[Interaction, ...] = ()
    entry_of: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    filed: Mapping[str, Filed] = field(default_factory=dict)
    changing: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    taken_back: str = ""
    apart: frozenset[str] = frozenset()
    spent: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    shown: Mapping[str, Shown] = field(default_factory=dict)
    gone: Mapping[str, datetime | None] = field(default_factory=dict)
    standing: Mapping[str, Standing] = field(default_factory=dict)
    doubles: tuple[str, ...] = ()
    twins: Mapping[str, str] = field(default_factory=dict)
    yielding: frozenset[str] = frozenset()
    taken: Mapping[str, str] = field(default_factory=dict)
    carried: Mapping[str, str] = field(default_factory=dict)
    parties: Mapping[str, frozenset[str]] = field(default_factory=dict)
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    view: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, FieldState] = field(default_factory=dict)
    present: Mapping[str, Json] | None = None
    present_since: Mapping[str, datetime] | None = None
    foreign: frozenset[str] = frozenset()
    deals: tuple[Deal, ...] = ()
    deals_of: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field of a planned write: what it shows now and what it will show."""

    field: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What somebody says by moving an entry in the CRM: whose messages it holds, and not on which contact but which."""

    sender: str
    taken_off: str
    put_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """
    One line of the plan.

    `write` is None where nothing will be written (adopt, skip, hold, keep, later, moved) and `reason` says
    why. `entity_ids` are the interactions it is about, `entry` the key of the entry that is changed or
    kept, `told` the digest of what it then tells, `hold` why it is kept from now on, `standing` what is
    adopted, `correction` what the move of an entry says of its sender, `question` what a task asks and what
    becomes of that.
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
    entry: str | None = None
    told: str | None = None
    hold: str = ""
    standing: Standing | None = None
    correction: Correction | None = None
    question: Question | None = None


def no_write(kind: Kind, state: PersonState, interactions: Sequence[Interaction], reason: str) -> Action:
    """Return a line of the plan that only says why nothing is written."""
    return Action(
        kind=kind,
        person_id=state.person_id,
        name=state.name,
        entity_ids=tuple(interaction.entity_id for interaction in interactions),
        reason=reason,
    )
