"""Writing to HubSpot: one receipt for each write, no bad neighbour, nothing twice, nothing sent into a refusal."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from hubspot_world import WHEN, World, contact_write, key, note, world

from bridge import AuthError, Field, Found, Json, Link, RateLimited, Rejected, Unavailable, Write
from bridge_hubspot import sink
from bridge_hubspot.client import Answer, Client

KEY = Field(name="crmbridge_key", label="crmbridge key", unique=True)


@pytest.fixture
def portal() -> Iterator[World]:
    with world() as made:
        yield made


def update(number: int, stream: str, id_: str, **fields: object) -> Write:
    return Write(key=key(number), op="update", stream=stream, id=id_, fields=fields)


def whole_refusal(message: str) -> str:
    return json.dumps({"status": "error", "category": "VALIDATION_ERROR", "message": message})


def test_a_thousand_messages_of_known_contacts_take_twelve_calls(portal: World) -> None:
    contacts = [portal.contact(f"ana{number}") for number in range(20)]
    portal.connector.create("communications", [KEY])
    writes = [
        Write(
            key=key(number),
            op="create",
            stream="communications",
            fields={
                "hs_timestamp": WHEN,
                "hs_communication_channel_type": "WHATS_APP",
                "hs_communication_logged_from": "CRM",
                "hs_communication_body": f"Oi!<br>crmbridge {key(number)}",
            },
            links=[Link(stream="contacts", to=contacts[number % 20])],
        )
        for number in range(1000)
    ]
    portal.reopen()
    before = len(portal.hub.calls)
    receipts = portal.push(*writes)
    assert all(receipt.error is None for receipt in receipts.values())
    assert len(portal.hub.calls) - before <= 12
    assert sum(len(portal.hub.timeline(contact)) for contact in contacts) == 1000


def test_receipts_are_told_apart_by_key_and_carry_the_values_as_read(portal: World) -> None:
    contact = portal.contact()
    writes = [note(number, contact, hs_note_body=f"Oi <script>x</script>{number}") for number in range(30)]
    receipts = portal.push(*writes)
    made = {one["id"]: one["properties"]["hs_note_body"] for one in portal.hub.objects("notes")}
    for number, write in enumerate(writes):
        receipt = receipts[write.key]
        assert made[receipt.id or ""] == f"Oi {number}"
        assert receipt.as_read is not None
        assert receipt.as_read["hs_note_body"] == f"Oi {number}"


def test_the_key_property_is_sent_only_where_it_exists(portal: World) -> None:
    contact = portal.contact()
    portal.push(note(1, contact))
    portal.connector.create("notes", [KEY])
    portal.push(note(2, contact))
    keys = [one["properties"].get("crmbridge_key") for one in portal.hub.objects("notes")]
    assert keys == [None, key(2)]


def test_a_bad_row_is_rejected_in_hubspots_words(portal: World) -> None:
    contact = portal.contact()
    receipts = portal.push(note(1, contact), note(2, contact, colour="blue"), note(3, contact))
    error = receipts[key(2)].error
    assert isinstance(error, Rejected)
    assert error.code == "VALIDATION_ERROR"
    assert "colour" in str(error)
    assert len(portal.hub.timeline(contact)) == 2


def test_a_batch_refused_whole_is_halved_until_the_bad_write_stands_alone(portal: World) -> None:
    contact = portal.contact()
    refusal = whole_refusal("something in here is wrong")
    # The whole, its first half, that half's first half, and at last the first write alone.
    portal.hub.levers.fail(400, path="/batch/create", body=refusal, times=4)
    receipts = portal.push(*(note(number, contact) for number in range(8)))
    failed = [number for number in range(8) if receipts[key(number)].error]
    assert failed == [0]
    assert isinstance(receipts[key(0)].error, Rejected)
    assert len(portal.hub.timeline(contact)) == 7


def test_a_batch_refused_for_an_unknown_property_is_parted_at_once(portal: World) -> None:
    contact = portal.contact()
    portal.hub.levers.fail(
        400, path="/batch/create", body=whole_refusal('Property "colour" does not exist'), times=1
    )
    before = len(portal.hub.calls)
    receipts = portal.push(
        *(note(n, contact, **({"colour": "blue"} if n % 9 == 0 else {})) for n in range(90))
    )
    failed = [number for number in range(90) if receipts[key(number)].error]
    assert failed == list(range(0, 90, 9))
    assert portal.calls_since(before).count("POST notes/batch/create") == 2


def test_a_contact_that_exists_is_named_by_its_id(portal: World) -> None:
    ana = portal.contact()
    receipts = portal.push(
        contact_write(1, email="ana@one.example"), contact_write(2, email="rui@one.example")
    )
    error = receipts[key(1)].error
    assert isinstance(error, Rejected)
    assert (error.code, error.existing_id) == ("CONFLICT", ana)
    assert receipts[key(2)].error is None


def test_a_whole_refusal_names_the_existing_contact_too(portal: World) -> None:
    body = json.dumps(
        {"status": "error", "category": "CONFLICT", "message": "Contact already exists. Existing ID: 151"}
    )
    portal.hub.levers.fail(409, path="/batch/create", body=body)
    error = portal.push(contact_write(1, email="ana@one.example"))[key(1)].error
    assert isinstance(error, Rejected)
    assert error.existing_id == "151"


def test_the_same_contact_pushed_again_is_recognised_and_not_doubled(portal: World) -> None:
    portal.connector.create("contacts", [KEY])
    by_mail = contact_write(1, email="ana@one.example", firstname="Ana")
    by_phone = contact_write(2, phone="+5511973914862")
    first = portal.push(by_mail, by_phone)
    again = portal.push(by_mail, by_phone)
    assert {name: receipt.id for name, receipt in first.items()} == {
        name: receipt.id for name, receipt in again.items()
    }
    assert all(receipt.error is None for receipt in again.values())
    assert len(portal.hub.objects("contacts")) == 2


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Set how many batches go side by side, and how many writes each holds."""

    def narrow(lanes: int, batch: int) -> None:
        monkeypatch.setattr(sink, "LANES", lanes)
        monkeypatch.setattr(sink, "BATCH", batch)

    return narrow


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the first calls of a push leave only once all of them are on their way."""

    def wait_for(calls: int) -> None:
        all_of_them = threading.Barrier(calls, timeout=60)
        first = threading.Semaphore(calls)
        sent = Client.send

        def send(client: Client, url: str, body: Json) -> Answer:
            if first.acquire(blocking=False):
                all_of_them.wait()
            return sent(client, url, body)

        monkeypatch.setattr(Client, "send", send)

    return wait_for


def test_batches_of_one_kind_are_on_their_way_together(
    portal: World, lanes: Callable[[int, int], None], together: Callable[[int], None]
) -> None:
    lanes(4, 5)
    contact = portal.contact()
    together(4)
    receipts = portal.push(*(note(number, contact) for number in range(20)))
    assert [receipt.error for receipt in receipts.values()] == [None] * 20
    assert len(portal.hub.timeline(contact)) == 20


def test_a_push_that_is_given_up_starts_no_further_batch(
    portal: World, lanes: Callable[[int, int], None]
) -> None:
    lanes(2, 5)
    contact = portal.contact()
    portal.hub.levers.slow(0.1, path="/batch/create", times=1000)
    before = len(portal.hub.calls)
    receipts = iter(portal.connector.push([note(number, contact) for number in range(2000)]))
    next(receipts)
    receipts.close()
    sent = portal.calls_since(before).count("POST notes/batch/create")
    assert sent < 400
    assert len(portal.hub.timeline(contact)) == 5 * sent


def test_where_some_of_many_batches_meet_too_many_calls_each_write_has_its_own_receipt(
    portal: World, lanes: Callable[[int, int], None]
) -> None:
    lanes(4, 5)
    contact = portal.contact()
    portal.hub.levers.fail(429, path="/batch/create", nth=3, times=2, retry_after=7)
    receipts = portal.push(*(note(number, contact) for number in range(60)))
    stand = [receipt for receipt in receipts.values() if receipt.error is None]
    assert all(isinstance(one.error, RateLimited) for one in receipts.values() if one.error is not None)
    assert {receipt.id for receipt in stand} == {one["id"] for one in portal.hub.timeline(contact)}
    assert 10 <= len(stand) < 60


def test_answers_lost_on_several_batches_at_once_leave_nothing_twice(
    portal: World, lanes: Callable[[int, int], None], together: Callable[[int], None]
) -> None:
    lanes(4, 5)
    contact = portal.contact()
    together(4)
    writes = [note(number, contact) for number in range(60)]
    portal.hub.levers.drop(path="/batch/create", nth=2, times=2, commits=0.0)
    portal.hub.levers.drop(path="/batch/create", nth=4)
    errors = {name: receipt.error for name, receipt in portal.push(*writes).items()}
    in_doubt = [write for write in writes if isinstance(errors[write.key], Unavailable)]
    unsent = [write for write in writes if isinstance(errors[write.key], RateLimited)]
    assert len(in_doubt) == 15
    found = {one.key: isinstance(one, Found) for one in portal.connector.locate(in_doubt)}
    again = portal.push(*unsent, *(write for write in in_doubt if not found[write.key]))
    assert all(receipt.error is None for receipt in again.values())
    assert len(portal.hub.timeline(contact)) == len(writes)


def test_after_too_many_calls_nothing_more_is_sent(portal: World, lanes: Callable[[int, int], None]) -> None:
    lanes(1, 100)
    contact = portal.contact()
    portal.hub.levers.fail(429, path="/batch/create", nth=2, retry_after=7)
    before = len(portal.hub.calls)
    receipts = portal.push(*(note(number, contact) for number in range(350)))
    sent = [receipt for receipt in receipts.values() if receipt.error is None]
    errors = [receipt.error for receipt in receipts.values() if receipt.error is not None]
    assert len(sent) == 100
    assert all(isinstance(error, RateLimited) and error.wait == 7 for error in errors)
    assert portal.calls_since(before).count("POST notes/batch/create") == 2
    assert len(portal.hub.timeline(contact)) == 100


def test_after_an_outage_only_the_batch_on_its_way_is_uncertain(
    portal: World, lanes: Callable[[int, int], None]
) -> None:
    lanes(1, 100)
    contact = portal.contact()
    portal.hub.levers.fail(502, path="/batch/create", commits=0.0)
    receipts = portal.push(*(note(number, contact) for number in range(150)))
    uncertain = [name for name, receipt in receipts.items() if isinstance(receipt.error, Unavailable)]
    unsent = [name for name, receipt in receipts.items() if isinstance(receipt.error, RateLimited)]
    assert sorted(uncertain) == [key(number) for number in range(100)]
    assert sorted(unsent) == [key(number) for number in range(100, 150)]
    located = list(portal.connector.locate([note(number, contact) for number in range(100)]))
    assert all(isinstance(location, Found) for location in located)


@pytest.mark.parametrize(
    "answer", ["<html>200</html>", "{}", '{"results": [{"id": "7"}]}', '{"results": []}']
)
def test_an_answer_that_says_nothing_of_a_write_leaves_it_uncertain(portal: World, answer: str) -> None:
    contact = portal.contact()
    portal.hub.levers.fail(200, path="/batch/create", body=answer, commits=0.0)
    error = portal.push(note(1, contact))[key(1)].error
    assert isinstance(error, Unavailable)


def test_a_refused_key_stops_the_push(portal: World) -> None:
    contact = portal.contact()
    portal.hub.levers.missing_scopes = {"crm.objects.contacts.write"}
    receipts = portal.push(*(note(number, contact) for number in range(150)))
    errors = [receipt.error for receipt in receipts.values()]
    assert all(
        isinstance(error, AuthError) and error.missing_scopes == ("crm.objects.contacts.write",)
        for error in errors
    )


def test_parents_go_first_whatever_the_order(portal: World) -> None:
    child = note(1, key(3))
    company = Write(key=key(2), op="create", stream="companies", fields={"name": "Padaria Lima"})
    parent = contact_write(3, email="ana@one.example")
    parent = Write(
        key=parent.key,
        op="create",
        stream="contacts",
        fields=parent.fields,
        links=[Link(stream="companies", to=key(2))],
    )
    receipts = portal.push(child, parent, company)
    contact = receipts[key(3)].id or ""
    (entry,) = portal.hub.timeline(contact)
    assert entry["id"] == receipts[key(1)].id
    (shown,) = portal.hub.objects("contacts")
    assert shown["links"]["companies"] == [receipts[key(2)].id]


def test_writes_that_wait_for_each_other_are_refused(portal: World) -> None:
    receipts = portal.push(note(1, key(1)))
    assert isinstance(receipts[key(1)].error, Rejected)


def test_links_that_hubspot_dropped_without_a_word_are_made_again(portal: World) -> None:
    contact = portal.contact()
    portal.hub.levers.ignore_inline_links = True
    receipts = portal.push(*(note(number, contact) for number in range(3)))
    assert all(receipt.error is None for receipt in receipts.values())
    assert len(portal.hub.timeline(contact)) == 3


def test_two_writes_to_one_contact_are_made_in_their_order(portal: World) -> None:
    contact = portal.contact()
    receipts = portal.push(
        update(1, "contacts", contact, firstname="Ana", phone="+5511973914862"),
        update(2, "contacts", contact, firstname="Ana Paula", phone=None),
    )
    assert [receipts[key(number)].id for number in (1, 2)] == [contact, contact]
    assert 400 not in [call.status for call in portal.hub.calls]
    assert (receipts[key(2)].as_read or {})["firstname"] == "Ana Paula"
    (shown,) = portal.hub.objects("contacts")
    assert shown["properties"]["firstname"] == "Ana Paula"
    assert "phone" not in shown["properties"]


def test_lists_and_truths_are_spelled_as_hubspot_takes_them(portal: World) -> None:
    contact = portal.contact()
    emails = ["a@one.example", "b@one.example"]
    receipt = portal.push(update(1, "contacts", contact, hs_additional_emails=emails, hs_email_optout=True))[
        key(1)
    ]
    assert receipt.error is None
    assert (receipt.as_read or {})["hs_additional_emails"] == "a@one.example;b@one.example"
    assert (receipt.as_read or {})["hs_email_optout"] == "true"


def test_a_bad_update_fails_alone(portal: World) -> None:
    ana, rui = portal.contact("ana"), portal.contact("rui")
    receipts = portal.push(
        update(1, "contacts", ana, firstname="Ana"),
        update(2, "contacts", "999999", firstname="Nobody"),
        update(3, "contacts", rui, lifecyclestage="no such stage"),
    )
    assert receipts[key(1)].error is None
    for number in (2, 3):
        assert isinstance(receipts[key(number)].error, Rejected)


def test_an_update_of_a_merged_contact_tells_its_present_id(portal: World) -> None:
    one, other = portal.contact("one"), portal.contact("other")
    merged = portal.hub.merge("contacts", one, other)
    receipt = portal.push(update(1, "contacts", other, firstname="Ana"))[key(1)]
    assert (receipt.error, receipt.id) == (None, merged)


def test_links_are_made_and_unmade_each_for_itself(portal: World) -> None:
    contact, deal = portal.contact(), portal.hub.create("deals", {"dealname": "Fornos"})
    entry = portal.push(note(1, contact))[key(1)].id or ""
    to_both = [Link(stream="deals", to=deal), Link(stream="contacts", to=contact)]
    to_nobody = [Link(stream="contacts", to="999999")]
    receipts = portal.push(
        Write(key=key(2), op="link", stream="notes", id=entry, links=to_both),
        Write(key=key(3), op="link", stream="notes", id=entry, links=to_nobody),
        Write(key=key(4), op="unlink", stream="notes", id=entry, links=to_both[1:]),
    )
    assert receipts[key(2)].error is None
    assert isinstance(receipts[key(3)].error, Rejected)
    assert receipts[key(4)].error is None
    (shown,) = portal.hub.objects("notes")
    assert shown["links"] == {"deals": [deal]}


def test_an_archive_moves_to_the_recycle_bin(portal: World) -> None:
    entry = portal.push(note(1, portal.contact()))[key(1)].id or ""
    receipt = portal.push(Write(key=key(2), op="archive", stream="notes", id=entry))[key(2)]
    assert (receipt.error, receipt.id) == (None, entry)
    assert [one["id"] for one in portal.hub.objects("notes", archived=True)] == [entry]


def test_what_hubspot_has_no_words_for_is_refused_unsent(portal: World) -> None:
    strange = Write(key=key(1), op="create", stream="invoices", fields={})
    unlinked = Write(key=key(2), op="create", stream="notes", links=[Link(stream="invoices", to="7")])
    before = len(portal.hub.calls)
    receipts = portal.push(strange, unlinked)
    assert all(isinstance(receipt.error, Rejected) for receipt in receipts.values())
    assert not any("batch/create" in call for call in portal.calls_since(before))


def test_nothing_is_sent_while_the_properties_cannot_be_read(portal: World) -> None:
    portal.hub.levers.fail(503, path="/crm/properties", times=9)
    with pytest.raises(Unavailable):
        portal.push(note(1, portal.contact()))
    assert portal.hub.objects("notes") == []
