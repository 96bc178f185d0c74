"""The parts of the documentation that the program itself writes: commands, settings, fields, words."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any

import typer.main

from bridge import Connector, ConnectorSpec, Json, Receiver, Sink, Source
from bridge.cli import app, output
from bridge.config import schema as config_schema
from bridge.journey.schema import ENTITIES, entity_schema, resolved
from bridge.mapping import load_mapping
from bridge.mapping.schema import mapping_schema
from bridge.mapping.transforms import TRANSFORMS
from bridge.mapping.views import ENTRY_VIEW, PERSON_VIEW, TASK_VIEW, View
from bridge.plugins import installed, load, mapping_file
from bridge.testing.context import make_context
from bridge.web import metrics
from bridge_api.schema import COMPONENTS
from tests.docs import ROOT

EXIT_CODES = {
    "OK": "All done.",
    "PARTIAL": "Done in part, or found wanting: rejects, writes that wait, tests that fail, nobody of that name.",
    "USAGE": "The command was called wrongly, or names something that is not there.",
    "CONFIG": "The configuration or a mapping is wrong; every problem is listed.",
    "STORE": "The store is held by another process, newer than this program, or cannot be opened.",
    "AUTH": "A vendor refused its key.",
    "UNAVAILABLE": "A vendor is away, or asks to wait.",
    "FAULT": "A fault of crmbridge itself. What was stored is safe; please report it with the lines it printed.",
}
"""What each exit code of `bridge.cli.output` means, by its name there."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


@cache
def specs() -> Mapping[str, ConnectorSpec]:
    """Return the connectors that this distribution brings, by name."""
    ours = [name for name, point in installed().items() if point.dist and point.dist.name == "crmbridge"]
    return load(ours).specs


def opened(spec: ConnectorSpec) -> Connector:
    """Open a connector with settings that only look right; opening asks nobody."""
    return spec.open(_filled(spec.settings), make_context())


def _filled(schema: Mapping[str, Json]) -> Json:
    """Return the least value that a settings schema takes, patterns aside."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind != "object":
        return {"integer": schema.get("minimum", 1), "boolean": True, "array": []}.get(
            str(kind), "stand-in" * 4
        )
    names = [*schema.get("required", ()), *schema.get("oneOf", [{}])[0].get("required", ())]
    value = {name: _filled(schema["properties"][name]) for name in names}
    if not value and isinstance(schema.get("additionalProperties"), dict):
        value["one"] = _filled(schema["additionalProperties"])
    return value


def connectors() -> str:
    """Write what each connector reads, receives and writes, and of which limits it keeps a share."""
    rows = []
    for name, spec in sorted(specs().items()):
        connector = opened(spec)
        mapping = load_mapping(mapping_file(spec), connector=name)
        reads = receives = writes = "nothing"
        if isinstance(connector, Source):
            reads = ", ".join(stream.name for stream in spec.streams)
        if isinstance(connector, Receiver):
            receives = ", ".join(f"`{path}`" for path in (*spec.paths, "/hooks/<connection>"))
        if isinstance(connector, Sink) and mapping.push_interaction and mapping.push_contact:
            tasks = (mapping.push_task.stream,) if mapping.push_task else ()
            streams = (*mapping.push_interaction.streams, *tasks, mapping.push_contact.stream)
            writes = ", ".join(dict.fromkeys(streams))
        limits = (
            ", ".join(f"{one.calls:,} {one.unit} in {_span(one.seconds)}" for one in spec.budgets) or "none"
        )
        rows.append((f"[{name}](docs/{_page(name)}): {spec.title}", reads, receives, writes, limits))
    return table(("connector", "reads", "receives", "writes", "limits it keeps a share of"), rows)


def _page(name: str) -> str:
    return f"{name}.md"


def _span(seconds: float) -> str:
    units = ((86_400.0, "a day"), (3600.0, "an hour"), (60.0, "a minute"), (1.0, "a second"))
    return next((word for unit, word in units if seconds == unit), f"{seconds:g} seconds")


def command_tree() -> dict[tuple[str, ...], Any]:
    """Return every command by its words, groups included; the program itself has none."""
    found: dict[tuple[str, ...], Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        found[words] = command
        for name, below in getattr(command, "commands", {}).items():
            walk(below, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def commands() -> str:
    """Write every command with its help, arguments and options."""
    parts = []
    for words, command in command_tree().items():
        if not words or (getattr(command, "commands", None) and not command.params):
            continue
        parts.append(f"### crmbridge {' '.join(words)}\n\n{command.help}")
        rows = [_parameter(one) for one in command.params]
        if rows:
            parts.append(table(("argument or option", "meaning", "default"), rows))
    return "\n\n".join(parts)


def _parameter(one: Any) -> tuple[str, str, str]:
    is_option = one.opts[0].startswith("-")
    shown = (
        ", ".join(f"`{word}`" for word in sorted(one.opts, key=len)) if is_option else f"`{one.name.upper()}`"
    )
    if one.nargs == -1:
        shown += " ..."
    flag = is_option and one.is_flag
    default = "needed" if one.required else "" if flag or one.default in (None, ()) else f"`{one.default}`"
    if one.envvar:
        default += f", or `${one.envvar}`"
    return shown, one.help or "", default


def exit_codes() -> str:
    """Write the exit codes."""
    codes = {name: value for name, value in vars(output).items() if name.isupper() and isinstance(value, int)}
    rows = [(str(value), EXIT_CODES[name]) for name, value in sorted(codes.items(), key=lambda one: one[1])]
    return table(
        ("code", "meaning"), [*rows, ("130", "Stopped with Ctrl-C; the same command goes on where it was.")]
    )


def configuration() -> str:
    """Write every key of config.yaml."""
    rows = list(_keys(config_schema(), (), config_schema()))
    return table(("key", "what it may be", "default", "meaning"), rows)


def _keys(
    schema: Mapping[str, Json], at: tuple[str, ...], whole: Mapping[str, Json]
) -> Iterator[tuple[str, str, str, str]]:
    for name, found in schema.get("properties", {}).items():
        node = {**resolved(whole, found), **found}
        path = (*at, name)
        below = node.get("additionalProperties")
        if isinstance(below, dict) and "properties" in below:
            yield from _keys(below, (*path, "<name>"), whole)
        elif "properties" in node:
            yield from _keys(node, path, whole)
        elif isinstance(below, dict):
            yield _key((*path, "<channel>"), {**below, "description": node["description"]}, "")
        else:
            yield _key(path, node, "needed" if name in schema.get("required", ()) else "")


def _key(path: tuple[str, ...], node: Mapping[str, Json], needed: str) -> tuple[str, str, str, str]:
    default = needed or _default(node)
    return f"`{'.'.join(path)}`", kind_of(node), default, str(node.get("description", ""))


def _default(node: Mapping[str, Json]) -> str:
    if "default" not in node:
        return ""
    value = node["default"]
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def kind_of(node: Mapping[str, Json]) -> str:
    """Return what a schema takes, in words."""
    if "enum" in node:
        return ", ".join(f"`{word}`" for word in node["enum"])
    if node.get("type") == "array":
        inside = kind_of(node["items"])
        return f"list of {inside}s" if inside in ("text", "object") else f"list: {inside}"
    words = {"string": "text", "boolean": "true or false", "integer": "whole number", "object": "object"}
    kind = str(node.get("type", "anything"))
    return words.get(kind, kind)


def settings(name: str) -> str:
    """Write the settings of a connector."""
    rows = list(_settings(specs()[name].settings, ()))
    return table(("setting", "what it may be", "needed", "secret", "default", "meaning"), rows)


def _settings(schema: Mapping[str, Json], at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    needed = set(schema.get("required", ()))
    for name, node in schema.get("properties", {}).items():
        path = (*at, name)
        below = node.get("additionalProperties")
        yield (
            f"`{'.'.join(path)}`",
            kind_of(node),
            "yes" if name in needed else "",
            "yes" if node.get("writeOnly") else "",
            _default(node),
            str(node.get("description", "")),
        )
        if isinstance(below, dict):
            yield from _settings(below, (*path, "<name>"))


def transforms() -> str:
    """Write every transform."""
    rows = []
    for one in TRANSFORMS.values():
        arguments = ", ".join(
            name.rstrip("?") + (" (optional)" if name.endswith("?") else "") for name in one.parameters
        )
        rows.append(
            (
                f"`{one.name}`",
                arguments,
                {"one": "", "list": "a list", "any": "anything"}[one.takes],
                one.summary,
            )
        )
    return table(("transform", "arguments", "takes", "makes"), rows)


def field_specs() -> str:
    """Write the keys of a field spec."""
    keys = mapping_schema()["definitions"]["contact"]["properties"]["fields"]["additionalProperties"][
        "properties"
    ]
    return table(("key", "meaning"), [(f"`{name}`", node["description"]) for name, node in keys.items()])


def view(fields: View) -> str:
    """Write what a push mapping may read."""
    return table(("field", "meaning"), _view_rows(fields, ""))


def _view_rows(fields: View, before: str) -> Iterator[tuple[str, str]]:
    for name, meaning in fields.items():
        path = f"{before}{name}"
        if isinstance(meaning, str):
            yield f"`{path}`", meaning
        elif "*" in meaning:
            inner = meaning["*"]
            assert not isinstance(inner, str)
            yield from _view_rows(inner, f"{path}.0.")
        else:
            yield from _view_rows(meaning, f"{path}.")


def entities() -> str:
    """Write every entity of the journey with its fields, then the objects inside them."""
    parts = []
    inside: dict[str, Mapping[str, Json]] = {}
    for name in ENTITIES:
        schema = entity_schema(name)
        parts += [f"### {name}", schema["description"], _fields(schema, schema)]
        inside |= schema["$defs"]
        whole = schema
    for name, node in sorted(inside.items()):
        if "properties" in node:
            parts += [f"### {name}, inside others", node["description"], _fields(node, whole)]
    formats = [
        (f"`{name}`", node["description"])
        for name, node in sorted(inside.items())
        if "properties" not in node
    ]
    return "\n\n".join([*parts, "### Formats", table(("type", "meaning"), formats)])


def _fields(node: Mapping[str, Json], whole: Mapping[str, Json]) -> str:
    needed = set(node.get("required", ()))
    rows = [
        (f"`{name}`{' (needed)' if name in needed else ''}", _type(found), found.get("description", ""))
        for name, found in node["properties"].items()
    ]
    return table(("field", "type", "meaning"), rows)


def _type(node: Mapping[str, Json]) -> str:
    if "$ref" in node:
        return str(node["$ref"]).rpartition("/")[2]
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    return kind_of(node)


def api_fields() -> str:
    """Write the body that the inbound API takes."""
    parts = []
    for name in ("Interaction", "Person", "Attribution", "Attachment"):
        node = COMPONENTS["schemas"][name]
        parts += [f"### {name}", node["description"], _fields(node, node)]
    return "\n\n".join(parts)


def metric_names() -> str:
    """Write every metric of the daemon, as its source declares them."""
    rows = []
    for call in ast.walk(ast.parse((ROOT / "bridge" / "web" / "metrics.py").read_text())):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        if call.func.id not in (metrics.Counter.__name__, metrics.GaugeMetricFamily.__name__):
            continue
        values = [*call.args, *(word.value for word in call.keywords if word.arg == "labels")]
        name, about, *labels = [ast.literal_eval(value) for value in values]
        kind = "counter" if call.func.id == "Counter" else "gauge"
        shown = ", ".join(f"`{label}`" for label in labels[0]) if labels else ""
        rows.append((f"`{name}{'_total' if kind == 'counter' else ''}`", kind, shown, about))
    return table(("metric", "kind", "labels", "meaning"), rows)


def layers() -> str:
    """Write the layers of the core, as import-linter checks them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return "```\n" + "\n".join(found) + "\n```"


PARTS: Mapping[str, Callable[[], str]] = {
    "connectors": connectors,
    "commands": commands,
    "exit codes": exit_codes,
    "configuration": configuration,
    **{f"settings {name}": partial(settings, name) for name in specs()},
    "transforms": transforms,
    "field specs": field_specs,
    "entry view": partial(view, ENTRY_VIEW),
    "person view": partial(view, PERSON_VIEW),
    "task view": partial(view, TASK_VIEW),
    "entities": entities,
    "api fields": api_fields,
    "metrics": metric_names,
    "layers": layers,
}
"""Every generated part by the name that stands in its marker."""
