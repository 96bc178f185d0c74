"""HubSpot's own client libraries drive the stand-in and judge its answers."""

from __future__ import annotations

from collections.abc import Iterator

import hubspot
import hubspot_sdk
import pytest
from hubspot.crm.associations.v4 import models as link_models
from hubspot.crm.contacts import exceptions as contact_errors
from hubspot.crm.contacts import models as contact_models
from hubspot_sandbox_client import link, message

from bridge_hubspot.sandbox import HubSpotSandbox


@pytest.fixture
def hub() -> Iterator[HubSpotSandbox]:
    with HubSpotSandbox(time_zone="America/Sao_Paulo", currency="BRL") as running:
        yield running


@pytest.fixture
def strict(hub: HubSpotSandbox) -> Iterator[hubspot_sdk.HubSpot]:
    """The client of the dated versions; it raises on an answer that does not fit HubSpot's published schema."""
    with hubspot_sdk.HubSpot(
        access_token=hub.token, base_url=hub.url, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def numbered(hub: HubSpotSandbox) -> hubspot.HubSpot:
    """The client of versions 3 and 4."""
    return hubspot.HubSpot(access_token=hub.token, host=hub.url)


ANA = {"email": " Ana@Example.com ", "firstname": "Ana", "lastname": "Souza"}
RUI = {"email": "rui@example.com", "firstname": "Rui", "lastname": "Costa"}


def test_the_dated_client_creates_reads_lists_changes_and_archives_a_contact(
    strict: hubspot_sdk.HubSpot,
) -> None:
    contacts = strict.crm.objects.contacts
    made = contacts.create(properties=ANA, associations=[])
    assert made.properties["email"] == "ana@example.com"
    assert contacts.get(made.id, properties=["firstname"]).properties["firstname"] == "Ana"
    assert contacts.update(made.id, properties={"lastname": "Lima"}).properties["lastname"] == "Lima"
    assert [one.id for one in contacts.list(limit=10)] == [made.id]
    contacts.delete(made.id)
    with pytest.raises(hubspot_sdk.NotFoundError):
        contacts.get(made.id)
    gone = contacts.get(made.id, archived=True, properties=["email"])
    assert gone.archived
    assert gone.archived_at is not None


def test_the_dated_client_walks_a_list_page_by_page(hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot) -> None:
    ids = [
        hub.create("contacts", {"email": f"c{n}@example.com", "firstname": "C", "lastname": str(n)})
        for n in range(7)
    ]
    assert [one.id for one in strict.crm.objects.contacts.list(limit=3)] == ids


def test_the_dated_client_is_told_of_a_contact_that_exists(strict: hubspot_sdk.HubSpot) -> None:
    made = strict.crm.objects.contacts.create(properties=ANA, associations=[])
    with pytest.raises(hubspot_sdk.ConflictError, match=f"Existing ID: {made.id}"):
        strict.crm.objects.contacts.create(properties=ANA, associations=[])


def test_the_dated_client_reads_a_batch_of_which_one_row_was_refused(
    hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot
) -> None:
    ana = hub.create("contacts", ANA)
    answer = strict.crm.objects.communications.batch.with_raw_response.create(
        inputs=[
            {"properties": message(), "associations": [link(ana, 81)], "object_write_trace_id": "a"},
            {
                "properties": message(hs_communication_channel_type="TELEGRAM"),
                "associations": [link(ana, 81)],
                "object_write_trace_id": "b",
            },
        ]
    )
    assert answer.status_code == 207
    assert [row.object_write_trace_id for row in answer.parse().results] == ["a"]
    assert [entry["type"] for entry in hub.timeline(ana)] == ["communications"]


def test_the_dated_client_upserts_by_a_unique_property(
    hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot
) -> None:
    hub.define("contacts", "outside_key", unique=True)
    batch = strict.crm.objects.contacts.batch
    row = {"id": "K1", "id_property": "outside_key", "properties": {"firstname": "Ana"}}
    (made,) = batch.upsert(inputs=[row]).results
    assert made.new
    (changed,) = batch.upsert(inputs=[{**row, "properties": {"firstname": "Anna"}}]).results
    assert not changed.new
    assert changed.id == made.id
    found = batch.get(
        inputs=[{"id": "K1"}], id_property="outside_key", properties=["firstname"], properties_with_history=[]
    )
    assert [one.properties["firstname"] for one in found.results] == ["Anna"]


def test_the_dated_client_reads_the_history_of_a_stage(
    hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot
) -> None:
    deal = hub.create("deals", {"dealname": "Fornos", "dealstage": "qualifiedtobuy"})
    hub.edit("deals", deal, {"dealstage": "closedwon"})
    read = strict.crm.objects.deals.get(deal, properties=["dealname"], properties_with_history=["dealstage"])
    assert read.properties_with_history is not None
    values = [change.value for change in read.properties_with_history["dealstage"]]
    assert values == ["closedwon", "qualifiedtobuy"]


def test_the_dated_client_reads_who_set_the_properties_of_a_batch(
    hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot
) -> None:
    ana = strict.crm.objects.contacts.create(associations=[], properties=ANA).id
    hub.edit("contacts", ana, {"firstname": "Anna"}, by="78")
    (read,) = strict.crm.objects.contacts.batch.get(
        inputs=[{"id": ana}], properties=["firstname"], properties_with_history=["firstname", "jobtitle"]
    ).results
    assert read.properties_with_history is not None
    newest, first = read.properties_with_history["firstname"]
    assert (newest.value, newest.source_type, newest.source_id) == ("Anna", "CRM_UI", "userId:9078")
    assert newest.updated_by_user_id == 9078
    assert (first.value, first.source_type, first.updated_by_user_id) == ("Ana", "INTEGRATION", None)
    assert newest.timestamp > first.timestamp
    assert read.properties_with_history["jobtitle"] == []


def test_the_dated_client_searches(hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot) -> None:
    ana = hub.create("contacts", ANA)
    hub.create("contacts", RUI)
    found = strict.crm.objects.contacts.search(
        filter_groups=[
            {"filters": [{"property_name": "email", "operator": "IN", "values": ["ana@example.com"]}]}
        ],
        properties=["email"],
        limit=100,
        after="0",
        sorts=[],
    )
    assert (found.total, [one.id for one in found.results]) == (1, [ana])


def test_the_dated_client_merges_under_a_new_id(hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot) -> None:
    ana, rui = hub.create("contacts", ANA), hub.create("contacts", RUI)
    merged = strict.crm.objects.contacts.merge(primary_object_id=ana, object_id_to_merge=rui)
    assert merged.id not in (ana, rui)
    assert strict.crm.objects.contacts.get(rui, properties=["email", "lastname"]).id == merged.id


def test_the_dated_client_links_reads_and_unlinks(hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot) -> None:
    ana, bakery = hub.create("contacts", ANA), hub.create("companies", {"name": "Padaria Lima"})
    links = strict.crm.associations
    links.create(bakery, from_object_type="contacts", from_object_id=ana, to_object_type="companies")
    batch = links.batch
    (read,) = batch.get("companies", from_object_type="contacts", inputs=[{"id": ana}]).results
    assert [(row.to_object_id, {t.type_id for t in row.association_types}) for row in read.to] == [
        (bakery, {1, 279})
    ]
    batch.create_default(
        "companies", from_object_type="contacts", inputs=[{"from": {"id": ana}, "to": {"id": bakery}}]
    )
    types = [{"association_category": "HUBSPOT_DEFINED", "association_type_id": 279}]
    batch.create(
        "companies",
        from_object_type="contacts",
        inputs=[{"from": {"id": ana}, "to": {"id": bakery}, "types": types}],
    )
    labels = strict.crm.associations_schema.labels.list_labels("companies", from_object_type="contacts")
    assert {label.type_id for label in labels.results} == {1, 279}
    batch.delete(
        "companies", from_object_type="contacts", inputs=[{"from": {"id": ana}, "to": [{"id": bakery}]}]
    )
    assert list(links.list("companies", object_type="contacts", object_id=ana)) == []


def test_the_dated_client_reads_owners_pipelines_account_and_usage(strict: hubspot_sdk.HubSpot) -> None:
    owners = list(strict.crm.owners.list(email="rui@example.com"))
    assert [(owner.id, owner.first_name) for owner in owners] == [("77", "Rui")]
    assert strict.crm.owners.get(77).user_id == 9077
    (pipeline,) = strict.crm.pipelines.list("deals").results
    closed = [stage.id for stage in pipeline.stages if stage.metadata["isClosed"] == "true"]
    assert closed == ["closedwon", "closedlost"]
    account = strict.account.get()
    assert (account.portal_id, account.time_zone, account.company_currency) == (
        123456,
        "America/Sao_Paulo",
        "BRL",
    )
    (usage,) = strict.account.get_daily_private_apps_usage().results
    assert usage.current_usage == 5


def test_the_dated_client_manages_properties(strict: hubspot_sdk.HubSpot) -> None:
    properties = strict.crm.properties
    properties.groups.create("contacts", name="crmbridge", label="crmbridge")
    made = properties.create(
        "contacts",
        name="waiting_since",
        label="Waiting since",
        group_name="crmbridge",
        type="datetime",
        field_type="date",
    )
    assert made.hubspot_defined is False
    assert properties.get("waiting_since", object_type="contacts").label == "Waiting since"
    names = {one.name for one in properties.list("contacts").results}
    assert {"email", "waiting_since"} <= names
    batch = properties.batch.create(
        "notes",
        inputs=[
            {
                "name": "crmbridge_key",
                "label": "Key",
                "group_name": "engagement",
                "type": "string",
                "field_type": "text",
            }
        ],
    )
    assert [one.name for one in batch.results] == ["crmbridge_key"]
    with pytest.raises(hubspot_sdk.ConflictError):
        properties.groups.create("contacts", name="crmbridge", label="crmbridge")
    properties.delete("waiting_since", object_type="contacts")
    with pytest.raises(hubspot_sdk.NotFoundError):
        properties.get("waiting_since", object_type="contacts")


def test_the_numbered_client_creates_and_is_told_of_a_contact_that_exists(numbered: hubspot.HubSpot) -> None:
    api = numbered.crm.contacts.basic_api
    made = api.create(contact_models.SimplePublicObjectInputForCreate(properties=ANA))
    with pytest.raises(contact_errors.ApiException) as refused:
        api.create(contact_models.SimplePublicObjectInputForCreate(properties=ANA))
    assert refused.value.status == 409
    assert f"Existing ID: {made.id}" in refused.value.body
    assert api.get_page(limit=5).results[0].properties["email"] == "ana@example.com"
    assert api.get_by_id("ana@example.com", id_property="email").id == made.id


def test_the_numbered_client_reads_each_row_of_a_mixed_batch(numbered: hubspot.HubSpot) -> None:
    row = contact_models.SimplePublicObjectBatchInputForCreate
    answer = numbered.crm.contacts.batch_api.create(
        contact_models.BatchInputSimplePublicObjectBatchInputForCreate(
            inputs=[
                row(properties=ANA, associations=[], object_write_trace_id="a"),
                row(properties=ANA, associations=[], object_write_trace_id="b"),
            ]
        )
    )
    assert isinstance(answer, contact_models.BatchResponseSimplePublicObjectWithErrors)
    assert answer.num_errors == 1
    assert answer.errors[0].category == "CONFLICT"
    assert answer.errors[0].context["objectWriteTraceId"] == ["b"]
    assert [one.properties["email"] for one in answer.results] == ["ana@example.com"]


def test_the_numbered_client_upserts_searches_and_merges(
    hub: HubSpotSandbox, numbered: hubspot.HubSpot
) -> None:
    hub.define("contacts", "outside_key", unique=True)
    rows = [
        contact_models.SimplePublicObjectBatchInputUpsert(
            id=key, id_property="outside_key", properties={"firstname": key}
        )
        for key in ("K1", "K2")
    ]
    made = numbered.crm.contacts.batch_api.upsert(
        contact_models.BatchInputSimplePublicObjectBatchInputUpsert(inputs=rows)
    )
    assert [one.new for one in made.results] == [True, True]
    found = numbered.crm.contacts.search_api.do_search(
        contact_models.PublicObjectSearchRequest(
            filter_groups=[{"filters": [{"propertyName": "outside_key", "operator": "EQ", "value": "K1"}]}],
            properties=["outside_key"],
        )
    )
    (first,) = found.results
    second = next(one.id for one in made.results if one.id != first.id)
    merged = numbered.crm.contacts.basic_api.merge(
        contact_models.PublicMergeInput(primary_object_id=first.id, object_id_to_merge=second)
    )
    assert merged.properties["hs_merged_object_ids"] == f"{first.id};{second}"


def test_the_numbered_client_reads_owners_pipelines_and_properties(numbered: hubspot.HubSpot) -> None:
    assert [owner.email for owner in numbered.crm.owners.owners_api.get_page().results] == [
        "rui@example.com",
        "marta@example.com",
    ]
    (pipeline,) = numbered.crm.pipelines.pipelines_api.get_all("deals").results
    assert pipeline.stages[-1].id == "closedlost"
    property_ = numbered.crm.properties.core_api.get_by_name(
        "communications", "hs_communication_channel_type"
    )
    assert [option.value for option in property_.options] == ["WHATS_APP", "SMS", "LINKEDIN_MESSAGE"]


def test_the_numbered_client_links_and_reads_links(hub: HubSpotSandbox, numbered: hubspot.HubSpot) -> None:
    ana, deal = hub.create("contacts", ANA), hub.create("deals", {"dealname": "Fornos"})
    links = numbered.crm.associations.v4
    spec = link_models.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=3)
    links.basic_api.create("deals", deal, "contacts", ana, [spec])
    assert [row.to_object_id for row in links.basic_api.get_page("contacts", ana, "deals").results] == [deal]
    read = links.batch_api.get_page(
        "contacts",
        "deals",
        link_models.BatchInputPublicFetchAssociationsBatchRequest(
            inputs=[link_models.PublicFetchAssociationsBatchRequest(id=ana)]
        ),
    )
    assert [row.to[0].association_types[0].type_id for row in read.results] == [4]
    links.basic_api.archive("contacts", ana, "deals", deal)
    assert links.basic_api.get_page("contacts", ana, "deals").results == []


def test_the_strict_client_is_awake(hub: HubSpotSandbox, strict: hubspot_sdk.HubSpot) -> None:
    ana = hub.create("contacts", ANA)
    hub.levers.fail(200, body={"id": ana, "properties": {}})
    with pytest.raises(hubspot_sdk.APIResponseValidationError):
        strict.crm.objects.contacts.get(ana)
