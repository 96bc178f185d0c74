"""
How fast entities are validated, against jsonschema alone.

Run `python benchmarks/validation.py`. Both judge the same contacts, 2 in 100 of them broken, in turns
in one process; trust the ratio only. The goal is at most 1/15 of jsonschema with the same verdicts,
and 8 µs a contact on a quiet machine.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from bridge.journey.schema import Validator, entity_schema

SEED = 20261121
RECORDS = 2_000
ROUNDS = 9
BROKEN = 0.02
GOAL = 1 / 15

FAULTS: tuple[Callable[[dict[str, Any]], None], ...] = (
    lambda contact: contact.update(nickname="Aninha"),
    lambda contact: contact.update(kind="robot"),
    lambda contact: contact["emails"].append("none"),
    lambda contact: contact.update(created_at="yesterday"),
    lambda contact: contact["handles"].append({"kind": "email"}),
)


def contacts(seed: int, count: int) -> list[dict[str, Any]]:
    """Make contacts with every field of the schema, and break some."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        contact: dict[str, Any] = {
            "display_name": "Ana Souza",
            "given_name": "Ana",
            "family_name": "Souza",
            "job_title": "Owner",
            "kind": "person",
            "lifecycle_stage": "lead",
            "status": "NEW",
            "owner_ref": f"owners/{rng.randrange(100)}",
            "emails": [f"person{number}@example.com", f"p{number}@example.org"],
            "phones": [f"+551197{rng.randrange(10**7):07}"],
            "handles": [{"kind": "whatsapp_id", "value": f"551197{rng.randrange(10**7):07}"}],
            "company_refs": [f"companies/{rng.randrange(1000)}"],
            "deal_refs": [f"deals/{rng.randrange(1000)}"],
            "language": "pt-BR",
            "timezone": "America/Sao_Paulo",
            "tags": ["bakery", "south"],
            "attribution": {
                "source": "instagram",
                "campaign": "ovens",
                "click_ids": {"ctwa_clid": "abc"},
                "at": "2026-11-18T14:02:00Z",
            },
            "created_at": "2026-01-05T12:00:00Z",
            "updated_at": f"2026-11-{rng.randrange(1, 29):02}T12:00:00.250Z",
            "merged_refs": [f"contacts/{rng.randrange(1000)}"],
            "custom": {"city": "Santos", "zip": "11010-000", "score": 7},
        }
        if rng.random() < BROKEN:
            rng.choice(FAULTS)(contact)
        made.append(contact)
    return made


def seconds(function: Callable[[Any], Any], records: list[dict[str, Any]]) -> float:
    start = time.process_time()
    for record in records:
        function(record)
    return (time.process_time() - start) / len(records)


def measure(rounds: int = ROUNDS, records: int = RECORDS) -> tuple[float, float]:
    """Return the median CPU seconds a contact takes, by jsonschema and by us, after comparing all verdicts."""
    sample = contacts(SEED, records)
    schema = entity_schema("contact")
    reference, ours = Validator(schema, fast=False), Validator(schema)
    for record in sample:
        assert ours.check(record) == reference.check(record), record
    slow, fast = [], []
    for _ in range(rounds):
        slow.append(seconds(reference.check, sample[:200]))
        fast.append(seconds(ours.check, sample))
    assert ours.disagreements == 0
    return statistics.median(slow), statistics.median(fast)


if __name__ == "__main__":
    slow, fast = measure()
    print(f"jsonschema {slow * 1e6:7.1f} µs a contact")
    print(
        f"ours       {fast * 1e6:7.1f} µs a contact, 1/{slow / fast:.0f} of jsonschema (goal: 1/{1 / GOAL:.0f})"
    )
