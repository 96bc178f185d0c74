"""From a stored record to what it means: decoded, mapped, validated, or refused with its cause. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from bridge.connector import Decoder
from bridge.errors import MappingError
from bridge.journey.handles import Handle, Own, normalise
from bridge.journey.schema import Validator
from bridge.model import Record
from bridge.store.collected import Stored
from bridge.store.database import micros
from bridge.store.texts import key_text, without_nul
from bridge.sync.identify import MADE, Incoming
from bridge.sync.runtime import Connection

NEWSLETTERS = "newsletters"
OURS = "written by crmbridge"
NO_RULE = "no mapping for this stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One entity as one record tells it; `nodes` are the people it speaks of."""

    stored: Stored
    stream: str
    ext_id: str
    part: int
    type: str
    body: dict[str, Any]
    modified_at: int | None
    occurred_at: int | None
    deleted: bool = False
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
    decoder: Decoder | None
    validators: Mapping[str, Validator]

    @classmethod
    def of(cls, connection: Connection, own: Own) -> Self:
        """Return the reader of a connection; made once for many records, as asking for a protocol is slow."""
        connector = connection.connector
        return cls(
            connection=connection,
            own=own,
            decoder=connector if isinstance(connector, Decoder) else None,
            validators={
                rule.entity: Validator.for_entity(rule.entity) for rule in connection.mapping.pull.values()
            },
        )

    def read(self, stored: Stored) -> Iterator[Outcome]:
        """Yield what a record means, one outcome per record that its connector decodes from it."""
        record = stored.record
        if record.deleted:
            yield Gone(stored=stored)
            return
        views = list(self.decoder.decode(record)) if self.decoder is not None else [record]
        if not views:
            yield Left(stored=stored, rule=NO_RULE)
        for part, view in enumerate(views):
            key = key_text(view.id)
            yield self._read_one(stored, part, view if key == view.id else replace(view, id=key))

    def _read_one(self, stored: Stored, part: int, view: Record) -> Outcome:
        rule = self.connection.mapping.pull.get(view.stream)
        if rule is None:
            return Left(stored=stored, rule=NO_RULE)
        try:
            body = without_nul(rule.map(view.data))
        except MappingError as error:
            return Refused(
                stored=stored,
                code="mapping",
                message=str(error),
                field=error.field,
                line=error.line,
                hint=error.hint,
            )
        problems = self.validators[rule.entity].check(body)
        if problems:
            first = problems[0]
            return Refused(
                stored=stored,
                code=first.rule,
                message="; ".join(f"{problem.path}: {problem.message}" for problem in problems[:3]),
                field=first.path,
                line=rule.line(first.path),
            )
        if rule.entity == "interaction":
            return self._interaction(stored, part, view, body)
        if rule.entity == "contact":
            return self._contact(stored, part, view, body)
        return Meaning(
            stored=stored,
            stream=view.stream,
            ext_id=view.id,
            part=part,
            type=rule.entity,
            body=body,
            modified_at=micros(view.modified_at),
            occurred_at=None,
        )

    def _interaction(self, stored: Stored, part: int, view: Record, body: dict[str, Any]) -> Outcome:
        inbound = body.get("direction") == "inbound"
        if (
            inbound
            and body.get("automated_by") in ("list", "notification")
            and self.connection.config.capture.newsletters == "skip"
        ):
            return Left(stored=stored, rule=NEWSLETTERS)
        return Meaning(
            stored=stored,
            stream=view.stream,
            ext_id=view.id,
            part=part,
            type="interaction",
            body=body,
            modified_at=micros(view.modified_at),
            occurred_at=_micros(body.get("occurred_at")),
            nodes=tuple(self.senders(body)),
            contacts=self.contacts(body),
            keys=tuple(map(key_text, body.get("dedupe_keys", ()))),
        )

    def contacts(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the keys of the contacts that an interaction refers to."""
        refs = (ref for ref in body.get("contact_refs", ()) if "/" in ref)
        return tuple(self.connection.node_key(*ref.split("/", 1)) for ref in refs)

    def senders(self, body: Mapping[str, Any]) -> Iterator[Incoming]:
        """Yield what an interaction says of everybody in it who is not ours."""
        since = _micros(body.get("occurred_at"))
        for participant in body.get("participants", ()):
            if is_ours(participant, body):
                continue
            handles = self._handles(
                (item["kind"], item["value"], item.get("scope", ""))
                for item in participant.get("handles", ())
            )
            if handles:
                yield Incoming(
                    key=handles[0].key,
                    handles=handles,
                    name=participant.get("display_name"),
                    name_at=since,
                    since=since,
                )

    def _contact(self, stored: Stored, part: int, view: Record, body: dict[str, Any]) -> Outcome:
        connection = self.connection
        listed = [("email", value, "") for value in body.get("emails", ())]
        listed += [("phone", value, "") for value in body.get("phones", ())]
        listed += [(item["kind"], item["value"], item.get("scope", "")) for item in body.get("handles", ())]
        is_contact = view.stream == connection.spec.contact_stream
        node = Incoming(
            key=connection.node_key(view.stream, view.id),
            handles=self._handles(listed),
            contact_of=connection.account_pk if is_contact else None,
            contact_id=view.id if is_contact else None,
            name=name_of(body),
            since=_micros(body.get("created_at")),
            aliases=tuple(
                connection.node_key(*ref.split("/", 1)) for ref in body.get("merged_refs", ()) if "/" in ref
            ),
        )
        return Meaning(
            stored=stored,
            stream=view.stream,
            ext_id=view.id,
            part=part,
            type="contact",
            body=body,
            modified_at=micros(view.modified_at),
            occurred_at=None,
            nodes=(node,),
        )

    def _handles(self, listed: Iterable[tuple[str, str, str]]) -> tuple[Handle, ...]:
        """
        Return the handles behind (kind, value, scope), each once, without those that tell nothing.

        One that reads like a handle of our own making is left out as well: nobody but we may make them.
        """
        region, own = self.connection.region, self.own
        found: dict[Handle, None] = {}
        for kind, value, scope in listed:
            for handle in normalise(kind, value, scope=scope, region=region, own=own):
                if handle.strength != "none" and not handle.key.startswith(MADE):
                    found[_storable(handle)] = None
        return tuple(found)


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
