"""The week's mails of the shared mailbox, word for word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["mail", "auto_reply", "bounce", "forwarded", "newsletter", "private"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """
    One mail; `of` is the person on the other side, or for newsletters and private mail an address.

    `answers` is the id of the mail that it quotes, or that it speaks of. `copied` says that it lies in a
    second folder as well, `logged` that HubSpot's own logger wrote it onto the contact already.
    """

    id: str
    of: str
    day: int
    clock: str
    subject: str
    text: str
    ours: bool = False
    kind: Kind = "mail"
    answers: str = ""
    file: str = ""
    copied: bool = False
    logged: bool = False

    @property
    def message_id(self) -> str:
        """Return the Message-ID without its brackets."""
        return f"{self.id}.demo@{'example.com' if self.ours else 'mail.example'}"


def _in(id: str, of: str, day: int, clock: str, subject: str, text: str, answers: str = "") -> Mail:
    return Mail(id=id, of=of, day=day, clock=clock, subject=subject, text=text, answers=answers)


def _out(
    id: str, of: str, day: int, clock: str, subject: str, text: str, answers: str = "", file: str = ""
) -> Mail:
    return Mail(
        id=id, of=of, day=day, clock=clock, subject=subject, text=text, ours=True, answers=answers, file=file
    )


def _newsletter(id: str, of: str, day: int, clock: str, subject: str, text: str) -> Mail:
    return Mail(id=id, of=of, day=day, clock=clock, subject=subject, text=text, kind="newsletter")


def _private(id: str, of: str, day: int, clock: str, subject: str, text: str) -> Mail:
    return Mail(id=id, of=of, day=day, clock=clock, subject=subject, text=text, kind="private")


CONVERSATIONS = (
    Mail(
        id="ana-1",
        of="ana",
        day=5,
        clock="16:02",
        subject="Proposta 118: dois fornos turbo",
        text="Oi Ana,\n\nsegue a proposta 118: dois fornos turbo 60x40, R$ 18.400,00.\n\nAbraço\nRui",
        ours=True,
        file="Proposta-118.pdf",
        logged=True,
    ),
    _in(
        "ana-2", "ana", 4, "09:20", "Re: Proposta 118: dois fornos turbo", "A entrega está inclusa?", "ana-1"
    ),
    _out(
        "ana-3",
        "ana",
        4,
        "11:00",
        "Re: Proposta 118: dois fornos turbo",
        "Está, até o seu endereço.",
        "ana-2",
    ),
    _in("bruno-1", "bruno", 5, "08:31", "Peças do forno 2019", "Bom dia, ainda há resistências para ele?"),
    _out("bruno-2", "bruno", 5, "09:10", "Re: Peças do forno 2019", "Bom dia Bruno, há três.", "bruno-1"),
    _in("bruno-3", "bruno", 3, "17:05", "Re: Peças do forno 2019", "Quero duas, por favor.", "bruno-2"),
    _out("bruno-4", "bruno", 3, "17:40", "Re: Peças do forno 2019", "Separadas, saem na segunda.", "bruno-3"),
    _out(
        "lucia-1", "lucia", 4, "16:31", "Manual del horno", "Hola Lucía, va el manual.", file="Manual-ES.pdf"
    ),
    _out("diego-1", "diego", 4, "17:20", "Cotización 121", "Hola Diego, va la cotización a Rosario."),
    _in(
        "juergen-1", "juergen", 4, "07:45", "Anfrage Etagenofen", "Was kostet der Etagenofen mit Gärschrank?"
    ),
    _out(
        "juergen-2",
        "juergen",
        4,
        "10:15",
        "Re: Anfrage Etagenofen",
        "Anbei unser Angebot über 27.900 Euro.",
        "juergen-1",
        "Angebot-119.pdf",
    ),
    _in(
        "juergen-3",
        "juergen",
        1,
        "08:05",
        "AW: Anfrage Etagenofen",
        "Ist die Montage im Preis enthalten?",
        "juergen-2",
    ),
    _out("sabine-1", "sabine", 3, "11:00", "Termin nächste Woche", "Passt Ihnen Dienstag um zehn?"),
    Mail(
        id="sabine-2",
        of="sabine",
        day=3,
        clock="11:01",
        subject="Automatische Antwort: Termin nächste Woche",
        text="Ich bin bis Montag nicht im Büro.",
        kind="auto_reply",
        answers="sabine-1",
    ),
    _out(
        "emily-1",
        "emily",
        5,
        "10:05",
        "Proposal 117: deck oven",
        "Dear Emily,\n\nplease find our proposal attached.\n\nKind regards\nRui",
        file="Proposal-117.pdf",
    ),
    _in("emily-2", "emily", 4, "12:10", "Re: Proposal 117: deck oven", "Is training included?", "emily-1"),
    _out("emily-3", "emily", 4, "13:05", "Re: Proposal 117: deck oven", "Yes, two days.", "emily-2"),
    _out("tatiana-1", "tatiana", 2, "09:40", "Revisão anual", "Oi Tatiana, podemos marcar a revisão?"),
    Mail(
        id="tatiana-2",
        of="tatiana",
        day=2,
        clock="09:41",
        subject="Undelivered Mail Returned to Sender",
        text="This is the mail system at host mx.example.com.",
        kind="bounce",
        answers="tatiana-1",
    ),
    Mail(
        id="beatriz-1",
        of="beatriz",
        day=3,
        clock="14:20",
        subject="Enc: Forno para pizzaria",
        text="Oi Marta, qual forno serve para quarenta pizzas por hora?",
        kind="forwarded",
    ),
    _out("beatriz-2", "beatriz", 3, "15:45", "Forno para pizzaria", "Oi Beatriz, o de lastro duplo."),
    Mail(
        id="hans-1",
        of="hans",
        day=5,
        clock="09:30",
        subject="Ersatzteile",
        text="Grüezi, haben Sie die Dichtung für den Ofen von 2021?",
        logged=True,
    ),
    _out("hans-2", "hans", 5, "10:20", "Re: Ersatzteile", "Grüezi Herr Keller, ja, am Lager.", "hans-1"),
    _in("patricia-1", "patricia", 4, "08:50", "Visita técnica", "Podem vir na quinta à tarde?"),
    _out("patricia-2", "patricia", 4, "09:35", "Re: Visita técnica", "Podemos, às 14h.", "patricia-1"),
    _in(
        "thiago-1", "thiago", 2, "10:30", "Segunda via do boleto", "Podem mandar de novo o boleto de outubro?"
    ),
    Mail(
        id="thiago-2",
        of="thiago",
        day=2,
        clock="11:10",
        subject="Re: Segunda via do boleto",
        text="Segue, Thiago.",
        ours=True,
        answers="thiago-1",
        file="Boleto.pdf",
        logged=True,
    ),
    Mail(
        id="nuno-1",
        of="nuno",
        day=3,
        clock="09:00",
        subject="Forno para pastéis de nata",
        text="Bom dia, chega aos 320 graus?",
        copied=True,
    ),
    _out("nuno-2", "nuno", 3, "09:50", "Re: Forno para pastéis de nata", "Chega aos 350.", "nuno-1"),
    _out("helena-1", "helena", 4, "10:00", "Código de rastreio", "Helena, o código é BR1180."),
    _in("camila-1", "camila", 3, "20:15", "Fotos", "Recebi, obrigada. E o consumo de gás?"),
    _out("camila-2", "camila", 2, "08:55", "Re: Fotos", "Um botijão a cada nove dias.", "camila-1"),
    _in("james-1", "james", 3, "12:00", "Invoice address", "Could you put the invoice on O'Neill Bread Ltd?"),
    _out("james-2", "james", 3, "12:25", "Re: Invoice address", "Done, James.", "james-1"),
    _out("pedro-1", "pedro", 3, "10:40", "Manual", "Olá Pedro, segue o manual.", file="Manual-PT.pdf"),
    _in(
        "kevin-1",
        "kevin",
        2,
        "13:15",
        "First shop in Bristol",
        "Which oven suits 300 rolls a day?",
    ),
)

NEWSLETTERS = (
    _newsletter(
        "n1", "news@feira-padaria.example", 5, "06:00", "Feira da Padaria: inscrições", "Últimos dias."
    ),
    _newsletter("n2", "jornal@abip.example", 5, "07:00", "Notícias do setor", "O preço da farinha caiu."),
    _newsletter("n3", "hello@ovenweekly.example", 4, "05:30", "Oven Weekly 46", "Ten steam tips."),
    _newsletter("n4", "ofertas@metais-sp.example", 4, "08:15", "Aço inox em oferta", "Chapas com desconto."),
    _newsletter("n5", "boletin@panaderos.example", 3, "06:20", "Boletín de noviembre", "Nuevas normas."),
    _newsletter("n6", "news@software-erp.example", 3, "09:00", "Webinar: estoque", "Participe ao vivo."),
    _newsletter("n7", "rundbrief@backtechnik.example", 2, "06:10", "Rundbrief", "Neues von der Messe."),
    _newsletter("n8", "promo@transportes.example", 1, "07:30", "Frete grátis em novembro", "Só esta semana."),
    _newsletter("n9", "news@curso-vendas.example", 1, "08:00", "Venda mais", "Aula aberta na terça."),
)

PRIVATE = (
    _private("p1", "agenda@clinica-alvorada.example", 4, "07:40", "Seu exame", "O resultado está pronto."),
    _private("p2", "dr.prates@prates-advogados.example", 2, "16:00", "Partilha", "Segue a minuta."),
)

ARRIVES = Mail(
    id="emily-4",
    of="emily",
    day=0,
    clock="00:00",
    subject="Re: Proposal 117: deck oven",
    text="We accept. Where do we sign?",
    answers="emily-3",
)
"""The mail that comes in while the daemon waits for one; its time is then."""

MAILS = (*CONVERSATIONS, *NEWSLETTERS, *PRIVATE)
"""What lies in the mailbox at the start."""
