"""What commands do where secrets of connections are not there that they do not ask."""

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
    "words",
    [
        *(["check"], ["sync"], ["run"], ["plan"], ["setup", "crm"], ["remap", "crm"], ["reconcile"]),
        *(["reconcile", "crm"], ["undo", "1", "--dry-run"], ["release", "1"]),
    ],
    ids=" ".join,
)
def test_what_asks_a_connection_whose_secret_is_not_there_is_refused(
    words: list[str], locked: Office
) -> None:
    if words[0] == "release":
        locked.connections["crm"]["settings"]["key"] = "${env:FOLDER_KEY}"
        locked.write()
        assert locked.run("undo", "1", "--yes").code == 0
        locked.connections["crm"]["settings"]["key"] = "${env:OTHER_KEY}"
        locked.write()
    found = locked.run(*words)
    assert (found.code, found.out) == (3, "")
    assert REASON in found.err
    shown = {one["name"]: one["error"] for one in locked.run("status", "--json").json["connections"]}
    assert shown == {"crm": None, "chat": None}, "what one terminal lacks is no trouble of the connection"


def test_what_asks_no_connection_or_another_does_without_the_secret_of_one(synced: Office) -> None:
    synced.connections["chat"]["settings"]["key"] = "${env:OTHER_KEY}"
    synced.write()
    contact, stranger = "whatsapp_id:5511973914862", "whatsapp_id:5521988123344"
    for words in (
        ["mapping", "test"],
        ["remap", "crm"],
        ["remap", "crm", "--apply"],
        ["setup", "crm"],
        ["setup", "crm", "--apply"],
        ["reconcile", "crm"],
        ["reconcile", "crm", "--repair"],
        ["rejects", "replay"],
        ["split", contact, stranger, "--yes", "--author", "Rui"],
        ["undo", "1", "--dry-run"],
        ["undo", "1", "--yes"],
        ["release", "1"],
    ):
        found = synced.run(*words)
        assert (words, found.code, found.err) == (words, 0, "")
    asked = synced.run("sync")
    assert (asked.code, asked.out) == (3, ""), "a sync asks all of them"


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
