"""The same value written again and again, because another program copies between two CRMs, stops by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.delivery import bodies, phone, receive
from benchmarks.measure import ROOT
from bridge.config import parse_config
from bridge.engine import commands, cycle
from bridge.engine.opening import learn_account, open_runtime
from bridge.store.holds import ROUNDS, all_holds
from bridge.store.receipts import of_objects
from bridge.sync.delivery.held import told
from bridge.sync.delivery.rounds import MOST, goes_round
from bridge.sync.views.status import overview
from bridge.testing.context import Clock
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_pipedrive.sandbox import PipedriveSandbox
from bridge_whatsapp.sandbox import BUSINESS
from tests.sync_world import MAPPING, World

ANA = "5511973914862"
ALWAYS = MAPPING.replace("display_name, owns: if_empty", "display_name, owns: always")


def turned(name: str) -> str:
    """Write a name as the other program does: surname first, or back."""
    return " ".join(reversed(name.split()))


def name_of(world: World, folder: str) -> str:
    (contact,) = world.there("contacts", folder)
    return str(contact["name"])


class Copier:
    """The third program: what changed in `source` it writes into `into`, in its own spelling."""

    def __init__(self, world: World, source: str, into: str, contact: str) -> None:
        self._world = world
        self._source = source
        self._into = into
        self._contact = contact
        self._seen = name_of(world, source)

    def copy(self) -> None:
        now = name_of(self._world, self._source)
        if now != self._seen:
            self._seen = now
            self._world.change(self._into, "contacts", self._contact, name=turned(now))


@pytest.fixture
def both(tmp_path: Path) -> World:
    return World(
        f"sqlite:///{tmp_path / 'store.db'}",
        tmp_path,
        mapping=ALWAYS,
        crms=("crm", "chat"),
        push={"fields": True},
    )


def exchanged(world: World, rounds: int) -> int:
    """Let both CRMs, the bridge and the copier go on; returns how often a name was written."""
    ids = {
        folder: world.put(folder, "contacts", name="Ana Souza", phone=f"+{ANA}") for folder in ("crm", "chat")
    }
    world.message("m1", ANA)
    world.sync()
    # The journey takes the name of the first of two contacts, so that one leads and the other is written to.
    leads, follows = sorted(ids, key=lambda name: world.runtime.connections[name].account_key)
    copier = Copier(world, follows, leads, ids[leads])
    world.clock.sleep(60)
    world.change(leads, "contacts", ids[leads], name="Souza Ana")
    for _ in range(rounds):
        world.clock.sleep(60)
        world.sync()
        copier.copy()
    with world.runtime.database.read() as c:
        return sum(
            "name" in one.fields
            for name in ids
            for one in of_objects(c, world.runtime.connections[name].account_pk or 0, [ids[name]])
        )


def test_two_crms_copied_by_a_third_program_come_to_rest(both: World) -> None:
    with both:
        written = exchanged(both, 14)
        assert MOST <= written <= 4 * MOST
        before = {name: name_of(both, name) for name in ("crm", "chat")}
        both.clock.sleep(60)
        both.sync()
        assert {name: name_of(both, name) for name in ("crm", "chat")} == before
        with both.runtime.database.read() as c:
            held = told(c, both.runtime, all_holds(c))
        assert {one["reason"] for one in held} == {ROUNDS}
        assert all("contacts" in one["title"] and one["name"] for one in held)
        trail = held[0]["trail"]
        assert sum("crmbridge" in line["by"] for line in trail) >= MOST
        assert any(
            "Ana Souza -> Souza Ana" in line["what"] or "Souza Ana -> Ana Souza" in line["what"]
            for line in trail
        )


def test_what_is_released_goes_on_and_is_counted_anew(both: World) -> None:
    with both:
        exchanged(both, 14)
        with both.runtime.database.read() as c:
            (held, *_) = all_holds(c)
        shown = {one["name"]: one["stopped"] for one in overview(both.runtime)["connections"]}
        assert sum(shown.values()) == 1
        (name,) = (one for one, count in shown.items() if count)
        commands.let_go(both.runtime, {"keys": {name: [held.key]}})
        both.clock.sleep(1)
        assert both.sync().written or name_of(both, "crm") == name_of(both, "chat")
        with both.runtime.database.read() as c:
            assert held.key not in {one.key for one in all_holds(c)}


def test_who_waits_and_is_answered_all_day_is_written_every_time(small: World) -> None:
    small.push = {"fields": True}
    small.start()
    contact = small.contact(name="Ana", phone=f"+{ANA}")
    for number in range(10):
        at = f"{small.clock():%Y-%m-%dT%H:%M:%SZ}"
        inbound = number % 2 == 0
        small.message(f"m{number}", ANA, at=at, direction="inbound" if inbound else "outbound")
        small.sync()
        (shown,) = small.there("contacts")
        assert bool(shown.get("waiting_since")) is inbound, number
        small.clock.sleep(300)
    with small.runtime.database.read() as c:
        assert all_holds(c) == []
        assert len(of_objects(c, small.crm.account_pk or 0, [contact])) >= 10


def test_an_entry_whose_message_changes_to_and_fro_is_left_alone_after_a_few_times(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    message = small.message("m1 yes", ANA)
    small.sync()
    texts = []
    for number in range(10):
        small.clock.sleep(60)
        small.change("chat", "messages", message, text=f"m1 {'no' if number % 2 == 0 else 'yes'}")
        small.sync()
        (entry,) = small.there("entries")
        texts.append(entry["text"])
    assert len(set(texts[-4:])) == 1
    with small.runtime.database.read() as c:
        assert {one.reason for one in all_holds(c)} == {ROUNDS}


CRMS = """
company: {{time_zone: America/Sao_Paulo}}
store: sqlite:///{folder}/store.db
connections:
  hub:
    connector: hubspot
    mapping: {folder}/hubspot.yaml
    settings: {{token: "${{env:ROUNDS_TOKEN}}", base_url: "{hub}"}}
    push: {{fields: true}}
  pipe:
    connector: pipedrive
    mapping: {folder}/pipedrive.yaml
    settings:
      api_token: "${{env:ROUNDS_TOKEN}}"
      webhook_password: "${{env:ROUNDS_TOKEN}}"
      base_url: "{pipe}"
    push: {{fields: true}}
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{account}"
      app_secret: "${{env:ROUNDS_TOKEN}}"
      verify_token: "${{env:ROUNDS_TOKEN}}"
"""


def test_hubspot_and_pipedrive_copied_by_a_third_program_come_to_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUNDS_TOKEN", "test-token")
    clock = Clock(datetime.now(UTC))
    for name in ("hubspot", "pipedrive"):
        text = (ROOT / "mappings" / f"{name}.yaml").read_text(encoding="utf-8").partition("\ntests:")[0]
        for field in ("given_name", "family_name", "[display_name, phone, email]"):
            text = text.replace(f"{field}, owns: if_empty", f"{field}, owns: always")
        (tmp_path / f"{name}.yaml").write_text(text + "\n", encoding="utf-8")
    with (
        HubSpotSandbox(clock=clock) as hub,
        PipedriveSandbox(clock=clock) as pipe,
    ):
        there = hub.create("contacts", {"firstname": "Ana", "lastname": "Souza", "phone": f"+{phone(1)}"})
        pipe.create("persons", {"name": "Ana Souza", "phones": [{"value": f"+{phone(1)}"}]})
        text = CRMS.format(folder=tmp_path, hub=hub.url, pipe=pipe.url, account=BUSINESS.waba)
        config = parse_config(text, file="test", folder=tmp_path)
        with open_runtime(config, lock_as="test", clock=clock) as runtime:
            for connection in runtime.connections.values():
                learn_account(runtime, connection)
            receive(runtime, bodies(2, 2, clock() - timedelta(hours=1)))

            def sync() -> None:
                for name in ("hub", "pipe"):
                    assert not cycle.pull(
                        runtime, runtime.connections[name], run=1, force=True, whole=True
                    ).errors
                cycle.settle_inbox(runtime, run=1)
                for name in ("hub", "pipe"):
                    cycle.deliver_all(runtime, runtime.connections[name], run=1)

            sync()
            seen = "Ana Souza"
            hub.edit("contacts", there, {"firstname": "Souza", "lastname": "Ana"})
            names = []
            for _ in range(12):
                clock.sleep(60)
                sync()
                (person,) = pipe.objects("persons")
                names.append(person["name"])
                if person["name"] != seen:
                    seen = person["name"]
                    first, last = turned(seen).split()
                    hub.edit("contacts", there, {"firstname": first, "lastname": last})
            assert len(set(names[-6:])) == 1, names
            assert 2 <= len(set(names)) <= 3
            with runtime.database.read() as c:
                (held,) = told(c, runtime, all_holds(c))
            assert (held["connection"], held["reason"]) == ("pipe", ROUNDS)
            assert any("of hub changed" in line["what"] for line in held["trail"])


@given(st.lists(st.integers(), unique=True, max_size=12))
@settings(max_examples=25, derandomize=True, deadline=None)
def test_values_that_are_all_new_never_go_round(values: list[int]) -> None:
    assert not any(goes_round(values[:place], values[place]) for place in range(len(values)))
    cleared = [one for value in values for one in (value, None)]
    assert not any(goes_round(cleared[:place], cleared[place]) for place in range(len(cleared)))


@given(st.lists(st.integers(), min_size=1, max_size=4, unique=True))
@settings(max_examples=25, derandomize=True, deadline=None)
def test_any_circle_of_values_is_found_after_as_many_returns(circle: list[int]) -> None:
    values = circle * (MOST + 2)
    stopped = next(place for place in range(len(values)) if goes_round(values[:place], values[place]))
    assert stopped == len(circle) + MOST
