"""What may follow a source in a field spec: transforms, a table of words, and who counts unknown ones."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection

from bridge.errors import Problem
from bridge.mapping import steps
from bridge.mapping.targets import Target
from bridge.mapping.transforms import TRANSFORMS, Transform
from bridge.mapping.values import Function, Takes, shown
from bridge.model import Json
from bridge.yaml_file import Document, YamlPath, did_you_mean, path_text

MAX_UNKNOWN_WORDS = 1000
MAX_WORD = 80

Use = tuple[Function, Takes]


class Faults:
    """The problems found in one file, and where its parts stand."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def add(self, at: YamlPath, message: str, remedy: str = "") -> None:
        self.problems.append(self.document.problem(at, message, remedy))

    def fixed(self, value: Json, at: YamlPath, target: Target) -> None:
        """Check a value that stands in the mapping itself against the field it is for."""
        fault = target.fault(value)
        if fault:
            remedy = did_you_mean(value, target.words) if isinstance(value, str) and target.words else ""
            self.add(at, f"{fault}.", remedy)

    def keys(self, value: Json, at: YamlPath, known: tuple[str, ...]) -> None:
        """Check that a map has only known keys."""
        for key in value:
            if key not in known:
                self.add((*at, key), "there is no such key here.", did_you_mean(key, known))

    def word(self, value: Json, at: YamlPath, known: Collection[str], what: str) -> bool:
        """Check that a value is one of the known words, `what` saying of which kind."""
        if isinstance(value, str) and value in known:
            return True
        remedy = did_you_mean(value if isinstance(value, str) else "", known)
        self.add(at, f"{shown(value)} is no {what}.", remedy)
        return False

    def place(self, at: YamlPath, field: str) -> steps.Place:
        """Say where a field's spec stands, for the errors of its values."""
        line = self.document.line(at)
        return steps.Place(file=self.document.file, line=line, path=path_text(at), field=field)


class UnknownWords:
    """Counts words that no table has a rule for, under their field; at most MAX_UNKNOWN_WORDS of them."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def noting(self, target: Target) -> Callable[[str], Json]:
        """Return the function that notes a word of this field and returns what it becomes."""
        field, fallback = target.name, target.fallback

        def note(word: str) -> Json:
            key = (field, word[:MAX_WORD])
            with self._lock:
                if key in self.counts or len(self.counts) < MAX_UNKNOWN_WORDS:
                    self.counts[key] += 1
            return fallback

        return note


def read_using(using: Json, at: YamlPath, faults: Faults) -> list[Use]:
    """Read the `using` of a spec: the name of a transform, or `{name: [arguments]}`, or a list of them."""
    if using is None:
        return []
    entries = using if isinstance(using, list) else [using]
    uses: list[Use] = []
    for index, entry in enumerate(entries):
        here = (*at, index) if isinstance(using, list) else at
        name, arguments = (
            next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, [])
        )
        if not isinstance(name, str):
            faults.add(here, f"expected the name of a transform, not {shown(entry)}.")
        elif name not in TRANSFORMS:
            faults.add(here, f'there is no transform "{name}".', did_you_mean(name, TRANSFORMS))
        else:
            transform = TRANSFORMS[name]
            function = _made(
                transform, arguments if isinstance(arguments, list) else [arguments], here, faults
            )
            if function is not None:
                uses.append((function, transform.takes))
    return uses


def _made(transform: Transform, arguments: list[Json], at: YamlPath, faults: Faults) -> Function | None:
    if not transform.required <= len(arguments) <= len(transform.parameters):
        wanted = ", ".join(transform.parameters) or "no arguments"
        remedy = f"Write {{{transform.name}: [{wanted}]}}." if transform.parameters else ""
        faults.add(at, f"{transform.name} takes {wanted}, not {len(arguments)}.", remedy)
        return None
    try:
        return transform.make(*arguments)
    except ValueError as error:
        faults.add(at, f"{transform.name}: {error}.")
        return None


def read_table(
    spec: dict[str, Json], at: YamlPath, target: Target, faults: Faults, unknown: Callable[[str], Json]
) -> Function | None:
    """Read `map` and `else` of a spec; `target` is what one value is for."""
    table = spec["map"]
    if not isinstance(table, dict) or not table:
        faults.add((*at, "map"), "expected lines such as `their word: our word`.")
        return None
    for word, ours in table.items():
        if ours is not None:
            faults.fixed(ours, (*at, "map", word), target)
    otherwise = steps.ABSENT
    if "else" in spec:
        otherwise = spec["else"]
        if otherwise == "keep" and "keep" not in target.words:
            otherwise = steps.KEEP
        elif otherwise is not None:
            faults.fixed(otherwise, (*at, "else"), target)
    counted = "else" in spec and otherwise == target.fallback and otherwise is not None
    return steps.looked_up(table, otherwise, unknown, counted=counted)
