"""How a task asks a rep who somebody is, and how the rep's answer is read out of it again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.journey.folding import fold
from bridge.journey.handles import Handle
from bridge.journey.interaction import Interaction
from bridge.journey.keys import find_markers
from bridge.journey.question_words import ANSWERS, HINTS, NO, NONE, YES, QuestionWords, question_words
from bridge.journey.text import Style
from bridge.journey.text_format import (
    clock_time,
    in_zone,
    long_day,
    one_line,
    phone_text,
    without_controls,
)

FIRST_WORDS = 120
"""Characters of somebody's last message that a task shows."""

SUBJECT_LENGTH = 200

_answer = re.compile(rf"^\W*({'|'.join(ANSWERS)})(?!\w)\s*:?\s*(.*)$", re.IGNORECASE)
_numbers = re.compile(r"\d{1,3}(?:(?:\s*[,;+&]\s*|\s+(?:e|y|and)\s+|\s+)\d{1,3})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What is asked: who somebody undecided is, or whether what is probably a contact's is theirs.

    `about` says who somebody undecided is as far as is known, or names the contact. `choices` are what is chosen
    from, a line each, `names` what they are called. `last` is the last message, None where there is none to show.
    """

    kind: Literal["undecided", "probable"]
    about: str
    choices: tuple[str, ...]
    names: tuple[str, ...]
    last: Interaction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a rep answered: yes, no, none of them, or numbers."""

    word: Literal["yes", "no", "none", "numbers"]
    numbers: tuple[int, ...] = ()


def subject_of(asked: Asked, style: Style) -> str:
    """Return the question in one line."""
    words = question_words(style.language)
    if asked.kind == "probable":
        several = len(asked.choices) > 1
        text = (
            words.is_all.format(asked.about) if several else words.is_it.format(asked.names[0], asked.about)
        )
    elif len(asked.choices) == 1:
        text = words.is_it.format(asked.about, asked.names[0])
    else:
        text = words.who_is.format(asked.about, f" {style.words.or_} ".join(asked.names))
    return text[:SUBJECT_LENGTH]


def question_text(asked: Asked, style: Style, key: str) -> str:
    """Return the text of a task: what is known, what to choose from, where and how to answer; the key last."""
    words = question_words(style.language)
    numbered = [f"{number}  {line}" for number, line in enumerate(asked.choices, 1)]
    lines = [
        asked.about,
        *([_last_message(asked.last, style, words)] if asked.last is not None else []),
        "",
        *numbered,
        "",
        f"{words.answer}: ",
        "",
        _how(asked.kind, len(asked.choices), words),
        words.consequences,
        f"crmbridge {key}",
    ]
    return without_controls("\n".join(lines))


def settled_text(shown: str, name: str, style: Style, *, dismissed: bool = False) -> str:
    """
    Return the text of a task that is asked no more, and begins with why.

    `name` is who it turned out to be, empty where that is open, as what is known changed, or it was `dismissed`.
    """
    words = question_words(style.language)
    line = words.dismissed if dismissed else words.changed
    if name:
        line = words.settled.format(one_line(name))
    return f"{line}\n{shown}"


def text_again(shown: str, said: str, style: Style, sent: str | None) -> str:
    """
    Return the text of a task that is asked once more, as `said` is no answer: it is told so, and left to answer.

    Where the place for it was deleted the question is put back as it was `sent`, before what was written since.
    """
    lines = shown.splitlines()
    start, stop = _place(lines)
    found = _answer.match(lines[start]) if start < stop else None
    if found:
        lines[start:stop] = [f"{found[1]}: ", ""]
    elif sent is not None:
        lines = [*sent.splitlines(), "", *_more(lines, sent)]
    words = question_words(style.language)
    return "\n".join([words.no_answer.format(one_line(said)), *lines])


def read_answer(shown: str, sent: str | None) -> Answer | str:
    """
    Return what a rep answered, else what they wrote that is no answer, an empty text where they wrote nothing.

    `sent` is the text as we left it, None where that is not known: what was written anywhere else is no answer,
    and is not overlooked.
    """
    lines = shown.splitlines()
    start, stop = _place(lines)
    found = _answer.match(lines[start]) if start < stop else None
    said = " ".join(" ".join([found[2] if found else "", *lines[start + 1 : stop]]).split())
    if said:
        return _meant(said) or said
    return " ".join(_more(lines, sent)) if sent is not None else ""


def _more(lines: Sequence[str], sent: str) -> list[str]:
    """Return the lines that were not sent."""
    known = {"", *(_plain(line) for line in sent.splitlines())}
    return [line.strip() for line in lines if _plain(line) not in known]


def _place(lines: Sequence[str]) -> tuple[int, int]:
    """
    Return from which line to which the answer stands; an empty range where there is no place for one.

    It is the last that begins like one: a contact's name, or what is quoted of a person, may do so before it.
    """
    places = [place for place, line in enumerate(lines) if _answer.match(line)]
    if not places:
        return 0, 0
    start = places[-1]
    for place in range(start + 1, len(lines)):
        line = lines[place].strip()
        if line.startswith(HINTS) or find_markers(line):
            return start, place
    return start, len(lines)


def _plain(line: str) -> str:
    return " ".join(line.split())


def _meant(said: str) -> Answer | None:
    word = fold(said).strip(" \t\"'“”«».!()[]#")
    if _numbers.fullmatch(word):
        return Answer(word="numbers", numbers=tuple(int(one) for one in re.findall(r"\d+", word)))
    if word in YES:
        return Answer(word="yes")
    if word in NO:
        return Answer(word="no")
    return Answer(word="none") if word in NONE else None


def _how(kind: str, count: int, words: QuestionWords) -> str:
    if count == 1:
        return words.how_one
    if kind == "probable":
        return words.how_all
    return words.how_several.format(", ".join(str(number) for number in range(1, count + 1)))


def _last_message(last: Interaction, style: Style, words: QuestionWords) -> str:
    local = in_zone(last["occurred_at"], style.zone)
    moment = f"{long_day(local, style.words)} {clock_time(local)}"
    channel = style.words.channels.get(last["channel"], last["channel"])
    said = one_line(last.get("body_text") or last.get("subject") or "", FIRST_WORDS + 1)
    said = f"{said[:FIRST_WORDS]}…" if len(said) > FIRST_WORDS else said
    line = words.last_message.format(f"{channel}, {moment}")
    return f'{line}: "{said}"' if said else line


def handle_text(handle: Handle) -> str:
    """Return an address, number or id as people write it."""
    if handle.kind == "whatsapp_id":
        return phone_text(f"+{handle.value}")
    return phone_text(handle.value) if handle.kind == "phone" else one_line(handle.value)


def same_text(handles: Sequence[Handle], style: Style) -> str:
    """Say which numbers and addresses two records share, each once; an empty text where there is none to show."""
    words = question_words(style.language)
    said = {
        (words.same_address if handle.kind == "email" else words.same_number).format(handle_text(handle))
        for handle in handles
        if handle.kind in ("email", "phone", "whatsapp_id")
    }
    return ", ".join(sorted(said))
