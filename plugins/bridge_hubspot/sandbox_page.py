"""The pages on which people read what stands in the stand-in: contacts, and one record with its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

import nh3

from bridge_hubspot.sandbox_catalog import KINDS, Kind
from bridge_hubspot.sandbox_items import Item
from bridge_hubspot.sandbox_portal import Portal
from bridge_hubspot.sandbox_values import instant_of

_TAGS = {"p", "br", "b", "strong", "i", "em", "u", "a", "ul", "ol", "li", "div", "span", "blockquote", "pre"}
_RECORDS = ("contacts", "companies", "deals")
_HIDDEN = {
    "createdate",
    "hs_createdate",
    "hs_body_preview",
    "hs_object_source",
    "hs_object_source_label",
    "hs_email_domain",
    "hs_searchable_calculated_phone_number",
    "hs_searchable_calculated_mobile_number",
    "associatedcompanyid",
    "lastmodifieddate",
    "hs_lastmodifieddate",
}
_CHANNELS = {"WHATS_APP": "WhatsApp", "SMS": "SMS", "LINKEDIN_MESSAGE": "LinkedIn message"}
_DIRECTIONS = {
    "INCOMING_EMAIL": "received",
    "EMAIL": "sent",
    "FORWARDED_EMAIL": "forwarded",
    "INBOUND": "inbound",
    "OUTBOUND": "outbound",
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light;--ink:#1f2d3d;--soft:#5d7186;--line:#dfe6ee;--link:#0a6b74;--tint:#f4f7fa}
*{box-sizing:border-box}
body{margin:0;background:var(--tint);color:var(--ink);font:16px/1.5 system-ui,Roboto,sans-serif}
header{background:#fff;border-bottom:1px solid var(--line);padding:.8rem 1rem}
header{font-size:.85rem;color:var(--soft)}
header a{font-weight:600;color:var(--ink)}
main{max-width:42rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0 .2rem;overflow-wrap:anywhere}
h2{font-size:.8rem;letter-spacing:.06em;text-transform:uppercase;color:var(--soft);margin:1.6rem 0 .5rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
.sub{color:var(--soft);margin:0;overflow-wrap:anywhere}
.card{background:#fff;border:1px solid var(--line);border-radius:10px;padding:.8rem 1rem;margin:0 0 .7rem}
.row{display:block;color:inherit}.row b{color:var(--link)}
.row small{display:block;color:var(--soft);overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:minmax(7rem,38%) 1fr;gap:.35rem .8rem;margin:0}
dt{color:var(--soft);font-size:.9rem}dd{margin:0;overflow-wrap:anywhere}
.head{display:flex;flex-wrap:wrap;gap:.15rem .6rem;align-items:baseline;font-size:.9rem;color:var(--soft)}
.head b{color:var(--ink);font-size:1rem}.head time{margin-left:auto}
.facts{font-size:.9rem;color:var(--soft);margin:.1rem 0 0;overflow-wrap:anywhere}
.body{margin:.5rem 0 0;overflow-wrap:anywhere}.plain{white-space:pre-line}.body p{margin:.2rem 0}
.by{margin:.5rem 0 0;font-size:.8rem;color:var(--soft)}
"""


def contact_list(portal: Portal) -> str:
    """Return the page with all contacts, the last changed first."""
    contacts = sorted(
        portal.items(_kind("contacts")), key=lambda item: (item.updated_at, int(item.id)), reverse=True
    )
    cards = [
        f'<a class="card row" href="/contacts/{escape(item.id)}"><b>{escape(_title(item))}</b>'
        f"<small>{escape(_summary(portal, item))}</small></a>"
        for item in contacts
    ]
    count = f"{len(contacts)} contact{'' if len(contacts) == 1 else 's'}"
    body = f"<h1>Contacts</h1><p class='sub'>{count}</p><h2>Last changed first</h2>"
    return _page(portal, "Contacts", body + ("".join(cards) or "<p class='sub'>There are none yet.</p>"))


def record_page(portal: Portal, item: Item) -> str:
    """Return the page of one record: its properties, its links and its timeline, newest first."""
    parts = [
        f"<h1>{escape(_title(item))}</h1>",
        f'<p class="sub">{escape(item.kind.singular.capitalize())} {escape(item.id)}</p>',
    ]
    for name in _RECORDS:
        linked = _linked(portal, item, _kind(name))
        if linked:
            parts.append(f"<h2>{escape(name)}</h2>")
            parts += [
                f'<a class="card row" href="/{name}/{escape(other.id)}"><b>{escape(_title(other))}</b>'
                f"<small>{escape(_summary(portal, other))}</small></a>"
                for other in linked
            ]
    parts.append(f'<h2>Properties</h2><div class="card"><dl>{_properties(portal, item)}</dl></div>')
    if not item.kind.engagement:
        activities = portal.activities(item)
        parts.append(f"<h2>Timeline ({len(activities)})</h2>")
        parts += [_activity(portal, activity) for activity in activities]
        if not activities:
            parts.append('<p class="sub">Nothing happened yet.</p>')
    return _page(portal, _title(item), "".join(parts))


def _page(portal: Portal, title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<header><a href="/">HubSpot stand-in</a> · account {escape(portal.id)}</header>'
        f"<main>{body}</main></body></html>"
    )


def _kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


def _title(item: Item) -> str:
    held = item.properties
    match item.kind.name:
        case "contacts":
            name = " ".join(filter(None, (held.get("firstname"), held.get("lastname"))))
            return name or held.get("email") or held.get("phone") or f"Contact {item.id}"
        case "companies":
            return held.get("name") or held.get("domain") or f"Company {item.id}"
        case "deals":
            return held.get("dealname") or f"Deal {item.id}"
    return f"{item.kind.singular.capitalize()} {item.id}"


def _summary(portal: Portal, item: Item) -> str:
    held = item.properties
    if item.kind.name == "deals":
        stage = _label(portal, item.kind, "dealstage", held.get("dealstage", ""))
        amount = (
            f"{held['amount']} {held.get('deal_currency_code', portal.currency)}" if "amount" in held else ""
        )
        return " · ".join(filter(None, (stage, amount))) or "no stage"
    names = ("email", "phone", "company") if item.kind.name == "contacts" else ("domain", "phone", "city")
    listed = [held[name] for name in names if name in held]
    activities = portal.activities(item)
    if activities:
        listed.append(f"{len(activities)} activit{'y' if len(activities) == 1 else 'ies'}")
    return " · ".join(listed) or "no address or number"


def _linked(portal: Portal, item: Item, kind: Kind) -> list[Item]:
    found = (portal.get(kind, end.id) for end in portal.links.of(item.end, kind.name))
    return [other for other in found if other is not None]


def _properties(portal: Portal, item: Item) -> str:
    definitions = portal.setup.properties[item.kind.name]
    rows = []
    for name, definition in definitions.items():
        value = item.properties.get(name)
        if value is None or name in _HIDDEN or name == "hs_object_id":
            continue
        text = (
            _time(portal, value) if definition.type == "datetime" else _label(portal, item.kind, name, value)
        )
        rows.append(f"<dt>{escape(definition.label)}</dt><dd>{escape(text)}</dd>")
    return "".join(rows) or "<dt>none</dt><dd></dd>"


def _label(portal: Portal, kind: Kind, name: str, value: str) -> str:
    """Return what people see for a value: the labels of its options."""
    definition = portal.setup.definition(kind, name)
    labels = dict(definition.options) if definition else {}
    return ", ".join(labels.get(word, word) for word in value.split(";")) if labels else value


def _time(portal: Portal, value: str) -> str:
    return _local(portal, instant_of(value))


def _local(portal: Portal, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(portal.time_zone)):%a %d %b %Y, %H:%M}"


def _activity(portal: Portal, item: Item) -> str:
    held = item.properties
    what, facts = _headline(portal, item.kind, held)
    body = held.get(item.kind.body, "")
    shown = nh3.clean(body, tags=_TAGS)
    if not shown and "hs_email_text" in held:
        shown = f'<div class="plain">{escape(held["hs_email_text"])}</div>'
    by = "logged by an integration" if held.get("hs_object_source") == "INTEGRATION" else "logged by a person"
    owner = _label(portal, item.kind, "hubspot_owner_id", held.get("hubspot_owner_id", ""))
    when = escape(_time(portal, held["hs_timestamp"]))
    parts = [f'<article class="card"><div class="head"><b>{escape(what)}</b><time>{when}</time></div>']
    if facts:
        parts.append(f'<p class="facts">{escape(facts)}</p>')
    if shown:
        parts.append(f'<div class="body">{shown}</div>')
    parts.append(f'<p class="by">{escape(" · ".join(filter(None, (owner, by))))}</p></article>')
    return "".join(parts)


def _headline(portal: Portal, kind: Kind, held: Mapping[str, str]) -> tuple[str, str]:
    """Return what an activity is, and the line of facts below it."""
    match kind.name:
        case "communications":
            channel = held.get("hs_communication_channel_type", "")
            return _CHANNELS.get(channel, channel), ""
        case "emails":
            direction = _DIRECTIONS.get(held.get("hs_email_direction", ""), "")
            route = _arrow(held.get("hs_email_from_email"), held.get("hs_email_to_email"))
            return f"Email {direction}", _joined(held.get("hs_email_subject"), route)
        case "calls":
            direction = _DIRECTIONS.get(held.get("hs_call_direction", ""), "")
            status = held.get("hs_call_status", "").replace("_", " ").lower()
            seconds = int(float(held.get("hs_call_duration", "0"))) // 1000
            length = f"{seconds // 60}:{seconds % 60:02d}" if seconds else ""
            route = _arrow(held.get("hs_call_from_number"), held.get("hs_call_to_number"))
            return f"Call {direction}".strip(), _joined(held.get("hs_call_title"), status, length, route)
        case "meetings":
            outcome = held.get("hs_meeting_outcome", "").replace("_", " ").lower()
            return "Meeting", _joined(held.get("hs_meeting_title"), outcome)
        case "tasks":
            status = held.get("hs_task_status", "NOT_STARTED").replace("_", " ").lower()
            return "Task", _joined(held.get("hs_task_subject"), status)
    return kind.singular.capitalize(), ""


def _arrow(source: str | None, target: str | None) -> str:
    return f"{source or '?'} → {target or '?'}" if source or target else ""


def _joined(*words: str | None) -> str:
    return " · ".join(word for word in words if word)
