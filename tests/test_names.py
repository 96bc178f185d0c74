"""Names: who can be one person by what is written, and what is no person's name at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.companies import clean, domain, is_company
from bridge.journey.names import agree, is_legal, split

WORDS = [
    "Ana",
    "A.",
    "Lima",
    "de",
    "Silva",
    "Mário",
    "Maria",
    "Filho",
    "Neto",
    "teste",
    "Ltda",
    "Ω",
    ",",
    "9",
]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("Ana Lima", "ANA PAULA LIMA", "yes"),
        ("Ana Lima", "Lima Ana", "yes"),
        ("Souza Lima, Ana Maria", "Ana Souza Lima", "yes"),
        ("Thiago Souza", "Tiago Sousa", "yes"),
        ("Luiz da Silva", "Luís Silva", "yes"),
        ("Fer Lima", "Fernanda Lima", "yes"),
        ("Dra. Ana Lima (trabalho)", "cliente Ana Lima ❤ 11 97391-4862", "yes"),
        ("Ana", "Ana Lima", "yes"),
        ("João Neto", "João Silva Neto", "yes"),
        ("Ana Lima", "Ana Souza", "no"),
        ("Carlos Alberto Silva", "Alberto Carlos Silva", "no"),
        ("Rui", "Ana Lima", "no"),
        ("Zé Silva", "José Silva", "no"),
        ("Mário Lima", "Maria Lima", "no"),
        ("Gabriel Souza", "Gabriela Souza", "no"),
        ("João Silva Filho", "João Silva Neto", "no"),
        ("João Silva Filho", "João Silva", "unknown"),
        ("A. Lima", "Ana Lima", "unknown"),
        ("Ana L.", "Ana Lima", "unknown"),
        ("Lima", "Ana Lima", "unknown"),
        ("Padaria do Sol", "Ana Lima", "unknown"),
        ("Sol Ltda.", "Ana Lima", "unknown"),
        ("Ana & Rui", "Ana Lima", "unknown"),
        ("teste", "Ana Lima", "unknown"),
        (" ", "Ana Lima", "unknown"),
        ("ana@padaria.com", "Ana Lima", "unknown"),
        ("+55 11 97391-4862", "Ana Lima", "unknown"),
        ("Иван Петров", "Ivan Petrov", "unknown"),
    ],
)
def test_two_names_agree_disagree_or_leave_it_open(a: str, b: str, expected: str) -> None:
    assert agree(a, b) == expected
    assert agree(b, a) == expected


@given(
    *[
        st.one_of(
            st.text(max_size=40),
            st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join),
        )
        for _ in range(2)
    ]
)
def test_any_two_texts_compare_the_same_in_either_order(a: str, b: str) -> None:
    assert agree(a, b) == agree(b, a)
    assert agree(a, a) != "no"
    assert clean(clean(a)) == clean(a)
    if is_legal(a):
        assert split(a)[0]
        assert not is_company(a)
    domain(a)


def test_only_a_name_with_two_words_that_is_no_companys_is_legal() -> None:
    assert all(map(is_legal, ["Ana Lima", "João Neto", "Ana Sá", "LIMA, ANA", "Ana S. Lima"]))
    assert not any(
        map(
            is_legal,
            ["Ana", "A. Lima", "Mãe ❤", "Pizzaria do Zé", "ana@x.com", "11 97391-4862", "Sol S/A", ""],
        )
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Padaria do Sol Ltda. - ME", "padaria do sol"),
        ("Padaria do Sol EIRELI", "padaria do sol"),
        ("SOL S/A", "sol"),
        ("Sol, S. de R.L. de C.V.", "sol"),
        ("Müller GmbH & Co. KG", "muller"),
        ("The Sun, Inc. (New York)", "sun"),
        ("Ltda", "ltda"),
        ("x" * 1000, ""),
    ],
)
def test_a_company_is_known_by_its_name_without_its_legal_form(written: str, expected: str) -> None:
    assert clean(written) == expected


def test_a_domain_counts_unless_everybody_has_it() -> None:
    assert {
        domain(text) for text in ["https://www.Sol.com.br/contato", "ana@sol.com.br", "sol.com.br:443"]
    } == {"sol.com.br"}
    assert not any(map(domain, ["ana@gmail.com", "yahoo.com.br", "instagram.com/sol", "sol", ""]))
