"""Timeline texts of chats: word for word as a rep reads them, in each language."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.interaction import Interaction
from bridge.journey.keys import find_markers
from bridge.journey.text import Style, chat_entries
from tests.text_cases import ENGLISH, KEY, PORTUGUESE, SPANISH, VOICE, interaction, said

AD = {"source": "ad", "medium": "instagram", "headline": "Forno turbo", "ad_id": "120210000000000000"}
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


def test_days_follow_the_local_calendar() -> None:
    late = interaction(occurred_at="2026-11-19T01:30:00.250Z", body_text="Oi")
    assert chat([late]).split("\n")[:2] == [
        "WhatsApp, Wed 18 Nov: 1 message (customer 1, us 0)",
        "22:30 Ana: Oi",
    ]
