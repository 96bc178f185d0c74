"""The week's WhatsApp messages, and the webhooks in which Meta delivers them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from bridge_whatsapp.sandbox import (
    BUSINESS,
    Change,
    Sender,
    ad,
    echo,
    edit,
    reaction,
    status,
    text_message,
    voice_message,
    wamid,
)
from tests.demo.company import LINE, PEOPLE, Week

Kind = Literal["them", "us", "voice", "edit", "reaction", "status"]

BODY = 4
"""Changes in one delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One thing that WhatsApp told.

    `text` is what was said, an emoji or the word of a status; `about` the name of the message that an
    edit, a reaction or a status speaks of. `hidden` says that the sender's number was not shown.
    """

    of: str
    day: int
    clock: str
    kind: Kind
    text: str = ""
    name: str = ""
    about: str = ""
    from_ad: bool = False
    hidden: bool = False

    @property
    def id(self) -> str:
        """Return the message id that WhatsApp gave."""
        return wamid(self.name or (self.of, self.day, self.clock, self.kind))

    @property
    def thread(self) -> str:
        """Return by what the chat is named: the number where it is shown."""
        person = PEOPLE[self.of]
        return person.user_id if self.hidden or not person.whatsapp else person.whatsapp


def _them(of: str, day: int, clock: str, text: str, name: str = "", *, from_ad: bool = False) -> Line:
    return Line(of=of, day=day, clock=clock, kind="them", text=text, name=name, from_ad=from_ad)


def _us(of: str, day: int, clock: str, text: str, name: str = "") -> Line:
    return Line(of=of, day=day, clock=clock, kind="us", text=text, name=name)


def _voice(of: str, day: int, clock: str) -> Line:
    return Line(of=of, day=day, clock=clock, kind="voice")


def _about(kind: Kind, of: str, day: int, clock: str, about: str, text: str) -> Line:
    return Line(of=of, day=day, clock=clock, kind=kind, about=about, text=text)


LINES = (
    _them("ana", 5, "14:02", "Oi! Vocês entregam em Santos?", from_ad=True),
    _voice("ana", 5, "14:03"),
    _us("ana", 5, "14:09", "Às terças. Quantos fornos?"),
    _them("ana", 5, "14:15", "Dois, 60x40"),
    _us("ana", 5, "14:16", "Mando a proposta hoje"),
    _them("ana", 5, "14:20", "ana@padarialima.example"),
    _us("ana", 5, "16:05", "Enviada!", "ana-sent"),
    _about("status", "ana", 5, "16:06", "ana-sent", "read"),
    _them("ana", 2, "17:40", "Dá para parcelar em 12x?"),
    _them("carla", 2, "10:15", "Oi, vi o Forno turbo no Instagram", from_ad=True),
    _them("carla", 2, "10:16", "Qual o preço?"),
    _them("diego", 4, "11:30", "Hola, ¿el horno turbo funciona a gas?"),
    _us("diego", 4, "11:42", "Sí, a gas o eléctrico."),
    _them("diego", 4, "11:45", "Perfecto. ¿Y el envío a Rosario?"),
    _us("diego", 4, "12:03", "15 días. Le mando la cotización por correo."),
    _them("juergen", 3, "08:12", "Guten Tag, passt der Etagenofen durch eine 80-cm-Tür?"),
    _us("juergen", 3, "08:40", "Guten Tag Herr Brandt, ja: er ist 78 cm breit."),
    _them("james", 4, "13:20", "Is the 220 V version in stok?", "james-stock"),
    _about("edit", "james", 4, "13:21", "james-stock", "Is the 220 V version in stock?"),
    _us("james", 4, "13:50", "Yes, two left. Shall I hold one for you?", "james-two"),
    _about("reaction", "james", 4, "13:55", "james-two", "👍"),
    _voice("pedro", 3, "10:01"),
    _us("pedro", 3, "10:20", "Ouvi o seu áudio: a peça segue amanhã pelos correios."),
    _them("pedro", 3, "10:24", "E o manual?"),
    _us("pedro", 3, "10:31", "Vai por e-mail."),
    _us("fernanda", 5, "09:00", "Bom dia Fernanda, o técnico passa amanhã.", "fernanda-visit"),
    _about("reaction", "fernanda", 5, "09:04", "fernanda-visit", "❤️"),
    _them("fernanda", 5, "09:05", "A que horas?"),
    _us("fernanda", 5, "09:12", "Às dez."),
    _them("rafael", 2, "14:30", "Vocês consertam a porta do forno?"),
    _about("status", "rafael", 2, "15:02", "rafael-elsewhere", "sent"),
    _about("status", "rafael", 2, "15:02", "rafael-elsewhere", "delivered"),
    _about("status", "rafael", 2, "15:10", "rafael-elsewhere", "read"),
    _them("lucia", 4, "16:00", "Hola, ¡llegó el horno!"),
    _them("lucia", 4, "16:01", "¿Cómo se calibra la temperatura?"),
    _us("lucia", 4, "16:20", "¡Qué bueno! Te mando el manual por correo."),
    _them("sofia", 1, "11:30", "Buenos días, ¿hacen envíos a Puebla?"),
    _them("gustavo", 3, "15:10", "O forno desarma no calor. É normal?"),
    _us("gustavo", 3, "15:32", "Não é. O Marcos passa aí amanhã cedo."),
    _them("helena", 5, "10:40", "Oi, a válvula do vapor chegou?"),
    _us("helena", 5, "11:02", "Chegou hoje, Helena. Sai amanhã."),
    replace(_them("helena", 4, "09:15", "Troquei o número daqui, podem escrever neste mesmo?"), hidden=True),
    replace(_us("helena", 4, "09:30", "Claro, anotado."), hidden=True),
    _them("valeria", 3, "19:05", "Hola, soy Valeria, de Lima. ¿Precio del horno de piso?"),
    _us("valeria", 3, "19:21", "Hola Valeria, desde US$ 4.900. ¿Cuántos panes por hora?"),
    _them("camila", 4, "09:02", "Oi, preenchi o formulário de vocês ontem à noite"),
    _us("camila", 4, "09:10", "Oi Camila! Vi sim. É para produção própria?", "camila-hello"),
    _about("status", "camila", 4, "09:11", "camila-hello", "delivered"),
    _them("camila", 3, "18:30", "Isso, uns 80 pães por dia"),
    _us("camila", 3, "18:41", "Então o compacto basta. Mando as fotos."),
    _them("prado", 1, "15:45", "Boa tarde, o nosso forno sai esta semana?"),
)
"""Everything that WhatsApp told of customers and could be understood."""

BROKEN_CALL = "wacid.HBgNNTUxOTk5Nzc3MTAyMBUCABEYEkQ"
BROKEN_OF = "marcelo"
BROKEN_SECONDS = -4
"""A call that ended, by WhatsApp's own word, four seconds before it began."""

ACCOUNT_RULE = "account update"


def deliveries(week: Week) -> Iterator[list[Change]]:
    """Yield the webhooks in the order in which Meta sends them, each with a few changes."""
    changes = [_change(line, week) for line in sorted(LINES, key=lambda line: week.at(line.day, line.clock))]
    changes.append(_broken_call(week))
    for start in range(0, len(changes), BODY):
        yield changes[start : start + BODY]


def account_update() -> dict[str, object]:
    """Return a webhook that tells of the number's standing with Meta and of no customer."""
    value = {"display_phone_number": LINE[1:], "event": "UNFLAGGED", "current_limit": "TIER_1K"}
    change = {"field": "phone_number_quality_update", "value": value}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": BUSINESS.waba, "changes": [change]}],
    }


def _change(line: Line, week: Week) -> Change:
    person = PEOPLE[line.of]
    sender = Sender(
        name=person.name,
        wa_id=None if line.hidden else person.whatsapp or None,
        user_id=person.user_id or None,
    )
    at = week.at(line.day, line.clock)
    match line.kind:
        case "them":
            found = ad(
                "Forno turbo", id="120210998877", url="https://www.instagram.com/p/C9x/", click_id="A1"
            )
            return text_message(
                sender, line.text, at=at, id=line.id, referral=found if line.from_ad else None
            )
        case "us":
            return echo(sender, line.text, at=at, id=line.id)
        case "voice":
            return voice_message(sender, f"media-{line.of}", at=at, id=line.id)
        case "edit":
            return edit(sender, wamid(line.about), line.text, at=at, id=line.id)
        case "reaction":
            return reaction(sender, wamid(line.about), line.text, at=at, id=line.id)
        case "status":
            return status(sender, wamid(line.about), line.text, at=at)


def _broken_call(week: Week) -> Change:
    at = week.at(2, "08:20")
    began = int(at.timestamp())
    caller = PEOPLE[BROKEN_OF].whatsapp
    told = {
        "id": BROKEN_CALL,
        "from": caller,
        "to": BUSINESS.display_phone_number,
        "event": "terminate",
        "direction": "USER_INITIATED",
        "timestamp": str(began + BROKEN_SECONDS),
        "start_time": str(began),
        "end_time": str(began + BROKEN_SECONDS),
        "duration": BROKEN_SECONDS,
        "status": "COMPLETED",
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": BUSINESS.display_phone_number,
            "phone_number_id": BUSINESS.phone_number_id,
        },
        "contacts": [{"profile": {"name": PEOPLE[BROKEN_OF].name}, "wa_id": caller}],
        "calls": [told],
    }
    return {"field": "calls", "value": value}
