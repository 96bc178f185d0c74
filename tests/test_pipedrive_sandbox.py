"""The stand-in of Pipedrive, version 2: how records are listed, written, refused and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from pipedrive_sandbox_client import World, world

from bridge_pipedrive.sandbox import Refusal


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


def refused(answer: requests.Response) -> str:
    """The words of a 400 of version 2."""
    body = answer.json()
    assert (answer.status_code, body["success"]) == (400, False)
    assert body["code"]
    return str(body["error"])


def test_a_person_comes_back_with_what_pipedrive_adds(crm: World) -> None:
    made = crm.made(
        "/api/v2/persons",
        {"name": " Ana Maria Souza ", "emails": [{"value": "Ana@Example.com "}, {"value": " "}]},
    )
    assert (made["name"], made["first_name"], made["last_name"]) == ("Ana Maria Souza", "Ana", "Maria Souza")
    assert made["emails"] == [{"value": "Ana@Example.com", "primary": True, "label": "work"}]
    assert (made["phones"], made["org_id"], made["is_deleted"]) == ([], None, False)
    assert made["add_time"] == made["update_time"] == "2026-11-20T09:00:00Z"


def test_one_address_of_a_person_is_primary(crm: World) -> None:
    three = [{"value": "a@x.br"}, {"value": "b@x.br", "primary": True}, {"value": "c@x.br", "primary": True}]
    made = crm.made("/api/v2/persons", {"name": "Ana", "emails": three})
    assert [one["primary"] for one in made["emails"]] == [False, True, False]


def test_nothing_is_unique_among_persons(crm: World) -> None:
    ana = {"name": "Ana", "emails": [{"value": "ana@x.br"}]}
    assert crm.made("/api/v2/persons", ana)["id"] != crm.made("/api/v2/persons", ana)["id"]


def test_a_list_is_walked_by_cursor_and_ends_with_none(crm: World) -> None:
    ids = [int(crm.crm.create("persons", {"name": f"P{n}"})) for n in range(5)]
    assert crm.pages("/api/v2/persons", limit=2) == [ids[:2], ids[2:4], ids[4:]]
    assert crm.pages("/api/v2/persons", limit=5) == [ids]
    assert crm.pages("/api/v2/persons", limit=2, sort_direction="desc") == [ids[:2:-1], ids[2:0:-1], ids[:1]]


def test_a_page_has_a_hundred_rows_and_five_hundred_at_most(crm: World) -> None:
    for n in range(101):
        crm.crm.create("organizations", {"name": f"O{n}"})
    assert [len(page) for page in crm.pages("/api/v2/organizations")] == [100, 1]
    assert [len(page) for page in crm.pages("/api/v2/organizations", limit=500)] == [101]
    assert "limit" in refused(crm.get("/api/v2/organizations", limit=501))
    assert "limit" in refused(crm.get("/api/v2/organizations", limit=0))


def test_a_walk_by_id_misses_nothing_that_changes_meanwhile(crm: World) -> None:
    ids = [int(crm.crm.create("persons", {"name": f"P{n}"})) for n in range(4)]
    first = crm.get("/api/v2/persons", limit=2).json()
    crm.crm.edit("persons", str(ids[0]), {"name": "Changed"})
    crm.crm.delete("persons", str(ids[2]))
    rest = crm.get("/api/v2/persons", limit=2, cursor=first["additional_data"]["next_cursor"]).json()
    assert [row["id"] for row in rest["data"]] == [ids[3]]


def test_a_cursor_of_somebody_else_or_of_another_order_is_refused(crm: World) -> None:
    for n in range(3):
        crm.crm.create("persons", {"name": f"P{n}"})
    ours = crm.get("/api/v2/persons", limit=1).json()["additional_data"]["next_cursor"]
    assert "cursor" in refused(crm.get("/api/v2/persons", cursor="nonsense"))
    assert "cursor" in refused(crm.get("/api/v2/persons", cursor="bnVsbA"))
    assert "cursor" in refused(crm.get("/api/v2/persons", cursor=ours, sort_by="update_time"))


def test_updated_since_is_inclusive_and_updated_until_exclusive(crm: World) -> None:
    first = int(crm.crm.create("persons", {"name": "First"}))
    crm.clock.move(0.7)
    same = int(crm.crm.create("persons", {"name": "Same second"}))
    crm.clock.move(0.3)
    last = int(crm.crm.create("persons", {"name": "Last"}))
    second = "2026-11-20T09:00:01Z"
    assert crm.pages("/api/v2/persons", updated_since=second) == [[last]]
    assert crm.pages("/api/v2/persons", updated_until=second) == [[first, same]]
    assert crm.pages("/api/v2/persons", updated_since="2026-11-20T09:00:00Z") == [[first, same, last]]
    assert crm.pages("/api/v2/persons", updated_since="2026-11-20T10:00:01+01:00") == [[last]]


@pytest.mark.parametrize("word", ["2026-11-20T09:00:00.123Z", "2026-11-20", "2026-11-20T09:00:00", "soon"])
def test_a_time_that_is_no_whole_second_with_a_zone_is_refused(crm: World, word: str) -> None:
    answer = crm.get("/api/v2/deals", updated_since=word)
    assert answer.json()["code"] == "ERR_SCHEMA_VALIDATION_FAILED"
    assert "not a valid datetime" in refused(answer)


def test_up_to_a_hundred_ids_are_asked_for_at_once(crm: World) -> None:
    a, b, c = (crm.crm.create("deals", {"title": f"D{n}"}) for n in range(3))
    crm.crm.delete("deals", b)
    assert crm.pages("/api/v2/deals", ids=f"{c},{a},{b},99") == [[int(a), int(c)]]
    assert "ids" in refused(crm.get("/api/v2/deals", ids=",".join(["1"] * 101)))


def test_lists_are_filtered_by_what_they_are_linked_to(crm: World) -> None:
    org = crm.crm.create("organizations", {"name": "Lima"})
    ana = crm.crm.create("persons", {"name": "Ana", "org_id": int(org)})
    rui = crm.crm.create("persons", {"name": "Rui"})
    deal = crm.crm.create("deals", {"title": "Fornos", "person_id": int(ana)})
    done, open_ = (
        crm.crm.create(
            "activities",
            {
                "subject": "x",
                "done": done,
                "participants": [{"person_id": int(ana)}, {"person_id": int(rui)}],
            },
        )
        for done in (True, False)
    )
    assert crm.pages("/api/v2/persons", org_id=org) == [[int(ana)]]
    assert crm.pages("/api/v2/persons", deal_id=deal) == [[int(ana)]]
    assert crm.pages("/api/v2/deals", person_id=rui) == [[]]
    assert crm.pages("/api/v2/activities", person_id=ana) == [[int(done), int(open_)]]
    assert crm.pages("/api/v2/activities", person_id=rui) == [[]]
    assert crm.pages("/api/v2/activities", person_id=ana, done="true") == [[int(done)]]


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("persons", {"name": "A", "colour": "red"}, "Parameter 'colour' is not allowed for this request"),
        ("persons", {"name": "A", "email": "a@x.br"}, "Parameter 'email' is not allowed"),
        ("persons", {"name": "A", "owner_id": "501"}, "owner_id: must be an integer"),
        ("persons", {"name": "A", "org_id": 99}, "organization 99 does not exist"),
        ("persons", {"name": "A", "emails": ["a@x.br"]}, "emails[0]: must be of type object"),
        ("persons", {"name": "A", "custom_fields": {"f" * 40: "x"}}, "is not allowed"),
        ("persons", {"name": "A", "add_time": "2026-11-20 09:00"}, "not a valid datetime"),
        ("persons", {}, "name: is required"),
        ("persons", [], "must be a JSON object"),
        ("deals", {"title": "D", "update_time": "2026-11-20T09:00:00Z"}, "Parameter 'update_time' is not allowed"),
        ("deals", {"title": "D", "stage_id": 9}, "stage 9 does not exist"),
        ("deals", {"title": "D", "lost_reason": "price"}, "if the status is lost"),
        ("deals", {"title": "D", "status": "deleted"}, "must be one of open, won, lost"),
        ("deals", {"title": "D", "value": "9"}, "value: must be a number"),
        ("activities", {"subject": "S", "done": 1}, "done: must be a boolean"),
        ("activities", {"subject": "S", "type": "dance"}, "there is no activity type dance"),
        ("activities", {"subject": "S", "participants": [{"person_id": 99}]}, "person 99 does not exist"),
        ("activities", {"subject": "S", "due_date": "20.11.2026"}, "not a valid date"),
        ("activities", {"subject": "S", "due_time": "25:00"}, "not a valid time"),
        ("activities", {"subject": "S", "marked_as_done_time": "2026-11-20T09:00:00Z"}, "is not allowed"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(crm: World, path: str, body: Any, word: str) -> None:
    assert word in refused(crm.post(f"/api/v2/{path}", body))
    assert crm.crm.objects(path) == []


def test_the_person_of_an_activity_is_its_primary_participant(crm: World) -> None:
    ana, rui = (int(crm.crm.create("persons", {"name": name})) for name in ("Ana", "Rui"))
    told = refused(crm.post("/api/v2/activities", {"subject": "x", "person_id": ana}))
    assert told.startswith("'person_id' is a read-only field")
    both = [{"person_id": ana}, {"person_id": rui, "primary": True}]
    made = crm.made("/api/v2/activities", {"subject": "x", "participants": both})
    assert made["person_id"] == rui
    moved = crm.patch(f"/api/v2/activities/{made['id']}", {"participants": [{"person_id": ana}]}).json()[
        "data"
    ]
    assert (moved["person_id"], moved["participants"]) == (ana, [{"person_id": ana, "primary": True}])


def test_an_activity_that_is_done_was_done_now_whenever_it_was_due(crm: World) -> None:
    made = crm.made(
        "/api/v2/activities", {"subject": "x", "due_date": "2026-11-18", "due_time": "14:02", "done": True}
    )
    assert (made["due_time"], made["marked_as_done_time"]) == ("14:02:00", "2026-11-20T09:00:00Z")
    again = crm.patch(f"/api/v2/activities/{made['id']}", {"done": False}).json()["data"]
    assert again["marked_as_done_time"] is None


def test_the_text_of_an_activity_keeps_no_script(crm: World) -> None:
    made = crm.made(
        "/api/v2/activities", {"subject": "x", "note": '<b onclick="x()">Oi</b><script>y()</script>'}
    )
    assert made["note"] == "<b>Oi</b>"


def test_a_deal_starts_in_the_first_stage_and_a_stage_brings_its_pipeline(crm: World) -> None:
    other = int(crm.crm.create("pipelines", {"name": "Service"}))
    stage = int(crm.crm.create("stages", {"name": "New", "pipeline_id": other}))
    first = crm.made("/api/v2/deals", {"title": "D"})
    assert (first["pipeline_id"], first["stage_id"], first["status"]) == (501, 501, "open")
    assert crm.made("/api/v2/deals", {"title": "D", "stage_id": stage})["pipeline_id"] == other
    assert crm.made("/api/v2/deals", {"title": "D", "pipeline_id": other})["stage_id"] == stage
    assert "not in pipeline" in refused(
        crm.post("/api/v2/deals", {"title": "D", "pipeline_id": 501, "stage_id": stage})
    )


def test_a_won_deal_has_its_times_and_a_reopened_one_none(crm: World) -> None:
    deal = crm.made("/api/v2/deals", {"title": "D"})["id"]
    crm.clock.move(60)
    won = crm.patch(f"/api/v2/deals/{deal}", {"status": "won", "stage_id": 503}).json()["data"]
    assert won["won_time"] == won["close_time"] == won["stage_change_time"] == "2026-11-20T09:01:00Z"
    lost = crm.patch(f"/api/v2/deals/{deal}", {"status": "lost", "lost_reason": "price"}).json()["data"]
    assert (lost["won_time"], lost["lost_reason"]) == (None, "price")
    open_ = crm.patch(f"/api/v2/deals/{deal}", {"status": "open"}).json()["data"]
    assert (open_["close_time"], open_["lost_time"], open_["lost_reason"]) == (None, None, None)


def test_archived_deals_have_a_list_of_their_own_and_cannot_be_edited(crm: World) -> None:
    deal, other = (int(crm.crm.create("deals", {"title": f"D{n}"})) for n in range(2))
    crm.crm.edit("deals", str(deal), {"is_archived": True})
    assert crm.pages("/api/v2/deals") == [[other]]
    assert crm.pages("/api/v2/deals/archived") == [[deal]]
    assert crm.patch(f"/api/v2/deals/{deal}", {"title": "E"}).status_code == 403
    assert crm.patch(f"/api/v2/deals/{deal}", {"is_archived": False}).json()["data"]["archive_time"] is None


def test_a_deleted_record_leaves_the_lists_and_says_so_by_id_for_thirty_days(crm: World) -> None:
    ids = {kind: crm.crm.create(kind, body) for kind, body in (
        ("persons", {"name": "Ana"}), ("organizations", {"name": "Lima"}),
        ("deals", {"title": "D"}), ("activities", {"subject": "x"}),
    )}  # fmt: skip
    for kind, id in ids.items():
        assert crm.delete(f"/api/v2/{kind}/{id}").json() == {"success": True, "data": {"id": int(id)}}
        assert crm.pages(f"/api/v2/{kind}") == [[]]
        assert crm.get(f"/api/v2/{kind}/{id}").json()["data"]["is_deleted"] is True
        assert crm.patch(f"/api/v2/{kind}/{id}", {}).status_code == 404
        assert crm.delete(f"/api/v2/{kind}/{id}").status_code == 404
    crm.clock.move(30 * 86_400)
    for kind, id in ids.items():
        assert crm.get(f"/api/v2/{kind}/{id}").status_code == 404


def test_what_is_restored_stays_though_it_was_deleted_once(crm: World) -> None:
    ana = crm.crm.create("persons", {"name": "Ana"})
    crm.crm.delete("persons", ana)
    crm.clock.move(86_400)
    crm.crm.restore("persons", ana)
    assert crm.pages("/api/v2/persons", updated_since="2026-11-21T09:00:00Z") == [[int(ana)]]
    crm.clock.move(40 * 86_400)
    assert crm.pages("/api/v2/persons") == [[int(ana)]]


def test_thirty_days_count_from_the_last_deletion(crm: World) -> None:
    ana = crm.crm.create("persons", {"name": "Ana"})
    crm.crm.delete("persons", ana)
    crm.clock.move(10 * 86_400)
    crm.crm.restore("persons", ana)
    crm.crm.delete("persons", ana)
    crm.clock.move(20 * 86_400)
    assert crm.get(f"/api/v2/persons/{ana}").status_code == 200
    crm.clock.move(10 * 86_400)
    assert crm.get(f"/api/v2/persons/{ana}").status_code == 404


def test_deleted_deals_are_listed_when_asked_for(crm: World) -> None:
    gone, stays = (int(crm.crm.create("deals", {"title": f"D{n}"})) for n in range(2))
    crm.clock.move(5)
    crm.crm.delete("deals", str(gone))
    assert crm.pages("/api/v2/deals", status="deleted") == [[gone]]
    assert crm.pages("/api/v2/deals", status="open,deleted") == [[gone, stays]]
    assert crm.pages("/api/v2/deals", status="deleted", updated_since="2026-11-20T09:00:05Z") == [[gone]]
    assert "status" in refused(crm.get("/api/v2/deals", status="gone"))
    crm.crm.purge("deals", str(gone))
    assert crm.pages("/api/v2/deals", status="deleted") == [[]]


def test_lists_may_show_the_deleted_as_nobody_outside_knows(crm: World) -> None:
    ana = crm.crm.create("persons", {"name": "Ana"})
    crm.crm.delete("persons", ana)
    crm.crm.levers.deleted_in_lists = True
    assert crm.pages("/api/v2/persons") == [[int(ana)]]
    assert crm.pages("/api/v2/deals") == [[]]


def test_a_custom_field_has_a_code_of_forty_digits_and_null_clears_it(crm: World) -> None:
    field = crm.made("/api/v2/personFields", {"field_name": "Waiting since", "field_type": "date"})
    assert re.fullmatch(r"[0-9a-f]{40}", field["field_code"])
    code = field["field_code"]
    ana = crm.made("/api/v2/persons", {"name": "Ana", "custom_fields": {code: "2026-11-18"}})
    assert ana["custom_fields"] == {code: "2026-11-18"}
    assert "not a valid date" in refused(
        crm.patch(f"/api/v2/persons/{ana['id']}", {"custom_fields": {code: "yesterday"}})
    )
    cleared = crm.patch(f"/api/v2/persons/{ana['id']}", {"custom_fields": {code: None}}).json()["data"]
    assert cleared["custom_fields"] == {code: None}
    crm.crm.undefine("persons", code)
    assert crm.get(f"/api/v2/persons/{ana['id']}").json()["data"]["custom_fields"] == {}


def test_only_the_custom_fields_that_were_asked_for_are_shown(crm: World) -> None:
    one, two = (crm.crm.define("deals", name) for name in ("One", "Two"))
    deal = crm.crm.create("deals", {"title": "D", "custom_fields": {one: "1", two: "2"}})
    assert crm.get("/api/v2/deals", custom_fields=one).json()["data"][0]["custom_fields"] == {one: "1"}
    assert crm.get(f"/api/v2/deals/{deal}").json()["data"]["custom_fields"] == {one: "1", two: "2"}
    assert "maximum of 15" in refused(crm.get("/api/v2/deals", custom_fields=",".join("x" * 16)))


def test_options_are_told_by_id_and_by_label_when_asked_for(crm: World) -> None:
    size = crm.crm.define("deals", "Size", field_type="enum", options=("S", "L"))
    tags = crm.crm.define("deals", "Tags", field_type="set", options=("new",))
    fields = {row["field_code"]: row for row in crm.get("/api/v2/dealFields").json()["data"]}
    large, new = fields[size]["options"][1], fields[tags]["options"][0]
    assert crm.crm.options("deals", size)["L"] == large["id"]
    deal = crm.made("/api/v2/deals", {"title": "D", "custom_fields": {size: large["id"], tags: [new["id"]]}})
    assert deal["custom_fields"] == {size: large["id"], tags: [new["id"]]}
    shown = crm.get("/api/v2/deals", include_option_labels="true").json()["data"][0]["custom_fields"]
    assert shown == {size: large, tags: [new]}
    assert "must be one of" in refused(crm.patch(f"/api/v2/deals/{deal['id']}", {"custom_fields": {size: 1}}))


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"field_name": "Size", "field_type": "enum"}, "options"),
        ({"field_name": "Size", "field_type": "varchar", "options": [{"label": "S"}]}, "options"),
        ({"field_name": "Size", "field_type": "colour"}, "field_type"),
        ({"field_type": "varchar"}, "field_name"),
        ({"field_name": "x" * 256, "field_type": "varchar"}, "field_name"),
        ({"field_name": "Size", "field_type": "varchar", "unique": True}, "unique"),
    ],
)
def test_a_field_that_cannot_be_is_refused(crm: World, body: Any, word: str) -> None:
    assert word in refused(crm.post("/api/v2/organizationFields", body))


def test_some_fields_are_there_only_when_asked_for(crm: World) -> None:
    deal = crm.crm.create("deals", {"title": "D"})
    guest = {"subject": "x", "deal_id": int(deal), "attendees": [{"email": "ana@x.br"}]}
    call = crm.crm.create("activities", {**guest, "done": True})
    crm.crm.create("notes", {"content": "Oi", "deal_id": int(deal)})
    assert "attendees" not in crm.get(f"/api/v2/activities/{call}").json()["data"]
    shown = crm.get("/api/v2/activities", include_fields="attendees").json()["data"][0]
    assert shown["attendees"] == [{"email": "ana@x.br"}]
    counted = "notes_count,activities_count,undone_activities_count,source_lead_id"
    shown = crm.get(f"/api/v2/deals/{deal}", include_fields=counted).json()["data"]
    assert [shown[name] for name in counted.split(",")] == [1, 1, 0, None]
    assert "is not told" in refused(crm.get(f"/api/v2/deals/{deal}", include_fields="files_count"))


def test_the_same_values_again_change_nothing(crm: World) -> None:
    ana = crm.crm.create("persons", {"name": "Ana"})
    crm.clock.move(60)
    assert (
        crm.patch(f"/api/v2/persons/{ana}", {"name": "Ana"})
        .json()["data"]["update_time"]
        .endswith("09:00:00Z")
    )
    assert (
        crm.patch(f"/api/v2/persons/{ana}", {"name": "An"})
        .json()["data"]["update_time"]
        .endswith("09:01:00Z")
    )


def test_an_entry_moves_the_update_time_of_what_it_is_on(crm: World) -> None:
    ana = crm.crm.create("persons", {"name": "Ana"})
    crm.clock.move(60)
    crm.crm.create("notes", {"content": "x", "person_id": int(ana)})
    assert crm.crm.objects("persons")[0]["update_time"] == "2026-11-20T09:01:00Z"
    crm.crm.levers.touches = False
    crm.clock.move(60)
    crm.crm.create("activities", {"subject": "x", "participants": [{"person_id": int(ana)}]})
    assert crm.crm.objects("persons")[0]["update_time"] == "2026-11-20T09:01:00Z"


def test_a_person_obeys_the_rules_of_the_api(crm: World) -> None:
    with pytest.raises(Refusal, match="name: is required"):
        crm.crm.create("persons", {})
    with pytest.raises(Refusal, match="not found"):
        crm.crm.edit("persons", "99", {"name": "A"})
    with pytest.raises(ValueError, match="'people' is none of persons"):
        crm.crm.create("people", {"name": "A"})


def test_unknown_parameters_paths_and_bodies_are_refused(crm: World) -> None:
    assert "Parameter 'start' is not allowed" in refused(crm.get("/api/v2/persons", start=1))
    assert "sort_by" in refused(crm.get("/api/v2/persons", sort_by="name"))
    assert "owner_id" in refused(crm.get("/api/v2/persons", owner_id="me"))
    for path in (
        "/api/v2/users",
        "/v1/persons",
        "/api/v3/persons",
        "/api/v2/persons/x",
        "/api/v2/persons/99",
    ):
        assert crm.get(path).status_code == 404
    answer = crm.session.post(f"{crm.crm.url}/api/v2/persons", data=b"{", timeout=60)
    assert answer.status_code == 400
