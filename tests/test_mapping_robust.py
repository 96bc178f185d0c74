"""Whatever stands in a mapping file, it loads or is refused with problems, and what loads can run."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import yaml_file
from bridge.errors import ConfigError, MappingError, Problem
from bridge.mapping import Mapping, compile_mapping

ROOT = Path(__file__).parent.parent
WHOLE = [
    yaml_file.load(ROOT / "mappings" / name).value
    for name in ("memory.yaml", "hubspot.yaml", "whatsapp.yaml")
]
WORDS = [
    *(
        "from",
        "const",
        "first",
        "template",
        "each",
        "object",
        "using",
        "map",
        "else",
        "default",
        "ref",
        "fields",
    ),
    *(
        "to",
        "by",
        "group",
        "owns",
        "clear",
        "stream",
        "push",
        "given",
        "expect",
        "name",
        "{a}",
        "a.b",
        ".",
        "$",
    ),
    *(
        "keep",
        "lower",
        "join",
        "truncate",
        "always",
        "contact",
        "interaction",
        "thread_day",
        "text",
        "{",
        "",
        "a..b",
    ),
]
replacements = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(WORDS) | st.floats(-1, 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something stands, without the records that tests are given."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        if key not in ("given", "expect"):
            yield from places(child, (*path, key))


PLACES = [[place for place in places(whole) if place] for whole in WHOLE]


@st.composite
def broken_files(draw: st.DrawFn) -> dict[str, Any]:
    """A shipped mapping with one or two of its parts replaced, removed or renamed."""
    number = draw(st.integers(0, len(WHOLE) - 1))
    content: dict[str, Any] = copy.deepcopy(WHOLE[number])
    for _ in range(draw(st.integers(1, 2))):
        *parents, last = draw(st.sampled_from(PLACES[number]))
        holder: Any = content
        try:
            for key in parents:
                holder = holder[key]
            value = holder[last]
        except (LookupError, TypeError):
            continue  # the first change removed what the second was for
        change = draw(st.sampled_from(["replace", "remove", "rename"]))
        if change == "replace":
            holder[last] = draw(replacements)
        else:
            del holder[last]
        if change == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(WORDS))] = value
    return content


@settings(max_examples=75)
@given(
    broken_files(), st.sampled_from([{}, {"channel": ["x"]}, {"from": 7, "to": {"a": []}, "text": {}}, [], 0])
)
def test_a_broken_file_is_refused_with_problems_or_runs(content: dict[str, Any], record: Any) -> None:
    document = yaml_file.parse(json.dumps(content), file="f.yaml")
    mapping: Mapping | None = None
    problems: tuple[Problem, ...] = ()
    try:
        mapping = compile_mapping(document, connector=None)
    except ConfigError as error:
        problems = error.problems
    assert (mapping is None) == bool(problems)
    assert all(problem.message and problem.line and problem.file for problem in problems)
    if mapping is not None:
        run(mapping, record)


def run(mapping: Mapping, record: Any) -> None:
    mapping.run_tests()
    for rule in mapping.pull.values():
        line = 1
        try:
            rule.map(record)
        except MappingError as error:
            line = error.line
        assert line, "a refusal names its line"
