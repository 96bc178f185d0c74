"""Mass changes: counted before anything is written, held with their cause, released by a person or by mending."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.engine import commands
from bridge.engine.cycle import PEOPLE
from bridge.engine.local import Daemon
from bridge.errors import ConfigError
from bridge.model import Field
from bridge.store import mass, runs
from bridge.store.mass import Hold
from bridge.sync.delivery import mass as guards
from tests.outside import Office, running, until
from tests.sync_world import MAPPING, PUSH, World

MANY = 12
LIMIT = 5
FEW: dict[str, Any] = {**PUSH, "hold_above": {"number": LIMIT, "share": 0.0}}

SHOUTING = MAPPING.replace(
    "waiting_since: {from: waiting_since, owns: always, clear: true}",
    "waiting_since: {template: 'since {waiting_since}', owns: always}",
)
"""Another value in a field of every contact."""

LINE = next(number for number, line in enumerate(SHOUTING.splitlines(), 1) if "waiting_since: {temp" in line)


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path, push=FEW) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, push=FEW) as made:
        yield made


def number(index: int) -> str:
    return f"55119739{index:05d}"


def fill(world: World, count: int = MANY) -> None:
    """Let so many contacts have written once, and everything be told."""
    for index in range(count):
        world.contact(name=f"Person {index}", phone=f"+{number(index)}")
    for index in range(count):
        world.message(f"m{index}", number(index))
    world.settled()


def held(world: World) -> Hold | None:
    assert world.crm.account_pk is not None
    with world.runtime.database.read() as c:
        return mass.load_hold(c, world.crm.account_pk)


def values(world: World) -> set[str]:
    return {str(one.get("waiting_since"))[:5] for one in world.there("contacts")}


def shout(world: World) -> Hold:
    """Change every contact's value by the mapping, and return what is held of it."""
    world.remap_to(SHOUTING)
    world.start()
    assert world.sync().written == 0
    found = held(world)
    assert found is not None
    return found


def approve(world: World, run: int) -> None:
    commands.approve(world.runtime, {"run": run})


def test_a_first_sync_of_many_people_is_no_change(world: World) -> None:
    fill(world)
    assert held(world) is None
    assert len(world.told()) == MANY
    assert values(world) == {"2026-"}


def test_an_edited_mapping_that_changes_many_contacts_is_held_whole(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    fill(world)
    world.remap_to(SHOUTING)
    world.start()
    world.message("m90", number(90), name="Somebody new")
    before = [dict(one) for one in world.there("contacts")]
    with caplog.at_level(logging.INFO, logger="crmbridge"):
        assert world.sync().written == 0
        assert world.sync().written == 0
    assert world.there("contacts") == before
    assert "m90" not in world.told(), "nothing is written, not even what is new"
    assert world.stream("messages")["mapped"] == MANY + 1, "collecting goes on"
    found = held(world)
    assert found is not None
    file = world.home / "mapping.yaml"
    assert re.fullmatch(
        rf"Held run {found.run}: would change {MANY} of {MANY} contacts \(limit {LIMIT}\)\."
        rf" Cause: {re.escape(str(file))}:{LINE}, edited [\d: -]+\."
        rf" Nothing written; collecting continues\. Look: crmbridge plan\."
        rf" Release: crmbridge approve {found.run}",
        str(found),
    )
    with world.runtime.database.read() as c:
        last = runs.latest_run(c, "delivery")
    assert last is not None
    assert (last["number"], last["outcome"]) == (found.run, "held")
    assert {name: last["counts"][name] for name in ("connection", "count", "limit")} == {
        "connection": "crm",
        "count": MANY,
        "limit": LIMIT,
    }
    assert [message for message in caplog.messages if "Held run" in message] == [f"crm: {found}"]


def test_the_crm_is_asked_for_nothing_about_what_is_held(small: World) -> None:
    fill(small)
    small.remap_to(SHOUTING)
    small.start()
    asked: list[str] = []
    for method in ("find", "read", "push", "locate"):
        small.acts["crm"][method] = lambda *_, method=method: asked.append(method) or iter(())
    small.sync()
    assert held(small) is not None
    assert asked == []


def test_what_a_person_approves_is_written_and_what_follows_is_not_held(world: World) -> None:
    fill(world)
    found = shout(world)
    approve(world, found.run)
    assert world.sync().counts["fields"] == MANY
    assert held(world) is None
    assert values(world) == {"since"}
    assert world.sync().written == 0
    with pytest.raises(ConfigError, match=rf"run {found.run} holds nothing: .* Nothing is held\."):
        approve(world, found.run)


def test_a_mended_mapping_releases_itself(world: World) -> None:
    fill(world)
    world.message("m90", number(90), name="Somebody new")
    shout(world)
    world.remap_to(MAPPING)
    world.start()
    world.settled()
    assert held(world) is None
    assert values(world) == {"2026-"}
    assert world.told()["m90"] == 1


def test_what_grew_by_more_than_the_limit_after_its_approval_is_held_again(small: World) -> None:
    fill(small)
    first = shout(small)
    approve(small, first.run)
    small.remap_to(SHOUTING.replace("'since {waiting_since}'", "'ever since {waiting_since}'"))
    small.start()
    assert small.sync().written == 0
    second = held(small)
    assert second is not None
    assert second.run > first.run
    with pytest.raises(ConfigError, match=rf"run {first.run} holds nothing.* Held run {second.run}:"):
        approve(small, first.run)


def test_a_change_below_the_limit_is_written(small: World) -> None:
    fill(small, LIMIT)
    small.remap_to(SHOUTING)
    small.start()
    assert small.sync().counts["fields"] == LIMIT
    assert held(small) is None


def test_the_limit_is_a_share_of_the_contacts_where_that_is_more(tmp_path: Path) -> None:
    push = {**PUSH, "hold_above": {"number": 2, "share": 0.5}}
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, push=push) as world:
        for index in range(MANY):
            world.contact(name=f"Nobody {index}", phone=f"+{number(100 + index)}")
        fill(world)
        world.remap_to(SHOUTING)
        world.start()
        assert world.sync().counts["fields"] == MANY, "12 of 24 contacts are no more than half"


def test_entries_that_would_move_en_masse_are_held(small: World) -> None:
    """As after an import that gave every number to another contact."""
    fill(small)
    stood = {entry["id"]: entry["contact"] for entry in small.there("entries")}
    for contact in small.there("contacts"):
        small.change("crm", "contacts", contact["id"], phone="")
        small.contact(name=contact["name"], phone=contact["phone"])
    assert small.sync().written == 0
    found = held(small)
    assert found is not None
    assert found.count == MANY
    assert {entry["id"]: entry["contact"] for entry in small.there("entries")} == stood
    approve(small, found.run)
    small.settled()
    moved = {entry["id"]: entry["contact"] for entry in small.there("entries")}
    assert not set(moved.values()) & set(stood.values())


def test_a_raised_limit_releases_what_it_allows(small: World) -> None:
    fill(small)
    shout(small)
    small.push = {**PUSH, "hold_above": {"number": MANY}}
    small.start()
    assert small.sync().counts["fields"] == MANY
    assert held(small) is None


def test_a_field_that_an_admin_makes_is_filled_at_once(tmp_path: Path) -> None:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, push=FEW) as world:
        more = MAPPING.replace(
            "waiting_since: {from: waiting_since, owns: always, clear: true}",
            "waiting_since: {from: waiting_since, owns: always, clear: true}\n"
            "      reach: {from: channels, owns: always}",
        ).replace("label: Waits since}", "label: Waits since}\n    - {name: reach, label: Channels}")
        world.remap_to(more)
        world.start()
        fill(world)
        assert all("reach" not in one for one in world.there("contacts"))
        world.crm.connector.create("contacts", [Field(name="reach")])  # type: ignore[attr-defined]
        world.start()
        world.settled()
        assert held(world) is None
        assert {one["reach"] for one in world.there("contacts")} == {"whatsapp"}


def test_many_who_write_again_are_no_mass_change(small: World) -> None:
    fill(small)
    small.clock.sleep(86_400)
    for index in range(MANY):
        at = "2026-11-21T11:00:00Z"
        small.message(f"m{20 + index}", number(index), at=at, thread=f"t{index}")
        small.message("Obrigado", number(index), at=at, direction="outbound", thread=f"t{index}")
    small.settled()
    assert held(small) is None
    assert len(small.told()) == 2 * MANY


def test_a_first_value_that_may_overwrite_what_people_entered_is_held(small: World) -> None:
    small.remap_to(
        MAPPING.replace("name: {from: display_name, owns: if_empty}", "name: {const: X, owns: always}")
    )
    small.start()
    for index in range(MANY):
        small.contact(name=f"Person {index}", phone=f"+{number(index)}")
        small.message(f"m{index}", number(index))
    assert small.sync().written == 0
    found = held(small)
    assert found is not None
    assert found.count == MANY
    assert "the first values for contacts that the CRM has already" in found.cause
    assert {one["name"] for one in small.there("contacts")} == {f"Person {index}" for index in range(MANY)}


def test_a_source_that_is_suddenly_empty_empties_nothing(tmp_path: Path) -> None:
    """Fewer than the limit, but all there are."""
    push = {**PUSH, "hold_above": {"number": 50, "share": 0.5}}
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, push=push) as world:
        fill(world)
        world.remap_to(
            MAPPING.replace(
                "waiting_since: {from: waiting_since", "waiting_since: {from: waiting_kindness"
            ).replace("waiting_kindness", "last_outbound_at")
        )
        world.start()
        assert world.sync().written == 0
        found = held(world)
        assert found is not None
        assert f"would empty waiting_since on {MANY} contacts, all that have it, (limit 50)" in str(found)
        approve(world, found.run)
        world.settled()
        assert {one.get("waiting_since") for one in world.there("contacts")} == {""}


def test_records_that_were_deleted_en_masse_are_named_as_the_cause(small: World) -> None:
    fill(small)
    for index in range(MANY):
        small.message("reply", number(index), direction="outbound", at="2026-11-20T11:30:00Z")
    small.settled()
    assert {one.get("waiting_since") for one in small.there("contacts")} == {""}
    for index in range(MANY):
        small.change("chat", "messages", str(MANY + index + 1), deleted=True)
    assert small.sync().written == 0
    found = held(small)
    assert found is not None
    assert f"{MANY} messages of chat, deleted there since" in found.cause


def test_a_change_that_trickles_in_is_held_once_it_has_come_to_much(small: World) -> None:
    fill(small)
    for index in range(MANY):
        small.message("reply", number(index), direction="outbound", at="2026-11-20T11:30:00Z")
    small.settled()
    written = 0
    for index in range(MANY):
        small.change("chat", "messages", str(MANY + index + 1), deleted=True)
        written += small.sync().counts["fields"]
    assert written == LIMIT
    found = held(small)
    assert found is not None
    assert f"after {LIMIT} in the last hour" in str(found)


def test_a_queue_is_counted_page_by_page(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(small)
    sizes: list[int] = []
    kept = guards.load_states

    def load(c: Any, connection: Any, ids: Any) -> Any:
        sizes.append(len(ids))
        return kept(c, connection, ids)

    monkeypatch.setattr(guards, "PAGE", 5)
    monkeypatch.setattr(guards, "load_states", load)
    found = shout(small)
    assert (found.count, sizes) == (MANY, [5, 5, 2])
    assert PEOPLE >= guards.PAGE
    small.deliver()
    assert sizes == [5, 5, 2], "what did not move was counted again"


def test_a_release_before_a_daemon_counts_is_logged(small: World, caplog: pytest.LogCaptureFixture) -> None:
    fill(small)
    found = shout(small)
    approve(small, found.run)
    caplog.clear()
    daemon = Daemon(small.runtime)
    daemon.start()
    until(lambda: "is released" in caplog.text)
    daemon.stop()
    assert values(small) == {"since"}
    said = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert said == [f"crm: {found}", f"crm: what run {found.run} held is released"]


def test_a_hold_and_its_release_as_a_user_sees_them(office: Office) -> None:
    office.connections["crm"]["push"]["hold_above"] = {"number": LIMIT, "share": 0}
    office.write()
    for index in range(MANY):
        office.put("crm", "contacts", name=f"Person {index}", phone=f"+{number(index)}")
        office.message("Oi", f"+{number(index)}")
    mapping = (Path(__file__).parent.parent / "mappings" / "memory.yaml").read_text()
    (office.home / "mine.yaml").write_text(mapping)
    office.connections["crm"]["mapping"] = "mine.yaml"
    office.write()
    assert office.run("setup", "crm", "--apply").code in (0, 1)
    assert office.run("sync").code == 0
    assert office.run("setup", "crm", "--apply").code == 0
    assert office.run("sync").code == 0
    lines = mapping.splitlines()
    at = next(index for index, line in enumerate(lines) if "owns: always" in line)
    name = lines[at].split(":")[0].strip()
    lines[at] = f"      {name}: {{const: shouting, owns: always}}"
    (office.home / "mine.yaml").write_text("\n".join(lines))
    said = office.run("sync")
    assert said.code == 1
    (run,) = re.findall(r"^crm: Held run (\d+): would change 12 of 12 contacts \(limit 5\)", said.out, re.M)
    assert f"mine.yaml:{at + 1}, edited" in said.out
    assert "SYNC 0 writes" in said.out
    assert f"  ! Held run {run}: would change" in office.run("status").out
    assert f"Held run {run}: would change" in office.run("plan").out.splitlines()[-1]
    result = office.run("sync", "--json")
    assert (result.code, result.json["outcome"]) == (1, "partial")
    assert [one["run"] for one in result.json["held"]] == [int(run)]
    assert office.run("approve", "999").code == 2
    with running(office) as daemon:
        shown = requests.get(f"{daemon.url}/readyz", timeout=60)
        assert shown.status_code == 200
        assert "Held run" in shown.json()["held"][0]
        assert 'crmbridge_held_contacts{connection="crm"} 12.0' in daemon.get("/metrics").text
        released = office.run("approve", run, "--json")
        assert (released.code, released.err) == (0, "")
        assert released.json == {"run": int(run), "connection": "crm", "contacts": 12, "by_daemon": True}
        until(lambda: f"crm: Held run {run}: would change" in daemon.log)
        until(lambda: {one.get(name) for one in office.latest("crm", "contacts").values()} == {"shouting"})
        until(lambda: f"crm: what run {run} held is released" in daemon.log)
        assert daemon.log.count("Held run") == 1
    assert office.run("sync").code == 0
