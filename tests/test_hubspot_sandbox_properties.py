"""How the HubSpot stand-in makes, changes and refuses properties."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hubspot_sandbox_client import V, World, world


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


def new(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "label": name,
        "groupName": "contactinformation",
        "type": "string",
        "fieldType": "text",
        **more,
    }


def test_a_property_is_made_once(crm: World) -> None:
    path = f"/crm/properties/{V}/contacts"
    assert crm.post(path, new("segment")).status_code == 201
    assert crm.post(path, new("segment")).status_code == 409
    assert crm.post(f"{path}/batch/create", {"inputs": [new("a"), new("segment")]}).status_code == 409
    assert crm.get(f"{path}/a").status_code == 404
    assert crm.post(f"{path}/batch/create", {"inputs": [new("a"), new("a")]}).status_code == 400
    changed = crm.call("PATCH", f"{path}/segment", {"label": "Segment"}).json()
    assert (changed["label"], changed["hubspotDefined"]) == ("Segment", False)
    assert crm.call("PATCH", f"{path}/email", {"label": "Mail"}).status_code == 400
    assert crm.call("DELETE", f"{path}/email").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        new("Segment"),
        new("segment", groupName="nowhere"),
        new("segment", fieldType="number"),
        new("segment", type="text"),
        new("segment", type="enumeration", fieldType="select"),
        new("segment", label=""),
        new("segment", type="bool", fieldType="booleancheckbox", hasUniqueValue=True),
        new(
            "segment",
            type="enumeration",
            fieldType="select",
            options=[{"label": "A", "value": "a"}, {"label": "B", "value": "a"}],
        ),
    ],
)
def test_a_property_that_makes_no_sense_is_refused(crm: World, body: dict[str, Any]) -> None:
    assert crm.post(f"/crm/properties/{V}/contacts", body).status_code == 400


def test_a_new_property_of_options_takes_only_those(crm: World) -> None:
    options = [{"label": "Bakery", "value": "bakery"}, {"label": "Bar", "value": "bar"}]
    body = new("segments", type="enumeration", fieldType="checkbox", options=options)
    assert crm.post(f"/crm/properties/{V}/contacts", body).status_code == 201
    assert crm.create("contacts", segments="bakery; bar").json()["properties"]["segments"] == "bakery;bar"
    assert crm.create("contacts", segments="hotel").status_code == 400


def test_engagements_have_no_unique_properties_unless_the_account_has_them(crm: World) -> None:
    path = f"/crm/properties/{V}/notes"
    body = new("crmbridge_key", groupName="engagement", hasUniqueValue=True)
    assert crm.post(path, body).status_code == 400
    assert crm.get(f"{path}/crmbridge_key").status_code == 404
    crm.hub.levers.unique_on_engagements = True
    assert crm.post(path, body).json()["hasUniqueValue"] is True


def test_a_type_has_ten_unique_properties_at_most(crm: World) -> None:
    path = f"/crm/properties/{V}/contacts"
    answers = [crm.post(path, new(f"key_{n}", hasUniqueValue=True)).status_code for n in range(11)]
    assert answers == [201] * 10 + [400]
