"""What every connector promises before its first call: a sane spec, closed settings, an idle open."""

from __future__ import annotations

import re
import sys
import threading
from zoneinfo import available_timezones

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from bridge.connector import CONTRACT_VERSION, Closer, Sink
from bridge.mapping import load_mapping
from bridge.model import Json
from bridge.plugins import mapping_file
from bridge.testing.bench import Bench, Check
from bridge.testing.kit import Kit

SOUNDS_SECRET = re.compile(r"token|secret|password|passphrase|credential|(^|_)key$", re.IGNORECASE)
IO_EVENTS = frozenset(
    {
        "open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.system",
        "os.posix_spawn", "subprocess.Popen", "sqlite3.connect", "socket.connect", "socket.bind",
        "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "imaplib.open", "smtplib.connect",
    }
)  # fmt: skip


def the_spec_is_sane(bench: Bench[Kit]) -> None:
    """The spec speaks this contract, and its names, streams, phases and budgets fit together."""
    spec = bench.spec
    names = [stream.name for stream in spec.streams]
    budgets = [budget.name for budget in spec.budgets]
    assert spec.contract == CONTRACT_VERSION, f"contract {spec.contract} is not {CONTRACT_VERSION}"
    assert re.fullmatch(r"[a-z][a-z0-9_]*", spec.name), f"name {spec.name!r}: use a-z, 0-9 and _"
    assert spec.title, "title is empty; admins read it"
    assert len(set(names)) == len(names), f"streams: a name stands twice in {names}"
    assert len(set(budgets)) == len(budgets), f"budgets: a name stands twice in {budgets}"
    for stream in spec.streams:
        missing = set(stream.after) - set(names)
        assert not missing, f"streams.{stream.name}.after: no stream {missing}"
        assert stream.phases, f"streams.{stream.name}.phases: is empty, so it is never read"
        assert stream.deletes != "sweep" or "sweep" in stream.phases, (
            f'streams.{stream.name}: deletes is "sweep", but "sweep" is not among its phases'
        )
        assert stream.lookback >= 0, f"streams.{stream.name}.lookback: {stream.lookback}"
    for budget in spec.budgets:
        assert budget.calls > 0, f"budgets.{budget.name}: {budget.calls} calls"
        assert budget.seconds > 0, f"budgets.{budget.name}: {budget.seconds} seconds"
        zone = budget.midnight or "account"
        assert zone == "account" or zone in available_timezones(), (
            f'budgets.{budget.name}.midnight: {zone!r} is neither a time zone nor "account"'
        )
    planned = [budget.name for budget in spec.limits(bench.kit.settings)]
    assert planned == budgets, f"budgets_of: names {planned}, budgets names {budgets}"
    assert spec.settle >= 0, f"settle: {spec.settle}"
    if isinstance(bench.connector, Sink) and spec.contact_stream:
        assert spec.contact_stream in names, f"contact_stream: no stream {spec.contact_stream!r} in {names}"


def the_settings_schema_is_closed(bench: Bench[Kit]) -> None:
    """The schema is valid, closed at each object, describes each setting, and takes the kit's settings."""
    schema = bench.spec.settings
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise AssertionError(f"settings: no valid JSON Schema 2020-12: {error.message}") from error
    assert schema.get("additionalProperties") is False, "settings: additionalProperties must be false"
    for path, part in _objects(dict(schema), "settings"):
        closed = part.get("additionalProperties") is not None
        assert closed, f"{path}: say additionalProperties, so that a misspelt setting is an error"
        for name, below in part.get("properties", {}).items():
            assert below.get("description"), f"{path}.{name}: has no description; admins read it"
    problems = [error.message for error in Draft202012Validator(schema).iter_errors(dict(bench.kit.settings))]
    assert not problems, f"the kit's settings do not fit the schema: {problems}"


def secrets_are_write_only(bench: Bench[Kit]) -> None:
    """Each setting that sounds like a secret is marked writeOnly."""
    for path, part in _objects(dict(bench.spec.settings), "settings"):
        for name, below in part.get("properties", {}).items():
            if SOUNDS_SECRET.search(name) and below.get("type", "string") == "string":
                assert below.get("writeOnly") is True, f"{path}.{name}: mark it writeOnly"


def the_mapping_fits_and_passes_its_tests(bench: Bench[Kit]) -> None:
    """The mapping that the spec names is there, speaks of its streams only, and its own tests pass."""
    spec = bench.spec
    streams = [stream.name for stream in spec.streams]
    mapping = load_mapping(mapping_file(spec), connector=spec.name, streams=streams)
    for result in mapping.run_tests():
        assert result.ok, f"{mapping.file}:{result.line} {result.name}: {result.difference}"
    if isinstance(bench.connector, Sink) and mapping.push_contact is not None:
        written = mapping.push_contact.stream
        assert written == spec.contact_stream, (
            f"push.contact writes {written}, contact_stream is {spec.contact_stream}"
        )


def opening_reads_and_writes_nothing(bench: Bench[Kit]) -> None:
    """`open` touches no file, no socket and no process."""
    context = bench.context()
    settings = dict(bench.kit.settings)
    with _Watch() as watch:
        connector = bench.spec.open(settings, context)
    if isinstance(connector, Closer):
        connector.close()
    assert not watch.seen, f"open: {watch.seen[0]}; do it in check or in the first call"


def no_repr_shows_a_secret(bench: Bench[Kit]) -> None:
    """Neither the connector nor an object that it is made of shows a secret when printed."""
    parts = [bench.connector, *getattr(bench.connector, "__dict__", {}).values()]
    for part in parts:
        shown, plain = repr(part), type(part).__module__ == "builtins"
        assert plain or bench.redactor.clean(shown) == shown, f"repr of {type(part).__name__} shows a secret"


CHECKS = (
    Check(run=the_spec_is_sane),
    Check(run=the_settings_schema_is_closed),
    Check(run=secrets_are_write_only),
    Check(run=the_mapping_fits_and_passes_its_tests),
    Check(run=opening_reads_and_writes_nothing),
    Check(run=no_repr_shows_a_secret),
)


class _Watch:
    """Notes the files, sockets and processes that this thread touches inside a `with` block."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __enter__(self) -> _Watch:
        _listen_once()
        _here.watch = self
        return self

    def __exit__(self, *_: object) -> None:
        _here.watch = None


_here = threading.local()
_listening: list[bool] = []


def _listen_once() -> None:
    """Install the audit hook, which Python never takes away again; idle, it costs an attribute look-up."""
    if not _listening:
        _listening.append(True)
        sys.addaudithook(_heard)


def _heard(event: str, args: tuple[object, ...]) -> None:
    watch = getattr(_here, "watch", None)
    if watch is not None and event in IO_EVENTS:
        watch.seen.append(f"{event} {args[0]!r}" if event != "socket.connect" else f"{event} {args[1]!r}")


def _objects(schema: Json, path: str) -> list[tuple[str, Json]]:
    """Return every object schema in a schema, with its path."""
    found: list[tuple[str, Json]] = []
    if isinstance(schema, dict):
        if schema.get("type") == "object" or "properties" in schema:
            found.append((path, schema))
        for name, below in schema.get("properties", {}).items():
            found += _objects(below, f"{path}.{name}")
        for word in ("items", "additionalProperties"):
            found += _objects(schema.get(word), f"{path}.{word}")
    return found
