"""The parts of a mail: boundaries, encodings, charsets, header words and pages, also of damaged mail."""

from __future__ import annotations

import email
import random
import time
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_cases import OURS, mail

from bridge_imap.bodies import leaves_of
from bridge_imap.charsets import decode
from bridge_imap.headers import addresses, instant, message_ids, show_instant, text_of
from bridge_imap.html_text import read_html
from bridge_imap.mime import Part, content, read_parts

RUSSIAN = (
    "Здравствуйте! Пришлите, пожалуйста, счёт на две печи и условия доставки в Казань. Нам нужно две печи"
    " шестьдесят на сорок, а также тестомес на восемьдесят литров. С уважением, Иван Петров"
)


def leaves(raw: bytes) -> list[Part]:
    return leaves_of(read_parts(raw))


def standard_leaves(message: Message) -> list[Message]:
    """The leaves as Python's own parser finds them; an attached mail is one leaf."""
    if message.get_content_maintype() == "message" or not message.is_multipart():
        return [message]
    return [leaf for part in message.get_payload() for leaf in standard_leaves(part)]  # type: ignore[arg-type, union-attr]


def made_up(seed: int) -> bytes:
    """A mail as Python writes it: nested, with files, in several encodings."""
    chance = random.Random(seed)
    text = "".join(chance.choice("abc äöü ção 日本 \n= .") for _ in range(chance.randint(0, 2000)))
    message = EmailMessage()
    message["Subject"] = text.replace("\n", " ")[:90]
    message["From"] = f'"{chance.choice(["Müller, Ö", "A. B", "ana"])}" <a{seed}@b.example>'
    message["To"] = ", ".join(f"p{n}@c.example" for n in range(chance.randint(1, 5)))
    message.set_content(text, cte=chance.choice(["quoted-printable", "base64", "8bit"]))
    if chance.random() < 0.6:
        message.add_alternative(f"<p>{text}</p>", subtype="html")
    for number in range(chance.randint(0, 3)):
        message.add_attachment(
            chance.randbytes(chance.randint(0, 3000)),
            maintype="application",
            subtype="pdf",
            filename=f"é{number}.pdf",
        )
    return message.as_bytes()


@pytest.mark.parametrize(
    "raw", [made_up(seed) for seed in range(40)] + [p.read_bytes() for p in sorted(OURS.glob("*.eml"))]
)
def test_parts_bytes_and_addresses_are_those_of_pythons_own_parser(raw: bytes) -> None:
    ours, theirs = leaves(raw), standard_leaves(email.message_from_bytes(raw))
    assert [part.content_type for part in ours] == [part.get_content_type() for part in theirs]
    for part, other in zip(ours, theirs, strict=True):
        if not other.is_multipart():
            assert content(raw, part) == other.get_payload(decode=True)
    root = read_parts(raw)
    for name in ("from", "to", "cc", "reply-to"):
        values = [str(value) for value in email.message_from_bytes(raw).get_all(name, [])]
        found = [person["email"] for person in addresses(root.fields.get(name.encode(), []))]
        assert found == [address.lower() for _, address in getaddresses(values)]


def nested(depth: int) -> bytes:
    levels = (
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
        for level in range(depth)
    )
    return b"".join(levels) + b"\r\ninnermost"


def test_parts_are_numbered_as_imap_numbers_them() -> None:
    raw = (OURS / "photo-and-logo.eml").read_bytes()
    assert [part.id for part in leaves(raw)] == ["1.1.1", "1.1.2", "1.2", "2"]
    assert [part.id for part in leaves(b"Subject: x\n\ny")] == ["1"]


def test_fifty_levels_are_opened_and_the_rest_is_one_file() -> None:
    assert [part.content_type for part in leaves(nested(40))] == ["text/plain"]
    assert [part.content_type for part in leaves(nested(1500))] == ["application/octet-stream"]


def test_a_thousand_parts_are_opened() -> None:
    raw = b'Content-Type: multipart/mixed; boundary="x"\n\n' + b"--x\n\na\n" * 5000
    assert len(leaves(raw)) == 999


@pytest.mark.parametrize(
    ("raw", "texts"),
    [
        (b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x\n\nb", ["a", "b"]),
        (b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--xx\n--x--\nepilogue", ["a\n--xx"]),
        (b"Content-Type: multipart/mixed; boundary=x\n\npreamble\n--x \t\n\na\n--x--", ["a"]),
        (b"Content-Type: multipart/mixed; boundary=x\n\nno boundary", ["no boundary"]),
        (b"Content-Type: multipart/mixed\n\n--x\n\na", ["--x\n\na"]),
        (b"From mbox Mon Mar 10\nSubject: x\n\nbody", ["body"]),
        (b"  lost line\nSubject: x\n\nbody", ["body"]),
        (b"Subject: x\nno separator here", ["no separator here"]),
        (b"Content-Type: nonsense\n\nbody", ["body"]),
        (b"", [""]),
    ],
)
def test_damaged_mails_are_read_as_far_as_they_go(raw: bytes, texts: list[str]) -> None:
    assert [content(raw, part).decode() for part in leaves(raw)] == texts


@pytest.mark.parametrize(
    ("encoding", "body", "decoded"),
    [
        ("base64", b"Zm9v", b"foo"),
        ("BASE64", b"Zm9\r\nv!!", b"foo"),
        ("base64", b"Zm9vYg", b"foob"),
        ("base64", b"Zm9vY", b"foo"),
        ("quoted-printable", b"a=3D=\r\nb=ZZ", b"a=b=ZZ"),
        ("x-uuencode", b"begin 644 a\n#9F]O\n \nend\n", b"foo"),
        ("8bit", b"\xff", b"\xff"),
        ("unheard-of", b"x", b"x"),
    ],
)
def test_transfer_encodings_give_what_they_can(encoding: str, body: bytes, decoded: bytes) -> None:
    raw = b"Content-Transfer-Encoding: " + encoding.encode() + b"\n\n" + body
    assert content(raw, leaves(raw)[0]) == decoded


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        ("€ “x”".encode("cp1252"), "iso-8859-1", "€ “x”"),
        ("스티해".encode("cp949"), "ks_c_5601-1987", "스티해"),
        ("朱镕基".encode("gb18030"), "gb2312", "朱镕基"),
        ("①".encode("cp932"), "shift_jis", "①"),
        (b"+AOk-t+AOk-", "unicode-1-1-utf-7", "été"),
        ("ção".encode(), "us-ascii", "ção"),
        ("ção".encode(), "wurst-8", "ção"),
        ("ção".encode(), "rot13", "ção"),
        ("ção".encode(), "punycode", "ção"),
        ("ção".encode(), None, "ção"),
        ("ção".encode("cp1252"), None, "ção"),
        ("ção".encode("cp1252"), "utf-8", "ção"),
        (RUSSIAN.encode("koi8-r"), None, RUSSIAN),
        (b"a\0b", "utf-8", "ab"),
        (b"+2AA-", "utf-7", "?"),
    ],
)
def test_a_charset_is_taken_for_what_programs_mean_by_it(raw: bytes, charset: str | None, text: str) -> None:
    assert decode(raw, charset) == text


def test_one_broken_character_does_not_make_a_long_text_unreadable() -> None:
    text = "Não há pressa. " * 40
    cut = text.encode()[:-1] + b"\xc3"
    assert decode(cut, "utf-8") == text[:-1] + "\ufffd"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?Q?caf=C3=A9?=", "café"),
        (b"=?utf-8?B?w6c=?= =?utf-8?Q?_and_?=\r\n =?iso-8859-1?q?=E7?=", "ç and ç"),
        (b"=?utf-8?B?ww==?= =?utf-8?B?pw==?=", "ç"),
        (b"=?utf-8*en?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        (b"=?wurst?Q?a=C3=A9?=", "aé"),
        (b"=?utf-8?X?a?=", "=?utf-8?X?a?="),
        (b"raw \xc3\xa9", "raw é"),
        (b"raw \xe9", "raw é"),
        (b"two\r\n lines", "two lines"),
    ],
)
def test_header_words_are_decoded(value: bytes, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "people"),
    [
        (b"a@b.example", [("", "a@b.example")]),
        (b"Ana <A@B.example>", [("Ana", "a@b.example")]),
        (b'"Doe, \\"J\\"" <j@b.example>, k@b.example', [('Doe, "J"', "j@b.example"), ("", "k@b.example")]),
        (b"Doe, John <j@b.example>", [("Doe, John", "j@b.example")]),
        (b"=?utf-8?Q?M=C3=BCller=2C_J?= <m@b.example>", [("Müller, J", "m@b.example")]),
        (b"j@b.example (John)", [("John", "j@b.example")]),
        (b"Team: a@b.example, Bo <c@b.example>;", [("", "a@b.example"), ("Bo", "c@b.example")]),
        (b"undisclosed-recipients:;", []),
        (b"a@b.example; c@b.example", [("", "a@b.example"), ("", "c@b.example")]),
        (b"a@b.example c@b.example", [("", "a@b.example"), ("", "c@b.example")]),
        (b'"Ana <a@b.example>', [("Ana", "a@b.example")]),
        (b"Ana <a@b.example", [("Ana", "a@b.example")]),
        (b"'a@b.example' <a@b.example>", [("", "a@b.example")]),
        (b"<@relay,@other:a@b.example>", [("", "a@b.example")]),
        (b"mailto:a@b.example", [("", "a@b.example")]),
        (b"=?utf-8?B?QW5hIDxhQGIuZXhhbXBsZT4=?=", [("Ana", "a@b.example")]),
        (b"MAILER-DAEMON (Mail)", []),
        (b"Ana <>, Bo", []),
        (b"a@b.example, Ana <a@b.example>", [("Ana", "a@b.example")]),
    ],
)
def test_addresses_of_all_kinds_are_understood(value: bytes, people: list[tuple[str, str]]) -> None:
    assert [(person["name"], person["email"]) for person in addresses([value])] == people


def test_ids_are_found_among_junk() -> None:
    assert message_ids([b'"Ana" <a@b> (x) <c\r\n d@e> <a@b> word']) == ["a@b", "cd@e"]
    assert message_ids([b"a@b c@d nothing"]) == ["a@b", "c@d"]


@given(st.datetimes())
def test_dates_survive_the_way_through_a_header(moment: Any) -> None:
    if moment.year < 1900:
        return
    text = f"{moment:%a, %d} {moment:%b} {moment.year} {moment:%H:%M:%S} +0000"
    assert show_instant(instant(text.encode())) == f"{moment.isoformat()[:19]}Z"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("<p class=MsoNormal>a</p><p class=MsoNormal>&nbsp;</p><p class=MsoNormal>b</p>", "a\n\nb"),
        ("<b>a</b> <i>b</i>\n  c", "a b c"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("<p>a</p><p hidden>x</p><p style='display: none'>x</p><p>b</p>", "a\n\nb"),
        ("<style>x</style><script>x</script><!-- x -->a &amp; b", "a & b"),
        ("<blockquote type=cite>a<blockquote type=cite>b</blockquote></blockquote>c", "> a\n\n>> b\n\nc"),
        ("a\x11b\x00", "ab"),
        ("", ""),
        ("no tags", "no tags"),
    ],
)
def test_pages_become_lines(html: str, text: str) -> None:
    assert read_html(html).text == text


@pytest.mark.parametrize(
    "html",
    [
        "".join(f"<p><b id={n}>" for n in range(20_000)),
        "".join(f'<p><b id="<{n}">' for n in range(20_000)),
        "<div>" * 100_000,
        "<blockquote type=cite>a" * 5_000,
        "<div class=gmail_attr>a" * 5_000,
        "<" * 500_000,
        "<!--" * 100_000,
        '<b "' * 100_000,
        "<div " + " ".join(f"a{n}" for n in range(8_000)) + ">",
    ],
)
def test_a_hostile_page_takes_no_more_than_a_second_or_two(html: str) -> None:
    start = time.process_time()
    read_html(html)
    assert time.process_time() - start < 2.5


def test_a_page_too_wild_for_a_tree_still_gives_its_words() -> None:
    assert "word 19999" in read_html("".join(f"<div>word {n} " for n in range(20_000))).text


def test_flowed_lines_are_joined_at_their_depth() -> None:
    found = mail("one \r\ntwo\r\n> three \r\n> four\r\n-- \r\nsig", content_type="text/plain; format=flowed")
    assert found["text_full"] == "one two\n> three four\n-- \nsig"


def test_flowed_lines_of_a_language_without_spaces_lose_the_one_at_the_end() -> None:
    found = mail("日 \r\n本", content_type="text/plain; charset=utf-8; format=flowed; delsp=yes")
    assert found["text_full"] == "日本"


def test_the_page_says_its_charset_where_the_header_does_not() -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">Привет'.encode("cp1251")
    assert mail(page, content_type="text/html")["text_full"] == "Привет"


def test_text_parts_between_files_are_all_read() -> None:
    body = (
        b"--x\nContent-Type: text/plain\n\nfirst\n--x\nContent-Type: application/pdf; name=a.pdf\n\n%PDF\n"
        b"--x\nContent-Type: text/plain\n\nsecond\n--x\nContent-Type: text/plain; name=notes.txt\n\nfile\n--x--"
    )
    found = mail(body, content_type="multipart/mixed; boundary=x")
    assert found["text_full"] == "first\nsecond"
    assert [file["filename"] for file in found["files"]] == ["a.pdf", "notes.txt"]
