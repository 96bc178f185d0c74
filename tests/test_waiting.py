"""Who waits: only people ask, only people answer, on whatever channel."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.fold import Part, fold
from bridge.journey.interaction import Interaction
from bridge.journey.schema import Validator
from bridge.journey.waiting import Touch, Waiting, touch_of, waiting


def at(minute: int, **values: Any) -> Interaction:
    entity = {
        "kind": "message",
        "channel": "whatsapp",
        "direction": "inbound",
        "occurred_at": f"2026-11-18T17:{minute:02}:00Z",
        **values,
    }
    assert Validator.for_entity("interaction").check(entity) == []
    return fold([Part(record_key="r", entity=entity)])


def question(minute: int, text: str = "Qual o preço?", **values: Any) -> Interaction:
    return at(minute, body_text=text, **values)


def answer(minute: int, **values: Any) -> Interaction:
    return at(minute, **({"direction": "outbound", "body_text": "R$ 18.400"} | values))


def waits(*interactions: Interaction) -> Waiting | None:
    return waiting(touch_of(interaction) for interaction in interactions)


def is_waiting(*interactions: Interaction) -> bool:
    return waits(*interactions) is not None


def test_waiting_speaks_of_the_first_unanswered_question_and_counts_those_after_it() -> None:
    found = waits(
        question(1, "Oi"),
        answer(2),
        question(3, "Dá para\nparcelar  em 12x?"),
        question(9, "Dois fornos", channel="email", kind="email"),
    )
    assert found == Waiting(
        since="2026-11-18T17:03:00Z",
        channel="whatsapp",
        kind="message",
        text="Dá para parcelar em 12x?",
        count=2,
    )


def test_nobody_waits_who_never_asked_or_was_answered() -> None:
    assert waits() is None
    assert waits(answer(1)) is None
    assert waits(question(1), answer(2)) is None


@pytest.mark.parametrize(
    "values",
    [
        {"channel": "email", "kind": "email"},
        {"channel": "sms"},
        {"channel": "instagram", "kind": "comment"},
        {"tells": "status", "state": "delivered", "body_text": ""},
        {"state": "queued"},
        {"kind": "call", "channel": "phone", "state": "completed"},
        {"kind": "call", "channel": "phone", "state": "completed", "direction": "inbound"},
        {"kind": "call", "channel": "phone", "direction": "unknown"},
        {"kind": "meeting", "channel": "in_person", "state": "completed", "direction": "unknown"},
    ],
)
def test_a_person_of_ours_answers_on_any_channel(values: dict[str, Any]) -> None:
    assert not is_waiting(question(1), answer(2, **values))


@pytest.mark.parametrize(
    "values",
    [
        {"is_automated": True, "automated_by": "auto_reply", "kind": "email", "channel": "email"},
        {"is_automated": True, "automated_by": "bot"},
        {"is_automated": True, "automated_by": "template", "tells": "status", "state": "read"},
        {"tells": "status", "state": "failed"},
        {"state": "failed"},
        {"state": "scheduled"},
        {"deleted_at": "2026-11-18T17:03:00Z"},
        {"tells": "reaction", "reactions": [{"by": "us", "emoji": "👍"}]},
        {"kind": "note", "channel": "crm", "direction": "internal"},
        {"direction": "internal"},
        {"direction": "unknown"},
        {"kind": "post"},
        {"kind": "system_event"},
        {"kind": "call", "channel": "phone", "state": "missed"},
        {"kind": "call", "channel": "phone", "state": "completed", "outcome": "left voicemail"},
        {"kind": "call", "channel": "phone", "state": "completed", "outcome": "NO_ANSWER"},
        {"kind": "call", "channel": "phone", "state": "queued"},
        {"kind": "call", "channel": "phone", "tells": "status", "state": "unknown"},
        {"kind": "meeting", "channel": "in_person", "state": "scheduled"},
        {"kind": "meeting", "channel": "in_person"},
    ],
)
def test_what_is_no_persons_word_to_the_customer_answers_nothing(values: dict[str, Any]) -> None:
    assert is_waiting(question(1), answer(2, **values))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "email", "channel": "email"},
        {"kind": "form_submission", "channel": "web_form"},
        {"kind": "comment", "channel": "instagram"},
        {"kind": "voicemail", "channel": "phone"},
        {"kind": "call", "channel": "phone", "state": "missed"},
        {"kind": "call", "channel": "phone", "state": "cancelled"},
        {"kind": "call", "channel": "phone", "state": "completed", "outcome": "no answer"},
        {"tells": "edit"},
        {"visibility": "metadata"},
    ],
)
def test_these_wait_for_an_answer(values: dict[str, Any]) -> None:
    assert is_waiting(question(1, **values))


@pytest.mark.parametrize(
    "values",
    [
        {"is_automated": True, "automated_by": "auto_reply"},
        {"is_automated": True, "automated_by": "list"},
        {"is_automated": True, "automated_by": "bounce"},
        {"deleted_at": "2026-11-18T17:03:00Z"},
        {"tells": "reaction", "reactions": [{"by": "ana", "emoji": "👍"}]},
        {"tells": "removal"},
        {"kind": "page_view", "channel": "web_form"},
        {"kind": "system_event"},
        {"kind": "survey_response"},
        {"kind": "call", "channel": "phone", "tells": "status", "state": "unknown"},
        {"direction": "internal"},
        {"direction": "unknown"},
    ],
)
def test_these_ask_nothing(values: dict[str, Any]) -> None:
    assert not is_waiting(at(1, **values))


def test_a_missed_call_borrows_no_words_from_another_question() -> None:
    found = waits(at(1, kind="call", channel="phone", state="missed"), question(5, "Dá para parcelar?"))
    assert found == Waiting(since="2026-11-18T17:01:00Z", channel="phone", kind="call", text="", count=2)


def test_a_mail_without_text_shows_its_subject() -> None:
    found = waits(at(1, kind="email", channel="email", subject="Forno 60x40", visibility="subject"))
    assert found is not None
    assert found.text == "Forno 60x40"


def test_a_question_at_the_instant_of_an_answer_still_waits() -> None:
    assert is_waiting(question(1), answer(2), question(2))


def test_milliseconds_are_later_than_the_full_second() -> None:
    early = answer(2)
    late = question(1)
    late["occurred_at"] = "2026-11-18T17:02:00.500Z"
    assert is_waiting(late, early)


def test_a_long_text_is_cut() -> None:
    found = waits(question(1, "palavra " * 60))
    assert found is not None
    assert len(found.text) <= 200
    assert found.text.endswith("palavra…")


@given(
    touches=st.lists(
        st.builds(
            Touch,
            at=st.sampled_from(
                [f"2026-11-18T17:0{minute}:00{ms}Z" for minute in range(3) for ms in ("", ".250")]
            ),
            turn=st.sampled_from(["question", "answer", "neither"]),
            channel=st.sampled_from(["email", "whatsapp"]),
            kind=st.sampled_from(["message", "email"]),
            text=st.sampled_from(["", "a", "b"]),
        ),
        max_size=8,
    ),
    seed=st.randoms(use_true_random=False),
)
def test_order_does_not_matter_and_only_questions_after_the_last_answer_count(
    touches: list[Touch], seed: random.Random
) -> None:
    shuffled = list(touches)
    seed.shuffle(shuffled)
    found = waiting(shuffled)
    assert found == waiting(touches)
    answered = max((touch.at[:-1] for touch in touches if touch.turn == "answer"), default="")
    unanswered = [touch for touch in touches if touch.turn == "question" and touch.at[:-1] >= answered]
    assert (found is None) == (not unanswered)
    if found is not None:
        assert found.count == len(unanswered)
        first = min(touch.at[:-1] for touch in unanswered)
        assert (f"{first}Z", found.channel, found.kind, found.text) in {
            (touch.at, touch.channel, touch.kind, touch.text) for touch in unanswered
        }
        assert found.since == f"{first}Z"
