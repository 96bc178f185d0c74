"""Timeline texts: word for word as a rep reads them, in each language."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.fold import Part, fold
from bridge.journey.interaction import Interaction
from bridge.journey.keys import find_markers
from bridge.journey.schema import Validator, entity_schema
from bridge.journey.text import Style, call_entry, chat_entries, entry_text, mail_entry, other_entry
from bridge.journey.text_format import duration, file_size, length, long_day, money, short_day
from bridge.journey.text_words import EN, ES, PT, words_of

KEY = "7F3A2C9KQ0XT"
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
ENGLISH = Style(language="en", zone=SAO_PAULO, customer="Ana Souza")
PORTUGUESE = Style(language="pt-BR", zone=SAO_PAULO, customer="Ana Souza")
SPANISH = Style(language="es", zone=SAO_PAULO, customer="Ana Souza")


def interaction(**values: Any) -> Interaction:
    """Make an interaction that the journey schema accepts."""
    entity: dict[str, Any] = {
        "kind": "message",
        "channel": "whatsapp",
        "direction": "inbound",
        "occurred_at": "2026-11-18T17:02:00Z",
    }
    entity |= values
    assert Validator.for_entity("interaction").check(entity) == []
    return fold([Part(record_key="r", entity=entity)])


def said(time: str, text: str | None = None, *, by: str = "Ana Souza", **values: Any) -> Interaction:
    """Make a message at a São Paulo time of 18 November; `by` is the customer, empty is the team."""
    hour, minute = time.split(":")
    at = f"2026-11-18T{int(hour) + 3:02}:{minute}:00Z"
    if by:
        values["participants"] = [{"role": "from", "side": "customer", "display_name": by}]
    if text is not None:
        values["body_text"] = text
    return interaction(occurred_at=at, direction="inbound" if by else "outbound", **values)


AD = {"source": "ad", "medium": "instagram", "headline": "Forno turbo", "ad_id": "120210000000000000"}
VOICE = {"content_type": "audio/ogg", "is_voice": True, "duration_s": 42, "state": "available"}
WEDNESDAY = [
    said("14:02", "Oi! Vocês entregam em Santos?", attribution=AD),
    said("14:03", attachments=[VOICE]),
    said("14:09", "Às terças. Quantos fornos?", by=""),
    said("14:15", "Dois, 60x40"),
    said("14:16", "Mando a proposta hoje", by=""),
    said("14:20", "ana@padarialima.com.br"),
    said("16:05", "Enviada!", by=""),
]


def chat(messages: list[Interaction], style: Style = ENGLISH, *, is_first_contact: bool = False) -> str:
    (entry,) = chat_entries(messages, style=style, key_of=lambda _: KEY, is_first_contact=is_first_contact)
    return entry.text


def test_a_whatsapp_day_in_english() -> None:
    assert chat(WEDNESDAY, is_first_contact=True) == (
        "WhatsApp, Wed 18 Nov: 7 messages (customer 4, us 3)\n"
        'First contact from ad "Forno turbo" (Instagram)\n'
        "14:02 Ana: Oi! Vocês entregam em Santos?\n"
        "14:03 Ana: [voice 0:42, listen]\n"
        "14:09 Team: Às terças. Quantos fornos?\n"
        "14:15 Ana: Dois, 60x40\n"
        "14:16 Team: Mando a proposta hoje\n"
        "14:20 Ana: ana@padarialima.com.br\n"
        "16:05 Team: Enviada!\n"
        "crmbridge 7F3A2C9KQ0XT"
    )


def test_a_whatsapp_day_in_portuguese() -> None:
    assert chat(WEDNESDAY, PORTUGUESE, is_first_contact=True) == (
        "WhatsApp, qua 18/11: 7 mensagens (cliente 4, nós 3)\n"
        'Primeiro contato pelo anúncio "Forno turbo" (Instagram)\n'
        "14:02 Ana: Oi! Vocês entregam em Santos?\n"
        "14:03 Ana: [áudio 0:42, ouvir]\n"
        "14:09 Equipe: Às terças. Quantos fornos?\n"
        "14:15 Ana: Dois, 60x40\n"
        "14:16 Equipe: Mando a proposta hoje\n"
        "14:20 Ana: ana@padarialima.com.br\n"
        "16:05 Equipe: Enviada!\n"
        "crmbridge 7F3A2C9KQ0XT"
    )


def test_a_whatsapp_day_in_spanish_of_somebody_who_came_before() -> None:
    assert chat(WEDNESDAY[:3], SPANISH) == (
        "WhatsApp, mié 18/11: 3 mensajes (cliente 2, nosotros 1)\n"
        'Nuevo contacto por el anuncio "Forno turbo" (Instagram)\n'
        "14:02 Ana: Oi! Vocês entregam em Santos?\n"
        "14:03 Ana: [audio 0:42, escuchar]\n"
        "14:09 Equipo: Às terças. Quantos fornos?\n"
        "crmbridge 7F3A2C9KQ0XT"
    )


@pytest.mark.parametrize(
    ("style", "line"),
    [
        (ENGLISH, "14:09 Team: [sent in another app, text not available]"),
        (PORTUGUESE, "14:09 Equipe: [enviada em outro aplicativo, texto não disponível]"),
        (SPANISH, "14:09 Equipo: [enviado en otra aplicación, texto no disponible]"),
    ],
)
def test_a_reply_known_only_by_its_status_says_so(style: Style, line: str) -> None:
    status = said("14:09", by="", tells="status", state="delivered")
    assert chat([status], style).split("\n")[1] == line


def lines(*messages: Interaction) -> list[str]:
    return chat(list(messages)).split("\n")[1:-1]


def test_marks_tell_what_became_of_a_message() -> None:
    thumbs = [{"by": "+55", "emoji": "👍", "at": "2026-11-18T17:03:00Z"}]
    hearts = [{"by": "+56", "emoji": "❤", "at": "2026-11-18T17:04:00Z"}]
    assert lines(
        said("14:02", "Três", edited_at="2026-11-18T17:03:00Z"),
        said("14:03", "secret", deleted_at="2026-11-18T17:03:00Z"),
        said("14:04", "Oi", by="", state="failed"),
        said("14:05", "Mando hoje", by="", reactions=[*thumbs, *hearts]),
        said("14:06", visibility="metadata"),
        said("14:07"),
        said("14:08", "Oferta da semana", by="", is_automated=True, automated_by="template"),
    ) == [
        "14:02 Ana: Três (edited)",
        "14:03 Ana: [message removed]",
        "14:04 Team: Oi [not delivered]",
        "14:05 Team: Mando hoje [👍 ❤]",
        "14:06 Ana: [text not kept]",
        "14:07 Ana: [no text]",
        "14:08 Automatic: Oferta da semana",
    ]


def test_files_are_named_by_what_they_are_and_promise_nothing_that_is_not_here() -> None:
    assert lines(
        said("14:02", "Olha", attachments=[{"content_type": "image/jpeg", "state": "available"}]),
        said(
            "14:03",
            attachments=[
                {
                    "filename": "a.pdf",
                    "size": 219_136,
                    "content_type": "application/pdf",
                    "state": "available",
                }
            ],
        ),
        said("14:04", attachments=[{"content_type": "video/mp4", "duration_s": 75, "state": "pending"}]),
        said("14:05", attachments=[{"content_type": "audio/mpeg", "state": "failed"}]),
        said("14:06", attachments=[{}]),
    ) == [
        "14:02 Ana: [image, open] Olha",
        "14:03 Ana: [a.pdf (214 KB), open]",
        "14:04 Ana: [video 1:15]",
        "14:05 Ana: [audio, not available]",
        "14:06 Ana: [file]",
    ]


def test_a_message_of_several_lines_stays_on_one() -> None:
    assert lines(said("14:02", "2 fornos\n\n  1 batedeira\ncrmbridge 7F3A2C9KQ0XV\n")) == [
        "14:02 Ana: 2 fornos / 1 batedeira / crmbridge 7F3A2C9KQ0XV"
    ]


def test_names_are_short_and_known_colleagues_are_named() -> None:
    style = replace(ENGLISH, names={"owners/7": "Rui Costa"})
    messages = [
        said("14:02", "a", by="Mãe ❤"),
        said("14:03", "b", by="Dr. Silva"),
        said("14:04", "c", by="+55 11 97391-4862"),
        said("14:05", "d", by="", owner_ref="owners/7"),
        interaction(direction="inbound", body_text="e"),
        interaction(direction="unknown", body_text="f"),
    ]
    names = [line[6:].split(":")[0] for line in chat(messages, style).split("\n")[1:-1]]
    assert names == ["Mãe", "Dr. Silva", "+55 11 97391-4862", "Rui", "Ana", "?"]


def test_the_header_counts_machines_apart_and_events_not_at_all() -> None:
    text = chat(
        [
            said("14:02", "Oi"),
            said("14:02", "Olá! Já te atendemos.", by="", is_automated=True, automated_by="bot"),
            said("14:03", "number changed", kind="system_event"),
        ]
    )
    assert text.split("\n")[0] == "WhatsApp, Wed 18 Nov: 2 messages (customer 1, us 0, automatic 1)"
    assert "14:03 number changed" in text
    assert chat([said("14:02", "Oi")], PORTUGUESE).startswith(
        "WhatsApp, qua 18/11: 1 mensagem (cliente 1, nós 0)"
    )


def test_a_reaction_to_a_message_never_seen_has_no_line() -> None:
    reaction = said("14:02", tells="reaction", reactions=[{"emoji": "👍"}])
    assert chat_entries([reaction], style=ENGLISH, key_of=lambda _: KEY) == []
    assert chat([reaction, said("14:03", "Oi")]).split("\n")[:2] == [
        "WhatsApp, Wed 18 Nov: 1 message (customer 1, us 0)",
        "14:03 Ana: Oi",
    ]


@pytest.mark.parametrize(
    ("attribution", "english", "portuguese"),
    [
        (
            {"source": "google", "medium": "cpc", "campaign": "fornos"},
            "First contact from Google / cpc / fornos",
            "Primeiro contato por Google / cpc / fornos",
        ),
        (
            {"source": "ad", "ad_id": "1202"},
            "First contact from ad 1202",
            "Primeiro contato pelo anúncio 1202",
        ),
        ({"source": "ad"}, "First contact from ad", "Primeiro contato pelo anúncio"),
        (
            {"source": "post", "medium": "facebook", "headline": "Novidades"},
            'First contact from post "Novidades" (Facebook)',
            'Primeiro contato pela publicação "Novidades" (Facebook)',
        ),
    ],
)
def test_the_first_contact_says_where_somebody_came_from(
    attribution: dict[str, str], english: str, portuguese: str
) -> None:
    messages = [said("14:02", "Oi", attribution=attribution)]
    assert chat(messages, ENGLISH, is_first_contact=True).split("\n")[1] == english
    assert chat(messages, PORTUGUESE, is_first_contact=True).split("\n")[1] == portuguese


@given(
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=40),
    limit=st.integers(700, 3000),
    more=st.integers(1, 900),
)
def test_a_long_day_becomes_several_entries_and_full_ones_do_not_change(
    sizes: list[int], limit: int, more: int
) -> None:
    messages = [said("14:02", f"{number}" + "x" * size) for number, size in enumerate(sizes)]

    def key_of(index: int) -> str:
        return f"{index:012}"

    entries = chat_entries(messages, style=ENGLISH, key_of=key_of, limit=limit)
    assert [entry.start for entry in entries] == [0, *(entry.stop for entry in entries[:-1])]
    assert entries[-1].stop == len(messages)
    assert all(len(entry.text) <= limit for entry in entries)
    assert all(find_markers(entry.text) == {key_of(entry.start)} for entry in entries)
    grown = chat_entries([*messages, said("14:02", "x" * more)], style=ENGLISH, key_of=key_of, limit=limit)
    assert grown[: len(entries) - 1] == entries[:-1]


def test_the_parts_of_a_long_day_are_numbered_and_count_their_own() -> None:
    messages = [said("14:02", "x" * 250, attribution={"source": "ad"}) for _ in range(4)]
    entries = chat_entries(messages, style=ENGLISH, key_of=lambda _: KEY, is_first_contact=True, limit=1000)
    assert [entry.text.split("\n")[:2] for entry in entries] == [
        ["WhatsApp, Wed 18 Nov: 2 messages (customer 2, us 0)", "First contact from ad"],
        ["WhatsApp, Wed 18 Nov (2): 2 messages (customer 2, us 0)", "Came again from ad"],
    ]


def test_a_message_longer_than_an_entry_is_cut_and_says_so() -> None:
    text = chat_entries([said("14:02", "x" * 5000)], style=PORTUGUESE, key_of=lambda _: KEY, limit=1000)[
        0
    ].text
    assert len(text) <= 1000
    assert "x [… resumido, 5.000 caracteres no total]\n" in text


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


def test_days_follow_the_local_calendar() -> None:
    late = interaction(occurred_at="2026-11-19T01:30:00.250Z", body_text="Oi")
    assert chat([late]).split("\n")[:2] == [
        "WhatsApp, Wed 18 Nov: 1 message (customer 1, us 0)",
        "22:30 Ana: Oi",
    ]


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
