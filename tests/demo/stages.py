"""The stages of the demo: what is done in each, what is shown of it, and what it is checked against."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from bridge_api.sandbox import SourceSandbox
from bridge_whatsapp.sandbox import batch, serialise, signed
from tests.demo import chats, evidence, expected, mails, post, servers, told
from tests.demo.company import PEOPLE, UNDECIDED
from tests.demo.program import Program, until
from tests.demo.screen import Screen
from tests.demo.servers import Vendors

KILLED_AT = "emails"
"""The entries after which the program is killed: HubSpot has them, the answer is still on its way."""

HELD_UP = 30.0
"""Seconds for which that answer is held up; the kill comes long before."""

JOINED = {
    "gustavo": "(11) 98731-4652 in HubSpot is 551187314652 at WhatsApp, without its ninth digit",
    "helena": "WhatsApp hid her number on the second day; its user id says that it is her",
}
"""Whom several addresses show to be one person, and how."""

FIRST_CHAT = 5
"""How many days ago Ana's chat began."""


@dataclass(slots=True, kw_only=True)
class Demo:
    """
    What the stages share.

    `came_back` counts our own entries that were read back.
    """

    vendors: Vendors
    program: Program
    screen: Screen
    url: str
    tokens: Mapping[str, str]
    came_back: int = 0

    def allow(self, *, push: bool) -> None:
        """Write config.yaml, with or without leave to write into HubSpot."""
        port = int(self.url.rpartition(":")[2])
        text = servers.config(self.vendors, port=port, push=push)
        (self.program.folder / "config.yaml").write_text(text, encoding="utf-8")


def connect(demo: Demo) -> None:
    """Write the configuration and check every connection."""
    screen = demo.screen
    screen.stage(1, "Connect: HubSpot, a mailbox, WhatsApp, the inbound API", essential=False)
    secrets = demo.program.folder / "secrets"
    secrets.mkdir(mode=0o700)
    for name, secret in demo.tokens.items():
        (secrets / name).write_text(secret)
    demo.allow(push=False)
    screen.command("crmbridge check", essential=False)
    screen.told(demo.program.run("check").out)


def collect(demo: Demo) -> None:
    """Run the daemon while the week comes in, and one mail more while it waits for mail."""
    screen, vendors, week = demo.screen, demo.vendors, demo.vendors.week
    screen.stage(2, "Collect: the daemon reads; nothing is written to HubSpot")
    screen.command("crmbridge run")
    hooks = f"{demo.url}/hooks/whatsapp"
    with demo.program.daemon(demo.url):
        bodies = list(chats.deliveries(week))
        accepted = sum(vendors.meta.deliver(hooks, *body) for body in bodies)
        accepted += vendors.meta.post(hooks, serialise(chats.account_update()))
        repeated = vendors.meta.deliver(hooks, *bodies[0])
        forged = _forge(hooks, bodies[0])
        inbound = _send_inbound(demo)
        total = expected.read().total
        until(lambda: evidence.settled(demo.url) == total - 1, f"{total - 1} records to be read")
        came = time.monotonic()
        vendors.imap.append("INBOX", post.raw(mails.ARRIVES, week, datetime.now(UTC)))
        until(lambda: evidence.settled(demo.url) == total, "the mail that just came to be read")
        seconds = time.monotonic() - came
        waits = requests.get(f"{demo.url}/readyz", timeout=60)
    changes = sum(map(len, bodies)) + 1
    screen.note(
        f"{changes} WhatsApp events in {len(bodies) + 1} signed webhooks; one webhook came twice, a forged one"
        f" got {forged}.\n{inbound} calls and forms over the inbound API; {len(mails.MAILS)} mails over IMAP.\n"
        f"One more mail came while the daemon waited for mail: read {seconds:.1f} s later.\n"
        "Stopped with SIGTERM; it ended cleanly.",
        essential=True,
    )
    screen.check("webhooks that were answered with 200", accepted, len(bodies) + 1)
    screen.check("the webhook that came twice", repeated, True)
    screen.check("the answer to a forged webhook", forged, 401)
    screen.check("calls and forms that were taken", inbound, len(told.CALLS) + len(told.FORMS))
    screen.check("the daemon's health", waits.json(), {"status": "ok", "problems": [], "held": []})
    screen.check("calls that changed anything in HubSpot", evidence.writing_calls(demo.vendors), 0)


def see(demo: Demo) -> None:
    """Show what came, what did not fit, who is who and who waits."""
    screen = demo.screen
    screen.stage(3, "See: every record is accounted for, every person is one")
    _show_read(demo)
    _show_reject(demo)
    screen.command("crmbridge sync --collect-only   # a second look finds nothing new")
    said = demo.program.run("sync", "--collect-only").out
    lines = said.splitlines()
    screen.told("\n".join(lines[:-1]), essential=True)
    screen.told(lines[-1])
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (matched|new|for you)", lines[1])}
    wanted = expected.people()
    screen.check("records of a second look", lines[0], "Read 0 = 0 mapped + 0 skipped + 0 rejected")
    screen.check("people", lines[1].partition(" =")[0], f"People {wanted['total']}")
    screen.check(
        "people by contact", list(counts.values()), [wanted[name] for name in ("matched", "new", "to_decide")]
    )
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines[3:-1]]
    found = {name: None if owner == "NOBODY" else owner for name, owner, _ in rows}
    screen.check("who waits for us", found, expected.waiting())


def preview(demo: Demo) -> None:
    """Allow writing, prepare HubSpot, and show what would be written."""
    screen, program = demo.screen, demo.program
    screen.stage(4, "Preview: `push` is allowed in config.yaml")
    demo.allow(push=True)
    screen.command("crmbridge setup crm --apply", essential=False)
    screen.told(program.run("setup", "crm", "--apply").out)
    screen.command("crmbridge plan")
    said = program.run("plan").out.splitlines()
    for of in ("marcelo", "kevin"):
        screen.told(_of_person(said, expected.shown_name(PEOPLE[of])))
    for of, names in UNDECIDED.items():
        shown = _of_person(said, expected.shown_name(PEOPLE[of]))
        screen.told(shown, essential=of == "prado")
        screen.check(f"who {of} may be", [name for name in names if name not in shown], [])
    lines = [line for line in said if line.startswith("PLAN ")]
    screen.told("...")
    screen.told("\n".join(lines), essential=True)
    wanted = (
        f"PLAN {expected.entries().total()} entries, {len(expected.new_contacts())} new contacts,"
        f" 0 fields overwritten, {expected.calls()} calls."
    )
    screen.check("the plan", [line[: len(wanted)] for line in lines], [wanted])
    held = [line for line in said if line.startswith("  ! held")]
    screen.check("people held back in the plan", len(held), expected.held())
    screen.check("calls that changed anything in HubSpot", evidence.writing_calls(demo.vendors), 0)


def write(demo: Demo) -> None:
    """Write, be killed between HubSpot's commit and our receipt, and start again."""
    screen, hubspot = demo.screen, demo.vendors.hubspot
    screen.stage(5, "Write, and be killed half-way")
    screen.command("crmbridge sync   # kill -9 once HubSpot stored the mails and before it answered")
    before = len(hubspot.objects(KILLED_AT))
    hubspot.levers.slow(HELD_UP, method="POST", path=f"/{KILLED_AT}/batch/create")
    demo.program.kill_when(lambda: len(hubspot.objects(KILLED_AT)) > before, "sync")
    wanted = expected.entries()
    lost = evidence.writes_in_doubt(demo.program)
    standing = evidence.standing(demo.vendors)
    filed = standing.total() - lost
    screen.note(
        f"Killed with {standing.total()} of {expected.writes()} writes in HubSpot; it had no answer to"
        f" {lost} of them.",
        essential=True,
    )
    screen.check("writes without an answer", lost, wanted[KILLED_AT])
    screen.check("mails in HubSpot when it was killed", standing[KILLED_AT], wanted[KILLED_AT])
    screen.command("crmbridge sync")
    said = demo.program.run("sync", codes=(0, 1))
    _show_writes(demo, said.out)
    standing = evidence.standing(demo.vendors)
    doubled = evidence.doubled(demo.vendors)
    screen.note(
        f"SYNC {expected.writes()} writes, killed half-way, restarted:"
        f" {standing.total()} in HubSpot, {doubled} doubled",
        essential=True,
    )
    parts = [f"{standing[name]} {name}" for name in evidence.ENTRY_TYPES]
    screen.note(
        f"{', '.join(parts)}, {standing['new contacts']} new contacts, {standing['updates']} contacts updated."
    )
    screen.check("what stands in HubSpot", standing, evidence.wanted())
    demo.came_back = _known_as_ours(said.out)
    screen.check("doubled", doubled, 0)
    screen.check("what the sync wrote", _sync_line(said.out), f"SYNC {expected.writes() - filed} writes")
    screen.check("what the sync could not do", said.err, "")
    screen.check("new contacts", evidence.made_contacts(demo.vendors), expected.new_contacts())


def again(demo: Demo) -> None:
    """Sync once more: nothing is left to write."""
    screen = demo.screen
    screen.stage(6, "Again: what crmbridge wrote comes back and is recognised")
    screen.command("crmbridge sync")
    calls = evidence.writing_calls(demo.vendors)
    said = demo.program.run("sync").out
    _show_writes(demo, said)
    demo.came_back += _known_as_ours(said)
    screen.note(
        f"AGAIN 0 writes; {demo.came_back} entries came back from HubSpot, each known as ours",
        essential=True,
    )
    screen.check("writes of the second sync", _sync_line(said), "SYNC 0 writes")
    screen.check("writing calls of the second sync", evidence.writing_calls(demo.vendors) - calls, 0)
    screen.check("entries that came back", demo.came_back, expected.entries().total())


def journey(demo: Demo) -> None:
    """Show one person's journey, and an entry as it stands in the CRM."""
    screen, vendors = demo.screen, demo.vendors
    ana = PEOPLE["ana"]
    screen.stage(7, "One journey, here and in HubSpot")
    screen.command(f'crmbridge journey "{ana.name}"', essential=False)
    said = demo.program.run("journey", ana.name).out
    screen.told(said)
    texts = [line.text for line in chats.LINES if line.of == "ana" and line.kind in ("them", "us")]
    screen.check("what Ana's journey lacks", [text for text in texts if text not in said], [])
    timeline = vendors.hubspot.timeline(vendors.contact_ids[ana.name])
    chat = evidence.first_chat(timeline)
    screen.say()
    screen.note(f"On {ana.name}'s contact in HubSpot:", essential=True)
    screen.told("\n".join(chat), essential=True)
    wanted = expected.chat_texts("ana", FIRST_CHAT)
    lacking = [text for text in wanted if not any(line.endswith(f": {text}") for line in chat)]
    screen.check("what the entry lacks", lacking, [])
    screen.check("the entry's last line", bool(re.fullmatch(r"crmbridge [0-9A-Z]{12}", chat[-1])), True)
    logged = [mail.subject for mail in mails.CONVERSATIONS if mail.of == "ana" and mail.logged]
    subjects = Counter(one["properties"].get("hs_email_subject") for one in timeline)
    screen.check("mail that HubSpot had logged itself", [subjects[subject] for subject in logged], [1])
    screen.say(essential=True)
    screen.note("On one contact as well, whatever they wrote with:", essential=True)
    for of, why in JOINED.items():
        name = PEOPLE[of].name
        screen.note(f"{name}: {why}", essential=True)
        mine = vendors.hubspot.timeline(vendors.contact_ids[name])
        screen.check(f"entries on {name}'s contact", len(mine), expected.entries_of(of))


def _forge(url: str, body: list[Any]) -> int:
    """Send a webhook that somebody without the app secret signed; return the status of the answer."""
    raw = serialise(batch(body))
    return requests.post(url, data=raw, headers=signed(raw, "not the app secret"), timeout=60).status_code


def _send_inbound(demo: Demo) -> int:
    """Send what the telephone system and the website told; return how many were taken."""
    week = demo.vendors.week
    taken = 0
    for source, interactions in (("telephone", told.calls(week)), ("website", told.forms(week))):
        sender = SourceSandbox(url=f"{demo.url}/v1/interactions", token=demo.tokens[source])
        taken += sum(sender.send(interaction).status_code == 202 for interaction in interactions)
    return taken


def _show_read(demo: Demo) -> None:
    screen = demo.screen
    screen.command("crmbridge status")
    said = demo.program.run("status").out.splitlines()
    first = next(line for line in said if line.startswith("whatsapp "))
    screen.told(f"{_of_person(said, first)}\n...", essential=True)
    counts, rules = evidence.tally(demo.program)
    why = ", ".join(f"{count} {rule}" for rule, count in rules.most_common())
    screen.note(
        f"Read {counts['read']} = {counts['mapped']} mapped + {counts['skipped']} skipped ({why})"
        f" + {counts['rejected']} rejected",
        essential=True,
    )
    wanted = expected.read()
    screen.check("records read", counts["read"], wanted.total)
    screen.check("records mapped", counts["mapped"], wanted.mapped)
    screen.check("records skipped by rule", dict(rules), wanted.skipped)
    screen.check(
        "records rejected and waiting", (counts["rejected"], counts["waiting"]), (wanted.rejected, 0)
    )


def _show_reject(demo: Demo) -> None:
    screen = demo.screen
    screen.command("crmbridge rejects")
    said = demo.program.run("rejects").out
    first, second, *rest = said.splitlines()
    screen.told(f"{first}\n{second}", essential=True)
    screen.told("\n".join(rest))
    screen.check("the rejected record is named", chats.BROKEN_CALL in said, True)
    screen.check("its value is named", f"duration_s: {chats.BROKEN_SECONDS} is less" in said, True)
    place = re.search(r" at (.+):(\d+)$", said.splitlines()[0])
    named = Path(place[1]).read_text(encoding="utf-8").splitlines()[int(place[2]) - 1] if place else ""
    screen.check("the mapping line that it names", named.strip(), "duration_s: duration_s")


def _show_writes(demo: Demo, said: str) -> None:
    """Show what a sync said that it read and wrote, without who waits."""
    read, *_ = said.splitlines()
    demo.screen.told(f"{read}\n...\n{_sync_line(said)}", essential=True)


def _sync_line(said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith("SYNC "))


def _known_as_ours(said: str) -> int:
    """Return how many entries a sync read that crmbridge had written itself."""
    found = re.search(r"(\d+) written by crmbridge", said)
    return int(found[1]) if found else 0


def _of_person(lines: list[str], name: str) -> str:
    """Return what is printed of one person, or of one connection: its first line and those set in below."""
    start = lines.index(name)
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return "\n".join(lines[start:end])
