"""What the terminal says of a plan and of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, not_, select

from bridge.cli import output
from bridge.cli.refusals import refusals_since
from bridge.store import receipts, runs
from bridge.store.among import among
from bridge.store.tables import node, participation
from bridge.store.writer import Priority
from bridge.sync.delivery.plan_values import Action
from bridge.sync.identity.dismissals import dismissed_undecided
from bridge.sync.runtime import Connection, Runtime
from bridge.sync.views.totals import totals
from bridge.sync.views.waiting_list import waiting_list

CALL_SIZE = 100
"""Writes that one batch call of a CRM takes; used only to foretell the number of calls."""

REFUSALS = 3
"""Causes of refusal that a sync tells; `crmbridge rejects` lists them all."""

HELD = 20
"""People whom an earlier look held back and a plan names, unless asked for details."""


def action_json(action: Action) -> dict[str, Any]:
    """Return one line of a plan for programs."""
    write = action.write
    return {
        "kind": action.kind,
        "person": action.person_id,
        "name": action.name,
        "title": action.title,
        "reason": action.reason,
        "interactions": list(action.entity_ids),
        "changes": [{"field": one.field, "before": one.before, "after": one.after} for one in action.changes],
        "write": None
        if write is None
        else {
            "key": write.key,
            "op": write.op,
            "stream": write.stream,
            "id": write.id,
            "fields": dict(write.fields),
            "links": [{"stream": link.stream, "to": link.to, "role": link.role} for link in write.links],
        },
    }


def show_plan(actions: Sequence[Action], *, more: int, details: bool) -> None:
    """
    Print a plan: per person what is created, changed, held and skipped, then the sum.

    `more` counts who is held back and not among the actions.
    """
    by_person: dict[str, list[Action]] = {}
    for action in actions:
        by_person.setdefault(action.person_id, []).append(action)
    for found in by_person.values():
        lines = [line for action in found for line in _lines(action, details=details)]
        if lines:
            output.say(found[0].name or found[0].person_id)
            for line in lines:
                output.say(f"  {line}")
    if more:
        output.say(f"{output.plural(more, 'more person', 'more people')} held back: crmbridge plan --details")
    output.say(_plan_line(actions, more))


def _lines(action: Action, *, details: bool) -> list[str]:
    if action.kind == "create_contact":
        shown = ", ".join(f"{change.field}={change.after}" for change in action.changes)
        return [f"+ new contact: {shown}"]
    if action.kind in ("entry", "ask") and action.write is not None:
        what = action.write.stream if action.kind == "entry" else "task"
        lines = [f"+ {what}: {action.title}"]
        if details:
            for field, value in action.write.fields.items():
                lines += [f"    {field}: {line}" for line in str(value).splitlines()]
        return lines
    if action.kind == "grow" and action.write is not None:
        joined = f" (+{output.plural(len(action.entity_ids), 'message')})" if action.entity_ids else ""
        lines = [f"~ {action.write.stream}: {action.title}{joined}"]
        if details:
            for change in action.changes:
                lines += [f"    {change.field}: {line}" for line in str(change.after).splitlines()]
        return lines
    if action.kind == "link":
        return [f"+ put on this contact: {action.title}"]
    if action.kind == "unlink":
        return [f"- taken off another contact: {action.title}"]
    if action.kind == "archive":
        return [f"- archived: {action.title}"]
    if action.kind == "fields":
        return [
            f"~ {change.field}: {_shown(change.before)} -> {_shown(change.after)}"
            for change in action.changes
        ]
    if action.kind == "hold":
        return [f"! held: {action.reason}"]
    if action.kind in ("propose", "keep"):
        return [f"! {action.reason}"]
    if action.kind == "conflict":
        return [f"? {action.reason}"] if details else []
    return [f"= skipped: {action.reason}"] if details else []


def _shown(value: Any) -> str:
    return "(empty)" if value in (None, "") else str(value)


def _plan_line(actions: Sequence[Action], more: int) -> str:
    """Return the one-line sum of a plan."""
    kinds = Counter(action.kind for action in actions)
    overwritten = sum(
        1
        for action in actions
        if action.kind == "fields"
        for change in action.changes
        if change.before not in (None, "")
    )
    grown = f" {kinds['grow']} brought up to date," if kinds["grow"] else ""
    asked = f" {output.plural(kinds['ask'], 'task')}," if kinds["ask"] else ""
    text = (
        f"PLAN {output.plural(kinds['entry'], 'entry', 'entries')},{asked}{grown}"
        f" {output.plural(kinds['create_contact'], 'new contact')},"
        f" {output.plural(overwritten, 'field')} overwritten, {output.plural(_calls(actions), 'call')}."
    )
    if held := len({action.person_id for action in actions if action.kind == "hold"}) + more:
        text += f" {output.plural(held, 'person', 'people')} held back, for the reasons above."
    if kinds["conflict"]:
        kept = output.plural(
            kinds["conflict"], "field left as the CRM has it", "fields left as the CRM has them"
        )
        text += f" {kept}: crmbridge plan --details."
    return f"{text} Nothing written yet."


def stopped_line(count: int) -> str:
    """Say how much is no longer written, since another program changes it in turn."""
    what = output.plural(count, "field or entry", "fields and entries")
    return f"{what} went back and forth, no longer written: crmbridge holds"


def show_limits(connection: Connection) -> None:
    """Say what keeps a plan from being carried out whole: no `push`, or fields the CRM lacks."""
    if connection.config.push is None:
        output.say(f"{connection.name} has no `push` in the configuration: nothing of this will be written.")
    elif connection.lacking:
        output.say(
            f"{connection.name} lacks {', '.join(sorted(connection.lacking))}: these fields are left out."
            " Create them with: crmbridge setup crm --apply"
        )


def _calls(actions: Sequence[Action]) -> int:
    streams = Counter(
        (action.write.op, action.write.stream) for action in actions if action.write is not None
    )
    return sum(-(-count // CALL_SIZE) for count in streams.values())


def finish_sync(
    runtime: Runtime, number: int, *, writes: int, written: Mapping[str, int], errors: Sequence[str]
) -> dict[str, Any]:
    """Close a run: add up what was read and written, and say ok, partial or failed by arithmetic."""
    found = totals(runtime, number)
    read = found.read
    with runtime.database.read() as c:
        wrote = number in receipts.sums(c, [number])
        refused = refusals_since(runtime, c, runs.started_at(c, number))
    outcome = "ok" if found.whole and not errors else "partial"
    if errors and not sum(read.values()) and not writes and len(errors) >= len(runtime.connections):
        outcome = "failed"
    result = {
        "run": number,
        "outcome": outcome,
        "read": sum(read.values()),
        "mapped": read["mapped"],
        "skipped": read["skipped"],
        "rejected": read["rejected"],
        "waiting": read["waiting"],
        "rejects": found.rejects,
        "skipped_by_rule": dict(found.rules),
        "people": people_counts(runtime),
        "waiting_for_us": waiting_list(runtime),
        "writes": writes,
        "written": dict(written),
        "undo": f"crmbridge undo {number}" if wrote else None,
        "pending_writes": dict(found.pending),
        "held": [{"connection": name, **hold.as_json()} for name, hold in found.held.items()],
        "refused": refused,
        "errors": list(errors),
    }
    now = runtime.clock()
    counts = {**found.counts(), "writes": writes}
    runtime.writer.run(
        lambda c: runs.end_run(c, number, outcome=outcome, counts=counts, now=now), priority=Priority.LIVE
    )
    return result


def people_counts(runtime: Runtime) -> dict[str, int]:
    """
    Count the people who took part in anything: to be decided, with a contact, and without one.

    To be decided is whom `crmbridge review` lists as undecided; what was dismissed there is not.
    """
    active = select(node.c.person_id).distinct().join(participation, participation.c.node_key == node.c.key)
    with runtime.database.read() as c:
        total = int(c.execute(select(func.count()).select_from(active.subquery())).scalar_one())
        undecided = active.where(
            node.c.person_id.in_(select(node.c.person_id).where(node.c.candidates.is_not(None)))
        )
        to_decide = set(c.execute(undecided).scalars())
        to_decide -= dismissed_undecided(c, runtime, to_decide).keys()
        known = active.where(
            node.c.person_id.in_(select(node.c.person_id).where(node.c.contact_of.is_not(None))),
            not_(among(node.c.person_id, to_decide)),
        )
        matched = int(c.execute(select(func.count()).select_from(known.subquery())).scalar_one())
    new = total - matched - len(to_decide)
    return {"total": total, "matched": matched, "new": new, "to_decide": len(to_decide)}


def show_sync(result: Mapping[str, Any], *, said: Collection[str] = ()) -> None:
    """Print what a sync did; errors that were `said` before it began are not repeated."""
    output.say(read_line(result))
    output.say(people_line(result["people"]))
    show_waiting(result["waiting_for_us"])
    writes = result["writes"]
    pending = result["pending_writes"]
    more = "".join(f", {count} {state}" for state, count in sorted(pending.items()))
    output.say(f"SYNC {output.plural(writes, 'write')}{more}")
    if result["undo"]:
        output.say(f"UNDO: {result['undo']}")
    for error in result["errors"]:
        if error not in said:
            output.warn(error)
    for hold in result["held"]:
        output.say(f"{hold['connection']}: {hold['message']}")
    for refused in result["refused"][:REFUSALS]:
        output.say(refused)
    if result["rejects"] or result["rejected"] or pending.get("rejected"):
        output.say("Look at the rejects: crmbridge rejects")


def read_line(result: Mapping[str, Any]) -> str:
    """Return `Read 132 = 120 mapped + 11 skipped (9 newsletters, 2 private) + 1 rejected`."""
    rules = sorted(result["skipped_by_rule"].items(), key=lambda item: (-item[1], item[0]))
    why = f" ({', '.join(f'{count} {rule}' for rule, count in rules)})" if rules else ""
    line = (
        f"Read {result['read']} = {result['mapped']} mapped + {result['skipped']} skipped{why}"
        f" + {result['rejected']} rejected"
    )
    return line + (f" + {result['waiting']} waiting" if result["waiting"] else "")


def people_line(people: Mapping[str, int]) -> str:
    """Return `People 27 = 22 matched, 3 new, 2 for you to decide`."""
    return (
        f"People {people['total']} = {people['matched']} matched, {people['new']} new,"
        f" {people['to_decide']} for you to decide"
    )


def show_waiting(people: Sequence[Mapping[str, Any]]) -> None:
    """Print who waits for us, longest first."""
    if not people:
        output.say("Nobody waits for us.")
        return
    output.say("WAITING FOR US")
    name_width = max(len(person["name"]) for person in people)
    owner_width = max(len(person["owner"] or "NOBODY") for person in people)
    for person in people:
        output.say(
            f"  {person['name']:<{name_width}}  {person['owner'] or 'NOBODY':<{owner_width}}  {person['says']}"
        )
