"""Suggestions: what counts as evidence, what does not, and that neither order nor numbers break it."""

from __future__ import annotations

import random
import time

import pytest

from benchmarks.similar import invented
from bridge.journey.similar import LARGEST_BLOCK, blocks, suggest
from bridge.journey.similar_fields import COMPANY, PERSON, Record, read
from bridge.journey.similar_score import Scorer, count

CROWD, SAME = invented(1000)


def person(key: str, given: str, family: str, company: str = "", city: str = "", domain: str = "") -> Record:
    written = dict(zip([field.name for field in PERSON], [given, family, company, city, domain], strict=True))
    return read(key, written, PERSON)


def suggested(*people: Record) -> set[tuple[str, str]]:
    keys = {record.key for record in people}
    return {(pair.a, pair.b) for pair in suggest([*CROWD, *people], PERSON).pairs if {pair.a, pair.b} <= keys}


def test_people_with_a_rare_name_or_place_in_common_are_suggested_and_strangers_are_not() -> None:
    pairs = {(pair.a, pair.b) for pair in suggest(CROWD, PERSON).pairs}
    assert len(pairs & SAME) > 0.9 * len(SAME)
    assert len(pairs & SAME) > 0.98 * len(pairs)


def test_a_slip_a_swapped_name_and_a_missing_form_of_company_do_not_hide_a_person() -> None:
    ana = person("1", "Anastácia", "Quaresma", "Padaria Girassol Ltda", "Itu")
    assert suggested(ana, person("2", "anastacia", "Quaresmaa", "PADARIA GIRASSOL", "Itú")) == {("1", "2")}
    assert suggested(ana, person("2", "Quaresma", "Anastacia", "Padaria Girassol")) == {("1", "2")}


def test_colleagues_are_not_one_person_for_all_that_they_share_of_their_work() -> None:
    work = ("Padaria Girassol", "Itu", "girassol.com.br")
    people = [
        person("1", "Ana", "Lima", *work),
        person("2", "Rui", "Silva", *work),
        person("3", "Ana", "Souza", *work),
    ]
    assert suggested(*people) == set()


def test_brother_and_sister_with_names_that_differ_in_one_letter_are_not_near() -> None:
    scorer = Scorer(PERSON, count(CROWD, PERSON))
    given = scorer.score(person("1", "Gabriel", "Lima"), person("2", "Gabriela", "Lima")).evidence[0]
    assert given.level == "different"


def test_a_pair_says_what_speaks_for_it_and_against_it_and_adds_up() -> None:
    records = [
        *CROWD,
        person("1", "Ana", "Quaresma", "Sol", "Itu"),
        person("2", "Ana", "Quaresma", "Sal", "Itu"),
    ]
    pair = Scorer(PERSON, count(records, PERSON)).score(records[-1], records[-2])
    assert (pair.a, pair.b) == ("1", "2")
    assert [found.level for found in pair.evidence] == ["same", "same", "different", "same", "unknown"]
    bits = pair.prior + sum(found.bits for found in pair.evidence if found.counted)
    assert pair.probability == pytest.approx(1 / (1 + 2**-bits))
    assert str(pair.evidence[1]).startswith('family_name: same, "quaresma", as 2 of 9')
    assert str(pair.evidence[4]) == "domain: unknown"


def test_a_common_value_says_less_than_a_rare_one() -> None:
    frequencies = count(CROWD, PERSON)
    names = frequencies.values["given_name"]
    scorer = Scorer(PERSON, frequencies)
    common, rare = (
        scorer.score(person("1", name, ""), person("2", name, "")).probability
        for name in (max(names, key=names.__getitem__), min(names, key=names.__getitem__))
    )
    assert common < rare


def test_suggestions_are_the_same_in_every_order_and_pairs_are_not_closed() -> None:
    turned = CROWD[:400]
    expected = suggest(turned, PERSON)
    random.Random(3).shuffle(turned)
    assert suggest(turned, PERSON) == expected
    chain = [
        person("1", "Zoraide", "Quaresma", "", "Itu"),
        person("2", "Zoraide", "Quaresma", "Girassol", "Itu"),
        person("3", "Zoraide", "", "Girassol"),
    ]
    assert suggested(*chain) == {("1", "2"), ("2", "3")}


def test_one_record_finds_its_pairs_by_stored_keys_as_all_records_do() -> None:
    index: dict[str, list[Record]] = {}
    for record in CROWD:
        for key in blocks(record, PERSON):
            index.setdefault(key, []).append(record)
    scorer = Scorer(PERSON, count(CROWD, PERSON))
    expected = suggest(CROWD, PERSON)
    for record in CROWD[-25:]:
        near = {
            other
            for key in blocks(record, PERSON)
            if len(index[key]) <= LARGEST_BLOCK
            for other in index[key]
            if other != record
        }
        found = {(pair.a, pair.b) for pair in scorer.likely(record, near)}
        assert found == {(pair.a, pair.b) for pair in expected.pairs if record.key in (pair.a, pair.b)}


def test_companies_are_one_by_name_and_city_or_domain_but_not_by_a_city_alone() -> None:
    rng = random.Random(5)
    names = ["".join(rng.choices("abcdefghij", k=9)) for _ in range(300)]
    written = [{"company": f"{name} ltda", "city": rng.choice(["Itu", "Santos", "Olinda"])} for name in names]
    records = [read(f"{place:03}", raw, COMPANY) for place, raw in enumerate(written)]
    again = [{**written[0], "company": f"{names[0].upper()} S/A"}, {"company": names[1], "domain": "abc.com"}]
    records += [read(f"x{place}", raw, COMPANY) for place, raw in enumerate(again)]
    assert [(pair.a, pair.b) for pair in suggest(records, COMPANY).pairs] == [("000", "x0")]


def test_a_crowd_with_one_name_costs_no_more_than_others_and_is_named() -> None:
    crowd = [person(f"{place:05}", "Maria", "Silva", city="Santos") for place in range(5000)]
    started = time.process_time()
    result = suggest(crowd, PERSON)
    assert time.process_time() - started < 5
    assert result.pairs == ()
    assert result.skipped["name|name:lva|mar"] == 5000


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="record 1: given twice"):
        suggest([person("1", "Ana", "Lima"), person("1", "Ana", "Souza")], PERSON)
