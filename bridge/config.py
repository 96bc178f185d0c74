"""config.yaml as frozen values: every problem at once with its line, secrets only by reference."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from phonenumbers import SUPPORTED_REGIONS

from bridge import plugins
from bridge.capture import CaptureRules
from bridge.connector import ConnectorSpec
from bridge.errors import ConfigError, Problem
from bridge.identity_config import IdentityConfig, read_identity
from bridge.model import Json
from bridge.references import BY_REFERENCE, REFERENCE, References
from bridge.setting_faults import faults, remove
from bridge.yaml_file import Document, YamlPath, did_you_mean, load, parse

SCHEMA_FILE = Path(__file__).with_name("config.schema.json")
OWN_PATHS = ("/healthz", "/readyz", "/metrics")
_SQLITE = "sqlite:///"

CreateRule = Literal["first_message", "after_we_replied", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """How the company reads: times, words and money."""

    zone: ZoneInfo
    language: str = "en"
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAbove:
    """How many existing contacts may change at once unasked: a number, or a share of them where that is more."""

    share: float = 0.05
    number: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """
    Of whom a CRM's users are asked in tasks who they are: `at_most` so many open tasks, due in so many days.

    `owner` is the address of the user whose tasks they are, None for the contact's owner.
    """

    who: tuple[Literal["undecided", "probable"], ...]
    owner: str | None = None
    at_most: int = 20
    due_in_days: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """
    What may be written to an account; `create` says by channel when a person becomes a contact.

    A chat's entry takes in what was said since at most every `grow_after` seconds. Without `ask` nobody is asked.
    """

    timeline: bool = False
    fields: bool = True
    create: Mapping[str, CreateRule] = field(default_factory=dict)
    grow_after: float = 300.0
    hold_above: HoldAbove = field(default_factory=HoldAbove)
    ask: Ask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
    """
    One configured connection; `settings` hold secrets in the clear and never show them.

    `share` is the part of the account's call budgets that is ours.
    `absent` are secrets that are not there; a connection that lacks some is only for reading the store.
    """

    name: str
    connector: str
    settings: Mapping[str, Json] = field(repr=False)
    mapping: Path | None = None
    region: str | None = None
    every: float | None = None
    share: float = 0.9
    capture: CaptureRules = field(default_factory=CaptureRules)
    push: Push | None = None
    absent: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Where the receiver listens and how vendors reach it."""

    host: str = "127.0.0.1"
    port: int = 8099
    public_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration, checked; `specs` are the connectors it names and `left_out` those that failed."""

    file: str
    company: Company
    store: str = field(repr=False)
    blobs: Path | None
    connections: Mapping[str, ConnectionConfig]
    identity: IdentityConfig
    web: Web
    specs: Mapping[str, ConnectorSpec]
    left_out: tuple[Problem, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of config.yaml."""
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    return loaded


def load_config(path: Path, *, secrets: bool = True) -> Config:
    """
    Read, check and resolve a configuration.

    Relative paths in it start at its folder: of the store, blobs, mappings, `${file:}`, `${command:}` and of
    those settings of a connector whose schema says `"format": "path"`. Raises ConfigError with every problem;
    without `secrets`, what a connection refers to and is not there is none, and is noted in it.
    """
    return _Reader(load(path), path.parent, secrets=secrets).read()


def parse_config(text: str, *, file: str, folder: Path) -> Config:
    """Read a configuration from text, as `load_config` does; relative paths start at `folder`."""
    return _Reader(parse(text, file=file), folder).read()


class _Reader:
    """Reads one document; what is wrong in one place is noted and does not hide what is wrong in another."""

    def __init__(self, document: Document, folder: Path, *, secrets: bool = True) -> None:
        self.document = document
        self.folder = folder
        self.problems: list[Problem] = []
        self.left_out: list[Problem] = []
        self.absent: dict[str | int, list[Problem]] = {}
        note = self._problem if secrets else self._note_absent
        self.references = References(folder, problem=self._problem, absent=note)

    def read(self) -> Config:
        value = self._usable()
        company, identity, web = (value.get(name, {}) for name in ("company", "identity", "web"))
        zone = self._zone(company.get("time_zone", "UTC"))
        who = read_identity(identity, self._problem)
        blocks = {name: block for name, block in value.get("connections", {}).items() if "connector" in block}
        specs = self._specs(blocks)
        connections = {
            name: self._connection(name, block, specs[block["connector"]], zone)
            for name, block in blocks.items()
            if block["connector"] in specs
        }
        self._check_paths(connections, specs)
        self._check_only_with(connections, specs)
        store = self._store(value)
        config = Config(
            file=self.document.file,
            company=Company(
                zone=zone, language=company.get("language", "en"), currency=company.get("currency")
            ),
            store=store,
            blobs=self._blobs(value.get("blobs"), store),
            connections=connections,
            identity=who,
            web=self._web(web),
            specs=specs,
            left_out=tuple(self.left_out),
            secrets=tuple(self.references.secrets),
        )
        if self.problems:
            raise ConfigError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))
        return config

    def _problem(self, path: YamlPath, message: str, remedy: str = "") -> None:
        self.problems.append(self.document.problem(path, message, remedy))

    def _note_absent(self, path: YamlPath, message: str, remedy: str) -> None:
        if path[0] == "connections":
            self.absent.setdefault(path[1], []).append(self.document.problem(path, message, remedy))
        else:
            self._problem(path, message, remedy)

    def _usable(self) -> dict[str, Any]:
        """Note what the schema finds and return the document without it, so that the rest can be checked."""
        value: dict[str, Any] = copy.deepcopy(self.document.value)
        for fault in list(faults(schema(), value)):
            self._problem(fault.path, fault.message, fault.remedy)
            if fault.here:
                remove(value, fault.path)
        return value

    def _zone(self, name: str) -> ZoneInfo:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            near = did_you_mean(name, available_timezones())
            remedy = near or "Use an IANA name, such as America/Sao_Paulo or Europe/Lisbon."
            self._problem(("company", "time_zone"), f"{name!r} is no time zone.", remedy)
            return ZoneInfo("UTC")

    def _region(self, code: str | None, path: YamlPath) -> str | None:
        if code is not None and code not in SUPPORTED_REGIONS:
            remedy = "Use the two letters of ISO 3166, such as BR or GB."
            self._problem(path, f"{code!r} is no country.", remedy)
            return None
        return code

    def _store(self, value: Mapping[str, Json]) -> str:
        path: YamlPath = ("store",)
        written = str(value.get("store", f"{_SQLITE}crmbridge.db"))
        password = re.match(r"[^:]*://[^/@:]*:([^@]+)@", REFERENCE.sub("${}", written))
        if password and "${" not in password[1]:
            self._problem(path, "a password stands here in plain text.", BY_REFERENCE)
        url = str(self.references.resolve(written, {}, path))
        if self.references.lacks(path):
            return url
        if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
            return f"{_SQLITE}{(self.folder / url[len(_SQLITE) :]).absolute()}"
        try:
            parts = urlsplit(url)
            if parts.scheme == "postgresql" and parts.path.strip("/") and (parts.port or 1) > 0:
                if parts.password:
                    self.references.secrets |= dict.fromkeys([parts.password, unquote(parts.password)])
                return url
        except ValueError:
            pass  # a port that is no number, brackets that do not close: said below
        self._problem(path, "this is no address of a store.", str(_described("store")))
        return url

    def _blobs(self, blobs: str | None, store: str) -> Path | None:
        if blobs is None and store.startswith(_SQLITE):
            return None
        return (self.folder / (blobs or "crmbridge-blobs")).absolute()

    def _web(self, web: Mapping[str, Json]) -> Web:
        host, _, port = web.get("listen", "127.0.0.1:8099").rpartition(":")
        if int(port) > 65535:
            remedy = "Use a number up to 65535; 0 takes any free port."
            self._problem(("web", "listen"), f"{port} is no port.", remedy)
        every_interface = "0.0.0.0"  # noqa: S104 what an admin means by an empty host
        return Web(host=host.strip("[]") or every_interface, port=int(port), public_url=web.get("public_url"))

    def _specs(self, blocks: Mapping[str, Json]) -> dict[str, ConnectorSpec]:
        """Load the connectors; an unknown name is the admin's mistake, a broken plugin is left out."""
        known = plugins.installed()
        for name, block in blocks.items():
            if block["connector"] not in known:
                self._problem(
                    ("connections", name, "connector"),
                    f"{block['connector']!r} is not installed.",
                    did_you_mean(block["connector"], known),
                )
        loaded = plugins.load({block["connector"] for block in blocks.values()} & known.keys())
        for name, block in blocks.items():
            for error in loaded.left_out:
                if str(error).startswith(f'connector "{block["connector"]}" '):
                    at = ("connections", name, "connector")
                    self.left_out.append(self.document.problem(at, str(error)))
        return loaded.specs

    def _check_paths(
        self, connections: Mapping[str, ConnectionConfig], specs: Mapping[str, ConnectorSpec]
    ) -> None:
        """Refuse two connections that would answer at one address of the receiver."""
        taken = dict.fromkeys(OWN_PATHS, "crmbridge itself")
        taken |= {f"/hooks/{name}": f"the connection {name}" for name in connections}
        for name, connection in connections.items():
            for address in specs[connection.connector].paths:
                owner = taken.setdefault(address, f"the connection {name}")
                if owner != f"the connection {name}":
                    self._problem(
                        ("connections", name, "connector"),
                        f"{connection.connector} answers at {address}, which {owner} has already.",
                        "Keep one of the two, with the settings of both.",
                    )

    def _check_only_with(
        self, connections: Mapping[str, ConnectionConfig], specs: Mapping[str, ConnectorSpec]
    ) -> None:
        """Refuse to ask for contacts where no connection has any, since nothing at all would be collected."""
        if self.left_out or any(specs[one.connector].contact_stream for one in connections.values()):
            return
        for name, connection in connections.items():
            if connection.capture.only_with == "contacts":
                self._problem(
                    ("connections", name, "capture", "only_with"),
                    "no connection is a CRM, so there are no contacts and nothing would be collected.",
                    "Add your CRM to `connections`, or remove `only_with`.",
                )

    def _connection(
        self, name: str, block: Mapping[str, Json], spec: ConnectorSpec, zone: ZoneInfo
    ) -> ConnectionConfig:
        path: YamlPath = ("connections", name)
        settings = self._settings(block.get("settings", {}), spec.settings, (*path, "settings"))
        mapping = block.get("mapping")
        if mapping is not None and not (self.folder / mapping).is_file():
            self._problem((*path, "mapping"), f"there is no file {mapping}.", "Correct the path.")
        push = block.get("push")
        if push is not None and not spec.contact_stream:
            self._problem(
                (*path, "push"), f"{spec.title} is no CRM: nothing can be written to it.", "Remove `push`."
            )
        return ConnectionConfig(
            name=name,
            connector=spec.name,
            settings=settings,
            mapping=self.folder / mapping if mapping else None,
            region=self._region(block.get("region"), (*path, "region")),
            every=block.get("every"),
            share=block.get("budget", {}).get("share", 0.9),
            capture=self._capture(block.get("capture", {}), (*path, "capture"), zone),
            push=None
            if push is None
            else Push(
                timeline=push.get("timeline", False),
                fields=push.get("fields", True),
                create=push.get("create", {}),
                grow_after=push.get("grow_after", 300.0),
                hold_above=HoldAbove(**push.get("hold_above", {})),
                ask=Ask(**{**push["ask"], "who": tuple(push["ask"]["who"])}) if "ask" in push else None,
            ),
            absent=tuple(self.absent.get(name, ())),
        )

    def _capture(self, block: Mapping[str, Json], path: YamlPath, zone: ZoneInfo) -> CaptureRules:
        since = None
        if "since" in block:
            try:
                since = datetime.fromisoformat(block["since"])
                since = (since if since.tzinfo else since.replace(tzinfo=zone)).astimezone(UTC)
            except (ValueError, OverflowError):
                self._problem(
                    (*path, "since"), f"{block['since']!r} is no date.", "Write it like 2026-01-31."
                )
        return CaptureRules(
            since=since,
            only=tuple(block.get("only", ())),
            never=tuple(block.get("never", ())),
            only_with=block.get("only_with", "anyone"),
            newsletters=block.get("newsletters", "skip"),
            detail=block.get("detail", "full"),
        )

    def _settings(self, raw: Json, rules: Mapping[str, Json], path: YamlPath) -> Mapping[str, Json]:
        """Fetch what is referred to, then check the settings as the connector will see them."""
        settings: Mapping[str, Json] = self.references.resolve(raw, rules, path)
        for fault in faults(rules, settings, path):
            if not self.references.lacks(fault.path):
                self._problem(fault.path, fault.message, fault.remedy)
        return settings


def _described(name: str) -> Json:
    return schema()["properties"][name]["description"]
