"""Who is in the demo: a maker of bakery ovens in Brazil, its team, and the people it deals with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/Sao_Paulo")
LANGUAGE = "pt"
CURRENCY = "BRL"
DOMAIN = "example.com"
MAILBOX = f"vendas@{DOMAIN}"
RUI, MARTA = "Rui Costa", "Marta Lima"
LINE = "+551140001000"
"""The company's one telephone number, for calls and WhatsApp."""

PRIVATE = ("*@clinica-alvorada.example", "*@prates-advogados.example")
"""Mail with these addresses is nobody's business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """
    Somebody the company deals with.

    `phone` is as HubSpot writes it, `whatsapp` the id that WhatsApp shows, `user_id` its
    business-scoped id. `in_crm` says whether HubSpot has a contact, `waits` whether it is our
    turn at the end of the week. In `language` their mail program writes above what it quotes.
    """

    name: str
    email: str = ""
    phone: str = ""
    whatsapp: str = ""
    user_id: str = ""
    in_crm: bool = True
    owner: str = ""
    company: str = ""
    language: str = "pt"
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A deal in HubSpot; `stage` is an id of its default pipeline."""

    name: str
    of: str
    amount: str
    stage: str
    owner: str


PEOPLE = {
    "ana": Person(
        name="Ana Souza",
        email="ana@padarialima.example",
        phone="(11) 97391-4862",
        whatsapp="5511973914862",
        owner=RUI,
        company="Padaria Lima",
        waits=True,
    ),
    "bruno": Person(
        name="Bruno Teixeira", email="bruno@docevida.example", owner=MARTA, company="Confeitaria Doce Vida"
    ),
    "lucia": Person(
        name="Lucía Fernández",
        language="es",
        email="lucia@panaderiasol.example",
        phone="+598 94 617 352",
        whatsapp="59894617352",
        owner=MARTA,
        company="Panadería Sol",
    ),
    "diego": Person(
        name="Diego Romero",
        language="es",
        email="diego@hornosur.example",
        phone="+54 9 11 2847-6391",
        whatsapp="5491128476391",
        owner=RUI,
    ),
    "juergen": Person(
        name="Jürgen Brandt",
        language="de",
        email="j.brandt@baeckerei-brandt.example",
        phone="+49 151 27418365",
        whatsapp="4915127418365",
        owner=RUI,
        company="Bäckerei Brandt",
        waits=True,
    ),
    "sabine": Person(
        name="Sabine Vogel", language="de", email="sabine.vogel@brotmanufaktur.example", owner=MARTA
    ),
    "emily": Person(
        name="Emily Carter",
        language="en",
        email="emily@cartersbakery.example",
        owner=RUI,
        company="Carter's Bakery",
        waits=True,
    ),
    "james": Person(
        name="James O'Neill",
        language="en",
        email="james@oneillbread.example",
        phone="+353 87 294 6183",
        whatsapp="353872946183",
        owner=RUI,
    ),
    "pedro": Person(
        name="Pedro Almeida",
        email="pedro@paodeviana.example",
        phone="+351 917 284 605",
        whatsapp="351917284605",
        owner=MARTA,
    ),
    "fernanda": Person(name="Fernanda Rocha", phone="(31) 98811-2233", whatsapp="5531988112233", owner=MARTA),
    "marcelo": Person(name="Marcelo Pinto", phone="(19) 99777-1020", whatsapp="5519997771020", owner=RUI),
    "tatiana": Person(name="Tatiana Moreira", email="tatiana@velhoforno.example", owner=MARTA),
    "rafael": Person(name="Rafael Nunes", phone="(41) 99655-8877", whatsapp="5541996558877", owner=RUI),
    "beatriz": Person(name="Beatriz Lopes", email="beatriz@trigoecia.example", owner=MARTA),
    "hans": Person(name="Hans Keller", language="de", email="hans.keller@kellerbrot.example", owner=RUI),
    "sofia": Person(
        name="Sofía Castro", phone="+52 55 4721 3806", whatsapp="5215547213806", owner=MARTA, waits=True
    ),
    "gustavo": Person(name="Gustavo Freitas", phone="(11) 98731-4652", whatsapp="551187314652", owner=RUI),
    "patricia": Person(name="Patrícia Gomes", email="patricia@cafedaserra.example", owner=MARTA),
    "thiago": Person(name="Thiago Ramos", email="thiago@ramospadaria.example", owner=RUI),
    "olivia": Person(
        name="Olivia Brown", language="en", email="olivia@brownbakes.example", owner=MARTA, waits=True
    ),
    "nuno": Person(name="Nuno Ferreira", email="nuno@pastelariaferreira.example"),
    "helena": Person(
        name="Helena Duarte",
        email="helena@paoartesanal.example",
        phone="(51) 99544-3322",
        whatsapp="5551995443322",
        user_id="BR.7731290065512348",
        owner=MARTA,
    ),
    "carla": Person(name="Carla Dias", whatsapp="5521988123344", in_crm=False, waits=True),
    "valeria": Person(name="Valeria Ruiz", user_id="PE.2204417390218845", in_crm=False),
    "camila": Person(
        name="Camila Reis",
        email="camila@levainreis.example",
        phone="+55 85 98888-7070",
        whatsapp="5585988887070",
        in_crm=False,
    ),
    "kevin": Person(
        name="Kevin Marsh", language="en", email="kevin.marsh@marshcafe.example", in_crm=False, waits=True
    ),
    "prado": Person(name="Família Prado", whatsapp="5511967481215", in_crm=False, waits=True),
    "melo": Person(name="", phone="+55 48 99888-7766", in_crm=False, waits=True),
}
"""Everybody who was in touch this week, by a short name."""

SILENT = (
    Person(name="Carlos Prado", email="carlos@prado.example", phone="(11) 96748-1215", owner=RUI),
    Person(name="Bia Prado", email="bia@prado.example", phone="+55 11 96748-1215", owner=RUI),
    Person(name="Joana Melo", email="joana@melo.example", phone="(48) 99888-7766", owner=MARTA),
    Person(name="Igor Melo", email="igor@melo.example", phone="48 998887766"),
    Person(name="Otávio Reis", email="otavio@reisforneria.example", owner=MARTA),
    Person(name="Marina Costa", email="marina@bomtrigo.example", owner=RUI),
)
"""Contacts in HubSpot from whom nothing came this week; the first four share two telephones."""

UNDECIDED = {"prado": ("Bia Prado", "Carlos Prado"), "melo": ("Igor Melo", "Joana Melo")}
"""Who may be either of two contacts; nothing but a person can tell."""

DEALS = (
    Deal(name="Dois fornos turbo", of="ana", amount="18400.00", stage="presentationscheduled", owner=RUI),
    Deal(name="Etagenofen", of="juergen", amount="27900.00", stage="qualifiedtobuy", owner=RUI),
    Deal(name="Forno de lastro", of="gustavo", amount="9800.00", stage="closedwon", owner=RUI),
)


@dataclass(frozen=True, slots=True)
class Week:
    """The days before `today`, which is a midnight in the company's time zone."""

    today: datetime

    @classmethod
    def before(cls, now: datetime) -> Week:
        """Return the week that ends with the day of `now`."""
        return cls(now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0))

    def at(self, day: int, clock: str) -> datetime:
        """Return the instant, in UTC, of a local time `day` days ago."""
        hour, minute = map(int, clock.split(":"))
        date = (self.today - timedelta(days=day)).date()
        return datetime(date.year, date.month, date.day, hour, minute, tzinfo=ZONE).astimezone(UTC)


def contacts() -> list[Person]:
    """Return the contacts that HubSpot has, in the order of their ids."""
    return [person for person in (*PEOPLE.values(), *SILENT) if person.in_crm]
