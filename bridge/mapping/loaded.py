"""A mapping file as a whole, compiled, with the tests it brings."""

from __future__ import annotations

from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass
from typing import Literal

import orjson

from bridge.errors import MappingError
from bridge.journey.schema import Validator
from bridge.mapping.rules import PullRule, PushContact, PushInteraction, PushTask
from bridge.model import Field, Json

MAX_DIFFERENCES = 10
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """How one of a mapping's own tests went; `difference` says what was expected and what came."""

    __test__ = False

    name: str
    ok: bool
    difference: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingTest:
    """
    One of a mapping's own tests.

    `subject` is "pull" with a `stream`, or "interaction", "contact" or "task" of push. `to` and `group` are
    what an interaction is expected to be written as, None where the test does not say.
    """

    name: str
    line: int
    subject: Literal["pull", "interaction", "contact", "task"]
    stream: str = ""
    given: Json
    expect: ReadOnly[str, Json]
    to: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """
    A mapping file, compiled.

    `properties` are the custom fields that setup creates, per vendor stream. `digest` is the same
    for files that map the same: comments, order, labels and tests do not count.
    """

    file: str
    connector: str
    digest: str
    pull: ReadOnly[str, PullRule]
    push_interaction: PushInteraction | None
    push_contact: PushContact | None
    push_task: PushTask | None
    properties: ReadOnly[str, tuple[Field, ...]]
    tests: tuple[MappingTest, ...]

    def run_tests(self) -> list[TestResult]:
        """Run the tests the mapping brings, in order; a pulled entity must also be valid."""
        results: list[TestResult] = []
        for test in self.tests:
            try:
                differences = self._run(test)
            except MappingError as error:
                differences = [str(error)]
            text = "; ".join(differences[:MAX_DIFFERENCES])
            results.append(TestResult(name=test.name, ok=not differences, difference=text, line=test.line))
        return results

    def _run(self, test: MappingTest) -> list[str]:
        if test.subject == "pull":
            rule = self.pull[test.stream]
            entity = rule.map(test.given)
            problems = Validator.for_entity(rule.entity).check(entity)
            return [*_differences(test.expect, entity), *map(str, problems)]
        if test.subject == "contact":
            assert self.push_contact is not None
            wanted = {name: owned.value for name, owned in self.push_contact.fields(test.given).items()}
            return _differences(test.expect, wanted)
        if test.subject == "task":
            assert self.push_task is not None
            return _differences(test.expect, self.push_task.fields(test.given))
        assert self.push_interaction is not None
        stream = self.push_interaction.stream_for(test.given)
        group = self.push_interaction.group_for(test.given)
        said = {"to": test.to, "group": test.group}
        made = {"to": stream, "group": group}
        return [
            *_differences({key: word for key, word in said.items() if word is not None}, made, only=True),
            *_differences(test.expect, self.push_interaction.fields(stream, test.given)),
        ]


def _differences(
    expected: ReadOnly[str, Json], made: ReadOnly[str, Json], *, only: bool = False
) -> list[str]:
    """Compare field by field; with `only`, fields that nobody expected do not count."""
    keys = expected if only else dict.fromkeys((*expected, *made))
    return [
        f"{key}: expected {_text(expected.get(key, _MISSING))}, got {_text(made.get(key, _MISSING))}"
        for key in keys
        if expected.get(key, _MISSING) != made.get(key, _MISSING)
    ]


def _text(value: Json) -> str:
    return "nothing" if value is _MISSING else orjson.dumps(value, default=str).decode()
