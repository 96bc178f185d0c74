"""Our markers on what a CRM shows: our own write come back, somebody's copy of it, or what an older store wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction
from sqlalchemy import literal, select

from bridge.journey.keys import find_markers
from bridge.store.among import among
from bridge.store.questions import tasks_at
from bridge.store.tables import intent, ledger
from bridge.sync.intake.interpret import Meaning
from bridge.sync.runtime import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """
    The markers in a page of a CRM's records; `known` says where each stands, None where that is on its way.

    `tasks` are the places of our tasks, `<stream>/<id>`: who answers in one may delete its marker.
    """

    account_pk: int
    tasks: frozenset[str] = frozenset()
    known: Mapping[str, frozenset[tuple[int, str | None]]] = field(default_factory=dict)

    def is_ours(self, meaning: Meaning) -> bool:
        """
        Tell whether an interaction is what we wrote.

        Where a marker of this CRM stands elsewhere, a person copied our text. What carries one of another CRM
        was copied by a machine, and telling it again would never end.
        """
        if f"{meaning.stream}/{meaning.ext_id}" in self.tasks:
            return True
        if meaning.type != "interaction" or not self.known:
            return False
        return any(
            account_pk != self.account_pk or ext_id in (None, meaning.ext_id)
            for mark in marks_of(meaning)
            for account_pk, ext_id in self.known.get(mark, ())
        )

    def meant(self, meaning: Meaning) -> Iterator[str]:
        """Yield the markers of writes of which nobody knows yet whether they stand: this is where."""
        for mark in marks_of(meaning):
            if self.known.get(mark, frozenset()) == frozenset({(self.account_pk, None)}):
                yield mark

    def places_of(self, mark: str) -> set[str]:
        """Return the vendor ids of what the books have under a marker in this CRM."""
        known = self.known.get(mark, frozenset())
        return {
            ext_id for account_pk, ext_id in known if account_pk == self.account_pk and ext_id is not None
        }

    def unknown(self, meanings: Sequence[Meaning]) -> Iterator[tuple[str, Meaning]]:
        """Yield the markers that nobody knows, those that stand in a field of their own first, each once."""
        found: dict[str, Meaning] = {}
        marked = [one for one in meanings if marks_of(one)]
        for one in sorted(marked, key=lambda one: (_key(one) is None, one.stored.pk)):
            for mark in sorted(marks_of(one) - self.known.keys()):
                found.setdefault(mark, one)
        yield from found.items()


def alias_of(account_key: str, mark: str) -> str:
    """Return the alias of the entity that carries a marker nobody knows."""
    return f"marker:{account_key}:{mark}"


def seen_as(account_key: str, mark: str) -> str:
    """Return the alias of the place, `<stream>/<id>`, where the CRM showed what we were about to write."""
    return f"seen:{account_key}:{mark}"


def taken_as(account_key: str, mark: str) -> str:
    """Return the alias of the contact that took a marker over from another of ours, which was merged into it."""
    return f"taken:{account_key}:{mark}"


def read_marks(c: Transaction, connection: Connection, meanings: Iterable[Meaning]) -> Marks:
    """Look the markers of a page up in the books; those of a channel's records mean nothing."""
    assert connection.account_pk is not None
    if not connection.spec.contact_stream:
        return Marks(account_pk=connection.account_pk)
    found_here = list(meanings)
    tasks = _tasks(c, connection, found_here)
    marks = {mark for meaning in found_here for mark in marks_of(meaning)}
    if not marks:
        return Marks(account_pk=connection.account_pk, tasks=tasks)
    found: dict[str, set[tuple[int, str | None]]] = {}
    written = select(ledger.c.key, ledger.c.account_pk, ledger.c.ext_id).where(among(ledger.c.key, marks))
    meant = select(intent.c.key, intent.c.account_pk, literal(None)).where(among(intent.c.key, marks))
    for query in (written, meant):
        for key, account_pk, ext_id in c.execute(query):
            found.setdefault(key, set()).add((account_pk, ext_id))
    return Marks(
        account_pk=connection.account_pk,
        tasks=tasks,
        known={key: frozenset(places) for key, places in found.items()},
    )


def _tasks(c: Transaction, connection: Connection, meanings: Iterable[Meaning]) -> frozenset[str]:
    """Return the places of those of these records that are tasks of ours."""
    rules = connection.mapping.push_task
    if rules is None:
        return frozenset()
    assert connection.account_pk is not None
    there = {meaning.ext_id for meaning in meanings if meaning.stream == rules.stream}
    ours = tasks_at(c, connection.account_pk, rules.stream, there) if there else ()
    return frozenset(f"{rules.stream}/{ext_id}" for ext_id in ours)


def marks_of(meaning: Meaning) -> set[str]:
    """Return the markers an entity carries: in its text, or in a field of its own."""
    key = _key(meaning)
    marks = {key} if key else set()
    if meaning.type == "interaction":
        marks |= find_markers(meaning.body.get("body_full") or meaning.body.get("body_text") or "")
    return marks


def _key(meaning: Meaning) -> str | None:
    key = meaning.body.get("custom", {}).get("crmbridge_key")
    return str(key) if key else None
