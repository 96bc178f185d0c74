"""What is read from a server's words: roles, attachments, dates, identities."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_imap.records import fields, identity, internal_date
from bridge_imap.structure import attachments
from bridge_imap.wire import Value, uid_set
from bridge_imap.words import NAMES, role_of


@pytest.mark.parametrize(
    ("attributes", "name", "role"),
    [
        (["\\HasNoChildren"], "inbox", "inbox"),
        (["\\HasNoChildren", "\\Sent"], "Irgendwas", "sent"),
        ([], "Enviados", "sent"),
        ([], "INBOX/Itens Enviados", "sent"),
        ([], "Gesendete Elemente", "sent"),
        ([], "Éléments envoyés", "sent"),
        ([], "已发送邮件", "sent"),
        ([], "Archive", "archive"),
        (["\\All"], "[Gmail]/Todos os e-mails", "all"),
        ([], "Entwürfe", "drafts"),
        ([], "Lixo Eletrônico", "junk"),
        ([], "Papierkorb", "trash"),
        ([], "Clientes/Enviados", ""),
        ([], "Padaria Lima", ""),
    ],
)
def test_folders_are_known_by_what_the_server_says_else_by_name(
    attributes: list[str], name: str, role: str
) -> None:
    assert role_of(attributes, name, "/") == role


def test_no_folder_name_stands_for_two_roles() -> None:
    names = [name for listed in NAMES.values() for name in listed.split(", ")]
    assert sorted(names) == sorted(set(names))


def test_the_attachments_of_a_structure_are_named_whatever_their_encoding() -> None:
    structure = [
        [
            [b"TEXT", b"PLAIN", [b"CHARSET", b"utf-8"], None, None, b"8BIT", b"12", b"1"],
            [b"IMAGE", b"PNG", [b"NAME", b"logo.png"], b"<logo>", None, b"BASE64", b"76", None, [b"INLINE", None]],
            b"RELATED",
        ],
        [b"APPLICATION", b"PDF", None, None, None, b"BASE64", b"154", None,
         [b"ATTACHMENT", [b"FILENAME*0*", b"utf-8''Or%C3%A7amento", b"FILENAME*1*", b"%20118.pdf"]]],
        [b"AUDIO", b"OGG", [b"NAME", b"=?utf-8?Q?=C3=A1udio.ogg?="], None, None, b"8BIT", b"400"],
        [b"MESSAGE", b"RFC822", None, None, None, b"7BIT", b"900", [b"Wed", b"Re: x"], [b"TEXT", b"PLAIN"], b"3"],
        b"MIXED",
        [b"BOUNDARY", b"b"],
    ]  # fmt: skip
    assert attachments(structure) == [
        {"id": "1.2", "filename": "logo.png", "content_type": "image/png", "size": 57},
        {"id": "2", "filename": "Orçamento 118.pdf", "content_type": "application/pdf", "size": 114},
        {"id": "3", "filename": "áudio.ogg", "content_type": "audio/ogg", "size": 400},
        {"id": "4", "filename": None, "content_type": "message/rfc822", "size": 900},
    ]


@pytest.mark.parametrize(
    "structure", [None, b"x", [], [[]], [None], [b"TEXT"], [[[[]]]], [b"A", b"B", b"C", b"D", b"E", b"F", []]]
)
def test_a_structure_that_makes_no_sense_has_no_attachments_worth_a_name(structure: Value) -> None:
    assert all(not attachment["filename"] for attachment in attachments(structure))


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (b"18-Nov-2026 14:02:09 -0300", datetime(2026, 11, 18, 17, 2, 9, tzinfo=UTC)),
        (b" 1-jan-2026 00:00:00 +0545", datetime(2025, 12, 31, 18, 15, tzinfo=UTC)),
        (b"31-Feb-2026 00:00:00 +0000", None),
        (b"01-Jan-0001 00:00:00 +0100", None),
        (b"yesterday", None),
        (None, None),
    ],
)
def test_the_internal_date_is_read_in_utc(written: bytes | None, at: datetime | None) -> None:
    assert internal_date(written) == at


@given(st.binary())
def test_whatever_a_header_holds_it_has_an_identity_that_can_be_stored(header: bytes) -> None:
    id = identity(fields(header), 7)
    assert id
    assert "\0" not in id
    id.encode()
    assert len(id) <= 260


@given(st.sets(st.integers(1, 2**32 - 1), min_size=1, max_size=500))
def test_a_set_of_uids_names_these_and_no_others_in_a_line_that_servers_take(uids: set[int]) -> None:
    named: set[int] = set()
    text = uid_set(sorted(uids)).decode()
    for part in text.split(","):
        first, _, last = part.partition(":")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == uids
    assert len(text) < 7500
