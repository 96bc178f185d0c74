"""What `status` says of an account's call budgets, and of what is left to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bridge.cli import output

WORDS = {"news": "no news", "writes": "no writes", "past": "no reading of the past"}


def forecast_lines(connection: Mapping[str, Any], zone: Any) -> Iterator[str]:
    """Yield the lines on the budgets of one connection of the overview, and on what is left to do there."""
    for one in connection["budgets"]:
        yield _budget_line(one, zone)
        if one["waits"]:
            until = output.local_time(one["waits_until"], zone)
            yield f"! {one['name']}: {', '.join(WORDS[what] for what in one['waits'])} before {until}"
    if connection["left"] is not None:
        if not connection["push"]:
            yield "nothing is written to it: it has no `push` in the configuration"
        yield from _left_lines(connection["left"], connection["budgets"])


def _budget_line(one: Mapping[str, Any], zone: Any) -> str:
    part = 100 * one["used"] / one["limit"]
    line = f"{one['name']}: {one['used']:,} of {one['limit']:,} {one['unit']} used ({part:.0f} %)"
    if one["by_others"]:
        line += f", {one['by_others']:,} of them by other apps"
    if one["ours"] < one["limit"]:
        line += f"; we stop at {one['ours']:,}"
    if one["begins_anew"]:
        line += f"; begins anew {output.local_time(one['begins_anew'], zone)}"
    return line


def _left_lines(left: Mapping[str, Any], budgets: list[Mapping[str, Any]]) -> Iterator[str]:
    todo = [output.plural(left["people"], "person", "people") + " to look at"] if left["people"] else []
    if left["writes"]:
        todo.append(f"{output.plural(left['writes'], 'write')} open")
    todo += [f"the past of {one['stream']} ({one['read']:,} read so far)" for one in left["past"]]
    if todo:
        yield f"left: {', '.join(todo)}"
    estimate = left["estimate"]
    if estimate is None:
        return
    units = {one["name"]: one["unit"] for one in budgets}
    calls = "".join(
        f", {one['calls']:,} {units[name]} ({100 * one['part']:.0f} % of {name})"
        for name, one in estimate["budgets"].items()
    )
    yield f"at the last hour's pace at most {_duration(estimate['hours'])} for the people{calls}"


def _duration(hours: float) -> str:
    return f"{hours:.0f} h" if hours >= 1.5 else f"{max(1, round(hours * 60))} min"
