"""The receiver over real sockets: who is refused, what is stored before it is answered, and how it is served."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import requests

from bridge.errors import ConfigError, Problem
from bridge.sync.runtime import Runtime
from bridge.web import app as web_app
from bridge.web.app import MAX_BODY, make_app
from bridge.web.metrics import Metrics
from bridge.web.serving import Server
from bridge_memory.receiver import HEADER, sign
from bridge_whatsapp.sandbox import MetaSandbox, Sender, signed, text_message
from tests.web_world import KEY, SECRETS, TOKEN, Receiver, api_headers, interaction, receiving


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One receiver for the tests that leave it as it was."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        with receiving(tmp_path_factory.mktemp("shared")) as found:
            yield found


def test_what_is_answered_is_on_the_disk(shared: Receiver) -> None:
    before = len(shared.stored())
    body = b'{"events": []}'
    answer = shared.signed(body)
    assert (answer.status_code, answer.text) == (200, "stored\n")
    assert shared.stored()[before:] == [body]
    assert shared.woken[-1] == "resolve"


def test_meta_is_answered_by_shaking_hands_and_by_storing_its_deliveries(shared: Receiver) -> None:
    before = len(shared.stored())
    with MetaSandbox() as meta:
        url = f"{shared.url}/hooks/whatsapp"
        assert meta.handshake(url)
        assert len(shared.stored()) == before
        ana = Sender(name="Ana", wa_id="5511973914862", user_id="BR.1")
        assert meta.deliver(url, text_message(ana, "Oi", at=datetime.now(UTC)))
    assert b"Oi" in shared.stored()[-1]
    wrong = requests.get(
        url, params={"hub.mode": "subscribe", "hub.verify_token": "x", "hub.challenge": "1"}, timeout=60
    )
    assert wrong.status_code == 403


def test_the_inbound_api_stores_and_serves_its_description(shared: Receiver) -> None:
    answer = shared.post("/v1/interactions", interaction(1), api_headers())
    assert (answer.status_code, answer.json()) == (202, {"id": "form-1", "status": "stored"})
    assert orjson.loads(shared.stored()[-1])["id"] == "form-1"
    at_its_hook = shared.post("/hooks/inbound", interaction(2), api_headers())
    assert at_its_hook.status_code == 202
    described = requests.get(f"{shared.url}/v1/openapi.json", timeout=60)
    assert described.status_code == 200
    assert described.headers["content-type"] == "application/json"
    assert "/v1/interactions" in described.json()["paths"]


def forged(receiver: Receiver) -> Iterator[tuple[int, requests.Response]]:
    """Yield what each receiver should answer to a forgery, and what it answers."""
    body = b'{"events": []}'
    yield 401, receiver.post("/hooks/folder", body)
    yield 401, receiver.signed(body, key="another key altogether")
    yield 401, receiver.post("/hooks/folder", body + b" ", {HEADER: sign(body, KEY, int(time.time()))})
    yield 403, receiver.signed(body, age=3600)
    yield 401, receiver.post("/hooks/whatsapp", body)
    yield 401, receiver.post("/hooks/whatsapp", body, signed(body, "a forger's secret"))
    yield 401, receiver.post("/v1/interactions", interaction(), api_headers("the token of a forger"))
    yield 401, receiver.post("/v1/interactions", interaction(), {"Content-Type": "application/json"})
    yield 422, receiver.post("/v1/interactions", b'{"kind": "nonsense"}', api_headers())
    yield 405, requests.put(f"{receiver.url}/hooks/folder", data=body, timeout=60)
    yield 405, requests.delete(f"{receiver.url}/hooks/whatsapp", timeout=60)


def test_a_forged_request_is_refused_and_nothing_of_it_is_stored(shared: Receiver) -> None:
    before = shared.stored()
    answers = list(forged(shared))
    assert [answer.status_code for _, answer in answers] == [code for code, _ in answers]
    assert shared.stored() == before
    said = "".join(answer.text for _, answer in answers)
    assert KEY not in said and TOKEN not in said


@pytest.mark.parametrize(
    "path", ["/hooks/nobody", "/hooks/crm", "/hooks/", "/hooks/folder/more", "/v1/other", "/"]
)
def test_where_no_connection_listens_the_answer_is_404(path: str, shared: Receiver) -> None:
    before = shared.stored()
    assert shared.signed(b"{}", path).status_code == 404
    assert shared.stored() == before


def test_a_body_above_16_mib_is_not_taken(shared: Receiver) -> None:
    before = shared.stored()
    body = b"x" * (MAX_BODY + 1)
    told = shared.signed(body)
    assert (told.status_code, told.json()) == (413, {"error": f"bodies above {MAX_BODY} bytes are not taken"})

    def chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b"x" * 1024 * 1024

    untold = requests.post(f"{shared.url}/hooks/folder", data=chunks(), timeout=60)
    assert untold.status_code == 413
    assert shared.stored() == before


def test_the_largest_body_is_stored_beside_the_database(shared: Receiver) -> None:
    body = b'"' + b"x" * (MAX_BODY - 2) + b'"'
    assert shared.signed(body).status_code == 200
    assert shared.stored()[-1] is None
    assert shared.runtime.blobs.get(shared.stored("blob")[-1]) == body


def test_a_query_does_not_hide_the_address(shared: Receiver) -> None:
    assert shared.signed(b'{"events": [1]}', "/hooks/folder?source=one&a=%20b").status_code == 200


def test_a_repeat_is_stored_once_and_answered_the_same(shared: Receiver) -> None:
    body = interaction(77)
    first = shared.post("/v1/interactions", body, api_headers(**{"Idempotency-Key": "order-77"}))
    before = len(shared.stored())
    again = shared.post("/v1/interactions", body, api_headers(**{"Idempotency-Key": "order-77"}))
    assert (again.status_code, again.content) == (first.status_code, first.content) == (202, first.content)
    assert len(shared.stored()) == before


def test_a_key_used_for_another_body_is_a_conflict(shared: Receiver) -> None:
    headers = api_headers(**{"Idempotency-Key": "order-78"})
    assert shared.post("/v1/interactions", interaction(78), headers).status_code == 202
    before = shared.stored()
    conflict = shared.post("/v1/interactions", interaction(78, "something else"), headers)
    assert conflict.status_code == 409
    assert conflict.json()["error"] == "this idempotency key was used for another body"
    assert "use a new key" in conflict.json()["remedy"]
    assert shared.stored() == before


def test_headers_that_carry_secrets_are_not_stored(shared: Receiver) -> None:
    more = {"Cookie": f"session={TOKEN}", "Proxy-Authorization": f"Basic {TOKEN}", "X-Kept": "this"}
    assert shared.post("/v1/interactions", interaction(9), api_headers(**more)).status_code == 202
    kept = orjson.loads(shared.stored("headers")[-1])
    assert kept["x-kept"] == "this"
    assert TOKEN not in json.dumps(kept)


def test_health_answers_whatever_else_is_wrong(shared: Receiver) -> None:
    answer = requests.get(f"{shared.url}/healthz", timeout=60)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_two_thousand_posts_over_32_connections_are_each_stored_once(tmp_path: Path) -> None:
    posts, lanes = 2000, 32
    with receiving(tmp_path) as receiver:
        host, port = receiver.url.removeprefix("http://").split(":")

        def lane(first: int) -> list[int]:
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            codes = []
            for number in range(first, posts, lanes):
                body = b'{"events": [%d]}' % number
                headers = {HEADER: sign(body, KEY, int(time.time()))}
                connection.request("POST", "/hooks/folder", body, headers)
                answer = connection.getresponse()
                answer.read()
                codes.append(answer.status)
            connection.close()
            return codes

        with ThreadPoolExecutor(lanes) as pool:
            codes = [code for found in pool.map(lane, range(lanes)) for code in found]
        assert codes == [200] * posts
        assert sorted(receiver.stored()) == sorted(b'{"events": [%d]}' % number for number in range(posts))


def test_a_connection_whose_plugin_was_left_out_asks_to_be_sent_again(tmp_path: Path) -> None:
    def change(runtime: Runtime) -> None:
        left_out = Problem(path="connections.till.connector", message="was left out")
        runtime.config = replace(runtime.config, left_out=(left_out,))

    with receiving(tmp_path, change=change) as receiver:
        assert receiver.post("/hooks/till", b"x").status_code == 503
        assert requests.get(f"{receiver.url}/readyz", timeout=60).json()["problems"] == [
            "connections.till.connector: was left out"
        ]


def test_an_address_in_use_names_the_setting_and_what_to_do(shared: Receiver) -> None:
    port = int(shared.url.rpartition(":")[2])
    with pytest.raises(ConfigError) as caught:
        Server(
            make_app(shared.runtime, Metrics(shared.runtime, list)),
            host="127.0.0.1",
            port=port,
            file="c.yaml",
        )
    assert str(caught.value) == (
        f"c.yaml: web.listen: 127.0.0.1:{port} cannot be used: Address already in use."
        " Stop what uses it, or choose another port."
    )


def test_a_host_that_is_not_ours_is_refused(shared: Receiver) -> None:
    with pytest.raises(ConfigError, match=r"web\.listen: 192\.0\.2\.1:0 cannot be used: Cannot assign"):
        Server(make_app(shared.runtime, Metrics(shared.runtime, list)), host="192.0.2.1", port=0, file="c")


def test_an_ipv6_address_is_shown_in_brackets(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with receiving(tmp_path) as receiver:
        server = Server(
            make_app(receiver.runtime, Metrics(receiver.runtime, list)), host="::1", port=0, file="c"
        )
        server.start()
        assert server.address.startswith("http://[::1]:")
        assert requests.get(f"{server.address}/healthz", timeout=60).status_code == 200
        assert server.failed() is None
        server.stop()
        assert server.failed() == f"the webhook receiver at {server.address} has ended"


def test_a_stop_does_not_wait_for_a_sender_that_never_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "BODY_SECONDS", 600.0)
    with receiving(tmp_path) as receiver:
        host, port = receiver.url.removeprefix("http://").split(":")
        slow = socket.create_connection((host, int(port)), timeout=60)
        slow.sendall(b"POST /hooks/folder HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert receiver.signed(b"[1]").status_code == 200
        stopping = threading.Thread(target=receiver.server.stop)
        stopping.start()
        stopping.join(60)
        assert not stopping.is_alive()
        slow.close()
