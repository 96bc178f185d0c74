"""From a stored record to what it means: decoded, mapped, validated, or refused with its cause. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, Self

from bridge.connector import Decoder
from bridge.errors import MappingError
from bridge.journey.folding import fold
from bridge.journey.handles import Handle, Own, normalise
from bridge.journey.identity import Rules
from bridge.journey.schema import SchemaProblem, Validator, as_json
from bridge.mapping import PullRule
from bridge.model import Record
from bridge.store.collected import Stored
from bridge.store.database import micros
from bridge.store.texts import NUL, key_text, without_nul
from bridge.sync.identity.identify import MADE, Incoming
from bridge.sync.runtime import Connection

NEWSLETTERS = "newsletters"
OURS = "written by crmbridge"
NO_RULE = "no mapping for this stream"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """
    One entity as one record tells it; `written` is its body as it is stored, `nodes` are the people it speaks of.

    `modified_at` is when its vendor changed it, or when it came where nobody says.
    """

    stored: Stored
    stream: str
    ext_id: str
    part: int
    type: str
    body: dict[str, Any]
    written: bytes
    modified_at: int
    occurred_at: int | None = None
    nodes: tuple[Incoming, ...] = ()
    contacts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The record was deleted at its source."""

    stored: Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The record is left out by a rule."""

    stored: Stored
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The record cannot be used; `line` is the mapping's."""

    stored: Stored
    code: str
    message: str
    field: str = ""
    line: int = 0
    hint: str = ""


Outcome = Meaning | Gone | Left | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How the records of one connection are read."""

    connection: Connection
    own: Own
    rules: Rules
    decoder: Decoder | None
    validators: Mapping[str, Validator]

    @classmethod
    def of(cls, connection: Connection, own: Own, rules: Rules) -> Self:
        """Return the reader of a connection; made once for many records, as asking for a protocol is slow."""
        connector = connection.connector
        return cls(
            connection=connection,
            own=own,
            rules=rules,
            decoder=connector if isinstance(connector, Decoder) else None,
            validators={
                rule.entity: Validator.for_entity(rule.entity) for rule in connection.mapping.pull.values()
            },
        )

    def read(self, stored: Stored, views: Sequence[Record] | None = None) -> Iterator[Outcome]:
        """
        Yield what a record means, one outcome per record that its connector decodes from it.

        `views` is what was decoded of it before, None where nothing was.
        """
        record = stored.record
        if record.deleted:
            yield Gone(stored=stored)
            return
        if self.decoder is None:
            yield self._read_one(stored, 0, record)
            return
        if views is None:
            views = list(self.decoder.decode(record))
        if not views:
            yield Left(stored=stored, rule=NO_RULE)
        for part, view in enumerate(views):
            key = key_text(view.id)
            yield self._read_one(stored, part, view if key == view.id else replace(view, id=key))

    def _read_one(self, stored: Stored, part: int, view: Record) -> Outcome:
        rule = self.connection.mapping.pull.get(view.stream)
        if rule is None:
            return Left(stored=stored, rule=NO_RULE)
        if isinstance(view.data, dict) and UNREADABLE in view.data and view.data.keys() <= _UNREADABLE_KEYS:
            return _unreadable(stored, view.data)
        try:
            body = rule.map(view.data)
        except MappingError as error:
            return Refused(
                stored=stored,
                code="mapping",
                message=str(error),
                field=error.field,
                line=error.line,
                hint=error.hint,
            )
        validator = self.validators[rule.entity]
        try:
            written = as_json(body)
            if NUL in written:
                body = without_nul(body)
                written = as_json(body)
        except TypeError:
            return _broken(stored, rule, validator.check(body))
        if problems := validator.broken_rules(body):
            return _broken(stored, rule, problems)
        nodes: tuple[Incoming, ...] = ()
        contacts: tuple[str, ...] = ()
        keys: tuple[str, ...] = ()
        occurred_at = None
        if rule.entity == "contact":
            nodes = (self._contact(view, body),)
        elif rule.entity == "interaction":
            if self._is_unwanted(body):
                return Left(stored=stored, rule=NEWSLETTERS)
            nodes = tuple(self.senders(body))
            contacts = self.contacts(body)
            keys = tuple(map(key_text, body.get("dedupe_keys", ())))
            occurred_at = _micros(body.get("occurred_at"))
        modified_at = micros(view.modified_at)
        return Meaning(
            stored=stored,
            stream=view.stream,
            ext_id=view.id,
            part=part,
            type=rule.entity,
            body=body,
            written=written,
            modified_at=stored.received_at if modified_at is None else modified_at,
            occurred_at=occurred_at,
            nodes=nodes,
            contacts=contacts,
            keys=keys,
        )

    def _is_unwanted(self, body: Mapping[str, Any]) -> bool:
        """Tell whether an interaction is a newsletter, where those are left out."""
        return (
            self.connection.config.capture.newsletters == "skip"
            and body.get("direction") == "inbound"
            and body.get("automated_by") in ("list", "notification")
        )

    def contacts(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the keys of the contacts that an interaction refers to."""
        refs = (ref for ref in body.get("contact_refs", ()) if "/" in ref)
        return tuple(self.connection.node_key(*ref.split("/", 1)) for ref in refs)

    def senders(self, body: Mapping[str, Any]) -> Iterator[Incoming]:
        """Yield what an interaction says of everybody in it who is not ours."""
        at = _micros(body.get("occurred_at"))
        since = _micros(body.get("received_at")) or at
        for participant in body.get("participants", ()):
            if is_ours(participant, body):
                continue
            handles, seen = self._handles(
                (item["kind"], item["value"], item.get("scope", ""))
                for item in participant.get("handles", ())
            )
            if handles:
                name = participant.get("display_name")
                is_typed = _is_typed(body)
                typed = is_typed and handles[0].strength != "certain"
                claimed = is_typed or participant.get("role") == "reply_to"
                yield Incoming(
                    key=claim_key(handles, name) if typed else handles[0].key,
                    handles=handles,
                    name=name,
                    name_at=at,
                    since=since,
                    legal=typed,
                    claimed=frozenset(one.key for one in handles if one.strength != "certain")
                    if claimed
                    else frozenset(),
                    seen=seen,
                )

    def _contact(self, view: Record, body: Mapping[str, Any]) -> Incoming:
        connection = self.connection
        listed = [("email", value, "") for value in body.get("emails", ())]
        listed += [("phone", value, "") for value in body.get("phones", ())]
        if "handles" in body:
            listed += [(item["kind"], item["value"], item.get("scope", "")) for item in body["handles"]]
        is_contact = view.stream == connection.spec.contact_stream
        handles, seen = self._handles(listed)
        return Incoming(
            key=connection.node_key(view.stream, view.id),
            handles=handles,
            legal=True,
            seen=seen,
            contact_of=connection.account_pk if is_contact else None,
            contact_id=view.id if is_contact else None,
            name=name_of(body),
            since=_micros(body.get("created_at")),
            aliases=tuple(
                connection.node_key(*ref.split("/", 1)) for ref in body.get("merged_refs", ()) if "/" in ref
            ),
        )

    def _handles(
        self, listed: Iterable[tuple[str, str, str]]
    ) -> tuple[tuple[Handle, ...], Mapping[str, str]]:
        """
        Return the handles behind (kind, value, scope), each once, without those that tell nothing.

        With them, by key, how those were written that are written otherwise than they read. One that reads like
        a handle of our own making is left out as well: nobody but we may make them.
        """
        region, own = self.connection.region, self.own
        found: dict[Handle, None] = {}
        seen: dict[str, str] = {}
        for kind, value, scope in listed:
            for handle in normalise(kind, value, scope=scope, region=region, own=own):
                if handle.strength == "none" or (kind == "external" and handle.key.startswith(MADE)):
                    continue
                handle = _storable(handle)
                found[handle] = None
                if value != handle.value and kind == handle.kind:
                    seen.setdefault(handle.key, key_text(value))
        return tuple(found), seen


_TYPED = frozenset({"web_form", "webchat", "spreadsheet"})
"""Channels on which people type who they are, and nobody vouches for it."""


def _is_typed(body: Mapping[str, Any]) -> bool:
    return body.get("channel") in _TYPED or body.get("kind") == "form_submission"


def claim_key(handles: Iterable[Handle], name: str | None) -> str:
    """Return the identity key of what somebody typed in: the same claim made again is the same record."""
    told = "\0".join([*sorted(handle.key for handle in handles), fold(name or "")])
    return f"claim:{blake2b(told.encode(), digest_size=10).hexdigest()}"


_UNREADABLE_KEYS = {"id", UNREADABLE, "because", "remedy"}


def _unreadable(stored: Stored, data: Mapping[str, Any]) -> Refused:
    """Return the refusal of what is no object of the stream, in the words of the connector that kept it."""
    return Refused(
        stored=stored,
        code=UNREADABLE,
        message=str(data.get("because") or f"no object that can be read: {str(data[UNREADABLE])[:80]!r}"),
        hint=str(data.get("remedy", "")),
    )


def _broken(stored: Stored, rule: PullRule, problems: Sequence[SchemaProblem]) -> Refused:
    first = problems[0]
    return Refused(
        stored=stored,
        code=first.rule,
        message="; ".join(
            f"{problem.path}: {problem.message}" if problem.path else problem.message
            for problem in problems[:3]
        ),
        field=first.path,
        line=rule.line(first.path),
    )


def _storable(handle: Handle) -> Handle:
    value, scope = key_text(handle.value), key_text(handle.scope)
    same = value == handle.value and scope == handle.scope
    return handle if same else handle._replace(value=value, scope=scope)


def is_ours(participant: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """
    Tell whether a participant is the team's.

    Where the record does not say, the direction does: whoever sends outbound is ours, and
    outside of e-mail, which has many recipients, so is whoever is sent inbound.
    """
    side = participant.get("side", "unknown")
    if side != "unknown":
        return bool(side == "team")
    sender = participant.get("role") in ("from", "caller", "author", "organizer")
    if body.get("direction") == "outbound":
        return sender
    return body.get("direction") == "inbound" and not sender and body.get("channel") != "email"


def name_of(body: Mapping[str, Any]) -> str | None:
    """Return the name of a contact, None if it has none."""
    joined = " ".join(filter(None, (body.get("given_name"), body.get("family_name"))))
    return body.get("display_name") or joined or None


def _micros(text: str | None) -> int | None:
    return micros(datetime.fromisoformat(text)) if text else None
