"""Writing to Pipedrive: one receipt for each write, no bad neighbour, nothing twice, nothing sent into a refusal."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pipedrive_world import World, activity, emails, key, note, person_write, records, world

from bridge import AuthError, Field, Json, Link, RateLimited, Rejected, Unavailable, Write
from bridge_pipedrive.client import Answer, Client
from bridge_pipedrive.sandbox_faults import CLOUDFLARE
from bridge_pipedrive.sink import lanes
from bridge_pipedrive.words import KEY_FIELD, LANES, cost_of, duration

FIELDS = [
    Field(name=KEY_FIELD),
    Field(name="Waiting since", type="datetime"),
    Field(name="Channels", type="set", options=("WhatsApp", "Phone")),
    Field(name="Score", type="number"),
]


@pytest.fixture
def company() -> Iterator[World]:
    with world() as made:
        yield made


def change(number: int, op: str, stream: str, id_: str, *links: Link, **fields: object) -> Write:
    return Write(key=key(number), op=op, stream=stream, id=id_, fields=fields, links=links)  # type: ignore[arg-type]


def test_an_activity_stands_when_it_happened_in_utc_whatever_the_users_zone(company: World) -> None:
    ana = company.person()
    deal = company.crm.create("deals", {"title": "Dois fornos"})
    write = activity(1, ana, duration=24_000)
    write = Write(
        key=write.key,
        op="create",
        stream="activities",
        fields=write.fields,
        links=[*write.links, Link(stream="deals", to=deal)],
    )
    receipt = company.push(write)[key(1)]
    [shown] = company.crm.objects("activities")
    assert (shown["due_date"], shown["due_time"], shown["duration"]) == ("2026-11-20", "14:02:00", "00:01:00")
    assert (shown["done"], shown["deal_id"], shown["person_id"]) == (True, int(deal), int(ana))
    assert receipt.id == shown["id"]
    assert receipt.as_read is not None and receipt.as_read["due_time"] == "14:02:00"


def test_a_note_is_as_old_as_what_it_tells(company: World) -> None:
    ana = company.person()
    assert company.push(note(1, ana))[key(1)].error is None
    [shown] = company.crm.objects("notes")
    assert (shown["add_time"], shown["person_id"]) == ("2026-11-20T14:02:33Z", int(ana))


@pytest.mark.parametrize(
    ("milliseconds", "shown"), [(0, "00:00"), (24_000, "00:01"), (5_400_000, "01:30"), (1e12, "23:59")]
)
def test_a_length_is_told_in_begun_minutes(milliseconds: float, shown: str) -> None:
    assert duration(milliseconds) == shown


def test_an_entry_has_the_type_that_its_account_calls_so(company: World) -> None:
    ana = company.person()
    company.crm._account.setup.add_type("WhatsApp", "smartphone")
    words = ("whatsapp", "email", "phone", "telegram")
    receipts = company.push(*(activity(number, ana, type=word) for number, word in enumerate(words)))
    assert all(receipt.error is None for receipt in receipts.values())
    shown = {str(one["note"])[-1]: one["type"] for one in company.crm.objects("activities")}
    assert [shown[str(number)] for number in range(4)] == ["whatsapp", "email", "call", "task"]


def test_an_entry_of_several_people_belongs_to_each_and_first_to_the_first(company: World) -> None:
    rui, ana = company.person("Rui"), company.person()
    company.push(activity(1, ana, rui))
    [shown] = company.crm.objects("activities")
    assert [one["person_id"] for one in shown["participants"]] == [int(ana), int(rui)]
    assert shown["person_id"] == int(ana)
    error = company.push(note(2, ana, rui))[key(2)].error
    assert isinstance(error, Rejected)
    assert "belongs to one person" in str(error)


def test_a_person_is_made_with_addresses_custom_fields_and_our_key(company: World) -> None:
    company.connector.create("persons", FIELDS)
    fields = {"emails": "ana@one.example", "phones": ["11 97391-4862", "11 97391-4863"], "owner_id": "501"}
    own = {"Waiting since": "2026-11-21T01:30:00Z", "Channels": ["phone", "whatsapp"], "Score": "4.5"}
    receipt = company.push(person_write(1, **fields, **own))[key(1)]
    assert receipt.error is None
    [shown] = company.connector.read("persons", [receipt.id or ""], ["emails", "phones", "Waiting since"])
    assert shown.data["custom_fields"] == {
        KEY_FIELD: key(1),
        "Waiting since": "2026-11-20",  # it was still the 20th in São Paulo
        "Channels": ["Phone", "WhatsApp"],
        "Score": 4.5,
    }
    assert shown.data["properties"] == {
        "emails": "ana@one.example",
        "phones": ["11 97391-4862", "11 97391-4863"],
        "Waiting since": "2026-11-20",
    }
    cleared = company.push(change(2, "update", "persons", receipt.id or "", **{"Waiting since": ""}))[key(2)]
    assert cleared.error is None
    assert cleared.as_read == {"Waiting since": None}


def test_what_pipedrive_has_no_words_for_is_refused_unsent(company: World) -> None:
    company.connector.create("persons", FIELDS)
    ana = company.person()
    before = len(company.crm.calls)
    receipts = company.push(
        activity(1, ana, colour="blue"),
        person_write(2, shoe_size="40"),
        person_write(3, Channels="Fax"),
        Write(key=key(4), op="create", stream="deals", fields={"title": "Um"}),
        change(5, "link", "activities", "501", Link(stream="tickets", to="1")),
    )
    assert all(isinstance(receipt.error, Rejected) for receipt in receipts.values())
    assert "no field 'shoe_size'" in str(receipts[key(2)].error) and "setup" in str(receipts[key(2)].error)
    assert "known: WhatsApp, Phone" in str(receipts[key(3)].error)
    assert not [call for call in company.calls_since(before) if not call.startswith("GET")]


def test_a_bad_write_among_good_ones_is_rejected_in_pipedrives_words(company: World) -> None:
    ana = company.person()
    receipts = company.push(activity(1, ana), activity(2, ana, duration="long"), activity(3, ana))
    error = receipts[key(2)].error
    assert isinstance(error, Rejected)
    assert "duration" in str(error) and error.code == "ERR_SCHEMA_VALIDATION_FAILED"
    assert [receipts[key(number)].error for number in (1, 3)] == [None, None]


def test_a_write_to_somebody_who_is_gone_says_so_and_the_next_look_tells(company: World) -> None:
    cursor = company.started("persons")
    ana, twin = company.person(), company.person("Ana again")
    company.pull("persons", "live", cursor)
    company.crm.merge("persons", twin, ana)
    error = company.push(activity(1, ana))[key(1)].error
    assert isinstance(error, Rejected)
    assert error.code == "gone"
    assert f"person {ana} is no longer in Pipedrive: deleted, or merged" in str(error)
    found = {record.id: record.deleted for record in records(company.pull("persons", "live", cursor))}
    assert found == {ana: True, twin: False}
    assert ana not in [record.id for record in records(company.pull("persons", "live", cursor))]


def test_each_contacts_writes_go_in_order_and_contacts_side_by_side(
    company: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [company.person(f"Ana {number}") for number in range(6)]
    all_of_them = threading.Barrier(6, timeout=60)
    sent = Client.send

    def send(client: Client, method: str, path: str, body: Json = None) -> Answer:
        all_of_them.wait()
        return sent(client, method, path, body)

    monkeypatch.setattr(Client, "send", send)
    writes = [activity(number, people[number % 6], subject=f"{number:02d}") for number in range(24)]
    order = [int(receipt.key) for receipt in company.connector.push(writes)]
    for person in range(6):
        assert [one for one in order if one % 6 == person] == list(range(person, 24, 6))
    assert not all_of_them.broken, "nothing went side by side"


def test_writes_that_share_a_person_stand_in_one_lane_parents_first() -> None:
    parent = person_write(9)
    writes = [activity(1, "501"), activity(2, "502"), activity(3, key(9)), activity(4, "502", "503")]
    writes += [activity(5, "503"), parent, change(6, "update", "persons", "501")]
    found = [[write.key for write in lane] for lane in lanes(writes)]
    assert sorted(found) == [[key(1), key(6)], [key(2), key(4), key(5)], [key(9), key(3)]]


def test_after_too_many_calls_nothing_more_is_sent(company: World) -> None:
    people = [company.person(f"Ana {number}") for number in range(30)]
    company.push(activity(99, people[0]))
    company.crm.levers.burst = 0
    receipts = company.push(*(activity(number, person) for number, person in enumerate(people)))
    errors = [receipt.error for receipt in receipts.values()]
    assert all(isinstance(error, RateLimited) and error.wait <= 2.0 for error in errors)
    assert 1 <= sum(call.status == 429 for call in company.crm.calls) <= LANES, "a lane each was under way"
    with pytest.raises(RateLimited, match="the next one in"):
        company.connector.check()
    company.crm.levers.burst = None
    company.move(2.0)
    assert company.connector.check().id


def test_after_an_outage_only_the_calls_on_their_way_are_uncertain(company: World) -> None:
    people = [company.person(f"Ana {number}") for number in range(20)]
    company.crm.levers.fail(503, method="POST", times=1000)
    receipts = company.push(*(activity(number, person) for number, person in enumerate(people)))
    errors = [receipt.error for receipt in receipts.values()]
    assert 1 <= sum(isinstance(error, Unavailable) for error in errors) <= LANES
    assert sum(isinstance(error, RateLimited) for error in errors) >= 20 - LANES
    assert sum(call.method == "POST" for call in company.crm.calls) <= LANES


def test_a_refused_key_stops_the_push(company: World) -> None:
    ana = company.person()
    company.push(activity(1, ana))
    company.crm.levers.expired = True
    receipts = company.push(activity(2, ana), activity(3, ana))
    assert all(isinstance(receipt.error, AuthError) for receipt in receipts.values())
    assert sum(call.status == 401 for call in company.crm.calls) == 1


def test_nothing_is_sent_while_the_account_cannot_be_read(company: World) -> None:
    ana = company.person()
    company.crm.levers.fail(503, method="GET", times=1000)
    with pytest.raises(Unavailable):
        list(company.connector.push([activity(1, ana)]))
    assert company.crm.objects("activities") == []


@pytest.mark.parametrize("body", ['{"success": true}', '{"success": true, "data": 7}', "<html></html>", "[]"])
def test_an_answer_that_makes_no_sense_leaves_the_write_uncertain(company: World, body: str) -> None:
    ana = company.person()
    company.crm.levers.fail(200, method="POST", commits=0.0, body=body)
    write = activity(1, ana)
    assert isinstance(company.push(write)[key(1)].error, Unavailable)
    [found] = company.connector.locate([write])
    assert found.key == key(1) and type(found).__name__ == "Found"


def test_cloudflares_page_is_a_wait_and_no_broken_key(company: World) -> None:
    ana = company.person()
    company.crm.levers.fail(403, method="POST", body=CLOUDFLARE)
    error = company.push(activity(1, ana))[key(1)].error
    assert isinstance(error, RateLimited)
    assert error.wait == pytest.approx(300.0)
    assert "firewall" in str(error)
    company.move(301.0)
    assert company.push(activity(1, ana))[key(1)].error is None


def test_the_days_tokens_being_spent_is_told_and_asked_again_each_hour(company: World) -> None:
    ana = company.person()
    company.push(activity(1, ana))
    company.crm.levers.daily = company.crm.spent
    error = company.push(activity(2, ana))[key(2)].error
    assert isinstance(error, RateLimited)
    assert error.wait == pytest.approx(3600.0)
    assert "tokens of today are spent" in str(error)
    with pytest.raises(RateLimited, match="refused by its vendor"):
        company.pull("persons", "live")


def test_links_are_made_and_unmade_each_for_itself(company: World) -> None:
    ana, rui, bia = (company.person(name) for name in ("Ana", "Rui", "Bia"))
    deal = company.crm.create("deals", {"title": "Um"})
    receipts = company.push(activity(1, ana), note(2, ana))
    entry, text = (str(receipts[key(number)].id) for number in (1, 2))
    to_rui, to_bia = Link(stream="persons", to=rui), Link(stream="persons", to=bia)
    to_deal = Link(stream="deals", to=deal)
    receipts = company.push(
        change(3, "link", "activities", entry, to_rui, to_deal),
        change(4, "link", "activities", entry, to_rui),
        change(5, "link", "notes", text, to_bia),
        change(6, "link", "notes", text, to_deal),
    )
    assert [receipts[key(number)].error is None for number in (3, 4, 5, 6)] == [True, True, False, True]
    assert "belongs to persons" in str(receipts[key(5)].error)
    [shown] = company.crm.objects("activities")
    assert [one["person_id"] for one in shown["participants"]] == [int(ana), int(rui)]
    assert shown["deal_id"] == int(deal)
    moved = [Link(stream="persons", to=one, role="move") for one in (bia, ana)]
    receipts = company.push(
        change(8, "link", "notes", text, moved[0]), change(9, "unlink", "notes", text, moved[1])
    )
    assert [receipt.error for receipt in receipts.values()] == [None, None]
    assert company.crm.objects("notes")[0]["person_id"] == int(bia)
    company.push(change(7, "unlink", "activities", entry, Link(stream="persons", to=ana), to_deal))
    [shown] = company.crm.objects("activities")
    assert ([one["person_id"] for one in shown["participants"]], shown["deal_id"]) == ([int(rui)], None)


def test_an_entry_is_changed_and_put_away_and_done_twice_is_done_once(company: World) -> None:
    ana = company.person()
    receipts = company.push(activity(1, ana), note(2, ana))
    entry, text = (str(receipts[key(number)].id) for number in (1, 2))
    receipts = company.push(
        change(3, "update", "activities", entry, note=f"Olá!<br>crmbridge {key(1)}"),
        change(4, "update", "notes", text, content=f"Olá!<br>crmbridge {key(2)}"),
    )
    assert [receipt.error for receipt in receipts.values()] == [None, None]
    assert "Olá!" in str(company.crm.objects("activities")[0]["note"])
    assert "Olá!" in str(company.crm.objects("notes")[0]["content"])
    for round in (5, 7):
        receipts = company.push(
            change(round, "archive", "activities", entry), change(round + 1, "archive", "notes", text)
        )
        assert [receipt.error for receipt in receipts.values()] == [None, None]
    assert company.crm.objects("activities") == company.crm.objects("notes") == []


def test_an_update_of_what_is_gone_fails_alone(company: World) -> None:
    ana, rui = company.person(emails=emails("ana@one.example")), company.person("Rui")
    company.crm.delete("persons", rui)
    receipts = company.push(
        change(1, "update", "persons", rui, name="Rui Costa"),
        change(2, "update", "persons", ana, name="Ana Souza"),
    )
    assert isinstance(receipts[key(1)].error, Rejected)
    assert receipts[key(2)].error is None
    assert receipts[key(2)].as_read == {"name": "Ana Souza"}


def test_a_push_that_is_given_up_sends_nothing_more(company: World) -> None:
    ana = company.person()
    company.crm.levers.slow(0.1, method="POST", times=1000)
    pushing = company.connector.push([activity(number, ana) for number in range(1000)])
    next(pushing)
    pushing.close()  # type: ignore[attr-defined]
    assert len(company.crm.objects("activities")) < 1000


def test_each_call_costs_what_the_published_description_says() -> None:
    costs = {
        ("GET", "/api/v2/persons"): 10,
        ("GET", "/api/v2/persons/501"): 1,
        ("POST", "/api/v2/activities"): 5,
        ("PATCH", "/api/v2/activities/501"): 5,
        ("DELETE", "/api/v2/activities/501"): 3,
        ("GET", "/api/v2/deals/archived"): 20,
        ("GET", "/api/v2/stages"): 5,
        ("GET", "/v1/notes"): 20,
        ("GET", "/v1/notes/501"): 2,
        ("POST", "/v1/notes"): 10,
        ("DELETE", "/v1/notes/501"): 6,
        ("GET", "/v1/leads/archived"): 40,
        ("GET", "/v1/leads/adf21080-0e10-11eb-879b-05d71fb426ec"): 2,
        ("GET", "/v1/deals/501/changelog"): 20,
        ("GET", "/v1/users/me"): 2,
    }
    assert {call: cost_of(*call) for call in costs} == costs
