"""Our tasks as a CRM shows them now, and whether that is what we left there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.connector import Sink
from bridge.errors import MappingError
from bridge.journey.question import read_answer
from bridge.mapping import PushTask
from bridge.model import Json
from bridge.store.ledger import Filed
from bridge.store.questions import StandingTask
from bridge.sync.runtime import Connection, asked_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTask:
    """A task as the CRM shows it now: its fields, and what the mapping reads out of it; `gone` if it was deleted."""

    fields: Mapping[str, Json]
    text: str
    done: bool
    by: str
    modified_at: datetime | None = None
    gone: bool = False


def read_tasks(
    connection: Connection, rules: PushTask, standing: Sequence[StandingTask], filed: Mapping[str, Filed]
) -> dict[str, ShownTask]:
    """Read tasks in the CRM, by key. Raises what the connector raises."""
    sink = connection.connector
    assert isinstance(sink, Sink)
    names = {name for one in standing if (left := filed.get(one.question.key)) for name in left.fields}
    found: dict[str, ShownTask] = {}
    for stream in sorted({one.stream for one in standing}):
        keys = {one.ext_id: one.question.key for one in standing if one.stream == stream}
        for record in sink.read(stream, sorted(keys), sorted({*names, *rules.fields_read})):
            data = record.data if isinstance(record.data, dict) else {}
            key = keys.get(asked_id(record))
            if key is None:
                continue
            if record.deleted:
                found[key] = ShownTask(fields={}, text="", done=False, by="", gone=True)
                continue
            try:
                told = rules.read(data)
            except MappingError:
                continue  # `crmbridge check` runs the mapping's tests; what cannot be read is no answer
            found[key] = ShownTask(
                fields=data.get("properties", data),
                text=str(told.get("text") or ""),
                done=told.get("done") is True,
                by=str(told.get("by") or ""),
                modified_at=record.modified_at,
            )
    return found


def left_text(rules: PushTask, left: Filed) -> str | None:
    """Return the text of a task as we left it and the CRM showed it, None where that is not in the books."""
    if not left.fields:
        return None
    values = {name: left.shown(name) for name in left.fields}
    try:
        return str(rules.read({**values, "properties": values}).get("text") or "")
    except MappingError:
        return None


def as_left(rules: PushTask, left: Filed, task: ShownTask) -> bool:
    """Tell whether nobody wrote in a task; whose it is, and when it is due, people may change without answering it."""
    return read_answer(task.text, left_text(rules, left)) == ""
