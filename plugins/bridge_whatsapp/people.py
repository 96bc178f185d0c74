"""Who is on an event: the customer, the handles that WhatsApp asserts, and which side spoke."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bridge import Json

BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_SUCCESSION = re.compile(rf" changed from ({BSUID.pattern}) to ({BSUID.pattern})$")
_NUMBER = re.compile(r"\+?[0-9]{7,15}")
_USER_FIELDS = (
    "from_user_id",
    "to_user_id",
    "recipient_user_id",
    "recipient_participant_user_id",
    "user_id",
)
_NUMBER_FIELDS = ("from", "to", "recipient_id", "recipient_participant_id", "wa_id")
_PUNCTUATION = str.maketrans("", "", " ()-.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """
    One WhatsApp user as one event shows them.

    `user_ids` are business-scoped ids and `wa_ids` WhatsApp ids (digits where they are a
    number); the present one comes first, one that it replaced after it. `phones` hold numbers
    that the user shared through WhatsApp's own contact request.
    """

    user_ids: tuple[str, ...] = ()
    wa_ids: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    name: str | None = None
    username: str | None = None

    def __bool__(self) -> bool:
        return bool(self.user_ids or self.wa_ids)

    @property
    def key(self) -> str | None:
        """
        Return what names this user in a thread: the WhatsApp id, else the business-scoped id.

        History and older statuses carry only the WhatsApp id, users with a username only the
        other; this order keeps both kinds of message in one thread.
        """
        return next(iter((*self.wa_ids, *self.user_ids)), None)

    def handles(self, scope: str) -> list[Json]:
        """Return the handles, most stable first; `scope` is the business portfolio of a user id."""
        found = [{"kind": "whatsapp_bsuid", "value": value, "scope": scope} for value in self.user_ids]
        found += [{"kind": "whatsapp_id", "value": value} for value in self.wa_ids]
        numbers = dict.fromkeys(f"+{value}" for value in self.wa_ids if _NUMBER.fullmatch(value))
        numbers.update(dict.fromkeys(self.phones))
        found += [{"kind": "phone", "value": value} for value in numbers]
        if self.username:
            found.append({"kind": "whatsapp_username", "value": self.username})
        return found

    def addresses(self) -> tuple[str, ...]:
        """Return every spelling that a capture rule may name."""
        numbers = (f"+{value}" for value in self.wa_ids if _NUMBER.fullmatch(value))
        return tuple(dict.fromkeys((*numbers, *self.phones, *self.wa_ids, *self.user_ids)))


def text(value: Json) -> str | None:
    """Return a non-empty text, or a whole number as text; None for anything else."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def mapping(value: Json) -> Mapping[str, Json]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Json) -> list[Json]:
    """Return `value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def wa_id(value: Json) -> str | None:
    """Return a WhatsApp id: a number as bare digits, None for a group, a user id or nothing."""
    written = text(value)
    if written is None or written.endswith("@g.us") or BSUID.fullmatch(written):
        return None
    bare = written.translate(_PUNCTUATION)
    return bare.removeprefix("+") if _NUMBER.fullmatch(bare) else written


class Contacts:
    """
    The entries of a `value.contacts`, found by id.

    By id only: a body may speak of several people, and a wrong pairing would join two of
    them for ever. An item that names nobody belongs to the only contact there is.
    """

    def __init__(self, contacts: Json) -> None:
        known = [contact for contact in items(contacts) if isinstance(contact, dict)]
        self._only = known[0] if len(known) == 1 else None
        self._by_number = {wa_id(contact.get("wa_id")): contact for contact in reversed(known)}
        self._by_user = {text(contact.get("user_id")): contact for contact in reversed(known)}

    def of(self, item: Mapping[str, Json]) -> Mapping[str, Json] | None:
        """Return the entry of the sender or recipient of `item`, None if there is none."""
        users = [user for name in _USER_FIELDS if (user := text(item.get(name)))]
        numbers = [number for name in _NUMBER_FIELDS if (number := wa_id(item.get(name)))]
        if not users and not numbers:
            return self._only
        found = [self._by_user.get(user) for user in users]
        found += [self._by_number.get(number) for number in numbers]
        return next((contact for contact in found if contact is not None), None)


def is_outbound(stored: Mapping[str, Json]) -> bool:
    """
    Say whether the business spoke, from the stored JSON of an event.

    An echo and a status always tell of the business. In a history the sender is compared with
    the business's own number, which may be written with punctuation or an obsolete digit; then
    `to`, which only the business's messages have, and the thread, named after the customer, decide.
    """
    event, item = stored.get("event"), mapping(stored.get("item"))
    if event in ("echo", "status"):
        return True
    if event == "call":
        return item.get("direction") == "BUSINESS_INITIATED"
    own = wa_id(mapping(stored.get("metadata")).get("display_phone_number"))
    sender, to, thread = wa_id(item.get("from")), wa_id(item.get("to")), wa_id(stored.get("thread"))
    from_me = mapping(item.get("history_context")).get("from_me")
    if isinstance(from_me, bool):
        return from_me
    if sender is None or sender == own:
        return sender is not None
    if event != "history" or to == own:
        return False
    if to is not None:
        return True
    return thread is not None and _NUMBER.fullmatch(thread) is not None and thread != sender


def customer(stored: Mapping[str, Json]) -> Customer:
    """Return the customer of a stored event; one without ids where the event names nobody."""
    event, item = stored.get("event"), mapping(stored.get("item"))
    contact = mapping(stored.get("contact"))
    user, number = _ids(stored, event, item)
    users, numbers = [user], [number]
    if event == "succession":
        change = mapping(item.get("user_id"))
        users = [text(change.get("current")), text(change.get("previous"))]
    if event == "message" and item.get("type") == "system":
        users, numbers = _system(mapping(item.get("system")), user, number)
    if not any(users):
        users = [text(contact.get("user_id"))]
    if not any(numbers):
        numbers = [wa_id(contact.get("wa_id"))]
    profile = mapping(contact.get("profile"))
    username = text(profile.get("username")) or text(contact.get("username"))
    return Customer(
        user_ids=_unique(users),
        wa_ids=_unique(numbers),
        phones=_shared_phone(item) if event == "message" else (),
        name=text(profile.get("name")),
        username=username.removeprefix("@") if username else None,
    )


def _ids(stored: Mapping[str, Json], event: Json, item: Mapping[str, Json]) -> tuple[str | None, str | None]:
    """Return the user id and the WhatsApp id that the item itself names for the customer."""
    if event == "status":
        person = "recipient_participant" if item.get("recipient_type") == "group" else "recipient"
        return text(item.get(f"{person}_user_id")), wa_id(item.get(f"{person}_id"))
    if event in ("preference", "succession"):
        return text(item.get("user_id")), wa_id(item.get("wa_id"))
    thread = text(stored.get("thread"))
    thread_user = thread if thread and BSUID.fullmatch(thread) else None
    if not is_outbound(stored):
        return text(item.get("from_user_id")) or thread_user, wa_id(item.get("from")) or wa_id(thread)
    own = wa_id(mapping(stored.get("metadata")).get("display_phone_number"))
    to = wa_id(item.get("to"))
    if event == "echo" and to == own:
        # Deletions and edits of the app have been seen with both sides exchanged.
        to = wa_id(item.get("from"))
    return text(item.get("to_user_id")) or thread_user, to or wa_id(thread)


def _system(
    system: Mapping[str, Json], user: str | None, number: str | None
) -> tuple[list[str | None], list[str | None]]:
    """Return present and former ids of a system message about a changed number or user id."""
    current = text(system.get("user_id"))
    users, numbers = [current, user], [wa_id(system.get("wa_id")), number]
    # The previous user id stands only in the sentence. Its end is the platform's; the name
    # before it is the user's own choice, so nothing but the end is read.
    sentence = _SUCCESSION.search(text(system.get("body")) or "")
    if sentence and sentence[2] == current:
        users.append(sentence[1])
    return users, numbers


def _shared_phone(item: Mapping[str, Json]) -> tuple[str, ...]:
    """Return the sender's own number out of an answer to WhatsApp's contact request."""
    shared = items(item.get("contacts"))
    if item.get("type") != "contacts" or item.get("origin") != "contact_request" or len(shared) != 1:
        return ()
    numbers = [wa_id(mapping(phone).get("phone")) for phone in items(mapping(shared[0]).get("phones"))]
    return tuple(f"+{number}" for number in _unique(numbers) if _NUMBER.fullmatch(number))


def _unique(values: list[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
