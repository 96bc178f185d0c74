"""A whole crmbridge with Pipedrive as its CRM: what it costs, and that nothing stands there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from benchmarks.delivery import bodies, phone, receive
from benchmarks.measure import ROOT
from bridge import Request
from bridge.config import parse_config
from bridge.engine import cycle, undo
from bridge.engine.opening import learn_account, open_runtime
from bridge.model import Created
from bridge.store import runs
from bridge.store.deliveries import delivery_row, insert_deliveries
from bridge.store.writer import Priority
from bridge.sync.intake.collect import collect
from bridge.sync.reversal.undo_state import Scope
from bridge.sync.runtime import Runtime
from bridge.testing.server import Call
from bridge_pipedrive import SPEC, Pipedrive
from bridge_pipedrive.sandbox import PipedriveSandbox
from bridge_whatsapp.sandbox import BUSINESS, Sender, batch, serialise, text_message

TOKEN = "a-token-of-the-tests"
DAY = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)
CONFIG = """
company: {{time_zone: America/Sao_Paulo}}
store: sqlite:///{folder}/store.db
connections:
  crm:
    connector: pipedrive
    {more}
    settings:
      api_token: "${{env:PIPEDRIVE_TOKEN}}"
      webhook_password: "${{env:PIPEDRIVE_TOKEN}}"
      base_url: "{url}"
      plan: ultimate
    push: {{timeline: true, create: {{whatsapp: first_message}}, fields: {fields}}}
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{account}"
      app_secret: "${{env:PIPEDRIVE_TOKEN}}"
      verify_token: "${{env:PIPEDRIVE_TOKEN}}"
  mails: {{connector: api, settings: {{sources: {{mails: {{token: "${{env:PIPEDRIVE_TOKEN}}"}}}}}}}}
"""


@pytest.fixture
def crm() -> Iterator[PipedriveSandbox]:
    with PipedriveSandbox(token=TOKEN, time_zone="America/Sao_Paulo", currency="BRL") as made:
        made.levers.subscribe("ultimate")
        yield made


@contextmanager
def running(
    folder: Path, crm: PipedriveSandbox, *, fields: bool = False, more: str = ""
) -> Iterator[Runtime]:
    """Open crmbridge on a store of the test, with the account learned."""
    text = CONFIG.format(
        folder=folder, url=crm.url, account=BUSINESS.waba, fields=str(fields).lower(), more=more
    )
    with open_runtime(parse_config(text, file="test", folder=folder), lock_as="test") as runtime:
        for connection in runtime.connections.values():
            learn_account(runtime, connection)
        yield runtime


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEDRIVE_TOKEN", TOKEN)


def people(crm: PipedriveSandbox, count: int) -> list[str]:
    return [
        crm.create("persons", {"name": f"Cliente {number}", "phones": [{"value": f"+{phone(number)}"}]})
        for number in range(count)
    ]


def cycle_once(runtime: Runtime, run: int = 1) -> None:
    """Pull, resolve and deliver, as `crmbridge sync` does."""
    crm = runtime.connections["crm"]
    cycle.pull(runtime, crm, run=run, force=True, whole=True)
    cycle.settle_inbox(runtime, run=run)
    cycle.deliver_all(runtime, crm, run=run)


def writes(calls: list[Call]) -> Counter[str]:
    return Counter(f"{call.method} {call.path}" for call in calls if call.method != "GET")


@pytest.mark.slow
def test_a_thousand_messages_of_two_hundred_persons_cost_two_hundred_calls_and_a_thousand_tokens(
    tmp_path: Path, crm: PipedriveSandbox
) -> None:
    ids = people(crm, 200)
    with running(tmp_path, crm) as runtime:
        connection = runtime.connections["crm"]
        cycle.pull(runtime, connection, run=1, force=True, whole=True)
        receive(runtime, bodies(1_000, 200, DAY))
        cycle.settle_inbox(runtime, run=1)
        before, spent = len(crm.calls), crm.spent
        cycle.deliver_all(runtime, connection, run=1)
    made = crm.calls[before:]
    assert writes(made) == {"POST /api/v2/activities": 200}
    reading = Counter(call.path for call in made if call.method == "GET")
    assert reading == {"/api/v2/personFields": 1, "/v1/activityTypes": 1}
    assert crm.spent - spent == 1_000 + 10 + 20
    assert [len(crm.timeline("persons", one)) for one in ids] == [1] * 200


def test_a_sync_twice_is_a_sync_once(tmp_path: Path, crm: PipedriveSandbox) -> None:
    ids = people(crm, 4)
    with running(tmp_path, crm) as runtime:
        receive(runtime, bodies(12, 4, DAY))
        cycle_once(runtime)
    before = len(crm.calls)
    with running(tmp_path, crm) as runtime:
        receive(runtime, bodies(12, 4, DAY))
        cycle_once(runtime)
        cycle_once(runtime)
    assert writes(crm.calls[before:]) == {}
    assert [len(crm.timeline("persons", one)) for one in ids] == [1] * 4
    [entry] = crm.timeline("persons", ids[0])
    assert (entry["due_date"], entry["due_time"], entry["done"]) == ("2026-11-18", "15:00:00", True)
    assert entry["subject"] == "WhatsApp, Wed 18 Nov: 3 messages (customer 3, us 0)"
    assert str(entry["note"]).startswith("WhatsApp, Wed 18 Nov: 3 messages (customer 3, us 0)<br>")


def test_somebody_new_becomes_a_person_once_and_is_shown_as_waiting(
    tmp_path: Path, crm: PipedriveSandbox
) -> None:
    with running(tmp_path, crm, fields=True) as runtime:
        connector = runtime.connections["crm"].connector
        assert isinstance(connector, Pipedrive)
        wanted = runtime.connections["crm"].mapping.properties["persons"]
        made = connector.create("persons", wanted)
        assert made == Created(created=tuple(field.name for field in wanted))
        receive(runtime, bodies(1, 1, DAY))
        cycle_once(runtime)
        cycle_once(runtime)
        cycle_once(runtime)
        [person] = connector.read("persons", [one["id"] for one in crm.objects("persons")], ())
    assert person.data["name"] == "Cliente 0"
    assert person.data["phone_numbers"] == [f"+{phone(0)}"]
    shown = person.data["custom_fields"]
    assert shown["Waiting for our answer since"] == "2026-11-18"
    assert shown["Waiting on channel"] == "whatsapp"
    assert len(shown["Key of crmbridge"]) == 12
    assert len(crm.timeline("persons", person.id)) == 1


def test_a_number_gives_way_to_the_name_and_the_same_day_is_written_once(
    tmp_path: Path, crm: PipedriveSandbox
) -> None:
    with running(tmp_path, crm, fields=True) as runtime:
        connector = runtime.connections["crm"].connector
        assert isinstance(connector, Pipedrive)
        connector.create("persons", runtime.connections["crm"].mapping.properties["persons"])
        for name, at in (
            ("", DAY),
            ("Ana Souza", DAY + timedelta(hours=1)),
            ("Ana Souza", DAY + timedelta(hours=2)),
        ):
            sender = Sender(name=name, wa_id=phone(0))
            before = len(crm.calls)
            receive(runtime, iter([serialise(batch([text_message(sender, "Oi!", at=at)]))]))
            cycle_once(runtime)
            if not name:
                assert [one["name"] for one in crm.objects("persons")] == [f"+{phone(0)}"]
            cycle_once(runtime)
    [person] = crm.objects("persons")
    assert person["name"] == "Ana Souza"
    assert [call for call in writes(crm.calls[before:]) if "persons" in call] == []


@pytest.mark.parametrize("commits", [0.0, SPEC.settle / 2])
def test_an_answer_that_is_lost_makes_an_entry_once(
    tmp_path: Path, commits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 0.0

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=ahead)

    with PipedriveSandbox(token=TOKEN, clock=clock) as crm:
        [person] = people(crm, 1)
        with running(tmp_path, crm) as runtime:
            monkeypatch.setattr(runtime, "clock", clock)
            crm.levers.drop(method="POST", path="/activities", commits=commits)
            receive(runtime, bodies(3, 1, DAY))
            cycle_once(runtime)
            for _ in range(5):
                ahead += SPEC.settle / 2
                cycle.deliver_all(runtime, runtime.connections["crm"], run=1)
            ahead += 10 * SPEC.settle
        assert len(crm.timeline("persons", person)) == 1
        assert sum(count for call, count in writes(crm.calls).items()) == 1


@pytest.mark.parametrize("caught_first", [True, False])
def test_a_mail_that_pipedrives_mailbox_caught_too_is_no_second_entry(
    tmp_path: Path, crm: PipedriveSandbox, caught_first: bool
) -> None:
    ana, rui = "ana@padaria.example", "rui@example.com"
    crm.create("persons", {"name": "Ana", "emails": [{"value": ana}]})
    mail = {"id": "m-1", "kind": "email", "channel": "email", "direction": "inbound", "text": "Quando chega?"}
    mail |= {"from": {"email": ana}, "to": [{"email": rui}], "message_id": "<b@padaria.example>"}
    body = orjson.dumps({**mail, "occurred_at": datetime.now(UTC).isoformat()})
    with running(tmp_path, crm) as runtime:
        request = Request(
            method="POST", url="", query={}, headers={}, body=body, received_at=datetime.now(UTC)
        )
        row = delivery_row("mails", request, runtime.blobs, sender="mails", key=None)
        for step in ("caught", "read") if caught_first else ("read", "caught"):
            if step == "caught":
                crm.catch_mail("b@padaria.example", sender=ana, to=[rui], text="<p>Quando chega?</p>")
            else:
                runtime.writer.run(insert_deliveries, [row], priority=Priority.INBOX)
            cycle_once(runtime)
            assert len(crm.objects("activities")) == (0 if caught_first or step == "caught" else 1)


def merged_persons(tmp_path: Path, crm: PipedriveSandbox, *, webhooks: bool) -> tuple[str, str]:
    """Write to a person, let a rep merge it into another one, and write again; return both."""
    if webhooks:
        crm.subscribe("https://bridge.example.com/hooks/crm", login="crmbridge", password=TOKEN)
    [loser] = people(crm, 1)
    survivor = crm.create("persons", {"name": "Cliente Zero"})
    crm.take()
    with running(tmp_path, crm) as runtime:
        receive(runtime, bodies(1, 1, DAY))
        cycle_once(runtime)
        crm.merge("persons", survivor, loser)
        for sent in crm.take():
            request = Request(
                method="POST", url="", query={}, headers={}, body=sent.body, received_at=datetime.now(UTC)
            )
            row = delivery_row("crm", request, runtime.blobs, sender="", key=None)
            runtime.writer.run(insert_deliveries, [row], priority=Priority.INBOX)
        if not webhooks:
            collect(runtime, runtime.connections["crm"], "persons", "sweep", run=1)
        for day in (1, 2):
            receive(runtime, bodies(1, 1, DAY + timedelta(days=day)))
            cycle_once(runtime)
            cycle_once(runtime)
    return survivor, loser


def test_a_note_moves_to_the_person_that_a_rep_entered_and_back_with_an_undo(
    tmp_path: Path, crm: PipedriveSandbox
) -> None:
    shipped = (ROOT / "mappings" / "pipedrive.yaml").read_text(encoding="utf-8")
    (tmp_path / "notes.yaml").write_text(shipped.replace("whatsapp: activities", "whatsapp: notes", 1))
    with running(tmp_path, crm, more=f"mapping: {tmp_path}/notes.yaml") as runtime:
        receive(runtime, bodies(1, 1, DAY))
        cycle_once(runtime)
        [ours] = [one["id"] for one in crm.objects("persons")]
        theirs = crm.create("persons", {"name": "Cliente", "phones": [{"value": f"+{phone(0)}"}]})
        cycle_once(runtime, run=2)
        assert [len(crm.timeline("persons", one)) for one in (ours, theirs)] == [0, 1]
        for _ in range(2):
            runtime.writer.run(runs.start_run, "sync", runtime.clock(), priority=Priority.LIVE)
        undo.undo(runtime, Scope(run=2))
        assert [len(crm.timeline("persons", one)) for one in (ours, theirs)] == [1, 0]


def test_a_merge_that_a_webhook_told_is_followed_at_once(tmp_path: Path, crm: PipedriveSandbox) -> None:
    survivor, loser = merged_persons(tmp_path, crm, webhooks=True)
    assert len(crm.timeline("persons", survivor)) == 3
    assert [one["id"] for one in crm.objects("persons")] == [survivor]
    assert all(call.status < 400 for call in crm.calls if call.method != "GET"), f"{loser} was written to"


def test_a_merge_that_nobody_told_is_noticed_by_the_daily_sweep(
    tmp_path: Path, crm: PipedriveSandbox
) -> None:
    survivor, _ = merged_persons(tmp_path, crm, webhooks=False)
    assert len(crm.timeline("persons", survivor)) == 3
    assert [one["id"] for one in crm.objects("persons")] == [survivor]
