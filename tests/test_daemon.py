"""`crmbridge run` as a process: it starts whatever is down, loses nothing, and ends when it is told to."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_imap.sandbox import ImapSandbox
from bridge_memory.receiver import HEADER, sign
from bridge_whatsapp.sandbox import MetaSandbox, Sender, text_message
from tests.outside import KEY, Daemon, Office, running, until

pytestmark = pytest.mark.slow

ANA = "+5511973914862"


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    return Office(tmp_path, monkeypatch)


def post(daemon: Daemon, *events: Mapping[str, Any], hook: str = "chat") -> int:
    """Send events to a folder's webhook as its own sender does, and return the status."""
    body = json.dumps({"events": events}).encode()
    headers = {HEADER: sign(body, KEY, int(time.time()))}
    return requests.post(f"{daemon.url}/hooks/{hook}", data=body, headers=headers, timeout=60).status_code


def said(number: int, text: str = "Oi") -> dict[str, Any]:
    """Return an event: somebody wrote on WhatsApp."""
    at = datetime.now(UTC).isoformat()
    thing = {"id": f"w{number}", "from": f"+55119739{number:05d}", "text": text, "at": at}
    return {"stream": "messages", "object": {**thing, "channel": "whatsapp", "direction": "inbound"}}


def counts(office: Office, connection: str, stream: str) -> Mapping[str, Any]:
    """Return how a stream stands, as `crmbridge status` tells it."""
    for one in office.run("status", "--json").json["connections"]:
        for found in one["streams"]:
            if (one["name"], found["name"]) == (connection, stream):
                return dict(found)
    return {"read": 0, "mapped": 0, "waiting": 0}


def warnings(daemon: Daemon, connection: str) -> list[str]:
    """Return what was logged of a connection, without the time."""
    lines = [line.partition(" WARNING ")[2] for line in daemon.log.splitlines()]
    return [line for line in lines if line.startswith(f"{connection}: ")]


def troubled(daemon: Daemon) -> list[str]:
    """Return the connections that the daemon says are not well."""
    return sorted(problem.partition(":")[0] for problem in daemon.get("/readyz").json()["problems"])


def mail(number: int, text: str) -> bytes:
    return (
        f"From: Ana Souza <ana@padaria.example>\r\nTo: sales@example.com\r\nSubject: Pedido {number}\r\n"
        f"Message-ID: <{number}@padaria.example>\r\nDate: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} +0000\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()


def test_what_is_down_at_the_start_is_read_once_it_is_back_and_told_once(office: Office) -> None:
    (office.home / "chat").write_text("no folder")
    with MetaSandbox() as meta:
        meta.fault = "wrong_key"
        for name, value in meta.settings.items():
            (office.home / name).write_text(value)
        settings = {
            name: f"${{file:{name}}}" if name in ("app_secret", "verify_token", "access_token") else value
            for name, value in meta.settings.items()
        }
        office.connections["whatsapp"] = {"connector": "whatsapp", "settings": settings}
        office.write()
        with running(office) as daemon:
            ana = Sender(name="Ana", wa_id="5511973914862", user_id="BR.1")
            assert meta.deliver(f"{daemon.url}/hooks/whatsapp", text_message(ana, "Oi", at=datetime.now(UTC)))
            assert [post(daemon, said(number)) for number in range(3)] == [200] * 3
            office.put("crm", "contacts", name="Ana Souza", phone=ANA)
            office.run("sync")
            until(lambda: counts(office, "crm", "contacts")["mapped"])
            until(lambda: len(warnings(daemon, "whatsapp")) == 1)
            assert counts(office, "chat", "webhook")["waiting"] == 3
            assert counts(office, "whatsapp", "webhook")["waiting"] == 1
            until(lambda: troubled(daemon) == ["chat", "whatsapp"])
            assert daemon.get("/readyz").status_code == 503
            assert daemon.get("/healthz").status_code == 200
            assert 'crmbridge_connection_up{connection="whatsapp"} 0.0' in daemon.get("/metrics").text

            time.sleep(2.5)  # for a second try, which must not be logged again
            (office.home / "chat").unlink()
            until(lambda: counts(office, "chat", "messages")["mapped"] == 3)
            assert counts(office, "whatsapp", "webhook")["waiting"] == 1
            meta.fault = None
            assert office.run("sync").code == 0
            until(lambda: counts(office, "whatsapp", "messages")["mapped"] == 1)
            until(lambda: daemon.get("/readyz").status_code == 200)
            until(lambda: all(len(warnings(daemon, name)) > 1 for name in ("whatsapp", "chat")))
            assert re.fullmatch(
                r"whatsapp: Meta refused the access token: .*", warnings(daemon, "whatsapp")[0]
            )
            assert re.fullmatch(r"whatsapp: works again after \d+ s", warnings(daemon, "whatsapp")[1])
            assert "File exists; check the disk" in warnings(daemon, "chat")[0]
            assert re.fullmatch(r"chat: works again after \d+ s", warnings(daemon, "chat")[1])
            assert [len(warnings(daemon, name)) for name in ("whatsapp", "chat", "crm")] == [2, 2, 0]
            waiting = {one["name"] for one in office.run("waiting", "--json").json}
            assert {"Ana Souza", "+5511973900001"} <= waiting


def test_what_was_answered_survives_a_kill_and_is_read_once(office: Office) -> None:
    office.connections = {"chat": office.connections["chat"]}
    office.write()
    stored: list[int] = []
    done = threading.Event()
    daemon = Daemon(office).start()

    def sender(first: int) -> None:
        for number in range(first, 4000, 4):
            try:
                if done.is_set() or post(daemon, said(number)) != 200:
                    return
            except requests.RequestException:
                return
            stored.append(number)

    senders = [threading.Thread(target=sender, args=(first,)) for first in range(4)]
    for one in senders:
        one.start()
    until(lambda: len(stored) > 100)
    assert daemon.stop(by=signal.SIGKILL) == -signal.SIGKILL
    done.set()
    for one in senders:
        one.join()
    with running(office, "-v") as again:
        assert post(again, said(stored[0])) == 200
        until(lambda: counts(office, "chat", "webhook")["waiting"] == 0)
        until(lambda: counts(office, "chat", "messages")["waiting"] == 0)
        found = counts(office, "chat", "messages")
        assert found["rejected"] == 0
        assert len(set(stored)) <= found["mapped"] <= len(set(stored)) + len(senders) + 1


def test_a_long_pull_is_interrupted_killed_and_goes_on_where_it_was(office: Office) -> None:
    lines = office.talk_on()
    office.connections = {"chat": office.connections["chat"]}
    office.connections["chat"]["settings"]["page_size"] = 1
    office.write()
    daemon = Daemon(office).start()
    first = until(lambda: counts(office, "chat", "messages")["read"])
    daemon.stop(by=signal.SIGKILL)
    daemon = Daemon(office).start()
    second = until(lambda: (read := counts(office, "chat", "messages")["read"]) > first and read)
    assert daemon.stop() == 0, daemon.log
    stopped = counts(office, "chat", "messages")["read"]
    assert second <= stopped < lines
    assert daemon.log == ""
    office.end_the_talk(after=stopped + 50)
    with running(office):
        until(lambda: counts(office, "chat", "messages")["mapped"] == stopped + 50)
    assert counts(office, "chat", "messages")["read"] == stopped + 50


def test_a_stop_ends_idle_and_a_call_that_hangs(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with ImapSandbox() as mailbox, MetaSandbox() as meta:
        monkeypatch.setenv("MAIL_PASSWORD", mailbox.password)
        meta.fault = "hang"
        office.connections["mailbox"] = {
            "connector": "imap",
            "settings": {**mailbox.settings, "password": "${env:MAIL_PASSWORD}"},
            "every": 3600,  # news comes by IDLE or never
        }
        secrets = ("app_secret", "verify_token", "access_token")
        for name in secrets:
            (office.home / name).write_text(meta.settings[name])
        office.connections["whatsapp"] = {
            "connector": "whatsapp",
            "settings": {**meta.settings, **{name: f"${{file:{name}}}" for name in secrets}},
        }
        office.write()
        with running(office) as daemon:
            mailbox.append("INBOX", mail(1, "Quanto custa?"))
            until(lambda: counts(office, "mailbox", "messages")["mapped"] == 1)
            mailbox.append("INBOX", mail(2, "E o prazo?"))
            until(lambda: counts(office, "mailbox", "messages")["mapped"] == 2)
            assert (daemon.stop(), daemon.log) == (0, "")
    told = office.run("journey", "ana@padaria.example", "--json").json["interactions"]
    assert {one["subject"] for one in told} == {"Pedido 1", "Pedido 2"}


def test_hubspot_gets_each_message_once_through_an_outage(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubSpotSandbox() as hubspot:
        monkeypatch.setenv("HUBSPOT_TOKEN", hubspot.token)
        office.connections["crm"] = {
            "connector": "hubspot",
            "settings": {"base_url": hubspot.url, "token": "${env:HUBSPOT_TOKEN}"},
            "push": {"timeline": True},
        }
        office.write()
        ana = hubspot.create("contacts", {"firstname": "Ana", "lastname": "Souza", "phone": ANA})
        with running(office) as daemon:
            event = said(1, "Quanto custa?")
            event["object"]["from"] = ANA
            assert post(daemon, event) == 200
            (entry,) = until(lambda: hubspot.timeline(ana))
            assert "Quanto custa?" in entry["properties"]["hs_communication_body"]
            hubspot.levers.expired = True
            event = said(2, "E o frete?")
            event["object"] |= {"from": ANA, "at": "2026-11-20T10:00:00Z"}
            assert post(daemon, event) == 200
            until(lambda: warnings(daemon, "crm"))
            until(lambda: daemon.get("/readyz").status_code == 503)
            assert counts(office, "chat", "messages")["mapped"] == 2
            hubspot.levers.expired = False
            assert office.run("sync").code == 0
            until(lambda: len(hubspot.timeline(ana)) == 2)
            until(lambda: daemon.get("/readyz").status_code == 200)
            until(lambda: len(warnings(daemon, "crm")) == 2)


def test_a_hint_is_followed_at_once(office: Office) -> None:
    office.connections["chat"]["every"] = 3600
    office.write()
    with running(office) as daemon:
        until(lambda: counts(office, "chat", "messages").get("last_success"))
        identifier = office.message("Quanto custa?", ANA)
        assert post(daemon, {"stream": "messages", "id": identifier}) == 200
        until(lambda: counts(office, "chat", "messages")["mapped"] == 1)


def test_a_port_in_use_ends_the_start_with_3(office: Office) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        office.more["web"] = {"listen": f"127.0.0.1:{port}"}
        office.write()
        found = office.command("run")
    assert (found.code, found.out) == (3, "")
    assert found.err == (
        f"config.yaml: web.listen: 127.0.0.1:{port} cannot be used: Address already in use."
        " Stop what uses it, or choose another port.\n"
    )


def test_ctrl_c_and_a_signal_at_once_end_it_cleanly(office: Office) -> None:
    daemon = Daemon(office).start()
    daemon.process.send_signal(signal.SIGTERM)
    assert (daemon.stop(by=signal.SIGINT), daemon.log) == (0, "")
