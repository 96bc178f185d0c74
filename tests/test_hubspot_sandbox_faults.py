"""What goes wrong at the HubSpot stand-in, on demand: limits, keys, admin rules, lost answers, late writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from hubspot_sandbox_client import V, World, message, world

from tests.outside import until

CONTACTS = f"/crm/objects/{V}/contacts"


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


def test_a_wrong_key_and_an_expired_one_answer_401(crm: World) -> None:
    answer = crm.get(CONTACTS, headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")
    crm.hub.levers.expired = True
    answer = crm.get(CONTACTS)
    assert (answer.status_code, answer.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")


@pytest.mark.parametrize(
    ("scope", "method", "path", "refused"),
    [
        ("crm.objects.contacts.read", "GET", CONTACTS, True),
        ("crm.objects.contacts.read", "POST", f"{CONTACTS}/search", True),
        ("crm.objects.contacts.read", "POST", CONTACTS, False),
        ("crm.objects.contacts.write", "POST", f"/crm/objects/{V}/notes/batch/create", True),
        ("crm.objects.deals.write", "POST", f"/crm/associations/{V}/notes/deals/batch/create", True),
        ("crm.objects.owners.read", "GET", f"/crm/owners/{V}", True),
        ("crm.schemas.contacts.write", "POST", f"/crm/properties/{V}/notes", True),
        ("crm.schemas.contacts.write", "GET", f"/crm/properties/{V}/notes", False),
    ],
)
def test_a_missing_scope_is_named(crm: World, scope: str, method: str, path: str, refused: bool) -> None:
    crm.hub.levers.missing_scopes = {scope}
    answer = crm.call(method, path)
    assert (answer.status_code == 403) is refused
    if refused:
        body = answer.json()
        assert body["category"] == "MISSING_SCOPES"
        assert body["errors"][0]["context"] == {"requiredGranularScopes": [scope]}


def test_the_text_of_mails_is_withheld_without_its_scope(crm: World) -> None:
    mail = crm.hub.create(
        "emails", {"hs_email_direction": "EMAIL", "hs_email_subject": "Proposta", "hs_email_text": "Oi"}
    )
    path = f"/crm/objects/{V}/emails/{mail}?properties=hs_email_subject,hs_email_text,hs_email_direction"
    assert crm.get(path).json()["properties"]["hs_email_text"] == "Oi"
    crm.hub.levers.missing_scopes = {"sales-email-read"}
    held = crm.get(path).json()["properties"]
    assert (held["hs_email_subject"], held["hs_email_text"], held["hs_email_direction"]) == (
        None,
        None,
        "EMAIL",
    )


def test_the_burst_limit_rolls_over_ten_seconds(crm: World) -> None:
    crm.hub.levers.ten_secondly = 2
    first = crm.get(CONTACTS)
    assert first.headers["X-HubSpot-RateLimit-Max"] == "2"
    assert first.headers["X-HubSpot-RateLimit-Remaining"] == "1"
    assert first.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    crm.clock.move(6)
    assert crm.get(CONTACTS).status_code == 200
    refused = crm.get(CONTACTS)
    assert refused.status_code == 429
    body = refused.json()
    assert (body["errorType"], body["policyName"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING")
    assert "category" not in body
    assert "Retry-After" not in refused.headers
    crm.clock.move(4)
    assert crm.get(CONTACTS).status_code == 200
    assert crm.get(CONTACTS).status_code == 429


def test_the_daily_limit_ends_at_midnight_of_the_account(crm: World) -> None:
    crm.hub.levers.daily = 2
    answer = crm.get(f"/account-info/{V}/api-usage/daily/private-apps")
    assert answer.json()["results"][0]["currentUsage"] == 1
    assert answer.json()["results"][0]["resetsAt"] == "2026-11-21T00:00:00Z"
    assert crm.get(CONTACTS).headers["X-HubSpot-RateLimit-Daily-Remaining"] == "0"
    refused = crm.get(CONTACTS).json()
    assert (refused["policyName"], refused["message"]) == ("DAILY", "You have reached your daily limit.")
    crm.clock.move(15 * 3600)
    assert crm.get(CONTACTS).status_code == 200


def test_searches_have_their_own_limit_and_no_headers(crm: World) -> None:
    crm.hub.levers.search_secondly = 1
    crm.hub.levers.ten_secondly = 1
    found = crm.search("contacts")
    assert found.status_code == 200
    assert "X-HubSpot-RateLimit-Max" not in found.headers
    assert crm.search("contacts").json()["policyName"] == "SECONDLY"
    crm.clock.move(1)
    assert crm.search("contacts").status_code == 200
    assert crm.get(CONTACTS).status_code == 200


def test_a_rule_of_the_admin_holds_for_creates_and_updates(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    crm.hub.define("contacts", "segment")
    crm.hub.levers.required = {"contacts": ["segment"]}
    refused = crm.create("contacts", firstname="Rui")
    assert (refused.status_code, refused.json()["category"]) == (400, "VALIDATION_ERROR")
    assert refused.json()["context"] == {"properties": ["segment"]}
    path = f"{CONTACTS}/{ana}"
    assert crm.call("PATCH", path, {"properties": {"lastname": "Souza"}}).status_code == 400
    assert (
        crm.call("PATCH", path, {"properties": {"lastname": "Souza", "segment": "bakery"}}).status_code == 200
    )
    assert crm.hub.create("contacts", {"firstname": "By hand"})


@pytest.mark.parametrize("status", [423, 477, 500, 502, 503, 504, 521, 522, 523, 524, 525, 526])
def test_a_failure_is_answered_once_and_nothing_is_written(crm: World, status: int) -> None:
    crm.hub.levers.fail(status, method="POST")
    answer = crm.create("contacts", firstname="Ana")
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("3600" if status == 477 else None)
    assert crm.hub.objects("contacts") == []
    assert crm.create("contacts", firstname="Ana").status_code == 201


def test_a_failure_may_say_when_to_come_back(crm: World) -> None:
    crm.hub.levers.fail(503, retry_after=2)
    assert crm.get(CONTACTS).headers["Retry-After"] == "2"


def test_a_fault_strikes_the_call_it_is_aimed_at(crm: World) -> None:
    crm.hub.levers.fail(503, method="POST", path="/notes/batch", nth=2, times=2)
    row = {"properties": {"hs_timestamp": "2026-11-18T17:02:00Z", "hs_note_body": "x"}}
    assert crm.get(f"/crm/objects/{V}/notes").status_code == 200
    assert crm.create("contacts").status_code == 201
    assert [crm.batch("notes", "create", row).status_code for _ in range(4)] == [201, 503, 503, 201]


def test_an_error_may_come_after_the_write_was_stored(crm: World) -> None:
    crm.hub.levers.fail(500, path="/communications", commits=0)
    answer = crm.batch("communications", "create", {"properties": message()})
    assert (answer.status_code, answer.json()["category"]) == (500, "INTERNAL_ERROR")
    assert len(crm.hub.objects("communications")) == 1


def test_a_dropped_connection_may_have_stored_the_write(crm: World) -> None:
    crm.hub.levers.drop(path="/communications", commits=0)
    with pytest.raises(requests.ConnectionError):
        crm.batch("communications", "create", {"properties": message()})
    assert len(crm.hub.objects("communications")) == 1
    assert crm.hub.calls[-1] == ("POST", f"/crm/objects/{V}/communications/batch/create", 0)
    crm.hub.levers.drop(path="/communications")
    with pytest.raises(requests.ConnectionError):
        crm.batch("communications", "create", {"properties": message()})
    assert len(crm.hub.objects("communications")) == 1


def test_a_write_may_be_stored_long_after_the_client_gave_up(crm: World) -> None:
    crm.hub.levers.fail(504, commits=30)
    assert crm.create("contacts", firstname="Ana").status_code == 504
    crm.clock.move(29)
    assert crm.get(CONTACTS).json()["results"] == []
    crm.clock.move(1)
    assert [row["properties"]["firstname"] for row in crm.get(CONTACTS).json()["results"]] == ["Ana"]


def test_a_late_write_meets_the_rules_of_its_own_time(crm: World) -> None:
    crm.hub.levers.fail(504, commits=30)
    crm.create("contacts", email="ana@example.com")
    assert crm.create("contacts", email="ana@example.com").status_code == 201
    crm.clock.move(60)
    assert len(crm.hub.objects("contacts")) == 1


def test_an_answer_may_come_too_late_for_the_client(crm: World) -> None:
    crm.hub.levers.slow(60, method="POST")
    with pytest.raises(requests.Timeout):
        crm.session.post(crm.hub.url + CONTACTS, json={"properties": {"firstname": "Ana"}}, timeout=0.1)
    until(lambda: len(crm.hub.objects("contacts")) == 1)


def test_a_time_out_may_end_in_silence(crm: World) -> None:
    crm.hub.levers.drop(delay=60, commits=10)
    with pytest.raises(requests.Timeout):
        crm.session.post(crm.hub.url + CONTACTS, json={"properties": {"firstname": "Ana"}}, timeout=0.1)
    until(lambda: not crm.hub.levers.faults)  # the call has come
    assert crm.hub.objects("contacts") == []
    crm.clock.move(10)
    assert len(crm.hub.objects("contacts")) == 1


def test_any_answer_can_be_put_in_place_of_the_true_one(crm: World) -> None:
    crm.hub.levers.fail(404, body="<html>not here</html>")
    page = crm.get(CONTACTS)
    assert page.headers["content-type"].startswith("text/html")
    crm.hub.levers.fail(200, body={"results": []})
    assert crm.get(CONTACTS).json() == {"results": []}
