"""Commands to begin with: init, check, setup, connectors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli import output
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, Verbose, opened, read_config
from bridge.config import SCHEMA_FILE
from bridge.connector import Describer, Sink
from bridge.engine.opening import ask_account, load_mappings, need_secrets, open_runtime
from bridge.errors import AuthError, BridgeError, ConfigError, Problem
from bridge.plugins import installed, load
from bridge.redact import Redactor
from bridge.sync.delivery.wanted import lacking_fields
from bridge.sync.runtime import Connection, Runtime


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(init)
    app.command()(check)
    app.command()(connectors)
    group = typer.Typer(help="Prepare an account for crmbridge.", no_args_is_help=True)
    group.command("crm")(setup_crm)
    app.add_typer(group, name="setup")


def example_file() -> Path:
    """Return the shipped example: in the wheel, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "config.example.yaml"
    return shipped if shipped.is_file() else package.parent / "config.example.yaml"


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = DEFAULT,
) -> None:
    """Write a commented configuration to start from. A file that exists is left alone."""
    write_new(path, example_file().read_text().replace("bridge/config.schema.json", str(SCHEMA_FILE)))
    output.say(f"Wrote {path}. Fill in your accounts, then: crmbridge check")


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet; where that cannot be, the command says why and ends."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        output.warn(f"{path}: exists already and was left alone. Move it away, or name another file.")
        output.stop(output.USAGE)
    except OSError as error:
        output.warn(f"{path}: cannot be written: {error.strerror}.")
        output.stop(output.USAGE)


def check(config: ConfigPath = DEFAULT, as_json: AsJson = False, verbose: Verbose = False) -> None:
    """
    Validate everything and ask each connection once.

    Runs the tests in the mappings and names missing scopes and fields. Changes nothing.
    """
    redactor = Redactor()
    output.start_logging(redactor, verbose=verbose)
    loaded = read_config(config)
    tests = {mapping.file: mapping.run_tests() for mapping in load_mappings(loaded).values()}
    with (
        open_runtime(loaded, lock_as=None, redactor=redactor) as runtime,
        ThreadPoolExecutor(max_workers=max(1, len(runtime.connections))) as pool,
    ):
        results = list(
            pool.map(lambda connection: _check_one(connection, redactor), runtime.connections.values())
        )
    failed_tests = [
        f"{file}: {one.name}: {one.difference}"
        for file, found in tests.items()
        for one in found
        if not one.ok
    ]
    good = all(result["ok"] for result in results) and not failed_tests and not loaded.left_out
    if as_json:
        output.emit({"ok": good, "connections": results, "mapping_tests_failed": failed_tests})
    else:
        output.say(f"{loaded.file}: valid")
        for line in failed_tests:
            output.say(f"mapping test failed: {line}")
        for result in results:
            for line in _check_lines(result):
                output.say(line)
    if not good:
        kinds = {result["kind"] for result in results}
        unreached = output.UNAVAILABLE if "unavailable" in kinds else output.PARTIAL
        output.stop(output.AUTH if "auth" in kinds else unreached)


def _check_one(connection: Connection, redactor: Redactor) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": connection.name,
        "connector": connection.spec.name,
        "ok": False,
        "kind": None,
    }
    try:
        account = ask_account(connection)
    except BridgeError as error:
        kind = "auth" if isinstance(error, AuthError) else "unavailable"
        return {**result, "kind": kind, "error": redactor.clean(str(error))}
    missing = list(account.missing_scopes)
    lacking: frozenset[str] = frozenset()
    push = connection.config.push
    cannot_ask = push is not None and push.ask is not None and connection.mapping.push_task is None
    if push is not None:
        try:
            lacking = lacking_fields(connection)
        except BridgeError as error:
            return {**result, "kind": "unavailable", "error": redactor.clean(str(error))}
    return {
        **result,
        "ok": not missing and not cannot_ask,
        "kind": "scopes" if missing else "mapping" if cannot_ask else None,
        "account": account.id,
        "account_name": account.name,
        "missing_scopes": missing,
        "lacking_fields": sorted(lacking),
        "lacking_rules": ["push.task"] if cannot_ask else [],
        "mapping": connection.mapping.file,
        "writes": push is not None,
    }


def _check_lines(result: dict[str, Any]) -> list[str]:
    if "error" in result:
        error = str(result["error"]).removeprefix(f"{result['name']}: ")
        return [f"{result['name']}: {error}"]
    name = f" {result['account_name']}" if result["account_name"] else ""
    writes = "may be written to" if result["writes"] else "is only read"
    line = f"{result['name']}: ok, {result['connector']} account {result['account']}{name}; {writes}"
    if result["missing_scopes"]:
        line = (
            f"{result['name']}: missing scopes: {', '.join(result['missing_scopes'])}. Add them to the key."
        )
    lines = [line]
    if result["lacking_fields"]:
        lacking = ", ".join(result["lacking_fields"])
        lines.append(f"  lacks {lacking}; create them with: crmbridge setup crm --apply")
    for rule in result["lacking_rules"]:
        lines.append(
            f"  push.ask: nobody can be asked, as {result['mapping']} has no `{rule}`. Take it over from the"
            " shipped mapping, or remove `ask`."
        )
    return lines


def connectors(as_json: AsJson = False) -> None:
    """List the installed connectors and what each can do."""
    loaded = load(installed())
    found = [
        {
            "name": spec.name,
            "title": spec.title,
            "streams": [stream.name for stream in spec.streams],
            "settings": sorted(spec.settings.get("properties", {})),
        }
        for spec in loaded.specs.values()
    ]
    if as_json:
        output.emit({"connectors": found, "left_out": [str(error) for error in loaded.left_out]})
        return
    for one in found:
        output.say(f"{one['name']:<10} {one['title']}; streams: {', '.join(one['streams'])}")
    for error in loaded.left_out:
        output.warn(str(error))


def setup_crm(
    apply: Annotated[
        bool, typer.Option("--apply", help="Create them; without this they are only shown.")
    ] = False,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show the custom properties that each CRM lacks; --apply creates them."""
    result: dict[str, Any] = {}
    with opened(config) as runtime:
        crms = [one for one in runtime.connections.values() if one.spec.contact_stream]
        written = [one for one in crms if one.config.push is not None]
        if not written:
            raise ConfigError(_not_written(runtime, crms))
        need_secrets(written)
        for connection in crms:
            if connection.config.push is None:
                result[connection.name] = {"skipped": "no `push`: nothing is written to this account"}
                continue
            connector = connection.connector
            if not isinstance(connector, Describer) or not isinstance(connector, Sink):
                continue
            streams: dict[str, Any] = {}
            for stream, wanted in connection.mapping.properties.items():
                existing = {field.name for field in connector.describe(stream)}
                missing = [field for field in wanted if field.name not in existing]
                shown: dict[str, Any] = {
                    "existing": sorted(field.name for field in wanted if field.name in existing),
                    "missing": [field.name for field in missing],
                }
                if apply and missing:
                    made = connector.create(stream, missing)
                    shown |= {"created": list(made.created), "manual": list(made.manual)}
                streams[stream] = shown
            result[connection.name] = {"streams": streams}
    if as_json:
        output.emit(result)
        return
    for name, found in result.items():
        output.say(name + (f": {found['skipped']}" if "skipped" in found else ""))
        for stream, shown in found.get("streams", {}).items():
            for word in ("existing", "created", "missing"):
                if shown.get(word) and not (word == "missing" and apply):
                    output.say(f"  {stream}: {word} {', '.join(shown[word])}")
            for step in shown.get("manual", ()):
                output.say(f"  {stream}: by hand: {step}")
    lacking = any(
        shown["missing"] for found in result.values() for shown in found.get("streams", {}).values()
    )
    if not lacking:
        output.say("Nothing is missing.")
    elif not apply:
        output.say("Nothing changed yet. Create what is missing with: crmbridge setup crm --apply")


def _not_written(runtime: Runtime, crms: Sequence[Connection]) -> list[Problem]:
    """Return why no CRM can be prepared: there is none, or none may be written to."""
    file = runtime.config.file
    if not crms:
        return [
            Problem(
                file=file,
                path="connections",
                message="none of them is a CRM, so there is nothing to prepare.",
                remedy="Add the connection to your CRM.",
            )
        ]
    return [
        Problem(
            file=file,
            path=f"connections.{one.name}",
            message="has no `push`, so nothing is written to this account.",
            remedy="Where it is your CRM, add `push:` to it, then: crmbridge setup crm --apply",
        )
        for one in crms
    ]
