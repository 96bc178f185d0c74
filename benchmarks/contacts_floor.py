"""The floor of the contacts benchmark: the least that plain Python does to pull, map and store."""

from __future__ import annotations

import argparse
import http.client
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

STAGES = {
    "subscriber": "subscriber",
    "lead": "lead",
    "marketingqualifiedlead": "marketing_qualified_lead",
    "opportunity": "opportunity",
    "customer": "customer",
}
COLUMNS = (
    "given_name",
    "family_name",
    "display_name",
    "job_title",
    "emails",
    "phones",
    "lifecycle_stage",
    "status",
    "owner_ref",
    "language",
    "timezone",
    "created_at",
    "updated_at",
    "tags",
    "source",
    "medium",
    "landing_url",
    "city",
    "zip",
    "country",
)


def pages(url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield every page of the server over one kept connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    after: int | None = 0
    while after is not None:
        connection.request("GET", f"{parts.path}?after={after}")
        body = orjson.loads(connection.getresponse().read())
        yield body["results"]
        after = body.get("paging", {}).get("next", {}).get("after")
    connection.close()


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """Map one record by hand to the 20 fields of `contacts.yaml`; lists become text."""
    found = record["properties"]
    emails = [
        address
        for text in (found["email"], found["hs_additional_emails"])
        if text
        for address in text.split(";")
    ]
    phones = [number for number in (found["phone"], found["mobilephone"]) if number]
    return {
        "id": record["id"],
        "given_name": found["firstname"],
        "family_name": found["lastname"],
        "display_name": f"{found['firstname']} {found['lastname']}",
        "job_title": found["jobtitle"],
        "emails": ";".join(emails),
        "phones": ";".join(phones),
        "lifecycle_stage": STAGES.get(found["lifecyclestage"], "unknown"),
        "status": found["hs_lead_status"],
        "owner_ref": f"owners/{found['hubspot_owner_id']}",
        "language": found["hs_language"],
        "timezone": found["hs_timezone"],
        "created_at": found["createdate"],
        "updated_at": found["lastmodifieddate"],
        "tags": found["hs_analytics_source"],
        "source": found["hs_analytics_source"],
        "medium": found["hs_analytics_source_data_1"],
        "landing_url": found["website"],
        "city": found["city"],
        "zip": found["zip"],
        "country": found["country"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    store = sqlite3.connect(arguments.folder / "floor.db", isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=NORMAL")
    store.execute(f"CREATE TABLE IF NOT EXISTS contact (id TEXT PRIMARY KEY, {', '.join(COLUMNS)})")
    insert = (
        f"INSERT INTO contact VALUES (:id, {', '.join(f':{name}' for name in COLUMNS)})"
        f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name}=excluded.{name}' for name in COLUMNS)}"
    )
    for records in pages(arguments.url):
        store.execute("BEGIN")
        store.executemany(insert, [flat(record) for record in records])
        store.execute("COMMIT")
    store.close()


if __name__ == "__main__":
    main()
