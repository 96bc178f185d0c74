"""Commands on what people should look at: review, and its work, accept and dismiss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli import meant, output
from bridge.cli.decide import (
    Author,
    DryRun,
    Reason,
    Yes,
    ask_for_answer,
    author_of,
    carry_out_decision,
    carry_through,
    head,
    show_foreseen,
    stated,
)
from bridge.cli.dismissed import reopen, show_dismissed
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, carry_out, opened, refuse_before
from bridge.cli.who import text
from bridge.store.dismissals import dismissed as dismissed_by_now
from bridge.store.people import StoredNode, load_nodes
from bridge.sync.delivery.foresee import foresee
from bridge.sync.identity.review import KINDS, Kind, Suggestion, find_suggestion, spokesman, suggestions
from bridge.sync.runtime import Runtime

LISTED = 20
"""Suggestions of each kind that are listed unless more are asked for."""

WEAK: Kind = "weak"
"""The kind that is listed only when it is asked for: names are compared with names, which takes a while."""

TITLES: Mapping[Kind, str] = {
    "undecided": "FOR YOU TO DECIDE",
    "crm_duplicate": "TWICE IN A CRM",
    "probable": "PROBABLY ONE PERSON, AND TREATED AS ONE",
    "weak": "PERHAPS ONE PERSON, AND TREATED AS TWO",
}

OfKind = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help=f"Only these: {', '.join(KINDS)}. May be given again; left out, all but weak.",
        show_default=False,
    ),
]

Key = Annotated[str, typer.Argument(help="The suggestion; see: crmbridge review")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(listing)
    group.command()(work)
    group.command()(accept)
    group.command(name="dismiss")(dismiss)
    group.command()(reopen)
    app.add_typer(group, name="review")


def listing(
    context: typer.Context,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    kind: OfKind = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="How many of each kind, or of what was dismissed.", min=1)
    ] = LISTED,
    dismissed: Annotated[
        bool,
        typer.Option(
            "--dismissed", help="What was dismissed instead: by whom, when, why, and what became of it."
        ),
    ] = False,
) -> None:
    """
    List what people should look at of who is who.

    That is who is undecided, what a CRM has twice, and who may or may not be one person. Each has a key, to
    accept it or to dismiss it. What was dismissed comes back if its evidence changes, or with reopen. Whom only
    their names and companies suggest, or variants of an address, is of the kind weak, and takes a while.
    """
    if context.invoked_subcommand is not None:
        refuse_before(context)
        return
    wanted = _kinds(kind)
    if dismissed:
        kinds = wanted if kind else KINDS
        show_dismissed(config, kinds, limit=limit, weak=bool(kind) and WEAK in wanted, as_json=as_json)
        return
    with opened(config) as runtime:
        found = {one: list(islice(suggestions(runtime, one), limit + 1)) for one in wanted}
        with runtime.database.read() as c:
            some_dismissed = bool(dismissed_by_now(c))
    more = [one for one, some in found.items() if len(some) > limit]
    if as_json:
        shown = [one.as_json() for some in found.values() for one in some[:limit]]
        output.emit({"suggestions": shown, "more": more})
        return
    if not any(found.values()):
        output.say("There is nothing to look at.")
    for one, some in found.items():
        if some:
            output.say(TITLES[one])
            for suggestion in some[:limit]:
                _show(suggestion)
        if one in more:
            output.say(f"  There are more: crmbridge review --kind {one} --limit {limit * 5}")
    if any(found.values()):
        output.say("Right: crmbridge review accept KEY, for who is undecided with --as CONTACT.")
        output.say("Wrong: crmbridge review dismiss KEY, or if they were joined: crmbridge split RECORD")
    if some_dismissed:
        output.say("What was dismissed: crmbridge review --dismissed")
    if WEAK not in found and not kind:
        output.say("Whom only their names suggest: crmbridge review --kind weak")


def _kinds(stated: Sequence[str] | None) -> list[Kind]:
    """Return the kinds that were asked for, all but weak where none was."""
    if unknown := set(stated or ()) - set(KINDS):
        raise typer.BadParameter(f"--kind {min(unknown)}: there is no such kind. Use: {', '.join(KINDS)}")
    return [one for one in KINDS if (one in stated if stated else one != WEAK)]


def _show(one: Suggestion) -> None:
    output.say(f"  {one.key}  {one.title}")
    for line in one.says:
        output.say(f"    {line}")


def work(config: ConfigPath = DEFAULT, kind: OfKind = None, author: Author = None) -> None:
    """
    Work through what people should look at, one after the other.

    Shows each with its evidence and asks for a letter: a accepts, d dismisses, s skips, q ends. What accepting would
    change is shown before it is decided. Whatever was decided until then stays.
    """
    wanted, by = _kinds(kind), author_of(author)
    with opened(config) as runtime:
        found = [one for some in wanted for one in suggestions(runtime, some)]
    done: Counter[str] = Counter()
    try:
        for place, listed in enumerate(found, 1):
            one = _as_it_is_now(config, listed) if done["accepted"] else listed
            if one is None:
                continue
            output.say(f"{place} of {len(found)}: {TITLES[one.kind]}")
            _show(one)
            answer = ""
            while answer not in ("a", "d", "s", "q"):
                answer = typer.prompt("accept (a), dismiss (d), skip (s), quit (q)").strip().lower()
            if answer == "q":
                break
            if answer == "d":
                _dismiss(config, one, by, "")
            done[_DONE[answer] if answer != "a" or _accepted(config, one, by) else "skipped"] += 1
    except typer.Abort:
        output.say()
    if not found:
        output.say("There is nothing to look at.")
    else:
        output.say(", ".join(f"{done[word]} {word}" for word in _DONE.values()) + f" of {len(found)}.")


_DONE = {"a": "accepted", "d": "dismissed", "s": "skipped"}


def _as_it_is_now(config: Path, one: Suggestion) -> Suggestion | None:
    """Return a suggestion as it is after what was accepted since it was listed; None if it is none any more."""
    with opened(config) as runtime:
        return find_suggestion(runtime, one.key)


def _accepted(config: Path, one: Suggestion, by: str) -> bool:
    """Show what accepting would change, ask, and do it; tell whether it was done."""
    contact = None
    if len(one.candidates) > 1:
        for place, candidate in enumerate(one.candidates, 1):
            output.say(f"    {place}: {candidate['name'] or 'somebody'} ({candidate['label']})")
        contact = str(one.candidates[_place(len(one.candidates)) - 1]["key"])
    with opened(config) as runtime:
        decision = stated(runtime, "link", _chosen(runtime, one, contact), (), None, by)
        foreseen = foresee(runtime, decision)
    show_foreseen(foreseen)
    if not typer.confirm("Decide this?"):
        return False
    id, _ = carry_out_decision(config, decision)
    output.say(f"Decided by {by}. To take it back: crmbridge decisions revoke {id}")
    return True


def _place(last: int) -> int:
    answer = ""
    while not (answer.isascii() and answer.isdigit() and 1 <= int(answer) <= last):
        answer = typer.prompt(f"which of them, 1 to {last}").strip()
    return int(answer)


def accept(
    key: Key,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    contact: Annotated[
        str | None,
        typer.Option("--as", help="Which contact an undecided sender is: its id, as 7 or hubspot:7, or key."),
    ] = None,
    reason: Reason = None,
    author: Author = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """
    Decide that a suggestion is right, which links its records.

    Shows first what would change. Contacts of one CRM stay two contacts there until somebody merges them in it.
    """
    ask_for_answer(as_json, dry_run, yes)
    with opened(config) as runtime:
        chosen = _chosen(runtime, _found(runtime, key), contact)
        decision = stated(runtime, "link", chosen, (), reason, author)
        foreseen = foresee(runtime, decision)
        if not as_json:
            head("Link", [meant.labels(runtime, chosen)])
    carry_through(config, decision, foreseen, as_json=as_json, dry_run=dry_run, yes=yes)


def _found(runtime: Runtime, key: str) -> Suggestion:
    found = find_suggestion(runtime, key)
    if found is None:
        output.warn(f"{key!r}: there is no such suggestion, or no more. What there is: crmbridge review")
        output.stop(output.USAGE)
    return found


def _chosen(runtime: Runtime, one: Suggestion, contact: str | None) -> Sequence[StoredNode]:
    """Return the records that accepting a suggestion links."""
    if one.kind != "undecided" and contact is not None:
        raise typer.BadParameter(f"--as is for those who are undecided; {one.key} is not of that kind")
    with runtime.database.read() as c:
        members = list(load_nodes(c, one.records).values())
        could_be = load_nodes(c, {str(found["key"]) for found in one.candidates})
    if one.kind != "undecided":
        return sorted(members, key=lambda stored: stored.key)
    if contact is None and len(could_be) != 1:
        raise typer.BadParameter(f"say which contact it is with --as: {_choices(could_be)}")
    if contact is None:
        return [spokesman(members), *could_be.values()]
    meant_ones = [
        stored for stored in meant.records(runtime, text(contact), code=output.USAGE) if stored.contact_id
    ]
    if len(meant_ones) != 1:
        raise typer.BadParameter(
            f"--as {contact!r} is not one contact. Those it could be: {_choices(could_be)}"
        )
    return [spokesman(members), *meant_ones]


def _choices(could_be: Mapping[str, StoredNode]) -> str:
    return ", ".join(
        f"{stored.contact_id} ({stored.name or key})" for key, stored in sorted(could_be.items())
    )


def dismiss(
    key: Key,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    author: Author = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """
    Decide that a suggestion is none.

    It is not listed again, nor asked in a CRM, until its evidence changes or reopen takes it back. Shows first what
    it is.
    """
    ask_for_answer(as_json, dry_run, yes)
    by = author_of(author)
    with opened(config) as runtime:
        found = _found(runtime, key)
        with runtime.database.read() as c:
            if (found.key, found.digest) in dismissed_by_now(c):
                output.warn(f"{key} was dismissed before. See: crmbridge review --dismissed")
                output.stop(output.USAGE)
    if not as_json:
        _show(found)
    if dry_run:
        if as_json:
            output.emit({"dismissed": None, "by_daemon": False})
        else:
            output.say("Nothing decided yet.")
        return
    if not yes and not output.agreed("Dismiss this?"):
        output.say("Nothing was decided.")
        output.stop(output.PARTIAL)
    result, by_daemon = _dismiss(config, found, by, text(reason or "").strip())
    if as_json:
        output.emit({**result, "by_daemon": by_daemon})
        return
    output.say(f"Dismissed by {by}: {found.title}. It comes back when its evidence changes.")
    output.say(f"To take it back: crmbridge review reopen {found.key}")


def _dismiss(config: Path, one: Suggestion, by: str, reason: str) -> tuple[dict[str, Any], bool]:
    arguments = {
        "key": one.key,
        "evidence": one.digest,
        "records": list(one.records),
        "author": by,
        "reason": reason,
    }
    return carry_out(config, "dismiss", arguments, connections=())
