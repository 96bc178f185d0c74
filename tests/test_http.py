"""The lent session: what it retries, what each status becomes, who waits, and that no secret gets out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import responses

from bridge import AuthError, Budget, ConfigError, PluginError, RateLimited, Rejected, Unavailable
from bridge.budgets.book import MemoryBook
from bridge.http import Budgets, MemoryTokens, Redactor, Session, json_of

URL = "https://crm.example/v1/things"
SECRET = "s3cr3t/key+with=signs"


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def session(time: Time, *budgets: Budget, **given: Any) -> Session:
    shared = given.pop("shared", None) or Budgets(now=time, sleep=time.sleep)
    return Session(connection="crm", budgets=budgets, shared=shared, sleep=time.sleep, **given)


def test_a_good_answer_is_returned_with_the_sent_json_and_headers(
    wire: responses.RequestsMock, time: Time
) -> None:
    wire.post(URL, json={"id": 1}, status=201)
    answer = session(time).request("POST", URL, json={"name": "Zoë"}, headers={"Authorization": "Bearer x"})
    assert json_of(answer) == {"id": 1}
    sent = wire.calls[0].request
    assert sent.body == '{"name":"Zoë"}'.encode()
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["Authorization"] == "Bearer x"
    assert sent.headers["User-Agent"].startswith("crmbridge/")


def test_netrc_does_not_replace_the_authorization_header(
    wire: responses.RequestsMock, time: Time, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine crm.example login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    wire.get(URL, json={})
    session(time).request("GET", URL, headers={"Authorization": "Bearer x"})
    assert wire.calls[0].request.headers["Authorization"] == "Bearer x"


def test_a_call_goes_through_the_proxy_that_the_environment_names_for_its_host(
    wire: responses.RequestsMock, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    lent = session(time)
    for host in ("crm.example", "inside.example") * 2:
        wire.get(f"https://{host}/v1/things", json={})
        lent.request("GET", f"https://{host}/v1/things")
    used = [call.request.req_kwargs["proxies"].get("https") for call in wire.calls]
    assert used == ["http://proxy.example:3128", None] * 2


def test_cookies_of_one_answer_are_not_sent_with_the_next_call(
    wire: responses.RequestsMock, time: Time
) -> None:
    wire.get(URL, json={}, headers={"Set-Cookie": "session=abc; Path=/"})
    lent = session(time)
    lent.request("GET", URL)
    lent.request("GET", URL)
    assert "Cookie" not in wire.calls[1].request.headers


def test_an_accepted_status_comes_back_as_a_response(wire: responses.RequestsMock, time: Time) -> None:
    wire.get(URL, status=404)
    assert session(time).request("GET", URL, accept=[404]).status_code == 404


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_an_auth_error_that_names_the_missing_scopes(
    wire: responses.RequestsMock, time: Time, status: int
) -> None:
    body = {
        "message": "needs more",
        "errors": [{"context": {"requiredGranularScopes": ["a.read", "b.read"]}}],
    }
    wire.get(URL, json=body, status=status)
    with pytest.raises(
        AuthError, match=r"crm: GET crm.example/v1/things: 40.*needs more.*a.read, b.read"
    ) as caught:
        session(time).request("GET", URL)
    assert caught.value.missing_scopes == ("a.read", "b.read")
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({"Retry-After": "Thu, 19 Nov 2026 10:00:05 GMT", "Date": "Thu, 19 Nov 2026 10:00:00 GMT"}, {}, 5.0),
        ({"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}, {}, 10.0),
        ({"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}, {"policyName": "DAILY"}, 3600.0),
        ({"x-ratelimit-reset": "2"}, {}, 2.0),
        ({}, {}, 10.0),
    ],
)
def test_too_many_calls_tell_how_long_to_wait(
    wire: responses.RequestsMock, time: Time, headers: dict[str, str], body: dict[str, str], wait: float
) -> None:
    wire.get(URL, json=body, status=429, headers=headers)
    with pytest.raises(RateLimited) as caught:
        session(time, Budget(name="burst", calls=9, seconds=1)).request("GET", URL, budget="burst")
    assert caught.value.wait == wait
    assert caught.value.budget == "burst"


def test_after_a_429_no_call_of_that_budget_starts_before_its_reset(
    wire: responses.RequestsMock, time: Time
) -> None:
    wire.get(URL, status=429, headers={"Retry-After": "12"})
    wire.get(URL, json={})
    shared = Budgets(now=time, sleep=time.sleep)
    budgets = (Budget(name="burst", calls=99, seconds=1), Budget(name="search", calls=99, seconds=1))
    first, second = session(time, *budgets, shared=shared), session(time, *budgets, shared=shared)
    with pytest.raises(RateLimited):
        first.request("GET", URL, budget="search")
    second.request("GET", URL, budget="burst")
    assert time.slept == []
    second.request("GET", URL, budget="search")
    assert sum(time.slept) == pytest.approx(12.0)


def test_what_only_the_connector_understands_stops_the_account_in_every_process(
    wire: responses.RequestsMock, time: Time
) -> None:
    book = MemoryBook()
    budgets = (Budget(name="burst", calls=9, seconds=2), Budget(name="day", calls=999, seconds=86_400))
    first, second = (
        session(time, *budgets, shared=Budgets(now=time, clock=time, book=book)) for _ in range(2)
    )
    for one in (first, second):
        one.charge_to("acme:1")
    first.pause(600.0, budget="burst")
    with pytest.raises(RateLimited, match="refused by its vendor") as caught:
        second.request("GET", URL)
    assert caught.value.wait == pytest.approx(600.0)
    assert len(wire.calls) == 0


def test_a_long_reset_is_raised_without_calling_the_vendor_again(
    wire: responses.RequestsMock, time: Time
) -> None:
    wire.get(URL, status=429, headers={"Retry-After": "86400"})
    lent = session(time)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            lent.request("GET", URL)
    assert caught.value.wait == pytest.approx(86400.0)
    assert len(wire.calls) == 1


@pytest.mark.parametrize("status", [408, 423, 477, 500, 502, 503, 504, 521, 524])
def test_an_unavailable_vendor_is_asked_four_times_for_a_safe_call(
    wire: responses.RequestsMock, time: Time, status: int
) -> None:
    wire.get(URL, status=status, headers={"Retry-After": "3"})
    with pytest.raises(Unavailable) as caught:
        session(time).request("GET", URL)
    assert caught.value.wait == 3.0
    assert len(wire.calls) == 4
    assert time.slept == [3.0, 3.0, 3.0]


def test_retries_back_off_longer_each_time_where_the_vendor_states_no_wait(
    wire: responses.RequestsMock, time: Time
) -> None:
    wire.get(URL, status=500)
    with pytest.raises(Unavailable):
        session(time).request("GET", URL)
    assert len(time.slept) == 3
    assert 0.5 <= time.slept[0] <= 1.0 <= time.slept[1] <= 1.5
    assert 2.0 <= time.slept[2] <= 2.5


def test_a_safe_call_that_succeeds_the_second_time_returns(wire: responses.RequestsMock, time: Time) -> None:
    wire.post(URL, status=502)
    wire.post(URL, json=[1])
    assert json_of(session(time).request("POST", URL, safe=True)) == [1]


def test_a_write_is_never_repeated(wire: responses.RequestsMock, time: Time) -> None:
    wire.post(URL, status=502)
    with pytest.raises(Unavailable):
        session(time).request("POST", URL)
    assert len(wire.calls) == 1


def test_a_stated_wait_that_is_too_long_is_not_sat_out(wire: responses.RequestsMock, time: Time) -> None:
    wire.get(URL, status=477, headers={"Retry-After": "86400"})
    with pytest.raises(Unavailable) as caught:
        session(time).request("GET", URL)
    assert caught.value.wait == 86400.0
    assert len(wire.calls) == 1


def test_another_refusal_carries_the_vendors_words_code_trace_and_existing_id(
    wire: responses.RequestsMock, time: Time
) -> None:
    body = {
        "message": "Contact already exists. Existing ID: 151",
        "category": "CONFLICT",
        "correlationId": "c-9",
    }
    wire.post(URL, json=body, status=409)
    with pytest.raises(Rejected, match="409, Contact already exists") as caught:
        session(time).request("POST", URL)
    assert (caught.value.code, caught.value.trace, caught.value.existing_id) == ("CONFLICT", "c-9", "151")


def test_a_graph_style_error_object_is_read_too(wire: responses.RequestsMock, time: Time) -> None:
    body = {"error": {"message": "Unsupported get request", "code": 100, "fbtrace_id": "Az8"}}
    wire.get(URL, json=body, status=400)
    with pytest.raises(Rejected, match="Unsupported get request") as caught:
        session(time).request("GET", URL)
    assert (caught.value.code, caught.value.trace) == ("100", "Az8")


def test_a_page_of_html_where_json_was_expected_is_unavailable(
    wire: responses.RequestsMock, time: Time
) -> None:
    wire.get(URL, body="<html>", content_type="text/html")
    with pytest.raises(Unavailable, match=r"crm.example/v1/things answered 200 with 6 bytes of text/html"):
        json_of(session(time).request("GET", URL))


@pytest.mark.parametrize("url", ["crm.example/things", "http://[::1/", "ftp://crm.example/", "https:///x"])
def test_an_address_that_is_none_is_a_config_error(time: Time, url: str) -> None:
    with pytest.raises(ConfigError, match="check the settings"):
        session(time).request("GET", url)


def listening() -> tuple[socket.socket, str]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, f"http://127.0.0.1:{server.getsockname()[1]}/path?token={SECRET}"


def test_a_vendor_that_does_not_answer_in_time_is_unavailable(time: Time) -> None:
    server, url = listening()
    with server, pytest.raises(Unavailable, match=r"no answer within 0.05 s; the next sync asks again$"):
        session(time).request("POST", url, timeout=0.05)


def test_a_broken_connection_is_unavailable_and_shows_no_query(time: Time) -> None:
    server, url = listening()

    def hang_up() -> None:
        server.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with server, pytest.raises(Unavailable, match="no connection, or it broke off") as caught:
        session(time).request("POST", url)
    thread.join()
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_no_secret_gets_into_an_error_message(wire: responses.RequestsMock, time: Time) -> None:
    wire.get(URL, json={"message": f"the key {SECRET} is bad"}, status=400)
    with pytest.raises(Rejected, match=r"the key \[secret\] is bad"):
        session(time, redactor=Redactor(SECRET)).request("GET", URL)


def test_a_redirected_write_is_not_followed(wire: responses.RequestsMock, time: Time) -> None:
    wire.post(URL, status=307, headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(Rejected, match="307"):
        session(time).request("POST", URL)


def test_sessions_share_the_budget_of_their_account_and_of_no_other(
    wire: responses.RequestsMock, time: Time
) -> None:
    wire.get(URL, json={})
    shared = Budgets(now=time, sleep=time.sleep)
    burst = Budget(name="burst", calls=2, seconds=10)
    one, two, other = (session(time, burst, shared=shared) for _ in range(3))
    one.charge_to("hub-1")
    two.charge_to("hub-1")
    other.charge_to("hub-2")
    one.request("GET", URL)
    two.request("GET", URL)
    other.request("GET", URL)
    assert time.slept == []
    one.request("GET", URL)
    assert sum(time.slept) == pytest.approx(10.2)


def test_a_budget_nobody_declared_is_the_plugins_fault(wire: responses.RequestsMock, time: Time) -> None:
    with pytest.raises(PluginError, match=r'"serach" is not declared .*; declared: search'):
        session(time, Budget(name="search", calls=1, seconds=1)).request("GET", URL, budget="serach")


def test_a_token_is_fetched_once_by_many_threads_and_kept_out_of_sight() -> None:
    redactor = Redactor()
    tokens = MemoryTokens(redactor=redactor)
    fetched = []

    def fetch() -> tuple[str, float]:
        fetched.append(1)
        return SECRET, 3600.0

    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(lambda _: tokens.get("access", fetch), range(40)))
    assert got == {SECRET}
    assert len(fetched) == 1
    assert SECRET not in repr(tokens)
    assert redactor.clean(f"Bearer {SECRET}") == "Bearer [secret]"


def test_a_token_is_fetched_again_when_it_ends_soon_or_was_dropped(time: Time) -> None:
    tokens = MemoryTokens(now=time)
    names = iter(["one", "two", "three"])

    def fetch() -> tuple[str, float]:
        return next(names), 1800.0

    assert tokens.get("access", fetch) == "one"
    time.now += 1739
    assert tokens.get("access", fetch) == "one"
    time.now += 2
    assert tokens.get("access", fetch) == "two"
    tokens.drop("access")
    assert tokens.get("access", fetch) == "three"


def test_no_repr_shows_a_secret(time: Time) -> None:
    assert repr(session(time)) == "Session(connection='crm', account='crm')"
