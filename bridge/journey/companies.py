"""Names of companies: what is left of one without its legal form, and how to tell one from a person's."""

from __future__ import annotations

import re
from functools import lru_cache

from bridge.journey.folding import fold

_LONGEST = 200
"""No company is called more; what is longer is some text that came into the field."""

_ONLY_FORMS = (
    "ltda limitada eireli epp mei slu sll srl sarl sasu eurl lda unipessoal inc incorporated llc llp ltd "
    "limited corp corporation plc gmbh mbh ug bv nv aps oyj"
)
_FORMS_AND_WORDS = "me ei sa sas sl sc cv co cia kg ag ab as oy lp spa ohg company companhia compania"
"""Forms that are words or surnames as well (`Ana Sá`): they count in a company's name only."""

_BETWEEN = "de do da e y s r l rl and und et"
"""Words that stand between two forms: `S. de R.L. de C.V.`, `& Co`."""

_ARTICLES = frozenset(["the", "o", "os", "el", "los", "la", "las", "and", "e", "y"])

_TRADES = (
    "academia acougue advocacia advogados abogados agencia agency associacao asociacion atelier autocenter "
    "automoveis barbearia barberia boutique butique cafe cafeteria clinic clinica colegio comercio "
    "condominio confeitaria construcoes construtora constructora consultoria consultores consulting "
    "consultorio contabil contabilidade contabilidad cooperativa corretora distribuidora drogaria "
    "eletronica engenharia engineering escola escuela estudio farmacia floricultura fundacao fundacion "
    "garage grafica group grupo gym holding hospital hostal hostel hotel igreja imobiliaria industria "
    "industrias informatica ingenieria inmobiliaria instituto lanchonete livraria logistica logistics "
    "loja lojas marcenaria materiais materiales mecanica mercadinho minimercado motors moveis muebles "
    "oficina padaria panaderia panificadora papelaria petshop pharmacy pizzaria pizzeria pousada "
    "restaurant restaurante salao school serralheria services servicios servicos shop sistemas software "
    "solucoes soluciones solutions sorveteria store studio supermercado supermarket systems taller "
    "technologies tecnologia telecom tienda transportadora transportes universidad universidade university "
    "veiculos vidracaria"
)

_MAIL_PROVIDERS = (
    "gmail googlemail hotmail outlook live msn yahoo ymail rocketmail icloud me mac aol gmx proton "
    "protonmail pm fastmail zoho mail yandex qq 163 126 uol bol terra ig globo globomail r7 sapo "
    "clix netcabo telefonica"
)
_PLATFORMS = (
    "facebook fb instagram linkedin linktr wa whatsapp twitter x youtube tiktok google blogspot wordpress "
    "wix wixsite github bit mercadolivre mercadolibre shopee olx ifood"
)
"""Names of mail providers and platforms: sharing one of their domains says nothing about two companies."""

_FORMS, _SHORT_FORMS, _BESIDE_FORMS, _BUSINESSES = (
    frozenset(words.split()) for words in (_ONLY_FORMS, _FORMS_AND_WORDS, _BETWEEN, _TRADES)
)
_SAYING_NOTHING = frozenset(f"{_MAIL_PROVIDERS} {_PLATFORMS}".split())

_words = re.compile(r"[^\W_]+").findall
_dotted = re.compile(r"\b(\w)(?:[./]\s?(\w)){1,3}\b\.?")
_aside = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_last_word = re.compile(r"[^\W\d_]+(?=[\W_]*$)").search
_host = re.compile(r"(?:[a-z][a-z0-9+.-]*://|mailto:)?(?:[^@/\s]*@)?([^\s/:?#@]+)").match


@lru_cache(maxsize=1 << 16)
def clean(name: str) -> str:
    """
    Return what tells one company from another: folded words without legal forms and articles of form.

    `Padaria do Sol Ltda. - ME` is `padaria do sol`; a name that is nothing but a form stays. Empty for a
    blank or endless text.
    """
    words = [word for word in _company_words(_aside.sub(" ", name)) if word not in _ARTICLES]
    end = len(words)
    while end > 1 and (_is_form(words[end - 1]) or (end < len(words) and words[end - 1] in _BESIDE_FORMS)):
        end -= 1
    return " ".join(words[:end])


def is_company(name: str) -> bool:
    """
    Tell whether a name in a person's field is a company's: it ends in a legal form or names a trade.

    `SA` and the like count only as companies write them, in capitals or with dots: Sá is a surname.
    """
    words = _company_words(name)
    if not words:
        return False
    if words[-1] in _FORMS or not _BUSINESSES.isdisjoint(words):
        return True
    if len(words) == 1 or words[-1] not in _SHORT_FORMS:
        return False
    written = _last_word(name)
    return written is not None and (written[0].isupper() and fold(written[0]) == written[0].lower())


def domain(text: str) -> str:
    """
    Return the domain that an address, a site or a domain is in, empty where that says nothing.

    Without `www`, in lower case; nothing for free mail and for sites that many have a page on.
    """
    found = _host(text.strip().lower())
    if found is None or len(text) > _LONGEST:
        return ""
    labels = found[1].strip(".").removeprefix("www.").split(".")
    if len(labels) < 2 or not all(labels):
        return ""
    at = max(0, len(labels) - (3 if len(labels[-2]) <= 3 and len(labels) > 2 else 2))
    return "" if labels[at] in _SAYING_NOTHING else ".".join(labels)


def _company_words(name: str) -> list[str]:
    if len(name) > _LONGEST:
        return []
    joined = _dotted.sub(lambda found: re.sub(r"[./\s]", "", found[0]), fold(name).replace("'", ""))
    return _words(joined)


def _is_form(word: str) -> bool:
    return word in _FORMS or word in _SHORT_FORMS
