"""Tasks that ask a CRM's users who somebody is: which are written, taken back, and put once more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection as Transaction

from bridge.connector import Sink
from bridge.errors import MappingError
from bridge.journey.keys import marker
from bridge.journey.question import settled_text, text_again
from bridge.mapping import PushTask
from bridge.model import Found, Link, Write
from bridge.store import ledger as books
from bridge.store import looks, people, rejects
from bridge.store.dismissals import dismissed
from bridge.store.holds import EDITED, held
from bridge.store.intents import GROWTH_SLOT, TASK_SLOT, changing_intents, drop_intents, load_intents
from bridge.store.ledger import Filed
from bridge.store.questions import (
    AGAIN,
    ASKED,
    CLOSED,
    OPEN,
    Question,
    StandingTask,
    open_count,
    questions_on,
    refused_questions,
    save_questions,
    set_question,
    set_told,
    standing_questions,
    waits_in,
)
from bridge.sync.delivery.adopted import file_standing
from bridge.sync.delivery.plan_values import Action, Change, Destination, PersonState, Standing
from bridge.sync.delivery.questions import Wanted, wanted_questions
from bridge.sync.delivery.tasks import ShownTask, as_left, left_text, read_tasks
from bridge.sync.runtime import Connection, Runtime


def plan_questions(
    runtime: Runtime, connection: Connection, destination: Destination, states: Sequence[PersonState]
) -> list[Action]:
    """
    Return which tasks are written for these people, put once more, or closed as their question is settled.

    A task that stands in the CRM already, from a store that was put back since, is entered into the books. Raises
    what the connector raises.
    """
    rules, account_pk = connection.mapping.push_task, connection.account_pk
    assert account_pk is not None
    if rules is None:
        return []
    ask = destination.push.ask
    with runtime.database.read() as c:
        standing = standing_questions(c, account_pk)
        wanted = wanted_questions(c, runtime, connection, destination, states) if ask is not None else {}
        refused = refused_questions(c, account_pk)
        if not standing and not wanted and not refused:
            return []
        asked = questions_on(c, {one.question.suggestion for one in wanted.values()})
        known = [question for pk, question in asked if pk == account_pk]
        on_their_way = {item.write.key for item in load_intents(c, account_pk, slot=TASK_SLOT)}
        changing = changing_intents(c, account_pk)
        keys = {one.question.key for one in standing} | {one.key for one in known}
        filed = books.filed_under(c, account_pk, keys)
        kept = held(c, account_pk, keys)
        about = {one.question.about[0] for one in standing} | {one.about[0] for one in refused}
        person_of = people.persons_at(c, about)
        room = ask.at_most - open_count(c, account_pk) - destination.asked if ask is not None else 0
        none = dismissed(c)
    by_person = {state.person_id: state for state in states}
    actions: list[Action] = []
    for one in wanted.values():
        question = _to_ask(connection.account_key, one.question, known, {*filed, *on_their_way, *kept})
        if question is None:
            continue
        if question not in known and room <= 0:
            actions.append(_waits(one, question))
            continue
        room -= question not in known
        actions.append(_asking(destination, rules, one, question))
    actions += [
        _dropped(question, by_person[person_of[question.about[0]]])
        for question in refused
        if person_of.get(question.about[0]) in by_person and not _is_wanted(question, wanted, person_of)
    ]
    late = [
        one
        for one in standing
        if one.question.key not in changing
        and (one.question.about[0] not in person_of or person_of[one.question.about[0]] in by_person)
    ]
    actions += _changes(connection, destination, rules, late, wanted, none, person_of, by_person, filed, kept)
    return _located(connection, actions)


def _to_ask(
    account_key: str, wanted: Question, known: Sequence[Question], there: Collection[str]
) -> Question | None:
    """Return a question with the key of the task that is to be made for it, None where there is none to make."""
    same = [
        one
        for one in known
        if one.suggestion == wanted.suggestion and one.evidence == wanted.evidence and one.state != "settled"
    ]
    if same:
        again = [one for one in same if one.state in OPEN and one.key not in there]
        return again[0] if again else None
    turn = sum(1 for one in known if (one.suggestion, one.evidence) == (wanted.suggestion, wanted.evidence))
    name = f"{wanted.suggestion}/{wanted.evidence}/{turn}"
    return replace(wanted, key=marker(account_key, name, TASK_SLOT))


def _waits(one: Wanted, question: Question) -> Action:
    reason = "waits until one of the open questions of who somebody is was answered"
    return Action(kind="skip", person_id=one.person_id, name=one.name, reason=reason, question=question)


def _asking(destination: Destination, rules: PushTask, one: Wanted, question: Question) -> Action:
    view = one.view(question.key, destination.style)
    try:
        fields = rules.fields(view)
    except MappingError as error:
        return Action(kind="hold", person_id=one.person_id, name=one.name, reason=str(error))
    return Action(
        kind="ask",
        person_id=one.person_id,
        name=one.name,
        write=Write(
            key=question.key,
            op="create",
            stream=rules.stream,
            fields=fields,
            links=tuple(
                Link(stream=destination.contact_stream, to=contact, role="contact")
                for contact in one.contacts
            ),
        ),
        slot=TASK_SLOT,
        title=view["subject"],
        told=ASKED,
        question=question,
    )


def _changes(
    connection: Connection,
    destination: Destination,
    rules: PushTask,
    standing: Sequence[StandingTask],
    wanted: Mapping[str, Wanted],
    none: Collection[tuple[str, str]],
    person_of: Mapping[str, str],
    by_person: Mapping[str, PersonState],
    filed: Mapping[str, Filed],
    kept: Mapping[str, str],
) -> list[Action]:
    """Return how tasks that stand are closed, as their question is settled, or put once more."""
    settled, again = [], []
    for one in standing:
        question = one.question
        holds = _is_wanted(question, wanted, person_of)
        if not holds and question.key not in kept:
            settled.append(one)
        elif holds and question.state == "unread" and not one.again:
            again.append(one)
    shown = read_tasks(connection, rules, [*settled, *again], filed)
    actions: list[Action] = []
    for one in (*settled, *again):
        task, before = shown.get(one.question.key), filed.get(one.question.key)
        if task is None or task.gone or before is None:
            continue  # what a person did to it is heard first
        state = by_person.get(person_of.get(one.question.about[0], ""))
        style = destination.style
        if one in again:
            if task.done:
                said = text_again(task.text, one.question.said, style, left_text(rules, before))
                actions.append(_told(connection, rules, one, state, before, task, said, done=False))
        elif task.done or not as_left(rules, before, task):
            said = f"task {one.ext_id} is settled, but a person wrote in it or completed it; it stays so"
            actions.append(
                Action(
                    kind="keep",
                    person_id=_person(state, person_of, one),
                    name=state.name if state else "",
                    reason=said,
                    entry=one.question.key,
                    hold=EDITED,
                    question=replace(one.question, state="settled"),
                )
            )
        else:
            said = settled_text(
                task.text,
                _turned_out(connection, one.question, state),
                style,
                dismissed=(one.question.suggestion, one.question.evidence) in none,
            )
            actions.append(_told(connection, rules, one, state, before, task, said, done=True))
    return actions


def _is_wanted(question: Question, wanted: Mapping[str, Wanted], person_of: Mapping[str, str]) -> bool:
    """Tell whether a question would be asked today, on the same evidence."""
    now = wanted.get(person_of.get(question.about[0], ""))
    same = (question.suggestion, question.evidence)
    return now is not None and (now.question.suggestion, now.question.evidence) == same


def _dropped(question: Question, state: PersonState) -> Action:
    return Action(
        kind="skip",
        person_id=state.person_id,
        name=state.name,
        reason="its task was refused, and is not asked any more",
        question=replace(question, state="settled"),
    )


def _person(state: PersonState | None, person_of: Mapping[str, str], one: StandingTask) -> str:
    return state.person_id if state is not None else person_of.get(one.question.about[0], "")


def _turned_out(connection: Connection, question: Question, state: PersonState | None) -> str:
    """Return the name of the contact that somebody turned out to be, empty where it is none of those asked of."""
    if state is None or len(state.contacts) != 1:
        return ""
    key = connection.node_key(connection.spec.contact_stream, state.contacts[0])
    return state.name if key in (*question.choices, *question.about) else ""


def _told(
    connection: Connection,
    rules: PushTask,
    one: StandingTask,
    state: PersonState | None,
    before: Filed,
    task: ShownTask,
    text: str,
    *,
    done: bool,
) -> Action:
    """Return the update by which a task is closed, or open again, with another text."""
    values = rules.fields({"key": one.question.key, "text": text, "done": done})
    changed = {name: value for name, value in values.items() if value != before.fields.get(name)}
    if not done:
        changed |= {name: value for name, value in values.items() if value != task.fields.get(name)}
    told = CLOSED if done else AGAIN
    return Action(
        kind="grow",
        person_id=state.person_id if state is not None else "",
        name=state.name if state is not None else "",
        write=Write(
            key=marker(connection.account_key, one.question.key, f"{GROWTH_SLOT}:{told}"),
            op="update",
            stream=one.stream,
            id=one.ext_id,
            fields=changed,
        ),
        slot=GROWTH_SLOT,
        changes=tuple(
            Change(field=name, before=task.fields.get(name), after=value)
            for name, value in sorted(changed.items())
        ),
        title=text.partition("\n")[0],
        entry=one.question.key,
        told=told,
        question=replace(one.question, state="settled") if done else one.question,
    )


def _located(connection: Connection, actions: Sequence[Action]) -> list[Action]:
    """Return the actions with those tasks adopted that stand in the CRM already, as after a restored backup."""
    sink = connection.connector
    assert isinstance(sink, Sink)
    writes = [action.write for action in actions if action.kind == "ask" and action.write is not None]
    there = {one.key: one.id for one in sink.locate(writes) if isinstance(one, Found)} if writes else {}
    found = []
    for action in actions:
        write = action.write
        if write is None or action.kind != "ask" or write.key not in there:
            found.append(action)
            continue
        left = Standing(
            key=write.key,
            entity_id="",
            stream=write.stream,
            ext_id=there[write.key],
            contacts=tuple(link.to for link in write.links),
        )
        said = "stands already, in a task from before a backup or of a call without an answer"
        found.append(replace(action, kind="adopt", write=None, reason=said, standing=left))
    return found


def enter_questions(
    c: Transaction, runtime: Runtime, connection: Connection, actions: Sequence[Action]
) -> None:
    """Keep what tasks ask, and where they stand already; who has to wait to be asked of is looked at again later."""
    for action in actions:
        if action.question is not None:
            _enter(c, runtime, connection, action, action.question)


def _enter(
    c: Transaction, runtime: Runtime, connection: Connection, action: Action, question: Question
) -> None:
    account_pk = connection.account_pk
    assert account_pk is not None
    if action.kind == "skip" and question.state != "settled":
        looks.touch(c, waits_in(account_pk), [action.person_id], runtime.sequence())
        return
    if action.kind == "skip":
        drop_intents(c, account_pk, [question.key])
        rejects.close_for_intents(c, account_pk, [question.key])
    save_questions(c, account_pk, [question])
    set_question(c, account_pk, question.key, question.state, said=question.said, by=question.by)
    if action.kind == "adopt" and action.standing is not None:
        left = action.standing
        file_standing(c, runtime, connection, action, left)
        set_told(c, account_pk, left.key, ASKED)
        connection.heard = None
