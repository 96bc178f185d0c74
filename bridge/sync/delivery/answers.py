"""What a CRM's users answer in our tasks: decisions like any other, or that a question is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import blake2b

from sqlalchemy import Connection as Transaction

from bridge.journey.identity import Decision
from bridge.journey.question import Answer, read_answer
from bridge.mapping import PushTask
from bridge.store import entities, looks, people
from bridge.store import ledger as books
from bridge.store.database import micros
from bridge.store.ledger import Filed
from bridge.store.questions import (
    CLOSED,
    Question,
    StandingTask,
    State,
    open_count,
    set_question,
    set_told,
    standing_questions,
    waits_in,
)
from bridge.store.writer import Priority
from bridge.sync.delivery.tasks import ShownTask, left_text, read_tasks
from bridge.sync.identity.decide import enter_decision
from bridge.sync.identity.dismissals import enter_dismissal
from bridge.sync.identity.reasons import IN_THE_CRM
from bridge.sync.runtime import Connection, Runtime

HEAR_EVERY = timedelta(minutes=10)
"""How often the daemon reads the open tasks; where the CRM tells of one by itself it does at once."""

SAID_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """
    What became of one question: its state from now on, and the decision that was answered, None where none was.

    `by` says whose word it is, `at` when it was given, in microseconds UTC, `place` names the task for people, `said`
    is what stands there.
    """

    question: Question
    state: State
    by: str
    at: int
    place: str
    said: str = ""
    decision: Decision | None = None


def hear(runtime: Runtime, connection: Connection, *, rests: bool = False) -> int:
    """
    Read the open tasks of a CRM, obey what was answered in them, and return how many are closed by that.

    Only what was written on the line for it, in a task that was completed, is an answer; a task that was deleted
    is a question dismissed. With `rests` they are read every ten minutes only. Raises what the connector raises.
    """
    rules, account_pk = connection.mapping.push_task, connection.account_pk
    assert account_pk is not None
    now = runtime.clock()
    if rules is None:
        return 0
    if rests and connection.heard is not None and connection.heard <= now < connection.heard + HEAR_EVERY:
        return 0
    connection.heard = now
    with runtime.database.read() as c:
        standing = standing_questions(c, account_pk)
        filed = books.filed_under(c, account_pk, [one.question.key for one in standing])
        names = _user_names(c, account_pk) if standing else {}
    shown = read_tasks(connection, rules, standing, filed) if standing else {}
    heard = []
    for one in standing:
        task = shown.get(one.question.key)
        if task is not None:
            found = _heard(runtime, connection, rules, one, task, filed.get(one.question.key), names)
            heard += [found] if found is not None else []

    def work(c: Transaction) -> None:
        for one in heard:
            _enter(c, runtime, connection, one)

    if heard:
        with runtime.identity_lock:
            runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)
    _ask_next(runtime, connection)
    return len(heard)


def _heard(
    runtime: Runtime,
    connection: Connection,
    rules: PushTask,
    one: StandingTask,
    task: ShownTask,
    left: Filed | None,
    names: Mapping[str, str],
) -> Heard | None:
    """Return what a task says by now, None where it is still open."""
    question = one.question
    at = micros(task.modified_at or runtime.clock())
    assert at is not None
    by = f"{names[task.by]} {IN_THE_CRM}" if task.by in names else IN_THE_CRM
    place = f"{connection.spec.title} task {one.ext_id}"
    if task.gone:
        return Heard(question=question, state="deleted", by=IN_THE_CRM, at=at, place=place)
    if not task.done:
        return None
    said = read_answer(task.text, left_text(rules, left) if left is not None else None)
    decision = None
    if isinstance(said, Answer):
        decision = _decision(connection, question, said, at=at, by=by, place=place)
        said = told(said)
    said = said[:SAID_LENGTH]
    if decision is not None:
        return Heard(
            question=question, state="answered", by=by, at=at, place=place, said=said, decision=decision
        )
    if not said or question.state == "settled":
        return Heard(question=question, state="finished", by=by, at=at, place=place, said=said)
    if question.state == "unread" and one.again:
        return Heard(question=question, state="unreadable", by=by, at=at, place=place, said=said)
    if question.state == "unread":
        return None
    return Heard(question=question, state="unread", by=by, at=at, place=place, said=said)


def told(answer: Answer) -> str:
    """Return an answer in words."""
    return ", ".join(map(str, answer.numbers)) if answer.word == "numbers" else answer.word


def meaning(question: Question, answer: Answer) -> tuple[str, Sequence[str], Sequence[str]] | None:
    """
    Return what an answer decides: kind, records and from whom those are split; None where it says nothing clear.

    Who is undecided is linked to the chosen contact, or split from all that could be chosen. What is probably
    a contact's is linked to it, or split from it and from whatever else stays with it.
    """
    about, choices = question.about, question.choices
    numbers = sorted(set(answer.numbers))
    if any(not 1 <= number <= len(choices) for number in numbers):
        return None
    chosen = [choices[number - 1] for number in numbers]
    if question.kind == "undecided":
        if answer.word == "yes" and len(choices) == 1:
            chosen = list(choices)
        if answer.word == "none" or (answer.word == "no" and len(choices) == 1):
            return "split", about, choices
        return ("link", (about[0], *chosen), ()) if len(chosen) == 1 else None
    if answer.word == "yes":
        return "link", (*about, *choices), ()
    if answer.word == "no" and len(choices) == 1:
        chosen = list(choices)
    if answer.word == "none" or not chosen or (len(choices) == 1 and answer.word == "numbers"):
        return None
    return "split", chosen, (*about, *(one for one in choices if one not in chosen))


def _decision(
    connection: Connection, question: Question, answer: Answer, *, at: int, by: str, place: str
) -> Decision | None:
    """Return the decision that an answer is; read again, as after a backup, it is the same one."""
    found = meaning(question, answer)
    if found is None:
        return None
    kind, records, others = found
    said = "\0".join(
        [connection.account_key, question.key, kind, *sorted(records), "|", *sorted(others), str(at)]
    )
    return Decision(
        id=f"d_{blake2b(said.encode(), digest_size=6).hexdigest()}",
        kind="link" if kind == "link" else "split",
        records=frozenset(records),
        others=frozenset(others),
        at=at,
        author=by,
        reason=f'answered "{told(answer)}" in {place}',
    )


def _enter(c: Transaction, runtime: Runtime, connection: Connection, one: Heard) -> None:
    """Enter what was heard of one question; the identity lock is held."""
    account_pk, question = connection.account_pk, one.question
    assert account_pk is not None
    if one.decision is not None:
        for stated in (*_against(c, question, one.decision), one.decision):
            enter_decision(c, runtime, stated)
    if one.state == "deleted" and question.state != "settled":
        reason = f"{one.place} was deleted"
        records = question.about if question.kind == "undecided" else (*question.about, *question.choices)
        enter_dismissal(
            c,
            runtime,
            question.suggestion,
            question.evidence,
            records,
            author=one.by,
            reason=reason,
            at=one.at,
        )
    set_question(c, account_pk, question.key, one.state, said=one.said, by=one.by)
    if one.state != "unread":
        set_told(c, account_pk, question.key, CLOSED)
    people_now = people.persons_at(c, {question.about[0]}).values()
    looks.touch(c, account_pk, set(people_now), runtime.sequence())


def _against(c: Transaction, question: Question, answered: Decision) -> list[Decision]:
    """Return what parts somebody from a contact that was decided to be theirs since it was asked, and is not."""
    others = [key for key in question.choices if key not in answered.records]
    person_of = people.persons_at(c, {question.about[0], *others})
    joined = {key for key in others if person_of.get(key) == person_of.get(question.about[0])}
    if answered.kind != "link" or question.kind != "undecided" or not joined:
        return []
    id = f"d_{blake2b(f'{answered.id}/apart'.encode(), digest_size=6).hexdigest()}"
    return [
        replace(answered, id=id, kind="split", records=frozenset(question.about), others=frozenset(joined))
    ]


def _ask_next(runtime: Runtime, connection: Connection) -> None:
    """Look again at so many of those who wait to be asked of as there is room for."""
    account_pk, push = connection.account_pk, connection.config.push
    assert account_pk is not None
    if push is None or push.ask is None:
        return
    with runtime.database.read() as c:
        room = max(0, push.ask.at_most - open_count(c, account_pk))
        waiting = looks.next_touched(c, waits_in(account_pk), room)

    def work(c: Transaction) -> None:
        looks.touch(c, account_pk, people.current_people(c, waiting), runtime.sequence())
        looks.untouch(c, waits_in(account_pk), waiting)

    if waiting:
        runtime.writer.run(work, priority=Priority.DELIVERY)


def _user_names(c: Transaction, account_pk: int) -> dict[str, str]:
    """Return the names of a CRM's users by the id by which it says who changed something."""
    found: dict[str, str] = {}
    for user in entities.entities_of_type(c, "user"):
        if user["account_pk"] == account_pk and user.get("name"):
            id = user.get("custom", {}).get("user_id") or str(user["ref"]).partition("/")[2]
            found[str(id)] = str(user["name"])
    return found
