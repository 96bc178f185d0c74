"""Deals move along: an entry that turns out to belong to another contact leaves the one's deal for the other's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.delivery import bodies, phone, receive
from bridge.config import parse_config
from bridge.engine import cycle
from bridge.engine.opening import learn_account, open_runtime
from bridge.store import runs
from bridge.store.writer import Priority
from bridge.sync.runtime import Runtime
from bridge.testing.context import Clock
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_pipedrive.sandbox import PipedriveSandbox
from bridge_whatsapp.sandbox import BUSINESS

CONFIG = """
company: {{time_zone: America/Sao_Paulo}}
store: sqlite:///{folder}/store.db
connections:
  crm:
    connector: {connector}
    settings: {{{settings}, base_url: "{url}"}}
    push: {{timeline: true, fields: false}}
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{account}"
      app_secret: "${{env:DEALS_TOKEN}}"
      verify_token: "${{env:DEALS_TOKEN}}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crm:
    """One of the two CRMs, as these tests need it: what people do there, and what an entry stands on."""

    settings: str
    url: str
    person: Callable[[str, str], str]
    deal: Callable[[str], str]
    call: Callable[[str, str], None]
    entry: Callable[[], tuple[str, set[str], set[str]]]
    put_on: Callable[[str, str], None]


@contextmanager
def hubspot(clock: Clock) -> Iterator[Crm]:
    with HubSpotSandbox(clock=clock) as hub:

        def deal(contact: str) -> str:
            made = hub.create("deals", {"dealname": "Fornos", "pipeline": "default", "dealstage": STAGE})
            hub.associate("deals", made, "contacts", contact)
            return made

        def entry() -> tuple[str, set[str], set[str]]:
            *_, one = hub.objects("communications")
            links = one["links"]
            return one["id"], set(links.get("contacts", ())), set(links.get("deals", ()))

        yield Crm(
            settings='token: "${env:DEALS_TOKEN}"',
            url=hub.url,
            person=lambda name, number: hub.create("contacts", {"firstname": name, "phone": number}),
            deal=deal,
            call=lambda contact, number: hub.edit("contacts", contact, {"phone": number or None}),
            entry=entry,
            put_on=lambda id_, deal_id: hub.associate("communications", id_, "deals", deal_id),
        )


STAGE = "appointmentscheduled"


@contextmanager
def pipedrive(clock: Clock) -> Iterator[Crm]:
    with PipedriveSandbox(clock=clock) as pipe:
        pipe.levers.subscribe("ultimate")

        def phones(number: str) -> list[dict[str, Any]]:
            return [{"value": number, "primary": True}] if number else []

        def entry() -> tuple[str, set[str], set[str]]:
            *_, one = [row for row in pipe.objects("activities") if not row.get("is_deleted")]
            people = {str(row["person_id"]) for row in one.get("participants") or ()}
            return str(one["id"]), people, {str(one["deal_id"])} if one.get("deal_id") else set()

        yield Crm(
            settings='api_token: "${env:DEALS_TOKEN}", webhook_password: "${env:DEALS_TOKEN}", plan: ultimate',
            url=pipe.url,
            person=lambda name, number: pipe.create("persons", {"name": name, "phones": phones(number)}),
            deal=lambda contact: pipe.create("deals", {"title": "Fornos", "person_id": int(contact)}),
            call=lambda contact, number: pipe.edit("persons", contact, {"phones": phones(number)}),
            entry=entry,
            put_on=lambda id_, deal_id: pipe.edit("activities", id_, {"deal_id": int(deal_id)}),
        )


@pytest.fixture(params=[hubspot, pipedrive], ids=["hubspot", "pipedrive"])
def crm(request: pytest.FixtureRequest, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crm]:
    monkeypatch.setenv("DEALS_TOKEN", "test-token")
    with request.param(clock) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC))


@contextmanager
def running(folder: Path, crm: Crm, clock: Clock, connector: str) -> Iterator[Runtime]:
    text = CONFIG.format(
        folder=folder, connector=connector, settings=crm.settings, url=crm.url, account=BUSINESS.waba
    )
    config = parse_config(text, file="test", folder=folder)
    with open_runtime(config, lock_as="test", clock=clock) as runtime:
        for connection in runtime.connections.values():
            learn_account(runtime, connection)
        yield runtime


def sync(runtime: Runtime, clock: Clock) -> int:
    """Sync until nothing is written any more, and return how many writes there were."""
    total = 0
    while True:
        clock.sleep(60)
        number = runtime.writer.run(runs.start_run, "sync", clock(), priority=Priority.LIVE)
        assert not cycle.pull(runtime, runtime.connections["crm"], run=number, force=True, whole=True).errors
        cycle.settle_inbox(runtime, run=number)
        written = cycle.deliver_all(runtime, runtime.connections["crm"], run=number).written
        if not written:
            return total
        total += written


@pytest.fixture
def two(tmp_path: Path, crm: Crm, clock: Clock, request: pytest.FixtureRequest) -> Iterator[Two]:
    """A message of Ana's number, written on Ana and her deal; Bia has a deal of her own."""
    name = request.node.callspec.params["crm"].__name__
    ana, bia = crm.person("Ana Souza", f"+{phone(0)}"), crm.person("Bia Lima", "")
    first, second = crm.deal(ana), crm.deal(bia)
    clock.sleep(3600)
    with running(tmp_path, crm, clock, name) as runtime:
        receive(runtime, bodies(1, 1, clock() - timedelta(minutes=5)))
        sync(runtime, clock)
        _, people, deals = crm.entry()
        assert (people, deals) == ({ana}, {first})
        yield Two(crm=crm, runtime=runtime, ana=ana, bia=bia, first=first, second=second)


@dataclass(frozen=True, slots=True, kw_only=True)
class Two:
    crm: Crm
    runtime: Runtime
    ana: str
    bia: str
    first: str
    second: str

    def number_turns_out_to_be_bias(self) -> None:
        self.crm.call(self.ana, "")
        self.crm.call(self.bia, f"+{phone(0)}")


def test_an_entry_that_moves_leaves_the_deal_of_the_one_for_the_others(two: Two, clock: Clock) -> None:
    two.number_turns_out_to_be_bias()
    assert sync(two.runtime, clock) == 2
    assert two.crm.entry()[1:] == ({two.bia}, {two.second})
    two.crm.call(two.bia, "")
    two.crm.call(two.ana, f"+{phone(0)}")
    assert sync(two.runtime, clock) == 2
    assert two.crm.entry()[1:] == ({two.ana}, {two.first})


def test_an_entry_moves_off_a_deal_where_the_other_has_none_or_two(two: Two, clock: Clock) -> None:
    two.crm.deal(two.bia)
    clock.sleep(60)
    two.number_turns_out_to_be_bias()
    sync(two.runtime, clock)
    people, deals = two.crm.entry()[1:]
    assert people == {two.bia}
    assert deals <= {two.second}, "a deal made after the message is none of its"
    assert two.first not in deals


def test_a_deal_that_a_person_chose_for_an_entry_stays(two: Two, clock: Clock) -> None:
    chosen = two.crm.deal(two.ana)
    entry, *_ = two.crm.entry()
    two.crm.put_on(entry, chosen)
    two.number_turns_out_to_be_bias()
    sync(two.runtime, clock)
    people, deals = two.crm.entry()[1:]
    assert people == {two.bia}
    assert chosen in deals
    assert two.second not in deals


def test_while_somebody_has_two_deals_a_chat_goes_on_where_it_began(two: Two, clock: Clock) -> None:
    began, *_ = two.crm.entry()
    another = two.crm.deal(two.ana)
    clock.sleep(36 * 3600)
    receive(two.runtime, bodies(1, 1, clock() - timedelta(minutes=5)))
    sync(two.runtime, clock)
    later, people, deals = two.crm.entry()
    assert later != began
    assert (people, deals) == ({two.ana}, {two.first})
    assert another != two.first
