"""HubSpot's account, contacts, writes of unknown outcome, properties and mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hubspot_world import TOKEN, WHEN, World, contact_write, key, note, world
from jsonschema import Draft202012Validator

from bridge import (
    Absent,
    AuthError,
    Created,
    Field,
    Found,
    Link,
    Location,
    Person,
    Record,
    Rejected,
    Unavailable,
    Unknown,
    Write,
)
from bridge.mapping import load_mapping
from bridge_hubspot import SPEC
from bridge_hubspot.lookup import searches, since
from bridge_hubspot.words import OBJECTS

MAPPING = Path(__file__).parent.parent / "mappings" / "hubspot.yaml"
KEY = Field(name="crmbridge_key", label="crmbridge key", unique=True)


@pytest.fixture
def portal() -> Iterator[World]:
    with world() as made:
        yield made


def find(portal: World, *people: Person) -> dict[str, list[str]]:
    return {match.key: list(match.ids) for match in portal.connector.find(people)}


def locate(portal: World, *writes: Write) -> dict[str, Location]:
    located = list(portal.connector.locate(writes))
    assert sorted(one.key for one in located) == sorted(write.key for write in writes)
    return {one.key: one for one in located}


def read(portal: World, stream: str, *ids: str) -> dict[str, Record]:
    return {
        one.data["requested_id"]: one for one in portal.connector.read(stream, ids, ["email", "firstname"])
    }


def test_check_tells_the_account_and_the_scopes_it_has(portal: World) -> None:
    portal.hub.levers.missing_scopes = {"crm.objects.deals.read", "crm.objects.owners.read"}
    account = portal.connector.check()
    assert (account.id, account.time_zone, account.currency) == ("123456", "America/Sao_Paulo", "BRL")
    assert set(account.missing_scopes) == {"crm.objects.deals.read", "crm.objects.owners.read"}
    assert account.scopes == ("crm.objects.companies.read", "crm.objects.contacts.read")


@pytest.mark.parametrize("url", ["http://api.hubapi.com", "http://localhost.evil.example", "ftp://127.0.0.1"])
def test_a_token_is_never_sent_in_the_clear(url: str) -> None:
    schema = Draft202012Validator(SPEC.settings)
    assert not schema.is_valid({"token": TOKEN, "base_url": url})
    assert schema.is_valid({"token": TOKEN, "base_url": "http://127.0.0.1:8100"})


def test_a_token_pasted_with_a_line_break_works() -> None:
    with world(token=f"{TOKEN}\n") as portal:
        assert portal.connector.check().id == "123456"


def test_a_contact_is_found_by_any_of_its_addresses_and_numbers(portal: World) -> None:
    ana = portal.contact(
        "ana", hs_additional_emails="souza@one.example;a@two.example", phone="(11) 97391-4862"
    )
    rui = portal.contact("rui", hs_whatsapp_phone_number="+55 11 97391-4863")
    found = find(
        portal,
        Person(key="second address", emails=["A@Two.example"]),
        Person(key="as typed", phones=["+5511973914862", "(11) 97391-4862"]),
        Person(key="by WhatsApp", phones=["+5511973914863", "+55 11 97391-4863"]),
        Person(key="two", emails=["rui@one.example"], phones=["(11) 97391-4862"]),
    )
    assert found == {"second address": [ana], "as typed": [ana], "by WhatsApp": [rui], "two": [ana, rui]}


def test_an_address_that_the_batch_does_not_know_is_searched_for(portal: World) -> None:
    ana = portal.contact("ana", hs_additional_emails="souza@one.example")
    nothing = '{"status": "COMPLETE", "results": []}'
    portal.hub.levers.fail(200, path="/contacts/batch/read", body=nothing)
    assert find(portal, Person(key="ana", emails=["souza@one.example"])) == {"ana": [ana]}


def test_a_merged_contact_is_found_under_the_id_it_has_now(portal: World) -> None:
    merged = portal.hub.merge("contacts", portal.contact("one"), portal.contact("other"))
    assert find(portal, Person(key="p", emails=["other@one.example"])) == {"p": [merged]}


def test_a_search_that_fails_never_says_nobody(portal: World) -> None:
    person = Person(key="p", emails=["nobody@one.example"], phones=["+5511973914862"])
    for status in (400, 503):
        portal.hub.levers.fail(status, path="/search", times=8)
        with pytest.raises(Unavailable):
            find(portal, person)
        portal.hub.levers.faults.clear()
    portal.hub.levers.fail(400, path="/batch/read", times=1)
    with pytest.raises(Unavailable, match="refused to look"):
        find(portal, person)


def test_searches_stay_within_hubspots_limits() -> None:
    values = [f"+55 11 9739{number:05d}" for number in range(500)]
    properties = ("phone", "mobilephone", "hs_whatsapp_phone_number")
    bodies = list(searches(values, properties))
    asked = [value for body in bodies for value in body["filterGroups"][0]["filters"][0]["values"]]
    assert asked == values
    for body in bodies:
        assert len(orjson.dumps({**body, "after": "9800"})) <= 3000
        assert len(body["filterGroups"]) == 3
        assert all(len(group["filters"][0]["values"]) <= 100 for group in body["filterGroups"])
    assert len(bodies) < 500 / 30


def test_more_hits_than_a_page_are_all_found(portal: World) -> None:
    for number in range(230):
        portal.hub.create("contacts", {"email": f"ana{number}@one.example", "phone": "+551140001000"})
    assert len(find(portal, Person(key="reception", phones=["+551140001000"]))["reception"]) == 230


def test_read_tells_what_was_merged_archived_and_forgotten(portal: World) -> None:
    there, one, other, archived = (portal.contact(name) for name in ("there", "one", "other", "archived"))
    merged = portal.hub.merge("contacts", one, other)
    portal.hub.delete("contacts", archived)
    found = read(portal, "contacts", there, one, merged, archived, "999999")
    assert list(found) == [there, one, merged, archived, "999999"]
    assert {name: (record.id, record.deleted) for name, record in found.items()} == {
        there: (there, False),
        one: (merged, False),
        merged: (merged, False),
        archived: (archived, True),
        "999999": ("999999", True),
    }
    assert found[there].data["properties"]["email"] == "there@one.example"
    assert read(portal, "contacts") == {}
    with pytest.raises(Rejected, match="owners"):
        read(portal, "owners", "77")


def test_a_merge_that_the_batch_does_not_tell_is_asked_for_singly(portal: World) -> None:
    one = portal.contact("one")
    merged = portal.hub.merge("contacts", one, portal.contact("other"))
    nothing = '{"status": "COMPLETE", "results": []}'
    portal.hub.levers.fail(200, path="/contacts/batch/read", body=nothing, times=2)
    assert read(portal, "contacts", one)[one].id == merged


def times(portal: World, ids: Sequence[str], *fields: str) -> dict[str, Mapping[str, datetime]]:
    """Return since when, by id; each object once."""
    told = list(portal.connector.field_times("contacts", ids, fields))
    assert len({one.id for one in told}) == len(told)
    return {one.id: one.at for one in told}


def test_a_property_has_its_value_since_its_last_change(portal: World) -> None:
    portal.stop_the_clock(datetime(2026, 11, 20, 9, tzinfo=UTC))
    ana = portal.contact("ana", firstname="Ana", lastname="Souza", jobtitle="Padeira")
    portal.stop_the_clock(datetime(2026, 11, 20, 10, tzinfo=UTC))
    portal.hub.edit("contacts", ana, {"firstname": "Anna", "jobtitle": None})
    portal.stop_the_clock(datetime(2026, 11, 20, 11, 0, 0, 250_000, tzinfo=UTC))
    fields = {"lastname": "Lima", "firstname": "Anna"}
    portal.push(Write(key=key(1), op="update", stream="contacts", id=ana, fields=fields))
    asked = ("firstname", "properties.lastname", "jobtitle", "phone", "colour", "associations.deals")
    assert times(portal, [ana], *asked) == {
        ana: {
            "firstname": datetime(2026, 11, 20, 10, tzinfo=UTC),
            "properties.lastname": datetime(2026, 11, 20, 11, 0, 0, 250_000, tzinfo=UTC),
            "jobtitle": datetime(2026, 11, 20, 10, tzinfo=UTC),
        }
    }


def test_an_entry_that_repeats_the_value_changed_nothing() -> None:
    told = [
        ("Anna", "2026-11-20T12:00:00Z"),
        ("Anna", "2026-11-20T10:00:00.5Z"),
        ("Ana", "2026-11-20T09:00:00Z"),
    ]
    history = [{"value": value, "timestamp": at} for value, at in told]
    assert since(history) == datetime(2026, 11, 20, 10, 0, 0, 500_000, tzinfo=UTC)
    assert since([]) is since(None) is None
    for odd in ([{"value": "Ana"}], ["Ana"], "Ana"):
        with pytest.raises(Unavailable, match="without a time"):
            since(odd)


def test_what_was_merged_tells_its_times_once_and_what_is_gone_none(portal: World) -> None:
    there, one, other, archived = (portal.contact(name) for name in ("there", "one", "other", "archived"))
    merged = portal.hub.merge("contacts", one, other)
    portal.hub.delete("contacts", archived)
    told = times(portal, [one, archived, merged, there, "999999"], "email")
    assert [(id_, list(at)) for id_, at in told.items()] == [(merged, ["email"]), (there, ["email"])]
    nothing = '{"status": "COMPLETE", "results": []}'
    portal.hub.levers.fail(200, path="/contacts/batch/read", body=nothing, times=2)
    assert list(times(portal, [one], "email")[merged]) == ["email"]
    with pytest.raises(Rejected, match="owners"):
        list(portal.connector.field_times("owners", ["77"], ["email"]))


def test_histories_are_asked_for_fifty_at_a_time(portal: World) -> None:
    ids = [portal.contact(f"ana{number}") for number in range(120)]
    before = len(portal.hub.calls)
    assert list(times(portal, ids, "email", "phone")) == ids
    assert portal.calls_since(before) == ["POST contacts/batch/read"] * 3


def test_an_entry_is_located_by_its_key_or_by_the_marker_in_its_text(portal: World) -> None:
    contact = portal.contact()
    sent = portal.push(note(1, contact))[key(1)].id or ""
    portal.connector.create("notes", [KEY])
    portal.push(note(2, contact, hs_note_body="no marker in here"))
    portal.hub.create("notes", {"hs_timestamp": WHEN, "hs_note_body": f"crmbridge {key(3)} was quoted here"})
    located = locate(portal, note(1, contact), note(2, contact), note(3, contact))
    assert located[key(1)] == Found(key=key(1), id=sent)
    assert isinstance(located[key(2)], Found)
    assert located[key(3)] == Absent(key=key(3))


def test_an_entry_is_located_on_the_contact_that_absorbed_its_own(portal: World) -> None:
    one = portal.contact("one")
    sent = portal.push(note(1, one))[key(1)].id or ""
    portal.hub.merge("contacts", portal.contact("other"), one)
    assert locate(portal, note(1, one)) == {key(1): Found(key=key(1), id=sent)}


def test_an_entry_without_a_living_contact_is_unknown(portal: World) -> None:
    gone = portal.contact()
    portal.hub.delete("contacts", gone)
    for location in locate(portal, note(1), note(2, gone), note(3, key(9)[:-1] + "X")).values():
        assert isinstance(location, Unknown)
        assert "contact" in location.reason


def test_where_hubspot_takes_unique_keys_entries_need_no_contact(portal: World) -> None:
    portal.hub.levers.unique_on_engagements = True
    portal.connector.create("notes", [KEY])
    sent = portal.push(note(1))[key(1)].id or ""
    assert locate(portal, note(1), note(2)) == {
        key(1): Found(key=key(1), id=sent),
        key(2): Absent(key=key(2)),
    }


def test_a_contact_is_located_by_its_unique_key(portal: World) -> None:
    portal.connector.create("contacts", [KEY])
    by_phone, by_mail = contact_write(1, phone="+5511973914862"), contact_write(2, email="ana@one.example")
    receipts = portal.push(by_phone, by_mail)
    never, foreign = contact_write(3, phone="+5511973914863"), contact_write(4, email="rui@one.example")
    portal.contact("rui")
    assert locate(portal, by_phone, by_mail, never, foreign) == {
        key(1): Found(key=key(1), id=receipts[key(1)].id or ""),
        key(2): Found(key=key(2), id=receipts[key(2)].id or ""),
        key(3): Absent(key=key(3)),
        key(4): Absent(key=key(4)),
    }


def test_without_a_key_property_a_contact_counts_as_ours_if_it_shows_what_was_sent(portal: World) -> None:
    ours = contact_write(1, email="ana@one.example", firstname="Ana", crmbridge_note=None)
    sent = portal.push(contact_write(1, email="ana@one.example", firstname="Ana"))[key(1)].id or ""
    portal.contact("rui", firstname="Rui")
    located = locate(
        portal,
        ours,
        contact_write(2, email="rui@one.example", firstname="Rodrigo"),
        contact_write(3, phone="+5511973914862"),
    )
    assert located[key(1)] == Found(key=key(1), id=sent)
    assert located[key(2)] == Absent(key=key(2))
    assert isinstance(located[key(3)], Unknown)


def test_changes_and_links_are_located_by_what_hubspot_shows(portal: World) -> None:
    contact = portal.contact(firstname="Ana")
    entry = portal.push(note(1, contact))[key(1)].id or ""
    to_contact = [Link(stream="contacts", to=contact)]
    writes = {
        "same value": Write(
            key=key(2), op="update", stream="contacts", id=contact, fields={"firstname": "Ana"}
        ),
        "same time": Write(
            key=key(3),
            op="update",
            stream="notes",
            id=entry,
            fields={"hs_timestamp": "2026-11-20T11:02:00-03:00"},
        ),
        "other value": Write(
            key=key(4), op="update", stream="contacts", id=contact, fields={"firstname": "Rui"}
        ),
        "linked": Write(key=key(5), op="link", stream="notes", id=entry, links=to_contact),
        "still linked": Write(key=key(6), op="unlink", stream="notes", id=entry, links=to_contact),
        "still there": Write(key=key(7), op="archive", stream="notes", id=entry),
    }
    located = locate(portal, *writes.values())
    stands = {name: isinstance(located[write.key], Found) for name, write in writes.items()}
    assert stands == {
        "same value": True,
        "same time": True,
        "other value": False,
        "linked": True,
        "still linked": False,
        "still there": False,
    }
    portal.hub.delete("notes", entry)
    assert locate(portal, writes["still there"]) == {key(7): Found(key=key(7), id=entry)}


def test_nothing_is_located_by_search(portal: World) -> None:
    contact = portal.contact()
    portal.hub.levers.index_lag = 3600.0
    portal.push(note(1, contact), contact_write(2, email="rui@one.example"))
    before = len(portal.hub.calls)
    located = locate(portal, note(1, contact), contact_write(2, email="rui@one.example"))
    assert all(isinstance(location, Found) for location in located.values())
    assert not any("search" in call for call in portal.calls_since(before))


def test_properties_are_created_unique_where_hubspot_allows_it(portal: World) -> None:
    channel = Field(name="crmbridge_kind", label="Kind", type="enumeration", options=["lead", "customer"])
    assert portal.connector.create("notes", [KEY, channel]) == Created(
        created=("crmbridge_key", "crmbridge_kind")
    )
    assert portal.connector.create("contacts", [KEY]) == Created(created=("crmbridge_key",))
    unique = {
        stream: {field.name: field.unique for field in portal.connector.describe(stream)}["crmbridge_key"]
        for stream in ("notes", "contacts")
    }
    assert unique == {"notes": False, "contacts": True}
    kinds = {field.name: field.options for field in portal.connector.describe("notes")}["crmbridge_kind"]
    assert list(kinds) == ["lead", "customer"]
    more = Field(name="crmbridge_source", label="Source")
    assert portal.connector.create("contacts", [KEY, more]) == Created(
        created=("crmbridge_source",), existing=("crmbridge_key",)
    )


def test_without_the_scope_the_steps_are_told(portal: World) -> None:
    portal.hub.levers.missing_scopes = {"crm.schemas.contacts.write"}
    made = portal.connector.create("contacts", [KEY])
    assert made.created == ()
    (step,) = made.manual
    assert "Settings > Properties" in step
    assert "crmbridge_key" in step
    assert "crm.schemas.contacts.write" in step


def test_a_field_that_hubspot_refuses_does_not_keep_back_the_others(portal: World) -> None:
    made = portal.connector.create("contacts", [Field(name="Bad Name", label="Bad"), KEY])
    assert made.created == ("crmbridge_key",)
    assert "Bad Name" in made.manual[0]


def test_a_revoked_token_is_no_manual_step(portal: World) -> None:
    portal.hub.levers.expired = True
    with pytest.raises(AuthError):
        portal.connector.create("contacts", [KEY])


def test_a_property_that_is_made_is_used_at_once(portal: World) -> None:
    portal.push(note(1, portal.contact()))
    portal.connector.create("notes", [KEY])
    (receipt,) = portal.connector.push([note(2)])
    assert (receipt.as_read or {})["crmbridge_key"] == key(2)


def test_the_mapping_writes_only_what_hubspot_lets_it_write(portal: World) -> None:
    mapping = load_mapping(MAPPING, connector="hubspot")
    for stream, fields in mapping.properties.items():
        portal.connector.create(stream, fields)
    assert mapping.push_interaction is not None
    assert mapping.push_contact is not None
    written = {(stream, name) for stream, name in mapping.push_interaction.lines}
    written |= {("contacts", name) for name in mapping.push_contact.owned}
    for stream in {stream for stream, _ in written}:
        writable = {field.name for field in portal.connector.describe(stream) if field.writable}
        assert {name for on, name in written if on == stream} <= writable, stream


def test_every_object_type_has_a_stream_of_its_own_but_tasks_which_are_read_by_their_ids() -> None:
    streams = {stream.name for stream in SPEC.streams}
    assert set(OBJECTS) | {"owners", "pipelines"} == streams | {"tasks"}
