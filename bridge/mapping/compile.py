"""From the field specs an admin wrote to closures, with every fault found on the way."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from bridge.mapping import steps
from bridge.mapping.modifiers import Faults, UnknownWords, Use, read_table, read_using
from bridge.mapping.paths import Make, Path, parse_path
from bridge.mapping.steps import Step
from bridge.mapping.targets import Target
from bridge.mapping.values import shown
from bridge.mapping.views import View, view_fault
from bridge.model import Json
from bridge.yaml_file import YamlPath, did_you_mean

SOURCES = ("from", "const", "first", "template", "each", "object")
MODIFIERS = ("using", "map", "else", "default", "ref")

Bases = tuple[tuple[str, ...], ...]
"""Where relative paths start, as keys from the top: several where a list has several sources."""

TOP: Bases = ((),)

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SHAPES = {"array": "a list", "object": "an object", "string": "text"}


class Compiler:
    """
    Composes the closures of one rule.

    `view` is what the source offers where that is ours to say, None for a vendor's record.
    `streams` are what a `ref` may name. `reads` collects the paths that are read, `opened`
    the lists among them whose items are read field by field; `unknown` counts words without a rule while
    the rule runs.
    """

    def __init__(self, faults: Faults, *, view: View | None, streams: Collection[str]) -> None:
        self.faults = faults
        self.reads: set[tuple[str, ...]] = set()
        self.opened: set[tuple[str, ...]] = set()
        self.unknown = UnknownWords()
        self._view = view
        self._streams = streams

    def fields(
        self, specs: Json, at: YamlPath, target: Target, bases: Bases = TOP, *, always: bool = False
    ) -> Make:
        """Compile `{field: spec}` to the object it makes; `always` also where there are only constants."""
        made: list[tuple[str, Step]] = []
        constants: dict[str, Json] = {}
        places: dict[str, steps.Place] = {}
        if not isinstance(specs, dict) or not specs:
            self.faults.add(at, "expected fields.", "Write one `field: path` per line.")
            specs = {}
        for key in target.missing(specs):
            owner = target.name or "the entity"
            self.faults.add(at, f'the field "{key}" is missing, which {owner} must have.')
        for key, spec in specs.items():
            here = (*at, key)
            if target.closed and key not in target.fields:
                self.faults.add(here, "there is no such field.", did_you_mean(key, target.fields))
                continue
            field = target.field(key)
            step = self.spec(spec, here, field, bases)
            places[key] = self.faults.place(here, field.name)
            if isinstance(spec, dict) and spec.keys() == {"const"}:
                constants[key] = spec["const"]
            else:
                made.append((key, step))
        return steps.object_of(made, constants, places, always=always)

    def spec(self, spec: Json, at: YamlPath, target: Target, bases: Bases = TOP) -> Step:
        """Compile one field spec: a path, or a map with one source and its modifiers."""
        if isinstance(spec, str):
            return self._modified(self._path(spec, at, bases), {}, at, target, [], "from")
        if not isinstance(spec, dict) or not spec:
            self.faults.add(at, f"expected a path or a map such as {{from: path}}, not {shown(spec)}.")
            return steps.constant(None)
        self.faults.keys(spec, at, (*SOURCES, *MODIFIERS, "fields"))
        uses = read_using(spec.get("using"), (*at, "using"), self.faults)
        sources = [key for key in SOURCES if key in spec]
        if len(sources) != 1:
            found = f"{' and '.join(sources)} stand together" if sources else "there is no source"
            self.faults.add(at, f"{found}.", f"Give exactly one of {', '.join(SOURCES)}.")
            return steps.constant(None)
        [source] = sources
        if "fields" in spec and source != "each":
            self.faults.add((*at, "fields"), "goes only with `each`.", "Use `object` for one object.")
        step = self._source(source, spec, at, target, bases, uses)
        return self._modified(step, spec, at, target, uses, source)

    def _source(
        self, source: str, spec: dict[str, Json], at: YamlPath, target: Target, bases: Bases, uses: list[Use]
    ) -> Step:
        value, here = spec[source], (*at, source)
        if source == "from":
            return self._path(value, here, bases)
        if source == "const":
            if value is None:
                self.faults.add(here, "has no value.", "Give one, or leave the field out.")
            elif not {"using", "map"} & spec.keys():
                self.faults.fixed(value, here, target)
            return steps.constant(value)
        if source == "first":
            return self._first(value, here, target, bases)
        if source == "template":
            if not uses:
                self._expect(target, "string", here)
            return self._template(value, here, bases)
        if source == "object":
            self._expect(target, "object", here)
            return self.fields(value, here, target, bases)
        if all(takes == "one" for _, takes in uses):
            self._expect(target, "array", here)
        return self._each(spec, at, target, bases)

    def _expect(self, target: Target, made: str, at: YamlPath) -> None:
        if target.kind in ("", made):
            return
        remedy = {"array": "Add `using: first` or `using: join`."}.get(made, "")
        if target.kind == "array":
            remedy = "Put it into a list: `each: [...]`."
        wanted = _SHAPES.get(target.kind, f"a {target.kind}")
        self.faults.add(at, f"{target.name} is {wanted}, but this makes {_SHAPES[made]}.", remedy)

    def _path(self, text: Json, at: YamlPath, bases: Bases) -> Step:
        path = self._parsed(text, at, bases)
        return steps.constant(None) if path is None else steps.read(path)

    def _parsed(self, text: Json, at: YamlPath, bases: Bases) -> Path | None:
        """Read a path, note what it reads, and check it against the view if there is one."""
        try:
            if not isinstance(text, str):
                raise ValueError("expected text such as `a.b`")
            path = parse_path(text)
        except ValueError as error:
            self.faults.add(at, f"{shown(text)} is no path: {error}.")
            return None
        places = [path.within(base) for base in (TOP if path.root else bases)]
        self.reads.update(places)
        if self._view is not None:
            faults = [view_fault(self._view, keys) for keys in places]
            if faults and None not in faults:
                self.faults.add(at, f"{shown(text)} is nothing that can be read here.", faults[0] or "")
        return path

    def _template(self, text: Json, at: YamlPath, bases: Bases) -> Make:
        parts: list[str | Make] = []
        position = 0
        for match in _BRACES.finditer(text if isinstance(text, str) else ""):
            parts.append(text[position : match.start()])
            position = match.end()
            if match.group() in ("{{", "}}"):
                parts.append(match.group()[0])
            elif match.group() in ("{", "}"):
                self.faults.add(at, "has a single brace.", "Write {{ or }} where a brace is meant as text.")
                return steps.constant(None)
            else:
                parts.append(steps.plain(self._path(match.group(1), at, bases)))
        if all(isinstance(part, str) for part in parts):
            self.faults.add(at, 'expected text with paths in braces, "{first} {last}".', "Else use `const`.")
            return steps.constant(None)
        parts.append(text[position:])
        return steps.template([part for part in parts if part != ""])

    def _first(self, specs: Json, at: YamlPath, target: Target, bases: Bases) -> Make:
        if not isinstance(specs, list) or not specs:
            self.faults.add(at, "expected a list of paths; the first that has a value counts.")
            return steps.constant(None)
        return steps.first_of(
            [self.spec(spec, (*at, index), target, bases) for index, spec in enumerate(specs)]
        )

    def _each(self, spec: dict[str, Json], at: YamlPath, target: Target, bases: Bases) -> Make:
        sources, here = spec["each"], (*at, "each")
        if sources == []:
            self.faults.add(here, "expected a path, or a list of paths.")
        item = target.item
        loose = replace(item, schema={}) if "fields" in spec else item
        if isinstance(sources, list):
            makes = [self.spec(one, (*here, index), loose, bases) for index, one in enumerate(sources)]
        else:
            makes, sources = [self.spec(sources, here, loose, bases)], [sources]
        items = steps.list_of(makes)
        if "fields" not in spec:
            return items
        inner = tuple(keys for one in sources for keys in _item_bases(one, bases))
        self.opened.update(keys[:-1] for keys in inner)
        return steps.objects_of(items, self.fields(spec["fields"], (*at, "fields"), item, inner))

    def _modified(
        self, step: Step, spec: dict[str, Json], at: YamlPath, target: Target, uses: list[Use], source: str
    ) -> Step:
        for function, takes in uses:
            step = steps.transformed(step, function, takes)
        one = target.item if target.kind == "array" else target
        unknown = self.unknown.noting(one)
        closed = source == "const"
        if "map" in spec:
            table = read_table(spec, at, one, self.faults, unknown)
            if table is not None:
                step = steps.transformed(step, table, "one")
            closed = spec.get("else") != "keep"
        elif "else" in spec:
            self.faults.add((*at, "else"), "goes only with `map`.", "Use `default` for a missing value.")
        if one.fallback is not None and not closed:
            step = steps.transformed(step, steps.one_of(frozenset(one.words), unknown), "one")
        if "default" in spec:
            self.faults.fixed(spec["default"], (*at, "default"), target)
            step = steps.defaulted(step, spec["default"])
        if "ref" in spec and self.faults.word(spec["ref"], (*at, "ref"), self._streams, "stream"):
            step = steps.transformed(step, steps.reference(spec["ref"]), "one")
        return step


def _item_bases(source: Json, bases: Bases) -> Bases:
    """Return where the items of a list come from, nothing where that is no single path."""
    text = source.get("from") if isinstance(source, dict) else source
    try:
        path = parse_path(text) if isinstance(text, str) else None
    except ValueError:
        path = None
    if path is None:
        return ()
    return tuple((*path.within(base), "*") for base in (TOP if path.root else bases))
