"""Which mails a machine wrote: bounces, receipts, lists, calendars, absence notes, notifications."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypedDict

from bridge_imap.charsets import decode
from bridge_imap.headers import addresses, message_id, message_ids, text_of
from bridge_imap.mime import Fields, Part, content, read_fields

_AWAY = re.compile(
    r"\s*(?:auto(?:matic|mated)?[ -]?(?:reply|response)|out of (?:the )?office|automatische antwort|abwesenheits\w*|"
    r"resposta autom[aá]tica|fora do escritório|respuesta autom[aá]tica|fuera de la oficina|réponse automatique|"
    r"absence du bureau|risposta automatica|fuori sede|automatisch antwoord|afwezig\w*|odpowiedź automatyczna|autosvar|"
    r"automaattinen vastaus|автоматический ответ|автоответ|otomatik yanıt|automatická odpověď|automatikus válasz|"
    r"răspuns automat|自動応答|自動返信|自动答复|自动回复|자동 회신)[^:：]{0,20}[:：]",
    re.IGNORECASE,
)
_RETURNED = re.compile(
    r"undeliver|deliver\w* (?:status|fail|has failed|incomplete)|mail delivery (?:failed|subsystem|system)|"
    r"returned (?:mail|to sender)|failure notice|non[ -]?deliver|unzustellbar|nicht zugestellt|zustellung|"
    r"não (?:foi )?(?:entregue|entregável)|falha na entrega|no se puede entregar|devuelto|non remis|échec de|"
    r"mancata consegna|non recapitabile|niet bestelbaar|onbestelbaar|niedostarcz|nie można dostarczyć",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"(?:(?:no|do[-_.]?not|nao|não|ne|ne[-_.]?pas|non|nie)[-_.]?(?:reply|responda|responder|repondre|rispondere|odpowiadaj)|"
    r"keine[-_.]?antwort|nicht[-_.]?antworten|mailer-daemon|postmaster|notifications?|notify|bounces?)(?![a-zà-ÿ])",
    re.IGNORECASE,
)
_PROGRAM = re.compile(
    r"(?:wordpress|website|webmaster|www-data|apache|forms?|formul[aá]r\w*|automailer)(?![a-zà-ÿ])",
    re.IGNORECASE,
)
_QUOTED_ID = re.compile(r"^[> \t]{0,20}message-id:[ \t]*(<[^<>\s]+>)", re.IGNORECASE | re.MULTILINE)
_CALENDAR = re.compile(
    r"^(METHOD|UID|SUMMARY|DTSTART|PARTSTAT|ATTENDEE)((?:;[^:\n]*)?):([^\n]*)$", re.MULTILINE
)
_PARTSTAT = re.compile(r"PARTSTAT=\"?([A-Za-z-]+)", re.IGNORECASE)
_READ_LIMIT = 262_144
_MOST_RECIPIENTS = 100


class Recipient(TypedDict):
    """One address a report speaks of; `action` failed, delayed, delivered, relayed or expanded (RFC 3464, 2.3.3)."""

    email: str
    action: str
    status: str
    diagnostic: str


class Report(TypedDict):
    """
    What a delivery report (RFC 3464) or a receipt (RFC 8098) says of an earlier mail.

    `state` is failed, delivered or read, None where nothing is final; `message_id` the earlier mail's, if it is
    told; `diagnostic` the first reason given.
    """

    state: str | None
    message_id: str | None
    recipients: list[Recipient]
    diagnostic: str | None


class Event(TypedDict):
    """What an invitation says (RFC 5546): `method` in lower case, `answer` accepted, declined, tentative or None."""

    method: str
    uid: str | None
    summary: str | None
    answer: str | None


class Automated(TypedDict):
    """`by` is auto_reply, bounce, list, calendar, report, notification or None for a person's mail."""

    by: str | None
    report: Report | None
    event: Event | None
    list_id: str | None


def recognise(
    raw: bytes, root: Part, leaves: Sequence[Part], *, sender: str, subject: str, text: str, own_list: bool
) -> Automated:
    """
    Say whether a machine wrote a mail, and what it says.

    `sender` is the From address, `text` the readable body. `own_list` says that a list of ours passed on
    an outsider's mail, which then counts as the outsider's own. Sources: RFC 3834 (Auto-Submitted), RFC 2919
    (List-Id), Microsoft [MS-OXCMAIL] 2.1.3.2.20 (X-Auto-Response-Suppress), read 2026-11-21.
    """
    fields = root.fields
    found = Automated(by=None, report=None, event=None, list_id=_list_id(fields))
    kinds = {part.content_type for part in leaves}
    if "message/feedback-report" in kinds:
        found["by"] = "report"
    elif "message/disposition-notification" in kinds:
        found["by"], found["report"] = "report", _receipt(raw, leaves)
    elif "message/delivery-status" in kinds or _is_bounce(fields, sender, subject):
        found["by"], found["report"] = "bounce", _delivery(raw, fields, leaves, text)
    elif "text/calendar" in kinds and (event := _event(raw, leaves)) is not None:
        found["by"], found["event"] = "calendar", event
    elif _is_auto_reply(fields, subject):
        found["by"] = "auto_reply"
    elif not own_list and _is_list(fields):
        found["by"] = "list"
    elif _word(fields, b"auto-submitted") not in ("", "no") or is_machine(sender) or _suppressing(fields):
        found["by"] = "notification"
    return found


def is_machine(email: str) -> bool:
    """Tell whether nobody reads the mailbox of an address: no-reply, mailer-daemon and the like."""
    return _MACHINE.match(email) is not None


def is_program(email: str) -> bool:
    """Tell whether programs send from an address: a machine's, or wordpress, website, form and the like."""
    return _PROGRAM.match(email) is not None or is_machine(email)


def _word(fields: Fields, name: bytes) -> str:
    """Return the first word of a field in lower case, "" where it is missing."""
    values = fields.get(name)
    if not values:
        return ""
    return decode(values[0][:200], None).strip().lower().partition(";")[0].partition(" ")[0]


def _is_auto_reply(fields: Fields, subject: str) -> bool:
    return (
        _word(fields, b"auto-submitted") == "auto-replied"
        or _word(fields, b"precedence") == "auto_reply"
        or any(
            name in fields and _word(fields, name) not in ("", "no", "false")
            for name in (b"x-autoreply", b"x-autorespond", b"x-autoresponder", b"x-autoreply-from")
        )
        or _AWAY.match(subject) is not None
    )


def _is_list(fields: Fields) -> bool:
    return any(
        name in fields for name in (b"list-id", b"list-unsubscribe", b"list-post", b"x-mailing-list")
    ) or _word(fields, b"precedence") in ("bulk", "list", "junk")


def _suppressing(fields: Fields) -> bool:
    """Tell whether the sending program asked for no answers at all, as only programs do."""
    values = fields.get(b"x-auto-response-suppress", [b""])
    return values[0].strip().lower() == b"all"


def _list_id(fields: Fields) -> str | None:
    values = fields.get(b"list-id")
    if not values:
        return None
    ids = message_ids(values)
    return ids[0] if ids else text_of(values[0]) or None


def _is_bounce(fields: Fields, sender: str, subject: str) -> bool:
    if b"x-failed-recipients" in fields:
        return True
    empty_path = any(value.strip() == b"<>" for value in fields.get(b"return-path", []))
    local = sender.partition("@")[0]
    from_mailer = local in ("mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon")
    return (empty_path or from_mailer) and _RETURNED.search(subject) is not None


def _delivery(raw: bytes, fields: Fields, leaves: Sequence[Part], text: str) -> Report:
    recipients: list[Recipient] = []
    for part in leaves:
        if part.content_type == "message/delivery-status":
            recipients += _recipients(content(raw, part, _READ_LIMIT))
    if not recipients:
        recipients = [
            Recipient(email=address["email"], action="failed", status="", diagnostic="")
            for address in addresses(fields.get(b"x-failed-recipients", []))
        ]
    actions = {recipient["action"] for recipient in recipients}
    state = "failed" if "failed" in actions or not actions else None
    if state is None and actions <= {"delivered", "relayed", "expanded"}:
        state = "delivered"
    reason = next(
        (found for recipient in recipients if (found := recipient["diagnostic"] or recipient["status"])), None
    )
    return Report(
        state=state,
        message_id=_original_id(raw, fields, leaves, text),
        recipients=recipients[:_MOST_RECIPIENTS],
        diagnostic=reason,
    )


def _recipients(report: bytes) -> list[Recipient]:
    found: list[Recipient] = []
    place = 0
    while place < len(report) and len(found) < _MOST_RECIPIENTS:
        fields, after = read_fields(report, place, len(report))
        if after == place:
            after = report.find(b"\n", place) + 1 or len(report)
        place = after
        named = fields.get(b"final-recipient") or fields.get(b"original-recipient")
        if named:
            email = text_of(named[0]).rpartition(";")[2].strip(" <>").lower()
            found.append(
                Recipient(
                    email=email,
                    action=_word(fields, b"action") or "failed",
                    status=_word(fields, b"status"),
                    diagnostic=text_of(fields.get(b"diagnostic-code", [b""])[0]).partition(";")[2].strip()
                    or text_of(fields.get(b"diagnostic-code", [b""])[0]),
                )
            )
    return found


def _original_id(raw: bytes, fields: Fields, leaves: Sequence[Part], text: str) -> str | None:
    """Return the id of the mail a report speaks of: from its copy, its quoted header, or what the report answers."""
    for part in leaves:
        if part.content_type in (
            "message/rfc822",
            "text/rfc822-headers",
            "message/rfc822-headers",
            "message/global",
        ):
            copy = content(raw, part, _READ_LIMIT)
            inner, _ = read_fields(copy, 0, len(copy))
            found = message_id(inner.get(b"message-id", []))
            if found is not None:
                return found
    quoted = _QUOTED_ID.search(text)
    if quoted is not None:
        return message_id([quoted[1].encode()])
    for name in (b"x-original-message-id", b"in-reply-to", b"references"):
        ids = message_ids(fields.get(name, []))
        if ids:
            return ids[-1]
    return None


def _receipt(raw: bytes, leaves: Sequence[Part]) -> Report:
    for part in leaves:
        if part.content_type == "message/disposition-notification":
            body = content(raw, part, _READ_LIMIT)
            fields, _ = read_fields(body, 0, len(body))
            said = text_of(fields.get(b"disposition", [b""])[0]).lower()
            named = text_of(fields.get(b"final-recipient", [b""])[0]).rpartition(";")[2].strip(" <>").lower()
            shown = "displayed" in said
            action = "displayed" if shown else said.rpartition(";")[2].strip()
            return Report(
                state="read" if shown else None,
                message_id=message_id(fields.get(b"original-message-id", [])),
                recipients=[Recipient(email=named, action=action, status="", diagnostic="")] if named else [],
                diagnostic=None,
            )
    return Report(state=None, message_id=None, recipients=[], diagnostic=None)


def _event(raw: bytes, leaves: Sequence[Part]) -> Event | None:
    """Read the first calendar object that has a method: only such a one was sent by a calendar (RFC 5546, 1.4)."""
    for part in leaves:
        if part.content_type != "text/calendar":
            continue
        text = decode(content(raw, part, _READ_LIMIT), part.params.get("charset"))
        text = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
        said: dict[str, str] = {}
        for name, params, value in _CALENDAR.findall(text):
            if name == "ATTENDEE":
                status = _PARTSTAT.search(params)
                if status is not None:
                    said.setdefault("answer", status[1].lower())
            else:
                said.setdefault(name, value.strip())
        method = (part.params.get("method") or said.get("METHOD", "")).lower()
        if method:
            summary = said.get("SUMMARY", "").replace("\\,", ",").replace("\\;", ";").replace("\\n", " ")
            return Event(
                method=method,
                uid=said.get("UID"),
                summary=summary or None,
                answer=said.get("answer") if method == "reply" else None,
            )
    return None
