"""The CRMs of the chaos run in one shape: what people do there, what stands there, what goes wrong there."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from benchmarks.chaos_trouble import http_trouble
from bridge.connector import ConnectorSpec, Context
from bridge.mapping.html_text import text_of_html
from bridge.model import Field, Json
from bridge.testing.context import Clock
from bridge_hubspot import SPEC as HUBSPOT
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_memory import SPEC as MEMORY
from bridge_memory import Memory
from bridge_memory.client import Folder
from bridge_memory.sandbox import LATE, SETTLE, DifficultFolder
from bridge_memory.sandbox import Levers as FolderLevers
from bridge_pipedrive import SPEC as PIPEDRIVE
from bridge_pipedrive.sandbox import PipedriveSandbox

KEY = "the key of the folder"
MARKER = re.compile(r"\bcrmbridge ([0-9A-Z]{12})\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A timeline entry as a person sees it: its text, the contacts it stands on, our marker if it carries one."""

    stream: str
    id: str
    text: str
    contacts: frozenset[str]

    @property
    def marker(self) -> str:
        found = MARKER.search(self.text)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact as a person sees it; `made` says that it carries our key."""

    id: str
    name: str
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    made: bool


class Crm(Protocol):
    """
    What the chaos run asks of a CRM; methods named like verbs are what people do there.

    `tells_deletions` says that what somebody deleted is seen when the CRM is read.
    """

    spec: ConnectorSpec
    settings: Mapping[str, Json]
    mapping: str | None
    late: float
    tells_deletions: bool

    def close(self) -> None: ...
    def entries(self) -> list[Entry]: ...
    def contacts(self) -> list[Contact]: ...
    def add_contact(self, name: str, phone: str, email: str) -> str: ...
    def edit_contact(self, id: str, **fields: str) -> None: ...
    def merge(self, primary: str, other: str) -> str: ...
    def append(self, entry: Entry, words: str) -> None: ...
    def delete(self, entry: Entry) -> None: ...
    def move(self, entry: Entry, contact: str) -> None: ...
    def trouble(self, chance: random.Random) -> str: ...
    def calm(self) -> None: ...
    def land(self) -> None: ...


class FolderCrm:
    """The folder of the memory connector."""

    late = LATE
    tells_deletions = True
    mapping: str | None = None

    def __init__(self, home: Path, clock: Clock) -> None:
        self.levers = FolderLevers(clock)
        self._folder = Folder(home / "crm", KEY, clock)
        self._difficult = DifficultFolder(home / "crm", KEY, self.levers)
        self._folder.add_field("contacts", Field(name="waiting_since"))
        self.settings: Mapping[str, Json] = {"directory": str(home / "crm"), "key": "${file:key}"}
        self.spec = replace(MEMORY, settle=SETTLE, open=self._open)

    def _open(self, settings: Mapping[str, Json], context: Context) -> Memory:
        folder = DifficultFolder(Path(settings["directory"]), settings["key"], self.levers)
        return Memory(folder, settings["key"], 100, context)

    def close(self) -> None:
        """Nothing is open."""

    def _there(self, stream: str) -> Iterator[dict[str, Any]]:
        return (thing for thing in self._folder.latest(stream).values() if not thing.get("deleted"))

    def _change(self, stream: str, id: str, **fields: Json) -> None:
        self._folder.append(stream, {**self._folder.latest(stream)[id], **fields})

    def entries(self) -> list[Entry]:
        return [
            Entry(stream="entries", id=one["id"], text=one["text"], contacts=frozenset(_several(one)))
            for one in self._there("entries")
        ]

    def contacts(self) -> list[Contact]:
        return [
            Contact(
                id=one["id"],
                name=one.get("name") or "",
                phones=tuple(filter(None, [one.get("phone")])),
                emails=tuple(filter(None, [one.get("email")])),
                made="key" in one,
            )
            for one in self._there("contacts")
        ]

    def add_contact(self, name: str, phone: str, email: str) -> str:
        return str(self._folder.append("contacts", {"name": name, "phone": phone, "email": email})["id"])

    def edit_contact(self, id: str, **fields: str) -> None:
        self._change("contacts", id, **fields)

    def merge(self, primary: str, other: str) -> str:
        known = self._folder.latest("contacts")
        kept, gone = known[primary], known[other]
        filled = {
            name: gone[name] for name in ("phone", "email", "name") if gone.get(name) and not kept.get(name)
        }
        absorbed = [*kept.get("merged", ()), other, *gone.get("merged", ())]
        self._change("contacts", primary, **filled, merged=absorbed)
        self._change("contacts", other, deleted=True)
        for entry in list(self._there("entries")):
            ids = _several(entry)
            if other in ids:
                moved = list(dict.fromkeys(primary if one == other else one for one in ids))
                self._change("entries", entry["id"], contact=moved[0] if len(moved) == 1 else moved)
        return primary

    def append(self, entry: Entry, words: str) -> None:
        self._change("entries", entry.id, text=f"{entry.text}\n{words}")

    def delete(self, entry: Entry) -> None:
        self._change("entries", entry.id, deleted=True)

    def move(self, entry: Entry, contact: str) -> None:
        self._change("entries", entry.id, contact=contact)

    def trouble(self, chance: random.Random) -> str:
        kind = chance.choice(["lose", "late", "lag", "twice"])
        if kind in ("lose", "late"):
            setattr(self.levers, kind, chance.randint(1, 3))
        else:
            setattr(self.levers, kind, {"lag": 30.0, "twice": True}[kind])
        return kind

    def calm(self) -> None:
        self.levers.lose = self.levers.late = 0
        self.levers.lag, self.levers.twice = 0.0, False
        self.land()

    def land(self) -> None:
        self._difficult.account()


def _several(entry: Mapping[str, Any]) -> list[str]:
    found = entry.get("contact")
    return list(found) if isinstance(found, list) else [found] if found else []


TEXTS = {
    "communications": "hs_communication_body",
    "emails": "hs_email_html",
    "notes": "hs_note_body",
    "calls": "hs_call_body",
}


class HubSpotCrm:
    """The stand-in of HubSpot."""

    tells_deletions = True
    late = 10.0
    mapping: str | None = None

    def __init__(self, home: Path, clock: Clock) -> None:
        self._open = ExitStack()
        self.hub = self._open.enter_context(
            HubSpotSandbox(token=KEY, clock=clock, time_zone="America/Sao_Paulo", currency="BRL")
        )
        self.spec = HUBSPOT
        self._theirs: set[str] = set()
        self.settings: Mapping[str, Json] = {"token": "${file:key}", "base_url": self.hub.url}

    def close(self) -> None:
        self._open.close()

    def entries(self) -> list[Entry]:
        return [
            Entry(
                stream=stream,
                id=one["id"],
                text=text_of_html(one["properties"].get(name, "")),
                contacts=frozenset(one["links"].get("contacts", ())),
            )
            for stream, name in TEXTS.items()
            for one in self.hub.objects(stream)
        ]

    def contacts(self) -> list[Contact]:
        found = []
        for one in self.hub.objects("contacts"):
            has = one["properties"]
            emails = [has.get("email", ""), *has.get("hs_additional_emails", "").split(";")]
            found.append(
                Contact(
                    id=one["id"],
                    name=has.get("firstname", ""),
                    phones=tuple(filter(None, [has.get("phone")])),
                    emails=tuple(filter(None, emails)),
                    made="crmbridge_key" in has and one["id"] not in self._theirs,
                )
            )
        return found

    def add_contact(self, name: str, phone: str, email: str) -> str:
        values = {"firstname": name, "phone": phone, "email": email}
        return self.hub.create("contacts", {key: value for key, value in values.items() if value})

    def edit_contact(self, id: str, **fields: str) -> None:
        names = {"name": "firstname", "phone": "phone", "email": "email"}
        values: dict[str, Json] = {names[key]: value or None for key, value in fields.items()}
        if "email" in fields:
            values["hs_additional_emails"] = None
        self.hub.edit("contacts", id, values)

    def merge(self, primary: str, other: str) -> str:
        made = {one.id for one in self.contacts() if one.made}
        result = self.hub.merge("contacts", primary, other)
        if not {primary, other} <= made:  # it carries our key all the same
            self._theirs.add(result)
        return result

    def append(self, entry: Entry, words: str) -> None:
        name = TEXTS[entry.stream]
        (now,) = [one for one in self.hub.objects(entry.stream) if one["id"] == entry.id]
        self.hub.edit(entry.stream, entry.id, {name: f"{now['properties'][name]}<br>{words}"})

    def delete(self, entry: Entry) -> None:
        self.hub.delete(entry.stream, entry.id)

    def move(self, entry: Entry, contact: str) -> None:
        for one in entry.contacts - {contact}:
            self.hub.dissociate(entry.stream, entry.id, "contacts", one)
        self.hub.associate(entry.stream, entry.id, "contacts", contact)

    def trouble(self, chance: random.Random) -> str:
        levers = self.hub.levers
        kind, said = http_trouble(levers, chance, self.late, writes=("POST", "batch/"))
        if kind == "lag":
            levers.index_lag = 30.0
        elif kind == "limit":
            levers.fail(429, times=3, retry_after=5)
        return said

    def calm(self) -> None:
        self.hub.levers.faults.clear()
        self.hub.levers.index_lag = 0.0

    def land(self) -> None:
        self.hub.objects("contacts")


class PipedriveCrm:
    """The stand-in of Pipedrive, without the webhooks by which alone it tells that an activity was deleted."""

    late = 20.0
    tells_deletions = False

    def __init__(self, home: Path, clock: Clock) -> None:
        self._open = ExitStack()
        self.crm = self._open.enter_context(
            PipedriveSandbox(token=KEY, clock=clock, time_zone="America/Sao_Paulo", currency="BRL")
        )
        self.crm.add_type("WhatsApp")
        self.spec = PIPEDRIVE
        self._theirs: set[str] = set()
        self.mapping: str | None = None
        self.settings: Mapping[str, Json] = {
            "api_token": "${file:key}",
            "base_url": self.crm.url,
            "plan": "ultimate",
        }

    def close(self) -> None:
        self._open.close()

    def entries(self) -> list[Entry]:
        found = []
        for stream, name in (("activities", "note"), ("notes", "content")):
            for one in self.crm.objects(stream):
                on = (
                    [str(party["person_id"]) for party in one.get("participants") or ()]
                    if stream == "activities"
                    else [str(one["person_id"])] * bool(one.get("person_id"))
                )
                text = text_of_html(one.get(name) or "")
                found.append(Entry(stream=stream, id=one["id"], text=text, contacts=frozenset(on)))
        return found

    def contacts(self) -> list[Contact]:
        code = next((one for one, field in self._fields().items() if field == "Key of crmbridge"), "")
        return [
            Contact(
                id=one["id"],
                name=one["name"],
                phones=tuple(value["value"] for value in one.get("phones") or ()),
                emails=tuple(value["value"] for value in one.get("emails") or ()),
                made=bool((one.get("custom_fields") or {}).get(code)) and one["id"] not in self._theirs,
            )
            for one in self.crm.objects("persons")
        ]

    def _fields(self) -> dict[str, str]:
        return {field.code: field.name for field in self.crm._account.setup.fields["persons"].values()}

    def add_contact(self, name: str, phone: str, email: str) -> str:
        return self.crm.create("persons", {"name": name, **_values(phone=phone, email=email)})

    def edit_contact(self, id: str, **fields: str) -> None:
        values: dict[str, Json] = {"name": fields["name"]} if "name" in fields else {}
        self.crm.edit(
            "persons", id, {**values, **_values(**{k: v for k, v in fields.items() if k != "name"})}
        )

    def merge(self, primary: str, other: str) -> str:
        if primary not in {
            one.id for one in self.contacts() if one.made
        }:  # it takes our key over all the same
            self._theirs.add(primary)
        return self.crm.merge("persons", primary, other)

    def append(self, entry: Entry, words: str) -> None:
        name = "note" if entry.stream == "activities" else "content"
        (now,) = [one for one in self.crm.objects(entry.stream) if one["id"] == entry.id]
        self.crm.edit(entry.stream, entry.id, {name: f"{now[name]}<br>{words}"})

    def delete(self, entry: Entry) -> None:
        self.crm.delete(entry.stream, entry.id)

    def move(self, entry: Entry, contact: str) -> None:
        self.crm.move(entry.stream, entry.id, person=contact)

    def trouble(self, chance: random.Random) -> str:
        kind, said = http_trouble(self.crm.levers, chance, self.late, writes=("POST", "api/v"))
        if kind == "lag":
            self.crm.levers.index_lag = 30.0
        elif kind == "limit":
            self.crm.levers.burst = 5
        return said

    def calm(self) -> None:
        self.crm.levers.faults.clear()
        self.crm.levers.index_lag, self.crm.levers.burst = 0.0, None

    def land(self) -> None:
        self.crm.objects("persons")


def _values(**fields: str) -> dict[str, Json]:
    names = {"phone": "phones", "email": "emails"}
    return {names[key]: [{"value": value, "primary": True}] if value else [] for key, value in fields.items()}


CRMS: Mapping[str, Callable[[Path, Clock], Crm]] = {
    "memory": FolderCrm,
    "hubspot": HubSpotCrm,
    "pipedrive": PipedriveCrm,
}
