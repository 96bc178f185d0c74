"""The pages of the Pipedrive stand-in, and the stand-in as a program."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from pipedrive_sandbox_client import World, world


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


def page(crm: World, path: str = "/") -> str:
    answer = requests.get(crm.crm.url + path, timeout=60)
    assert answer.status_code == 200
    return answer.text


def test_the_first_page_lists_the_persons_last_changed_first(crm: World) -> None:
    ana = crm.crm.create("persons", {"name": "Ana Souza", "emails": [{"value": "ana@example.com"}]})
    crm.clock.move(60)
    crm.crm.create("persons", {"name": "Rui"})
    shown = page(crm)
    assert f'href="/persons/{ana}"' in shown
    assert "ana@example.com" in shown
    assert shown.index("Rui") < shown.index("Ana Souza")


def test_a_persons_page_shows_fields_links_and_timeline_newest_first(crm: World) -> None:
    key = crm.crm.define("persons", "Waiting since")
    org = crm.crm.create("organizations", {"name": "Padaria Lima"})
    ana = crm.crm.create(
        "persons",
        {"name": "Ana", "org_id": int(org), "phones": [{"value": "+55 11"}], "custom_fields": {key: "Thu"}},
    )
    deal = crm.crm.create("deals", {"title": "Fornos", "person_id": int(ana), "value": 18400})
    lead = {"title": "Forno turbo", "person_id": int(ana), "value": {"amount": 900, "currency": "BRL"}}
    crm.crm.create("leads", lead)
    people = [{"person_id": int(ana)}]
    crm.crm.create(
        "activities",
        {
            "subject": "WhatsApp, Wed",
            "due_date": "2026-11-18",
            "due_time": "14:02",
            "done": True,
            "note": "Oi!<br>x",
            "participants": people,
        },
    )
    crm.crm.create(
        "activities",
        {"subject": "Call back", "type": "task", "due_date": "2026-11-19", "participants": people},
    )
    crm.post(
        "/v1/notes", {"content": "<b>Two</b> ovens", "person_id": int(ana), "add_time": "2026-11-18 08:00:00"}
    )
    shown = page(crm, f"/persons/{ana}")
    for text in (
        *("Padaria Lima", "Rui Costa", "+55 11 (work)", "<dt>Waiting since</dt><dd>Thu</dd>", "Timeline (3)"),
        *(f'href="/deals/{deal}"', "Qualified · 18400 USD", "lead · 900 BRL", "Wed 18 Nov 2026, 14:02"),
        *("Thu 19 Nov 2026<", "added by an integration", "Task · to do · Rui Costa · added by a person"),
    ):
        assert text in shown, text
    places = [shown.index(text) for text in ("Call back</b>", "Oi!<br>x", "<b>Two</b> ovens")]
    assert places == sorted(places)


def test_a_deals_page_shows_its_stage_and_what_happened_on_it(crm: World) -> None:
    ana = crm.crm.create("persons", {"name": "Ana"})
    deal = crm.crm.create("deals", {"title": "Fornos", "person_id": int(ana), "stage_id": 503})
    crm.crm.create("notes", {"content": "Proposal sent", "deal_id": int(deal)})
    shown = page(crm, f"/deals/{deal}")
    for text in ("<h1>Fornos</h1>", "<dd>Proposal Made</dd>", f'href="/persons/{ana}"', "Proposal sent"):
        assert text in shown
    crm.crm.delete("deals", deal)
    assert "deleted" in page(crm, f"/deals/{deal}")


def test_a_page_escapes_what_people_typed(crm: World) -> None:
    evil = '"><script>alert(1)</script>'
    code = crm.crm.define("persons", evil)
    org = crm.crm.create("organizations", {"name": evil, "website": evil})
    ana = crm.crm.create(
        "persons",
        {
            "name": evil,
            "org_id": int(org),
            "emails": [{"value": evil, "label": evil}],
            "custom_fields": {code: evil},
        },
    )
    deal = crm.crm.create("deals", {"title": evil, "person_id": int(ana)})
    crm.crm.create("notes", {"content": f"x {evil}", "person_id": int(ana), "deal_id": int(deal)})
    crm.crm.create("activities", {"subject": evil, "note": evil, "participants": [{"person_id": int(ana)}]})
    for path in ("/", f"/persons/{ana}", f"/organizations/{org}", f"/deals/{deal}"):
        shown = page(crm, path)
        assert "<script" not in shown
        assert 'content="default-src' in shown


def test_a_merged_persons_page_leads_to_the_survivor_and_a_wrong_one_nowhere(crm: World) -> None:
    first, second, third = (crm.crm.create("persons", {"name": name}) for name in ("Ana", "Anna", "Anne"))
    crm.crm.merge("persons", second, third)
    crm.crm.merge("persons", first, second)
    assert "<h1>Ana</h1>" in page(crm, f"/persons/{third}")
    for path in ("/persons/9999", "/nothing/1", "/users/501"):
        assert requests.get(crm.crm.url + path, timeout=60).status_code == 404


def test_it_runs_as_a_program_until_it_is_told_to_end() -> None:
    command = [
        sys.executable,
        "-m",
        "bridge_pipedrive.sandbox",
        "--port",
        "0",
        "--company",
        "77",
        "--currency",
        "BRL",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().split()[2]
        me = requests.get(f"{url}/v1/users/me", headers={"x-api-token": "test-token"}, timeout=60).json()[
            "data"
        ]
        assert (me["company_id"], me["default_currency"]) == (77, "BRL")
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
