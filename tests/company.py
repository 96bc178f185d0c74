"""A made-up company of which it is known who is who: the records of its customers, in a real one's disorder."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bridge.journey.handles import Handle, Own, normalise
from bridge.journey.identity import Node, Partition

REP = "+55 11 98877-1020"
PLACEHOLDER = "+55 11 99999-9999"
_OWN = Own.read(domains=["vidrosa.com.br"], region="BR")

_GIVEN_NAMES = (
    "Ana Adriana Alice Aline Amanda Antonio Beatriz Bianca Bruno Caio Camila Carla Carlos Cecilia Daniel Daniela "
    "Debora Diego Eduardo Elaine Fabio Felipe Fernanda Flavia Gabriel Giovana Gustavo Helena Henrique Igor Isabela "
    "Joana Joaquim Julia Larissa Leandro Leticia Lucas Luciana Luiza Marcelo Marcos Mariana Mateus Monica Natalia "
    "Otavio Patricia Paulo Rafael Raquel Renata Ricardo Roberto Rui Sandra Sergio Silvia Tatiana Teresa Vanessa "
    "Vera Vinicius Vitor"
)
_FAMILY_NAMES = (
    "Abreu Aguiar Almeida Alves Amaral Andrade Araujo Azevedo Barbosa Barros Batista Bezerra Braga Brito Campos "
    "Cardoso Carvalho Castro Chaves Coelho Correia Costa Cunha Dantas Duarte Esteves Farias Fernandes Ferraz Ferreira "
    "Figueiredo Fonseca Franco Freitas Furtado Garcia Gomes Guedes Guimaraes Lacerda Leite Lima Lopes Macedo Machado "
    "Magalhaes Maia Marques Martins Matos Medeiros Melo Mendes Miranda Monteiro Moraes Moreira Moura Nascimento "
    "Nogueira Nunes Oliveira Pacheco Paiva Pereira Pessoa Pinheiro Pinto Pires Porto Prado Queiroz Ramos Rezende "
    "Ribeiro Rocha Rodrigues Sales Sampaio Santana Santos Sarmento Silva Silveira Siqueira Soares Souza Tavares "
    "Teixeira Teles Torres Uchoa Valente Vargas Vasconcelos Vaz Viana Vieira Xavier"
)
_GIVEN, _FAMILY = _GIVEN_NAMES.split(), _FAMILY_NAMES.split()
_NICKNAMES = ["Zé", "Mãe ❤", "Pizzaria do Bairro", "Lulu", "🌻", "Doutor", "Atelier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Human:
    """Somebody, as they really are."""

    number: int
    given: str
    family: str
    mobile: str
    email: str
    firm: int


@dataclass(slots=True, kw_only=True)
class Company:
    """The records of a company's customers, and whose each is."""

    nodes: list[Node] = field(default_factory=list)
    truth: dict[str, int] = field(default_factory=dict)


def make_company(humans: int, seed: int) -> Company:
    """
    Return the records of so many people: about three for each, the same for the same seed.

    8 % share a mobile with a partner, 5 % a mailbox; a third of the WhatsApp numbers lack the ninth digit,
    3 % of the contacts stand twice; some records have a firm's landline, a role's mailbox, a rep's number, a
    placeholder, a nickname or no name.
    """
    made = _Maker(random.Random(seed))
    people = made.humans(humans)
    for one in people:
        made.records(one)
    return made.company


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self.company = Company()
        self._chance = chance

    def humans(self, count: int) -> list[Human]:
        chance = self._chance
        found: list[Human] = []
        for number in range(count):
            given, family = chance.choice(_GIVEN), " ".join(chance.sample(_FAMILY, 2))
            mobile = f"55{chance.choice((11, 21, 31, 41, 51))}9{chance.randrange(6, 10)}{chance.randrange(10**7):07d}"
            firm = chance.randrange(count // 4 + 1)
            email = f"{given}.{family.replace(' ', '')}{number}@".lower() + chance.choice(
                ["gmail.com", "hotmail.com", f"firma{firm}.com.br"]
            )
            if found and chance.random() < 0.04:
                mobile = found[-1].mobile
            if found and chance.random() < 0.025:
                email = found[-1].email
            found.append(
                Human(number=number, given=given, family=family, mobile=mobile, email=email, firm=firm)
            )
        return found

    def records(self, one: Human) -> None:
        chance = self._chance
        if chance.random() < 0.85:
            self._contact(one, "")
            if chance.random() < 0.03:
                self._contact(one, "b")
        if chance.random() < 0.55 and self._whatsapp_key(one) not in self.company.truth:
            old = one.mobile[:4] + one.mobile[5:] if chance.random() < 1 / 3 else one.mobile
            handles = normalise("whatsapp_id", old, region="BR", own=_OWN)
            self._add(one, self._whatsapp_key(one), handles, self._shown(one))
        if chance.random() < 0.6 and f"email:{one.email}" not in self.company.truth:
            self._add(one, f"email:{one.email}", self._handles(email=one.email), self._shown(one))
        for number in range(chance.choices((0, 1, 2), (50, 40, 10))[0]):
            self._claim(one, f"form:{one.number}:{number}")
        if chance.random() < 0.2:
            self._claim(one, f"sheet:{one.number}")

    def _whatsapp_key(self, one: Human) -> str:
        return f"whatsapp_id:{one.mobile}"

    def _contact(self, one: Human, again: str) -> None:
        chance = self._chance
        email, phone = one.email if chance.random() < 0.85 else "", ""
        dice = chance.random()
        if dice < 0.80:
            phone = self._spelled(one.mobile)
        elif dice < 0.86:
            phone = f"+55 11 3{one.firm % 900 + 100:03d}-{one.firm % 9000 + 1000:04d}"
        elif dice < 0.88:
            phone = PLACEHOLDER
        elif dice < 0.895:
            phone = REP
        if chance.random() < 0.03:
            email = f"contato@firma{one.firm}.com.br"
        name: str | None = f"{one.given} {one.family}"
        dice = chance.random()
        if dice < 0.03:
            name = None
        elif dice < 0.06:
            name = one.given
        handles = self._handles(email=email, phone=phone)
        key = f"hubspot:1:contacts:{one.number}{again}"
        self._add(one, key, handles, name, contact_of="hubspot:1", legal=True)

    def _claim(self, one: Human, key: str) -> None:
        chance = self._chance
        dice = chance.random()
        name: str | None = f"{one.given} {one.family}"
        if dice < 0.10:
            name = one.given
        elif dice < 0.15:
            name = chance.choice(["teste", "Padaria Central Ltda", ""])
        elif dice < 0.30:
            name = f"{one.given} {one.family.split()[-1]}"
        email = one.email if chance.random() < 0.85 else ""
        phone = self._spelled(one.mobile) if chance.random() < 0.6 or not email else ""
        handles = self._handles(email=email, phone=phone)
        self._add(one, key, handles, name, legal=True, claimed=frozenset(handle.key for handle in handles))

    def _shown(self, one: Human) -> str | None:
        dice = self._chance.random()
        if dice < 0.5:
            return f"{one.given} {one.family.split()[-1]}"
        if dice < 0.75:
            return one.given
        return self._chance.choice(_NICKNAMES) if dice < 0.88 else None

    def _spelled(self, mobile: str) -> str:
        area, number = mobile[2:4], mobile[4:]
        if self._chance.random() < 0.1:
            number = number[1:]
        return self._chance.choice(
            [
                f"+55 {area} {number[:-4]}-{number[-4:]}",
                f"({area}) {number}",
                f"55{area}{number}",
                f"0{area} {number}",
            ]
        )

    @staticmethod
    def _handles(**written: str) -> tuple[Handle, ...]:
        return tuple(
            handle
            for kind, value in written.items()
            if value
            for handle in normalise(kind, value, region="BR", own=_OWN)
            if handle.strength != "none"
        )

    def _add(
        self,
        one: Human,
        key: str,
        handles: tuple[Handle, ...],
        name: str | None,
        *,
        contact_of: str | None = None,
        legal: bool = False,
        claimed: frozenset[str] = frozenset(),
    ) -> None:
        since = 1_767_225_600_000_000 + self._chance.randrange(10**13)
        self.company.truth[key] = one.number
        self.company.nodes.append(
            Node(
                key=key,
                handles=handles,
                contact_of=contact_of,
                since=since,
                name=name,
                legal=legal,
                claimed=claimed,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How well a division fits the truth, by pairs of records; pairs of contacts of one CRM do not count."""

    precision: float
    recall: float
    wrong: int
    largest: int


def score(company: Company, result: Partition) -> Score:
    """Return how well a division fits."""
    contacts = {node.key for node in company.nodes if node.contact_of is not None}
    found = _pairs(result.person_of, contacts)
    true = _pairs({key: str(number) for key, number in company.truth.items()}, contacts)
    both = _pairs(
        {key: f"{person} {company.truth[key]}" for key, person in result.person_of.items()}, contacts
    )
    sizes = Counter(result.person_of.values())
    return Score(precision=both / found, recall=both / true, wrong=found - both, largest=max(sizes.values()))


def _pairs(block_of: Mapping[str, str], contacts: Iterable[str]) -> int:
    members: defaultdict[str, int] = defaultdict(int)
    of_crm: defaultdict[str, int] = defaultdict(int)
    crm = set(contacts)
    for key, block in block_of.items():
        members[block] += 1
        of_crm[block] += key in crm
    return sum(n * (n - 1) // 2 for n in members.values()) - sum(n * (n - 1) // 2 for n in of_crm.values())
