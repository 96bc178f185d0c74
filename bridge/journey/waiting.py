"""
Who waits for us: what a customer said that no person of ours has answered yet, on any channel.

A question is a message, mail, form, comment or voicemail of the customer, or a call that nobody took. An
answer is a message or mail that a person of ours sent, whether or not its text is known, a call that
reached somebody, or a meeting that was held. Neither are: what a machine sent (bots, templates, automatic
replies, lists, bounces), internal words and notes, what was taken back or never left, a reaction (an
emoji answers nothing), and a voicemail of ours (the customer still waits for somebody to talk to).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bridge.journey.interaction import Interaction, was_unanswered

TEXT_LENGTH = 200

_QUESTIONS = frozenset({"message", "email", "form_submission", "comment", "voicemail"})
_ANSWERS = frozenset({"message", "email", "comment"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """What an interaction is in the turn of question and answer; `at` is its instant, RFC 3339 in UTC."""

    at: str
    turn: Literal["question", "answer", "neither"]
    channel: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """
    Somebody waits for us.

    `since`, `channel`, `kind` and `text` (shortened, empty where it has none) all speak of the first
    question that nobody answered. `count` is how many are unanswered, `called` whether a later one is a
    missed call.
    """

    since: str
    channel: str
    kind: str
    text: str
    count: int
    called: bool = False


def touch_of(interaction: Interaction) -> Touch:
    """Judge one interaction."""
    return Touch(
        at=interaction["occurred_at"],
        turn=_turn(interaction),
        channel=interaction["channel"],
        kind=interaction["kind"],
        text=interaction.get("body_text") or interaction.get("subject") or "",
    )


def waiting(touches: Iterable[Touch]) -> Waiting | None:
    """
    Tell whether somebody waits, from all touches of one person in any order.

    Of a question and an answer at the same instant the question counts as later: nobody answers within it.
    """
    questions: list[Touch] = []
    for touch in sorted(touches, key=_order):
        if touch.turn == "answer":
            questions.clear()
        elif touch.turn == "question":
            questions.append(touch)
    if not questions:
        return None
    first = questions[0]
    return Waiting(
        since=first.at,
        channel=first.channel,
        kind=first.kind,
        text=_shortened(first.text),
        count=len(questions),
        called=any(one.kind == "call" for one in questions[1:]),
    )


def _order(touch: Touch) -> tuple[str, bool, str, str, str]:
    """Without their final Z, instants with and without milliseconds compare as text."""
    return touch.at[:-1], touch.turn == "question", touch.channel, touch.kind, touch.text


def _turn(interaction: Interaction) -> Literal["question", "answer", "neither"]:
    kind, direction, state = interaction["kind"], interaction["direction"], interaction.get("state")
    if interaction.get("is_automated") or "deleted_at" in interaction:
        return "neither"
    if kind == "call":
        return _turn_of_call(interaction)
    if interaction.get("tells") in ("reaction", "removal") or state in ("scheduled", "cancelled", "failed"):
        return "neither"
    if kind == "meeting":
        return "answer" if state == "completed" else "neither"
    if direction == "inbound" and kind in _QUESTIONS:
        return "question"
    if direction == "outbound" and kind in _ANSWERS:
        return "answer"
    return "neither"


def _turn_of_call(call: Interaction) -> Literal["question", "answer", "neither"]:
    if call.get("tells", "whole") != "whole" or call.get("state") in ("scheduled", "queued"):
        return "neither"  # it still rings
    if not was_unanswered(call):
        return "answer"
    return "question" if call["direction"] == "inbound" else "neither"


def _shortened(text: str) -> str:
    line = " ".join(text[: 2 * TEXT_LENGTH].split())
    if len(line) <= TEXT_LENGTH:
        line = " ".join(text.split())
    return line if len(line) <= TEXT_LENGTH else f"{line[: TEXT_LENGTH - 1].rstrip()}…"
