"""The pages of the HubSpot stand-in, and the stand-in as a program."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from hubspot_sandbox_client import World, world


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


def test_the_first_page_lists_the_contacts_last_changed_first(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana", "lastname": "Souza", "email": "ana@example.com"})
    crm.clock.move(60)
    crm.hub.create("contacts", {"phone": "+41 79 555 01 02"})
    page = requests.get(crm.hub.url, timeout=60)
    assert page.status_code == 200
    assert f'href="/contacts/{ana}"' in page.text
    assert page.text.index("+41 79 555 01 02") < page.text.index("Ana Souza")


def test_a_contacts_page_shows_its_properties_links_and_timeline_newest_first(crm: World) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana", "hubspot_owner_id": "77", "lifecyclestage": "lead"})
    deal = crm.hub.create("deals", {"dealname": "Fornos", "dealstage": "closedwon", "amount": "18400"})
    crm.hub.associate("deals", deal, "contacts", ana)
    activities = {
        "communications": {"hs_communication_channel_type": "WHATS_APP", "hs_communication_body": "Oi!<br>x"},
        "emails": {
            "hs_email_direction": "EMAIL",
            "hs_email_subject": "Proposta 118",
            "hs_email_text": "1 < 2",
        },
        "calls": {"hs_call_direction": "INBOUND", "hs_call_status": "MISSED", "hs_call_duration": "61000"},
        "meetings": {"hs_meeting_title": "Visit", "hs_meeting_outcome": "NO_SHOW"},
        "tasks": {"hs_task_subject": "Call back"},
        "notes": {"hs_note_body": "<b>Two</b> ovens"},
    }
    for hour, (kind, properties) in enumerate(activities.items()):
        made = crm.hub.create(kind, {**properties, "hs_timestamp": f"2026-11-18T{10 + hour}:00:00Z"})
        crm.hub.associate(kind, made, "contacts", ana)
    page = requests.get(f"{crm.hub.url}/contacts/{ana}", timeout=60).text
    for text in ("Rui Costa", "Lead", f'href="/deals/{deal}"', "Closed Won · 18400 USD", "Timeline (6)"):
        assert text in page
    newest_first = [
        "<b>Two</b> ovens",
        "Call back",
        "Visit · no show",
        "missed · 1:01",
        "1 &lt; 2",
        "Oi!<br>x",
    ]
    places = [page.index(text) for text in newest_first]
    assert places == sorted(places)
    assert "Wed 18 Nov 2026, 10:00" in page


def test_a_page_escapes_what_people_typed(crm: World) -> None:
    evil = '"><script>alert(1)</script>'
    ana = crm.hub.create("contacts", {"firstname": evil, "company": evil, "email": "ana@example.com"})
    note = crm.hub.create("notes", {"hs_note_body": f"x {evil}"})
    call = crm.hub.create("calls", {"hs_call_title": evil, "hs_call_from_number": evil})
    for kind, id in (("notes", note), ("calls", call)):
        crm.hub.associate(kind, id, "contacts", ana)
    for path in ("/", f"/contacts/{ana}", f"/notes/{note}", f"/calls/{call}"):
        page = requests.get(crm.hub.url + path, timeout=60).text
        assert "<script" not in page
        assert 'content="default-src' in page


def test_an_old_id_leads_to_the_merged_contact_and_a_wrong_one_nowhere(crm: World) -> None:
    ana, anna = (crm.hub.create("contacts", {"firstname": name}) for name in ("Ana", "Anna"))
    crm.hub.merge("contacts", ana, anna)
    assert "<h1>Ana</h1>" in requests.get(f"{crm.hub.url}/contacts/{anna}", timeout=60).text
    assert requests.get(f"{crm.hub.url}/contacts/9999", timeout=60).status_code == 404
    assert requests.get(f"{crm.hub.url}/nothing/1", timeout=60).status_code == 404


def test_it_runs_as_a_program_until_it_is_told_to_end() -> None:
    command = [
        sys.executable,
        "-m",
        "bridge_hubspot.sandbox",
        "--port",
        "0",
        "--portal",
        "77",
        "--currency",
        "BRL",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().split()[2]
        details = requests.get(
            f"{url}/account-info/2026-09/details", headers={"Authorization": "Bearer test-token"}, timeout=60
        ).json()
        assert (details["portalId"], details["companyCurrency"]) == (77, "BRL")
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
