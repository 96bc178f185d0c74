"""One sync of the contact records by crmbridge, as `crmbridge sync --collect-only` does it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bridge import Account, ConnectorSpec, Context, Json, Page, Phase, Record, StreamSpec, json_of
from bridge.cli.work import sync_once
from bridge.config import parse_config
from bridge.engine.memory import spare_what_stays
from bridge.engine.opening import open_runtime

MAPPING = Path(__file__).with_name("contacts.yaml")
CONFIG = """
connections: {crm: {connector: memory, settings: {directory: unused, key: '${env:BENCH_KEY}'}}}
identity: {default_region: BR}
"""


class Pages:
    """A source that reads the page server from its first page each time."""

    def __init__(self, url: str, context: Context) -> None:
        self._url = url
        self._http = context.http

    def check(self) -> Account:
        return Account(id="bench")

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        after: str | None = "0"
        while after is not None:
            body = json_of(self._http.request("GET", self._url, params={"after": after}))
            records = [
                Record(
                    stream=stream,
                    id=one["id"],
                    version=one["updatedAt"],
                    modified_at=datetime.fromisoformat(one["updatedAt"]),
                    data=one,
                )
                for one in body["results"]
            ]
            after = body.get("paging", {}).get("next", {}).get("after")
            yield Page(records=records, cursor={"after": after})


def spec_for(url: str) -> ConnectorSpec:
    """Return the connector of this benchmark; it goes by the name of one that is installed."""
    return ConnectorSpec(
        name="memory",
        title="page server",
        streams=(StreamSpec(name="contacts", phases=("live",)),),
        settings={"type": "object"},
        mapping=str(MAPPING),
        open=lambda settings, context: Pages(url, context),
        contact_stream="contacts",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    os.environ["BENCH_KEY"] = "not-used-here"
    config = parse_config(CONFIG, file="benchmark", folder=arguments.folder)
    config = replace(config, specs={"memory": spec_for(arguments.url)})
    with open_runtime(config, lock_as="benchmark") as runtime:
        spare_what_stays()
        print(sync_once(runtime, deliver=False))


if __name__ == "__main__":
    main()
