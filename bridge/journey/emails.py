"""What makes two spellings of an e-mail address the same mailbox, and which mailboxes are no person."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

import idna

EmailStrength = Literal["strong", "weak", "none"]

_LONGEST = 254
"""RFC 5321, 4.5.3.1.3: a path has at most 256 octets, two of them its angle brackets."""

_ATEXT = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOMAIN = r"(?:[a-z0-9][a-z0-9-]*\.)+[a-z][a-z0-9-]*[a-z0-9]"
_simple = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*@{_DOMAIN}").fullmatch
_is_domain = re.compile(_DOMAIN).fullmatch

_INVISIBLE = dict.fromkeys(
    map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff")
)
_AT_SIGNS = {0xFF20: "@", 0xFE6B: "@"}
_in_brackets = re.compile(r"<([^<>]*)>[\s,;]*$").search
_unwritable = re.compile(r"[\s\"(),:;<>@\[\\\]\x00-\x1f\x7f]").search
_batv = re.compile(r"(?:prvs|btv1)=[^=]+=(?=[^=])").match

_GMAIL = frozenset({"gmail.com", "googlemail.com"})
_MICROSOFT = (
    "com com.ar com.au com.br com.co com.mx com.pe com.pt com.tr com.vn co.id co.il co.jp co.kr co.nz co.th "
    "co.uk co.za at be ca cl cn cz de dk es fi fr gr hu ie in it jp lv my nl no ph pl pt rs ru se sg sk uy"
)
_TAGGED = frozenset(
    {f"{name}.{ending}" for name in ("outlook", "hotmail", "live") for ending in _MICROSOFT.split()}
    | {"msn.com", "icloud.com", "me.com", "mac.com", "fastmail.com", "fastmail.fm"}
    | {"proton.me", "protonmail.com", "protonmail.ch", "pm.me"}
    | _GMAIL
)
"""Providers that promise that `name+anything` is the mailbox `name`."""

_RFC_2142 = (
    "abuse ftp hostmaster info list marketing news noc postmaster root sales security support trouble "
    "usenet uucp webmaster www"
)
_ENGLISH = (
    "accounting accounts admin administration administrator billing booking bookings careers contact "
    "contactus customercare customerservice enquiries enquiry feedback finance frontdesk hello help "
    "helpdesk hr inquiries invoice invoices it jobs legal mail office operations orders partners "
    "payments payroll press privacy purchasing quotes reception recruiting reservations service "
    "services shop staff store team"
)
_PORTUGUESE = (
    "administracao administrativo adm assistencia atendimento boleto boletos cadastro cobranca "
    "comercial compras contabil contabilidade contas contato contatos contacto cotacao departamento "
    "diretoria encomendas equipe escritorio estoque expedicao faturamento financas financeiro fiscal "
    "geral gerencia juridico licitacao logistica loja matriz nfe notafiscal ola orcamento orcamentos "
    "ouvidoria parcerias pedido pedidos posvenda pos-venda producao qualidade recepcao recrutamento "
    "reservas rh sac secretaria servicos suporte suprimentos ti tesouraria vagas venda vendas xml"
)
_SPANISH = (
    "administracion almacen atencion ayuda clientes cobranzas comunicacion consultas contactos correo "
    "cotizaciones direccion empleo equipo facturacion facturas finanzas hola informacion informes "
    "oficina pagos presupuestos prensa proveedores recepcion recursoshumanos rrhh servicio servicios "
    "soporte taller tienda tesoreria ventas"
)
_PLACEHOLDERS = (
    "null none nil undefined -1 0 test teste prueba anonymous anonimo nomail noemail no-email "
    "sememail sem-email semail naotem nao-tem naopossui naoinformado notiene no-tiene sincorreo"
)
_strength_of: dict[str, EmailStrength] = {
    **dict.fromkeys(f"{_RFC_2142} {_ENGLISH} {_PORTUGUESE} {_SPANISH}".split(), "weak"),
    **dict.fromkeys(_PLACEHOLDERS.split(), "none"),
}

_automation = re.compile(
    r"(?:no[-._]?reply|do[-._]?not[-._]?reply|nao[-._]?respond[ae]r?|no[-._]?responder?"
    r"|mailer-daemon|bounces?|returns?|notifications?|notificac(?:ao|oes|ion|iones)|newsletters?|alerts?"
    r"|wordpress)(?:[-_.+=]|$)"
    r"|(?:reply|unsubscribe)\+"
    r"|(?:srs[01]|msprvs1)[=+-]"
).match
_AUTOMATION_STARTS = frozenset(["no", "do", "na", "ma", "bo", "re", "ne", "al", "wo", "un", "sr", "ms"])
_verp = re.compile(r"[-+].*=[a-z0-9-]+\.[a-z]").search
"""A bounce address that holds the recipient's own, list+ana=example.com@host."""


@lru_cache(maxsize=1 << 12)
def read_email(raw: str) -> tuple[str, EmailStrength] | None:
    """
    Return the mailbox that a spelling means and what it says about who writes; None if it is no address.

    Strong is a person's mailbox, weak a role's (RFC 2142 and its commercial kin), none a machine's or a
    placeholder. Dots and `+tag` go only where the provider promises that they mean nothing. More than
    one address is none. Reading a returned address gives it again.
    """
    text = raw.strip().lower()
    if _simple(text) is not None and len(text) <= _LONGEST:
        local, _, domain = text.partition("@")
    else:
        parts = _untangle(raw)
        if parts is None:
            return None
        local, domain = parts
    if "=" in local and (tag := _batv(local)) is not None:
        local = local[tag.end() :]
    if domain in _TAGGED:
        local = local.partition("+")[0]
        if domain in _GMAIL:
            local, domain = local.replace(".", ""), "gmail.com"
        if not local:
            return None
    strength = _strength_of.get(local.partition("+")[0] if "+" in local else local, "strong")
    if (local[:2] in _AUTOMATION_STARTS and _automation(local)) or ("=" in local and _verp(local)):
        strength = "none"
    return f"{local}@{domain}", strength


def _untangle(raw: str) -> tuple[str, str] | None:
    """Find local part and domain in more than a bare ASCII address; None if there is not exactly one."""
    text = raw.translate(_INVISIBLE).translate(_AT_SIGNS).strip()
    if (bracketed := _in_brackets(text)) is not None:
        text = bracketed[1].strip()
    if text[:7].lower() == "mailto:":
        text = unquote(text[7:].partition("?")[0])
    local, at, domain = text.strip(" ,;").rpartition("@")
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
    if not at or not local or _unwritable(local) or _unwritable(domain):
        return None
    if local[0] == "." or local[-1] == "." or ".." in local:
        return None
    try:
        domain = idna.encode(domain, uts46=True).decode("ascii").rstrip(".")
    except idna.IDNAError:
        return None
    if _is_domain(domain) is None or len(local) + 1 + len(domain) > _LONGEST:
        return None
    return local, domain
