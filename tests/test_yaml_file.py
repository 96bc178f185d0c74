"""The YAML loader: what a scalar means, what is refused, and that every fault has its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import yaml_file
from bridge.errors import ConfigError, Problem


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        yaml_file.parse(text, file="f.yaml")
    return caught.value.problems


def value(scalar: str) -> Any:
    return yaml_file.parse(f"a: {scalar}", file="f.yaml").value["a"]


@pytest.mark.parametrize(
    "text",
    [
        *("NO", "no", "yes", "Yes", "on", "off", "y", "12:30", "1:2:3", "2026-11-21", "2026-11-21T10:00:00Z"),
        *("1_000", "0b1", "0O17", "0xZ", "+", ".", "e3", "<<x", "tRUE", "nil", "1.2.3", "+-1"),
    ],
)
def test_what_yaml_1_2_has_no_type_for_is_text(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("7", 7),
        ("-0012", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1.5e-3", -0.0015),
        ("'7'", "7"),
        ('"true"', "true"),
        ("! 7", "7"),
        ("|\n  12:30\n", "12:30\n"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, meaning: Any) -> None:
    found = value(text)
    assert found == meaning
    assert type(found) is type(meaning)


def test_keys_are_text_as_written() -> None:
    document = yaml_file.parse("1: a\ntrue: b\n~: c\n2026-01-01: d\n", file="f.yaml")
    assert document.value == {"1": "a", "true": "b", "~": "c", "2026-01-01": "d"}


def test_every_value_knows_its_line_and_column() -> None:
    text = "a:\n  b: 1\n  c: [x, {d: y}]\nlist:\n  - one\n  -   two: 2\n"
    document = yaml_file.parse(text, file="f.yaml")
    assert document.mark(("a",)) == (1, 1)
    assert document.mark(("a", "b")) == (2, 3)
    assert document.mark(("a", "c", 1, "d")) == (3, 11)
    assert document.mark(("list", 0)) == (5, 5)
    assert document.mark(("list", 1, "two")) == (6, 7)
    assert document.line(("list", 1, "three", "four")) == 6, "what is missing is where its parent is"
    problem = document.problem(("list", 1, "two"), "is wrong.", "Mend it.")
    assert str(problem) == "f.yaml:6:7 list[1].two: is wrong. Mend it."


def test_a_path_is_written_as_people_read_it() -> None:
    assert yaml_file.path_text(("tests", 0, "given", "a.b", "c-d")) == 'tests[0].given["a.b"].c-d'


def test_duplicate_keys_are_refused_wherever_they_stand_and_all_at_once() -> None:
    found = problems("a: 1\nb: {c: 1, c: 2}\n'a': 3\n")
    assert [(problem.path, problem.line, problem.column) for problem in found] == [
        ("b.c", 2, 11),
        ("a", 3, 1),
    ]
    assert "line 1" in found[1].remedy


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\nb: c: d\n", 2, 5, "quotes"),
        ("a:\n\tb: 1\n", 2, 1, "Indent with spaces"),
        ("a: @b\n", 1, 4, "quotes"),
        ("a: [1, 2\nb: 3\n", 2, 2, "began in line 1"),
        ("a: 'x\nb: 2\n", 3, 1, "began in line 1"),
        ("a: *b\n", 1, 4, "no anchor"),
        ("a: &b [*b]\n", 1, 8, "no anchor"),
        ("a: !!python/object:os.system x\n", 1, 4, "tag"),
        ("a: !local x\n", 1, 4, "tag"),
        ("a: !!set {b}\n", 1, 4, "tag"),
        ("<<: {a: 1}\n", 1, 1, "merge keys"),
        ("? [a, b]\n: c\n", 1, 3, "must be text"),
        ("a: .inf\n", 1, 4, "JSON"),
        ("a: .NaN\n", 1, 4, "JSON"),
        ("a: 1e999\n", 1, 4, "JSON"),
        (f"a: {'9' * 5000}\n", 1, 4, "JSON"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: \x07\n", 1, 1, "character"),
        ("", 1, 1, "expected `key: value`"),
        ("- a\n", 1, 1, "expected `key: value`"),
        ("text\n", 1, 1, "expected `key: value`"),
    ],
)
def test_a_fault_names_file_line_column_and_remedy(text: str, line: int, column: int, words: str) -> None:
    [problem] = problems(text)
    assert (problem.file, problem.line, problem.column) == ("f.yaml", line, column)
    assert words in str(problem)


def test_aliases_repeat_what_their_anchor_holds() -> None:
    document = yaml_file.parse("a: &x {b: [1]}\nc: *x\n", file="f.yaml")
    assert document.value == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert document.value["a"] is not document.value["c"]
    assert document.line(("c",)) == 2
    assert document.line(("c", "b")) == 1


def test_an_alias_bomb_is_refused_and_not_built() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    [problem] = problems("\n".join(lines))
    assert "more than 200000 values" in problem.message


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "a: " + "{b: " * 5_000, "- " * 50_000])
def test_endless_nesting_is_refused(text: str) -> None:
    [problem] = problems(text)
    assert "nested" in problem.message or "YAML" in problem.message


def test_deep_nesting_through_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 80)]
    [problem] = problems("\n".join(lines))
    assert "nested deeper" in problem.message


def test_a_file_that_is_too_large_is_refused() -> None:
    [problem] = problems("a: " + "x" * yaml_file.MAX_BYTES)
    assert "larger than" in problem.message


def test_load_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: Ana\n")
    assert yaml_file.load(path).value == {"a": "Ana"}


def test_load_names_a_missing_file_and_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        yaml_file.load(tmp_path / "none.yaml")
    path = tmp_path / "f.yaml"
    path.write_bytes("a: 1\nb: João\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        yaml_file.load(path)
    [problem] = caught.value.problems
    assert (problem.line, problem.column) == (2, 6)
    assert "0xe3 is not UTF-8" in problem.message


@pytest.mark.parametrize(
    ("word", "known", "answer"),
    [
        ("lead_sorce", ["lead_source", "email"], "Did you mean lead_source?"),
        ("EMAIL", ["lead_source", "email"], "Did you mean email?"),
        ("zzz", ["lead_source", "email"], "Known: lead_source, email."),
        ("zzz", [], ""),
        ("zzz", [f"field{n}" for n in range(40)], ""),
    ],
)
def test_did_you_mean_offers_the_nearest_word(word: str, known: list[str], answer: str) -> None:
    assert yaml_file.did_you_mean(word, known) == answer


words = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=8)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(words, json_values, max_size=4))
def test_json_is_yaml_and_reads_the_same(content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False)
    assert yaml_file.parse(text, file="f.yaml").value == content


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,? \n\t~0.\x00\ud800é", max_size=60))
def test_any_text_is_read_or_refused_with_a_problem(text: str) -> None:
    refusals: tuple[Problem, ...] = ()
    try:
        yaml_file.parse(text, file="f.yaml")
    except ConfigError as error:
        refusals = error.problems
    assert all(problem.message and problem.line >= 1 for problem in refusals)
