"""Reading HubSpot: nothing skipped where its search lags, ties or moves, and nothing asked that it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from hubspot_world import NOTE_FIELDS, WHEN, World, records, world

from bridge import AuthError, CursorExpired, Unavailable
from bridge_hubspot.source import Position, step, wanted
from bridge_hubspot.words import OBJECTS

NOTES = OBJECTS["notes"]


@pytest.fixture
def portal() -> Iterator[World]:
    with world() as made:
        yield made


def new_note(portal: World, text: str = "Oi!") -> str:
    return portal.hub.create("notes", {"hs_timestamp": WHEN, "hs_note_body": text})


def row(id_: str, ms: int) -> dict[str, Any]:
    at = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()
    return {"id": id_, "properties": {"hs_lastmodifieddate": at}, "updatedAt": at}


def test_a_first_live_pull_leaves_the_past_to_the_backfill(portal: World) -> None:
    portal.move(-3600)
    old = new_note(portal)
    portal.move(3600)
    new = new_note(portal)
    assert [record.id for record in records(portal.pull("notes", "live"))] == [new]
    assert [record.id for record in records(portal.pull("notes", "backfill"))] == [old, new]


def test_hundreds_of_records_of_one_millisecond_come_once_each(portal: World) -> None:
    cursor = portal.pull("notes", "live")[-1].cursor
    portal.stop_the_clock()
    ids = [new_note(portal) for _ in range(450)]
    pages = portal.pull("notes", "live", cursor)
    assert [record.id for record in records(pages)] == ids
    assert "past" not in pages[-1].cursor


def test_what_the_index_learns_late_is_brought_by_the_next_pull(portal: World) -> None:
    cursor = portal.pull("notes", "live")[-1].cursor
    portal.hub.levers.index_lag = 60.0
    late = new_note(portal)
    pages = portal.pull("notes", "live", cursor)
    assert records(pages) == []
    portal.move(61)
    assert [record.id for record in records(portal.pull("notes", "live", pages[-1].cursor))] == [late]


def test_a_live_watermark_stays_behind_the_clock_by_the_look_back(portal: World) -> None:
    new_note(portal)
    watermark = portal.pull("notes", "live")[-1].watermark
    assert watermark is not None
    behind = (portal.now() - watermark).total_seconds()
    assert 120 <= behind < 125


def test_a_cursor_never_moves_back(portal: World) -> None:
    ahead = int((portal.now() + timedelta(hours=1)).timestamp() * 1000)
    assert portal.pull("notes", "live", {"since": ahead})[-1].cursor == {"since": ahead}


def test_live_and_backfill_give_one_record_one_version(portal: World) -> None:
    contact = portal.contact()
    portal.hub.associate("notes", new_note(portal), "contacts", contact)
    (live,) = records(portal.pull("notes", "live", None, NOTE_FIELDS))
    (listed,) = records(portal.pull("notes", "backfill", None, NOTE_FIELDS))
    assert (live.id, live.version, live.modified_at) == (listed.id, listed.version, listed.modified_at)
    assert live.data["associations"] == {"contacts": [contact], "companies": [], "deals": []}
    assert live.data["properties"]["hs_note_body"] == "Oi!"


def test_a_new_link_and_a_newly_mapped_property_are_a_new_version(portal: World) -> None:
    portal.contact(phone="+5511973914862")
    (bare,) = records(portal.pull("contacts", "backfill", None, ["properties.email"]))
    (wider,) = records(portal.pull("contacts", "backfill", None, ["properties.email", "properties.phone"]))
    portal.stop_the_clock()
    portal.hub.associate("contacts", bare.id, "deals", portal.hub.create("deals", {"dealname": "Fornos"}))
    (linked,) = records(portal.pull("contacts", "backfill", None, ["properties.email"]))
    assert len({bare.version, wider.version, linked.version}) == 3


def test_every_link_of_a_busy_record_is_read(portal: World) -> None:
    portal.hub.levers.association_page = 2
    note = new_note(portal)
    contacts = [portal.contact(f"ana{number}") for number in range(5)]
    for contact in contacts:
        portal.hub.associate("notes", note, "contacts", contact)
    (record,) = records(portal.pull("notes", "live"))
    assert record.data["associations"]["contacts"] == contacts


def test_many_properties_are_asked_for_in_bodies_not_in_addresses(portal: World) -> None:
    new_note(portal)
    fields = [*NOTE_FIELDS, *(f"properties.a_property_with_a_long_name_{number}" for number in range(200))]
    for phase in ("live", "backfill"):
        before = len(portal.hub.calls)
        (record,) = records(portal.pull("notes", phase, None, fields))
        assert record.data["properties"]["hs_note_body"] == "Oi!"
        assert "POST notes/batch/read" in portal.calls_since(before)


def test_deals_carry_their_stages_oldest_first(portal: World) -> None:
    deal = portal.hub.create("deals", {"dealname": "Fornos", "dealstage": "qualifiedtobuy"})
    portal.move(5)
    portal.hub.edit("deals", deal, {"dealstage": "closedwon"})
    for phase in ("live", "backfill"):
        (record,) = records(portal.pull("deals", phase, None, ["properties.dealname"]))
        stages = [change["value"] for change in record.data["propertiesWithHistory"]["dealstage"]]
        assert stages == ["qualifiedtobuy", "closedwon"]


def test_many_deals_are_read_in_the_fifties_that_histories_allow(portal: World) -> None:
    for number in range(120):
        portal.hub.create("deals", {"dealname": f"Deal {number}", "dealstage": "qualifiedtobuy"})
    before = len(portal.hub.calls)
    assert len(records(portal.pull("deals", "live"))) == 120
    assert portal.calls_since(before).count("POST deals/batch/read") == 3
    assert [len(page.records) for page in portal.pull("deals", "backfill")] == [50, 50, 20]


def test_the_survivor_of_a_merge_names_those_it_absorbed(portal: World) -> None:
    one, other = portal.contact("one"), portal.contact("other")
    merged = portal.hub.merge("contacts", one, other)
    (record,) = records(portal.pull("contacts", "live"))
    assert record.id == merged
    assert {one, other} <= set(record.data["properties"]["hs_merged_object_ids"].split(";"))


def test_a_sweep_tells_what_was_deleted_and_begins_anew_each_time(portal: World) -> None:
    kept, gone = new_note(portal), new_note(portal)
    portal.hub.delete("notes", gone)
    cursor = None
    for _ in range(2):
        pages = portal.pull("notes", "sweep", cursor)
        cursor = pages[-1].cursor
        assert [(record.id, record.deleted) for record in records(pages)] == [(gone, True)]
    assert kept not in [record.id for record in records(pages)]


def test_a_finished_backfill_asks_nothing_more(portal: World) -> None:
    cursor = portal.pull("notes", "backfill")[-1].cursor
    before = len(portal.hub.calls)
    assert portal.pull("notes", "backfill", cursor) == []
    assert len(portal.hub.calls) == before


def test_owners_and_pipelines_come_whole_each_time(portal: World) -> None:
    pages = portal.pull("owners", "live")
    again = portal.pull("owners", "live", pages[-1].cursor)
    assert {record.id: record.version for record in records(pages)} == {
        record.id: record.version for record in records(again)
    }
    (pipeline,) = records(portal.pull("pipelines", "live"))
    assert [stage["id"] for stage in pipeline.data["stages"]][-2:] == ["closedwon", "closedlost"]


@pytest.mark.parametrize("version", ["v3", "2026-03"])
def test_older_versions_of_the_api_are_read_the_same(version: str) -> None:
    with world(api_version=version) as portal:
        note = new_note(portal)
        portal.hub.associate("notes", note, "contacts", portal.contact())
        assert portal.connector.check().id == "123456"
        for phase in ("live", "backfill"):
            (record,) = records(portal.pull("notes", phase))
            assert len(record.data["associations"]["contacts"]) == 1
        assert len(records(portal.pull("owners", "live"))) == 2
        assert len(records(portal.pull("pipelines", "live"))) == 1


def test_a_missing_scope_is_named(portal: World) -> None:
    portal.hub.levers.missing_scopes = {"crm.objects.deals.read"}
    with pytest.raises(AuthError, match=r"crm\.objects\.deals\.read") as caught:
        portal.pull("deals", "live")
    assert caught.value.missing_scopes == ("crm.objects.deals.read",)


@pytest.mark.parametrize("cursor", ["then", {"after": 7}, {"since": "noon"}, [], 7])
def test_a_cursor_that_is_none_of_ours_starts_again(portal: World, cursor: Any) -> None:
    for phase in ("live", "backfill", "sweep"):
        with pytest.raises(CursorExpired):
            portal.pull("notes", phase, cursor)


def test_a_list_that_stops_moving_is_an_error(portal: World) -> None:
    page = {"results": [], "paging": {"next": {"after": "501"}}}
    with responses.RequestsMock() as wire:
        wire.get(f"{portal.hub.url}/crm/objects/2026-09/notes", json=page)
        with pytest.raises(Unavailable, match="same page twice"):
            portal.pull("notes", "backfill")


def test_only_what_the_mapping_reads_is_asked_for() -> None:
    fields = ["id", "archivedAt", "associations.deals", "properties.email", "properties.tags.*", "phone"]
    assert wanted(NOTES, fields) == ["email", "hs_lastmodifieddate", "phone", "tags"]
    assert "hs_merged_object_ids" in wanted(OBJECTS["contacts"], [])


def test_a_search_position_moves_with_its_rows() -> None:
    start = Position(since=1000, seen=frozenset({"1"}))
    rows = [row("1", 1000), row("2", 1000), row("4", 1005), row("3", 1005)]
    fresh, after, more = step(NOTES, start, rows, True)
    assert [one["id"] for one in fresh] == ["2", "4", "3"]
    assert after == Position(since=1005, seen=frozenset({"3", "4"}))
    assert more


def test_a_page_within_one_millisecond_goes_on_by_id() -> None:
    first = Position(since=1000)
    rows = [row("7", 1000), row("5", 1000)]
    fresh, by_id, _ = step(NOTES, first, rows, True)
    assert [one["id"] for one in fresh] == ["7", "5"]
    assert by_id == Position(since=1000, seen=frozenset({"5", "7"}), past="0")
    fresh, on, _ = step(NOTES, by_id, [row("5", 1000), row("6", 1000)], True)
    assert [one["id"] for one in fresh] == ["6"]
    assert on.past == "6"
    fresh, after, more = step(NOTES, on, [row("7", 1000), row("8", 1000)], False)
    assert ([one["id"] for one in fresh], after, more) == (["8"], Position(since=1001), True)


@pytest.mark.parametrize(
    ("position", "rows"),
    [
        (Position(since=1000), [row("1", 999)]),
        (Position(since=1000), [row("1", 1005), row("2", 1004)]),
        (Position(since=1000), []),
        (Position(since=1000, past="5"), [row("5", 1000)]),
        (Position(since=1000, past="5"), [row("7", 1000), row("6", 1000)]),
    ],
)
def test_a_search_out_of_order_stops_the_pull(position: Position, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(Unavailable, match="nothing is skipped"):
        step(NOTES, position, rows, True)
