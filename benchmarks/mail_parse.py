"""
How fast a mail becomes a view, beside a naive walk over Python's own parser that does much less.

    python benchmarks/mail_parse.py [mails] [rounds]

The mails are made up from a seed: text and HTML, a third of them replies with a quote, 15 % with a PDF of 4 to
60 kB, in UTF-8 and Latin-1, quoted-printable and base64. The naive walk gives id, date, sender, subject, text, HTML
and the sizes of files; ours besides who is on which side, the thread, what is new in the text, what a machine wrote
and the hashes of files. CPU time per mail, median of interleaved rounds.
"""

from __future__ import annotations

import email
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime

from bridge_imap.mail import MailContext, parse

SEED = 20261121
CONTEXT = MailContext(
    own_addresses=frozenset({"sales@vendor.example"}),
    own_domains=frozenset({"vendor.example"}),
    internal_date=datetime(2026, 4, 1, tzinfo=UTC),
)
WORDS = (
    *(
        "the",
        "price",
        "of",
        "our",
        "oven",
        "is",
        "fine",
        "please",
        "send",
        "a",
        "proposal",
        "tomorrow",
        "delivery",
    ),
    *(
        "to",
        "Santos",
        "before",
        "Easter",
        "café",
        "proposta",
        "não",
        "três",
        "fornos",
        "Angebot",
        "für",
        "Lieferung",
    ),
    *("nächste", "Woche", "obrigado", "thanks"),
)


def made_up(count: int) -> list[bytes]:
    """Return `count` mails; the same ones every time."""
    chance = random.Random(SEED)
    return [_mail(number, chance) for number in range(count)]


def _mail(number: int, chance: random.Random) -> bytes:
    message = EmailMessage()
    for hop in range(chance.randint(2, 7)):
        message["Received"] = (
            f"from relay{hop}.example (relay{hop}.example [192.0.2.{hop}]) by mx.vendor.example (Postfix) with ESMTPS"
            f" id 4F{number:06x}{hop}; Tue, 10 Mar 2026 16:05:{hop:02} +0100 (CET)"
        )
    message["From"] = f"Ana Souza {number} <ana{number}@padaria{number % 97}.example>"
    message["To"] = "Vendas <sales@vendor.example>, Rui Costa <rui@vendor.example>"
    message["Subject"] = chance.choice(["Proposta não recebida", "Offer 118", "Lieferung nächste Woche"])
    message["Date"] = "Tue, 10 Mar 2026 16:05:00 -0300"
    message["Message-ID"] = f"<{number}.{chance.getrandbits(64):x}@padaria.example>"
    text = "\n".join(
        " ".join(chance.choice(WORDS) for _ in range(chance.randint(4, 12)))
        for _ in range(chance.randint(3, 40))
    )
    html = "<br>\n".join(text.split("\n"))
    if chance.random() < 0.35:
        message["In-Reply-To"] = "<offer-118@vendor.example>"
        message["References"] = "<first@vendor.example> <offer-118@vendor.example>"
        said = "On Mon, Mar 9, 2026 at 4:05 PM Rui Costa <rui@vendor.example> wrote:"
        quote = [" ".join(chance.choice(WORDS) for _ in range(9)) for _ in range(chance.randint(3, 25))]
        text += f"\n\n{said}\n\n" + "\n".join(f"> {line}" for line in quote) + "\n"
        quoted = "<br>".join(quote)
        html += f'<div class="gmail_quote">{said}<blockquote class="gmail_quote">{quoted}</blockquote></div>'
    charset, encoding = chance.choice(["utf-8", "iso-8859-1"]), chance.choice(["quoted-printable", "base64"])
    message.set_content(text, charset=charset, cte=encoding)
    message.add_alternative(
        f"<html><body><div>{html}</div></body></html>", subtype="html", charset=charset, cte=encoding
    )
    if chance.random() < 0.15:
        pdf = chance.randbytes(chance.randint(4_000, 60_000))
        message.add_attachment(pdf, maintype="application", subtype="pdf", filename="Proposta nº 118.pdf")
    return message.as_bytes()


def naive(raw: bytes) -> tuple[object, ...]:
    """Walk over the parts with Python's own parser (compat32)."""
    message = email.message_from_bytes(raw)
    text = html = None
    files = []
    for part in message.walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        charset = part.get_content_charset() or "utf-8"
        if part.get_content_type() == "text/plain" and text is None:
            text = content.decode(charset, "replace")
        elif part.get_content_type() == "text/html" and html is None:
            html = content.decode(charset, "replace")
        else:
            files.append((part.get_filename(), len(content)))
    subject = str(make_header(decode_header(message["Subject"])))
    return (
        message["Message-ID"],
        parsedate_to_datetime(message["Date"]),
        getaddresses([message["From"]]),
        subject,
        text,
        html,
        files,
    )


def ours(raw: bytes) -> object:
    return parse(raw, CONTEXT)


def microseconds(read: Callable[[bytes], object], mails: Sequence[bytes]) -> float:
    """Return the CPU time per mail; results are dropped at once, so that the garbage collector does not count."""
    start = time.process_time()
    for raw in mails:
        read(raw)
    return (time.process_time() - start) / len(mails) * 1e6


def main(count: int = 1000, rounds: int = 5) -> None:
    mails = made_up(count)
    sizes = sorted(map(len, mails))
    print(f"{count} mails, median {sizes[count // 2]:,} bytes, mean {sum(sizes) // count:,}; {rounds} rounds")
    measured: dict[str, list[float]] = {"naive walk": [], "parse": []}
    for _ in range(rounds):
        measured["naive walk"].append(microseconds(naive, mails))
        measured["parse"].append(microseconds(ours, mails))
    base = statistics.median(measured["naive walk"])
    for name, values in measured.items():
        middle = statistics.median(values)
        print(
            f"{name:<12}{middle:8.0f} µs/mail ({min(values):.0f}-{max(values):.0f}){1e6 / middle:10,.0f} mails/s"
            f"{middle / base:8.2f} x naive"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
