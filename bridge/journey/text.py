"""
How a journey reads in the CRM: what a rep takes in within five seconds, on a phone.

Messages stay untranslated, labels follow the company's language, times are local. The last line
carries the marker by which an entry is recognised as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from bridge.journey.interaction import Attachment, Interaction, Participant, was_unanswered
from bridge.journey.text_format import (
    clock_time,
    duration,
    file_size,
    in_zone,
    length,
    long_day,
    number,
    one_line,
    phone_text,
    without_controls,
)
from bridge.journey.text_words import Words, words_of

LIMIT = 30_000
"""Characters of one entry: HubSpot's bodies end at 65,536, and making HTML of a text can double it."""

_SENDERS = ("from", "author", "caller", "organizer")
_RECEIVERS = ("to", "callee", "attendee")
_HEADER_ROOM = 400
_HEADLINE = 100
_MOST_FILES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """
    How a company reads: its language and time zone, whose journey it is, and names it knows.

    `customer` is the person's name, for messages that tell none. `names` has display names for the
    references of owners and for channel accounts. `unconfirmed` are the others who it could be where nobody
    decided yet whose journey it is, None where that is known.
    """

    language: str
    zone: tzinfo
    customer: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    unconfirmed: tuple[str, ...] | None = None

    @property
    def words(self) -> Words:
        """Return the words of the company's language."""
        return words_of(self.language)

    @property
    def first_line(self) -> str:
        """Return the line that says that it is not known whose journey it is, an empty text where it is."""
        if self.unconfirmed is None:
            return ""
        words = self.words
        *more, last = self.unconfirmed or ("",)
        others = f" {words.or_} ".join(filter(None, (", ".join(more), last)))
        return "; ".join(filter(None, (words.unconfirmed, others and words.could_be.format(others))))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatEntry:
    """One entry of a chat: its text, and the messages in it, from `start` up to `stop`."""

    text: str
    start: int
    stop: int


def chat_entries(
    messages: Sequence[Interaction],
    *,
    style: Style,
    key_of: Callable[[int], str],
    is_first_contact: bool = False,
    part: int = 1,
    limit: int = LIMIT,
) -> list[ChatEntry]:
    """
    Write a thread's messages of one day, in order of time, as one entry; several where it grows too long.

    `key_of` gives the marker of the entry that starts with the message at an index: an entry that is
    full keeps its key and its text while the day goes on. `part` numbers the first of them within its day.
    Reactions and removals of messages that were
    never seen have no line of their own.
    """
    if not any(map(is_shown, messages)):
        return []
    parts: list[tuple[int, list[str]]] = []
    room = 0
    for index, message in enumerate(messages):
        line = _chat_line(message, style, limit - _HEADER_ROOM)
        if not parts or len(line) + 1 > room:
            parts.append((index, []))
            room = limit - _HEADER_ROOM
        parts[-1][1].append(line)
        room -= len(line) + 1
    stops = [start for start, _ in parts[1:]] + [len(messages)]
    entries = []
    for place, ((start, lines), stop) in enumerate(zip(parts, stops, strict=True), part):
        inside = messages[start:stop]
        head = [_chat_header(inside, place, style), _origin(inside, style, is_first_contact and place == 1)]
        text = _signed([*head, *lines], key_of(start))
        entries.append(ChatEntry(text=text, start=start, stop=stop))
    return entries


def entry_text(
    interaction: Interaction, *, style: Style, key: str, is_first_contact: bool = False, limit: int = LIMIT
) -> str:
    """Write one interaction that stands by itself: a mail, a call, a form, a note."""
    kind = interaction.get("kind")
    if kind == "email":
        return mail_entry(interaction, style=style, key=key, limit=limit)
    if kind in ("call", "voicemail"):
        return call_entry(interaction, style=style, key=key, limit=limit)
    if kind == "message" and is_shown(interaction):
        head = [_chat_header([interaction], 1, style), _origin([interaction], style, is_first_contact)]
        return _signed([*head, _chat_line(interaction, style, limit - _HEADER_ROOM)], key)
    return other_entry(interaction, style=style, key=key, is_first_contact=is_first_contact, limit=limit)


def mail_entry(mail: Interaction, *, style: Style, key: str, limit: int = LIMIT) -> str:
    """Write the body of a mail, whose sender and subject the CRM shows itself: new text, then the files."""
    words = style.words
    marks = []
    if mail.get("automated_by") == "auto_reply":
        marks.append(f"[{words.automatic_reply}]")
    if mail.get("state") == "failed":
        marks.append(f"[{words.not_delivered}]")
    text = _body(mail, words, limit) or f"[{_why_no_text(mail, words)}]"
    return _signed([" ".join(marks), text, *_attached(mail, words)], key)


def call_entry(call: Interaction, *, style: Style, key: str, limit: int = LIMIT) -> str:
    """Write a call or a voicemail in one line: who, when, how long, and at which of our lines."""
    words = style.words
    inbound, outbound = call["direction"] == "inbound", call["direction"] == "outbound"
    unanswered = was_unanswered(call)
    customer = _customer(call, _RECEIVERS if outbound else _SENDERS, style)
    label = words.call_with
    if call.get("kind") == "voicemail":
        label = words.voicemail_from
    elif inbound:
        label = words.missed_call_from if unanswered else words.call_from
    elif outbound:
        label = words.unanswered_call_to if unanswered else words.call_to
    facts = [label.format(customer), _moment(call, style)]
    seconds = call.get("duration_s")
    if seconds:
        facts.append(words.rang.format(duration(seconds)) if unanswered else duration(seconds))
    if unanswered and inbound:
        facts.append(words.left_voicemail if _left_a_message(call) else words.no_voicemail)
    line = f"{', '.join(facts)}."
    ours = _our_line(call, _SENDERS if outbound else _RECEIVERS, style)
    if ours:
        line += " " + (words.sent_from if outbound else words.to).format(ours)
    files = " ".join(_file(file, words) for file in call.get("attachments", [])[:_MOST_FILES])
    return _signed([line, files, _body(call, words, limit)], key)


def other_entry(
    interaction: Interaction, *, style: Style, key: str, is_first_contact: bool = False, limit: int = LIMIT
) -> str:
    """Write a form, note, meeting, comment or event: what, of whom, when, then where from and what it says."""
    words = style.words
    channel = words.channels.get(interaction["channel"], interaction["channel"])
    label = words.kinds.get(interaction["kind"], channel)
    if interaction.get("subject"):
        label = f'{label} "{one_line(interaction["subject"])}"'
    if interaction["direction"] == "inbound":
        label = words.by.format(label, _customer(interaction, _SENDERS, style))
    facts = [label, _moment(interaction, style)]
    if interaction.get("duration_s"):
        facts.append(duration(interaction["duration_s"]))
    origin = _origin([interaction], style, is_first_contact)
    text = f"[{words.removed}]" if "deleted_at" in interaction else _body(interaction, words, limit)
    return _signed([", ".join(facts), origin, text, *_attached(interaction, words)], key)


def _left_a_message(call: Interaction) -> bool:
    return "voicemail" in call.get("outcome", "").lower() or bool(call.get("attachments"))


def _signed(lines: Sequence[str], key: str) -> str:
    return without_controls("\n".join([*filter(None, lines), f"crmbridge {key}"]))


def _local(interaction: Interaction, style: Style) -> datetime:
    return in_zone(interaction["occurred_at"], style.zone)


def _moment(interaction: Interaction, style: Style) -> str:
    local = _local(interaction, style)
    return f"{long_day(local, style.words)} {clock_time(local)}"


def _chat_header(messages: Sequence[Interaction], part: int, style: Style) -> str:
    words = style.words
    first = messages[0]
    sides = [_side(message) for message in messages if is_shown(message)]
    counts = [words.customer.format(sides.count("customer")), words.us.format(sides.count("team"))]
    if "machine" in sides:
        counts.append(words.automatic.format(sides.count("machine")))
    total = len(sides) - sides.count("event")
    day = long_day(_local(first, style), words) + (f" ({part})" if part > 1 else "")
    channel = words.channels.get(first["channel"], first["channel"])
    return f"{channel}, {day}: {total} {words.messages[total != 1]} ({', '.join(counts)})"


def _origin(interactions: Sequence[Interaction], style: Style, is_first_contact: bool) -> str:
    """Say which ad, post or site brought somebody, from the first interaction that tells."""
    told = next((one["attribution"] for one in interactions if one.get("attribution")), None)
    if told is None:
        return ""
    words = style.words
    source, medium = told.get("source", ""), told.get("medium", "")
    if source in ("ad", "post"):
        shown = f'"{one_line(told["headline"])}"' if told.get("headline") else one_line(told.get("ad_id", ""))
        site = f"({one_line(words.channels.get(medium, medium))})" if medium else ""
        named = " ".join(filter(None, (shown, site)))
        phrase = (words.ad if source == "ad" else words.post).format(named).strip()
    else:
        steps = [words.channels.get(source, source), medium, told.get("campaign", "")]
        shown = one_line(" / ".join(filter(None, steps)))
        if not shown:
            return ""
        phrase = words.source.format(shown)
    return (words.first_contact if is_first_contact else words.another_contact).format(phrase)


def is_shown(message: Interaction) -> bool:
    """Tell whether an interaction has a line of its own: not one known only by a reaction or its removal."""
    return message.get("tells") not in ("reaction", "removal")


def _side(message: Interaction) -> str:
    if message.get("kind") == "system_event":
        return "event"
    if message["direction"] == "inbound":
        return "customer"
    if message.get("is_automated"):
        return "machine"
    return "team" if message["direction"] in ("outbound", "internal") else "unknown"


def _chat_line(message: Interaction, style: Style, limit: int) -> str:
    """Write a message as one line; its own line breaks become slashes."""
    if not is_shown(message):
        return ""
    words = style.words
    time = clock_time(_local(message, style))
    said = _said(message, words, limit)
    side = _side(message)
    if side == "event":
        return f"{time} {said}"
    if side == "machine":
        return f"{time} {words.automatic_label}: {said}"
    name = _sender_name(message, side, style)
    if not name:
        name = {"team": words.team_label, "customer": words.customer_label}.get(side, "?")
    return f"{time} {name}: {said}"


def _said(message: Interaction, words: Words, limit: int) -> str:
    if "deleted_at" in message:
        return f"[{words.removed}]"
    text = " / ".join(line.strip() for line in message.get("body_text", "").splitlines() if line.strip())
    pieces = [_file(file, words) for file in message.get("attachments", [])[:_MOST_FILES]]
    if text:
        pieces.append(_shortened(text, words, limit))
    if not pieces:
        pieces.append(f"[{_why_no_text(message, words)}]")
    if "edited_at" in message:
        pieces.append(f"({words.edited})")
    if message.get("state") == "failed":
        pieces.append(f"[{words.not_delivered}]")
    if "reactions" in message:
        emojis = one_line(" ".join(one["emoji"] for one in message["reactions"] if one.get("emoji")))
        pieces += [f"[{emojis}]"] if emojis else []
    return " ".join(pieces)


def _sender_name(message: Interaction, side: str, style: Style) -> str:
    """
    Return a given name as one calls it in a chat; a name that isn't one word of letters stays whole.

    A customer who calls themselves what we call ourselves has no name here.
    """
    name = next((p["display_name"] for p in _people(message, _SENDERS) if p.get("display_name")), "")
    is_customer = side == "customer"
    name = (name or style.customer) if is_customer else style.names.get(message.get("owner_ref", ""), name)
    name = one_line(name.replace(":", " "))
    given = name.partition(" ")[0]
    name = given if given.isalpha() and len(given) > 1 else name
    if not is_customer:
        return name
    words = style.words
    ours = (words.team_label.casefold(), words.automatic_label.casefold())
    return "" if given.casefold() in ours else name


def _people(interaction: Interaction, roles: Sequence[str]) -> list[Participant]:
    return [person for person in interaction.get("participants", ()) if person.get("role") in roles]


def _phones(person: Participant) -> list[str]:
    return [
        phone_text(address["value"]) for address in person.get("handles", ()) if address["kind"] == "phone"
    ]


def _customer(interaction: Interaction, roles: Sequence[str], style: Style) -> str:
    """Name whose journey it is: by the person's name, else as the channel knows them, else by number."""
    people = _people(interaction, roles)
    names = [one_line(person["display_name"]) for person in people if person.get("display_name")]
    numbers = [shown for person in people for shown in _phones(person)]
    return next(iter(filter(None, (one_line(style.customer), *names, *numbers))), style.words.customer_label)


def _our_line(call: Interaction, roles: Sequence[str], style: Style) -> str:
    """Name our end of a call with its number: `Sales +55 11 4000-1000`."""
    account = call.get("channel_account", "")
    for person in _people(call, roles):
        shown = [one_line(person.get("display_name") or style.names.get(account, "")), *_phones(person)[:1]]
        if any(shown):
            return " ".join(filter(None, shown))
    return style.names.get(account, account)


def _body(interaction: Interaction, words: Words, limit: int) -> str:
    return _shortened(interaction.get("body_text", "").strip(), words, limit - _HEADER_ROOM)


def _shortened(text: str, words: Words, limit: int) -> str:
    if len(text) <= limit:
        return text
    mark = f" [… {words.shortened.format(number(len(text), words))}]"
    return text[: limit - len(mark)].rstrip() + mark


def _why_no_text(interaction: Interaction, words: Words) -> str:
    if interaction.get("custom", {}).get("text_unknown"):
        return words.text_unknown
    if interaction.get("visibility", "full") != "full":
        return words.not_kept
    return words.no_text


def _attached(interaction: Interaction, words: Words) -> list[str]:
    named = []
    for file in interaction.get("attachments", [])[:_MOST_FILES]:
        if file.get("filename"):
            facts = [file_size(file["size"], words)] if "size" in file else []
            facts += [_verb(file, words.open, words)] if _verb(file, words.open, words) else []
            name = one_line(file["filename"])
            named.append(f"{name} ({', '.join(facts)})" if facts else name)
    return [words.attached.format(", ".join(named))] if named else []


def _file(file: Attachment, words: Words) -> str:
    """Write a file of a chat: `[voice 0:42, listen]`, `[image, open]`, `[Proposta.pdf (214 KB), open]`."""
    kind = file.get("content_type", "").partition("/")[0]
    is_heard = file.get("is_voice") or kind == "audio"
    known = {"audio": words.audio, "image": words.image, "video": words.video}
    label = (
        words.voice
        if file.get("is_voice")
        else known.get(kind) or one_line(file.get("filename", "")) or words.file
    )
    if "duration_s" in file:
        label = f"{label} {length(file['duration_s'])}"
    elif kind not in known and "size" in file:
        label = f"{label} ({file_size(file['size'], words)})"
    verb = _verb(file, words.listen if is_heard else words.open, words)
    return f"[{label}, {verb}]" if verb else f"[{label}]"


def _verb(file: Attachment, verb: str, words: Words) -> str:
    """Offer what is here, say so of what will never come, and promise nothing of the rest."""
    return {"available": verb, "failed": words.not_available}.get(file.get("state", "unknown"), "")
