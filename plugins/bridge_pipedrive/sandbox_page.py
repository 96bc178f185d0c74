"""The pages on which people read what stands in the stand-in: all persons, one person, organization or deal."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

from bridge import Json
from bridge_pipedrive.sandbox_account import Account, happened
from bridge_pipedrive.sandbox_kinds import DEALS, KINDS, LEADS, ORGANIZATIONS, PERSONS, Kind
from bridge_pipedrive.sandbox_rows import Row

SHOWN = ("persons", "organizations", "deals")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light;--ink:#1d2b26;--soft:#5c6f68;--line:#dbe5e0;--link:#136b45;--tint:#f3f7f5}
*{box-sizing:border-box}
body{margin:0;background:var(--tint);color:var(--ink);font:16px/1.5 system-ui,Roboto,sans-serif}
header{background:#fff;border-bottom:1px solid var(--line);padding:.8rem 1rem;font-size:.85rem;color:var(--soft)}
header a{font-weight:600;color:var(--ink)}
main{max-width:42rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0;overflow-wrap:anywhere}
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
.body{margin:.5rem 0 0;overflow-wrap:anywhere}.body p{margin:.2rem 0}.body img{display:none}
.by{margin:.5rem 0 0;font-size:.8rem;color:var(--soft)}
"""


def person_list(account: Account) -> str:
    """Return the page with all persons, the last changed first."""
    people = sorted(account.rows(PERSONS), key=lambda row: (row.updated_at, row.id), reverse=True)
    count = f"{len(people)} person{'' if len(people) == 1 else 's'}"
    body = f"<h1>Persons</h1><p class='sub'>{count}</p><h2>Last changed first</h2>"
    cards = "".join(_card(account, row) for row in people)
    return _page(account, "Persons", body + (cards or "<p class='sub'>There are none yet.</p>"))


def record_page(account: Account, row: Row) -> str:
    """Return the page of one person, organization or deal: its fields, its links and its timeline, newest first."""
    entity = row.kind.entity.capitalize()
    title = row.name or f"{entity} {row.id}"
    state = " · deleted" if row.deleted else ""
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="sub">{entity} {row.id}{state}</p>']
    for kind in (PERSONS, ORGANIZATIONS, DEALS, LEADS):
        linked = _beside(account, row, kind)
        if linked:
            parts.append(f"<h2>{kind.name}</h2>")
            parts += [_card(account, other) for other in linked]
    parts.append(f'<h2>Fields</h2><div class="card"><dl>{_fields(account, row)}</dl></div>')
    entries = account.entries(row)
    parts.append(f"<h2>Timeline ({len(entries)})</h2>")
    parts += [_entry(account, entry) for entry in entries]
    if not entries:
        parts.append('<p class="sub">Nothing happened yet.</p>')
    return _page(account, title, "".join(parts))


def _page(account: Account, title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<header><a href="/">Pipedrive stand-in</a> · {escape(account.domain)}.pipedrive.com</header>'
        f"<main>{body}</main></body></html>"
    )


def _card(account: Account, row: Row) -> str:
    title = escape(row.name or f"{row.kind.entity.capitalize()} {row.id}")
    words = f"<b>{title}</b><small>{escape(_summary(account, row))}</small>"
    if row.kind.name not in SHOWN:
        return f'<div class="card row">{words}</div>'
    return f'<a class="card row" href="/{row.kind.name}/{row.id}">{words}</a>'


def _summary(account: Account, row: Row) -> str:
    held = row.values
    match row.kind.name:
        case "deals":
            stage = account.get(KINDS["stages"], held["stage_id"])
            status = "" if held["status"] == "open" else held["status"]
            return _joined(stage.name if stage else "", f"{held['value']:g} {held['currency']}", status)
        case "leads":
            value = held["value"]
            return _joined("lead", f"{value['amount']:g} {value['currency']}" if value else "")
        case "organizations":
            return held["website"] or "no website"
    listed = [one["value"] for name in ("emails", "phones") for one in held[name]]
    entries = len(account.entries(row))
    listed.append(f"{entries} entr{'y' if entries == 1 else 'ies'}" if entries else "")
    return _joined(*listed) or "no address or number"


def _beside(account: Account, row: Row, kind: Kind) -> list[Row]:
    """Return the records of a type that name this one, or that it names."""
    named = [
        account.get(kind, row.values.get(name))
        for name, target in row.kind.links.items()
        if target == kind.name and target in SHOWN
    ]
    naming = [
        other
        for other in account.rows(kind)
        if any(
            target == row.kind.name and other.values.get(name) == row.id
            for name, target in kind.links.items()
        )
    ]
    return [one for one in named if one is not None] + naming


def _fields(account: Account, row: Row) -> str:
    held = row.values
    owner = account.get(KINDS["users"], held["owner_id"])
    rows: list[tuple[str, Json]] = [("Owner", owner.name if owner else held["owner_id"])]
    for name, label in (("emails", "Email"), ("phones", "Phone")):
        rows += [(label, f"{one['value']} ({one['label']})") for one in held.get(name) or ()]
    if row.kind is DEALS:
        stage, pipeline = (
            account.get(KINDS[f"{name}s"], held[f"{name}_id"]) for name in ("stage", "pipeline")
        )
        rows += [("Pipeline", pipeline.name if pipeline else ""), ("Stage", stage.name if stage else "")]
        rows += [("Value", f"{held['value']:g} {held['currency']}"), ("Status", held["status"])]
        rows += [("Expected close date", held["expected_close_date"]), ("Lost reason", held["lost_reason"])]
    for code, field in account.setup.fields[row.kind.name].items():
        rows.append((field.name, _label(dict(field.options), row.custom.get(code))))
    rows.append(("Added", _local(account, row.added_at)))
    return "".join(
        f"<dt>{escape(label)}</dt><dd>{escape(str(value))}</dd>"
        for label, value in rows
        if value not in (None, "")
    )


def _label(options: dict[int, str], value: Json) -> Json:
    if isinstance(value, list):
        return ", ".join(str(_label(options, one)) for one in value)
    if isinstance(value, dict):
        return " ".join(str(one) for one in value.values() if one is not None)
    return options.get(value, value) if options else value


def _local(account: Account, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(account.time_zone)):%a %d %b %Y, %H:%M}"


def _entry(account: Account, entry: Row) -> str:
    held = entry.values
    author = account.get(KINDS["users"], held.get("owner_id") or held.get("user_id"))
    how = "by an integration" if entry.versions[0].actor.source == "api" else "by a person"
    when = escape(_when(account, entry))
    type, state = "", ""
    if entry.kind.name == "notes":
        what, body = "Note", str(held["content"])
    else:
        type, state = account.setup.types[held["type"]].name, "done" if held["done"] else "to do"
        what, body = held["subject"], str(held["note"] or "")
    edited = "edited" if len(entry.versions) > 1 else ""
    by = _joined(type, state, author.name if author else "", f"added {how}", edited)
    parts = [f'<article class="card"><div class="head"><b>{escape(what)}</b><time>{when}</time></div>']
    # Bodies were cleaned when they were kept; what a page shows is what Pipedrive holds.
    parts.append(f'<div class="body">{body}</div>' if body else "")
    parts.append(f'<p class="by">{escape(by)}</p></article>')
    return "".join(parts)


def _when(account: Account, entry: Row) -> str:
    """Return when an entry took place; an activity that is due on a day has no hour."""
    if entry.kind.name == "activities" and entry.values["due_date"] and not entry.values["due_time"]:
        return f"{happened(entry).astimezone(UTC):%a %d %b %Y}"
    return _local(account, happened(entry))


def _joined(*words: str | None) -> str:
    return " · ".join(word for word in words if word)
