"""The base of the vendor stand-ins."""

from __future__ import annotations

import socket

import pytest
import requests
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bridge.testing.server import Dropped, LocalServer


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    if request.url.path == "/drop":
        raise Dropped
    if request.url.path == "/crash":
        raise ValueError("a fault of the app")
    await PlainTextResponse("hello", 203)(scope, receive, send)


def test_it_answers_on_loopback_and_logs_each_call() -> None:
    with LocalServer(app) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert requests.get(f"{server.url}/a?b=c", timeout=60).text == "hello"
        with pytest.raises(requests.ConnectionError):
            requests.post(f"{server.url}/drop", timeout=60)
        assert server.calls == [("GET", "/a", 203), ("POST", "/drop", 0)]


def test_a_stopped_server_leaves_its_port_at_once_and_hangs_up_on_open_connections() -> None:
    with requests.Session() as session:
        with LocalServer(app) as server:
            session.get(server.url, timeout=60)
        with pytest.raises(requests.ConnectionError):
            session.get(server.url, timeout=60)
    with LocalServer(app, port=server.port) as again:
        assert requests.get(again.url, timeout=60).status_code == 203


def test_a_port_that_is_taken_is_refused_before_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        LocalServer(app, port=taken.getsockname()[1])


def test_a_crash_of_the_app_is_raised_when_the_server_stops() -> None:
    server = LocalServer(app)
    server.start()
    assert requests.get(f"{server.url}/crash", timeout=60).status_code == 500
    with pytest.raises(RuntimeError, match="a fault of the app"):
        server.stop()


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    server = LocalServer(app)
    server.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=60)
