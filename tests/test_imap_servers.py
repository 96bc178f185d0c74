"""The mailbox connector against the answers of servers that cannot be installed, and of those that fail."""

from __future__ import annotations

import socket
import threading
import traceback
from types import SimpleNamespace

import imapclient
import pytest
from imap_front import EVERYDAY, Front, Script
from imap_world import Pulled, mail, meta_of, raw_of

from bridge import AuthError, Phase, RateLimited, Record, Skip, Unavailable
from bridge_imap.sign_in import Server, sign_in
from bridge_imap.wire import Wire

DONE = "{tag} OK done"

HEADER = "BODY[HEADER.FIELDS (FROM MESSAGE-ID)]"


def literal(raw: bytes) -> str:
    return f"{{{len(raw)}}}\r\n{raw.decode('latin-1')}"


def head(uid: int, raw: bytes, more: str = "") -> str:
    """Return what a server says of a mail when it is asked for its header."""
    fields = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    told = f'UID {uid} RFC822.SIZE {len(raw)} INTERNALDATE "18-Nov-2026 14:02:09 -0300" FLAGS (\\Seen){more}'
    return f"* {uid} FETCH ({told} {HEADER} {literal(fields)})\r\n"


def body(uid: int, raw: bytes) -> str:
    return f"* {uid} FETCH (UID {uid} BODY[] {literal(raw)})\r\n"


ONE, TWO = mail(1), mail(2)

HEADS = head(1, ONE) + head(2, TWO) + DONE

ONE_BY_ONE: Script = {
    "UID FETCH 1 (UID RFC822.SIZE": head(1, ONE) + DONE,
    "UID FETCH 2 (UID RFC822.SIZE": head(2, TWO) + DONE,
    "UID FETCH 2 (UID BODY.PEEK[HEADER": head(2, TWO) + DONE,
    "UID FETCH 1 (UID BODY": body(1, ONE) + DONE,
}

ASKED_HEADS = "UID FETCH 1:2 (UID RFC822.SIZE"

ASKED_BODIES = "UID FETCH 1:2 (UID BODY.PEEK[])"


def read(script: Script, phase: Phase = "backfill") -> list[Record | Skip]:
    """Pull once from a server that plays `script`."""
    with Front(script=script) as front:
        box = Pulled(front.settings)
        try:
            return box.records(phase)
        finally:
            box.close()


def test_a_server_that_answers_fetches_backwards_gives_each_mail_its_own_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge_imap.reading.CHUNK", 1)
    one, two = mail(1), mail(2)
    script = {
        **EVERYDAY,
        "UID FETCH 1 (UID RFC822.SIZE": head(1, one) + DONE,
        "UID FETCH 2 (UID RFC822.SIZE": head(2, two) + DONE,
        "UID FETCH 1 (UID BODY": body(1, one) + DONE,
        "UID FETCH 2 (UID BODY": body(2, two) + DONE,
    }
    with Front(script=script, backwards=True) as front:
        box = Pulled(front.settings)
        records = box.records("backfill")
        box.close()
    assert [(r.id, raw_of(r)) for r in records] == [("2@ana.example", two), ("1@ana.example", one)]


def test_gmail_is_read_from_all_mail_and_labels_say_where_a_mail_stands() -> None:
    sent, draft, new = mail("sent"), mail("draft"), mail("new")
    script = {
        "UID FETCH 1:3 (X-GM-LABELS": head(1, sent, ' X-GM-LABELS ("\\\\Sent" "Clientes")')
        + head(2, draft, ' X-GM-LABELS ("\\\\Draft")')
        + head(3, new, ' X-GM-LABELS ("\\\\Inbox" "\\\\Important")')
        + DONE,
        "UID FETCH 1,3 (UID BODY.PEEK[])": body(1, sent) + body(3, new) + DONE,
        "CAPABILITY": "* CAPABILITY IMAP4rev1 X-GM-EXT-1 SPECIAL-USE\r\n" + DONE,
        "LIST": '* LIST () "/" "INBOX"\r\n* LIST (\\Noselect) "/" "[Gmail]"\r\n'
        '* LIST (\\All) "/" "[Gmail]/Todos os e-mails"\r\n* LIST (\\Sent) "/" "[Gmail]/Enviados"\r\n{tag} OK done',
        "STATUS": '* STATUS "[Gmail]/Todos os e-mails" (UIDVALIDITY 7 UIDNEXT 4)\r\n{tag} OK done',
        "EXAMINE": "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] \r\n* OK [UIDNEXT 4] \r\n{tag} OK [READ-ONLY] done",
        "UID SEARCH": "* SEARCH 1 2 3\r\n" + DONE,
    }  # fmt: skip
    with Front(script={**EVERYDAY, **script}) as front:
        box = Pulled(front.settings)
        assert box.connector.check().scopes == ["[Gmail]/Todos os e-mails"]
        records = box.records()
        box.close()
    assert [(r.id, meta_of(r)["role"]) for r in records if isinstance(r, Record)] == [
        ("sent@ana.example", "sent"),
        ("new@ana.example", "inbox"),
    ]
    assert [r.rule for r in records if isinstance(r, Skip)] == ["draft"]


def test_flags_told_unasked_and_answers_in_pieces_change_nothing() -> None:
    told = head(1, ONE) + "* 2 FETCH (FLAGS (\\Seen) UID 2)\r\n* 3 EXISTS\r\n" + head(2, TWO) + DONE
    size = len(TWO)
    pieces = (
        "* 9 FETCH (FLAGS (\\Seen))\r\n"
        + body(2, TWO)
        + f"* 1 FETCH (UID 1 RFC822.SIZE {size})\r\n"
        + body(1, ONE)
    )
    records = read({**EVERYDAY, ASKED_HEADS: told, ASKED_BODIES: pieces + DONE})
    assert [raw_of(r) for r in records] == [TWO, ONE]


def test_a_mail_that_vanishes_before_its_body_is_read_is_left_out() -> None:
    records = read({**EVERYDAY, ASKED_HEADS: HEADS, ASKED_BODIES: body(1, ONE) + DONE})
    assert [r.id for r in records] == ["1@ana.example"]


def test_a_mail_of_which_the_server_sends_nil_is_kept_by_its_header() -> None:
    nil = "* 2 FETCH (UID 2 BODY[] NIL)\r\n"
    records = read(
        {
            **EVERYDAY,
            **ONE_BY_ONE,
            ASKED_HEADS: HEADS,
            ASKED_BODIES: nil + DONE,
            "UID FETCH 2 (UID BODY": nil + DONE,
        }
    )
    assert [(r.id, r.version) for r in records] == [
        ("2@ana.example", "unreadable"),
        ("1@ana.example", "full"),
    ]
    assert b"Subject: Fornos 2" in raw_of(records[0])
    assert "NIL" in meta_of(records[0])["reason"]


def test_a_mail_that_the_server_refuses_to_give_out_does_not_hold_up_the_others() -> None:
    no = "{tag} NO The message could not be converted to an RFC-822 compatible format."
    records = read(
        {
            **EVERYDAY,
            **ONE_BY_ONE,
            ASKED_HEADS: HEADS,
            ASKED_BODIES: no,
            "UID FETCH 2 (UID BODY": no,
        },
    )
    assert [(r.id, r.version) for r in records] == [
        ("2@ana.example", "unreadable"),
        ("1@ana.example", "full"),
    ]
    assert "could not be converted" in meta_of(records[0])["reason"]


def test_a_mail_of_which_nothing_can_be_read_is_recorded_by_its_place_while_others_come() -> None:
    no = "{tag} NO [SERVERBUG] Internal error"
    records = read(
        {
            **EVERYDAY,
            ASKED_HEADS: no,
            "UID FETCH 1 (UID RFC822.SIZE": head(1, ONE) + DONE,
            "UID FETCH 2 (UID RFC822.SIZE": no,
            "UID FETCH 1 (UID BODY": body(1, ONE) + DONE,
            "SEARCH 1,2 NOT UID 2": "* SEARCH 1\r\n" + DONE,
            "FETCH 1 (UID BODY.PEEK[HEADER": head(1, ONE) + DONE,
        },
    )
    assert [(r.id, r.version) for r in records] == [
        ("unreadable:INBOX:7:2", "unreadable"),
        ("1@ana.example", "full"),
    ]


def test_a_server_that_gives_out_no_mail_at_all_is_at_fault_not_its_mails() -> None:
    script = {
        **EVERYDAY,
        "SEARCH": "* SEARCH 1\r\n" + DONE,
        "FETCH": "{tag} NO [SERVERBUG] Internal error",
        "UID FETCH": "{tag} NO [SERVERBUG] Internal error",
    }
    with Front(script=script) as front:
        box = Pulled(front.settings)
        with pytest.raises(Unavailable, match="Internal error"):
            box.pages("backfill")
        assert box.cursors == {}
        box.close()


def test_a_throttled_server_is_left_alone_for_as_long_as_it_says() -> None:
    says = "{tag} BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds"
    with pytest.raises(RateLimited, match="throttled") as error:
        read({**EVERYDAY, "UID FETCH": says})
    assert error.value.wait == pytest.approx(299.961)


@pytest.mark.parametrize(
    "says",
    [
        "{tag} NO [OVERQUOTA] Account exceeded command or bandwidth limits",
        "{tag} NO [ALERT] Too many simultaneous connections. (Failure)",
        "{tag} NO [UNAVAILABLE] Temporary authentication failure",
    ],
)
def test_a_server_that_says_not_now_at_the_sign_in_is_no_auth_error(says: str) -> None:
    with pytest.raises(RateLimited):
        read({**EVERYDAY, "LOGIN": says})


@pytest.mark.parametrize(
    "says",
    [
        "* 1 FETCH (UID 1 RFC822.SIZE 5",
        '* 1 FETCH (UID 1 RFC822.SIZE abc INTERNALDATE "x" FLAGS () BODY[HEADER.FIELDS (FROM)] {3}\r\na\r\n)',
        "* 1 FETCH (UID 1 BODY[] {99999999999}",
        "* 1 FETCH ))))",
        "* 1 FETCH (UID)",
        "+ what?",
        "HTTP/1.1 200 OK",
    ],
)
def test_nonsense_in_an_answer_is_unavailable(says: str) -> None:
    with pytest.raises(Unavailable):
        read({**EVERYDAY, "UID FETCH": says + "\r\n" + DONE})


def test_a_server_that_goes_silent_in_the_middle_of_an_answer_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge_imap.client.READ_SECONDS", 0.2)
    with pytest.raises(Unavailable, match="silent"):
        read({**EVERYDAY, "UID FETCH": "* 1 FETCH (UID 1 BODY[] {10}"})


def test_a_server_without_uidnext_in_examine_is_asked_for_its_last_mail() -> None:
    script = {
        **EVERYDAY,
        "EXAMINE": "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] \r\n" + DONE,
        "UID FETCH * (UID)": "* 2 FETCH (UID 2)\r\n" + DONE,
        ASKED_HEADS: HEADS,
        ASKED_BODIES: body(1, ONE) + body(2, TWO) + DONE,
    }
    assert [r.id for r in read(script)] == ["2@ana.example", "1@ana.example"]


def test_a_mailbox_restored_from_a_backup_is_read_again() -> None:
    script = {**EVERYDAY, ASKED_HEADS: HEADS, ASKED_BODIES: body(1, ONE) + body(2, TWO) + DONE}
    with Front(script=script) as front:
        box = Pulled(front.settings)
        box.cursors["live"] = {"folders": {"INBOX": {"uidvalidity": 7, "uidnext": 40}}}
        assert box.ids() == ["1@ana.example", "2@ana.example"]
        assert box.cursors["live"] == {"folders": {"INBOX": {"uidvalidity": 7, "uidnext": 3}}}
        box.close()


def test_a_search_that_names_the_last_mail_though_it_is_old_brings_nothing() -> None:
    script = {
        **EVERYDAY,
        "UID SEARCH": "* SEARCH 2\r\n" + DONE,
        "STATUS": "* STATUS INBOX (UIDVALIDITY 7 UIDNEXT 4)\r\n" + DONE,
    }
    with Front(script=script) as front:
        box = Pulled(front.settings)
        box.cursors["live"] = {"folders": {"INBOX": {"uidvalidity": 7, "uidnext": 3}}}
        assert box.records() == []
        assert not [command for command in front.heard if command.startswith("UID FETCH")]
        box.close()


def test_a_line_that_comes_in_pieces_while_waiting_is_read_whole() -> None:
    near, far = socket.socketpair()
    near.settimeout(10)
    with near, far, near.makefile("rb") as lines:
        wire = Wire(SimpleNamespace(sock=near, file=lines, readline=lines.readline, send=near.sendall))  # type: ignore[arg-type]
        far.sendall(b"+ idling\r\n* 7 FET")
        timer = threading.Timer(0.2, far.sendall, [b"CH (FLAGS ())\r\n* 3 EXISTS\r\n"])
        timer.start()
        tag, news = wire.begin_idle()
        assert news
        timer.join()
        assert wire.idled() == (0, False)
        far.sendall(b"* 4 EXISTS\r\n" + tag + b" OK done\r\n")
        assert wire.end_idle(tag)
        assert far.recv(100) == tag + b" IDLE\r\nDONE\r\n"


def test_a_server_whose_status_and_examine_disagree_is_not_pulled_without_end() -> None:
    script = {
        **EVERYDAY,
        "CAPABILITY": "* CAPABILITY IMAP4rev1 UNSELECT\r\n" + DONE,
        "UNSELECT": DONE,
        "STATUS": "* STATUS INBOX (UIDVALIDITY 7 UIDNEXT 4)\r\n" + DONE,
        ASKED_HEADS: HEADS,
        ASKED_BODIES: body(1, ONE) + body(2, TWO) + DONE,
    }
    with Front(script=script) as front:
        box = Pulled(front.settings)
        waits = []
        for _ in range(3):
            box.pages()
            waits.append(box.connector.wait("messages", 0.1))
        box.close()
    assert waits == [True, False, False]


def test_a_large_mailbox_is_searched_in_ranges_that_fit_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge_imap.source.WINDOW", 10)
    script = {
        **EVERYDAY,
        "EXAMINE": "* 25 EXISTS\r\n* OK [UIDVALIDITY 7] \r\n* OK [UIDNEXT 26] \r\n" + DONE,
        "UID SEARCH": "* SEARCH\r\n" + DONE,
    }
    with Front(script=script) as front:
        box = Pulled(front.settings)
        box.pages("backfill")
        assert [c for c in front.heard if "SEARCH" in c] == [
            "UID SEARCH UID 21:25",
            "UID SEARCH UID 11:20",
            "UID SEARCH UID 1:10",
        ]
        box.close()


def test_microsoft_refusing_a_password_says_what_to_do() -> None:
    with Front(script={**EVERYDAY, "LOGIN": "{tag} NO LOGIN failed."}) as front:
        server = Server(
            host="outlook.office365.com",
            port=993,
            tls="implicit",
            user="sales@example.com",
            password="s3cr3t-word",
        )
        with (
            imapclient.IMAPClient("127.0.0.1", port=front.port, ssl=False) as imap,
            pytest.raises(AuthError, match=r"Microsoft does not accept passwords.*settings\.token") as error,
        ):
            sign_in(imap, server, "sales-mailbox")
    assert "s3cr3t-word" not in "".join(traceback.format_exception(error.value))


def test_a_server_that_takes_no_password_without_tls_says_what_to_set() -> None:
    with pytest.raises(AuthError, match=r"settings\.tls"):
        read({**EVERYDAY, "CAPABILITY": "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n" + DONE})


def test_a_mailbox_without_a_known_folder_of_sent_mail_says_so() -> None:
    with Front(script=EVERYDAY) as front:
        box = Pulled(front.settings)
        assert box.connector.check().missing_scopes == [
            "sent mail: no such folder was found; name it in settings.folders"
        ]
        box.close()
