"""Who somebody is, asked in tasks of HubSpot and Pipedrive, and answered by the people who work there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.delivery import phone, receive
from bridge.config import parse_config
from bridge.engine import cycle
from bridge.engine.opening import learn_account, open_runtime
from bridge.store import runs
from bridge.store.database import micros
from bridge.store.decisions import all_decisions
from bridge.store.writer import Priority
from bridge.sync.identity.decide import decide, new_decision
from bridge.sync.identity.review import suggestions
from bridge.sync.runtime import Runtime
from bridge.testing.context import Clock
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_pipedrive.sandbox import PipedriveSandbox
from bridge_whatsapp.sandbox import BUSINESS, Sender, batch, serialise, text_message

CONFIG = """
company: {{time_zone: America/Sao_Paulo, language: pt}}
store: sqlite:///{folder}/store.db
connections:
  crm:
    connector: {connector}
    settings: {{{settings}, base_url: "{url}"}}
    push: {{timeline: true, fields: false, ask: {{who: [undecided]}}}}
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{account}"
      app_secret: "${{env:ASK_TOKEN}}"
      verify_token: "${{env:ASK_TOKEN}}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as the CRM's users see it."""

    id: str
    subject: str
    text: str
    done: bool
    due: str
    owner: str
    people: set[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crm:
    """One of the two CRMs, and what its users do; `user` is one of them."""

    connector: str
    settings: str
    url: str
    user: str
    person: Callable[[str, str], str]
    tasks: Callable[[], list[Task]]
    change: Callable[[str, str | None, bool], None]
    delete: Callable[[str], None]
    entries: Callable[[str], int]

    def task_of(self, name: str) -> Task:
        (task,) = [one for one in self.tasks() if name in one.subject]
        return task


@contextmanager
def hubspot(clock: Clock) -> Iterator[Crm]:
    with HubSpotSandbox(clock=clock) as hub:
        owner = hub.add_owner("rui@example.com", "Rui", "Costa")

        def tasks() -> list[Task]:
            return [
                Task(
                    id=str(one["id"]),
                    subject=one["properties"]["hs_task_subject"],
                    text=one["properties"]["hs_task_body"],
                    done=one["properties"]["hs_task_status"] == "COMPLETED",
                    due=one["properties"]["hs_timestamp"],
                    owner=one["properties"].get("hubspot_owner_id", ""),
                    people=set(one["links"]["contacts"]),
                )
                for one in hub.objects("tasks")
            ]

        def change(id_: str, text: str | None, done: bool) -> None:
            status = {"hs_task_status": "COMPLETED" if done else "NOT_STARTED"}
            hub.edit("tasks", id_, {**status, **({"hs_task_body": text} if text else {})}, by=owner)

        yield Crm(
            connector="hubspot",
            settings='token: "${env:ASK_TOKEN}"',
            url=hub.url,
            user=owner,
            person=lambda name, number: hub.create(
                "contacts", {"firstname": name, "phone": number, "hubspot_owner_id": owner}
            ),
            tasks=tasks,
            change=change,
            delete=lambda id_: hub.delete("tasks", id_),
            entries=lambda id_: sum(one["type"] == "communications" for one in hub.timeline(id_)),
        )


@contextmanager
def pipedrive(clock: Clock) -> Iterator[Crm]:
    with PipedriveSandbox(clock=clock) as pipe:
        pipe.levers.subscribe("ultimate")
        user = pipe.add_user("Rui Costa", "rui@example.com")

        def tasks() -> list[Task]:
            return [
                Task(
                    id=str(one["id"]),
                    subject=str(one["subject"]),
                    text=str(one["note"]),
                    done=one["done"] is True,
                    due=str(one["due_date"]),
                    owner=str(one["owner_id"]),
                    people={str(row["person_id"]) for row in one["participants"]},
                )
                for one in pipe.objects("activities")
                if not str(one["subject"]).startswith("WhatsApp,")
            ]

        def person(name: str, number: str) -> str:
            phones = [{"value": number, "primary": True}]
            return pipe.create("persons", {"name": name, "phones": phones, "owner_id": int(user)})

        yield Crm(
            connector="pipedrive",
            settings='api_token: "${env:ASK_TOKEN}", webhook_password: "${env:ASK_TOKEN}", plan: ultimate',
            url=pipe.url,
            user=user,
            person=person,
            tasks=tasks,
            change=lambda id_, text, done: pipe.edit(
                "activities", id_, {"done": done, **({"note": text} if text else {})}
            ),
            delete=lambda id_: pipe.delete("activities", id_),
            entries=lambda id_: sum(
                str(one.get("subject")).startswith("WhatsApp,") for one in pipe.timeline("persons", id_)
            ),
        )


@pytest.fixture(params=[hubspot, pipedrive], ids=["hubspot", "pipedrive"])
def crm(request: pytest.FixtureRequest, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crm]:
    monkeypatch.setenv("ASK_TOKEN", "test-token")
    with request.param(clock) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 18, 15, 0, tzinfo=UTC))


@contextmanager
def running(folder: Path, crm: Crm, clock: Clock) -> Iterator[Runtime]:
    text = CONFIG.format(
        folder=folder, connector=crm.connector, settings=crm.settings, url=crm.url, account=BUSINESS.waba
    )
    config = parse_config(text, file="test", folder=folder)
    with open_runtime(config, lock_as="test", clock=clock) as runtime:
        for connection in runtime.connections.values():
            learn_account(runtime, connection)
        yield runtime


def sync(runtime: Runtime, clock: Clock, *, rests: bool = False) -> int:
    """Sync until nothing is written any more, and return how many writes there were."""
    total = 0
    while True:
        clock.sleep(60)
        number = runtime.writer.run(runs.start_run, "sync", clock(), priority=Priority.LIVE)
        assert not cycle.pull(runtime, runtime.connections["crm"], run=number, force=True, whole=True).errors
        cycle.settle_inbox(runtime, run=number)
        written = cycle.deliver_all(runtime, runtime.connections["crm"], run=number, rests=rests).written
        if not written:
            return total
        total += written


def message(number: int, text: str, at: datetime, name: str = "Zé") -> bytes:
    return serialise(batch([text_message(Sender(name=name, wa_id=phone(number)), text, at=at)]))


def test_what_is_answered_in_a_task_is_decided_and_the_messages_stand_there(
    tmp_path: Path, crm: Crm, clock: Clock
) -> None:
    ana, bia = crm.person("Ana Souza", f"+{phone(0)}"), crm.person("Bia Lima", f"+{phone(0)}")
    clock.sleep(3600)
    with running(tmp_path, crm, clock) as runtime:
        receive(runtime, iter([message(0, "Vocês entregam <hoje>?", clock() - timedelta(minutes=5))]))
        assert sync(runtime, clock) == 1
        (task,) = crm.tasks()
        assert (task.people, task.owner, task.done, task.due[:10]) == (
            {ana, bia},
            crm.user,
            False,
            "2026-11-20",
        )
        assert task.subject == 'Quem é WhatsApp +55 11 97314-1593, "Zé"? Ana Souza ou Bia Lima'
        assert (
            f"2  Bia Lima, contato {bia}: mesmo número +55 11 97314-1593<br><br>RESPOSTA: <br>" in task.text
        )
        assert 'qua 18/11 12:55: "Vocês entregam &lt;hoje&gt;?"<br>' in task.text
        assert (crm.entries(ana), crm.entries(bia)) == (0, 0)
        typed = task.text.replace("RESPOSTA: <br>", "RESPOSTA:&nbsp;<b>2</b><br>")
        crm.change(task.id, f"<div>{typed}</div>", False)
        assert sync(runtime, clock) == 0, "nobody knows yet whether it is meant"
        crm.change(task.id, None, True)
        told = sync(runtime, clock, rests=True)
        assert bool(told) == (crm.connector == "pipedrive"), "whose activities are a stream"
        clock.sleep(600)
        assert told + sync(runtime, clock, rests=True) == 1
        assert (crm.entries(ana), crm.entries(bia)) == (0, 1)
        assert [one.done for one in crm.tasks()] == [True]
        with runtime.database.read() as c:
            (stated,) = all_decisions(c)
        assert stated.decision.author == "Rui Costa in the CRM"
        assert stated.decision.reason.startswith('answered "2" in ')
        assert list(suggestions(runtime, "undecided")) == []


def test_no_answer_a_deletion_and_a_decision_elsewhere_each_end_a_question(
    tmp_path: Path, crm: Crm, clock: Clock
) -> None:
    people = {
        name: (crm.person(f"{name} Um", f"+{phone(turn)}"), crm.person(f"{name} Dois", f"+{phone(turn)}"))
        for turn, name in enumerate(("Ada", "Bea", "Cid"))
    }
    clock.sleep(3600)
    with running(tmp_path, crm, clock) as runtime:
        receive(runtime, (message(turn, "Oi", clock() - timedelta(minutes=5)) for turn in range(3)))
        assert sync(runtime, clock) == 3
        crm.change(crm.task_of("Ada").id, None, True)
        crm.delete(crm.task_of("Bea").id)
        at = micros(clock())
        assert at is not None
        records = [
            f"whatsapp_id:{phone(2)}",
            runtime.connections["crm"].node_key(
                runtime.connections["crm"].spec.contact_stream, people["Cid"][0]
            ),
        ]
        decide(runtime, new_decision("link", records, (), at=at, author="rui", reason=""))
        assert sync(runtime, clock) == 2, "Cid's entry, and the end of the task"
        assert [crm.entries(one) for both in people.values() for one in both] == [0, 0, 0, 0, 1, 0]
        assert crm.task_of("Cid").done
        assert crm.task_of("Cid").text.startswith("Não se pergunta mais: é Cid Um.<br>")
        (left,) = suggestions(runtime, "undecided")
        assert (
            left.says[-1] == "asked in crm: the task was completed without an answer, by Rui Costa in the CRM"
        )
        assert {one.subject.split("? ")[1] for one in crm.tasks()} == {
            "Ada Um ou Ada Dois",
            "Cid Um ou Cid Dois",
        }
        assert len(crm.tasks()) == 2
    with running(tmp_path, crm, clock) as runtime:
        assert sync(runtime, clock) == 0
