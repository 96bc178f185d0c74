"""Reading Pipedrive: nothing lost at the edge of a second, nothing skipped between pages, names in place of codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pipedrive_world import START, TOKEN, World, activity, emails, key, note, person_write, records, world

from bridge import AuthError, CursorExpired, Page, RateLimited, Record, Rejected, Unavailable, Write
from bridge.budgets import reading_the_past
from bridge_pipedrive import limits, source, source_gaps
from bridge_pipedrive.words import LOOKBACK


@pytest.fixture
def company() -> Iterator[World]:
    with world() as made:
        yield made


def changes(company: World, stream: str, cursor: Any) -> tuple[list[str], Any]:
    pages = company.pull(stream, "live", cursor)
    return [record.id for record in records(pages)], pages[-1].cursor


def test_a_first_live_pull_leaves_the_past_to_the_backfill(company: World) -> None:
    old = company.person("Rui")
    company.move(3600.0)
    cursor = company.started("persons")
    new = company.person("Ana")
    assert changes(company, "persons", cursor)[0] == [new]
    assert [record.id for record in records(company.pull("persons", "backfill"))] == [old, new]


def test_what_changes_in_the_second_of_the_last_look_is_not_lost(company: World) -> None:
    first = company.person("Ana")
    cursor = company.started("persons")
    company.move(LOOKBACK * 10)
    _, cursor = changes(company, "persons", cursor)
    late = company.person("Rui")
    assert changes(company, "persons", cursor)[0] == [late]
    company.crm.edit("persons", first, {"name": "Ana Paula"})
    again, cursor = changes(company, "persons", cursor)
    assert again == [first, late]


def test_two_changes_of_one_second_are_two_versions(company: World) -> None:
    cursor = company.started("persons")
    one = company.person("Ana")
    before = records(company.pull("persons", "live", cursor))
    company.crm.edit("persons", one, {"name": "Ana Paula"})
    after = records(company.pull("persons", "live", cursor))
    assert before[0].modified_at == after[0].modified_at
    assert before[0].version != after[0].version


def test_what_becomes_visible_late_is_brought_by_the_next_look(company: World) -> None:
    cursor = company.started("persons")
    one = company.person("Ana")
    company.move(LOOKBACK - 5.0)
    company.person("Rui")
    company.move(1.0)
    _, cursor = changes(company, "persons", cursor)
    assert one in changes(company, "persons", cursor)[0], "a look begins a minute before the last one"


def test_a_live_cursor_never_moves_back_and_its_watermark_stays_behind(company: World) -> None:
    cursor = {"since": "2026-11-20T20:00:00Z"}
    pages = company.pull("persons", "live", cursor)
    assert pages[-1].cursor == cursor
    pages = company.pull("persons", "live")
    assert pages[-1].watermark is not None
    assert (company.clock() - pages[-1].watermark).total_seconds() >= LOOKBACK - 1.0


def test_a_record_edited_while_it_is_read_comes_with_the_next_look(company: World) -> None:
    cursor = company.started("persons")
    ids = [company.person(f"Ana {number}") for number in range(501)]
    company.move(LOOKBACK * 2)
    walk = company.connector.pull("persons", "live", cursor, ())
    first = next(walk)
    company.crm.edit("persons", ids[0], {"name": "Ana Paula"})
    company.move(LOOKBACK * 2)
    pages = [first, *walk]
    assert [record.id for record in records(pages)] == ids
    [again] = records(company.pull("persons", "live", pages[-1].cursor))
    assert (again.id, again.data["name"]) == (ids[0], "Ana Paula")


def test_a_page_that_pipedrive_no_longer_knows_is_read_again(company: World) -> None:
    cursor = company.started("persons")
    ids = [company.person(f"Ana {number}") for number in range(3)]
    lost = {**cursor, "began": "2026-11-20T14:02:00Z", "at": "no-cursor-of-theirs"}
    assert changes(company, "persons", lost)[0] == ids


def test_a_note_deleted_between_two_pages_hides_no_other(company: World) -> None:
    person = int(company.person())
    cursor = company.started("notes")
    ids = [
        company.crm.create("notes", {"content": f"Oi {number}", "person_id": person}) for number in range(501)
    ]
    walk = company.connector.pull("notes", "live", cursor, ())
    pages = [next(walk)]
    company.crm.delete("notes", ids[0])
    pages += walk
    assert {record.id for record in records(pages)} == set(ids)


def test_what_pipedrive_shows_as_deleted_is_deleted(company: World) -> None:
    company.crm.levers.deleted_in_lists = True
    cursor = company.started("persons")
    one = company.person()
    company.crm.delete("persons", one)
    [record] = records(company.pull("persons", "live", cursor))
    assert record.deleted


def test_custom_fields_come_by_name_and_options_by_label(company: World) -> None:
    cursor = company.started("persons")
    source = company.crm.define("persons", "Lead source", field_type="enum", options=("Fair", "Ad"))
    wants = company.crm.define("persons", "Wants", field_type="set", options=("Oven", "Mixer", "Table"))
    twin = company.crm.define("persons", "Wants")
    ids = {one.label: one for one in company.connector.describe("persons")}
    assert (ids["Lead source"].name, list(ids["Lead source"].options)) == ("Lead source", ["Fair", "Ad"])
    fields = company.crm._account.setup.fields["persons"]
    chosen = [id for id, label in fields[wants].options if label != "Mixer"]
    company.person(custom_fields={source: fields[source].options[1][0], wants: chosen, twin: "soon"})
    [record] = records(company.pull("persons", "live", cursor))
    assert record.data["custom_fields"] == {
        "Lead source": "Ad",
        "Wants": ["Oven", "Table"],
        f"Wants ({twin})": "soon",
    }


def test_a_field_made_since_is_known_by_its_name_within_a_minute(company: World) -> None:
    company.crm.define("persons", "Old")
    cursor = company.started("persons")
    company.person()
    company.pull("persons", "live", cursor)
    code = company.crm.define("persons", "New")
    company.person("Rui", custom_fields={code: "yes"})
    before = len(company.crm.calls)
    for _ in range(3):
        assert records(company.pull("persons", "live", cursor))[-1].data["custom_fields"][code] == "yes"
    assert "GET personFields" not in company.calls_since(before), (
        "a hidden field would be asked for each time"
    )
    company.move(60.0)
    assert records(company.pull("persons", "live", cursor))[-1].data["custom_fields"]["New"] == "yes"


def test_a_leads_own_fields_come_by_name_too(company: World) -> None:
    cursor = company.started("leads")
    code = company.crm.define("deals", "Budget")
    person = int(company.person())
    company.crm.create("leads", {"title": "Um forno", "person_id": person, code: "high"})
    [record] = records(company.pull("leads", "live", cursor))
    assert record.data["custom_fields"] == {"Budget": "high"}
    assert code not in record.data


def test_a_note_does_not_change_because_its_person_has_another_name(company: World) -> None:
    ana = company.person()
    firm = company.crm.create("organizations", {"name": "Padaria"})
    company.crm.create("notes", {"content": "Oi", "person_id": int(ana), "org_id": int(firm)})
    [before] = records(company.pull("notes", "backfill"))
    company.crm.edit("persons", ana, {"name": "Ana Paula"})
    company.crm.edit("organizations", firm, {"name": "Padaria Lima"})
    [after] = records(company.pull("notes", "backfill"))
    assert after.data["person"] == {"name": "Ana Paula"}
    assert after.version == before.version


def test_a_person_and_an_activity_show_what_a_mapping_cannot_dig_out(company: World) -> None:
    cursor = company.started("persons")
    ana = company.person(emails=emails("ana@one.example", "ana@two.example"), phones=emails("11 97391-4862"))
    rui = company.person("Rui")
    company.push(activity(1, ana, rui))
    [person, _] = records(company.pull("persons", "live", cursor))
    assert person.data["email_addresses"] == ["ana@one.example", "ana@two.example"]
    assert person.data["phone_numbers"] == ["11 97391-4862"]
    [one] = records(company.pull("activities", "backfill"))
    assert one.data["participant_ids"] == [int(ana), int(rui)]
    assert one.data["due_at"] == "2026-11-20T14:02:00Z"


def test_deals_carry_the_stages_they_went_through(company: World) -> None:
    stages = [int(one["id"]) for one in company.crm.objects("stages")]
    deal = company.crm.create("deals", {"title": "Dois fornos", "stage_id": stages[0]})
    still = company.crm.create("deals", {"title": "Um forno", "stage_id": stages[1]})
    company.move(3600.0)
    company.crm.edit("deals", deal, {"stage_id": stages[1]})
    company.move(3600.0)
    company.crm.edit("deals", deal, {"stage_id": stages[3]})
    before = len(company.crm.calls)
    found = {
        record.id: record for record in records(company.pull("deals", "backfill", None, ["stage_history"]))
    }
    history = found[deal].data["stage_history"]
    assert [(one["stage_id"], one["entered_at"]) for one in history] == [
        (stages[0], "2026-11-20T14:02:00Z"),
        (stages[1], "2026-11-20T15:02:00Z"),
        (stages[3], "2026-11-20T16:02:00Z"),
    ]
    assert [one["stage_id"] for one in found[still].data["stage_history"]] == [stages[1]]
    assert sum("changelog" in call for call in company.calls_since(before)) == 1
    company.pull("deals", "backfill", None, ["stage_history"])
    assert sum("changelog" in call for call in company.calls_since(before)) == 1, "it is asked for once"
    [plain, _] = records(company.pull("deals", "backfill"))
    assert "stage_history" not in plain.data


@pytest.mark.parametrize("stream", ["deals", "leads"])
def test_what_is_put_into_the_archive_is_read_as_well(company: World, stream: str) -> None:
    fields = {"title": "Dois fornos", "person_id": int(company.person())}
    kept, archived = (company.crm.create(stream, fields) for _ in range(2))
    company.crm.edit(stream, archived, {"is_archived": True})
    found = records(company.pull(stream, "backfill"))
    assert {one.id: one.data["is_archived"] for one in found} == {kept: False, archived: True}
    sweep = company.pull(stream, "sweep")
    assert [(one.id, one.deleted) for one in records(sweep)] == [(archived, False)]
    again = company.pull(stream, "sweep", sweep[-1].cursor)
    assert [one.id for one in records(again)] == [archived], "a sweep begins anew each time"


def test_a_sweep_tells_which_deals_were_deleted_and_begins_anew_each_time(company: World) -> None:
    gone = [company.crm.create("deals", {"title": title}) for title in ("Um", "Dois", "Três")]
    company.crm.delete("deals", gone[0])
    first = company.pull("deals", "sweep")
    assert [(one.id, one.deleted) for one in records(first)] == [(gone[0], True)]
    company.crm.delete("deals", gone[1])
    assert [one.id for one in records(company.pull("deals", "sweep", first[-1].cursor))] == gone[:2]


def test_a_sweep_tells_who_was_deleted_by_the_numbers_that_are_missing(company: World) -> None:
    people = [company.person(f"Ana {number}") for number in range(30)]
    for number in (0, 7, 8, 29):
        company.crm.delete("persons", people[number])
    company.crm.delete("persons", people[12])
    company.crm.purge("persons", people[12])
    company.crm.merge("persons", people[3], people[28])
    first = company.pull("persons", "sweep")
    wanted = {people[number] for number in (0, 7, 8, 28, 29)}
    assert {record.id for record in records(first)} == wanted
    assert all(record.deleted and record.modified_at is not None for record in records(first))
    before = len(company.crm.calls)
    company.crm.delete("persons", people[15])
    again = company.pull("persons", "sweep", first[-1].cursor)
    assert people[15] in {record.id for record in records(again)}
    asked = [call for call in company.calls_since(before) if call.startswith("GET persons/")]
    assert f"GET persons/{people[7]}" not in asked, "who is known to be gone is not asked about again"
    company.crm.restore("persons", people[7])
    company.pull("persons", "sweep")
    company.crm.delete("persons", people[7])
    assert people[7] in {record.id for record in records(company.pull("persons", "sweep"))}


def test_a_sweep_goes_on_where_it_was_cut_off_and_asks_no_more_than_it_may(
    company: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_gaps, "PAGE", 10)
    people = [company.person(f"Ana {number}") for number in range(40)]
    gone = people[3:37:4]
    for person in gone:
        company.crm.delete("persons", person)
    pages = company.pull("persons", "sweep")
    assert {record.id for record in records(pages)} == set(gone)
    assert len(pages) == 4
    for number, page in enumerate(pages[:-1]):
        company.reopen()
        rest = records(company.pull("persons", "sweep", page.cursor))
        assert {record.id for record in records(pages[: number + 1]) + rest} == set(gone)
    monkeypatch.setattr(source_gaps, "MOST", 4)
    company.reopen()
    assert {record.id for record in records(company.pull("persons", "sweep"))} == set(gone[-4:])
    assert {record.id for record in records(company.pull("persons", "sweep"))} == set(gone[-8:-4])
    with pytest.raises(CursorExpired):
        company.pull("persons", "sweep", {"at": 7})


def test_users_and_pipelines_come_whole_each_time(company: World) -> None:
    user = company.crm.add_user("Bia", "bia@example.com")
    assert user in [one.id for one in records(company.pull("users", "live"))]
    [pipeline] = records(company.pull("pipelines", "live"))
    names = [stage["name"] for stage in pipeline.data["stages"]]
    assert names == ["Qualified", "Contact Made", "Proposal Made", "Negotiations Started"]


def test_fetch_tells_who_is_gone_and_finds_what_is_archived(company: World) -> None:
    there, deleted, purged = (company.person(name) for name in ("Ana", "Rui", "Bia"))
    company.crm.delete("persons", deleted)
    company.crm.delete("persons", purged)
    company.crm.purge("persons", purged)
    found = {one.id: one.deleted for one in company.connector.fetch("persons", [there, deleted, purged, "x"])}
    assert found == {there: False, deleted: True, purged: True, "x": True}
    deal = company.crm.create("deals", {"title": "Um"})
    company.crm.edit("deals", deal, {"is_archived": True})
    [record] = company.connector.fetch("deals", [deal])
    assert record.data["is_archived"] and not record.deleted


def test_a_finished_backfill_asks_nothing_more(company: World) -> None:
    company.person()
    pages = company.pull("persons", "backfill")
    before = len(company.crm.calls)
    assert company.pull("persons", "backfill", pages[-1].cursor) == []
    assert len(company.crm.calls) == before


@pytest.mark.parametrize("cursor", [7, "2026", {"seen": 1}, []])
def test_a_cursor_that_is_none_of_ours_starts_again(company: World, cursor: Any) -> None:
    with pytest.raises(CursorExpired):
        company.pull("persons", "live", cursor)
    with pytest.raises(CursorExpired):
        company.pull("persons", "backfill", {"list": cursor, "at": {}})


def test_a_list_that_says_there_is_more_and_shows_nothing_is_an_error(company: World) -> None:
    cursor = company.started("notes")
    body = {
        "success": True,
        "data": [],
        "additional_data": {"pagination": {"more_items_in_collection": True}},
    }
    company.crm.levers.fail(200, path="/notes", body=body)
    with pytest.raises(Unavailable, match="more rows to come"):
        company.pull("notes", "live", cursor)
    company.crm.levers.fail(200, path="/notes", body={"success": True, "data": None})
    assert records(company.pull("notes", "live", cursor)) == [], "version 1 says null where there is nothing"


def test_a_day_has_the_tokens_of_its_plan_and_some_are_kept_for_today() -> None:
    tokens = {budget.name: budget for budget in limits({"plan": "growth", "seats": 3})}["tokens"]
    assert (tokens.calls, tokens.unit, tokens.midnight) == (180_000, "tokens", "UTC")
    with world(plan="lite") as company:
        cursor = company.started("notes")
        company.context.http._shared.acquire("crm", "burst", cost=23_995)
        with pytest.raises(RateLimited, match=r'"tokens" .* kept for news'), reading_the_past():
            company.pull("notes", "backfill")
        company.pull("notes", "live", cursor)


def test_tokens_are_counted_as_pipedrive_counts_them(company: World) -> None:
    deal = company.crm.create("deals", {"title": "Um", "person_id": int(company.person())})
    company.move(60.0)
    company.crm.edit("deals", deal, {"stage_id": int(company.crm.objects("stages")[2]["id"])})
    for stream in ("persons", "deals", "activities", "notes", "leads", "organizations"):
        company.pull(stream, "backfill", None, ["stage_history"])
    company.pull("deals", "sweep")
    company.pull("users", "live")
    company.pull("pipelines", "live")
    person = company.person()
    made = company.push(activity(1, person), note(2, person), person_write(3))
    list(company.connector.fetch("notes", [made[key(2)].id or ""]))
    list(company.connector.read("activities", [made[key(1)].id or ""], []))
    archive = Write(key=key(4), op="archive", stream="notes", id=made[key(2)].id)
    assert company.push(archive)[key(4)].error is None
    assert company.context.http._shared._accounts["crm"].long["tokens"].spent == company.crm.spent


def test_a_missing_scope_is_named() -> None:
    with world() as company:
        company.reopen(access_token=TOKEN)
        company.crm.levers.missing_scopes = {"leads:read", "leads:full"}
        account = company.connector.check()
        assert account.missing_scopes == ("leads:read",)
        assert account.scopes == ("contacts:read", "deals:read", "activities:read", "mail:read", "users:read")
        with pytest.raises(AuthError, match="Give the app the scope leads:read"):
            company.pull("leads", "live")


def test_a_right_that_the_user_lacks_is_no_broken_key(company: World) -> None:
    body = {"success": False, "error": "You do not have permissions to do this", "errorCode": 403}
    company.crm.levers.fail(403, path="/leads", body=body)
    with pytest.raises(Rejected, match=r"You do not have permissions to do this\. Give the user"):
        company.pull("leads", "live")


STEPS = st.one_of(
    st.tuples(st.just("make"), st.just(0)),
    st.tuples(st.just("edit"), st.integers(0, 9)),
    st.tuples(st.just("move"), st.sampled_from([0.3, 1.0, LOOKBACK - 1.0, LOOKBACK, 300.0])),
    st.tuples(st.just("pull"), st.integers(1, 4)),
)


@pytest.mark.parametrize("stream", ["persons", "notes"])
@given(steps=st.lists(STEPS, min_size=5, max_size=30))
@hypothesis_settings(max_examples=50, deadline=None)
def test_whatever_happens_between_and_within_looks_the_newest_state_is_known(
    stream: str, steps: list[tuple[str, Any]]
) -> None:
    text = {"persons": "name", "notes": "content"}[stream]
    with patch.object(source, "PAGE", 3), world() as company:
        anchor = {"person_id": int(company.person())} if stream == "notes" else {}
        cursor = company.started(stream)
        ids: list[str] = []
        newest: dict[str, Record] = {}
        versions: dict[tuple[str, str], Any] = {}

        def take(pages: Iterable[Page]) -> None:
            nonlocal cursor
            for page in pages:
                cursor = page.cursor
                for record in records([page]):
                    known = versions.setdefault((record.id, record.version), record.data)
                    assert known == record.data, "one version, two contents"
                    before = newest.setdefault(record.id, record)
                    if (record.modified_at or START) >= (before.modified_at or START):
                        newest[record.id] = record

        for number, (word, value) in enumerate(steps):
            if word == "make":
                ids.append(company.crm.create(stream, {text: f"Made {number}", **anchor}))
            elif word == "edit" and ids:
                company.crm.edit(stream, ids[value % len(ids)], {text: f"Edited {number}"})
            elif word == "move":
                company.move(value)
            elif word == "pull":
                take(islice(company.connector.pull(stream, "live", cursor, ()), value))
        take(company.connector.pull(stream, "live", cursor, ()))
        take(company.connector.pull(stream, "live", cursor, ()))
        shown = {one["id"]: one[text] for one in company.crm.objects(stream) if one["id"] in ids}
        assert {id_: newest[id_].data[text] for id_ in ids} == shown
