"""Commands that take back: runs, undo, holds, release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bridge.cli import meant, output
from bridge.cli.options import DEFAULT, DIGITS, AsJson, ConfigPath, carry_out, opened, run_number
from bridge.cli.report import CALL_SIZE
from bridge.engine import undo as engine
from bridge.engine.opening import need_secrets
from bridge.errors import ConfigError
from bridge.mapping import load_mapping
from bridge.store import holds as store
from bridge.store import receipts
from bridge.store.holds import Hold
from bridge.store.runs import Run, latest_runs, load_run, runs_of
from bridge.sync.delivery.held import told
from bridge.sync.identity.decide import said_by_moves
from bridge.sync.reversal.undo_state import SHOWN_DIGITS, UNDO, Scope
from bridge.sync.reversal.undo_values import Step, StepKind, step_json
from bridge.sync.runtime import Runtime
from bridge.sync.views.history import find_people

LISTED = 20
"""Runs that are listed unless more are asked for."""

WORDS = {
    "contact": ("contact made", "contacts made"),
    "entry": ("entry", "entries"),
    "task": ("task", "tasks"),
    "fields": ("contact updated", "contacts updated"),
    "growth": ("entry brought up to date", "entries brought up to date"),
    "link": ("entry put on a contact", "entries put on a contact"),
    "unlink": ("entry taken off a contact", "entries taken off a contact"),
    "double": ("double archived", "doubles archived"),
    "undo": ("write taken back", "writes taken back"),
    "redo": ("write brought back", "writes brought back"),
}


SUMS: Mapping[StepKind, tuple[str, str]] = {
    "archive": ("archived", "archived"),
    "restore": ("field put back", "fields put back"),
    "regrow": ("entry as before", "entries as before"),
    "link": ("put on a contact again", "put on contacts again"),
    "unlink": ("taken off a contact", "taken off contacts"),
    "drop": ("not to be written", "not to be written"),
    "release": ("to be written anew", "to be written anew"),
}
"""How many of each kind of step, in the sum."""


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(runs)
    app.command()(undo)
    app.command()(holds)
    app.command()(release)


def runs(
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    last: Annotated[int, typer.Option("--last", "-n", help="How many.", min=1)] = LISTED,
) -> None:
    """
    List the latest runs.

    When each was, how it ended, what it wrote, and whether that was taken back.
    """
    with opened(config) as runtime:
        with runtime.database.read() as c:
            found = latest_runs(c, last)
            wrote = receipts.sums(c, [run.number for run in found])
        if as_json:
            output.emit([_run_json(run, wrote.get(run.number)) for run in found])
            return
        if not found:
            output.say("No runs yet.")
        zone = runtime.config.company.zone
        for run in found:
            output.say(_run_line(run, wrote.get(run.number), zone))


def _run_json(run: Run, wrote: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "run": run.number,
        "kind": run.kind,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "outcome": run.outcome,
        "counts": run.counts,
        "written": wrote["written"] if wrote else {},
        "taken_back": wrote["taken_back"] if wrote else 0,
    }


def _run_line(run: Run, wrote: Mapping[str, Any] | None, zone: Any) -> str:
    kind = f"{run.kind} {run.counts['of'] or 'mapping'}" if run.kind == UNDO else run.kind
    at = output.local_time(run.started_at.isoformat(), zone)
    line = f"{run.number:>5}  {kind:<9}  {at:<16}  {run.outcome or 'not ended':<9}  "
    if wrote is None:
        return f"{line}wrote nothing"
    written: Mapping[str, int] = wrote["written"]
    line += ", ".join(output.plural(count, *WORDS[slot]) for slot, count in written.items())
    if wrote["taken_back"]:
        whole = wrote["taken_back"] == sum(written.values())
        line += "; taken back" if whole else f"; {wrote['taken_back']} taken back"
    return line


def undo(
    run: Annotated[
        int | None, typer.Argument(help="The number of the run; see: crmbridge runs", parser=run_number)
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    person: Annotated[
        str | None,
        typer.Option("--person", help="Only what it wrote for this person: name, address, number or id."),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            "--mapping",
            help="In place of a run: what a mapping wrote as it is now. A connection, or a file.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be taken back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """
    Take back what a run, or one mapping, wrote, after showing it.

    Only what it wrote last: what a person edited, deleted or merged since, or a later run or mapping wrote, is shown
    and left alone. What was taken back is not written again until it is released.
    """
    if (run is None) == (mapping is None):
        raise typer.BadParameter(
            "name a run, or a mapping with --mapping; the runs are listed by: crmbridge runs"
        )
    if as_json and not (dry_run or yes):
        raise typer.BadParameter("--json asks nobody: add --dry-run to look, or --yes to do it")
    with opened(config) as runtime:
        scope = Scope(
            run=run,
            person=None if person is None else meant.person(runtime, person, code=output.USAGE),
            mapping=None if mapping is None else _version(runtime, mapping),
        )
        try:
            engine.check(runtime, scope)
        except ConfigError as error:
            output.warn(str(error))
            output.stop(output.USAGE)
        found = engine.plan(runtime, scope)
        with runtime.database.read() as c:
            named = load_run(c, run) if run is not None else None
            steps = [step for some in found.values() for step in some]
            stays = said_by_moves(c, {step.person_id for step in steps})
        again = named is not None and named.kind == UNDO
    if as_json and dry_run:
        output.emit(
            {
                "run": run,
                "mapping": scope.mapping,
                "stays_decided": stays,
                "connections": {name: [step_json(step) for step in some] for name, some in found.items()},
            }
        )
        return
    if not as_json:
        for name, some in found.items():
            if len(found) > 1:
                output.say(f"In {name}:")
            _show(some, again=again)
        output.say(_sum_line(steps))
        for id in stays:
            output.say(
                "! What somebody decided by moving an entry in the CRM stays decided;"
                f" to take it back: crmbridge decisions revoke {id}"
            )
    if dry_run or not any(step.kind != "leave" for step in steps):
        output.stop(output.OK if dry_run else output.PARTIAL)
    if not yes and not output.agreed("Take this back?"):
        output.say("Nothing was changed.")
        output.stop(output.PARTIAL)
    arguments = {"run": run, "person": scope.person, "mapping": scope.mapping}
    result, _ = carry_out(config, "undo", arguments, connections=found)
    if as_json:
        output.emit({**result, "stays_decided": stays})
    else:
        _show_result(result, scope)
    if result["left"] or not result["finished"]:
        output.stop(output.PARTIAL)


def _version(runtime: Runtime, what: str) -> str:
    """Return the digest of the mapping that a text means: of a connection, a file, or the digest's beginning."""
    if what in runtime.connections:
        return runtime.connections[what].mapping.digest
    if Path(what).is_file():
        return load_mapping(Path(what), connector=None).digest
    with runtime.database.read() as c:
        known = receipts.mappings(c)
    fits = [one for one in known if len(what) >= SHOWN_DIGITS and one.startswith(what)]
    if len(fits) != 1:
        _not_a_mapping(runtime, what, known)
    return fits[0]


def _not_a_mapping(runtime: Runtime, what: str, known: Sequence[str]) -> NoReturn:
    names = ", ".join(sorted(one.name for one in runtime.destinations())) or "none"
    versions = ", ".join(one[:SHOWN_DIGITS] for one in known[:LISTED]) or "none"
    output.warn(
        f"{what!r}: no connection, no mapping file and no version of one that wrote anything."
        f" Connections that are written to: {names}. Versions that wrote, the latest first: {versions}"
    )
    output.stop(output.USAGE)


def _show(steps: Sequence[Step], *, again: bool) -> None:
    by_person: dict[str, list[Step]] = {}
    for step in steps:
        by_person.setdefault(step.person_id, []).append(step)
    for person, some in by_person.items():
        output.say(some[0].name or person or "Of nobody in particular")
        for line in (line for step in some for line in _lines(step, again=again)):
            output.say(f"  {line}")


def _lines(step: Step, *, again: bool) -> list[str]:
    if step.kind == "leave":
        return [f"! {step.title}: {step.reason}; left alone"]
    if step.kind == "archive":
        return [f"- archived: {step.title}"]
    if step.kind == "restore":
        return [f"~ {one.field}: {_shown(one.before)} -> {_shown(one.after)}" for one in step.changes]
    if step.kind == "regrow":
        count = len(step.entity_ids)
        parted = f" ({'with' if again else 'without'} {output.plural(count, 'message')})" if count else ""
        return [f"~ tells what it told before: {step.title}{parted}"]
    if step.kind == "drop":
        return [f"- not written yet, and will not be: {step.title}"]
    if step.kind == "release":
        return [
            f"= stands again: {step.title}"
            if step.stands
            else f"+ written anew by the next plan: {step.title}"
        ]
    return [f"{'-' if step.kind == 'unlink' else '+'} {_CONTACTS[step.kind]}: {step.title}"]


_CONTACTS = {"unlink": "taken off a contact", "link": "put on its contact again"}


def _shown(value: Any) -> str:
    return "(empty)" if value in (None, "") else str(value)


def _sum_line(steps: Sequence[Step]) -> str:
    """Return the one-line sum of an undo."""
    kinds = Counter(step.kind for step in steps)
    kinds["restore"] = sum(len(step.changes) for step in steps if step.kind == "restore")
    calls = Counter((step.write.op, step.write.stream) for step in steps if step.write is not None)
    parts = [output.plural(kinds[kind], *words) for kind, words in SUMS.items() if kinds[kind]]
    parts += [f"{kinds['leave']} left alone"]
    parts += [output.plural(sum(-(-count // CALL_SIZE) for count in calls.values()), "call")]
    return f"UNDO {', '.join(parts)}. Nothing written yet."


def _show_result(result: Mapping[str, Any], scope: Scope) -> None:
    for message in result["refused"]:
        output.warn(message)
    if result["undo"] is None:
        output.say("Nothing was taken back: what stands was changed meanwhile.")
        return
    line = f"UNDONE {output.plural(result['written'], 'write')} of {scope.title}"
    if result["left"]:
        line += f", {result['left']} left alone"
    output.say(f"{line}.")
    if not result["finished"]:
        same = f"crmbridge undo {scope.argument}"
        output.say(f"Not all of it has an answer yet; it goes on with the next delivery, or with: {same}")
    else:
        back = f"crmbridge undo {result['undo']}"
        if result["again"]:
            output.say(
                f"What was archived is written anew by the next sync. To take the rest back again: {back}"
            )
        else:
            output.say(
                f"It stays so until: {back} (all as it was), or: {back.replace('undo', 'release')} (as is right then)"
            )


def holds(config: ConfigPath = DEFAULT, as_json: AsJson = False) -> None:
    """List what is not written until somebody releases it, and why."""
    with opened(config) as runtime:
        with runtime.database.read() as c:
            found = told(c, runtime, store.all_holds(c))
        if as_json:
            output.emit(found)
            return
        if not found:
            output.say("Nothing is held.")
        zone = runtime.config.company.zone
        for one in found:
            by = f"undone by run {one['run']}" if one["run"] else f"{one['reason']} by a person"
            if one["reason"] == store.ROUNDS:
                by = f"stopped, since it went {one['reason']}"
            if one["reason"] == store.TAKEN:
                by = f"refused by the CRM, as {one['reason']}"
            since = output.local_time(one["since"].isoformat(), zone)
            output.say(f"{one['key']}  {one['name'] or one['connection']}: {one['title']}; {by}, {since}")
            for line in one["trail"]:
                at = output.local_time(line["at"].isoformat(), zone)
                output.say(f"  {at}  {line['what']} ({line['by']})")
        if found:
            output.say(
                "To let go of one: crmbridge release KEY, of all of a run or person: crmbridge release RUN or NAME"
            )


def release(
    what: Annotated[str, typer.Argument(help="A run, a key that crmbridge holds lists, or a person.")],
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """
    Let go of what holds lists.

    So it is written again where it should be. A run means what it took back, or what was taken back of it.
    """
    with opened(config) as runtime:
        chosen = _chosen(runtime, what)
        need_secrets(runtime.connections[name] for name in chosen)
    if not chosen:
        output.warn(f"{what!r}: nothing of it is held. What is: crmbridge holds")
        output.stop(output.USAGE)
    result, by_daemon = carry_out(config, "release", {"keys": chosen}, connections=chosen)
    if as_json:
        output.emit(result)
        return
    then = "The daemon writes it now" if by_daemon else "See what is written again: crmbridge plan"
    output.say(f"Released {output.plural(result['released'], 'hold')}. {then}.")


def _chosen(runtime: Runtime, what: str) -> dict[str, list[str]]:
    """Return the held keys that a text means, by connection."""
    with runtime.database.read() as c:
        found = store.all_holds(c)
        some = [one for one in found if one.key == what]
        if not some and what.isdecimal() and len(what) < DIGITS:
            numbers = {int(what)} | {run.number for run in runs_of(c, UNDO) if run.counts["of"] == int(what)}
            some = [one for one in found if one.run in numbers]
        if not some:
            ids = {one["person_id"] for one in find_people(runtime, what)}
            some = _of_people(c, runtime, found, ids)
    chosen: dict[str, list[str]] = {}
    for one in some:
        connection = runtime.of_account(one.account_pk)
        if connection is not None:
            chosen.setdefault(connection.name, []).append(one.key)
    return chosen


def _of_people(c: Any, runtime: Runtime, found: Sequence[Hold], ids: set[str]) -> list[Hold]:
    names = {(one["connection"], one["key"]) for one in told(c, runtime, found) if one["person"] in ids}
    return [
        one
        for one in found
        if (connection := runtime.of_account(one.account_pk)) is not None
        and (connection.name, one.key) in names
    ]
