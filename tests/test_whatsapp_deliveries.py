"""WhatsApp: who may deliver, whose account it is, and what a body holds."""

from __future__ import annotations

import base64
import json

import pytest
from jsonschema import Draft202012Validator
from pywa.utils import webhook_updates_validator
from starlette.requests import Request as Asked
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from whatsapp_cases import (
    ANA,
    NOW,
    OURS,
    SECRET,
    SETTINGS,
    SHARED,
    batch_of,
    connector,
    request,
    split,
)

from bridge import AuthError, Context, MappingError, Record, Rejected, Reply, Request, Skip
from bridge.testing.context import make_context
from bridge.testing.server import LocalServer
from bridge_whatsapp import SPEC, open_whatsapp
from bridge_whatsapp.sandbox import (
    BUSINESS,
    MetaSandbox,
    batch,
    serialise,
    signed,
    status,
    text_message,
    user_id_changed,
)


def test_the_settings_schema_is_closed_and_marks_every_secret() -> None:
    Draft202012Validator.check_schema(SPEC.settings)
    validator = Draft202012Validator(SPEC.settings)
    assert validator.is_valid(SETTINGS)
    assert not validator.is_valid({**SETTINGS, "app_secert": "x"})
    assert not validator.is_valid({**SETTINGS, "app_secret": ""})
    secrets = {name for name, field in SPEC.settings["properties"].items() if field.get("writeOnly")}
    assert secrets == {"app_secret", "verify_token", "access_token"}
    assert all(field["description"] for field in SPEC.settings["properties"].values())


def test_the_handshake_answers_the_bare_challenge() -> None:
    reply = connector().verify(
        request(
            method="GET", hub__mode="subscribe", hub__verify_token="open sesame ✓", hub__challenge="115820"
        )
    )
    assert reply == Reply(status=200, body=b"115820")


@pytest.mark.parametrize("token", ["", "open sesame", "open sesame ✓ ", "\ud83d", "ö"])
def test_the_handshake_refuses_another_verify_token(token: str) -> None:
    reply = connector().verify(
        request(method="GET", hub__mode="subscribe", hub__verify_token=token, hub__challenge="115820")
    )
    assert reply.status == 403
    assert b"115820" not in reply.body
    assert b"sesame" not in reply.body


def test_a_get_that_is_no_handshake_is_refused_and_stores_nothing() -> None:
    reply = connector().verify(request(method="GET", hub__verify_token="open sesame ✓"))
    assert (reply.status, reply.store) == (400, False)


def test_other_methods_are_refused_with_what_is_allowed() -> None:
    reply = connector().verify(request(b"{}", method="PUT", headers=signed(b"{}", SECRET)))
    assert (reply.status, reply.store, reply.headers) == (405, False, {"Allow": "GET, POST"})


def test_a_signed_delivery_is_stored_and_its_exact_repeat_is_recognised() -> None:
    body = serialise(batch([text_message(ANA, "Oi! Vocês entregam em Santos?", at=NOW)]))
    first = connector().verify(request(body, headers=signed(body, SECRET)))
    again = connector().verify(request(body, headers=signed(body, SECRET)))
    other = connector().verify(request(body + b" ", headers=signed(body + b" ", SECRET)))
    assert (first.status, first.store) == (200, True)
    assert first.idempotency_key == again.idempotency_key
    assert first.idempotency_key != other.idempotency_key


@pytest.mark.parametrize("bit", range(0, 8 * 40, 7))
def test_one_flipped_bit_anywhere_is_refused(bit: int) -> None:
    body = serialise(batch([text_message(ANA, "Müller € 😀", at=NOW)]))
    headers = signed(body, SECRET)
    changed = bytearray(body)
    changed[(bit // 8) * len(body) // 40] ^= 1 << (bit % 8)
    reply = connector().verify(request(bytes(changed), headers=headers))
    assert (reply.status, reply.store) == (401, False)


@pytest.mark.parametrize(
    "header",
    [None, "", "sha256=", "sha1=74bc2bbf5ab6f195d514af1b80ddf3a7c883208e", "sha256=é", "\udcff", "0" * 64],
)
def test_a_missing_or_garbled_signature_is_refused(header: str | None) -> None:
    headers = {} if header is None else {"X-Hub-Signature-256": header}
    reply = connector().verify(request(b'{"object":"page"}', headers=headers))
    assert (reply.status, reply.store) == (401, False)
    assert SECRET.encode() not in reply.body


def test_a_body_that_is_no_text_at_all_is_judged_by_its_signature_only() -> None:
    body = bytes(range(256))
    assert connector().verify(request(body, headers=signed(body, SECRET))).store
    assert not connector().verify(request(body, headers=signed(body, "another secret"))).store


def test_the_signature_vectors_verify_as_they_say() -> None:
    path = SHARED / "signatures" / "vectors.json"
    if not path.exists():
        pytest.skip("signatures/vectors.json is not here")
    vectors = [vector for vector in json.loads(path.read_text()) if vector["provider"] == "meta"]
    assert len(vectors) >= 6
    for vector in vectors:
        receiver = connector(app_secret=vector["secret"])
        body = base64.b64decode(vector["body_b64"])
        assert receiver.verify(request(body, headers=vector["headers"])).store is vector["valid"], vector[
            "note"
        ]


@pytest.mark.parametrize("body", [b"{}", "Müller €".encode(), serialise({"t": "Müller / 😀"}), b""])
@pytest.mark.parametrize("secret", [SECRET, "another secret"])
def test_pywas_validator_agrees_both_ways(body: bytes, secret: str) -> None:
    header = signed(body, secret)["X-Hub-Signature-256"]
    theirs = webhook_updates_validator(app_secret=SECRET, request_body=body, x_hub_signature=header)
    ours = connector().verify(request(body, headers=signed(body, secret)))
    assert ours.store is theirs is (secret == SECRET)


def test_the_same_event_serialised_anew_does_not_verify() -> None:
    tree = batch([text_message(ANA, "Müller / Söhne", at=NOW)])
    anew = json.dumps(tree, ensure_ascii=False).encode()
    assert connector().verify(request(anew, headers=signed(serialise(tree), SECRET))).status == 401


def lent() -> Context:
    return make_context(connection="whatsapp", budgets=SPEC.budgets)


def test_without_a_token_the_account_is_the_configured_one() -> None:
    assert connector().check().id == BUSINESS.waba


def test_with_a_token_the_account_is_asked_for() -> None:
    with MetaSandbox() as meta:
        account = open_whatsapp(meta.settings, lent()).check()
    assert (account.id, account.name, account.currency) == (BUSINESS.waba, "Forno Bom", "BRL")


def test_a_refused_token_pauses_the_connection_and_is_not_shown() -> None:
    with MetaSandbox() as meta:
        ours = open_whatsapp({**meta.settings, "access_token": "expired-token"}, lent())
        with pytest.raises(AuthError, match="system user token") as caught:
            ours.check()
    assert "expired-token" not in str(caught.value)


def test_an_unknown_account_says_which_setting_to_mend() -> None:
    with MetaSandbox() as meta:
        ours = open_whatsapp({**meta.settings, "business_account": "404"}, lent())
        with pytest.raises(Rejected, match=r"404.*Check business_account"):
            ours.check()


def test_a_body_of_a_thousand_events_loses_none() -> None:
    changes = [text_message(ANA, f"line {n}", at=NOW, id=f"wamid.T{n}") for n in range(600)]
    changes += [status(ANA, f"wamid.T{n}", "delivered", at=NOW) for n in range(400)]
    body = batch(changes)
    assert len(body["entry"][0]["changes"]) == 1
    found = split(body)
    assert {record.id for record in found} == {f"wamid.T{n}" for n in range(600)} | {
        f"wamid.T{n}:delivered" for n in range(400)
    }
    assert all(isinstance(record, Record) for record in found)


def test_messages_out_of_order_repeats_and_another_account_are_told_apart() -> None:
    found = split((OURS / "synthetic-batch-out-of-order-duplicate.json").read_bytes())
    assert [(type(one), one.stream, one.id) for one in found] == [
        (Record, "messages", "wamid.SYNTH3="),
        (Record, "messages", "wamid.SYNTH2="),
        (Record, "statuses", "wamid.OUT9=:read"),
        (Record, "statuses", "wamid.OUT9=:sent"),
        (Skip, "messages", "999999999999/wamid.SYNTH2="),
    ]
    assert isinstance(found[-1], Skip)
    assert found[-1].rule == "another WhatsApp account"


def test_a_repeat_inside_a_body_has_the_same_id_and_version() -> None:
    line = text_message(ANA, "Dois, 60x40", at=NOW)
    first, second = split(batch([line, line]))
    assert (first.id, first.version) == (second.id, second.version)


def test_a_changed_content_under_one_id_is_another_version() -> None:
    (first,) = split(batch([text_message(ANA, "a", at=NOW, id="wamid.X")]))
    (second,) = split(batch([text_message(ANA, "b", at=NOW, id="wamid.X")]))
    assert first.id == second.id
    assert first.version != second.version


def test_splitting_again_yields_the_same() -> None:
    body = serialise(batch([text_message(ANA, "Oi", at=NOW), user_id_changed(ANA, "BR.1", at=NOW)]))
    assert split(body) == split(body)


def test_each_reader_of_a_group_message_is_a_status_of_its_own() -> None:
    change = status(ANA, "wamid.G", "read", at=NOW)
    (one,) = change["value"]["statuses"]
    readers = [
        {**one, "recipient_type": "group", "recipient_id": "1@g.us", "recipient_participant_user_id": user}
        for user in ("BR.1", "BR.2")
    ]
    change["value"]["statuses"] = readers
    assert [record.id for record in split(batch([change]))] == ["wamid.G:read:BR.1", "wamid.G:read:BR.2"]


def test_a_broken_item_does_not_lose_its_neighbours() -> None:
    change = text_message(ANA, "Oi", at=NOW)
    change["value"]["messages"][:0] = [None, 7, "text", [], {}, {"id": {}, "type": 5, "timestamp": "never"}]
    receiver = connector()
    found = split(batch([change]), receiver)
    assert len(found) == 7
    assert all(isinstance(record, Record) for record in found)
    texts = [
        seen.data.get("body_text")
        for one in found
        if isinstance(one, Record)
        for seen in receiver.decode(one)
    ]
    assert texts[-1] == "Oi"
    assert all(texts)


def test_a_text_that_was_cut_inside_an_emoji_is_kept() -> None:
    body = serialise(batch([text_message(ANA, "feliz \ud83d", at=NOW)]))
    assert rb"\ud83d" in body
    receiver = connector()
    (record,) = split(body, receiver)
    assert isinstance(record, Record)
    (seen,) = receiver.decode(record)
    assert seen.data["body_text"] == "feliz ?"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"entry": {}}',
        b'{"entry": [NaN]}',
        b'{"entry":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"entry":' + b"[" * 90_000,
        b'{"entry":' + b"[" * 300 + b"]" * 300 + b"}",
    ],
)
def test_a_body_that_is_no_webhook_is_a_mapping_error(body: bytes) -> None:
    with pytest.raises(MappingError):
        split(body)


def test_what_belongs_to_other_products_and_to_the_account_is_skipped_by_name() -> None:
    page = {"object": "page", "entry": [{"id": "1", "messaging": [{"message": {"text": "private"}}]}]}
    banned = {"value": {"event": "DISABLED_UPDATE"}, "field": "account_update"}
    names = (OURS / "synthetic-smb-app-state-sync.json").read_bytes()
    declined = (OURS / "synthetic-history-declined.json").read_bytes()
    broken = {"value": {"messaging_product": "whatsapp", "errors": [{"code": 130429}]}, "field": "messages"}
    rules = [
        one.rule
        for body in (page, batch_of(banned), names, declined, batch_of(broken))
        for one in split(body)
        if isinstance(one, Skip)
    ]
    assert rules == [
        "another product of Meta",
        "account update",
        "own phone book",
        "chat history not shared by the business",
        "account error 130429",
    ]


def test_a_skip_keeps_neither_a_name_nor_a_number() -> None:
    found = split((OURS / "synthetic-smb-app-state-sync.json").read_bytes())
    assert found
    assert not any(word in repr(one) for one in found for word in ("Pablo", "16505551234"))


def test_a_field_nobody_has_a_rule_for_becomes_an_entry() -> None:
    change = {"value": {"metadata": {"phone_number_id": "1"}, "polls": [{"id": "p"}]}, "field": "poll_votes"}
    receiver = connector()
    (record,) = split(batch_of(change), receiver)
    assert isinstance(record, Record)
    (seen,) = receiver.decode(record)
    assert (seen.data["kind"], seen.data["body_text"]) == ("unknown", "[WhatsApp event: poll_votes]")
    assert record.data["item"]["polls"] == [{"id": "p"}]


def test_an_unknown_list_beside_known_ones_is_kept() -> None:
    change = text_message(ANA, "Oi", at=NOW)
    change["value"]["votes"] = [{"id": "v"}]
    found = split(batch([change]))
    assert found[0].id.startswith("wamid.")
    assert isinstance(found[1], Record)
    assert found[1].data["item"] == {"votes": [{"id": "v"}]}


def test_the_stand_in_shakes_hands_delivers_and_repeats_what_was_not_taken() -> None:
    answers: list[int] = [503, 200, 200]
    stored: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked(scope, receive)
        body = await asked.body()
        told = Request(
            method=asked.method,
            url=str(asked.url),
            query=dict(asked.query_params),
            headers=dict(asked.headers),
            body=body,
            received_at=NOW,
        )
        reply = connector(verify_token="meta-verify-token").verify(told)
        status = answers.pop(0) if reply.store else reply.status
        if reply.store and status == 200:
            stored.append(body)
        await Response(reply.body, status)(scope, receive, send)

    with LocalServer(app) as server, MetaSandbox() as meta:
        assert meta.handshake(server.url)
        meta.verify_token = "another"
        assert not meta.handshake(server.url)
        assert not meta.deliver(server.url, text_message(ANA, "um", at=NOW))
        assert meta.deliver(server.url, text_message(ANA, "dois", at=NOW))
        assert meta.redeliver()
    found = [record for body in stored for record in split(body)]
    assert [record.data["item"]["text"]["body"] for record in found if isinstance(record, Record)] == [
        "dois",
        "um",
    ]
    assert not meta.deliver(server.url, text_message(ANA, "três", at=NOW))
    assert len(meta.undelivered) == 1
