"""Names of people: which words of a written name count, and whether two names can be one person's."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import product
from typing import Literal, NamedTuple

from bridge.journey.companies import is_company
from bridge.journey.folding import fold

Agreement = Literal["yes", "no", "unknown"]

_VERDICTS: tuple[Agreement, ...] = ("no", "unknown", "yes")
_NO, _UNKNOWN, _YES = range(3)

_LONGEST = 200
"""Nobody is called more; what is longer is some text that came into the field."""

_ALIKE = 0.92
"""The Jaro-Winkler similarity from which two words count as one, misspelt."""

_BETWEEN = "da das de del della der di do dos du e el la las le los van von y zu"
_TITLES = (
    "adv arq dom don dona dr dra eng engenheiro enga herr frau ing lic miss mr mrs ms prof profa seu sir sr sra "
    "srta"
)
_RELATIONS = "amor dad irma irmao mae mama mamae mom pai papa papai tia tio vovo"
_ROLES = (
    "admin administrador atendimento comercial compras diretoria financeiro marketing recepcao sales secretaria "
    "soporte suporte support vendas ventas"
)
_FILLERS = (
    "anonimo anonymous asdf beltrano chat client cliente clientes clients contact contacto contato convidado "
    "customer demo desconhecido desconocido ejemplo example exemplo facebook formulario fulana fulano guest insta "
    "instagram invitado lead leads mengano nan nenhum new nil nome nombre none novo nuevo null possivel prospect "
    "prospecto prueba pruebas qwerty sem sin site telegram test teste testes testing tests trabalho undefined "
    "unknown user usuario visitante visitor wa web whats whatsapp wpp zap zutano"
)
_PARTICLES = frozenset(_BETWEEN.split())
_JUNK = frozenset(f"{_TITLES} {_RELATIONS} {_ROLES} {_FILLERS}".split())

_GENERATIONS = {
    "jr": "junior",
    "jnr": "junior",
    "junior": "junior",
    "filho": "filho",
    "filha": "filho",
    "hijo": "filho",
    "neto": "neto",
    "neta": "neto",
    "sobrinho": "sobrinho",
    "sobrinha": "sobrinho",
    "segundo": "ii",
    "ii": "ii",
    "iii": "iii",
}
"""What tells a father from his son; only behind other words, as Neto is a surname too."""

_SPELLINGS = (("ph", "f"), ("th", "t"), ("z", "s"), ("y", "i"), ("w", "v"), ("k", "c"))
"""Luiz and Luís, Thiago and Tiago, Souza and Sousa."""

_words = re.compile(r"[^\W_]+").findall
_aside = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\"[^\"]*\"|“[^”]*”")
_no_person = re.compile(r"[@&+]|://|\bwww\.", re.IGNORECASE).search
_doubled = re.compile(r"(.)\1+")


class _Name(NamedTuple):
    words: tuple[str, ...]
    generations: frozenset[str]


_NOBODY = _Name((), frozenset())


def agree(a: str, b: str) -> Agreement:
    """
    Tell whether two written names can be one person's; symmetric.

    Yes: the first names agree (equal but for spelling, nearly equal, or one shortened to three letters or
    more) and so does a later name, in the same order or family name first; or one of the names is a first
    name alone. Unknown: an initial, a lone surname or `Filho` on one side decides, or one is no person's
    name (blank, `teste`, a company, a number, letters other than Latin). Otherwise no, nicknames included,
    and Mario and Maria.
    """
    mine, theirs = _read(a), _read(b)
    if not mine.words or not theirs.words:
        return "unknown"
    verdict = _compare(mine.words, theirs.words)
    if _is_single(mine) or _is_single(theirs) or mine.generations == theirs.generations:
        return _VERDICTS[verdict]
    differ = mine.generations and theirs.generations
    return _VERDICTS[min(verdict, _NO if differ else _UNKNOWN)]


def is_legal(name: str) -> bool:
    """
    Tell whether a name says who somebody is: at least two words that are no initials, and no company's.

    Where a name came from it does not know: what a messenger shows may look legal, and is chosen freely.
    """
    words, generations = _read(name)
    return sum(len(word) > 1 for word in words) + len(generations) > 1


def split(name: str) -> tuple[str, str]:
    """
    Return first name and the rest, folded and without what is no name; empty where there is none.

    One way of splitting for all sources, as they do not agree where a first name ends.
    """
    words, _ = _read(name)
    return (words[0], " ".join(words[1:])) if words else ("", "")


def same(a: str, b: str) -> bool:
    """Tell whether two folded words are one name, but for its spelling, a slip or a shortening."""
    if a == b:
        return True
    short, long = (a, b) if len(a) < len(b) else (b, a)
    if len(short) > 2 and long.startswith(short):
        return True
    return _similarity()(a, b) >= _ALIKE or _spelling(a) == _spelling(b)


@cache
def _similarity() -> Callable[..., float]:
    from rapidfuzz.distance import JaroWinkler  # here, as it takes 4 MB and most runs compare no names

    return JaroWinkler.similarity


def same_first(a: str, b: str) -> bool:
    """Tell whether two folded words are one first name; Mario and Maria, Gabriel and Gabriela are two."""
    return same(a, b) and not is_pair(a, b)


@lru_cache(maxsize=1 << 16)
def _read(name: str) -> _Name:
    """Return the words of a name that tell whose it is; none where it is no person's in Latin letters."""
    if len(name) > _LONGEST or _no_person(name) or is_company(name):
        return _NOBODY
    family, comma, given = _aside.sub(" ", name).partition(",")
    words = [*_usable(given), *_usable(family)] if comma else _usable(family)
    if not all(word.isascii() for word in words):
        return _NOBODY
    found = [
        word
        for place, word in enumerate(words)
        if word not in _JUNK and (word not in _PARTICLES or (place == 0 and len(word) == 1))
    ]
    generations = frozenset(_GENERATIONS[word] for word in found[1:] if word in _GENERATIONS)
    kept = found[:1] + [word for word in found[1:] if word not in _GENERATIONS]
    return _Name(tuple(kept), generations)


def _usable(text: str) -> list[str]:
    """Return the words without digits, and not one letter again and again."""
    found = _words(fold(text).replace("'", ""))
    return [
        word
        for word in found
        if not any(sign.isdigit() for sign in word) and (len(word) < 3 or len(set(word)) > 1)
    ]


def _is_single(name: _Name) -> bool:
    return len(name.words) + len(name.generations) == 1


def _compare(mine: tuple[str, ...], theirs: tuple[str, ...]) -> int:
    if len(mine) == 1 or len(theirs) == 1:
        (only,), others = (mine, theirs) if len(mine) == 1 else (theirs, mine)
        first = _word(only, others[0], first=True)
        elsewhere = any(_word(only, other) for other in others[1:])
        return max(first, _UNKNOWN if elsewhere else _NO)
    return max(
        _both(mine[0], theirs[0], mine[1:], theirs[1:]),
        _both(mine[0], theirs[-1], mine[1:], theirs[:1]),
        _both(mine[-1], theirs[0], mine[:1], theirs[1:]),
    )


def _both(first: str, other: str, mine: tuple[str, ...], theirs: tuple[str, ...]) -> int:
    """Compare what is the first name if neither, or one of the two is written as `Lima Ana`; then the rest."""
    verdict = _word(first, other, first=True)
    return min(verdict, _best(mine, theirs)) if verdict else _NO


def _best(mine: tuple[str, ...], theirs: tuple[str, ...]) -> int:
    return max(_word(a, b) for a, b in product(mine, theirs))


def _word(a: str, b: str, *, first: bool = False) -> int:
    if len(a) == 1 or len(b) == 1:
        return _UNKNOWN if a[0] == b[0] else _NO
    return _YES if (same_first(a, b) if first else same(a, b)) else _NO


@lru_cache(maxsize=1 << 16)
def _spelling(word: str) -> str:
    for written, plain in _SPELLINGS:
        word = word.replace(written, plain)
    return _doubled.sub(r"\1", word)


def is_pair(a: str, b: str) -> bool:
    """Tell whether two first names differ in their final -a only: hers and his."""
    return a != b and "a" in (a[-1], b[-1]) and _stem(a) == _stem(b)


def _stem(word: str) -> str:
    return word[:-1] if word[-1] in "ao" else word
