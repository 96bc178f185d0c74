"""Since when fields of Pipedrive's persons have their values, as the connector tells it, and what asking costs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from pipedrive_world import START, World, activity, emails, key, world

from bridge import Rejected, Unavailable, Write


@pytest.fixture
def company() -> Iterator[World]:
    with world() as made:
        yield made


def times(company: World, ids: Sequence[str], *fields: str) -> dict[str, Mapping[str, datetime]]:
    """Return since when, by id; each person once."""
    told = list(company.connector.field_times("persons", ids, fields))
    assert len({one.id for one in told}) == len(told)
    return {one.id: one.at for one in told}


def test_a_field_has_its_value_since_its_last_change_else_since_the_person_was_added(company: World) -> None:
    own, other = (company.crm.define("persons", name) for name in ("Channels used", "First came through"))
    ana = company.person(
        emails=emails("ana@one.example"), phones=emails("1"), custom_fields={own: "e-mail", other: "x"}
    )
    company.move(60)
    company.crm.edit("persons", ana, {"emails": emails("ana@two.example"), "custom_fields": {other: None}})
    company.move(60)
    fields = {"name": "Ana Souza", "Channels used": "WhatsApp"}
    company.push(Write(key=key(1), op="update", stream="persons", id=ana, fields=fields))
    company.move(60)
    company.push(activity(2, ana))
    asked = [
        "name",
        "first_name",
        "emails",
        "phones",
        "org_id",
        "Channels used",
        "First came through",
        "colour",
    ]
    minutes = {
        "name": 2,
        "first_name": 2,
        "emails": 1,
        "phones": 0,
        "Channels used": 2,
        "First came through": 1,
    }
    assert times(company, [ana], *asked) == {
        ana: {name: START + timedelta(minutes=count) for name, count in minutes.items()}
    }
    assert times(company, [ana], "colour", "label_ids") == {ana: {}}


def test_no_more_changes_are_read_than_it_takes(company: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge_pipedrive.lookup.PAGE", 2)
    ana, rui = company.person(), company.person("Rui")
    for number in range(1, 6):
        company.move(60)
        change = {"emails": emails("ana@one.example")} if number == 3 else {"name": f"Ana {number}"}
        company.crm.edit("persons", ana, change)
    list(company.connector.field_times("persons", [ana], ["name"]))
    for field, pages, minute in (("name", 1, 5), ("emails", 2, 3), ("visible_to", 3, 0)):
        before = len(company.crm.calls)
        assert times(company, [ana], field) == {ana: {field: START + timedelta(minutes=minute)}}
        calls = company.calls_since(before)
        assert calls == ["GET persons", *[f"GET persons/{ana}/changelog"] * pages]
    before = len(company.crm.calls)
    assert times(company, [rui], "name") == {rui: {"name": START}}
    assert company.calls_since(before) == ["GET persons"], "nobody ever changed it"


def test_who_is_gone_has_no_times_and_a_change_without_one_is_no_answer(company: World) -> None:
    ana, rui, eva = (company.person(name) for name in ("Ana", "Rui", "Eva"))
    company.crm.delete("persons", rui)
    company.crm.merge("persons", ana, eva)
    assert list(times(company, [rui, "77777", ana, eva], "name")) == [ana]
    company.move(60)
    company.crm.edit("persons", ana, {"name": "Ana Souza"})
    change = {"field_key": "name", "old_value": "Ana", "new_value": "Ana Souza", "time": None}
    body = json.dumps({"success": True, "data": [change], "additional_data": {"next_cursor": None}})
    company.crm.levers.fail(200, path="/changelog", body=body)
    with pytest.raises(Unavailable, match="without a time"):
        times(company, [ana], "name")
    with pytest.raises(Rejected, match="persons only"):
        list(company.connector.field_times("deals", ["1"], ["title"]))
