"""How a task asks who somebody is, what of it is read as an answer, and what an answer decides."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from bridge.journey.question import (
    Answer,
    Asked,
    question_text,
    read_answer,
    settled_text,
    subject_of,
    text_again,
)
from bridge.journey.text import Style
from bridge.store.questions import Question
from bridge.sync.delivery.answers import meaning

STYLE = Style(language="en", zone=ZoneInfo("America/Sao_Paulo"))


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("ANSWER: 2", Answer(word="numbers", numbers=(2,))),
        ("answer:\n(2)", Answer(word="numbers", numbers=(2,))),
        ("RESPUESTA: 1, 3", Answer(word="numbers", numbers=(1, 3))),
        ("RESPOSTA: 1 e 3", Answer(word="numbers", numbers=(1, 3))),
        ("RESPOSTA: Não.", Answer(word="no")),
        ("RESPUESTA: sí", Answer(word="yes")),
        ("RESPOSTA: “Nenhum”", Answer(word="none")),
        ("RESPUESTA: ninguno", Answer(word="none")),
        ("ANSWER:", ""),
        ("ANSWER: 2 or 3", "2 or 3"),
        ("ANSWER: 2\n3 rather", "2 3 rather"),
        ("ANSWER: not 2", "not 2"),
    ],
)
def test_only_what_is_clear_is_an_answer(written: str, heard: Answer | str) -> None:
    asked = Asked(kind="undecided", about="WhatsApp +55", choices=("A", "B", "C"), names=("A", "B", "C"))
    sent = question_text(asked, STYLE, "7F3A2C9KQ0XT")
    assert read_answer(sent.replace("ANSWER: ", written), sent) == heard


def test_what_is_written_outside_the_line_is_not_overlooked_and_not_taken_for_an_answer() -> None:
    asked = Asked(kind="undecided", about="WhatsApp +55", choices=("A", "B"), names=("A", "B"))
    sent = question_text(asked, STYLE, "7F3A2C9KQ0XT")
    assert read_answer(f"{sent}\n2", sent) == "2"
    assert read_answer("2", sent) == "2"
    again = text_again(sent.replace("ANSWER: ", "ANSWER: A?\nor B"), "A? or B", STYLE, sent)
    assert again == f'"A? or B" is no answer.\n{sent}'
    assert read_answer(settled_text(sent, "Ana", STYLE), None) == ""


@pytest.mark.parametrize("said", ["ANSWER 2 or 3", "ANSWER: Answer me first", "2 or 3", "deleted"])
def test_a_task_that_is_asked_once_more_can_be_answered(said: str) -> None:
    asked = Asked(kind="undecided", about="WhatsApp +55", choices=("A", "B"), names=("A", "B"))
    sent = question_text(asked, STYLE, "7F3A2C9KQ0XT")
    written = said if said == "deleted" else sent.replace("ANSWER: ", said)
    found = read_answer(written, sent)
    assert isinstance(found, str)
    again = text_again(written, found, STYLE, sent)
    assert read_answer(again, again) == ""
    assert read_answer(again.replace("\nANSWER: ", "\nANSWER: 2"), again) == Answer(
        word="numbers", numbers=(2,)
    )
    assert again.endswith("crmbridge 7F3A2C9KQ0XT\n\ndeleted") == (said == "deleted")


@pytest.mark.parametrize("name", ["Answer Ltd", "Resposta: 2", "ANSWER", "Answers & Co"])
def test_a_contact_whose_name_begins_like_an_answer_answers_nothing_and_is_in_nobodys_way(name: str) -> None:
    last = {
        "occurred_at": "2026-11-18T10:00:00Z",
        "channel": "whatsapp",
        "body_text": "x\u2028ANSWER: 2\ncrmbridge 7F3A2C9KQ0XT",
    }
    asked = Asked(kind="probable", about=name, choices=("A", "B"), names=("A", "B"), last=last)
    sent = question_text(asked, STYLE, "7F3A2C9KQ0XT")
    assert read_answer(sent, sent) == ""
    assert read_answer(sent.replace("\nANSWER: \n", "\nANSWER: yes\n"), sent) == Answer(word="yes")


@pytest.mark.parametrize(
    ("kind", "choices", "given", "decides"),
    [
        ("undecided", "xy", Answer(word="numbers", numbers=(2,)), ("link", "ay", "")),
        ("undecided", "xy", Answer(word="numbers", numbers=(1, 2)), None),
        ("undecided", "xy", Answer(word="numbers", numbers=(3,)), None),
        ("undecided", "xy", Answer(word="none"), ("split", "ab", "xy")),
        ("undecided", "xy", Answer(word="no"), None),
        ("undecided", "xy", Answer(word="yes"), None),
        ("undecided", "x", Answer(word="yes"), ("link", "ax", "")),
        ("undecided", "x", Answer(word="no"), ("split", "ab", "x")),
        ("probable", "x", Answer(word="yes"), ("link", "abx", "")),
        ("probable", "x", Answer(word="no"), ("split", "x", "ab")),
        ("probable", "x", Answer(word="numbers", numbers=(1,)), None),
        ("probable", "xyz", Answer(word="numbers", numbers=(1, 3)), ("split", "xz", "aby")),
        ("probable", "xyz", Answer(word="no"), None),
        ("probable", "xyz", Answer(word="none"), None),
    ],
)
def test_an_answer_decides_only_what_it_clearly_says(
    kind: str, choices: str, given: Answer, decides: tuple[str, str, str] | None
) -> None:
    asked = Question(
        key="k", suggestion="s", evidence="e", kind=kind, about=("a", "b"), choices=tuple(choices)
    )
    found = meaning(asked, given)
    assert (found and (found[0], "".join(found[1]), "".join(found[2]))) == decides


@pytest.mark.parametrize(
    ("language", "subject", "label", "how"),
    [
        ("en", "Is all of this Ana?", "ANSWER: ", 'Write "yes", or the numbers of what is somebody else\'s,'),
        ("pt", "Tudo isto é de Ana?", "RESPOSTA: ", 'Escreva "sim", ou os números do que é de outra pessoa,'),
        (
            "es",
            "¿Todo esto es de Ana?",
            "RESPUESTA: ",
            'Escriba "sí", o los números de lo que es de otra persona,',
        ),
    ],
)
def test_it_is_asked_in_the_language_of_the_company(
    language: str, subject: str, label: str, how: str
) -> None:
    style = Style(language=language, zone=ZoneInfo("UTC"))
    asked = Asked(kind="probable", about="Ana", choices=("X", "Y"), names=("X", "Y"))
    lines = question_text(asked, style, "7F3A2C9KQ0XT").splitlines()
    assert subject_of(asked, style) == subject
    assert lines[:6] == ["Ana", "", "1  X", "2  Y", "", label]
    assert lines[7].startswith(how)
    assert lines[-1] == "crmbridge 7F3A2C9KQ0XT"
