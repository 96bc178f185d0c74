"""What a website's form says in the mail it sends: the visitor's telephone number and where they came from."""

from __future__ import annotations

import re
from typing import TypedDict
from urllib.parse import parse_qs, urlsplit

from bridge_imap.headers import Address

_PHONE = re.compile(
    r"^[^\w\n]{0,20}(?:phone|telephone|tel|mobile|cell|telefon|telefonnummer|handy|mobil|telefone|celular|fone|whatsapp|teléfono|"
    r"telefono|móvil|téléphone|portable|cellulare|telefoon\w*|numer telefonu|telefonszám)\b[^:\n]{0,30}:\s*"
    r"((?:\+|00)[\d ().\-/]{7,25})",
    re.IGNORECASE | re.MULTILINE,
)
_EMAIL = re.compile(
    r"^[^\w\n]{0,20}(?:your |deine |ihre |seu |su |votre )?(?:e-?mail|mail|correo|courriel|adresse e-mail)\b"
    r"[^:\n]{0,30}:[ \t]*<?([\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+)",
    re.IGNORECASE | re.MULTILINE,
)
_NAME = re.compile(
    r"^[^\w\n]{0,20}(?:your |full |ihr |seu |su |votre )?(?:name|nome|nombre|nom|naam|imię)\b[^:\n]{0,30}:"
    r"[ \t]*(\S[^\n]{0,80})",
    re.IGNORECASE | re.MULTILINE,
)
_LINK = re.compile(r"https?://[^\s<>\"]{4,2000}")
_CAMPAIGN = ("source", "medium", "campaign", "term", "content")
_CLICKS = ("gclid", "gbraid", "wbraid", "fbclid", "msclkid", "ttclid", "li_fat_id")


class Form(TypedDict):
    """
    A form somebody filled in: `email` and `name` of the visitor, `phone` in E.164 where it was typed with +.

    `attribution` has the names of the journey schema: utm values, click ids and the page.
    """

    email: str
    name: str
    phone: str | None
    attribution: dict[str, object] | None


def read_form(email: str, name: str, text: str) -> Form:
    """Read the text of a form's mail whose visitor is known."""
    typed = _PHONE.search(text)
    phone = None
    if typed is not None:
        digits = re.sub(r"\D", "", typed[1].replace("(0)", ""))
        digits = digits[2:] if typed[1].startswith("00") else digits
        phone = f"+{digits}" if 8 <= len(digits) <= 15 else None
    return Form(email=email, name=name, phone=phone, attribution=_attribution(text))


def typed_address(text: str) -> Address | None:
    """Return the address and name that a visitor typed into a form, from the lines that are labelled so."""
    email = _EMAIL.search(text)
    if email is None:
        return None
    name = _NAME.search(text)
    return Address(email=email[1].lower(), name=name[1].strip() if name else "")


def _attribution(text: str) -> dict[str, object] | None:
    """Return what the first link with campaign parameters says."""
    for link in _LINK.findall(text)[:50]:
        if "utm_" not in link and not any(f"{name}=" in link for name in _CLICKS):
            continue
        try:
            query = parse_qs(urlsplit(link).query, max_num_fields=100)
        except ValueError:
            continue
        found: dict[str, object] = {
            name: query[f"utm_{name}"][0] for name in _CAMPAIGN if query.get(f"utm_{name}")
        }
        clicks = {name: query[name][0] for name in _CLICKS if query.get(name)}
        if clicks:
            found["click_ids"] = clicks
        if found:
            found["landing_url"] = link.partition("?")[0]
            return found
    return None
