"""Identity on a made-up company of which it is known who is who."""

from __future__ import annotations

import random

import pytest

from bridge.journey.identity import grade, partition
from tests.company import make_company, score


@pytest.fixture(scope="module", params=[1, 2])
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.slow
def test_few_strangers_are_joined_and_most_records_of_one_person_are(seed: int) -> None:
    company = make_company(3000, seed)
    found = score(company, partition(company.nodes))
    assert found.precision >= 0.99
    assert found.recall >= 0.83
    assert found.largest < 10


@pytest.mark.slow
def test_ten_orders_give_one_result(seed: int) -> None:
    company = make_company(400, seed)
    whole = partition(company.nodes)
    for number in range(10):
        shuffled = list(company.nodes)
        random.Random(number).shuffle(shuffled)
        assert partition(shuffled) == whole


@pytest.mark.slow
def test_whoever_is_joined_wrongly_stands_on_the_list_for_review(seed: int) -> None:
    company = make_company(3000, seed)
    result = partition(company.nodes)
    members: dict[str, list[str]] = {}
    for key, person in result.person_of.items():
        members.setdefault(person, []).append(key)
    nodes = {node.key: node for node in company.nodes}
    evidence_at: dict[str, list[int]] = {}
    for place, applied in enumerate(result.applied):
        for key in applied.nodes:
            evidence_at.setdefault(key, []).append(place)
    wrong = [keys for keys in members.values() if len({company.truth[key] for key in keys}) > 1]
    graded = [
        grade(
            [nodes[key] for key in keys],
            [result.applied[place] for key in keys for place in evidence_at.get(key, ())],
        )
        for keys in wrong
    ]
    assert wrong
    assert graded.count("probable") >= 0.9 * len(graded)
