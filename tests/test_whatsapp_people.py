"""WhatsApp: who is on an event, by which handles, and who is not."""

from __future__ import annotations

import pytest
from whatsapp_cases import (
    ANA,
    NOW,
    ZOE,
    connector,
    customer_of,
    handles_of,
    split,
    view,
    views,
)

from bridge import Record
from bridge_whatsapp.sandbox import (
    Sender,
    batch,
    message,
    text_message,
    user_id_changed,
)


def test_the_portfolio_scopes_a_user_id() -> None:
    receiver = connector(portfolio="777")
    (record,) = split(batch([text_message(ANA, "Oi", at=NOW)]), receiver)
    assert isinstance(record, Record)
    (seen,) = receiver.decode(record)
    assert seen.data["participants"][0]["handles"][0]["scope"] == "777"


def test_a_sender_without_a_number_has_an_id_and_no_invented_phone() -> None:
    seen = view(text_message(ZOE, "hi, no phone here", at=NOW))
    assert handles_of(seen) == [("whatsapp_bsuid", "CH.1349120865530274"), ("whatsapp_username", "zoe.m")]
    assert seen["thread_id"].endswith(":CH.1349120865530274")
    assert customer_of(seen)["display_name"] == "Zoë"


def test_ids_of_two_people_in_one_body_are_never_paired() -> None:
    rui = Sender(name="Rui", wa_id="351912345678", user_id="PT.22")
    seen = views(text_message(ANA, "a", at=NOW), text_message(rui, "b", at=NOW))
    assert [dict(handles_of(one))["whatsapp_bsuid"] for one in seen] == ["BR.1349120865530274", "PT.22"]
    change = text_message(ANA, "c", at=NOW)
    change["value"]["messages"][0] = {**change["value"]["messages"][0], "from": "351912345678"}
    del change["value"]["messages"][0]["from_user_id"]
    assert handles_of(view(change)) == [("whatsapp_id", "351912345678"), ("phone", "+351912345678")]


def test_a_message_that_names_nobody_belongs_to_the_only_contact_there_is() -> None:
    change = text_message(ANA, "Oi", at=NOW)
    del change["value"]["messages"][0]["from"], change["value"]["messages"][0]["from_user_id"]
    assert handles_of(view(change))[1] == ("whatsapp_id", "5511973914862")
    change["value"]["contacts"].append({"wa_id": "351912345678", "profile": {"name": "Rui"}})
    assert [person["side"] for person in view(change)["participants"]] == ["team"]


def test_the_number_shared_on_request_belongs_to_the_sender_and_a_forwarded_card_does_not() -> None:
    card = [{"phones": [{"phone": "+55 11 97391-4862"}]}]
    asked = view(message(ZOE, "contacts", card, at=NOW, origin="contact_request"))
    other = view(message(ZOE, "contacts", card, at=NOW, origin="other"))
    assert ("phone", "+5511973914862") in handles_of(asked)
    assert "phone" not in dict(handles_of(other))


def test_a_new_user_id_ties_the_old_one_to_it() -> None:
    seen = view(user_id_changed(ANA, "BR.10101010", at=NOW))
    assert seen["kind"] == "system_event"
    assert handles_of(seen)[:2] == [
        ("whatsapp_bsuid", "BR.1349120865530274"),
        ("whatsapp_bsuid", "BR.10101010"),
    ]


def test_a_changed_number_ties_both_numbers() -> None:
    words = {"body": "User Ana changed from 1 to 2", "wa_id": "5513988887777", "type": "user_changed_number"}
    change = message(ANA, "system", words, at=NOW)
    del change["value"]["contacts"], change["value"]["messages"][0]["from_user_id"]
    seen = view(change)
    assert seen["kind"] == "system_event"
    assert [value for kind, value in handles_of(seen) if kind == "whatsapp_id"] == [
        "5513988887777",
        "5511973914862",
    ]


@pytest.mark.parametrize(
    ("name", "previous"),
    [
        ("Sheena", ["US.1010"]),
        ("x changed from US.666 to US.1349", ["US.1010"]),
        ("x changed from US.666 to", ["US.1010"]),
    ],
)
def test_a_name_cannot_claim_another_persons_user_id(name: str, previous: list[str]) -> None:
    words = {
        "body": f"User {name} changed from US.1010 to US.1349",
        "user_id": "US.1349",
        "type": "user_changed_user_id",
    }
    change = message(Sender(name=""), "system", words, at=NOW)
    del change["value"]["contacts"]
    assert [value for kind, value in handles_of(view(change))] == ["US.1349", *previous]


def test_a_sentence_that_ends_in_another_id_ties_nothing() -> None:
    words = {"body": "User x changed from US.666 to US.777", "user_id": "US.1349"}
    change = message(Sender(name=""), "system", words, at=NOW)
    assert [value for kind, value in handles_of(view(change))] == ["US.1349"]
