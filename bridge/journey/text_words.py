"""The words of a timeline text in each language that a company can read it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """
    One language.

    Pairs are singular and plural. `{}` takes what the name says; `day` takes weekday, day and month.
    """

    weekdays: tuple[str, ...]
    day: str
    short_day: str
    months: tuple[str, ...] = ()
    thousands: str
    decimal: str

    messages: tuple[str, str]
    customer: str
    us: str
    automatic: str
    customer_label: str
    team_label: str
    automatic_label: str

    first_contact: str
    another_contact: str
    ad: str
    post: str
    source: str

    voice: str
    audio: str
    image: str
    video: str
    file: str
    listen: str
    open: str
    not_available: str

    removed: str
    edited: str
    not_delivered: str
    text_unknown: str
    not_kept: str
    no_text: str
    automatic_reply: str
    shortened: str

    attached: str

    missed_call_from: str
    call_from: str
    call_to: str
    unanswered_call_to: str
    call_with: str
    voicemail_from: str
    rang: str
    no_voicemail: str
    left_voicemail: str
    to: str
    sent_from: str
    by: str

    unconfirmed: str
    could_be: str
    or_: str

    kinds: Mapping[str, str]
    channels: Mapping[str, str]


_NAMES = {
    "whatsapp": "WhatsApp",
    "instagram": "Instagram",
    "messenger": "Messenger",
    "telegram": "Telegram",
    "slack": "Slack",
    "teams": "Teams",
    "linkedin": "LinkedIn",
    "facebook": "Facebook",
    "google": "Google",
    "sms": "SMS",
    "email": "E-mail",
    "api": "API",
    "crm": "CRM",
}
"""Names that are the same in every language: channels, and sites that ads stand on."""

EN = Words(
    weekdays=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    months=("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    day="{weekday} {day} {month}",
    short_day="{day} {month}",
    thousands=",",
    decimal=".",
    messages=("message", "messages"),
    customer="customer {}",
    us="us {}",
    automatic="automatic {}",
    customer_label="Customer",
    team_label="Team",
    automatic_label="Automatic",
    first_contact="First contact from {}",
    another_contact="Came again from {}",
    ad="ad {}",
    post="post {}",
    source="{}",
    voice="voice",
    audio="audio",
    image="image",
    video="video",
    file="file",
    listen="listen",
    open="open",
    not_available="not available",
    removed="message removed",
    edited="edited",
    not_delivered="not delivered",
    text_unknown="sent in another app, text not available",
    not_kept="text not kept",
    no_text="no text",
    automatic_reply="automatic reply",
    shortened="shortened, {} characters in all",
    attached="Attached: {}.",
    missed_call_from="Missed call from {}",
    call_from="Call from {}",
    call_to="Call to {}",
    unanswered_call_to="Unanswered call to {}",
    call_with="Call with {}",
    voicemail_from="Voicemail from {}",
    rang="rang {}",
    no_voicemail="no voicemail",
    left_voicemail="left a voicemail",
    to="To: {}.",
    sent_from="From: {}.",
    by="{} from {}",
    unconfirmed="Not confirmed who this is",
    could_be="could also be {}",
    or_="or",
    kinds={
        "note": "Note",
        "meeting": "Meeting",
        "form_submission": "Form",
        "page_view": "Page visit",
        "post": "Post",
        "comment": "Comment",
        "survey_response": "Survey",
        "system_event": "Event",
    },
    channels={
        **_NAMES,
        "phone": "Phone",
        "webchat": "Website chat",
        "web_form": "Website form",
        "in_person": "In person",
        "letter": "Letter",
        "spreadsheet": "Spreadsheet",
        "other": "Contact",
    },
)

PT = Words(
    weekdays=("seg", "ter", "qua", "qui", "sex", "sáb", "dom"),
    day="{weekday} {day:02}/{number:02}",
    short_day="{day:02}/{number:02}",
    thousands=".",
    decimal=",",
    messages=("mensagem", "mensagens"),
    customer="cliente {}",
    us="nós {}",
    automatic="automáticas {}",
    customer_label="Cliente",
    team_label="Equipe",
    automatic_label="Automático",
    first_contact="Primeiro contato {}",
    another_contact="Novo contato {}",
    ad="pelo anúncio {}",
    post="pela publicação {}",
    source="por {}",
    voice="áudio",
    audio="áudio",
    image="imagem",
    video="vídeo",
    file="arquivo",
    listen="ouvir",
    open="abrir",
    not_available="não disponível",
    removed="mensagem apagada",
    edited="editada",
    not_delivered="não entregue",
    text_unknown="enviada em outro aplicativo, texto não disponível",
    not_kept="texto não guardado",
    no_text="sem texto",
    automatic_reply="resposta automática",
    shortened="resumido, {} caracteres no total",
    attached="Anexo: {}.",
    missed_call_from="Chamada perdida de {}",
    call_from="Chamada de {}",
    call_to="Chamada para {}",
    unanswered_call_to="Chamada não atendida para {}",
    call_with="Chamada com {}",
    voicemail_from="Recado de voz de {}",
    rang="tocou {}",
    no_voicemail="sem recado",
    left_voicemail="deixou recado",
    to="Para: {}.",
    sent_from="De: {}.",
    by="{} de {}",
    unconfirmed="Não confirmado de quem é",
    could_be="pode ser também {}",
    or_="ou",
    kinds={
        "note": "Nota",
        "meeting": "Reunião",
        "form_submission": "Formulário",
        "page_view": "Visita à página",
        "post": "Publicação",
        "comment": "Comentário",
        "survey_response": "Pesquisa",
        "system_event": "Evento",
    },
    channels={
        **_NAMES,
        "phone": "Telefone",
        "webchat": "Chat do site",
        "web_form": "Formulário do site",
        "in_person": "Pessoalmente",
        "letter": "Carta",
        "spreadsheet": "Planilha",
        "other": "Contato",
    },
)

ES = Words(
    weekdays=("lun", "mar", "mié", "jue", "vie", "sáb", "dom"),
    day="{weekday} {day:02}/{number:02}",
    short_day="{day:02}/{number:02}",
    thousands=".",
    decimal=",",
    messages=("mensaje", "mensajes"),
    customer="cliente {}",
    us="nosotros {}",
    automatic="automáticos {}",
    customer_label="Cliente",
    team_label="Equipo",
    automatic_label="Automático",
    first_contact="Primer contacto {}",
    another_contact="Nuevo contacto {}",
    ad="por el anuncio {}",
    post="por la publicación {}",
    source="por {}",
    voice="audio",
    audio="audio",
    image="imagen",
    video="video",
    file="archivo",
    listen="escuchar",
    open="abrir",
    not_available="no disponible",
    removed="mensaje eliminado",
    edited="editado",
    not_delivered="no entregado",
    text_unknown="enviado en otra aplicación, texto no disponible",
    not_kept="texto no guardado",
    no_text="sin texto",
    automatic_reply="respuesta automática",
    shortened="resumido, {} caracteres en total",
    attached="Adjunto: {}.",
    missed_call_from="Llamada perdida de {}",
    call_from="Llamada de {}",
    call_to="Llamada a {}",
    unanswered_call_to="Llamada no contestada a {}",
    call_with="Llamada con {}",
    voicemail_from="Mensaje de voz de {}",
    rang="sonó {}",
    no_voicemail="sin mensaje de voz",
    left_voicemail="dejó un mensaje de voz",
    to="Para: {}.",
    sent_from="De: {}.",
    by="{} de {}",
    unconfirmed="Sin confirmar de quién es",
    could_be="también podría ser {}",
    or_="o",
    kinds={
        "note": "Nota",
        "meeting": "Reunión",
        "form_submission": "Formulario",
        "page_view": "Visita a la página",
        "post": "Publicación",
        "comment": "Comentario",
        "survey_response": "Encuesta",
        "system_event": "Evento",
    },
    channels={
        **_NAMES,
        "phone": "Teléfono",
        "webchat": "Chat del sitio",
        "web_form": "Formulario del sitio",
        "in_person": "En persona",
        "letter": "Carta",
        "spreadsheet": "Planilla",
        "other": "Contacto",
    },
)

_LANGUAGES = {"en": EN, "pt": PT, "es": ES}


def words_of(language: str) -> Words:
    """Return the words of a language (`pt` or a tag such as `pt-BR`), English where there are none."""
    return _LANGUAGES.get(language[:2].lower(), EN)
