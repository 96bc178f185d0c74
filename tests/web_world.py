"""A receiver over real sockets for tests, on a store of its own, and requests to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import requests

from bridge.config import parse_config
from bridge.engine.opening import open_runtime
from bridge.sync.runtime import Runtime
from bridge.web.app import make_app
from bridge.web.metrics import Metrics
from bridge.web.serving import Server
from bridge_api.sandbox import form
from bridge_memory.receiver import HEADER, sign
from bridge_whatsapp.sandbox import BUSINESS

KEY = "the key of the folder"
TOKEN = "the token of the website"
SECRETS = {
    "FOLDER_KEY": KEY,
    "WA_SECRET": "meta-app-secret",
    "WA_VERIFY": "meta-verify-token",
    "TOKEN": TOKEN,
}


CONFIG = """
store: sqlite:///store.db
connections:
  folder: {connector: memory, settings: {directory: folder, key: "${env:FOLDER_KEY}"}}
  whatsapp:
    connector: whatsapp
    settings: {app_secret: "${env:WA_SECRET}", verify_token: "${env:WA_VERIFY}", business_account: "%s"}
  inbound: {connector: api, settings: {sources: {website: {token: "${env:TOKEN}"}}}}
  crm: {connector: hubspot, settings: {token: "${env:TOKEN}"}}
web: {listen: "127.0.0.1:0"%s}
"""


@dataclass(slots=True)
class Receiver:
    """A running receiver at `url` on a store of its own."""

    runtime: Runtime
    server: Server
    home: Path
    woken: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.address

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> requests.Response:
        return requests.post(self.url + path, data=body, headers=dict(headers or {}), timeout=60)

    def signed(
        self, body: bytes, path: str = "/hooks/folder", *, key: str = KEY, age: int = 0
    ) -> requests.Response:
        """Post a body as the folder's own sender does."""
        at = int(datetime.now(UTC).timestamp()) - age
        return self.post(path, body, {HEADER: sign(body, key, at)})

    def stored(self, column: str = "body") -> list[Any]:
        """Return what stands on the disk, as another process sees it."""
        with closing(sqlite3.connect(self.home / "store.db")) as database:
            return [row[0] for row in database.execute(f"SELECT {column} FROM delivery ORDER BY pk")]

    def execute(self, statement: str) -> None:
        """Change the database behind the receiver's back."""
        with closing(sqlite3.connect(self.home / "store.db", timeout=60)) as database:
            database.executescript(statement)


@contextmanager
def receiving(
    home: Path, more: str = "", change: Callable[[Runtime], None] = lambda runtime: None
) -> Iterator[Receiver]:
    config = parse_config(CONFIG % (BUSINESS.waba, more), file="config.yaml", folder=home)
    with open_runtime(config, lock_as="test") as runtime:
        change(runtime)
        server = Server(
            make_app(runtime, Metrics(runtime, list)), host=config.web.host, port=0, file="config.yaml"
        )
        server.start()
        receiver = Receiver(runtime=runtime, server=server, home=home)
        runtime.wake = receiver.woken.append
        try:
            yield receiver
        finally:
            server.stop()


def api_headers(token: str = TOKEN, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **more}


def interaction(number: int = 1, text: str = "Oi") -> bytes:
    return orjson.dumps(form("Ana", "ana@x.example", text, at=datetime.now(UTC), id=f"form-{number}"))
