"""The compiled rules of a mapping: from a record to an entity, from a view to vendor fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field
from typing import Literal, get_args

from bridge.mapping.modifiers import UnknownWords
from bridge.mapping.paths import Make
from bridge.mapping.steps import Place
from bridge.mapping.values import BadValue
from bridge.model import Json

Owns = Literal["always", "if_empty", "newest", "never"]
Group = Literal["thread_day", "message"]

OWNS: tuple[str, ...] = get_args(Owns)
GROUPS: tuple[str, ...] = get_args(Group)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRule:
    """
    How records of one stream become entities of one type.

    `fields_read` are the paths it reads, `*` for every item of a list, in order of the alphabet;
    `keys_read` those that are read as a whole.
    `digest` changes when this rule does. `lines` are those of its top fields.
    """

    stream: str
    entity: str
    fields_read: tuple[str, ...]
    keys_read: frozenset[tuple[str, ...]] = field(repr=False)
    digest: str
    lines: ReadOnly[str, int] = field(repr=False)
    make: Make = field(repr=False)
    unknown: UnknownWords = field(repr=False)

    def map(self, data: Json) -> dict[str, Json]:
        """
        Make the entity of one record; what is missing is left out, and nothing is validated.

        The result may share parts with `data`. Raises MappingError, and nothing else, for any JSON.
        """
        entity: dict[str, Json] = self.make(data, data)
        return entity

    @property
    def unknown_words(self) -> Counter[tuple[str, str]]:
        """How often each (field, word) met no rule since the mapping was loaded."""
        return self.unknown.counts

    def line(self, path: str) -> int:
        """Return the line that fills a path of the entity such as `emails[0]`; 0 if none does."""
        return self.lines.get(path.partition(".")[0].partition("[")[0], 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A word chosen by a field of the view."""

    by: Make
    table: ReadOnly[str, str]
    otherwise: str

    def of(self, view: Json) -> str:
        word = self.by(view, view)
        return self.table.get(word, self.otherwise) if isinstance(word, str) else self.otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class PushInteraction:
    """How entries of the timeline are written: to which stream, how grouped, with which fields."""

    streams: tuple[str, ...]
    to: Choice = field(repr=False)
    group: Choice = field(repr=False)
    makes: ReadOnly[str, Make] = field(repr=False)
    lines: ReadOnly[tuple[str, str], int] = field(repr=False)

    def stream_for(self, view: ReadOnly[str, Json]) -> str:
        """Return the vendor stream this entry belongs to."""
        return self.to.of(view)

    def group_for(self, view: ReadOnly[str, Json]) -> Group:
        """Return how messages are put together: one entry for a thread's day, or one each."""
        return "thread_day" if self.group.of(view) == "thread_day" else "message"

    def fields(self, stream: str, view: ReadOnly[str, Json]) -> dict[str, Json]:
        """Make the vendor fields of an entry; raises MappingError, and KeyError for an unknown stream."""
        made: dict[str, Json] = self.makes[stream](view, view)
        return made

    def line(self, stream: str, field: str) -> int:
        """Return the line that fills a vendor field; 0 if none does."""
        return self.lines.get((stream, field), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTask:
    """How a question becomes a task of the CRM's, and how the answer is read out of it; `fields_read` takes that."""

    stream: str
    make: Make = field(repr=False)
    answer: Make = field(repr=False)
    fields_read: tuple[str, ...]

    def fields(self, view: ReadOnly[str, Json]) -> dict[str, Json]:
        """Make the vendor fields of a task. Raises MappingError."""
        made: dict[str, Json] = self.make(view, view)
        return made

    def read(self, data: Json) -> dict[str, Json]:
        """Return `text`, `done` and `by` of a task as the vendor shows it. Raises MappingError."""
        found: dict[str, Json] = self.answer(data, data)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedValue:
    """
    A value wanted in a contact's field, whose word counts there, and the mapping line that says so.

    `reads` are the fields of the person that it is made of.
    """

    value: Json
    owns: Owns
    line: int
    reads: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedField:
    """One field of push.contact, made of `reads`; `clear` empties it where the source is missing."""

    make: Make = field(repr=False)
    reads: frozenset[str]
    owns: Owns
    clear: bool
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PushContact:
    """How what we know of a person is written to the CRM's contact."""

    stream: str
    owned: ReadOnly[str, OwnedField]

    def fields(self, view: ReadOnly[str, Json]) -> dict[str, OwnedValue]:
        """Make the wanted values; a field that is to be cleared wants the empty text. Raises MappingError."""
        wanted: dict[str, OwnedValue] = {}
        for name, owned in self.owned.items():
            try:
                value = owned.make(view, view)
            except BadValue as error:
                raise owned.place.error(error) from error
            if value is None and owned.clear:
                value = ""
            if value is not None:
                wanted[name] = OwnedValue(
                    value=value, owns=owned.owns, line=owned.place.line, reads=owned.reads
                )
        return wanted
