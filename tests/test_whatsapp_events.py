"""WhatsApp: what each event tells of a person and a message."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from whatsapp_cases import (
    ANA,
    MAPPING,
    NOW,
    OURS,
    ZOE,
    batch_of,
    connector,
    customer_of,
    entity,
    handles_of,
    split,
    view,
    views,
)

from bridge import Record
from bridge.journey.fold import Part, fold
from bridge_whatsapp.sandbox import (
    BUSINESS,
    Business,
    ad,
    batch,
    echo,
    edit,
    history,
    message,
    reaction,
    revoke,
    status,
    text_message,
    user_id_changed,
    voice_message,
)


def test_a_text_carries_who_wrote_when_and_where() -> None:
    seen = view(text_message(ANA, "Oi! Vocês entregam em Santos?", at=NOW, id="wamid.A", reply_to="wamid.Z"))
    seen.pop("item")
    seen.pop("contact")
    assert seen == {
        "kind": "message",
        "direction": "inbound",
        "occurred_at": "2026-11-18T17:02:00Z",
        "channel_account": BUSINESS.phone_number_id,
        "thread_id": f"{BUSINESS.phone_number_id}:5511973914862",
        "visibility": "full",
        "tells": "whole",
        "dedupe_keys": ["wamid:wamid.A"],
        "participants": [
            {
                "role": "from",
                "side": "customer",
                "display_name": "Ana Souza",
                "handles": [
                    {"kind": "whatsapp_bsuid", "value": "BR.1349120865530274", "scope": BUSINESS.waba},
                    {"kind": "whatsapp_id", "value": "5511973914862"},
                    {"kind": "phone", "value": "+5511973914862"},
                ],
            },
            {"role": "to", "side": "team", "handles": [{"kind": "phone", "value": "+551140001000"}]},
        ],
        "body_text": "Oi! Vocês entregam em Santos?",
        "in_reply_to": "wamid.Z",
        "status": "received",
    }


def test_the_first_message_after_an_ad_carries_where_the_person_came_from() -> None:
    referral = ad("Forno turbo", id="1203", url="https://www.instagram.com/p/abc", click_id="clid")
    seen = view(text_message(ANA, "Quero saber mais", at=NOW, referral=referral))
    assert seen["attribution"] == {
        "source": "ad",
        "medium": "instagram",
        "ad_id": "1203",
        "headline": "Forno turbo",
        "referrer": "https://www.instagram.com/p/abc",
        "click_ids": {"ctwa_clid": "clid"},
        "at": "2026-11-18T17:02:00Z",
    }


def test_an_ad_in_a_whatsapp_status_has_no_click_id_and_still_counts() -> None:
    referral = ad("Forno turbo", id="1203", url="not an [address")
    attribution = view(text_message(ANA, "Oi", at=NOW, referral=referral))["attribution"]
    assert attribution["ad_id"] == "1203"
    assert "click_ids" not in attribution
    assert "medium" not in attribution


def test_a_voice_message_is_an_attachment_that_waits_to_be_fetched() -> None:
    seen = view(voice_message(ANA, "24230790383178626", at=NOW, id="wamid.V"))
    assert seen["attachments"] == [
        {
            "id": "wamid.V",
            "ref": "24230790383178626",
            "content_type": "audio/ogg",
            "is_voice": True,
            "state": "pending",
        }
    ]
    assert "body_text" not in seen


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("image", {"id": "9", "mime_type": "image/jpeg", "caption": "Plan"}, "Plan"),
        ("document", {"id": "9", "filename": "p.pdf", "caption": "a proposta"}, "a proposta"),
        ("button", {"payload": "no", "text": "Não"}, "Não"),
        ("interactive", {"type": "button_reply", "button_reply": {"id": "1", "title": "Sim"}}, "Sim"),
        (
            "interactive",
            {"type": "list_reply", "list_reply": {"id": "1", "title": "Terça", "description": "9-12 h"}},
            "Terça (9-12 h)",
        ),
        (
            "interactive",
            {"nfm_reply": {"body": "Sent", "response_json": '{"nome":"Ana","fornos":2,"flow_token":"t"}'}},
            "nome: Ana\nfornos: 2",
        ),
        ("interactive", {"nfm_reply": {"body": "Sent", "response_json": "{broken"}}, "Sent"),
        ("interactive", {"call_permission_reply": {"response": "accept"}}, "[call permission: accept]"),
        ("interactive", {}, "[unsupported message: interactive]"),
        (
            "location",
            {"latitude": -23.5, "longitude": -46.6, "name": "Padaria Lima"},
            "[location -23.5, -46.6 Padaria Lima]",
        ),
        ("location", {}, "[location]"),
        (
            "contacts",
            [{"name": {"formatted_name": "Rui"}, "phones": [{"phone": "+351 912"}]}, {"vcard": "BEGIN"}],
            "[contact Rui +351 912]\n[contact]",
        ),
        (
            "order",
            {
                "text": "para sexta",
                "product_items": [
                    {"product_retailer_id": "F60", "quantity": 2, "item_price": 30, "currency": "BRL"}
                ],
            },
            "para sexta\n[order: 2 x F60 at 30 BRL]",
        ),
        ("unsupported", {"type": "poll"}, "[unsupported message: poll]"),
        ("unknown", {}, "[unsupported message]"),
        ("hologram", {"id": "1"}, "[unsupported message: hologram]"),
    ],
)
def test_every_type_says_something(kind: str, content: Any, expected: str) -> None:
    assert view(message(ANA, kind, content, at=NOW))["body_text"] == expected


def test_a_reaction_an_edit_and_a_removal_speak_of_the_message_they_name() -> None:
    wow, gone = (view(reaction(ANA, "wamid.M", emoji, at=NOW)) for emoji in ("😮", ""))
    edited = view(edit(ANA, "wamid.M", "Três, 60x40", at=NOW))
    removed = view(revoke(ANA, "wamid.M", at=NOW))
    assert [seen["tells"] for seen in (wow, gone, edited, removed)] == [
        "reaction",
        "reaction",
        "edit",
        "removal",
    ]
    assert all(seen["dedupe_keys"] == ["wamid:wamid.M"] for seen in (wow, gone, edited, removed))
    assert wow["reactions"] == [{"by": "5511973914862", "emoji": "😮", "at": "2026-11-18T17:02:00Z"}]
    assert gone["reactions"][0]["emoji"] == ""
    assert (edited["body_text"], edited["edited_at"]) == ("Três, 60x40", "2026-11-18T17:02:00Z")
    assert removed["deleted_at"] == "2026-11-18T17:02:00Z"


def test_what_the_team_wrote_in_the_app_is_outbound_whichever_side_is_named_first() -> None:
    change = echo(ANA, "Às terças. Quantos fornos?", at=NOW)
    (told,) = change["value"]["message_echoes"]
    seen = view(change)
    told["from"], told["to"] = told["to"], told["from"]
    exchanged = view(change)
    for one in (seen, exchanged):
        assert (one["direction"], one["status"]) == ("outbound", "sent")
        assert customer_of(one)["role"] == "to"
        assert handles_of(one)[1] == ("whatsapp_id", "5511973914862")
        assert one["thread_id"] == f"{BUSINESS.phone_number_id}:5511973914862"


@pytest.mark.parametrize("number", ["551140001000", "+55 11 4000-1000"])
def test_history_tells_both_sides_apart_and_stays_beside_the_live_message(number: str) -> None:
    business = Business(display_phone_number=number)
    chunk = history(
        ANA,
        [(NOW - timedelta(days=9), True, "Segue a proposta."), (NOW - timedelta(days=8), False, "Obrigada!")],
        business=Business(),
    )
    chunk["value"]["metadata"]["display_phone_number"] = business.display_phone_number
    ours, theirs = views(chunk)
    assert (ours["direction"], ours["status"], ours["body_text"]) == ("outbound", "READ", "Segue a proposta.")
    assert (theirs["direction"], theirs["status"], theirs["body_text"]) == (
        "inbound",
        "received",
        "Obrigada!",
    )
    assert ours["thread_id"] == theirs["thread_id"] == f"{BUSINESS.phone_number_id}:5511973914862"
    for record in split(batch([chunk])):
        assert record.id.endswith(":history")


def test_history_of_a_number_that_is_written_in_two_ways_keeps_its_direction() -> None:
    chunk = history(ANA, [(NOW, True, "Olá")])
    (told,) = chunk["value"]["history"][0]["threads"][0]["messages"]
    told["from"] = "5511940001000"
    del told["to"]
    assert view(chunk)["direction"] == "outbound"


def test_a_file_of_the_history_comes_later_and_folds_by_its_message_id() -> None:
    receiver = connector()
    records = [
        record
        for name in ("synthetic-history-chunk.json", "synthetic-history-media-followup.json")
        for record in split((OURS / name).read_bytes(), receiver)
        if isinstance(record, Record)
    ]
    seen = [one.data for record in records for one in receiver.decode(record)]
    placeholder, file = seen[1], seen[3]
    assert [record.id for record in records][1::2] == [
        "wamid.SYNTHMEDIA1=:history",
        "wamid.SYNTHMEDIA1=:media",
    ]
    assert placeholder["dedupe_keys"] == file["dedupe_keys"]
    assert placeholder["attachments"] == [{"id": "wamid.SYNTHMEDIA1=", "state": "unknown"}]
    assert "body_text" not in placeholder
    assert (file["direction"], file["body_text"]) == ("outbound", "Plan")
    assert file["attachments"][0]["state"] == "pending"


@pytest.mark.parametrize("order", [1, -1])
def test_the_records_of_one_message_fold_into_one_whatever_their_order(order: int) -> None:
    receiver = connector()
    records = [
        record
        for name in ("synthetic-history-chunk.json", "synthetic-history-media-followup.json")
        for record in split((OURS / name).read_bytes(), receiver)
        if isinstance(record, Record) and "MEDIA" in record.id
    ]
    parts = [Part(record_key=record.id, entity=entity(record, receiver)) for record in records]
    folded = fold(parts[::order])
    assert folded["body_text"] == "Plan"
    assert [(file["ref"], file["state"]) for file in folded["attachments"]] == [
        ("24230790383178626", "pending")
    ]
    assert folded["thread_id"] == "106540352242922:41790000001"
    assert folded["state"] == "read"


def test_statuses_tell_how_far_a_message_came_and_whether_it_was_a_template() -> None:
    sent = view(status(ANA, "wamid.O", "sent", at=NOW, category="marketing"))
    read = view(status(ANA, "wamid.O", "read", at=NOW))
    assert (sent["tells"], sent["direction"], sent["dedupe_keys"]) == (
        "status",
        "outbound",
        ["wamid:wamid.O"],
    )
    assert (sent["is_automated"], sent["automated_by"]) == (True, "template")
    assert "automated_by" not in read
    assert "is_automated" not in read


def test_the_category_of_an_old_conversation_says_nothing_of_one_message() -> None:
    change = status(ANA, "wamid.O", "sent", at=NOW, category="marketing")
    change["value"]["statuses"][0]["pricing"]["pricing_model"] = "CBP"
    assert "automated_by" not in view(change)


def test_a_failure_says_why_in_metas_words() -> None:
    error = {"code": 131026, "title": "Message undeliverable", "error_data": {"details": "No such user"}}
    seen = view(status(ANA, "wamid.O", "failed", at=NOW, error=error))
    assert (seen["status"], seen["outcome"]) == ("failed", "131026 Message undeliverable (No such user)")


def test_a_call_tells_its_length_at_its_end_and_a_missed_one_is_missed() -> None:
    call = {
        "id": "wacid.ABG",
        "from": "5511973914862",
        "to": "551140001000",
        "event": "terminate",
        "direction": "USER_INITIATED",
        "timestamp": "1763485380",
        "start_time": "1763485320",
        "end_time": "1763485353",
        "duration": 33,
        "status": "COMPLETED",
    }
    metadata = {"phone_number_id": "1", "display_phone_number": "551140001000"}
    rung = {name: call[name] for name in ("id", "from", "to", "direction", "timestamp")} | {
        "event": "connect"
    }
    failed = {**call, "id": "wacid.XYZ", "status": "FAILED"}
    calls = [rung, call, failed]
    receiver = connector()
    records = split(batch_of({"value": {"metadata": metadata, "calls": calls}, "field": "calls"}), receiver)
    assert [record.id for record in records] == [
        "wacid.ABG:connect",
        "wacid.ABG:terminate",
        "wacid.XYZ:terminate",
    ]
    started, ended, missed = (
        seen.data for one in records if isinstance(one, Record) for seen in receiver.decode(one)
    )
    assert (started["tells"], ended["tells"]) == ("status", "whole")
    assert started["dedupe_keys"] == ended["dedupe_keys"] == ["wacid:wacid.ABG"]
    assert (ended["kind"], ended["duration_s"], ended["status"]) == ("call", 33, "COMPLETED")
    assert customer_of(ended)["role"] == "caller"
    assert missed["status"] == "MISSED"


def test_everything_the_stand_in_can_send_becomes_a_valid_interaction() -> None:
    error = {"code": 131026, "title": "Message undeliverable"}
    changes = [
        text_message(ANA, "Oi", at=NOW, referral=ad("Forno", id="1", url="https://fb.me/x", click_id="c")),
        text_message(ZOE, "hi", at=NOW, reply_to="wamid.Z"),
        voice_message(ANA, "1", at=NOW),
        reaction(ANA, "wamid.M", "😮", at=NOW),
        reaction(ANA, "wamid.M", "", at=NOW),
        edit(ANA, "wamid.M", "Três", at=NOW),
        revoke(ANA, "wamid.M", at=NOW),
        echo(ANA, "Olá", at=NOW),
        history(ANA, [(NOW, True, "Olá"), (NOW, False, "Oi")]),
        user_id_changed(ANA, "BR.1", at=NOW),
        *(status(ANA, "wamid.O", word, at=NOW) for word in ("sent", "delivered", "read", "played")),
        status(ANA, "wamid.O", "failed", at=NOW, error=error),
    ]
    receiver = connector()
    made = [entity(one, receiver) for one in split(batch_of(*changes), receiver) if isinstance(one, Record)]
    assert len(made) == len(changes) + 1
    states = [one["state"] for one in made if one["tells"] == "status"]
    assert states == ["sent", "delivered", "read", "read", "failed"]
    assert all(one["channel"] == "whatsapp" for one in made)


def test_a_status_word_nobody_knows_is_unknown_and_counted() -> None:
    receiver = connector()
    (record,) = split(batch([status(ANA, "wamid.O", "teleported", at=NOW)]), receiver)
    assert isinstance(record, Record)
    assert entity(record, receiver)["state"] == "unknown"
    assert MAPPING.pull["statuses"].unknown_words[("state", "teleported")] == 1
