"""What mail programs write around quotes, in the languages they speak: labels, verbs, separators, phone lines."""

from __future__ import annotations

import re

_LABELS = {
    "from": "from von de da van od från fra frå lähettäjä от від kimden gönderen feladó expéditeur remetente "
    "remitente mittente afzender nadawca odesílatel odosielateľ expeditor από "
    "差出人 送信者 发件人 發件人 寄件者 보낸사람 מאת من",
    "date": "sent date gesendet datum enviado enviada enviadas data fecha envoyé inviato inviata verzonden wysłano "
    "wysłane skickat skickades sendt dato lähetetty päivämäärä päiväys отправлено дата надіслано gönderilen "
    "gönderildi tarih gönderme elküldve küldve dátum odesláno odoslané trimis στάλθηκε ημερομηνία 送信日時 日付 日時 "
    "发送时间 日期 寄件日期 傳送日期 보낸날짜 날짜 תאריך נשלח التاريخ",
    "to": "to an para à a aan do till til vastaanottaja кому kime alıcı címzett komu către προς pour destinatario "
    "destinatário destinataire 宛先 收件人 收件者 받는사람 אל إلى",
    "cc": "cc kopie copie copia cópia kopia kopi копия bilgi",
    "subject": "subject betreff asunto assunto objet oggetto onderwerp temat ämne emne aihe тема konu tárgy předmět "
    "predmet subiect θέμα 件名 主题 主題 主旨 제목 נושא الموضوع",
}
LABELS: dict[str, str] = {word: kind for kind, words in _LABELS.items() for word in words.split()}
"""The label of a header line, lower case, without spaces -> from, date, to, cc or subject."""
LABELS |= dict.fromkeys(
    (
        "senton",
        "enviadoel",
        "enviadoem",
        "enviadaem",
        "envoyéle",
        "datad'invio",
        "datawysłania",
        "datedenvoi",
    ),
    "date",
)
LABELS |= dict.fromkeys(("copieà", "copiaa", "cópiapara", "kopiean"), "cc")
LABELS |= dict.fromkeys(("dela",), "from")

WROTE = re.compile(
    r"\b(?:wrote|writes|schrieb|schreibt|geschrieben|escreveu|escribió|escribio|a écrit|écrit|scritto|schreef|"
    r"napisała?|pisze|skrev|skriver|kirjoitti|napsala?|napísala?|написала?|пишет|писала?|пише|yazdı|írta|ezt írta|"
    r"a scris|έγραψε|va escriure|je napisao)\b|さんは書きました|のメッセージ|写道|寫道|작성|כתב|كتب",
    re.IGNORECASE,
)
"""The verb of a line that introduces a quote."""

_ORIGINAL = (
    "original message|originalnachricht|ursprüngliche nachricht|original-nachricht|mensagem original|mensaje original|"
    "message d'origine|message original|messaggio originale|oorspronkelijk bericht|origineel bericht|"
    "oryginalna wiadomość|wiadomość oryginalna|ursprungligt meddelande|originalmeddelande|oprindelig meddelelse|"
    "opprinnelig melding|alkuperäinen viesti|исходное сообщение|původní zpráva|eredeti üzenet|orijinal mesaj|"
    "mesaj original|元のメッセージ|原始邮件|原始郵件|원본 메시지"
)
_FORWARDED = (
    "forwarded message|weitergeleitete nachricht|mensagem encaminhada|mensagem reencaminhada|mensaje reenviado|"
    "message transféré|messaggio inoltrato|doorgestuurd bericht|przekazana wiadomość|wiadomość przekazana|"
    "vidarebefordrat meddelande|videresendt meddelelse|videresendt melding|edelleenlähetetty viesti|"
    "пересылаемое сообщение|přeposlaná zpráva|továbbított üzenet|iletilen mesaj|mesaj redirecționat|"
    "転送メッセージ|转发的邮件|轉寄郵件|전달된 메시지"
)
_DASHES = r"[ \t*_=\-‐‑–—]"
ORIGINAL_LINE = re.compile(rf"{_DASHES}{{2,}}(?:{_ORIGINAL}){_DASHES}{{2,}}:?$", re.IGNORECASE)
"""The whole line above an unmarked quote."""
FORWARDED_LINE = re.compile(
    rf"{_DASHES}{{2,}}(?:{_FORWARDED}){_DASHES}{{2,}}:?$|"
    "(?:begin forwarded message|anfang der weitergeleiteten nachricht|início da mensagem (?:re)?encaminhada|"
    "inicio del mensaje reenviado|début du message (?:transféré|réexpédié)|inizio messaggio inoltrato|"
    "begin doorgestuurd bericht|początek przekazywanej wiadomości|vidarebefordrat brev|"
    "start på videresendt besked|начало переадресованного сообщения)[ \t]*:$",
    re.IGNORECASE,
)
"""The whole line above a forwarded mail."""

FORWARD_SUBJECT = re.compile(
    r"\s*(?:fwd?|wg|rv|enc|tr|i|vs|vb|vl|pd|ynt|ilt|fs|doorst|weitergeleitet|transf|továbbítás|転送|转发|轉寄|전달)\s*:",
    re.IGNORECASE,
)
"""The prefix a program puts before the subject of a forward."""

_DEVICE = (
    r"i-?phone|i-?pad|i-?pod|android|galaxy|samsung|blackberry|huawei|xiaomi|redmi|motorola|nokia|oneplus|pixel|"
    r"windows|"
    r"smartphone|handy|mobile|mobil|celular|móvil|telefone?|téléphone|telefon\w*|outlook|yahoo|aol|gmx|web\.de|t-online|"
    r"orange|libero|proton ?mail|tutanota|tuta|spark|bluemail|k-9|mail\.ru|яндекс|yandex|hotmail|mailbird|e-?mail|mail|"
    r"correo|tablet|icloud"
)
_SENT = (
    r"sent (?:from|via|with|using|by|on)|gesendet (?:von|mit|über|aus)|"
    r"enviad[oa] (?:d[oae]|desde|por|pel[oa]|con|através)|envoyée? (?:de|depuis|à partir|avec|par)|"
    r"inviat[oa] (?:da|dal|con|tramite)|(?:verstuurd|verzonden) (?:vanaf|van|via|met)|wysłan[eoy] (?:z|za)|"
    r"skicka(?:t|des) från|sendt (?:fra|via)|отправлено (?:с|из)|надіслано (?:з|із)|odesláno z|odoslané z|"
    r"trimis (?:de|din)"
)
PHONE_LINE = re.compile(
    rf"(?:{_SENT})\b.{{0,40}}\b(?:{_DEVICE}).{{0,60}}$|"
    rf"(?:von|diese nachricht wurde|mit)\b.{{0,40}}\b(?:{_DEVICE}).{{0,60}}\b(?:gesendet|verschickt)[.!]?$|"
    r"(?:(?:get|obter|obtener|télécharger|scarica|ottieni|pobierz|download|hämta|hent|skaffa|holen sie sich) )?"
    r"(?:o |l['’])?outlook\b.{0,20}\b(?:ios|android)\b.{0,100}$|"
    r"(?:iphone|ipad|android).{0,6}(?:から送信|より送信)|(?:发自|發自|從|从)我的.{2,20}$|"
    r"나의 .{2,20}에서 (?:보냄|전송)|lähetetty (?:iphonesta|ipadista)|(?:iphone|ipad)['’]?\w{3,5} gönderildi$",
    re.IGNORECASE,
)
"""The whole line a telephone or a web mailer adds below what was typed."""
PHONE_LINE_STARTS = (
    "sent ",
    "gesendet",
    "enviad",
    "envoyé",
    "inviat",
    "verstuurd",
    "verzonden",
    "wysłan",
    "skicka",
    "sendt ",
    "отправлено",
    "надіслано",
    "odesláno",
    "odoslané",
    "trimis",
    "von ",
    "diese ",
    "mit ",
    "get ",
    "obte",
    "télécharger",
    "scarica",
    "ottieni",
    "pobierz",
    "download",
    "hämta",
    "hent",
    "skaffa",
    "holen ",
    "o outlook",
    "l'outlook",
    "l’outlook",
    "outlook",
    "iphone",
    "ipad",
    "android",
    "发自",
    "發自",
    "從我",
    "从我",
    "나의",
    "lähetetty",
)
"""How every PHONE_LINE begins, in lower case: a cheap question before the dear one."""
