"""What mail servers call their folders, in the languages people set their mailboxes to."""

from __future__ import annotations

from collections.abc import Iterable

SPECIAL_USE = {
    "\\inbox": "inbox",
    "\\sent": "sent",
    "\\archive": "archive",
    "\\all": "all",
    "\\allmail": "all",
    "\\drafts": "drafts",
    "\\junk": "junk",
    "\\spam": "junk",
    "\\trash": "trash",
}
"""Attributes of LIST (RFC 6154, section 2; \\Inbox, \\AllMail and \\Spam are Gmail's older words)."""

NAMES = {
    "sent": (
        "sent, sent items, sent mail, sent messages, sent e-mails, "
        "enviados, itens enviados, mensagens enviadas, e-mails enviados, enviadas, "
        "elementos enviados, mensajes enviados, correo enviado, enviats, elements enviats, "
        "gesendet, gesendete objekte, gesendete elemente, gesendete nachrichten, postausgang gesendet, "
        "envoyés, éléments envoyés, messages envoyés, courrier envoyé, objets envoyés, "
        "inviata, posta inviata, inviati, elementi inviati, messaggi inviati, "
        "verzonden, verzonden items, verzonden berichten, skickat, skickade objekt, sendt, sendte elementer, "
        "sendt post, sendte objekter, lähetetyt, lähetetyt kohteet, wysłane, elementy wysłane, odeslaná pošta, "
        "odeslané, odoslané, odoslaná pošta, elküldött elemek, elküldött, trimise, elemente trimise, "
        "отправленные, отправлено, надіслані, отправени, изпратени, απεσταλμένα, gönderilmiş öğeler, gönderilenler, "
        "gönderilmiş postalar, נשלחו, פריטים שנשלחו, العناصر المرسلة, المرسلة, "
        "送信済み, 送信済みアイテム, 送信済みメール, 已发送, 已发送邮件, 已傳送的郵件, 寄件備份, "
        "보낸편지함, 보낸 편지함"
    ),
    "archive": (
        "archive, archives, archiv, arquivo, arquivados, arquivo morto, archivo, archivados, archivio, archief, "
        "arkiv, arkisto, archiwum, архив, архів, arşiv, αρχείο, アーカイブ, 归档, 封存, 보관함"
    ),
    "drafts": (
        "drafts, draft, rascunhos, borradores, entwürfe, brouillons, bozze, concepten, utkast, kladder, luonnokset, "
        "kopie robocze, wersje robocze, szkice, koncepty, piszkozatok, ciorne, черновики, чернетки, taslaklar, "
        "πρόχειρα, 下書き, 草稿, 草稿箱, 임시보관함"
    ),
    "junk": (
        "junk, spam, junk email, junk e-mail, junk mail, bulk mail, lixo eletrônico, lixo electrónico, "
        "correo no deseado, correo basura, spam-verdacht, junk-e-mail, unerwünscht, courrier indésirable, "
        "pourriel, indésirables, posta indesiderata, ongewenste e-mail, skräppost, uønsket e-post, roskaposti, "
        "wiadomości-śmieci, nevyžádaná pošta, levélszemét, спам, нежелательная почта, önemsiz e-posta, "
        "迷惑メール, 垃圾邮件, 垃圾郵件, 스팸"
    ),
    "trash": (
        "trash, deleted, deleted items, deleted messages, bin, lixeira, lixo, itens excluídos, itens eliminados, "
        "papelera, elementos eliminados, papierkorb, gelöscht, gelöschte objekte, gelöschte elemente, corbeille, "
        "éléments supprimés, cestino, posta eliminata, prullenbak, verwijderde items, papperskorgen, "
        "borttaget, slettede elementer, papirkurv, roskakori, poistetut, kosz, elementy usunięte, koš, "
        "odstraněná pošta, törölt elemek, coș de gunoi, корзина, удаленные, удалённые, кошик, çöp kutusu, "
        "silinmiş öğeler, ごみ箱, 削除済みアイテム, 已删除, 已删除邮件, 刪除的郵件, 휴지통"
    ),
}
"""The well-known names of each role, for servers that do not tell (Exchange), in lower case."""

_ROLES = {name.casefold(): role for role, names in NAMES.items() for name in names.split(", ")}


def role_of(attributes: Iterable[str], name: str, delimiter: str) -> str:
    """
    Return the role of a folder: inbox, sent, archive, all, drafts, junk, trash, or "" for any other.

    What the server tells goes before what the name suggests. A name counts only at the top
    or right below INBOX or [Gmail]: "Customers/Archive" is somebody's own folder.
    """
    if name.upper() == "INBOX":
        return "inbox"
    for attribute in attributes:
        role = SPECIAL_USE.get(attribute.lower())
        if role:
            return role
    above, _, last = name.rpartition(delimiter) if delimiter else ("", "", name)
    if above.casefold() not in ("", "inbox", "[gmail]", "[google mail]"):
        return ""
    return _ROLES.get(last.casefold(), "")
