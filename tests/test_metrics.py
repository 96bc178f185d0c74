"""Readiness and Prometheus: reasons in words, numbers under the names that dashboards are built on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from bridge.config import parse_config
from bridge.engine.opening import note_error, open_runtime, recall_accounts
from bridge.errors import Unavailable
from bridge.sync.runtime import Runtime
from bridge.web.app import make_app
from bridge.web.metrics import Metrics
from bridge.web.serving import Server
from bridge_memory.receiver import HEADER, sign
from tests.outside import KEY, Office

ANA = "+5511973914862"

METRICS = {
    "crmbridge_connection_silence_seconds": ("gauge", {"connection"}),
    "crmbridge_connection_up": ("gauge", {"connection"}),
    "crmbridge_held_contacts": ("gauge", {"connection"}),
    "crmbridge_people_queued": ("gauge", {"connection"}),
    "crmbridge_people_waiting": ("gauge", set()),
    "crmbridge_records": ("gauge", {"connection", "stream", "state"}),
    "crmbridge_stream_age_seconds": ("gauge", {"connection", "stream"}),
    "crmbridge_webhooks_received": ("counter", {"connection"}),
    "crmbridge_webhooks_refused": ("counter", {"connection"}),
    "crmbridge_writer_backlog": ("gauge", set()),
    "crmbridge_writes": ("gauge", {"connection", "state"}),
}


class Watched:
    """A receiver on the store of an office, read as a monitoring system does."""

    def __init__(self, runtime: Runtime, server: Server, broken: list[str]) -> None:
        self.runtime = runtime
        self.url = server.address
        self.broken = broken

    def ready(self) -> tuple[int, list[str]]:
        answer = requests.get(f"{self.url}/readyz", timeout=60)
        assert answer.json()["status"] == ("ok" if answer.status_code == 200 else "not ready")
        return answer.status_code, answer.json()["problems"]

    def numbers(self) -> dict[tuple[str, ...], float]:
        """Return every sample by its name and the values of its labels, sorted by label."""
        found = {}
        for family in text_string_to_metric_families(self.text()):
            for sample in family.samples:
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                found[sample.name, *labels] = sample.value
        return found

    def text(self) -> str:
        answer = requests.get(f"{self.url}/metrics", timeout=60)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return answer.text


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an office where Ana has written, and something that makes no sense has come."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        office = Office(tmp_path_factory.mktemp("template"), monkeypatch)
        office.put("crm", "contacts", name="Ana Souza", phone=ANA)
        office.message("Quanto custa?", ANA)
        office.message("Oi", at="no time at all")
        assert office.run("sync").code == 1
        return office.home


@pytest.fixture
def office(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Office(tmp_path, monkeypatch)


@pytest.fixture
def watched(office: Office) -> Iterator[Watched]:
    config = parse_config(office.config.read_text(), file="config.yaml", folder=office.home)
    broken: list[str] = []
    with open_runtime(config, lock_as="test") as runtime:
        recall_accounts(runtime)
        server = Server(
            make_app(runtime, Metrics(runtime, lambda: broken)), host="127.0.0.1", port=0, file="config.yaml"
        )
        server.start()
        yield Watched(runtime, server, broken)
        server.stop()


def test_every_metric_has_its_name_kind_labels_and_help(watched: Watched) -> None:
    body = b"[1]"
    headers = {HEADER: sign(body, KEY, int(datetime.now(UTC).timestamp()))}
    requests.post(f"{watched.url}/hooks/chat", data=body, headers=headers, timeout=60)
    requests.post(f"{watched.url}/hooks/chat", data=body, timeout=60)
    families = {family.name: family for family in text_string_to_metric_families(watched.text())}
    families = {name: family for name, family in families.items() if not name.endswith("_created")}
    assert {
        name: (family.type, {label for sample in family.samples for label in sample.labels})
        for name, family in families.items()
        if family.samples
    } == {name: known for name, known in METRICS.items() if name != "crmbridge_writes"}
    assert families["crmbridge_writes"].type == "gauge"
    assert all(family.documentation.endswith(".") for family in families.values())


def test_the_numbers_are_those_of_the_store(watched: Watched) -> None:
    found = watched.numbers()
    assert found["crmbridge_people_waiting",] == 1
    assert found["crmbridge_records", "chat", "mapped", "messages"] == 1
    assert found["crmbridge_records", "chat", "rejected", "messages"] == 1
    assert found["crmbridge_records", "crm", "mapped", "contacts"] == 1
    assert found["crmbridge_records", "crm", "waiting", "contacts"] == 0
    assert found["crmbridge_connection_up", "crm"] == found["crmbridge_connection_up", "chat"] == 1
    assert 0 <= found["crmbridge_stream_age_seconds", "chat", "messages"] < 3600
    assert 0 <= found["crmbridge_connection_silence_seconds", "chat"] < 3600
    assert found["crmbridge_writer_backlog",] == 0


def test_webhooks_are_counted_as_received_or_refused(watched: Watched) -> None:
    for number in range(3):
        body = b"[%d]" % number
        headers = {HEADER: sign(body, KEY, int(datetime.now(UTC).timestamp()))}
        assert requests.post(f"{watched.url}/hooks/chat", data=body, headers=headers, timeout=60).ok
    assert requests.post(f"{watched.url}/hooks/chat", data=b"x", timeout=60).status_code == 401
    assert requests.post(f"{watched.url}/hooks/nobody", data=b"x", timeout=60).status_code == 404
    found = watched.numbers()
    assert found["crmbridge_webhooks_received_total", "chat"] == 3
    assert found["crmbridge_webhooks_refused_total", "chat"] == 1
    assert ("crmbridge_webhooks_refused_total", "nobody") not in found
    assert found["crmbridge_records", "chat", "waiting", "webhook"] == 3


def test_all_is_ready_while_nothing_is_wrong(watched: Watched) -> None:
    assert watched.ready() == (200, [])


def test_a_connection_in_trouble_is_named_with_its_remedy(watched: Watched) -> None:
    error = Unavailable("crm: GET api.example/contacts: no connection; check the network")
    note_error(watched.runtime, watched.runtime.connections["crm"], error)
    assert watched.ready() == (503, ["crm: GET api.example/contacts: no connection; check the network"])
    found = watched.numbers()
    assert (found["crmbridge_connection_up", "crm"], found["crmbridge_connection_up", "chat"]) == (0, 1)


def test_a_stream_in_trouble_is_named(office: Office) -> None:
    contacts = office.home / "crm" / "contacts.jsonl"
    contacts.rename(office.home / "kept")
    contacts.mkdir()
    office.run("sync")
    config = parse_config(office.config.read_text(), file="config.yaml", folder=office.home)
    with open_runtime(config, lock_as=None) as runtime:
        recall_accounts(runtime)
        (problem,) = Metrics(runtime, list).problems()
    assert problem.startswith("crm: ")
    assert "Is a directory; check the disk" in problem


def test_readiness_is_told_without_counting_records(watched: Watched, office: Office) -> None:
    with closing(sqlite3.connect(office.home / "crmbridge.db")) as database:
        database.execute("DROP TABLE record")
    assert watched.ready() == (200, [])


def test_a_step_that_ended_is_named(watched: Watched) -> None:
    watched.broken.append("the step resolve has ended")
    assert watched.ready() == (503, ["the step resolve has ended"])


def test_a_store_that_cannot_be_read_is_not_ready(watched: Watched, office: Office) -> None:
    with closing(sqlite3.connect(office.home / "crmbridge.db")) as database:
        database.execute("DROP TABLE journey")
        database.execute("DROP TABLE cursor")
    code, (problem,) = watched.ready()
    assert code == 503
    assert "cannot be read: no such table: cursor. Nothing was changed." in problem
    assert requests.get(f"{watched.url}/metrics", timeout=60).status_code == 503
    assert requests.get(f"{watched.url}/healthz", timeout=60).status_code == 200


def test_no_metric_shows_a_secret_or_a_customer(watched: Watched) -> None:
    shown = watched.text()
    assert KEY not in shown
    assert "Ana" not in shown and "97391" not in shown
