"""What the commands that only read the store do for somebody who may not read the secrets."""

from __future__ import annotations

import pytest

from tests.outside import KEY, Office

REASON = "connections.crm.settings.key: ${env:OTHER_KEY} is not set. Set it: export OTHER_KEY=..."


@pytest.fixture
def locked(synced: Office) -> Office:
    """An office that has synced, whose configuration names a secret for `crm` that is not there."""
    synced.connections["crm"]["settings"]["key"] = "${env:OTHER_KEY}"
    synced.message("our key is " + KEY, "+5521988123344")
    assert synced.run("status").code == 0
    synced.write()
    return synced


@pytest.mark.parametrize(
    "words",
    [
        *(["waiting"], ["journey", "Ana"], ["rejects"], ["runs"], ["holds"]),
        *(["who", "Ana"], ["review"], ["decisions"], ["identity", "explain-config"]),
        ["why", "1", "whatsapp_id:5511973914862"],
        ["why-not", "1", "whatsapp_id:5521988123344"],
    ],
    ids=" ".join,
)
def test_what_only_reads_the_store_needs_no_secret(words: list[str], locked: Office) -> None:
    found = locked.run(*words)
    assert (found.code, found.err) == (0, "")
    assert found.out


def test_status_shows_what_is_stored_and_which_secret_is_not_there(locked: Office) -> None:
    found = locked.run("status")
    assert (found.code, found.err) == (0, "")
    crm, chat = found.out.split("\nchat ")
    assert crm.startswith("crm (memory folder-")
    assert "last news never" not in crm
    (line,) = [line for line in crm.splitlines() if REASON in line]
    assert line.startswith("  ? config.yaml:")
    assert "  contacts: read 1 = 1 mapped" in crm
    assert "  ? " not in chat
    shown = {one["name"]: one for one in locked.run("status", "--json").json["connections"]}
    assert [REASON in one for one in shown["crm"]["absent"]] == [True]
    assert shown["chat"]["absent"] == []
    assert shown["crm"]["error"] is None


@pytest.mark.parametrize(
    "words", [["check"], ["sync"], ["run"], ["setup", "crm"], ["remap", "chat"]], ids=" ".join
)
def test_what_asks_a_vendor_or_writes_is_refused_as_before(words: list[str], locked: Office) -> None:
    found = locked.run(*words)
    assert (found.code, found.out) == (3, "")
    assert REASON in found.err


def test_a_plan_needs_the_secrets_of_the_crm_alone(synced: Office) -> None:
    synced.connections["chat"]["settings"]["key"] = "${env:OTHER_KEY}"
    synced.write()
    planned = synced.run("plan")
    assert (planned.code, planned.err) == (0, "")
    assert planned.out.startswith("PLAN 0 entries")
    synced.connections["other"] = synced.connections.pop("crm")
    synced.connections["other"]["settings"]["key"] = "${env:OTHER_KEY}"
    synced.write()
    assert synced.run("plan").code == 0, "nothing is stored under this name yet"


def test_a_plan_for_a_crm_whose_secret_is_not_there_says_so(locked: Office) -> None:
    found = locked.run("plan")
    assert (found.code, found.out) == (3, "")
    assert REASON in found.err


def test_every_other_fault_of_the_configuration_still_stops_everything(locked: Office) -> None:
    locked.connections["chat"]["settings"]["key"] = "in plain text"
    locked.write()
    found = locked.run("status")
    assert (found.code, found.out) == (3, "")
    assert "a secret stands here in plain text" in found.err
    assert REASON not in found.err


def test_a_store_whose_password_is_not_there_cannot_be_read(locked: Office) -> None:
    locked.more["store"] = "postgresql://crm:${env:DB_PASSWORD}@127.0.0.1:1/crm"
    locked.write()
    found = locked.run("waiting")
    assert (found.code, found.out) == (3, "")
    assert "store: ${env:DB_PASSWORD} is not set." in found.err
