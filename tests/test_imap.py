"""The mailbox connector: settings, a server in memory, and what becomes of a record."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imap_world import Pulled, mail, meta_of
from jsonschema import Draft202012Validator

from bridge import ConfigError, CursorExpired
from bridge.journey.schema import Validator
from bridge.mapping import load_mapping
from bridge.testing.context import CaptureRules, make_context
from bridge_imap import SPEC, Imap
from bridge_imap.records import Meta, record
from bridge_imap.sandbox import ImapSandbox
from bridge_imap.sign_in import Server


@pytest.fixture
def sandbox() -> Iterator[ImapSandbox]:
    with ImapSandbox() as sandbox:
        yield sandbox


def test_a_mailbox_in_memory_is_read_and_waited_on(sandbox: ImapSandbox) -> None:
    box = Pulled(sandbox.settings)
    sandbox.append("Sent", mail("sent"))
    sandbox.append("INBOX", mail(1), mail(2), at=datetime(2025, 1, 2, tzinfo=UTC))
    assert box.connector.check().missing_scopes == []
    assert box.ids("backfill") == ["sent@ana.example", "2@ana.example", "1@ana.example"]
    assert box.ids() == ["sent@ana.example"]
    timer = threading.Timer(0.3, lambda: sandbox.append("INBOX", mail(3)))
    timer.start()
    assert box.connector.wait("messages", 60)
    timer.join()
    assert box.ids() == ["3@ana.example"]
    assert not box.connector.wait("messages", 0.2)
    box.close()


def test_the_first_live_pull_reaches_back_a_day_so_that_no_gap_opens_beside_a_backfill(
    sandbox: ImapSandbox,
) -> None:
    box = Pulled(sandbox.settings)
    came = [r.id for page in box.pages("backfill") for r in page.records]
    sandbox.append("INBOX", mail("between"))
    came += box.ids("live")
    assert came == ["between@ana.example"]
    box.close()


def test_the_same_mail_in_two_folders_has_one_id_and_version(sandbox: ImapSandbox) -> None:
    box = Pulled(sandbox.settings)
    sandbox.append("Sent", mail(1))
    sandbox.append("INBOX", mail(1))
    records = box.records("backfill")
    assert [(r.id, r.version) for r in records] == [("1@ana.example", "full")] * 2
    assert [meta_of(r)["role"] for r in records] == ["sent", "inbox"]
    box.close()


def test_a_copy_that_came_through_a_list_does_not_stand_for_the_direct_one(sandbox: ImapSandbox) -> None:
    box = Pulled(sandbox.settings)
    sandbox.append("INBOX", mail(1), mail(1, List_Id="<bakers.example>", text="Oi!\r\n--\r\nleave the list"))
    assert set(box.ids("backfill")) == {"1@ana.example", "1@ana.example#list"}
    box.close()


def test_a_mail_without_message_id_is_known_by_its_header_and_body(sandbox: ImapSandbox) -> None:
    box = Pulled(sandbox.settings)
    nameless = mail(1, Message_ID="", text="Oi")
    sandbox.append("INBOX", nameless, mail(2, Message_ID="", text="Oi"), mail(1, Message_ID="", text="Ei"))
    sandbox.append("Archive", b"Received: by the archive\r\n" + nameless)
    ids = box.ids("backfill")
    assert all(id.startswith("mail-hash:") for id in ids)
    assert (len(ids), len(set(ids))) == (4, 4)
    box.pages()
    sandbox.append("Archive", nameless)
    assert box.ids() == [ids[2]]
    box.close()


def test_own_addresses_and_domains_are_not_asked_about(sandbox: ImapSandbox) -> None:
    asked: list[list[str]] = []

    class Listening(CaptureRules):
        def decide(self, **what: object) -> object:  # type: ignore[override]
            asked.append(list(what["addresses"]))  # type: ignore[call-overload]
            return super().decide(**what)  # type: ignore[arg-type]

    box = Pulled({**sandbox.settings, "addresses": ["Ovens@bakery.example"]}, capture=Listening())
    sandbox.append(
        "INBOX",
        mail(
            1,
            To='"Lima, Rui" <rui@lima.example>, sales@example.com',
            Cc="ovens@bakery.example, rui@sub.example.com",
        ),
    )
    box.pages("backfill")
    assert asked == [["ana@padarialima.example", "rui@lima.example"]]
    box.close()


def test_a_cursor_of_another_shape_is_read_again_from_the_start(sandbox: ImapSandbox) -> None:
    connector = Imap(sandbox.settings, make_context())
    with pytest.raises(CursorExpired):
        list(connector.pull("messages", "live", {"inbox": 7}, ()))
    connector.close()


@pytest.mark.parametrize(
    ("meta", "raw"),
    [
        (Meta(detail="full"), mail(1)),
        (Meta(detail="subject"), b"From: ana@padarialima.example\r\nSubject: Fornos\r\n\r\n"),
        (Meta(detail="metadata"), b"From: ana@padarialima.example\r\n\r\n"),
        (Meta(detail="unreadable", reason="NO"), b"From: ana@padarialima.example\r\n\r\n"),
        (
            Meta(
                detail="cut",
                attachments=[{"id": "2", "filename": None, "content_type": "audio/ogg", "size": 7}],
            ),
            mail(1),
        ),
    ],
)
def test_each_kind_of_record_becomes_a_valid_interaction(meta: Meta, raw: bytes) -> None:
    meta = Meta(**{**meta, "role": "inbox", "internal_date": "2026-11-18T17:02:09Z"})
    connector = Imap({"host": "h", "user": "sales@example.com", "password": "p"}, make_context())
    (view,) = connector.decode(record("x", None, meta, raw))
    mapping = load_mapping(Path(__file__).parents[1] / "mappings/imap.yaml", connector="imap")
    interaction = mapping.pull["messages"].map(view.data)
    assert Validator.for_entity("interaction").check(interaction) == []
    assert interaction["participants"][0]["handles"][0]["value"] == "ana@padarialima.example"


@pytest.mark.parametrize(
    ("settings", "good"),
    [
        ({"host": "h", "user": "u", "password": "p"}, True),
        ({"host": "h", "user": "u", "token": "t", "tls": "starttls", "port": 143}, True),
        ({"host": "h", "user": "u"}, False),
        ({"host": "h", "user": "u", "password": "p", "token": "t"}, False),
        ({"host": "h", "user": "u", "password": "p", "tls": "maybe"}, False),
        ({"host": "h", "user": "u", "password": "p", "ssl": True}, False),
    ],
)
def test_the_settings_say_what_they_need(settings: Mapping[str, object], good: bool) -> None:
    assert Draft202012Validator(SPEC.settings).is_valid(settings) == good


@pytest.mark.parametrize(
    ("host", "good"), [("localhost", True), ("127.0.0.1", True), ("::1", True), ("10.0.0.7", False)]
)
def test_only_this_machine_is_spoken_to_without_tls(host: str, good: bool) -> None:
    settings = {"host": host, "user": "u", "password": "p", "tls": "none"}
    if good:
        Imap(settings, make_context())
    else:
        with pytest.raises(ConfigError, match=r"settings\.tls"):
            Imap(settings, make_context())


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("Sales@Example.com", "sales@example.com"),
        ("SALES", "sales@imap.example.com"),
        (" EX\\sales ", "ex\\sales@imap.example.com"),
    ],
)
def test_the_account_is_named_the_same_however_it_is_written(user: str, account: str) -> None:
    assert Server(host="IMAP.Example.com.", port=993, tls="implicit", user=user).account == account
