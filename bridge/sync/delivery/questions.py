"""Which questions of who is who should stand as tasks in a CRM, and what each says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, cast

from sqlalchemy import Connection as Transaction

from bridge.config import Ask
from bridge.journey.handles import Handle
from bridge.journey.interaction import Interaction as Body
from bridge.journey.question import Asked, handle_text, question_text, same_text, subject_of
from bridge.journey.question_words import question_words
from bridge.journey.text import Style, is_shown
from bridge.journey.text_format import one_line
from bridge.store import entities, people
from bridge.store.dismissals import dismissed
from bridge.store.people import StoredNode
from bridge.store.questions import Question
from bridge.sync.delivery.plan_values import Destination, PersonState
from bridge.sync.identity.reasons import kind_of
from bridge.sync.identity.review import Suggestion, probable_among, spokesman, undecided_among
from bridge.sync.runtime import Connection, Runtime

_CHANNELS = {"email": "email", "phone": "phone", "whatsapp_id": "whatsapp", "whatsapp_bsuid": "whatsapp"}
"""The channel by whose name a sender is called, by the kind of handle; of any other it is the kind's first word."""

NOON = time(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A question that should be asked: of whom, on which contacts, of which user of the CRM, and in which words."""

    question: Question
    person_id: str
    name: str
    contacts: tuple[str, ...]
    owner_id: str | None
    asked: Asked
    due: datetime

    def view(self, key: str, style: Style) -> dict[str, Any]:
        """Return what the push mapping reads of a task that is still to be made."""
        view = {
            "key": key,
            "subject": subject_of(self.asked, style),
            "text": question_text(self.asked, style, key),
            "due_at": self.due.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "due_on": self.due.date().isoformat(),
            "done": False,
            "owner_id": self.owner_id,
        }
        return {name: value for name, value in view.items() if value is not None}


def wanted_questions(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    destination: Destination,
    states: Sequence[PersonState],
) -> dict[str, Wanted]:
    """Return by person what should be asked of them; whatever was dismissed or cannot be chosen from is not."""
    ask, account_pk = destination.push.ask, connection.account_pk
    assert ask is not None and account_pk is not None
    done = dismissed(c)
    due = _due(runtime, destination, ask)
    found: dict[str, Wanted] = {}
    for state, one in _suggestions(c, runtime, ask, states):
        if (one.key, one.digest) in done:
            continue
        members = people.load_nodes(c, one.records)
        candidates = people.load_nodes(c, {str(each["key"]) for each in one.candidates})
        maker = _Maker(
            account_pk=account_pk, style=destination.style_of(state), state=state, one=one, due=due
        )
        made = maker.undecided(members, candidates) if one.kind == "undecided" else maker.probable(members)
        if made is not None:
            owner = _owner(c, connection, ask, made.contacts, state)
            found[state.person_id] = replace(made, owner_id=owner)
    return found


def _suggestions(
    c: Transaction, runtime: Runtime, ask: Ask, states: Sequence[PersonState]
) -> Iterator[tuple[PersonState, Suggestion]]:
    """Yield those of these people whom a contact of the account could be, or probably is, with the suggestion."""
    by_person = {state.person_id: state for state in states}
    undecided = [one for one, state in by_person.items() if not state.contacts and state.possible]
    probable = [one for one, state in by_person.items() if len(state.contacts) == 1 and len(state.nodes) > 1]
    for kind, ids, among in (
        ("undecided", undecided, undecided_among),
        ("probable", probable, probable_among),
    ):
        for one in among(c, runtime, ids) if kind in ask.who and ids else ():
            (person_id,) = one.people
            yield by_person[person_id], one


def _due(runtime: Runtime, destination: Destination, ask: Ask) -> datetime:
    """Return noon of the day on which a task is due, where the company is."""
    zone = destination.style.zone
    day = runtime.clock().astimezone(zone).date() + timedelta(days=ask.due_in_days)
    return datetime.combine(day, NOON, tzinfo=zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Puts one suggestion into words."""

    account_pk: int
    style: Style
    state: PersonState
    one: Suggestion
    due: datetime

    def undecided(
        self, members: Mapping[str, StoredNode], candidates: Mapping[str, StoredNode]
    ) -> Wanted | None:
        """Ask which contact of the account somebody is; None where the evidence points to none of it."""
        there = [one for one in candidates.values() if one.contact_of == self.account_pk and one.contact_id]
        there.sort(key=_by_id)
        mine = sorted(members.values(), key=lambda stored: stored.key)
        if not there or not mine:
            return None
        first = spokesman(mine)
        about = (first.key, *(stored.key for stored in mine if stored.key != first.key))
        lines = tuple(self._line(self._contact(one), one, mine) for one in there)
        asked = Asked(
            kind="undecided",
            about=self._sender(first),
            choices=lines,
            names=tuple(self._name(one) for one in there),
            last=self._last(about),
        )
        return self._wanted(asked, about, tuple(one.key for one in there), _ids(there))

    def probable(self, members: Mapping[str, StoredNode]) -> Wanted | None:
        """Ask whether what evidence joins to a contact of the account is theirs; None where there is nothing else."""
        here = self.state.contacts[0]
        contacts = [
            one for one in members.values() if one.contact_of == self.account_pk and one.contact_id == here
        ]
        others = sorted(
            (one for one in members.values() if one.contact_of != self.account_pk), key=lambda one: one.key
        )
        if len(contacts) != 1 or not others:
            return None
        (contact,) = contacts
        lines = tuple(self._line(self._sender(one), one, [contact]) for one in others)
        asked = Asked(
            kind="probable",
            about=self._contact(contact),
            choices=lines,
            names=tuple(self._sender(one) for one in others),
            last=self._last(tuple(one.key for one in others)),
        )
        return self._wanted(asked, (contact.key,), tuple(one.key for one in others), (here,))

    def _wanted(
        self, asked: Asked, about: tuple[str, ...], choices: tuple[str, ...], contacts: tuple[str, ...]
    ) -> Wanted:
        return Wanted(
            question=Question(
                key="",
                suggestion=self.one.key,
                evidence=self.one.digest,
                kind=self.one.kind,
                about=about,
                choices=choices,
            ),
            person_id=self.state.person_id,
            name=self.state.name,
            contacts=contacts,
            owner_id=None,
            asked=asked,
            due=self.due,
        )

    def _line(self, label: str, one: StoredNode, others: Sequence[StoredNode]) -> str:
        theirs = {key for other in others for key in other.handles}
        shared = same_text([_handle(one, key) for key in sorted(one.handles) if key in theirs], self.style)
        return f"{label}: {shared}" if shared else label

    def _name(self, one: StoredNode) -> str:
        return one_line(one.name or "") or question_words(self.style.language).contact.format(one.contact_id)

    def _contact(self, one: StoredNode) -> str:
        contact = question_words(self.style.language).contact.format(one.contact_id)
        name = one_line(one.name or "")
        return f"{name}, {contact}" if name else contact

    def _sender(self, one: StoredNode) -> str:
        """Say who somebody is as far as a record tells: channel, address or number, what they call themselves."""
        name = one_line(one.name or "")
        if one.contact_id is not None:
            return f"{one.key.partition(':')[0]} {self._contact(one)}"
        if kind_of(one) == "sender":
            handle = _handle(one, one.key)
            word = _CHANNELS.get(handle.kind, handle.kind.partition("_")[0])
            label = f"{self.style.words.channels.get(word, word)} {handle_text(handle)}"
        else:
            told = sorted({handle_text(handle) for handle, made in one.handles.values() if not made})
            label = f"{question_words(self.style.language).typed_in}: {', '.join(told)}"
        return f'{label}, "{name}"' if name else label

    def _last(self, keys: Sequence[str]) -> Body | None:
        """Return the last that came from these records and can be shown."""
        found = [
            one.body
            for one in self.state.interactions
            if set(keys) & set(one.node_keys)
            and one.body.get("direction") == "inbound"
            and not one.body.get("deleted_at")
            and is_shown(cast(Body, one.body))
        ]
        return cast(Body, max(found, key=lambda body: body.get("occurred_at", ""))) if found else None


def _by_id(one: StoredNode) -> tuple[int, str]:
    """Return what puts contacts in order: the same in every store, so that a number always means the same one."""
    return len(one.contact_id or ""), one.contact_id or ""


def _ids(nodes: Sequence[StoredNode]) -> tuple[str, ...]:
    return tuple(one.contact_id for one in nodes if one.contact_id)


def _handle(one: StoredNode, key: str) -> Handle:
    return one.handles[key][0]


def _owner(
    c: Transaction, connection: Connection, ask: Ask, contacts: Sequence[str], state: PersonState
) -> str | None:
    """Return the id of the user whose task it is: the one of the configuration, else the likeliest contact's owner."""
    account_pk = connection.account_pk
    assert account_pk is not None
    if ask.owner is not None:
        for user in entities.entities_of_type(c, "user"):
            if (
                user["account_pk"] == account_pk
                and str(user.get("email", "")).casefold() == ask.owner.casefold()
            ):
                return str(user["ref"]).partition("/")[2]
    likeliest = [one for one, _ in state.possible if one in contacts]
    refs = [f"{connection.spec.contact_stream}/{one}" for one in dict.fromkeys([*likeliest, *contacts])]
    found = entities.entities_at(c, account_pk, refs)
    owners = (found.get(ref, {}).get("owner_ref", "") for ref in refs)
    return next((owner.partition("/")[2] for owner in owners if owner), None)
