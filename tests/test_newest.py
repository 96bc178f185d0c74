"""`owns: newest`: of two values the one that was said later counts, where the CRM tells since when it has its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.delivery import bodies, phone, receive
from benchmarks.measure import ROOT
from bridge.config import parse_config
from bridge.connector import Sink
from bridge.engine.opening import learn_account, open_runtime
from bridge.errors import Rejected
from bridge.model import FieldTimes, Json
from bridge.store.ledger import FieldState
from bridge.sync.delivery.plan import plan_person
from bridge.sync.delivery.plan_contact import ages_to_ask
from bridge.sync.delivery.plan_values import Action, Destination, PersonState
from bridge.sync.delivery.present import with_ages
from bridge.sync.delivery.since import said_since
from bridge.testing.context import Clock
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_whatsapp.sandbox import BUSINESS
from tests.test_deals import sync
from tests.test_plan import destination, person, said

__all__ = ["destination"]

FIRST_SEEN = datetime(2026, 11, 20, 11, tzinfo=UTC)
VIEW = {"source": "ad", "first_seen_at": FIRST_SEEN.isoformat()}
BEFORE, AFTER = FIRST_SEEN - timedelta(seconds=1), FIRST_SEEN + timedelta(seconds=1)


def at(minute: int) -> datetime:
    return datetime(2026, 11, 20, 11, minute, tzinfo=UTC)


def filled(view: Mapping[str, Json] = VIEW, **more: Any) -> PersonState:
    return replace(person(view=view), **{"present": {"source": "fair"}, "present_since": {}, **more})


def planned(state: PersonState, destination: Destination) -> Action:
    (action,) = plan_person(state, replace(destination, dated=True))
    return action


@pytest.mark.parametrize(("there", "changes"), [(BEFORE, {"source": "ad"}), (FIRST_SEEN, {}), (AFTER, {})])
def test_the_later_of_two_values_counts(
    destination: Destination, there: datetime, changes: dict[str, Json]
) -> None:
    action = planned(filled(present_since={"source": there}), destination)
    assert {one.field: one.after for one in action.changes if action.kind == "fields"} == changes
    assert action.kind == "fields" or f"since {there:%Y-%m-%d %H:%M} UTC" in action.reason


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (filled(), "which does not tell since when"),
        (
            filled(view={"source": "ad"}, present_since={"source": BEFORE}),
            "nothing tells since when the journey",
        ),
    ],
    ids=["the CRM's is not known", "the journey's is not known"],
)
def test_a_value_whose_age_is_not_known_overwrites_nothing_and_is_told(
    destination: Destination, state: PersonState, why: str
) -> None:
    conflict = planned(state, destination)
    assert (conflict.kind, conflict.write) == ("conflict", None)
    assert why in conflict.reason


def test_what_we_wrote_and_nobody_edited_gives_way_to_what_the_journey_says_now(
    destination: Destination,
) -> None:
    ours = {"source": FieldState(sent="fair", as_read=None)}
    action = planned(filled(written=ours, present_since={"source": AFTER}), destination)
    assert action.write is not None and action.write.fields == {"source": "ad"}


def test_an_edit_of_what_we_wrote_stays_until_the_journey_says_something_else(
    destination: Destination,
) -> None:
    ours = {"source": FieldState(sent="ad", as_read=None)}
    state = filled(written=ours, present_since={"source": BEFORE})
    assert plan_person(state, replace(destination, dated=True)) == []


def test_the_age_is_asked_only_where_it_decides(destination: Destination) -> None:
    dated = replace(destination, dated=True)
    assert ages_to_ask(filled(), dated) == ("source",)
    assert ages_to_ask(filled(), destination) == ()
    assert ages_to_ask(filled(view={"source": "ad"}), dated) == ()
    assert ages_to_ask(replace(filled(), present={"source": "ad"}), dated) == ()
    assert ages_to_ask(replace(filled(), present=None), dated) == ()


@pytest.mark.parametrize(
    ("there", "fills"), [({}, True), ({"source": BEFORE}, True), ({"source": AFTER}, False)]
)
@pytest.mark.parametrize("written", [{}, {"source": FieldState(sent="fair", as_read=None)}])
def test_what_a_person_emptied_later_stays_empty(
    destination: Destination, there: Mapping[str, datetime], fills: bool, written: Mapping[str, FieldState]
) -> None:
    emptied = filled(present={"source": None}, present_since=there, written=written)
    assert ages_to_ask(emptied, replace(destination, dated=True)) == ("source",)
    assert (planned(emptied, destination).kind == "fields") == fills


@pytest.mark.parametrize("as_read", [None, ""])
def test_what_we_emptied_ourselves_is_filled_again(destination: Destination, as_read: str | None) -> None:
    ours = {"source": FieldState(sent="", as_read=as_read)}
    undone = filled(present={"source": None}, present_since={"source": AFTER}, written=ours)
    assert ages_to_ask(undone, replace(destination, dated=True)) == ()
    assert planned(undone, destination).kind == "fields"


def test_what_is_dated_in_the_future_overwrites_nothing_until_then(destination: Destination) -> None:
    state = filled(present_since={"source": BEFORE})
    early = replace(destination, as_of=FIRST_SEEN - timedelta(hours=1))
    conflict = planned(state, early)
    assert (conflict.kind, conflict.write) == ("conflict", None)
    assert "which is yet to come" in conflict.reason
    assert ages_to_ask(state, replace(early, dated=True)) == ()
    assert planned(state, replace(destination, as_of=FIRST_SEEN)).kind == "fields"


class Telling:
    """A CRM that tells since when of contacts but refuses to of one."""

    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        for id_ in ids:
            if id_ == "1":
                raise Rejected("Give the user of the key the right to do this.")
            yield FieldTimes(id=id_, at=dict.fromkeys(fields, BEFORE))


def test_a_refusal_to_tell_since_when_is_of_the_one_contact_alone(destination: Destination) -> None:
    states = [filled(contacts=(id_,), present_since=None) for id_ in ("1", "2")]
    told = with_ages(cast(Sink, Telling()), replace(destination, dated=True), states)
    assert [state.present_since for state in told] == [{}, {"source": BEFORE}]


def test_before_the_crm_is_asked_a_value_that_may_be_overwritten_counts_as_one_that_is(
    destination: Destination,
) -> None:
    unasked = replace(filled(), present_since=None)
    assert planned(unasked, destination).kind == "fields"
    (action,) = plan_person(unasked, destination)
    assert action.kind == "conflict"


def talk(number: int, name: str, value: str = "+55119", **more: Any) -> Any:
    who = {
        "role": "from",
        "side": "customer",
        "display_name": name,
        "handles": [{"kind": "phone", "value": value}],
    }
    return said(number, **{"participants": [who], **more})


def test_a_name_counts_since_its_bearer_goes_by_it_without_a_break() -> None:
    talks = [talk(1, "Ana"), talk(2, "Bia"), talk(3, "Ana"), talk(4, ""), talk(5, "Ana")]
    others = [talk(6, "Rui", "+351"), talk(7, "Our man", direction="outbound")]
    state = person(*others, *reversed(talks), view={"display_name": "Ana"}, handles=frozenset({"+55119"}))
    assert said_since(state, ["display_name"]) == at(3)
    gone = replace(state, view={"display_name": "Bia"})
    assert said_since(gone, ["display_name"]) is None


def test_an_address_counts_since_it_was_used_first() -> None:
    talks = [talk(2, "Ana"), talk(3, "Ana", "+55118"), talk(1, "Rui", "+351")]
    state = person(*talks, view={"phone": "+55118"}, handles=frozenset({"+55119", "+55118"}))
    assert said_since(state, ["phone"]) == at(3)
    assert said_since(replace(state, view={"phone": "+351"}), ["phone"]) is None


def test_nobody_said_anything_after_our_own_server_took_it_in(destination: Destination) -> None:
    state = person(talk(9, "Ana", received_at=at(2).isoformat()), view={"channels": "whatsapp"})
    assert said_since(state, ["channels"]) == at(2)


def test_what_a_field_is_made_of_counts_since_its_last_part_does() -> None:
    talks = [talk(1, "Ana"), talk(2, "Ana", channel="email"), talk(3, "Ana")]
    view = {
        **VIEW,
        "channels": "email, whatsapp",
        "waiting_since": at(3).isoformat(),
        "waiting_channel": "whatsapp",
    }
    state = person(*talks, view=view)
    assert said_since(state, ["channels"]) == at(2)
    assert said_since(state, ["channels", "source", "phone"]) == at(2)
    assert said_since(state, ["channels", "waiting_channel"]) == at(3)
    assert said_since(state, ["channels", "person_id"]) == at(2)
    assert said_since(state, []) is None


CONFIG = """
company: {{time_zone: America/Sao_Paulo}}
store: sqlite:///{folder}/store.db
connections:
  crm:
    connector: hubspot
    mapping: {folder}/hubspot.yaml
    settings: {{token: "${{env:NEWEST_TOKEN}}", base_url: "{url}"}}
    push: {{timeline: true}}
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{account}"
      app_secret: "${{env:NEWEST_TOKEN}}"
      verify_token: "${{env:NEWEST_TOKEN}}"
"""


def test_only_what_hubspot_says_since_before_the_customer_wrote_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWEST_TOKEN", "test-token")
    shipped = (ROOT / "mappings" / "hubspot.yaml").read_text(encoding="utf-8").partition("\ntests:")[0]
    always = "crmbridge_channels: {from: channels, owns: always}"
    assert always in shipped
    ours = shipped.replace(always, "jobtitle: {from: channels, owns: newest}")
    (tmp_path / "hubspot.yaml").write_text(ours, encoding="utf-8")
    clock = Clock(datetime.now(UTC))
    with HubSpotSandbox(clock=clock) as hub:

        def contact(number: int, title: str) -> str:
            known = {"firstname": f"C{number}", "phone": f"+{phone(number)}", "jobtitle": title}
            return hub.create("contacts", known)

        def titles() -> dict[str, Json]:
            return {
                one["properties"]["firstname"]: one["properties"]["jobtitle"]
                for one in hub.objects("contacts")
            }

        early, late = contact(0, "Chef"), contact(1, "Trainee")
        clock.sleep(3600)
        wrote = clock()
        clock.sleep(3600)
        hub.edit("contacts", late, {"jobtitle": "Buyer"})
        text = CONFIG.format(folder=tmp_path, url=hub.url, account=BUSINESS.waba)
        config = parse_config(text, file="test", folder=tmp_path)
        with open_runtime(config, lock_as="test", clock=clock) as runtime:
            for connection in runtime.connections.values():
                learn_account(runtime, connection)
            receive(runtime, bodies(2, 2, wrote))
            sync(runtime, clock)
            assert titles() == {"C0": "whatsapp", "C1": "Buyer"}
            hub.edit("contacts", early, {"jobtitle": "Owner"})
            sync(runtime, clock)
            assert titles() == {"C0": "Owner", "C1": "Buyer"}
