"""The demo as a user runs it: what it says adds up, it ends, and it leaves nothing running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo.screen import Screen

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a demo with spaces")


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.demo", "--once", "--folder", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=300,
        check=False,
    )


def numbers(said: str, line: str) -> list[int]:
    """Return the numbers in the only line that begins with a text."""
    (found,) = [one for one in said.splitlines() if one.strip().startswith(line)]
    return [int(number) for number in re.findall(r"(?<![\w+-])\d+\b", found)]


@pytest.mark.slow
def test_every_record_that_was_read_is_accounted_for(said: str) -> None:
    read, mapped, skipped, *rules, rejected = numbers(said, "# Read 1")
    assert read > 100
    assert read == mapped + skipped + rejected
    assert skipped == sum(rules)
    assert numbers(said, "Read 0 =") == [0, 0, 0, 0]


@pytest.mark.slow
def test_the_reject_names_its_value_and_its_line_in_the_mapping(said: str) -> None:
    place = re.search(r"whatsapp messages at (mappings/whatsapp\.yaml):(\d+)\n +duration_s: -4 is less", said)
    assert place is not None
    assert "duration_s" in (ROOT / place[1]).read_text().splitlines()[int(place[2]) - 1]


@pytest.mark.slow
def test_every_person_is_matched_new_or_to_be_decided(said: str) -> None:
    people, matched, new, undecided = numbers(said, "People")
    assert people == matched + new + undecided
    assert (
        len(re.findall(r"! held: could be \w+ \w+ \(\d+\) or \w+ \w+ \(\d+\); decide which", said))
        == undecided
    )


@pytest.mark.slow
def test_who_waits_is_listed_longest_first(said: str) -> None:
    listed = said.split("WAITING FOR US\n")[1].split("  SYNC")[0].splitlines()
    units = {"min": 1, "h": 60, "days": 1440}
    waits = [re.search(r", (\d+) (min|h|days)\b", line) for line in listed]
    minutes = [int(found[1]) * units[found[2]] for found in waits if found]
    assert len(minutes) == len(listed) > 5
    assert minutes == sorted(minutes, reverse=True)
    assert re.search(r"Ana Souza +Rui Costa +WhatsApp, .*a missed call", said)
    assert re.search(r"Carla Dias +NOBODY +WhatsApp", said)


@pytest.mark.slow
def test_what_was_planned_stands_once_after_a_kill(said: str) -> None:
    entries, contacts, overwritten, _, held, *_ = numbers(said, "PLAN")
    standing, writes, unanswered = numbers(said, "# Killed with")
    total, found, doubled = numbers(said, "# SYNC 7")
    *by_type, made, updated = numbers(said, f"# {by_type_line(said)} communications")
    assert (overwritten, held) == (0, 3)
    assert 0 < unanswered < standing < writes
    assert total == found == writes == entries + contacts + updated
    assert doubled == 0
    assert sum(by_type) == entries
    assert made == contacts


def by_type_line(said: str) -> str:
    found = re.search(r"^ +# (\d+) communications, ", said, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_a_second_sync_writes_nothing_and_knows_its_own_entries(said: str) -> None:
    writes, back = numbers(said, "# AGAIN")
    assert writes == 0
    assert back == numbers(said, "PLAN")[0]


@pytest.mark.slow
def test_the_entry_counts_its_messages_and_ends_with_its_marker(said: str) -> None:
    entry = said.split("On Ana Souza's contact in HubSpot:\n")[1].split("\n\n")[0].splitlines()
    counted = re.fullmatch(
        r"  WhatsApp, \w+ \d\d/\d\d: (\d+) mensagens \(cliente (\d+), nós (\d+)\)", entry[0]
    )
    assert counted is not None
    customer = [line for line in entry if re.match(r"  \d\d:\d\d Ana: ", line)]
    team = [line for line in entry if re.match(r"  \d\d:\d\d Equipe: ", line)]
    assert [int(number) for number in counted.groups()] == [
        len(customer) + len(team),
        len(customer),
        len(team),
    ]
    assert entry[1] == '  Primeiro contato pelo anúncio "Forno turbo" (Instagram)'
    assert re.fullmatch(r"  crmbridge [0-9A-HJKMNP-TV-Z]{12}", entry[-1])


@pytest.mark.slow
def test_nothing_is_left_running(said: str, folder: Path) -> None:
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
        if where == folder:
            left.append(process.name)
    assert left == []


@pytest.mark.slow
def test_the_secrets_of_the_demo_stand_in_no_log(said: str, folder: Path) -> None:
    secrets = [path.read_text() for path in (folder / "secrets").iterdir()]
    log = (folder / "daemon.log").read_text()
    assert "crmbridge runs" in log
    assert [secret for secret in secrets if secret in said + log] == []


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("dear")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "holds other files" in done.stdout
    assert other.read_text() == "dear"


def test_a_number_that_is_not_as_expected_counts_as_wrong() -> None:
    screen = Screen()
    screen.check("records", 1, 1)
    assert screen.wrong == []
    screen.check("records", 1, 2)
    assert (screen.checked, screen.wrong) == (2, ["records"])
