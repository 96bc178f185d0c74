"""Who somebody is, as a CRM's users are asked in tasks: what each is about, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, exists, func, select, update

from bridge.store.among import among
from bridge.store.database import upsert
from bridge.store.holds import UNDONE
from bridge.store.intents import TASK_SLOT
from bridge.store.tables import hold, intent, ledger, question

State = Literal["asked", "unread", "answered", "finished", "unreadable", "deleted", "settled"]
"""
It is open; what was written in it is no answer, and it is asked once more; it was answered; it was completed
without an answer, or twice with what is none; a person deleted the task; it was decided otherwise.
"""

OPEN: tuple[State, ...] = ("asked", "unread")

ASKED, AGAIN, CLOSED = "asked", "again", "closed"
"""What the ledger says that a task tells: the question, the question once more, that it is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    One question; `key` is that of its task, `suggestion` and `evidence` what of `crmbridge review` it asks.

    `about` are the keys of the records that it is about, the one that stands for them first: those of somebody who
    is undecided, or the contact that is probably somebody. `choices` are what is chosen from, in the order of their
    numbers: the contacts, or the records that are probably that contact's.
    """

    key: str
    suggestion: str
    evidence: str
    kind: str
    about: tuple[str, ...]
    choices: tuple[str, ...]
    state: State = "asked"
    said: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingTask:
    """A question whose task stands in the CRM, where, and whether it was asked `again` there."""

    question: Question
    stream: str
    ext_id: str
    again: bool


def save_questions(c: Connection, account_pk: int, found: Iterable[Question]) -> None:
    """Keep what is asked; what is known of a key already stays as it is."""
    rows = [
        {
            "account_pk": account_pk,
            "key": one.key,
            "suggestion": one.suggestion,
            "evidence": one.evidence,
            "kind": one.kind,
            "body": orjson.dumps([one.about, one.choices]),
            "state": one.state,
            "said": one.said,
            "by": one.by,
        }
        for one in found
    ]
    upsert(c, question, rows, conflict=["account_pk", "key"])


def set_question(
    c: Connection, account_pk: int, key: str, state: State, *, said: str = "", by: str = ""
) -> None:
    """Note what became of a question."""
    same = (question.c.account_pk == account_pk, question.c.key == key)
    c.execute(update(question).where(*same).values(state=state, said=said, by=by))


def ask_anew(c: Connection, suggestion: str) -> None:
    """Let a suggestion be asked once more where a person deleted the task that asked it."""
    deleted = (question.c.suggestion == suggestion, question.c.state == "deleted")
    c.execute(update(question).where(*deleted).values(state="settled"))


def set_told(c: Connection, account_pk: int, key: str, told: str) -> None:
    """Note what a task tells where nothing was written to it: that it asks, or asks nothing any more."""
    same = (ledger.c.account_pk == account_pk, ledger.c.key == key)
    c.execute(update(ledger).where(*same).values(told=told))


def questions_on(c: Connection, suggestions: Collection[str]) -> list[tuple[int, Question]]:
    """Return what was ever asked of these suggestions, each with its account, by key."""
    if not suggestions:
        return []
    query = select(question).where(among(question.c.suggestion, suggestions)).order_by(question.c.key)
    return [(row.account_pk, _question(row)) for row in c.execute(query)]


def standing_questions(c: Connection, account_pk: int) -> list[StandingTask]:
    """Return the questions whose tasks stand in an account and are not closed there, by key."""
    query = (
        select(question, ledger.c.stream, ledger.c.ext_id, ledger.c.told)
        .join(ledger, (ledger.c.account_pk == question.c.account_pk) & (ledger.c.key == question.c.key))
        .where(question.c.account_pk == account_pk, ledger.c.told.in_((ASKED, AGAIN)), ~_taken_back())
        .order_by(question.c.key)
    )
    return [
        StandingTask(question=_question(row), stream=row.stream, ext_id=row.ext_id, again=row.told == AGAIN)
        for row in c.execute(query)
    ]


def open_count(c: Connection, account_pk: int) -> int:
    """Return how many questions of an account wait for an answer, their tasks written or about to be."""
    here = (question.c.account_pk == account_pk, question.c.state.in_(OPEN), ~_taken_back())
    return int(c.execute(select(func.count()).select_from(question).where(*here)).scalar_one())


def waits_in(account_pk: int) -> int:
    """Return the target in the queue of people to look at for those who wait until there is room to ask of them."""
    return -account_pk


def refused_questions(c: Connection, account_pk: int) -> list[Question]:
    """Return the open questions whose tasks the CRM refused to make."""
    query = (
        select(question)
        .join(intent, (intent.c.account_pk == question.c.account_pk) & (intent.c.key == question.c.key))
        .where(question.c.account_pk == account_pk, question.c.state.in_(OPEN), intent.c.state == "rejected")
        .order_by(question.c.key)
    )
    return [_question(row) for row in c.execute(query)]


def tasks_at(c: Connection, account_pk: int, stream: str, ext_ids: Iterable[str]) -> set[str]:
    """Return those of these objects that are tasks of ours."""
    query = select(ledger.c.ext_id).where(
        ledger.c.account_pk == account_pk,
        ledger.c.stream == stream,
        among(ledger.c.ext_id, ext_ids),
        ledger.c.slot == TASK_SLOT,
    )
    return set(c.execute(query).scalars())


def _taken_back() -> Any:
    """Say that a task was taken back with the run that made it."""
    same = (hold.c.account_pk == question.c.account_pk, hold.c.key == question.c.key)
    return exists().where(*same, hold.c.reason == UNDONE)


def _question(row: Any) -> Question:
    about, choices = orjson.loads(row.body)
    return Question(
        key=row.key,
        suggestion=row.suggestion,
        evidence=row.evidence,
        kind=row.kind,
        about=tuple(about),
        choices=tuple(choices),
        state=row.state,
        said=row.said,
        by=row.by,
    )
