"""Commands on mappings: copy and test them, and map stored records again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge import yaml_file
from bridge.cli import output
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, carry_out, opened, read_config
from bridge.cli.setup import write_new
from bridge.engine.opening import load_mappings, need_secrets
from bridge.mapping import Mapping, compile_mapping, load_mapping
from bridge.mapping.schema import SCHEMA_FILE
from bridge.plugins import installed, load, mapping_file
from bridge.sync.intake.remap import Preview, preview

SCHEMA_LINE = "# yaml-language-server: $schema="
_OLD_SCHEMA_LINE = re.compile(rf"^{re.escape(SCHEMA_LINE)}.*\n", re.MULTILINE)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="Copy and test mapping files.", no_args_is_help=True)
    group.command()(copy)
    group.command("test")(run_tests)
    app.add_typer(group, name="mapping")
    app.command()(remap)


def copy(
    connector: Annotated[str, typer.Argument(help="The connector whose shipped mapping is copied.")],
    path: Annotated[
        Path | None, typer.Argument(help="Where to write it; left out, a file of the connector's name here.")
    ] = None,
) -> None:
    """
    Copy a shipped mapping to change it.

    Its first line lets an editor complete it. A file that exists is left alone.
    """
    known = installed()
    if connector not in known:
        near = yaml_file.did_you_mean(connector, known)
        output.warn(f"{connector!r}: no connector of this name is installed. {near}")
        output.stop(output.USAGE)
    loaded = load({connector})
    for error in loaded.left_out:
        raise error
    target = path or Path(f"{connector}.yaml")
    if target.is_dir():
        output.warn(f"{target}: is a folder; name a file in it, such as {target / f'{connector}.yaml'}")
        output.stop(output.USAGE)
    text = mapping_file(loaded.specs[connector]).read_text(encoding="utf-8")
    write_new(target, f"{SCHEMA_LINE}{SCHEMA_FILE}\n{_OLD_SCHEMA_LINE.sub('', text)}")
    output.say(
        f"Wrote {target}. Name it in the connection (mapping: {target}), change it,"
        f" then: crmbridge mapping test {target}"
    )


def run_tests(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Mapping files; those of the configuration, or all shipped ones, when left out."),
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Check mapping files and run the tests that stand in them."""
    if files:
        loaded = {str(path): _load_file(path) for path in files}
    elif config.exists():
        loaded = {
            mapping.file: mapping for mapping in load_mappings(read_config(config, secrets=False)).values()
        }
    else:
        specs = load(installed()).specs.values()
        loaded = {
            str(mapping_file(spec)): load_mapping(mapping_file(spec), connector=spec.name) for spec in specs
        }
    results = {file: mapping.run_tests() for file, mapping in loaded.items()}
    failed = [result for found in results.values() for result in found if not result.ok]
    if as_json:
        output.emit(
            {
                file: [{"name": one.name, "ok": one.ok, "difference": one.difference} for one in found]
                for file, found in results.items()
            }
        )
    else:
        for file, found in results.items():
            for one in found:
                output.say(f"{'ok  ' if one.ok else 'FAIL'} {file}: {one.name}")
                if not one.ok:
                    output.say(f"     {one.difference}")
        output.say(
            f"{sum(len(found) for found in results.values()) - len(failed)} passed, {len(failed)} failed"
        )
    if failed:
        output.stop(output.PARTIAL)


def _load_file(path: Path) -> Mapping:
    """Load a mapping for whichever installed connector it says it is for."""
    document = yaml_file.load(path)
    known = installed()
    named = document.value.get("connector")
    spec = load({named}).specs.get(named) if isinstance(named, str) and named in known else None
    streams = [stream.name for stream in spec.streams] if spec else None
    return compile_mapping(document, connector=None, streams=streams, installed=known)


def remap(
    connection: Annotated[str, typer.Argument(help="The connection whose stored records are mapped again.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without this the effect is only shown.")
    ] = False,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Map the stored records again. Shows the effect; --apply does it. Asks no vendor."""
    with opened(config) as runtime:
        if connection not in runtime.connections:
            output.warn(
                f"{connection}: there is no such connection. Configured: {', '.join(runtime.connections)}."
            )
            output.stop(output.USAGE)
        found = runtime.connections[connection]
        need_secrets([found])
        if found.account_pk is None:
            output.warn(f"{connection}: nothing is stored yet. Collect first with: crmbridge sync")
            output.stop(output.PARTIAL)
        shown = preview(runtime, found)
    result: dict[str, Any] = {"preview": [_preview_json(one) for one in shown]}
    by_daemon = False
    if apply:
        made, by_daemon = carry_out(config, "remap", {"connection": connection}, connections=[connection])
        result |= {**made, "by_daemon": by_daemon}
    if as_json:
        output.emit(result)
        return
    for one in shown:
        _show(one)
    records = output.plural(result["records"], "record") if apply else ""
    if apply and not result["records"]:
        output.say("Nothing is to be mapped again: whatever was mapped was mapped as the mapping is now.")
        if any(one.rejected or one.newly_mapped for one in shown):
            output.say("What was rejected is tried again by: crmbridge rejects replay")
    elif by_daemon:
        output.say(f"The daemon maps {records} again now; see: crmbridge status")
    elif apply:
        output.say(f"{records} will be mapped again by the next: crmbridge sync")
    elif any(one.differs for one in shown):
        output.say(f"Nothing changed yet. Apply with: crmbridge remap {connection} --apply")
    else:
        output.say("Nothing would change: the mapping as it is now makes the same of every record.")


def _show(one: Preview) -> None:
    output.say(f"{one.stream}: {output.plural(one.records, 'record')}")
    for (old, new), count in one.renamed.most_common():
        output.say(f"  renamed  {old} -> {new}  in {count}")
    for word, counts in (("added", one.added), ("vanished", one.vanished), ("changed", one.changed)):
        for name, count in counts.most_common():
            output.say(f"  {word:<8} {name}  in {count}")
    if one.newly_mapped:
        output.say(f"  mapped for the first time: {one.newly_mapped}")
    for message, count in one.rejected.most_common(5):
        output.say(f"  rejected {count}: {message}")


def _preview_json(one: Preview) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "records": one.records,
        "renamed": [{"from": old, "to": new, "records": count} for (old, new), count in one.renamed.items()],
        "added": dict(one.added),
        "vanished": dict(one.vanished),
        "changed": dict(one.changed),
        "rejected": dict(one.rejected),
        "newly_mapped": one.newly_mapped,
    }
