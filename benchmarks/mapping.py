"""
How fast a mapping runs, against the same work in a function written by hand.

Run `python benchmarks/mapping.py`. Both run in turns in one process; trust the ratio only.
The goal is at most 2.0.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge import yaml_file
from bridge.mapping import compile_mapping

SEED = 20261121
RECORDS = 2_000
ROUNDS = 15
GOAL = 2.0

MAPPING = """
version: 1
connector: bench
pull:
  contacts:
    to: contact
    fields:
      display_name: {template: "{properties.firstname} {properties.lastname}"}
      given_name: properties.firstname
      family_name: properties.lastname
      job_title: properties.jobtitle
      kind: {const: person}
      lifecycle_stage:
        from: properties.lifecyclestage
        map:
          subscriber: subscriber
          lead: lead
          marketingqualifiedlead: marketing_qualified_lead
          salesqualifiedlead: sales_qualified_lead
          opportunity: opportunity
          customer: customer
      status: properties.hs_lead_status
      owner_ref: {from: properties.hubspot_owner_id, ref: owners}
      emails: {each: [properties.email, properties.hs_additional_emails], using: split_semicolon}
      phones: {each: [properties.phone, properties.mobilephone]}
      language: {from: properties.hs_language, default: pt-BR}
      timezone: properties.hs_timezone
      tags: {each: properties.tags, using: lower}
      attribution:
        object:
          source: {from: properties.hs_analytics_source, using: lower}
          campaign: properties.utm_campaign
          landing_url: properties.hs_analytics_first_url
      created_at: {from: properties.createdate, using: instant}
      updated_at: {from: properties.lastmodifieddate, using: epoch_ms_to_instant}
      custom:
        object:
          city: properties.city
          zip: properties.zip
          score: {from: properties.hubspotscore, using: integer}
"""

STAGES = {
    "subscriber": "subscriber",
    "lead": "lead",
    "marketingqualifiedlead": "marketing_qualified_lead",
    "salesqualifiedlead": "sales_qualified_lead",
    "opportunity": "opportunity",
    "customer": "customer",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def by_hand(data: dict[str, Any]) -> dict[str, Any]:
    """Make what the mapping above makes, as a careful developer would write it."""
    properties = data.get("properties") or {}
    entity: dict[str, Any] = {"kind": "person"}
    first, last = properties.get("firstname"), properties.get("lastname")
    if first or last:
        entity["display_name"] = f"{first or ''} {last or ''}".strip()
    for target, source in (
        ("given_name", "firstname"),
        ("family_name", "lastname"),
        ("job_title", "jobtitle"),
        ("status", "hs_lead_status"),
        ("timezone", "hs_timezone"),
    ):
        value = properties.get(source)
        if value is not None:
            entity[target] = value
    stage = properties.get("lifecyclestage")
    if stage is not None:
        entity["lifecycle_stage"] = STAGES.get(stage, "unknown")
    owner = properties.get("hubspot_owner_id")
    if owner:
        entity["owner_ref"] = f"owners/{owner}"
    emails: list[str] = []
    for source in ("email", "hs_additional_emails"):
        text = properties.get(source)
        if text is not None:
            emails.extend(piece.strip() for piece in text.split(";") if piece.strip())
    if emails:
        entity["emails"] = emails
    phones = [value for key in ("phone", "mobilephone") if (value := properties.get(key)) is not None]
    if phones:
        entity["phones"] = phones
    entity["language"] = properties.get("hs_language") or "pt-BR"
    tags = properties.get("tags")
    if tags:
        entity["tags"] = [tag.lower() for tag in tags]
    attribution: dict[str, Any] = {}
    source = properties.get("hs_analytics_source")
    if source is not None:
        attribution["source"] = source.lower()
    for target, name in (("campaign", "utm_campaign"), ("landing_url", "hs_analytics_first_url")):
        value = properties.get(name)
        if value is not None:
            attribution[target] = value
    if attribution:
        entity["attribution"] = attribution
    created = properties.get("createdate")
    if created:
        entity["created_at"] = written(datetime.fromisoformat(created).astimezone(UTC))
    updated = properties.get("lastmodifieddate")
    if updated:
        entity["updated_at"] = written(EPOCH + timedelta(milliseconds=int(updated)))
    custom: dict[str, Any] = {}
    for name in ("city", "zip"):
        value = properties.get(name)
        if value is not None:
            custom[name] = value
    score = properties.get("hubspotscore")
    if score:
        custom["score"] = int(score)
    if custom:
        entity["custom"] = custom
    return entity


def written(moment: datetime) -> str:
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text[:-4]}Z" if text.endswith(".000") else f"{text}Z"


def contacts(seed: int, count: int) -> list[dict[str, Any]]:
    """Make contacts as HubSpot shows them; one value in six is missing."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(28_000_000))
        properties: dict[str, Any] = {
            "firstname": rng.choice(["Ana", "Bruno", "Carla", "João"]),
            "lastname": rng.choice(["Souza", "Dias", "Lima"]),
            "jobtitle": rng.choice(["Owner", "Buyer"]),
            "lifecyclestage": rng.choice([*STAGES, "evangelist"]),
            "hs_lead_status": "NEW",
            "hubspot_owner_id": str(rng.randrange(100)),
            "email": f"person{number}@example.com",
            "hs_additional_emails": f"p{number}@example.org;q{number}@example.net",
            "phone": f"+551197{rng.randrange(10**7):07}",
            "mobilephone": f"+551198{rng.randrange(10**7):07}",
            "hs_language": "pt-br",
            "hs_timezone": "america_slash_sao_paulo",
            "tags": ["Bakery", "South"],
            "hs_analytics_source": "PAID_SOCIAL",
            "utm_campaign": "ovens",
            "hs_analytics_first_url": "https://example.com/ovens",
            "createdate": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "lastmodifieddate": str(int(moment.timestamp() * 1000) + rng.randrange(1000)),
            "city": "Santos",
            "zip": "11010-000",
            "hubspotscore": str(rng.randrange(100)),
        }
        for name in rng.sample(sorted(properties), k=len(properties) // 6):
            properties[name] = None
        made.append({"id": str(number), "properties": properties})
    return made


def seconds(function: Callable[[Any], Any], records: list[dict[str, Any]]) -> float:
    start = time.process_time()
    for record in records:
        function(record)
    return (time.process_time() - start) / len(records)


def measure(rounds: int = ROUNDS, records: int = RECORDS) -> tuple[float, float]:
    """Return the median CPU seconds a record takes, by hand and mapped, after checking that both agree."""
    sample = contacts(SEED, records)
    mapping = compile_mapping(
        yaml_file.parse(MAPPING, file="bench.yaml"), connector="bench", streams=("contacts", "owners")
    )
    mapped = mapping.pull["contacts"].map
    for record in sample:
        assert mapped(record) == by_hand(record), record
    hand, ours = [], []
    for _ in range(rounds):
        hand.append(seconds(by_hand, sample))
        ours.append(seconds(mapped, sample))
    return statistics.median(hand), statistics.median(ours)


if __name__ == "__main__":
    hand, ours = measure()
    print(f"by hand {hand * 1e6:6.2f} µs a record")
    print(f"mapped  {ours * 1e6:6.2f} µs a record, {ours / hand:.2f} times by hand (goal: {GOAL})")
