"""What stands where: in HubSpot by its own state, in crmbridge by what its commands and pages tell."""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import Any

import requests

from tests.demo import expected, mails
from tests.demo.company import PEOPLE
from tests.demo.program import Program
from tests.demo.servers import Vendors

ENTRY_TYPES = ("communications", "emails", "calls", "notes")

_READS = re.compile(r"/(search|batch/read)$")


def writing_calls(vendors: Vendors) -> int:
    """Count the calls that HubSpot got and that change records."""
    return sum(
        call.method != "GET" and not _READS.search(call.path) and "/properties/" not in call.path
        for call in vendors.hubspot.calls
    )


def standing(vendors: Vendors) -> Counter[str]:
    """Count what stands in HubSpot, each marker once, and the old contacts that show our fields."""
    found = Counter({name: len(set(_marks(vendors, name))) for name in ENTRY_TYPES})
    found["new contacts"] = len(set(_marks(vendors, "contacts")))
    old = set(vendors.contact_ids.values())
    found["updates"] = sum(
        one["id"] in old and bool(one["properties"].get("crmbridge_channels"))
        for one in vendors.hubspot.objects("contacts")
    )
    return +found


def wanted() -> Counter[str]:
    """Return what `standing` must find in the end."""
    found = expected.entries()
    found["new contacts"] = len(expected.new_contacts())
    found["updates"] = expected.updates()
    return found


def doubled(vendors: Vendors) -> int:
    """Count the objects that carry a marker another one carries, and mails that HubSpot logged and we wrote too."""
    twice = 0
    for name in (*ENTRY_TYPES, "contacts"):
        marks = Counter(_marks(vendors, name))
        twice += marks.total() - len(marks)
    for mail in (mail for mail in mails.CONVERSATIONS if mail.logged):
        timeline = vendors.hubspot.timeline(vendors.contact_ids[PEOPLE[mail.of].name])
        twice += sum(one["properties"].get("hs_email_subject") == mail.subject for one in timeline) - 1
    return twice


def made_contacts(vendors: Vendors) -> set[str]:
    """Return the names of the contacts that were not there at the start."""
    old = set(vendors.contact_ids.values())
    return {
        f"{one['properties'].get('firstname', '')} {one['properties'].get('lastname', '')}".strip()
        for one in vendors.hubspot.objects("contacts")
        if one["id"] not in old
    }


def first_chat(timeline: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the oldest WhatsApp entry of a timeline."""
    entry = [one for one in timeline if one["type"] == "communications"][-1]
    body = entry["properties"]["hs_communication_body"]
    return html.unescape(re.sub(r"<br ?/?>", "\n", body)).splitlines()


def settled(url: str) -> int:
    """Return how many records the daemon's metrics show as read and dealt with; -1 while some wait."""
    text = requests.get(f"{url}/metrics", timeout=60).text
    found: Counter[str] = Counter()
    for labels, value in re.findall(r"^crmbridge_records\{(.*)\} (\S+)$", text, re.MULTILINE):
        found["waiting" if 'state="waiting"' in labels else "done"] += int(float(value))
    return -1 if found["waiting"] else found["done"]


def tally(program: Program) -> tuple[Counter[str], Counter[str]]:
    """Return how many records there are by state (and in all as `read`), and how many were skipped by rule."""
    counts: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    status = program.run("status", "--json").json()
    for stream in (stream for connection in status["connections"] for stream in connection["streams"]):
        counts.update({name: stream[name] for name in ("read", "mapped", "skipped", "rejected", "waiting")})
        rules.update(stream["rules"])
    return counts, rules


def writes_in_doubt(program: Program) -> int:
    """Count the writes that were sent and of which no answer came."""
    status = program.run("status", "--json").json()
    (crm,) = (one for one in status["connections"] if one["name"] == "crm")
    return int(crm["writes"].get("uncertain", 0))


def _marks(vendors: Vendors, name: str) -> list[str]:
    """Return the markers on the objects of a type."""
    marks = [one["properties"].get("crmbridge_key") for one in vendors.hubspot.objects(name)]
    return [mark for mark in marks if mark]
