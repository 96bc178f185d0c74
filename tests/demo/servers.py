"""The vendors of the demo on loopback: stand-ins of HubSpot and Meta, a real IMAP server, each with its week."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_imap.sandbox import ImapSandbox
from bridge_whatsapp.sandbox import MetaSandbox
from tests.demo import mails, post
from tests.demo.company import CURRENCY, DEALS, DOMAIN, LINE, MAILBOX, PEOPLE, PRIVATE, ZONE, Week, contacts

LONG_AGO = timedelta(days=60)
"""How long the company has had its contacts."""

TOKEN = "demo-hubspot-token"
PASSWORD = "demo-imap-password"
NOTE = "Prefere ligação à tarde."
NOTED = "patricia"
"""A note that Marta wrote in HubSpot about a customer."""


@dataclass(slots=True)
class Clock:
    """The stand-in's clock: the true one, unless it is set while the past is being filled in."""

    fixed: datetime | None = None

    def __call__(self) -> datetime:
        return self.fixed or datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Vendors:
    """The running vendors; `contact_ids` are those of HubSpot by name, as it held them at the start."""

    week: Week
    hubspot: HubSpotSandbox
    meta: MetaSandbox
    imap: ImapSandbox
    contact_ids: dict[str, str] = field(default_factory=dict)


@contextmanager
def vendors(week: Week) -> Iterator[Vendors]:
    """Run the vendors, filled with the week."""
    clock = Clock()
    with ExitStack() as stack:
        hubspot = stack.enter_context(
            HubSpotSandbox(token=TOKEN, clock=clock, time_zone=ZONE.key, currency=CURRENCY)
        )
        running = Vendors(
            week=week,
            hubspot=hubspot,
            meta=stack.enter_context(MetaSandbox()),
            imap=stack.enter_context(ImapSandbox(MAILBOX, PASSWORD)),
        )
        _fill_hubspot(running, clock)
        _fill_mailbox(running)
        yield running


def _fill_hubspot(running: Vendors, clock: Clock) -> None:
    hubspot, week = running.hubspot, running.week
    clock.fixed = week.today.astimezone(UTC) - LONG_AGO
    owners = {"Rui Costa": "77", "Marta Lima": "78", "": None}
    companies: dict[str, str] = {}
    for person in contacts():
        given, _, family = person.name.partition(" ")
        wanted = {
            "firstname": given,
            "lastname": family,
            "email": person.email,
            "phone": person.phone,
            "hubspot_owner_id": owners[person.owner],
        }
        id = hubspot.create("contacts", {name: value for name, value in wanted.items() if value})
        running.contact_ids[person.name] = id
        if person.company:
            domain = person.email.partition("@")[2]
            companies[person.company] = hubspot.create(
                "companies", {"name": person.company, "domain": domain}
            )
            hubspot.associate("contacts", id, "companies", companies[person.company])
    for deal in DEALS:
        wanted = {
            "dealname": deal.name,
            "amount": deal.amount,
            "pipeline": "default",
            "dealstage": deal.stage,
            "hubspot_owner_id": owners[deal.owner],
        }
        id = hubspot.create("deals", wanted)
        hubspot.associate("deals", id, "contacts", running.contact_ids[PEOPLE[deal.of].name])
    for mail in mails.MAILS:
        if mail.logged:
            clock.fixed = week.at(mail.day, mail.clock)
            _log_mail(running, mail, clock.fixed)
    clock.fixed = week.at(3, "16:00")
    note = hubspot.create("notes", {"hs_note_body": f"<p>{NOTE}</p>", "hubspot_owner_id": "78"})
    hubspot.associate("notes", note, "contacts", running.contact_ids[PEOPLE[NOTED].name])
    clock.fixed = None


def _log_mail(running: Vendors, mail: mails.Mail, at: datetime) -> None:
    """Write a mail onto its contact as HubSpot's own logger does."""
    person = PEOPLE[mail.of]
    sender, to = (MAILBOX, person.email) if mail.ours else (person.email, MAILBOX)
    logged = running.hubspot.create(
        "emails",
        {
            "hs_timestamp": at.isoformat(),
            "hs_email_direction": "EMAIL" if mail.ours else "INCOMING_EMAIL",
            "hs_email_status": "SENT",
            "hs_email_subject": mail.subject,
            "hs_email_text": mail.text,
            "hs_email_from_email": sender,
            "hs_email_to_email": to,
            "hs_email_message_id": f"<{mail.message_id}>",
        },
    )
    running.hubspot.associate("emails", logged, "contacts", running.contact_ids[person.name])


def _fill_mailbox(running: Vendors) -> None:
    week = running.week
    for mail in sorted(mails.MAILS, key=lambda mail: week.at(mail.day, mail.clock)):
        at = week.at(mail.day, mail.clock)
        raw = post.raw(mail, week, at)
        for folder in (post.folder_of(mail), *(["Archive"] if mail.copied else [])):
            running.imap.append(folder, raw, at=at)


def config(running: Vendors, *, port: int, push: bool) -> str:
    """Return the config.yaml of the demo; secrets stand in files beside it."""
    never = ", ".join(f'"{pattern}"' for pattern in PRIVATE)
    allowed = (
        "    push:\n      timeline: true\n"
        "      create: {whatsapp: first_message, web_form: first_message, email: after_we_replied}\n"
    )
    meta = running.meta.settings
    return f"""\
company: {{time_zone: {ZONE.key}, language: pt, currency: {CURRENCY}}}
store: sqlite:///crmbridge.db
connections:
  crm:
    connector: hubspot
    settings: {{token: "${{file:secrets/hubspot}}", base_url: "{running.hubspot.url}"}}
{allowed if push else ""}\
  vendas:
    connector: imap
    settings:
      {{host: 127.0.0.1, port: {running.imap.port}, tls: none, user: "{MAILBOX}", password: "${{file:secrets/imap}}"}}
    capture: {{never: [{never}]}}
  whatsapp:
    connector: whatsapp
    settings:
      business_account: "{meta["business_account"]}"
      app_secret: "${{file:secrets/whatsapp_app}}"
      verify_token: "${{file:secrets/whatsapp_verify}}"
      access_token: "${{file:secrets/whatsapp_access}}"
      graph_url: "{meta["graph_url"]}"
  inbound:
    connector: api
    settings:
      sources:
        telephone: {{token: "${{file:secrets/telephone}}"}}
        website: {{token: "${{file:secrets/website}}"}}
identity: {{default_region: BR, own_domains: [{DOMAIN}], own_addresses: ["{LINE}"]}}
web: {{listen: "127.0.0.1:{port}"}}
"""


def secrets(running: Vendors) -> dict[str, str]:
    """Return the secrets of config.yaml by file name."""
    return {
        "hubspot": TOKEN,
        "imap": PASSWORD,
        "whatsapp_app": running.meta.app_secret,
        "whatsapp_verify": running.meta.verify_token,
        "whatsapp_access": running.meta.access_token,
        "telephone": "demo-token-of-the-telephone-system",
        "website": "demo-token-of-the-website",
    }
