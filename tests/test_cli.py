"""The command line: what every command has in common, and what none may print."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from typing import Any

import pytest
import typer

from bridge.cli import app, output
from bridge_hubspot.sandbox import HubSpotSandbox
from tests.outside import KEY, Office

ANA = "+5511973914862"


def commands() -> Iterator[tuple[list[str], Any]]:
    """Yield every command that does something, with the words that call it."""
    rest: list[tuple[list[str], Any]] = [([], typer.main.get_command(app))]
    while rest:
        words, command = rest.pop()
        rest += [([*words, name], inner) for name, inner in getattr(command, "commands", {}).items()]
        if command.callback is not None and words:
            yield words, command


COMMANDS = sorted(commands(), key=lambda found: found[0])


def test_commands_are_found_at_every_depth() -> None:
    found = {" ".join(words) for words, _ in COMMANDS}
    assert {"check", "sync", "run", "rejects", "rejects replay", "setup crm", "mapping test"} <= found


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_every_command_says_in_one_sentence_what_it_does(
    words: list[str], command: Any, office: Office
) -> None:
    assert command.help is not None
    first = command.help.strip().splitlines()[0]
    assert re.match(r"[A-Z][^.]+\.", first)
    said = office.run(*words, "--help")
    assert said.code == 0
    assert first.split(".")[0] in " ".join(said.out.split())
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"


def test_the_list_of_commands_cuts_no_sentence_short(office: Office) -> None:
    for group in {tuple(words[:-1]) for words, _ in COMMANDS}:
        said = office.run(*group, "--help")
        assert said.code == 0
        assert "..." not in said.out.replace("COMMAND [ARGS]...", "")
    assert office.run("--version").out.startswith("crmbridge 0.")


JSON_COMMANDS = [words for words, command in COMMANDS if any(p.name == "as_json" for p in command.params)]


def test_no_command_but_the_daemon_waits_for_the_web_server_to_load() -> None:
    show = "import sys, bridge.cli.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    assert "bridge.cli.work" in loaded.split()
    assert not {"uvicorn", "starlette", "bridge.web"} & set(loaded.split())


def test_only_commands_that_talk_to_people_alone_have_no_json() -> None:
    assert [" ".join(words) for words, _ in COMMANDS if words not in JSON_COMMANDS] == [
        "init",
        "mapping copy",
        "review work",
        "run",
    ]


ON_SOMETHING = [
    ["approve"],
    ["decisions", "revoke"],
    ["release"],
    ["review", "accept"],
    ["review", "dismiss"],
    ["review", "reopen"],
    ["undo"],
]
"""Commands that need something held, written, decided or suggested; the tests of that ask for their JSON."""

BETWEEN = ["Ana", "+5521988123344"]
"""Whom the CRM knows, and who is somebody else."""

ARGUMENTS = {
    "journey": ["Ana"],
    "link": [*BETWEEN, "--dry-run"],
    "remap": ["chat"],
    "split": [*BETWEEN, "--dry-run"],
    "who": ["Ana"],
    "why": ["Ana", ANA],
    "why-not": BETWEEN,
}


@pytest.mark.parametrize(
    "words", [words for words in JSON_COMMANDS if words not in ON_SOMETHING], ids=" ".join
)
def test_json_is_one_value_and_nothing_else(words: list[str], synced: Office) -> None:
    said = synced.run(*words, *ARGUMENTS.get(words[0], []), "--json")
    assert said.code == 0
    assert isinstance(said.json, dict | list)
    assert said.err == ""


EVIL = "Eve\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\r\nSYNC 99 writes \u202egnp.exe\u2066"


def test_what_customers_write_cannot_steer_the_terminal(office: Office) -> None:
    office.put("crm", "contacts", name=EVIL, phone=ANA, email="eve@x.example")
    office.message(EVIL + "\x00", ANA)
    office.put(
        "chat", "messages", id=f"m{EVIL}", **{"from": ANA, "at": EVIL, "text": "x", "channel": "whatsapp"}
    )
    outputs = [office.run("sync", "-v"), office.run("rejects"), office.run("plan", "--details")]
    outputs += [office.run("journey", ANA), office.run("waiting"), office.run("status")]
    office.put("crm", "contacts", name=EVIL, phone="+5521988123344")
    office.message(EVIL, "+5521988123344")
    outputs += [office.run("sync"), office.run("journey", "eve")]
    outputs += [office.run("journey", EVIL)]
    for said in outputs:
        everything = said.out + said.err
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", everything)
        assert not re.search(r"^SYNC 99", everything, re.M)
    assert any("Eve" in said.out for said in outputs)
    raw = office.run("waiting", "--json")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", raw.out)
    assert raw.json[0]["name"].startswith("Eve")


def test_names_of_every_script_are_shown(office: Office) -> None:
    names = ["محمد علي", "דנה כהן", "田中さくら", "👩🏽‍🚀 Zoë", "e\u0301" * 50, "क्षत्रिय", "ｗｉｄｅ"]
    for number, name in enumerate(names):
        office.put("crm", "contacts", name=name, phone=f"+551197391480{number}")
        office.message("Oi", f"+551197391480{number}")
    for words in (["sync"], ["waiting"]):
        said = office.run(*words)
        assert (said.code, said.err) == (0, "")
        assert all(name in said.out for name in names)
    for number, name in enumerate(names):
        assert office.run("journey", f"+551197391480{number}").out.startswith(f"{name}  (p_")
    assert office.run("plan", "--details").code == 0


def test_piped_output_holds_no_progress_and_question_marks_for_letters_it_lacks(synced: Office) -> None:
    synced.message("Olá 田中", "+5531988112233")
    said = synced.command("sync", PYTHONIOENCODING="latin-1")
    assert (said.code, said.err) == (0, "")
    assert '"Olá ??"' in said.out
    assert "\r" not in said.out
    assert "\x1b" not in said.out


def test_on_a_terminal_the_progress_is_shown_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    with redirect_stderr(terminal), output.progress(True) as show:
        show("crm contacts", 1000)
        show("crm contacts", 234)
    shown = terminal.getvalue()
    assert "crm contacts: 1,234" in shown
    assert shown.endswith("\r\x1b[2K")


def test_a_reader_that_goes_away_is_no_fault(synced: Office) -> None:
    pipe = f"{sys.executable} -m bridge.cli status 2>&1 1>&- | cat"
    done = subprocess.run(
        ["bash", "-c", f"{pipe}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr


def test_no_secret_is_printed_however_much_is_logged(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubSpotSandbox(token="pat-na1-0f1e2d3c4b5a") as hubspot:
        monkeypatch.setenv("HUBSPOT_TOKEN", hubspot.token)
        settings = {"base_url": hubspot.url, "token": "${env:HUBSPOT_TOKEN}"}
        office.connections["hub"] = {"connector": "hubspot", "settings": settings}
        office.write()
        office.message(f"our key is {KEY} and {hubspot.token}", ANA)
        for words in (
            ["check", "-v"],
            ["sync", "-v"],
            ["plan", "-v", "--details"],
            ["journey", ANA],
            ["waiting", "--json"],
        ):
            said = office.run(*words)
            assert hubspot.token not in said.out + said.err
        monkeypatch.setenv("HUBSPOT_TOKEN", "a token nobody knows")
        refused = office.run("sync", "-v")
        assert (refused.code, "a token nobody knows" in refused.err) == (1, False)
        assert "hub: " in refused.err
