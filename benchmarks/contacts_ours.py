"""One sync of the contact records by crmbridge: collect, resolve (map, validate, identify), store, queue."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bridge import Account, ConnectorSpec, Context, Json, Page, Phase, Record, StreamSpec
from bridge.config import parse_config
from bridge.engine import cycle
from bridge.engine.opening import learn_account, open_runtime
from bridge.http import json_of
from bridge.model import require_aware
from datetime import datetime

MAPPING = Path(__file__).with_name("contacts.yaml")


class Pages:
    """A source that reads the page server."""

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
    """Return the connector of this benchmark."""
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
    text = "connections: {crm: {connector: memory, settings: {directory: x, key: '${file:key}'}}}\nidentity: {default_region: BR}\n"
    (arguments.folder / "key").write_text("benchmark-key")
    config = parse_config(text, file="benchmark", folder=arguments.folder)
    spec = spec_for(arguments.url)
    object.__setattr__(config, "specs", {"memory": spec})
    with open_runtime(config, lock_as="benchmark") as runtime:
        connection = runtime.connections["crm"]
        learn_account(runtime, connection)
        cycle.pull(runtime, connection, run=1, force=True, whole=True)
        done = cycle.settle_inbox(runtime, run=1)
        print(done, file=sys.stderr)


if __name__ == "__main__":
    main()
