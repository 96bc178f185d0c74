"""The transforms: what each makes of a value, what it refuses, and that it refuses in one way only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.journey.schema import Validator, entity_schema
from bridge.mapping.html_text import html_of_text, text_of_html
from bridge.mapping.transforms import TRANSFORMS
from bridge.mapping.values import BadValue

CASES: list[tuple[str, list[Any], Any, Any]] = [
    ("strip", [], "  Ana\n", "Ana"),
    ("strip", [], 7, "7"),
    ("lower", [], "ANA", "ana"),
    ("upper", [], "ana", "ANA"),
    ("text", [], 7, "7"),
    ("text", [], 7.0, "7"),
    ("text", [], 7.5, "7.5"),
    ("text", [], True, "true"),
    ("not_empty", [], " ", None),
    ("not_empty", [], {}, None),
    ("not_empty", [], 0, 0),
    ("truncate", [3], "abc", "abc"),
    ("truncate", [3], "abcd", "ab…"),
    ("split", [","], "a, b,,", ["a", "b"]),
    ("split_semicolon", [], "a;b ; ", ["a", "b"]),
    ("join", [], ["a", 1], "a, 1"),
    ("join", ["; "], ["a", "b"], "a; b"),
    ("first", [], [1, 2], 1),
    ("last", [], [1, 2], 2),
    ("last", [], [], None),
    ("unique", [], [1, "1", 1, {"a": 1}, {"a": 1}], [1, "1", {"a": 1}]),
    ("boolean", [], " Yes ", True),
    ("boolean", [], "FALSE", False),
    ("boolean", [], 0, False),
    ("boolean", [], "", None),
    ("integer", [], "007", 7),
    ("integer", [], 7.0, 7),
    ("integer", [], "", None),
    ("number", [], "0.5", 0.5),
    ("number", [], "2", 2),
    ("decimal", [], "18400.00", "18400.00"),
    ("decimal", [], 18400, "18400"),
    ("decimal", [], 1e-7, "0.0000001"),
    ("decimal", [], "1.5e3", "1500"),
    ("decimal", [], "", None),
    ("ms_to_s", [], "24000", 24),
    ("ms_to_s", [], 1500, 1.5),
    ("s_to_ms", [], 1.5, 1500),
    ("s_to_ms", [], 0.0004, 0),
    ("instant", [], "2026-11-18T14:02:00Z", "2026-11-18T14:02:00Z"),
    ("instant", [], "2026-11-18T14:02:00.000Z", "2026-11-18T14:02:00Z"),
    ("instant", [], "2026-11-18T14:02:00.120Z", "2026-11-18T14:02:00.120Z"),
    ("instant", [], "2026-11-18T14:02:00.120999+00:00", "2026-11-18T14:02:00.120Z"),
    ("instant", [], "2026-11-18 14:02:00-03:00", "2026-11-18T17:02:00Z"),
    ("instant", [], " 20261118T140200Z ", "2026-11-18T14:02:00Z"),
    ("instant", ["America/Sao_Paulo"], "2026-11-18 14:02", "2026-11-18T17:02:00Z"),
    ("instant", ["America/Sao_Paulo"], "2026-11-18T14:02Z", "2026-11-18T14:02:00Z"),
    ("instant", [], "", None),
    ("epoch_ms_to_instant", [], 1795010520123, "2026-11-18T14:02:00.123Z"),
    ("epoch_ms_to_instant", [], "1795010520000", "2026-11-18T14:02:00Z"),
    ("epoch_ms_to_instant", [], -1, "1969-12-31T23:59:59.999Z"),
    ("epoch_s_to_instant", [], "1795010520", "2026-11-18T14:02:00Z"),
    ("epoch_s_to_instant", [], 1795010520.25, "2026-11-18T14:02:00.250Z"),
    ("epoch_s_to_instant", [], "1795010520.25", "2026-11-18T14:02:00.250Z"),
    ("instant_to_epoch_ms", [], "2026-11-18T14:02:00.123Z", 1795010520123),
    ("date", [], "2026-11-30", "2026-11-30"),
    ("date", [], "2026-11-30T23:30:00-03:00", "2026-11-30"),
    ("date", ["UTC"], "2026-11-30T23:30:00-03:00", "2026-12-01"),
    ("date", ["America/Sao_Paulo"], "2026-12-01T02:30:00Z", "2026-11-30"),
    ("e164", [], "+55 (11) 97391-4862", "+5511973914862"),
    ("e164", ["BR"], "011 97391-4862", "+5511973914862"),
    ("e164", ["BR"], " ", None),
    ("html_to_text", [], "<p>Oi<br>Ana &amp; Rui</p>", "Oi\nAna & Rui"),
    ("text_to_html", [], "a < b\nc", "a &lt; b<br>c"),
    ("json_text", [], {"b": [1], "a": None}, '{"a":null,"b":[1]}'),
]


@pytest.mark.parametrize(("name", "arguments", "value", "expected"), CASES)
def test_a_transform_makes(name: str, arguments: list[Any], value: Any, expected: Any) -> None:
    found = TRANSFORMS[name].make(*arguments)(value)
    assert found == expected
    assert type(found) is type(expected)


def test_every_transform_is_described_and_has_a_case() -> None:
    assert {name for name, *_ in CASES} == TRANSFORMS.keys()
    for transform in TRANSFORMS.values():
        assert transform.summary.endswith("."), transform.name
        assert "\n" not in transform.summary, transform.name


@pytest.mark.parametrize(
    ("name", "arguments", "value", "words"),
    [
        ("lower", [], {"a": 1}, "an object of 1 is no text"),
        ("text", [], [1, 2], "a list of 2 is no text"),
        ("text", [], 10**5000, "digits"),
        ("boolean", [], "maybe", '"maybe" is neither'),
        ("integer", [], "1.5", "no whole number"),
        ("integer", [], "1e300", "no whole number"),
        ("integer", [], "٣", "no number"),
        ("number", [], "1,5", "decimal point"),
        ("number", [], "1e999", "too large"),
        ("number", [], True, "true is no number"),
        ("number", [], float("nan"), "no number"),
        ("decimal", [], "1.234,56", "decimal point"),
        ("decimal", [], "1e99", "too long"),
        ("decimal", [], "9" * 50, "too long"),
        ("decimal", [], 10**5000, "40 digits"),
        ("instant", [], "2026-11-18 14:02", "has no time zone; name it"),
        ("instant", [], "2026-02-30T10:00:00Z", "no ISO 8601"),
        ("instant", [], "2026-11-18T24:00:00Z", "no ISO 8601"),
        ("instant", [], "0001-01-01T00:00:00+14:00", "calendar"),
        ("instant", [], "0999-01-01T00:00:00Z", "not believable"),
        ("instant", [], 1795010520, "epoch_ms_to_instant"),
        ("epoch_ms_to_instant", [], "soon", "milliseconds since 1970"),
        ("epoch_ms_to_instant", [], True, "milliseconds since 1970"),
        ("epoch_ms_to_instant", [], float("nan"), "milliseconds since 1970"),
        ("epoch_ms_to_instant", [], float("inf"), "calendar"),
        ("epoch_ms_to_instant", [], 10**30, "calendar"),
        ("epoch_s_to_instant", [], "1e9", "seconds since 1970"),
        ("epoch_s_to_instant", [], 10**30, "calendar"),
        ("date", [], "30/11/2026", "no ISO 8601"),
        ("date", [], 20261130, "no ISO 8601 date"),
        ("date", ["America/Sao_Paulo"], "0001-01-01T00:00:00Z", "calendar"),
        ("e164", [], "11 97391-4862", "with its country code"),
        ("e164", ["BR"], "ask at reception", "no valid phone number"),
        ("json_text", [], {"a": 10**40}, "cannot be written as JSON"),
        ("json_text", [], "\ud800", "cannot be written as JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "value",
)
def test_a_transform_refuses_and_shows_the_value(
    name: str, arguments: list[Any], value: Any, words: str
) -> None:
    with pytest.raises(BadValue) as caught:
        TRANSFORMS[name].make(*arguments)(value)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("truncate", [0]),
        ("truncate", ["3"]),
        ("truncate", [True]),
        ("split", [""]),
        ("split", [7]),
        ("join", [7]),
        ("instant", ["Brasilia"]),
        ("instant", ["../../etc/passwd"]),
        ("date", ["."]),
        ("instant", [7]),
        ("e164", ["Brazil"]),
        ("e164", [55]),
    ],
)
def test_bad_arguments_are_refused_when_the_mapping_is_read(name: str, arguments: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|no time zone"):
        TRANSFORMS[name].make(*arguments)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.from_regex(r"\A[-+]?[0-9.]{1,30}(e[0-9]{1,3})?\Z")
    | st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:00)?\Z")
    | st.text(alphabet="<>/=pdivbrul &;'\"\x00\ud800é!-"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS: dict[str, list[list[Any]]] = {
    "truncate": [[5]],
    "split": [["a"]],
    "join": [[], ["-"]],
    "instant": [[], ["America/Sao_Paulo"]],
    "date": [[], ["Asia/Tokyo"]],
    "e164": [[], ["BR"]],
}
FUNCTIONS = [
    (name, transform.make(*arguments), transform.takes)
    for name, transform in TRANSFORMS.items()
    for arguments in ARGUMENTS.get(name, [[]])
]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(FUNCTIONS), json_values.filter(lambda value: value is not None))
def test_a_transform_is_total(function: tuple[str, Any, str], value: Any) -> None:
    _, make, takes = function
    given_value = [value] if takes == "list" else value
    refused = made = None
    try:
        made = make(given_value)
    except BadValue as error:
        refused = error
    if refused is not None:
        assert str(refused)
    else:
        assert make(given_value) == made or made != made


definitions = entity_schema("deal")["$defs"]
INSTANT, DATE, DECIMAL = (
    Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}) for name in ("instant", "date", "decimal")
)


@settings(deadline=None, max_examples=300)
@given(json_values)
def test_what_the_transforms_of_times_and_money_make_fits_the_schema(value: Any) -> None:
    for name, make, _ in FUNCTIONS:
        judge = INSTANT if name.endswith("instant") else {"date": DATE, "decimal": DECIMAL}.get(name)
        if judge is None or value is None:
            continue
        made = None
        try:
            made = make(value)
        except BadValue:
            continue
        assert made is None or judge.check(made) == [], (name, value, made)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("plain\n  text &amp; more", "plain text & more"),
        ("<p>Oi <b>Ana</b>,</p><p>tudo bem?</p>", "Oi Ana,\n\ntudo bem?"),
        ("<div>a</div><div><div>b</div></div>c", "a\nb\nc"),
        ("a<br>b<br/><br><br><br>c", "a\nb\n\nc"),
        ("<ul><li>um</li><li>dois</li></ul>fim", "- um\n- dois\nfim"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3"),
        ("<style>p{}</style><script>x()</script><!-- no -->yes<title>t</title>", "yes"),
        ("<p>a<p>b</b></i>", "a\n\nb"),
        ("a&nbsp;b&nbsp;", "a\u00a0b"),
        ("<a href='https://x.example'>link</a>", "link"),
        ("1 &lt; 2", "1 < 2"),
        ("half \ud800", "half ?"),
    ],
    ids=range(13),
)
def test_html_reads_as_people_see_it(source: str, text: str) -> None:
    assert text_of_html(source) == text


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Z")), max_size=40))
def test_text_survives_the_way_to_html_and_back(text: str) -> None:
    lines = f"a{text}\nb{text}"
    assert text_of_html(html_of_text(lines)) == lines


def test_html_that_is_nested_without_end_is_read_without_recursion() -> None:
    assert text_of_html("<div>" * 3_000 + "deep" + "<p>" * 600) == "deep"


@pytest.mark.parametrize(
    "page", ["<div>" * 100_000, "".join(f"<p><b class={number}>" for number in range(5_000))]
)
def test_html_of_which_a_parser_would_make_too_much_loses_its_tags_and_no_text(page: str) -> None:
    assert text_of_html(f"<p>Forno &amp; frete</p>{page}deep") == "Forno & frete deep"
