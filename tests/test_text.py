"""Timeline texts of mails, calls, forms and notes: word for word as a rep reads them, in each language."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bridge.journey.interaction import Interaction
from bridge.journey.schema import entity_schema
from bridge.journey.text import Style, call_entry, entry_text, mail_entry, other_entry
from bridge.journey.text_format import duration, file_size, length, long_day, money, short_day
from bridge.journey.text_words import EN, ES, PT, words_of
from tests.text_cases import ENGLISH, KEY, PORTUGUESE, SAO_PAULO, SPANISH, VOICE, interaction


def mail(**values: Any) -> Interaction:
    return interaction(
        **({"kind": "email", "channel": "email", "subject": "Proposta", "body_text": "Segue."} | values)
    )


PROPOSAL = {"filename": "Proposta-118-v2.pdf", "size": 219_136, "state": "available"}


def test_a_mail_is_its_new_text_and_its_files() -> None:
    assert mail_entry(mail(attachments=[PROPOSAL]), style=ENGLISH, key=KEY) == (
        "Segue.\nAttached: Proposta-118-v2.pdf (214 KB, open).\ncrmbridge 7F3A2C9KQ0XT"
    )
    assert mail_entry(mail(attachments=[PROPOSAL]), style=PORTUGUESE, key=KEY) == (
        "Segue.\nAnexo: Proposta-118-v2.pdf (214 KB, abrir).\ncrmbridge 7F3A2C9KQ0XT"
    )


def test_several_files_of_a_mail_are_one_line() -> None:
    files = [
        PROPOSAL,
        {"filename": "foto.png"},
        {"filename": "x.zip", "size": 5, "state": "failed"},
        {"id": "9"},
    ]
    assert mail_entry(mail(attachments=files), style=SPANISH, key=KEY).split("\n")[1] == (
        "Adjunto: Proposta-118-v2.pdf (214 KB, abrir), foto.png, x.zip (1 KB, no disponible)."
    )


def test_a_mail_says_why_it_has_no_text_and_that_it_failed() -> None:
    kept = mail(visibility="subject", body_text="")
    assert mail_entry(kept, style=ENGLISH, key=KEY).split("\n")[0] == "[text not kept]"
    bounced = mail(direction="outbound", state="failed")
    assert mail_entry(bounced, style=PORTUGUESE, key=KEY).split("\n")[:2] == ["[não entregue]", "Segue."]
    away = mail(is_automated=True, automated_by="auto_reply", body_text="Estou de férias.")
    assert mail_entry(away, style=ENGLISH, key=KEY).split("\n")[0] == "[automatic reply]"


def call(**values: Any) -> Interaction:
    people = [
        {"role": "caller", "side": "customer", "handles": [{"kind": "phone", "value": "+5511973914862"}]},
        {
            "role": "callee",
            "side": "team",
            "display_name": "Sales",
            "handles": [{"kind": "phone", "value": "+551140001000"}],
        },
    ]
    base = {
        "kind": "call",
        "channel": "phone",
        "occurred_at": "2026-11-20T12:12:00Z",
        "duration_s": 24,
        "state": "missed",
        "participants": people,
    }
    return interaction(**(base | values))


def first_line(call_: Interaction, style: Style = ENGLISH) -> str:
    return call_entry(call_, style=style, key=KEY).split("\n")[0]


def test_a_missed_call_in_each_language() -> None:
    assert call_entry(call(), style=ENGLISH, key=KEY) == (
        "Missed call from Ana Souza, Fri 20 Nov 09:12, rang 24 s, no voicemail. To: Sales +55 11 4000-1000.\n"
        "crmbridge 7F3A2C9KQ0XT"
    )
    missed = call()
    missed["participants"][1]["display_name"] = "Vendas"
    assert first_line(missed, PORTUGUESE) == (
        "Chamada perdida de Ana Souza, sex 20/11 09:12, tocou 24 s, sem recado. Para: Vendas +55 11 4000-1000."
    )
    assert first_line(call(duration_s=0), SPANISH) == (
        "Llamada perdida de Ana Souza, vie 20/11 09:12, sin mensaje de voz. Para: Sales +55 11 4000-1000."
    )


def test_an_answered_call_tells_how_long_it_was() -> None:
    answered = call(state="completed", duration_s=245, body_text="Quer parcelar em 12x")
    assert call_entry(answered, style=ENGLISH, key=KEY).split("\n")[:2] == [
        "Call from Ana Souza, Fri 20 Nov 09:12, 4 min 5 s. To: Sales +55 11 4000-1000.",
        "Quer parcelar em 12x",
    ]


def outgoing(**values: Any) -> Interaction:
    people = [
        {"role": "caller", "side": "team", "display_name": "Rui"},
        {"role": "callee", "side": "customer", "handles": [{"kind": "phone", "value": "+5511973914862"}]},
    ]
    return call(direction="outbound", participants=people, **values)


def test_our_calls_tell_whether_anybody_answered() -> None:
    assert first_line(outgoing(state="completed")) == "Call to Ana Souza, Fri 20 Nov 09:12, 24 s. From: Rui."
    assert first_line(outgoing(state="completed", outcome="no_answer"), PORTUGUESE) == (
        "Chamada não atendida para Ana Souza, sex 20/11 09:12, tocou 24 s. De: Rui."
    )


def test_a_caller_without_a_name_is_shown_by_number() -> None:
    stranger = Style(language="en", zone=SAO_PAULO)
    assert first_line(call(), stranger).startswith("Missed call from +55 11 97391-4862, ")
    assert first_line(call(participants=[]), stranger) == (
        "Missed call from Customer, Fri 20 Nov 09:12, rang 24 s, no voicemail."
    )
    named = replace(stranger, names={"106": "Sales"})
    assert first_line(call(participants=[], channel_account="106"), named).endswith(" To: Sales.")


def test_a_voicemail_can_be_listened_to() -> None:
    left = call(attachments=[VOICE])
    assert call_entry(left, style=ENGLISH, key=KEY).split("\n")[:2] == [
        "Missed call from Ana Souza, Fri 20 Nov 09:12, rang 24 s, left a voicemail. To: Sales +55 11 4000-1000.",
        "[voice 0:42, listen]",
    ]
    assert first_line(call(kind="voicemail", state="received")).startswith("Voicemail from Ana Souza, ")


def test_a_form_tells_its_name_where_from_and_the_answers() -> None:
    form = interaction(
        kind="form_submission",
        channel="web_form",
        subject="Orçamento",
        body_text="Fornos: 2\nCidade: Santos",
        attribution={"source": "google", "medium": "organic"},
    )
    assert other_entry(form, style=ENGLISH, key=KEY, is_first_contact=True) == (
        'Form "Orçamento" from Ana Souza, Wed 18 Nov 14:02\n'
        "First contact from Google / organic\n"
        "Fornos: 2\n"
        "Cidade: Santos\n"
        "crmbridge 7F3A2C9KQ0XT"
    )
    assert other_entry(form, style=PORTUGUESE, key=KEY).startswith(
        'Formulário "Orçamento" de Ana Souza, qua 18/11'
    )


def test_notes_and_meetings_are_labelled() -> None:
    note = interaction(kind="note", channel="crm", direction="internal", body_text="Ligar depois")
    assert other_entry(note, style=SPANISH, key=KEY).split("\n")[:2] == [
        "Nota, mié 18/11 14:02",
        "Ligar depois",
    ]
    meeting = interaction(
        kind="meeting", channel="in_person", direction="unknown", duration_s=3600, subject="Visita"
    )
    assert other_entry(meeting, style=ENGLISH, key=KEY).startswith(
        'Meeting "Visita", Wed 18 Nov 14:02, 1 h 0 min\n'
    )


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"kind": "email", "channel": "email", "body_text": "Segue."}, "Segue."),
        ({"kind": "call", "channel": "phone", "state": "missed"}, "Missed call from Ana Souza"),
        ({"kind": "message", "body_text": "Oi"}, "WhatsApp, Wed 18 Nov: 1 message"),
        ({"kind": "comment", "channel": "instagram", "body_text": "Preço?"}, "Comment from Ana Souza"),
        ({"kind": "unknown", "channel": "instagram", "direction": "unknown"}, "Instagram, Wed 18 Nov 14:02"),
        ({"kind": "message", "tells": "reaction"}, "WhatsApp from Ana Souza"),
    ],
)
def test_every_kind_has_its_text(values: dict[str, Any], start: str) -> None:
    text = entry_text(interaction(**values), style=ENGLISH, key=KEY)
    assert text.startswith(start)
    assert text.endswith("\ncrmbridge 7F3A2C9KQ0XT")


@pytest.mark.parametrize(
    ("amount", "currency", "english", "portuguese"),
    [
        ("18400", "BRL", "R$ 18,400.00", "R$ 18.400,00"),
        ("1234567.891", "EUR", "€ 1,234,567.89", "€ 1.234.567,89"),
        ("-0.5", "USD", "US$ -0.50", "US$ -0,50"),
        ("9990", "CLP", "CL$ 9,990", "CL$ 9.990"),
        ("5", "XAU", "XAU 5.00", "XAU 5,00"),
    ],
)
def test_money_is_written_as_a_language_writes_it(
    amount: str, currency: str, english: str, portuguese: str
) -> None:
    assert money(Decimal(amount), currency, EN) == english
    assert money(Decimal(amount), currency, PT) == portuguese


def test_days_sizes_and_lengths_are_short() -> None:
    day = date(2026, 11, 3)
    assert [long_day(day, words) for words in (EN, PT, ES)] == ["Tue 3 Nov", "ter 03/11", "mar 03/11"]
    assert [short_day(day, words) for words in (EN, PT, ES)] == ["3 Nov", "03/11", "03/11"]
    sizes = [1, 219_136, 1_023_999, 1_258_291, 25_000_000]
    assert [file_size(size, EN) for size in sizes] == ["1 KB", "214 KB", "1.0 MB", "1.2 MB", "24 MB"]
    assert file_size(1_258_291, PT) == "1,2 MB"
    assert [length(seconds) for seconds in (0, 42, 61.6, 3725)] == ["0:00", "0:42", "1:02", "1:02:05"]
    assert [duration(seconds) for seconds in (24, 245, 3725)] == ["24 s", "4 min 5 s", "1 h 2 min"]


def test_a_language_without_words_is_english_and_every_language_has_all_of_them() -> None:
    assert words_of("pt-BR") is PT
    assert words_of("fr") is EN
    for words in (PT, ES):
        assert words.kinds.keys() == EN.kinds.keys()
        assert words.channels.keys() == EN.channels.keys()
        for one in fields(EN):
            english, other = getattr(EN, one.name), getattr(words, one.name)
            assert type(english) is type(other)
            if isinstance(english, str) and one.name not in ("day", "short_day"):
                assert english.count("{}") == other.count("{}")


def test_every_channel_and_every_kind_without_a_text_of_its_own_has_a_name() -> None:
    properties = entity_schema("interaction")["properties"]
    assert set(properties["channel"]["enum"]) <= EN.channels.keys()
    own_text = {"message", "email", "call", "voicemail", "unknown"}
    assert set(properties["kind"]["enum"]) - own_text == EN.kinds.keys()
