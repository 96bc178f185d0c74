"""Commands that decide who is who: link, split, decisions."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bridge.cli import meant, output
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, carry_out, opened, refuse_before
from bridge.cli.who import Who, text
from bridge.errors import ConfigError
from bridge.journey.identity import Decision
from bridge.store.database import micros
from bridge.store.people import StoredNode, nodes_of
from bridge.sync.delivery.foresee import foresee, foresee_revocation
from bridge.sync.identity.decide import new_decision
from bridge.sync.identity.review import spokesman
from bridge.sync.identity.who import all_decisions_json
from bridge.sync.runtime import Runtime

Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept with the decision and shown.")]
Author = Annotated[
    str | None, typer.Option("--author", help="Who decides; unless told, the user of this machine.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Others = Annotated[
    list[str],
    typer.Argument(help="One or more, each like the first."),
]

MOVES = {
    "written": ("entry written", "entries written"),
    "moved": ("entry moved", "entries moved"),
    "taken_off": ("entry taken off a contact", "entries taken off contacts"),
    "contacts": ("contact made", "contacts made"),
    "held": ("person held back", "people held back"),
    "stays": (
        "entry left where it is, as its person has no contact",
        "entries left where they are, as their person has no contact",
    ),
}


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(link)
    app.command()(split)
    group = typer.Typer(invoke_without_command=True)
    group.callback()(listing)
    group.command()(revoke)
    app.add_typer(group, name="decisions")


def link(
    a: Who,
    b: Others,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    author: Author = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """
    Decide that records are one person.

    So they are, whatever the evidence says. Shows first what would change. A name or person id means the person's
    contact, or else their oldest record. Nothing is merged in any CRM.
    """
    ask_for_answer(as_json, dry_run, yes)
    with opened(config) as runtime:
        chosen = [_one_record(runtime, text(who)) for who in (a, *b)]
        if len({stored.key for stored in chosen}) < 2:
            raise typer.BadParameter("that is one record; name two or more to link")
        decision = stated(runtime, "link", chosen, (), reason, author)
        foreseen = foresee(runtime, decision)
        if not as_json:
            head("Link", [meant.labels(runtime, chosen)])
            if len({stored.person_id for stored in chosen}) == 1:
                output.say("They are one person already; so they stay, whatever becomes of the evidence.")
    carry_through(config, decision, foreseen, as_json=as_json, dry_run=dry_run, yes=yes)


def split(
    a: Who,
    b: Annotated[
        list[str] | None,
        typer.Argument(
            help="From whom; left out: from all other records of their person.", show_default=False
        ),
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    together: Annotated[
        list[str] | None, typer.Option("--with", help="A further record that goes with the first.")
    ] = None,
    reason: Reason = None,
    author: Author = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """
    Decide that records are not the same person as others.

    Shows first what would change. Nothing of it is ever joined again by evidence, until the decision is taken back.
    """
    ask_for_answer(as_json, dry_run, yes)
    with opened(config) as runtime:
        mine = _records(runtime, [a, *(together or ())])
        theirs = _records(runtime, b) if b else _other_members(runtime, mine)
        same = {stored.key for stored in mine} & {stored.key for stored in theirs}
        if same:
            raise typer.BadParameter(f"{', '.join(sorted(same))} is on both sides; name different records")
        if not theirs and len(mine) == 1:
            raise typer.BadParameter(
                f"{a!r} is one record, and alone. Name from whom to keep it apart: crmbridge split {a} OTHER"
            )
        if not theirs:
            raise typer.BadParameter(
                f"{a!r}: these are all records of their person. Name the one to split off by its key;"
                f" see: crmbridge who {mine[0].person_id}"
            )
        decision = stated(runtime, "split", mine, theirs, reason, author)
        foreseen = foresee(runtime, decision)
        if not as_json:
            head("Split", [meant.labels(runtime, mine), meant.labels(runtime, theirs)])
    carry_through(config, decision, foreseen, as_json=as_json, dry_run=dry_run, yes=yes)


def ask_for_answer(as_json: bool, dry_run: bool, yes: bool) -> None:
    """Refuse to ask where a program would have to answer."""
    if as_json and not (dry_run or yes):
        raise typer.BadParameter("--json asks nobody: add --dry-run to look, or --yes to do it")


def _one_record(runtime: Runtime, who: str) -> StoredNode:
    return spokesman(meant.records(runtime, who, code=output.USAGE))


def _records(runtime: Runtime, names: Iterable[str]) -> list[StoredNode]:
    found = {
        stored.key: stored
        for name in names
        for stored in meant.records(runtime, text(name), code=output.USAGE)
    }
    return list(found.values())


def _other_members(runtime: Runtime, chosen: Sequence[StoredNode]) -> list[StoredNode]:
    keys = {stored.key for stored in chosen}
    with runtime.database.read() as c:
        members = nodes_of(c, {stored.person_id for stored in chosen}).values()
    return [stored for some in members for stored in some if stored.key not in keys]


def stated(
    runtime: Runtime,
    kind: Literal["link", "split"],
    records: Iterable[StoredNode],
    others: Iterable[StoredNode],
    reason: str | None,
    author: str | None,
) -> Decision:
    """Return the decision that a command states, as of now."""
    at = micros(runtime.clock())
    assert at is not None
    return new_decision(
        kind,
        (stored.key for stored in records),
        (stored.key for stored in others),
        at=at,
        author=author_of(author),
        reason=text(reason or "").strip(),
    )


def author_of(stated: str | None) -> str:
    """Return who decides: who was named, else the user of this machine."""
    if stated and stated.strip():
        return text(stated).strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        raise typer.BadParameter("this machine's user has no name; add --author") from None


def head(what: str, sides: Sequence[Sequence[str]]) -> None:
    """Print what is decided of which records, side by side of a split."""
    for place, side in enumerate(sides):
        for row, label in enumerate(side):
            begins = ("from" if place else what) if not row else ""
            output.say(f"{begins:<6}{label}")


def carry_through(
    config: Path,
    decision: Decision,
    foreseen: Mapping[str, Any],
    *,
    as_json: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Show what a decision would change, ask, and have it carried out."""
    arguments = _arguments(decision)
    if not as_json:
        show_foreseen(foreseen)
    if dry_run:
        if as_json:
            output.emit({"decision": None, **arguments, **foreseen})
        else:
            output.say("Nothing decided yet.")
        return
    if not yes and not output.agreed("Decide this?"):
        output.say("Nothing was decided.")
        output.stop(output.PARTIAL)
    id, by_daemon = carry_out_decision(config, decision)
    if as_json:
        output.emit({**arguments, **foreseen, "decision": id, "by_daemon": by_daemon})
        return
    output.say(
        f"Decided by {decision.author}. {then(by_daemon)} To take it back: crmbridge decisions revoke {id}"
    )


def carry_out_decision(config: Path, decision: Decision) -> tuple[str, bool]:
    """Have a decision carried out; return its id, and whether the daemon did it."""
    result, by_daemon = carry_out(config, "decide", _arguments(decision), connections=())
    return str(result["decision"]), by_daemon


def _arguments(decision: Decision) -> dict[str, Any]:
    return {
        "kind": decision.kind,
        "records": sorted(decision.records),
        "others": sorted(decision.others),
        "author": decision.author,
        "reason": decision.reason,
    }


def then(by_daemon: bool) -> str:
    """Say when the CRMs follow."""
    return "The daemon writes what follows now." if by_daemon else "See what follows: crmbridge plan."


def show_foreseen(found: Mapping[str, Any]) -> None:
    """Print which persons change, which decisions hold no more, and what follows in each CRM."""
    if found["before"] or found["after"]:
        for title, key in (("NOW", "before"), ("THEN", "after")):
            output.say(title)
            for one in found[key]:
                output.say(f"  {one['name']} ({one['person_id']}): {', '.join(one['says'])}")
    else:
        output.say("Nobody is divided otherwise by it.")
    for one in found["overrules"]:
        output.say(f"! overrules {one['id']}, {one['says']}")
    for name, counts in found["crms"].items():
        parts = [output.plural(count, *MOVES[word]) for word, count in counts.items() if count]
        output.say(f"In {name}: {', '.join(parts) or 'nothing changes'}.")
    for name, people in found["to_merge"].items():
        for contacts in people:
            output.say(
                f"! In {name}, contacts {' and '.join(contacts)} are one person then, and get no more entries until"
                " somebody merges them there."
            )


def listing(context: typer.Context, config: ConfigPath = DEFAULT, as_json: AsJson = False) -> None:
    """
    List what people decided of who is who.

    The newest comes first; what was overruled or taken back is listed too.
    """
    if context.invoked_subcommand is not None:
        refuse_before(context)
        return
    with opened(config) as runtime:
        found = all_decisions_json(runtime)
    if as_json:
        output.emit(found)
        return
    if not found:
        output.say("Nobody decided anything yet.")
    for one in found:
        state = {
            "holds": "",
            "overruled": "; overruled by a newer one",
            "revoked": f"; taken back by {one['revoked_by']}",
        }[one["state"]]
        sides = [" and ".join(side) for side in one["between"]]
        output.say(f"{one['id']}  {' | '.join(sides)}")
        output.say(f"  {one['says']}{state}")


def revoke(
    id: Annotated[str, typer.Argument(help="The decision; see: crmbridge decisions")],
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    author: Author = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """
    Take back a decision.

    The evidence then says again what it says. Shows first what would change.
    """
    ask_for_answer(as_json, dry_run, yes)
    by = author_of(author)
    with opened(config) as runtime:
        try:
            foreseen = foresee_revocation(runtime, id)
        except ConfigError as error:
            output.warn(str(error))
            output.stop(output.USAGE)
    if not as_json:
        show_foreseen(foreseen)
        for other in foreseen["with_it"]:
            output.say(f"{other} goes with it: the same move in the CRM said both.")
    if dry_run:
        if as_json:
            output.emit({"decision": id, **foreseen})
        return
    if not yes and not output.agreed("Take this decision back?"):
        output.say("Nothing was changed.")
        output.stop(output.PARTIAL)
    _, by_daemon = carry_out(config, "revoke", {"id": id, "by": by}, connections=())
    if as_json:
        output.emit({**foreseen, "decision": id, "by_daemon": by_daemon})
        return
    output.say(f"Taken back by {by}. {then(by_daemon)}")
