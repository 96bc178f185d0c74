"""Mails a machine wrote, passed on or filled in: who speaks in them, and of what."""

from __future__ import annotations

from typing import Any

import pytest
from mail_cases import INBOX, OURS, SENT, mail, stored, view

from bridge_imap.replies import split_text


def sides(found: Any) -> dict[str, tuple[str, str]]:
    return {
        person["handles"][0]["value"]: (person["role"], person["side"]) for person in found["participants"]
    }


def test_a_bounce_tells_that_the_mail_it_speaks_of_failed() -> None:
    found = stored("bounce-with-report")
    assert found["automated_by"] == "bounce"
    assert found["tells"] == "status"
    assert found["state"] == "failed"
    assert found["direction"] == "outbound"
    assert found["dedupe_keys"] == ["message-id:offer-119@vendor.example"]
    assert sides(found) == {"luca.bianchi@customer.example": ("to", "customer")}
    assert found["files"] == []
    assert found["report"] == {
        "state": "failed",
        "message_id": "offer-119@vendor.example",
        "recipients": [
            {
                "email": "luca.bianchi@customer.example",
                "action": "failed",
                "status": "5.1.1",
                "diagnostic": "550 5.1.1 <luca.bianchi@customer.example>: no such user",
            }
        ],
        "diagnostic": "550 5.1.1 <luca.bianchi@customer.example>: no such user",
    }


def test_a_delay_is_no_failure() -> None:
    raw = (OURS / "bounce-with-report.eml").read_bytes().replace(b"Action: failed", b"Action: delayed")
    found = view(raw)
    assert found["automated_by"] == "bounce"
    assert found["tells"] == "whole"
    assert found["report"]["state"] is None


def test_a_bounce_without_a_report_is_known_by_its_sender_and_subject() -> None:
    text = (
        "could not be delivered\r\n\r\n----- Original message -----\r\n\r\n"
        "From: sales@vendor.example\r\nMessage-ID: <offer-7@vendor.example>\r\n"
    )
    found = mail(
        text,
        **{"from": "Mail Delivery System <mailer-daemon@mx.example>"},
        subject="Mail delivery failed: returning message to sender",
        x_failed_recipients="luca@customer.example",
    )
    assert found["automated_by"] == "bounce"
    assert found["dedupe_keys"] == ["message-id:offer-7@vendor.example"]
    assert sides(found) == {"luca@customer.example": ("to", "customer")}


def test_a_bounce_that_names_no_mail_stays_a_mail_of_its_own() -> None:
    found = mail(
        "gone", **{"from": "postmaster@mx.example"}, subject="Undeliverable: Offer", return_path="<>"
    )
    assert found["automated_by"] == "bounce"
    assert found["tells"] == "whole"
    assert found["dedupe_keys"] == ["message-id:m1@padaria.example"]


def test_a_postmaster_who_writes_himself_is_no_bounce() -> None:
    found = mail("Hello", **{"from": "postmaster@padaria.example"}, subject="Your DNS")
    assert found["automated_by"] == "notification"


def test_a_read_receipt_tells_that_our_mail_was_read() -> None:
    found = stored("read-receipt")
    assert found["automated_by"] == "report"
    assert found["tells"] == "status"
    assert found["state"] == "read"
    assert found["direction"] == "outbound"
    assert found["dedupe_keys"] == ["message-id:offer-118@vendor.example"]


def test_a_receipt_of_ours_speaks_of_the_customers_mail() -> None:
    raw = (OURS / "read-receipt.eml").read_bytes()
    raw = raw.replace(b"petra@customer.example", b"sales@vendor.example")
    assert view(raw, SENT)["direction"] == "inbound"


@pytest.mark.parametrize(
    ("fields", "by"),
    [
        ({}, None),
        ({"auto_submitted": "no"}, None),
        ({"auto_submitted": "auto-replied (vacation)"}, "auto_reply"),
        ({"auto_submitted": "auto-generated"}, "notification"),
        ({"precedence": "auto_reply"}, "auto_reply"),
        ({"precedence": "bulk"}, "list"),
        ({"x_autoreply": "yes"}, "auto_reply"),
        ({"x_autoreply": "no"}, None),
        ({"subject": "Automatische Antwort: Angebot"}, "auto_reply"),
        ({"subject": "Out of office: Offer"}, "auto_reply"),
        ({"subject": "Re: Out of stock"}, None),
        ({"x_auto_response_suppress": "All"}, "notification"),
        ({"x_auto_response_suppress": "DR, OOF"}, None),
        ({"list_id": "Bakers <bakers.lists.example>"}, "list"),
        ({"list_unsubscribe": "<https://ovens.example/u>"}, "list"),
        ({"from": "no-reply@shop.example"}, "notification"),
        ({"from": "noreply-orders@shop.example"}, "notification"),
        ({"from": "nora.reply@shop.example"}, None),
        ({"from": "notifygaard@shop.example"}, None),
        ({"from": "webmaster@shop.example"}, None),
        ({"subject": "Out of office next week"}, None),
        ({"from": "informatica@shop.example"}, None),
    ],
)
def test_what_wrote_a_mail_is_told_by_its_header(fields: dict[str, str], by: str | None) -> None:
    found = mail("x", **fields)
    assert found["automated_by"] == by
    assert found["is_automated"] is (by is not None)


def test_an_absence_note_names_its_sender_as_customer() -> None:
    found = stored("absence-pt")
    assert found["automated_by"] == "auto_reply"
    assert sides(found)["carla@customer.example"] == ("from", "customer")


def test_a_newsletter_makes_nobody_a_customer() -> None:
    found = stored("newsletter")
    assert found["automated_by"] == "list"
    assert {side for _, side in sides(found).values()} == {"unknown", "team"}


def test_the_list_copy_of_our_mail_is_told_from_the_mail_we_sent() -> None:
    sent, copy = stored("sent-copy-same-message-id", SENT), stored("list-copy-same-message-id-other-body")
    assert sent["dedupe_keys"] == copy["dedupe_keys"]
    assert (sent["automated_by"], copy["automated_by"]) == (None, "list")
    assert copy["list_id"] == "team.lists.vendor.example"
    assert copy["text_new"] == sent["text_new"]
    assert sides(sent)["chef@vendor.example"] == ("bcc", "team")


def test_a_customer_who_writes_to_a_group_of_ours_is_heard() -> None:
    found = mail("Hello", list_id="<sales.vendor.example>", precedence="list")
    assert found["automated_by"] is None
    assert found["list_id"] == "sales.vendor.example"


def test_a_group_of_ours_that_rewrites_the_sender_hides_nobody() -> None:
    found = stored("group-rewrites-from")
    assert found["automated_by"] is None
    assert found["direction"] == "inbound"
    assert sides(found)["ana@padaria.example"] == ("reply_to", "customer")
    assert found["participants"][0]["display_name"] == "Ana Souza"


@pytest.mark.parametrize(
    ("name", "method", "answer"),
    [
        ("calendar-request-google", "request", None),
        ("calendar-reply-outlook", "reply", "accepted"),
        ("calendar-cancel-no-text", "cancel", None),
    ],
)
def test_the_three_mails_of_one_meeting_share_its_uid(name: str, method: str, answer: str | None) -> None:
    found = stored(name)
    assert found["automated_by"] == "calendar"
    assert found["event"]["uid"] == "4q1f0m2c9s8d7e6f5g4h3i2j1k@google.example"
    assert (found["event"]["method"], found["event"]["answer"]) == (method, answer)


def test_only_the_named_copy_of_an_invitation_is_a_file() -> None:
    assert [file["filename"] for file in stored("calendar-request-google")["files"]] == ["invite.ics"]


def test_a_form_of_our_website_speaks_for_its_visitor() -> None:
    found = stored("website-form-notification")
    assert found["automated_by"] is None
    assert found["direction"] == "inbound"
    assert found["participants"][0] == {
        "role": "reply_to",
        "side": "customer",
        "display_name": "María López",
        "handles": [
            {"kind": "email", "value": "maria.lopez@prospect.example"},
            {"kind": "phone", "value": "+34600000000"},
        ],
    }
    assert found["form"]["attribution"] == {
        "source": "google",
        "medium": "cpc",
        "campaign": "fruehling",
        "click_ids": {"gclid": "EAIaIQob"},
        "landing_url": "https://vendor.example/kontakt",
    }


def test_a_form_service_speaks_for_the_visitor_too() -> None:
    found = mail("Nome: Ana", **{"from": "noreply@forms.example"}, reply_to="Ana <ana@padaria.example>")
    assert found["form"]["email"] == "ana@padaria.example"
    assert sides(found)["noreply@forms.example"] == ("from", "unknown")


def test_a_form_that_names_its_visitor_only_in_the_text_speaks_for_them() -> None:
    text = "Nome: Ana Souza\nE-mail: Ana@Padaria.example\nMensagem: Qual o preço?"
    found = mail(text, **{"from": "wordpress@vendor.example"})
    assert found["form"]["email"] == "ana@padaria.example"
    assert found["participants"][0]["display_name"] == "Ana Souza"
    assert found["direction"] == "inbound"


def test_a_colleague_who_types_an_address_writes_no_form() -> None:
    found = mail("Name: Ana\nE-mail: ana@padaria.example", **{"from": "rui@vendor.example"})
    assert found["form"] is None
    assert found["direction"] == "internal"


@pytest.mark.parametrize(
    "fields",
    [
        {"reply_to": "ana.private@elsewhere.example"},
        {"from": "rui@vendor.example", "reply_to": "sales@vendor.example"},
        {"from": "noreply@shop.example", "reply_to": "support@shop.example"},
        {"from": "noreply@shop.example", "reply_to": "noreply@other.example"},
        {
            "from": "noreply@ovens.example",
            "reply_to": "a@b.example",
            "list_unsubscribe": "<https://o.example>",
        },
    ],
)
def test_another_reply_address_alone_makes_no_form(fields: dict[str, str]) -> None:
    assert mail("x", **fields)["form"] is None


@pytest.mark.parametrize(
    ("typed", "phone"),
    [
        ("Telefone: +55 (11) 97391-4862", "+5511973914862"),
        ("Your phone number: 0034 600 000 000", None),
        ("Phone number: 0034 600 000 000", "+34600000000"),
        ("Telefon: +41 (0)44 668 18 00", "+41446681800"),
        ("Telefone: (11) 97391-4862", None),
        ("Telefonat am: +4 1", None),
    ],
)
def test_a_phone_in_a_form_counts_where_its_country_is_typed(typed: str, phone: str | None) -> None:
    found = mail(typed, **{"from": "wordpress@vendor.example"}, reply_to="ana@padaria.example")
    assert found["form"]["phone"] == phone


@pytest.mark.parametrize(
    ("name", "author", "said", "comment"),
    [
        (
            "forward-gmail-pt",
            "ana@padaria.example",
            "Oi Rui,\n\npreciso de dois fornos 60x40. Qual o preço?\n\nAna",
            "Pode atender? É do meu cunhado.",
        ),
        (
            "forward-outlook-de",
            "weiss@customer.example",
            "Guten Tag Herr Costa,\n\nwas kostet der Kneter mit 80 Litern?\n\nJörg Weiß",
            "übernimmst du?",
        ),
        ("forward-attached", "maria@prospect.example", "¿Cuánto cuestan tres cabinas?", "Please answer her."),
    ],
)
def test_a_mail_that_a_colleague_forwards_is_the_customers(
    name: str, author: str, said: str, comment: str
) -> None:
    found = stored(name)
    assert found["direction"] == "inbound"
    assert found["text_new"] == said
    assert found["forwarded"]["comment"] == comment
    assert sides(found)[author] == ("author", "customer")
    assert sides(found)["rui@vendor.example"] == ("from", "team")


def test_an_attached_original_brings_its_id_and_date() -> None:
    forwarded = stored("forward-attached")["forwarded"]
    assert forwarded["message_id"] == "cabinas-1@prospect.example"
    assert forwarded["date"] == "2026-03-11T11:00:00Z"
    assert (forwarded["name"], forwarded["subject"], forwarded["part"]) == ("María López", "Cabinas", "2")


FORWARDS = {
    "gmail": "---------- Forwarded message ---------\nFrom: Ana Souza <ana@padaria.example>\n"
    "Date: Tue, Mar 10, 2026 at 4:05 PM\nSubject: Oven\nTo: <rui@vendor.example>\n\nHello",
    "gmail de": "---------- Weitergeleitete Nachricht ---------\nVon: Ana Souza <ana@padaria.example>\n"
    "Datum: Di., 10. März 2026 um 16:05 Uhr\nBetreff: Ofen\nAn: <rui@vendor.example>\n\nHello",
    "apple": "Begin forwarded message:\n\n> From: Ana Souza <ana@padaria.example>\n> Subject: Oven\n"
    "> Date: 10 March 2026 at 16:05:11 CET\n> To: rui@vendor.example\n> \n> Hello",
    "thunderbird": "-------- Forwarded Message --------\nSubject: \tOven\nDate: \tTue, 10 Mar 2026 16:05:00 +0100\n"
    "From: \tAna Souza <ana@padaria.example>\nTo: \trui@vendor.example\n\n\n\nHello",
    "outlook": "________________________________\nFrom: Ana Souza <ana@padaria.example>\n"
    "Sent: Tuesday, March 10, 2026 4:05 PM\nTo: Rui Costa\nSubject: Oven\n\nHello",
    "outlook es": "De: Ana Souza [mailto:ana@padaria.example]\nEnviado el: martes, 10 de marzo de 2026 16:05\n"
    "Para: Rui Costa\nAsunto: Horno\n\nHello",
    "outlook fr": "De : Ana Souza <ana@padaria.example>\nEnvoyé : mardi 10 mars 2026 16:05\n"
    "À : Rui\nObjet : Four\n\nHello",
    "outlook it": "Da: Ana Souza <ana@padaria.example>\nInviato: martedì 10 marzo 2026 16:05\n"
    "A: Rui\nOggetto: Forno\n\nHello",
    "outlook nl": "Van: Ana Souza <ana@padaria.example>\nVerzonden: dinsdag 10 maart 2026 16:05\n"
    "Aan: Rui\nOnderwerp: Oven\n\nHello",
    "outlook pl": "Od: Ana Souza <ana@padaria.example>\nWysłano: wtorek, 10 marca 2026 16:05\n"
    "Do: Rui\nTemat: Piec\n\nHello",
    "outlook pt": "De: Ana Souza <ana@padaria.example>\nEnviado: terça-feira, 10 de março de 2026 16:05\nPara: Rui\n"
    "Assunto: Forno\n\nHello",
}
PREFIXES = {"es": "RV:", "fr": "TR:", "it": "I:", "nl": "Doorst:", "pl": "PD:", "pt": "ENC:", "de": "WG:"}


@pytest.mark.parametrize("layout", FORWARDS)
def test_forwards_of_all_programs_name_the_original_sender(layout: str) -> None:
    prefix = PREFIXES.get(layout.rpartition(" ")[2], "Fwd:")
    found = mail(f"FYI\n\n{FORWARDS[layout]}", **{"from": "rui@vendor.example"}, subject=f"{prefix} Oven")
    assert found["forwarded"]["email"] == "ana@padaria.example"
    assert found["forwarded"]["name"] == "Ana Souza"
    assert found["forwarded"]["comment"] == "FYI"
    assert found["text_new"] == "Hello"
    assert found["direction"] == "inbound"


@pytest.mark.parametrize(
    ("fields", "context"),
    [
        ({"from": "rui@vendor.example", "to": "supplier@mills.example"}, INBOX),
        ({"from": "rui@vendor.example", "to": "chef@vendor.example"}, SENT),
        ({"from": "rui@vendor.example", "to": "chef@vendor.example"}, INBOX),
    ],
)
def test_a_forward_to_somebody_else_does_not_make_the_original_sender_speak_again(
    fields: dict[str, str], context: Any
) -> None:
    found = mail(f"FYI\n\n{FORWARDS['gmail']}", context, **fields, subject="Fwd: Oven")
    assert found["direction"] in ("outbound", "internal")
    assert "ana@padaria.example" not in sides(found)
    assert found["text_new"] == "FYI"


def test_a_customer_who_forwards_stays_the_one_who_speaks() -> None:
    text = FORWARDS["gmail"].replace("ana@padaria.example", "boss@padaria.example")
    found = mail(f"My boss asks:\n\n{text}", subject="Fwd: Oven")
    assert found["direction"] == "inbound"
    assert found["text_new"] == "My boss asks:"
    assert found["forwarded"]["email"] == "boss@padaria.example"
    assert "boss@padaria.example" not in sides(found)


def test_a_reply_is_no_forward() -> None:
    text = "Yes.\n\n" + FORWARDS["outlook"]
    assert mail(text, **{"from": "rui@vendor.example"}, subject="RE: Oven")["forwarded"] is None
    assert split_text(text).new == "Yes."
