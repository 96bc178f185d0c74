"""config.yaml as frozen values: every problem at once with its line, secrets only by reference."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jsonschema

from bridge import plugins
from bridge.capture import CaptureRules
from bridge.connector import ConnectorSpec
from bridge.errors import ConfigError, Problem
from bridge.model import Json
from bridge.redact import secrets_in
from bridge.yaml_file import Document, YamlPath, did_you_mean, load, parse

SCHEMA_FILE = Path(__file__).with_name("config.schema.json")
REFERENCE = re.compile(r"\$\{(env|file|command):([^}]*)\}")
COMMAND_SECONDS = 30

CreateRule = Literal["first_message", "after_we_replied", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """How the company reads: times, words and money."""

    zone: ZoneInfo
    language: str = "en"
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What may be written to an account; `create` says by channel when a person becomes a contact."""

    timeline: bool = False
    fields: bool = True
    create: Mapping[str, CreateRule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
    """One configured connection; `settings` hold secrets in the clear and never show them."""

    name: str
    connector: str
    settings: Mapping[str, Json] = field(repr=False)
    mapping: Path | None = None
    region: str | None = None
    every: float | None = None
    capture: CaptureRules = field(default_factory=CaptureRules)
    push: Push | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityConfig:
    """What identity must know of the company itself."""

    default_region: str | None = None
    own_domains: tuple[str, ...] = ()
    own_addresses: tuple[str, ...] = ()


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


def load_config(path: Path) -> Config:
    """Read, check and resolve a configuration; raises ConfigError with every problem in it."""
    return _Reader(load(path), path.parent).read()


def parse_config(text: str, *, file: str, folder: Path) -> Config:
    """Read a configuration from text, as `load_config` does; relative paths start at `folder`."""
    return _Reader(parse(text, file=file), folder).read()


class _Reader:
    """Reads one document, collecting problems instead of stopping at the first."""

    def __init__(self, document: Document, folder: Path) -> None:
        self.document = document
        self.folder = folder
        self.problems: list[Problem] = []
        self.left_out: list[Problem] = []
        self.secrets: list[str] = []

    def read(self) -> Config:
        value = self.document.value
        self.problems += schema_problems(self.document, schema(), value, ())
        if self.problems:
            raise ConfigError(self.problems)
        specs = self._specs(value["connections"])
        connections = {
            name: self._connection(name, block, specs[block["connector"]])
            for name, block in value["connections"].items()
            if block["connector"] in specs
        }
        company = value.get("company") or {}
        identity = value.get("identity") or {}
        web = value.get("web") or {}
        host, _, port = web.get("listen", "127.0.0.1:8099").rpartition(":")
        if int(port) > 65535:
            self._problem(
                ("web", "listen"), f"{port} is no port.", "Use a number up to 65535; 0 takes any free port."
            )
        blobs = value.get("blobs")
        config = Config(
            file=self.document.file,
            company=Company(
                zone=self._zone(company.get("time_zone", "UTC")),
                language=company.get("language", "en"),
                currency=company.get("currency"),
            ),
            store=str(self._resolve(self._store(value), ("store",), secret=False)),
            blobs=self.folder / blobs if blobs else None,
            connections=connections,
            identity=IdentityConfig(
                default_region=identity.get("default_region"),
                own_domains=tuple(domain.lower() for domain in identity.get("own_domains", ())),
                own_addresses=tuple(identity.get("own_addresses", ())),
            ),
            web=Web(host=host.strip("[]") or "0.0.0.0", port=int(port), public_url=web.get("public_url")),  # noqa: S104 an empty host is what an admin writes to mean every interface
            specs=specs,
            left_out=tuple(self.left_out),
            secrets=tuple(self.secrets),
        )
        if self.problems:
            raise ConfigError(self.problems)
        return config

    def _problem(self, path: YamlPath, message: str, remedy: str = "") -> None:
        self.problems.append(self.document.problem(path, message, remedy))

    def _store(self, value: Mapping[str, Json]) -> str:
        url = str(value.get("store", "sqlite:///crmbridge.db"))
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/"):
            return prefix + str((self.folder / url[len(prefix) :]).absolute())
        return url

    def _zone(self, name: str) -> ZoneInfo:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._problem(
                ("company", "time_zone"),
                f"{name!r} is no time zone.",
                "Use an IANA name, such as America/Sao_Paulo or Europe/Lisbon.",
            )
            return ZoneInfo("UTC")

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
                if f'"{block["connector"]}"' in str(error):
                    self.left_out.append(
                        self.document.problem(("connections", name, "connector"), str(error))
                    )
        return loaded.specs

    def _connection(self, name: str, block: Mapping[str, Json], spec: ConnectorSpec) -> ConnectionConfig:
        path: YamlPath = ("connections", name)
        raw = block.get("settings") or {}
        problems = schema_problems(self.document, spec.settings, raw, (*path, "settings"))
        self.problems += problems
        settings: Mapping[str, Json] = {}
        if not problems:
            for plain in secrets_in(spec.settings, raw):
                if not REFERENCE.search(plain):
                    where = next(self._places(raw, plain, (*path, "settings")), (*path, "settings"))
                    self._problem(
                        where,
                        "a secret stands here in plain text.",
                        "Write a reference: ${env:NAME}, ${file:/path} or ${command:...}.",
                    )
            settings = self._resolve(raw, (*path, "settings"), secret=False)
            self.secrets += secrets_in(spec.settings, settings)
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
            region=block.get("region"),
            every=block.get("every"),
            capture=self._capture(block.get("capture") or {}, (*path, "capture")),
            push=None
            if push is None
            else Push(
                timeline=push.get("timeline", False),
                fields=push.get("fields", True),
                create=push.get("create") or {},
            ),
        )

    def _capture(self, block: Mapping[str, Json], path: YamlPath) -> CaptureRules:
        since = None
        if "since" in block:
            try:
                since = datetime.fromisoformat(block["since"])
                since = since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
            except ValueError:
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

    def _places(self, value: Json, wanted: str, path: YamlPath) -> Iterator[YamlPath]:
        if value == wanted:
            yield path
        elif isinstance(value, dict):
            for key, inner in value.items():
                yield from self._places(inner, wanted, (*path, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                yield from self._places(inner, wanted, (*path, index))

    def _resolve(self, value: Json, path: YamlPath, *, secret: bool) -> Json:
        if isinstance(value, dict):
            return {key: self._resolve(inner, (*path, key), secret=secret) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._resolve(inner, (*path, index), secret=secret) for index, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        return REFERENCE.sub(lambda match: self._fetch(match, path), value)

    def _fetch(self, match: re.Match[str], path: YamlPath) -> str:
        kind, name = match.groups()
        try:
            found = _FETCH[kind](name.strip(), self.folder)
        except _NotThere as error:
            self._problem(path, f"{match.group()} {error}", error.remedy)
            return ""
        if found:
            self.secrets.append(found)
        else:
            self._problem(path, f"{match.group()} is empty.", "Put the secret there.")
        return found


class _NotThere(Exception):
    def __init__(self, message: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(message)


def _from_env(name: str, _folder: Path) -> str:
    if name not in os.environ:
        raise _NotThere("is not set.", f"Set it: export {name}=...")
    return os.environ[name].strip()


def _from_file(name: str, folder: Path) -> str:
    try:
        return (folder / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise _NotThere(
            f"cannot be read: {reason}.", "Create the file, readable for crmbridge only."
        ) from None


def _from_command(line: str, folder: Path) -> str:
    try:
        done = subprocess.run(  # noqa: S603 the admin's own command, from the admin's own file
            shlex.split(line),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
            cwd=folder,
        )
    except subprocess.TimeoutExpired:
        raise _NotThere(
            f"gave no answer in {COMMAND_SECONDS} s.", "Run it by hand to see what it waits for."
        ) from None
    except (OSError, ValueError) as error:
        raise _NotThere(f"cannot be run: {error}.", "Run it by hand to see why.") from None
    if done.returncode:
        raise _NotThere(f"ended with {done.returncode}.", "Run it by hand to see why.")
    return done.stdout.strip()


_FETCH = {"env": _from_env, "file": _from_file, "command": _from_command}


def schema_problems(document: Document, rules: Mapping[str, Any], value: Json, at: YamlPath) -> list[Problem]:
    """Check a part of a document against a JSON Schema; each problem has its line and what would be right."""
    found = []
    validator = jsonschema.Draft202012Validator(rules)
    for error in sorted(
        validator.iter_errors(value), key=lambda error: [str(key) for key in error.absolute_path]
    ):
        path: YamlPath = (*at, *error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            known = list(error.schema.get("properties", {}))
            for name in sorted(set(error.instance) - set(known)):
                found.append(
                    document.problem((*path, name), "there is no such setting.", did_you_mean(name, known))
                )
            continue
        if error.validator == "required":
            for name in error.validator_value:
                if name not in error.instance:
                    about = error.schema.get("properties", {}).get(name, {}).get("description", "")
                    found.append(document.problem(path, f"`{name}` is missing.", about))
            continue
        found.append(document.problem(path, _worded(error), _remedy(error)))
    return list(dict.fromkeys(found))


def _worded(error: jsonschema.ValidationError) -> str:
    secret = isinstance(error.schema, dict) and error.schema.get("writeOnly")
    shown = "the value" if secret else json.dumps(error.instance, ensure_ascii=False)[:60]
    if error.validator == "enum":
        return f"{shown} is not one of {', '.join(map(str, _words(error)))}."
    if error.validator == "type":
        return f"{shown} is not of type {error.validator_value}."
    if error.validator == "pattern":
        return f"{shown} does not have the form {error.validator_value}."
    return f"{shown}: {'not allowed' if secret else error.message[:120]}."


def _remedy(error: jsonschema.ValidationError) -> str:
    if error.validator == "enum":
        return did_you_mean(str(error.instance), [str(word) for word in _words(error)])
    return str(error.schema.get("description", "")) if isinstance(error.schema, dict) else ""


def _words(error: jsonschema.ValidationError) -> list[Json]:
    return error.validator_value if isinstance(error.validator_value, list) else []
