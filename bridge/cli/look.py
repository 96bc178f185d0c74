"""Commands that look: journey, waiting, status."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bridge.cli import output, report
from bridge.cli.forecast import forecast_lines
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, opened
from bridge.store import collected, runs
from bridge.sync.runtime import Runtime
from bridge.sync.views.history import find_people, history
from bridge.sync.views.status import overview, unknown_words
from bridge.sync.views.waiting_list import CHANNEL_NAMES, channel_name, waiting_list


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(journey)
    app.command()(waiting)
    app.command()(status)


def journey(
    who: Annotated[
        str, typer.Argument(help="A name, e-mail address, phone number, CRM contact id or person id.")
    ],
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show one person's whole history over all channels."""
    who = who.encode("utf-8", "replace").decode()  # what a terminal in another encoding sends is no text
    with opened(config) as runtime:
        found = find_people(runtime, who)
        if not found:
            if as_json:
                output.emit({"candidates": []})
            output.warn(f"{who!r}: nobody is known by that name, address, number or id.")
            output.stop(output.PARTIAL)
        if len(found) > 1:
            if as_json:
                output.emit({"candidates": found})
            else:
                output.say(f"{who!r} fits {len(found)} people; say which:")
                for person in found:
                    output.say(f"  crmbridge journey {person['person_id']}  {person['name']}")
            output.stop(output.PARTIAL)
        shown = history(runtime, found[0]["person_id"])
        if as_json:
            output.emit(shown)
            return
        _show_history(runtime, shown)


def _show_history(runtime: Runtime, shown: dict[str, Any]) -> None:
    zone = runtime.config.company.zone
    output.say(f"{shown['name']}  ({shown['person_id']})")
    if shown["source"]:
        output.say(f"  Came from: {CHANNEL_NAMES.get(shown['source'], shown['source'])}")
    if shown["owner"]:
        output.say(f"  Owner: {shown['owner']}")
    if waits := shown["waiting"]:
        output.say(f"  Waits since: {output.local_time(waits['since'], zone)}; {waits['says']}")
    if shown["handles"]:
        output.say(f"  Known as: {', '.join(shown['handles'])}")
    for contact in shown["contacts"]:
        output.say(f"  Contact: {contact['connector']} {contact['id']}")
    day = ""
    for one in shown["interactions"]:
        today = output.local_time(one["occurred_at"], zone)
        date = one["day"]
        if date != day:
            output.say("")
            output.say(date)
            day = date
        arrow = {"inbound": "<-", "outbound": "->"}.get(one["direction"], "--")
        output.say(f"  {one['time']} {arrow} {channel_name(one['channel'])}: {one['text'] or today}")


def waiting(config: ConfigPath = DEFAULT, as_json: AsJson = False) -> None:
    """Show who waits for an answer from us. The longest wait comes first, with its channel and owner."""
    with opened(config) as runtime:
        found = waiting_list(runtime)
        if as_json:
            output.emit(found)
        elif not found and not collected.tally(runtime.database):
            output.say(
                "Nothing was collected yet, so nobody knows who waits. To collect: crmbridge sync --collect-only"
            )
        else:
            report.show_waiting(found)


def status(config: ConfigPath = DEFAULT, as_json: AsJson = False) -> None:
    """
    Show how every connection and stream stands.

    When it last went through, counts that add up, what waits to be written, errors with their remedy, and how far
    the vendor's limits reach.
    """
    with opened(config) as runtime:
        found = overview(runtime)
        with runtime.database.read() as c:
            found["last_sync"] = runs.latest_run(c, "sync")
        found["unknown_words"] = unknown_words(runtime)
        if as_json:
            output.emit(found)
            return
        zone = runtime.config.company.zone
        for connection in found["connections"]:
            account = f" ({connection['connector']} {connection['account']})" if connection["account"] else ""
            output.say(
                f"{connection['name']}{account}  last news {output.local_time(connection['last_event_at'], zone)}"
            )
            for problem in connection["absent"]:
                output.say(f"  ? {problem} What is shown here is what is stored.")
            if connection["error"]:
                output.say(
                    f"  ! {connection['error']} (since {output.local_time(connection['error_since'], zone)})"
                )
            if connection["held"]:
                output.say(f"  ! {connection['held']['message']}")
            if connection["stopped"]:
                output.say(f"  ! {report.stopped_line(connection['stopped'])}")
            for stream in connection["streams"]:
                output.say(f"  {_stream_line(stream, zone)}")
                if stream["error"]:
                    output.say(
                        f"    ! {stream['error']} (since {output.local_time(stream['error_since'], zone)})"
                    )
            writes = connection["writes"]
            if connection["written"] or writes:
                pending = (
                    ", ".join(f"{count} {state}" for state, count in sorted(writes.items())) or "none pending"
                )
                written = output.plural(connection["written"], "entry or contact", "entries and contacts")
                output.say(f"  written {written}, {pending}")
            for line in forecast_lines(connection, zone):
                output.say(f"  {line}")
        for word in found["unknown_words"]:
            output.say(
                f"{word['connector']}: the word {word['word']!r} of {word['field']} was seen"
                f" {output.plural(word['seen'], 'time')} and no rule of its mapping knows it"
            )


def _stream_line(stream: dict[str, Any], zone: Any) -> str:
    rules = ", ".join(f"{count} {rule}" for rule, count in sorted(stream["rules"].items()))
    skipped = f"{stream['skipped']} skipped" + (f" ({rules})" if rules else "")
    line = (
        f"{stream['name']}: read {stream['read']} = {stream['mapped']} mapped + {skipped}"
        f" + {stream['rejected']} rejected + {stream['waiting']} waiting"
    )
    if stream["last_success"]:
        line += f"; last success {output.local_time(stream['last_success'], zone)}"
    if stream["complete"] is False:
        line += "; the past is still being read"
    return line
