"""What other programs of the company told over the inbound API this week: calls and forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bridge_api.sandbox import Interaction, call, form
from tests.demo.company import LINE, PEOPLE, RUI, Week


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to the company's number; nobody answered when it took no seconds."""

    of: str
    day: int
    clock: str
    seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A filled-in form of the website."""

    of: str
    day: int
    clock: str
    text: str


CALLS = (
    Call(of="ana", day=1, clock="09:12"),
    Call(of="marcelo", day=2, clock="15:30", seconds=312),
    Call(of="melo", day=1, clock="16:45"),
)
FORMS = (
    Form(of="camila", day=5, clock="19:30", text="Quero um forno pequeno para uma padaria de bairro."),
    Form(of="olivia", day=1, clock="20:10", text="Do you ship to Dublin, and how long does it take?"),
)


def calls(week: Week) -> Iterator[Interaction]:
    """Yield the requests of the telephone system."""
    for one in CALLS:
        person = PEOPLE[one.of]
        told = call(
            _number(person.phone),
            at=week.at(one.day, one.clock),
            id=f"call-{one.of}-{one.day}",
            seconds=one.seconds,
            agent=RUI if one.seconds else None,
        )
        yield {**told, "to": {"phone": LINE}}


def forms(week: Week) -> Iterator[Interaction]:
    """Yield the requests of the website."""
    for one in FORMS:
        person = PEOPLE[one.of]
        yield form(
            person.name,
            person.email,
            one.text,
            at=week.at(one.day, one.clock),
            id=f"form-{one.of}",
            phone=person.phone or None,
        )


def _number(phone: str) -> str:
    """Return a number as the telephone system writes it; without a + it is Brazilian."""
    digits = "".join(filter(str.isdecimal, phone))
    return f"+{digits}" if phone.startswith("+") else f"+55{digits}"
