"""The stand-in of Pipedrive: sign-in, budgets and everything that goes wrong on demand."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests
from pipedrive_sandbox_client import World, world

from bridge_pipedrive.sandbox import PipedriveSandbox


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


ME = "/v1/users/me"


def test_a_key_and_a_bearer_token_open_and_nothing_else(crm: World) -> None:
    assert crm.get(ME).status_code == 200
    crm.session.headers.pop("x-api-token")
    for headers, status in (
        ({"Authorization": f"Bearer {crm.crm.token}"}, 200),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"x-api-token": "wrong"}, 401),
        ({}, 401),
    ):
        answer = requests.get(crm.crm.url + ME, headers=headers, timeout=60)
        assert answer.status_code == status
    assert answer.json()["error"] == "unauthorized access"
    assert requests.get(f"{crm.crm.url}{ME}?api_token={crm.crm.token}", timeout=60).status_code == 401


def test_an_expired_token_is_unauthorised_until_the_lever_is_released(crm: World) -> None:
    crm.crm.levers.expired = True
    assert crm.get(ME).status_code == 401
    crm.crm.levers.expired = False
    assert crm.get(ME).status_code == 200


def test_a_bearer_token_without_a_scope_is_forbidden_and_a_key_has_them_all(crm: World) -> None:
    crm.crm.levers.missing_scopes = {"contacts:full"}
    assert crm.post("/api/v2/persons", {"name": "Ana"}).status_code == 200
    crm.session.headers.pop("x-api-token")
    crm.session.headers["Authorization"] = f"Bearer {crm.crm.token}"
    answer = crm.post("/api/v2/persons", {"name": "Ana"})
    assert (answer.status_code, answer.json()["error"]) == (403, "Scope and URL mismatch")
    assert crm.get("/api/v2/persons").status_code == 200


def test_a_user_who_is_no_admin_cannot_change_the_settings(crm: World) -> None:
    crm.crm.levers.admin = False
    field = {"field_name": "Waiting", "field_type": "date"}
    assert crm.post("/api/v2/personFields", field).status_code == 403
    assert crm.post("/v1/activityTypes", {"name": "x", "icon_key": "bell"}).status_code == 403
    assert crm.get("/api/v2/personFields").status_code == 200


def test_every_call_costs_its_tokens_however_many_rows_it_returns(crm: World) -> None:
    for path, cost in (
        *(("/api/v2/persons?limit=500", 10), ("/api/v2/persons/99", 1), ("/v1/notes", 20), (ME, 2)),
        *(("/api/v2/persons/search?term=ana", 20), ("/api/v2/stages", 5), ("/v1/deals/99/flow", 40)),
    ):
        before = crm.crm.spent
        crm.get(path)
        assert crm.crm.spent - before == cost, path


def test_the_budget_of_a_day_ends_in_429_and_is_new_at_midnight(crm: World) -> None:
    crm.crm.levers.daily = 12
    assert crm.get("/api/v2/persons").status_code == 200
    assert crm.get("/api/v2/persons").status_code == 429
    assert crm.get(ME).status_code == 200
    assert crm.crm.spent == 12
    refused = crm.get(ME)
    assert refused.status_code == 429
    assert int(refused.headers["x-ratelimit-remaining"]) > 0
    crm.clock.move(15 * 3600 - 1)
    assert crm.get(ME).status_code == 429
    crm.clock.move(1)
    assert crm.get(ME).status_code == 200
    assert crm.crm.spent == 2


def test_a_burst_of_two_seconds_ends_in_429_and_its_headers_say_when(crm: World) -> None:
    crm.crm.levers.burst = 2
    first = crm.get(ME)
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("2", "1")
    assert "x-daily-requests-left" not in first.headers
    crm.clock.move(1.5)
    assert crm.get(ME).status_code == 200
    refused = crm.get(ME)
    assert (refused.status_code, refused.json()["success"]) == (429, False)
    assert (refused.headers["x-ratelimit-remaining"], refused.headers["x-ratelimit-reset"]) == ("0", "1")
    assert "Retry-After" not in refused.headers
    crm.clock.move(0.5)
    assert crm.get(ME).status_code == 200
    assert crm.get(ME).status_code == 429


def test_searches_have_a_burst_of_their_own(crm: World) -> None:
    crm.crm.levers.search_burst = 1
    path = "/api/v2/persons/search?term=ana"
    assert crm.get(path).headers["x-ratelimit-limit"] == "1"
    assert crm.get(path).status_code == 429
    assert crm.get(ME).status_code == 200


@pytest.mark.parametrize(
    ("plan", "seats", "oauth", "daily", "burst"),
    [("lite", 1, False, 30_000, 20), ("growth", 3, False, 180_000, 40), ("ultimate", 2, True, 420_000, 480)],
)
def test_a_plan_sets_the_limits(
    crm: World, plan: str, seats: int, oauth: bool, daily: int, burst: int
) -> None:
    crm.crm.levers.subscribe(plan, seats=seats, oauth=oauth)
    assert (crm.crm.levers.daily, crm.crm.levers.burst, crm.crm.levers.search_burst) == (daily, burst, 10)
    assert crm.get(ME).headers["x-ratelimit-limit"] == str(burst)


def test_who_goes_on_after_429_gets_cloudflares_page_for_a_minute(crm: World) -> None:
    crm.crm.levers.burst, crm.crm.levers.patience = 0, 2
    assert [crm.get(ME).status_code for _ in range(4)] == [429, 429, 429, 403]
    page = crm.get(ME)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "Cloudflare" in page.text
    crm.crm.levers.burst = None
    crm.clock.move(59)
    assert crm.get(ME).status_code == 403
    crm.clock.move(1)
    assert crm.get(ME).status_code == 200


def test_who_waits_after_a_429_is_not_blocked(crm: World) -> None:
    crm.crm.levers.burst, crm.crm.levers.patience = 1, 2
    for _ in range(3):
        assert [crm.get(ME).status_code for _ in range(3)] == [200, 429, 429]
        crm.clock.move(2)


def test_a_bearer_token_is_never_sent_to_cloudflare(crm: World) -> None:
    crm.session.headers.pop("x-api-token")
    crm.session.headers["Authorization"] = f"Bearer {crm.crm.token}"
    crm.crm.levers.burst, crm.crm.levers.patience = 0, 0
    assert [crm.get(ME).status_code for _ in range(3)] == [429, 429, 429]


def test_a_call_fails_before_or_after_it_is_carried_out(crm: World) -> None:
    crm.crm.levers.fail(500, method="POST")
    assert crm.post("/api/v2/persons", {"name": "Ana"}).status_code == 500
    assert crm.crm.objects("persons") == []
    crm.crm.levers.fail(503, method="POST", commits=0)
    answer = crm.post("/api/v2/persons", {"name": "Ana"})
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (503, "text/html")
    assert len(crm.crm.objects("persons")) == 1
    assert crm.post("/api/v2/persons", {"name": "Ana"}).status_code == 200


def test_an_answer_is_lost_and_the_write_stands(crm: World) -> None:
    crm.crm.levers.drop(path="/notes", commits=0, nth=2)
    ana = int(crm.crm.create("persons", {"name": "Ana"}))
    note = {"content": "Oi", "person_id": ana}
    assert crm.post("/v1/notes", note).status_code == 200
    with pytest.raises(requests.ConnectionError):
        crm.post("/v1/notes", note)
    assert len(crm.crm.objects("notes")) == 2
    assert crm.crm.calls[-1] == ("POST", "/v1/notes", 0)


def test_a_write_stands_only_after_the_time_out(crm: World) -> None:
    crm.crm.levers.drop(method="POST", commits=30)
    with pytest.raises(requests.ConnectionError):
        crm.post("/api/v2/persons", {"name": "Ana"})
    assert crm.crm.objects("persons") == []
    crm.clock.move(29)
    assert crm.pages("/api/v2/persons") == [[]]
    crm.clock.move(1)
    assert crm.pages("/api/v2/persons") == [[501]]


def test_garbage_is_answered_as_if_all_were_well(crm: World) -> None:
    crm.crm.levers.fail(200, body="<html>Be right back</html>")
    page = crm.get(ME)
    assert (page.status_code, page.text) == (200, "<html>Be right back</html>")
    crm.crm.levers.fail(200, body={"success": False})
    assert crm.get(ME).json() == {"success": False}


def test_a_fault_may_say_429_and_403_in_pipedrives_words(crm: World) -> None:
    crm.crm.levers.fail(429)
    crm.crm.levers.fail(403, nth=2)
    assert crm.get(ME).json()["errorCode"] == 429
    assert "Cloudflare" in crm.get(ME).text


def test_answers_take_as_long_as_they_are_told(crm: World) -> None:
    crm.crm.levers.slow(0.1, path="/users")
    started = time.monotonic()
    assert crm.get(ME).status_code == 200
    assert time.monotonic() - started >= 0.1
    crm.crm.levers.pace = 0.05
    started = time.monotonic()
    crm.get("/api/v2/stages")
    assert time.monotonic() - started >= 0.05


def test_two_companies_know_nothing_of_each_other() -> None:
    with PipedriveSandbox(company=1) as one, PipedriveSandbox(company=2, token="other") as two:
        one.create("persons", {"name": "Ana"})
        assert two.objects("persons") == []
        me = requests.get(two.url + ME, headers={"x-api-token": "other"}, timeout=60).json()
        assert me["data"]["company_id"] == 2
