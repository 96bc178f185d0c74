"""The demo's mails as the bytes that a mail server holds, as different programs write them."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from tests.demo.company import DOMAIN, MAILBOX, MARTA, PEOPLE, ZONE, Week
from tests.demo.mails import CONVERSATIONS, Mail

COMPANY = "Forno Bom"
BY_ID = {mail.id: mail for mail in CONVERSATIONS}
MARTAS = f"marta@{DOMAIN}"

_QUOTES = {
    "pt": "Em {date:%d/%m/%Y} às {date:%H:%M}, {name} <{email}> escreveu:",
    "es": "El {date:%d/%m/%Y} a las {date:%H:%M}, {name} ({email}) escribió:",
    "de": "Am {date:%d.%m.%Y} um {date:%H:%M} schrieb {name}:",
    "en": "On {date:%d/%m/%Y} at {date:%H:%M}, {name} <{email}> wrote:",
}


def folder_of(mail: Mail) -> str:
    """Return the folder a mail lies in."""
    return "Sent" if mail.ours else "INBOX"


def raw(mail: Mail, week: Week, at: datetime) -> bytes:
    """Return a mail in RFC 5322 form, sent at `at`."""
    if mail.kind == "bounce":
        return _bounce(mail, at)
    message = EmailMessage(policy=SMTP)
    other = _other(mail)
    sender, to = (_us(), other) if mail.ours else (other, _us())
    if mail.kind == "forwarded":
        sender = Address(MARTA, addr_spec=MARTAS)
    message["From"], message["To"] = sender, to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(at.astimezone(ZONE))
    message["Message-ID"] = f"<{mail.message_id}>"
    if mail.answers:
        answered = BY_ID[mail.answers].message_id
        message["In-Reply-To"] = message["References"] = f"<{answered}>"
    if mail.kind == "newsletter":
        message["List-Unsubscribe"] = f"<https://{mail.of.partition('@')[2]}/out>"
    if mail.kind == "auto_reply":
        message["Auto-Submitted"] = "auto-replied"
    charset = "iso-8859-1" if _language(mail) == "de" else "utf-8"
    message.set_content(_text(mail, week, at), charset=charset, cte="quoted-printable")
    if mail.file:
        message.add_attachment(_pdf(mail.file), maintype="application", subtype="pdf", filename=mail.file)
        message.set_boundary(f"=_{mail.id}_=")
    return message.as_bytes()


def _us() -> Address:
    return Address(COMPANY, addr_spec=MAILBOX)


def _other(mail: Mail) -> Address:
    person = PEOPLE.get(mail.of)
    return Address(addr_spec=mail.of) if person is None else Address(person.name, addr_spec=person.email)


def _language(mail: Mail) -> str:
    return PEOPLE[mail.of].language if mail.of in PEOPLE else "pt"


def _text(mail: Mail, week: Week, at: datetime) -> str:
    if mail.kind == "forwarded":
        return _passed_on(mail, at)
    if mail.kind != "mail" or not mail.answers:
        return mail.text + "\n"
    quoted = BY_ID[mail.answers]
    person = PEOPLE[quoted.of]
    head = _QUOTES[_language(mail)].format(
        date=week.at(quoted.day, quoted.clock).astimezone(ZONE),
        name=COMPANY if quoted.ours else person.name,
        email=MAILBOX if quoted.ours else person.email,
    )
    lines = "\n".join(f"> {line}".rstrip() for line in quoted.text.splitlines())
    return f"{mail.text}\n\n{head}\n{lines}\n"


def _passed_on(mail: Mail, at: datetime) -> str:
    person = PEOPLE[mail.of]
    subject = mail.subject.partition(": ")[2]
    return (
        "Rui, pode responder?\n\n---------- Mensagem encaminhada ---------\n"
        f"De: {person.name} <{person.email}>\nData: {at.astimezone(ZONE):%d/%m/%Y %H:%M}\n"
        f"Assunto: {subject}\nPara: {MARTA} <{MARTAS}>\n\n{mail.text}\n"
    )


def _pdf(name: str) -> bytes:
    return f"%PDF-1.4\n% {name}\n".encode() + b"%" * 2_000 + b"\n%%EOF\n"


def _bounce(mail: Mail, at: datetime) -> bytes:
    """Write a delivery report (RFC 3464) as Postfix does."""
    returned = BY_ID[mail.answers]
    address = PEOPLE[mail.of].email
    return "\r\n".join(
        [
            "Return-Path: <>",
            "From: Mail Delivery System <MAILER-DAEMON@mx.example.com>",
            f"To: {MAILBOX}",
            f"Subject: {mail.subject}",
            f"Date: {format_datetime(at.astimezone(ZONE))}",
            f"Message-ID: <{mail.message_id}>",
            "Auto-Submitted: auto-replied",
            "MIME-Version: 1.0",
            'Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"',
            "",
            "--=_b",
            "Content-Type: text/plain; charset=us-ascii",
            "",
            mail.text,
            "",
            "--=_b",
            "Content-Type: message/delivery-status",
            "",
            "Reporting-MTA: dns; mx.example.com",
            "",
            f"Final-Recipient: rfc822; {address}",
            "Action: failed",
            "Status: 5.1.1",
            "Diagnostic-Code: smtp; 550 5.1.1 no such user",
            "",
            "--=_b",
            "Content-Type: text/rfc822-headers",
            "",
            f"From: {MAILBOX}",
            f"To: {address}",
            f"Message-ID: <{returned.message_id}>",
            "",
            "--=_b--",
            "",
        ]
    ).encode()
