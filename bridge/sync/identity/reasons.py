"""Records, handles and evidence of who is who in plain words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.journey.folding import fold
from bridge.journey.handles import Handle
from bridge.journey.identity import Applied, Decision, Withheld
from bridge.store.database import instant
from bridge.store.people import StoredNode
from bridge.store.tables import node, node_handle
from bridge.sync.identity.evidence import Evidence
from bridge.sync.identity.identify import MADE, USED
from bridge.sync.runtime import Runtime

IN_THE_CRM = "in the CRM"
"""Who made a decision by moving an entry; before it stands the name of whom the vendor's record names."""

RecordKind = Literal["contact", "record", "sender", "claim"]
"""A CRM's contact, another record of it, a sender of a channel, what somebody typed into a form or chat."""

KINDS: Mapping[str, str] = {
    "email": "e-mail address",
    "phone": "phone number",
    "whatsapp_id": "WhatsApp number",
    "whatsapp_bsuid": "WhatsApp id",
    "whatsapp_username": "WhatsApp user name",
    "instagram_id": "Instagram id",
    "messenger_psid": "Messenger id",
    "telegram_id": "Telegram id",
    "slack_user": "Slack user",
    "form_id": "form id",
    "web_visitor": "browser",
    "external": "id in another program",
}
_SENDERS = {"email": "mail", "phone": "phone", "whatsapp_id": "WhatsApp", "whatsapp_bsuid": "WhatsApp"}
_NAMES = 4
"""Names that are told of those who disagree."""


def kind_of(stored: StoredNode) -> RecordKind:
    """Return what kind of record a node is."""
    if stored.contact_id is not None:
        return "contact"
    if stored.key.startswith("claim:"):
        return "claim"
    return "sender" if stored.key in stored.handles else "record"


def provenance(stored: StoredNode, handle_key: str) -> Literal["proven", "recorded", "claimed"]:
    """Return who vouches for a handle: the channel itself, whoever keeps the CRM, or nobody but who typed it."""
    if handle_key in stored.claimed:
        return "claimed"
    return "proven" if kind_of(stored) == "sender" else "recorded"


def instant_text(at: int | None) -> str | None:
    """Return microseconds UTC as ISO 8601."""
    found = instant(at)
    return None if found is None else found.isoformat().replace("+00:00", "Z")


def by_whom(author: str) -> str:
    """Say whose word something is: `by ana`, and `in the CRM` where that does not say who."""
    return author if author == IN_THE_CRM else f"by {author or 'somebody'}"


class Words:
    """
    Says what is known of some people; `c` is the state of the store that `evidence` was worked out from.

    Everything is one line. A handle is shown as it is compared, a contact as `hubspot contact 7`.
    """

    def __init__(self, c: Transaction, runtime: Runtime, evidence: Evidence) -> None:
        self._c = c
        self._runtime = runtime
        self._evidence = evidence
        self._members: dict[str, list[StoredNode]] = {}
        for key in sorted(evidence.nodes):
            stored = evidence.nodes[key]
            self._members.setdefault(stored.person_id, []).append(stored)

    def crm(self, account_pk: int | None, key: str = "") -> str:
        """Return what an account is called: its connector, or its connection where that has several."""
        connection = None if account_pk is None else self._runtime.of_account(account_pk)
        if connection is None:
            return key.partition(":")[0]
        same = [one for one in self._runtime.connections.values() if one.spec.name == connection.spec.name]
        return connection.spec.name if len(same) == 1 else connection.name

    def title(self, account_pk: int | None, key: str) -> str:
        """Return the vendor's name for an account, such as HubSpot."""
        connection = None if account_pk is None else self._runtime.of_account(account_pk)
        return connection.spec.title if connection else self.crm(account_pk, key)

    def label(self, key: str) -> str:
        """Return what a record is: `hubspot contact 7`, `WhatsApp sender +5511...`."""
        stored = self._evidence.nodes.get(key)
        return key if stored is None else self.label_of(stored)

    def label_of(self, stored: StoredNode) -> str:
        """Return what a record is, for one that the evidence may not hold."""
        kind = kind_of(stored)
        if kind == "contact":
            return f"{self.crm(stored.contact_of, stored.key)} contact {stored.contact_id}"
        if kind == "claim":
            told = ", ".join(sorted(_value(handle) for handle, made in stored.handles.values() if not made))
            return f"typed in: {told}" if told else "typed in"
        if kind == "sender":
            handle = stored.handles[stored.key][0]
            return f"{_SENDERS.get(handle.kind, KINDS.get(handle.kind, handle.kind))} sender {_value(handle)}"
        return stored.key

    def record(self, key: str) -> str:
        """Return a record with its name: `Ana Lima (hubspot contact 7)`."""
        stored = self._evidence.nodes.get(key)
        if stored is None or not stored.name:
            return self.label(key)
        return f"{stored.name} ({self.label(key)})"

    def handle(self, key: str) -> str:
        """Return a handle with its kind: `phone number +551138761492`."""
        for stored in self._evidence.nodes.values():
            if key in stored.handles:
                handle = stored.handles[key][0]
                return f"{KINDS.get(handle.kind, handle.kind)} {_value(handle)}"
        kind, _, value = key.partition(":")
        return f"{KINDS.get(kind, kind)} {value}"

    def applied(self, one: Applied) -> str:
        """Say what joined records."""
        return self._joined(one.tier, one.handle) or f"{self.handle(one.handle)}: {self._vouched(one)}"

    def _joined(self, tier: str, handle: str) -> str:
        """Say what joined records where that is no address, number or id that they carry; else nothing."""
        if tier == "decision":
            decision = self._evidence.decisions.get(handle)
            return self.decision(decision) if decision else f"a decision ({handle})"
        if tier == "revoked":
            return f"{handle} was taken back"
        if tier == "merged":
            return f"their CRM merged {self.label(handle)} into the other"
        if handle.startswith(MADE):
            return "crmbridge made this contact for them"
        return "nothing but that this contact was used for them so far" if tier == USED else ""

    def _vouched(self, one: Applied) -> str:
        """Say who carries a handle, and how well each is vouched for."""
        found = [self._evidence.nodes[key] for key in one.nodes if key in self._evidence.nodes]
        return ", ".join(f"{self.label_of(stored)} ({provenance(stored, one.handle)})" for stored in found)

    def withheld(self, one: Withheld) -> str:
        """Say why evidence does not join records that it could join."""
        handle = self.handle(one.handle)
        if one.reason == "shared":
            return (
                f"{handle} is on {self._carriers(one.handle)}; that many share it, so it tells nobody apart"
            )
        if one.reason == "contested":
            return f"{handle}: names disagree: {' / '.join(self._names(one.nodes))}"
        if one.reason == "unnamed":
            return (
                f"{handle} may serve several people; it counts only where the names of all who carry it agree"
            )
        if one.reason == "claimed":
            return f"{handle} was only typed in, and identity.bridge_on_claims lets that suggest, not join"
        if one.reason == "oversize":
            return f"with {handle} one person would have more addresses, numbers or ids than identity.caps allows"
        if one.reason == "kept_apart":
            said = [self.decision(split) for split in self._splits(one.nodes)]
            return f"{handle}, but {'; '.join(said) or 'somebody decided that they are two'}"
        return self._two_records(one)

    def _two_records(self, one: Withheld) -> str:
        handle = self.handle(one.handle)
        contacts: dict[int, set[str]] = {}
        for key in one.nodes:
            stored = self._evidence.nodes.get(key)
            for member in self._members.get(stored.person_id, ()) if stored else ():
                if member.contact_of is not None:
                    contacts.setdefault(member.contact_of, set()).add(member.key)
        for account_pk, keys in sorted(contacts.items()):
            if len(keys) < 2:
                continue
            told = " and ".join(self.record(key) for key in sorted(keys))
            title = self.title(account_pk, min(keys))
            if keys <= set(one.nodes):
                return f"{handle} is on {len(keys)} contacts of {title}: {told}"
            return f"{handle} would join {len(keys)} contacts of {title}: {told}"
        return f"{handle} would join two contacts of one CRM, or two ids of one platform"

    def _carriers(self, handle: str) -> str:
        """Return on how many contacts of which CRM a handle is, or on how many records where no CRM has too many."""
        query = (
            select(node.c.contact_of, func.count(), func.min(node.c.key))
            .join(node_handle, node_handle.c.node_key == node.c.key)
            .where(node_handle.c.handle_key == handle)
            .group_by(node.c.contact_of)
        )
        rows = self._c.execute(query).all()
        most = max(
            (row for row in rows if row[0] is not None), key=lambda row: (row[1], row[2]), default=None
        )
        if most is not None and most[1] > self._runtime.rules.contacts_per_handle:
            return f"{most[1]} contacts of {self.title(most[0], most[2])}"
        return f"{sum(row[1] for row in rows)} records"

    def _names(self, keys: Iterable[str]) -> list[str]:
        """Return the names that were given as such, each in one spelling."""
        found: dict[str, str] = {}
        for key in keys:
            stored = self._evidence.nodes.get(key)
            if stored is not None and stored.legal and stored.name:
                found.setdefault(fold(stored.name), stored.name)
        names = [found[name] for name in sorted(found)]
        more = len(names) - _NAMES
        return [*names[:_NAMES], *([f"{more} more"] if more > 0 else [])]

    def _splits(self, keys: Collection[str]) -> list[Decision]:
        """Return the splits that stand between any of these records, through whoever is one with them."""
        people = {self._evidence.nodes[key].person_id for key in keys if key in self._evidence.nodes}
        members = {stored.key for person in people for stored in self._members[person]}
        return [one for one in self.standing() if one.records & members and one.others & members]

    def standing(self) -> list[Decision]:
        """Return the splits that no newer decision overrules, the newest first."""
        found = [
            one
            for one in self._evidence.decisions.values()
            if one.kind == "split" and one.id not in self._evidence.partition.overruled
        ]
        return sorted(found, key=lambda one: (one.at, one.id), reverse=True)

    def decision(self, one: Decision) -> str:
        """Say who decided what, and why: `kept apart by ana on 21 Nov 2026: two brothers`."""
        what = "linked" if one.kind == "link" else "kept apart"
        why = f": {one.reason}" if one.reason else ""
        return f"{what} {by_whom(one.author)} on {self.day(one.at)}{why}"

    def day(self, at: int) -> str:
        """Return the local day of microseconds UTC."""
        found = instant(at)
        assert found is not None
        local = found.astimezone(self._runtime.config.company.zone)
        return f"{local.day} {local:%b %Y}"

    def event(self, kind: str, evidence: Iterable[tuple[str, str]]) -> list[str]:
        """Say by which evidence persons became one, or what was withheld when they became several."""
        return [
            self._joined(word, handle)
            or self.handle(handle) + ("" if kind == "merged" else f" ({word.replace('_', ' ')})")
            for word, handle in evidence
        ]

    def decision_json(self, one: Decision) -> dict[str, Any]:
        """Return a decision for programs."""
        return {
            "id": one.id,
            "kind": one.kind,
            "records": sorted(one.records),
            "others": sorted(one.others),
            "author": one.author,
            "reason": one.reason,
            "at": instant_text(one.at),
            "says": self.decision(one),
        }


def _value(handle: Handle) -> str:
    return f"+{handle.value}" if handle.kind == "whatsapp_id" and handle.value.isdigit() else handle.value
