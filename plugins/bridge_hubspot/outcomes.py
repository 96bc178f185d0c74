"""What became of each write: HubSpot's answers to batches, read row by row and never by order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bridge import BridgeError, Json, Link, RateLimited, Rejected, Unavailable, Write
from bridge_hubspot.client import Answer, Row
from bridge_hubspot.words import KEY_PROPERTY, PAUSE

Pair = tuple[Write, Link]
"""One association of a write that links or unlinks."""

T = TypeVar("T", Write, Pair)

_EXISTING = re.compile(r"(?:[Ee]xisting ID:? *(\d+)|\b(\d+) already has that value)\.?(?:;|$)")
"""Only where a message ends: what stands before it may be a customer's own words, in quotes or not."""

_NO_PROPERTY = re.compile(r"[Pp]roperty \\?[\"']?(\w+)\\?[\"']? (?:does not|doesn't) exist")
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A write that stands: under which id, and the values as HubSpot shows them, None if it does not say."""

    id: str
    as_read: Mapping[str, Json] | None = None


Outcome = Done | BridgeError


def by_trace(answer: Answer, writes: Sequence[Write]) -> Iterator[tuple[Write, Outcome]]:
    """
    Yield what an answer says of each write, told apart by trace id, our key property or the object's id.

    HubSpot promises no order of its rows, and its 207 mixes good and bad ones (error handling,
    developers.hubspot.com, read 2026-11-21). A write that it says nothing of is Unavailable.
    """
    rows = answer.objects
    made: dict[str, Row] = {}
    for row in rows:
        for name in (row.get("objectWriteTraceId"), row["properties"].get(KEY_PROPERTY)):
            if name:
                made.setdefault(str(name), row)
    present = {row["id"]: row for row in rows}
    refused: dict[str, Row] = {}
    for error in answer.errors:
        refused |= dict.fromkeys(_context(error, "objectWriteTraceId"), error)
    for write in writes:
        stands = made.get(write.key) or present.get(write.id or "")
        if stands is not None:
            yield write, Done(id=stands["id"], as_read=stands["properties"])
        elif write.key in refused:
            yield write, refusal(refused[write.key])
        else:
            yield write, _unsaid(answer)


def by_ends(answer: Answer, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Outcome]]:
    """Yield what an answer says of each association, told apart by the ids at its ends."""
    made = {(str(row.get("fromObjectId")), str(row.get("toObjectId"))) for row in answer.results}
    for write, link in pairs:
        ends = {str(write.id), link.to}
        named = [error for error in answer.errors if ends & set(_context(error))]
        if (str(write.id), link.to) in made or not answer.errors:
            yield (write, link), Done(id=str(write.id))
        elif named:
            yield (write, link), refusal(named[0])
        else:
            yield (write, link), _unsaid(answer)


def archived(answer: Answer, writes: Sequence[Write]) -> Iterator[tuple[Write, Outcome]]:
    """Yield success for each write: HubSpot answers an archive for all or for none."""
    return ((write, Done(id=str(write.id))) for write in writes)


def unlinked(answer: Answer, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Outcome]]:
    """Yield success for each association: HubSpot answers for all or for none."""
    return ((pair, Done(id=str(pair[0].id))) for pair in pairs)


def refusal(error: Row) -> BridgeError:
    """Return the error that one row of a 207 stands for, in HubSpot's words."""
    details = error.get("errors")
    texts = [error, *details] if isinstance(details, list) else [error]
    said: list[str] = []
    for text in texts:
        message = text.get("message") if isinstance(text, dict) else None
        if isinstance(message, str) and not any(message in one for one in said):
            said.append(message)
    message = "; ".join(said)[:_LONGEST] or "HubSpot refused it without a reason"
    code = str(error.get("category") or "")
    if code.startswith("RATE_LIMIT"):
        return RateLimited(message, wait=PAUSE)
    return completed(Rejected(message, code=code, trace=str(error.get("correlationId") or "")))


def completed(error: Rejected) -> Rejected:
    """Return a refusal with the id of the object that stands in the way, where its words tell one."""
    found = _EXISTING.search(str(error))
    existing = error.existing_id or (found and (found[1] or found[2])) or None
    return Rejected(str(error), code=error.code, existing_id=existing, trace=error.trace)


def to_blame(error: Rejected, items: Sequence[T]) -> list[T]:
    """Return the items for which a batch was refused: the only one, or those with an unknown property."""
    if len(items) == 1:
        return list(items)
    unknown = set(_NO_PROPERTY.findall(str(error)))
    return [item for item in items if isinstance(item, Write) and unknown & item.fields.keys()]


def whole(answer: Answer) -> None:
    """Raise the first refusal in an answer that should have none."""
    for error in answer.errors:
        raise refusal(error)


def not_sent(stopped: BridgeError) -> BridgeError:
    """Return the error of a write that was not sent, because an earlier one met `stopped`."""
    if isinstance(stopped, Unavailable):
        return RateLimited(
            f"not sent, since HubSpot was not available: {stopped}", wait=stopped.wait or PAUSE
        )
    return stopped


def _context(error: Row, *names: str) -> list[str]:
    """Return the values in the context of a row, all or those under these names."""
    context = error.get("context")
    if not isinstance(context, dict):
        return []
    lists = [values for name, values in context.items() if not names or name in names]
    return [str(value) for values in lists if isinstance(values, list) for value in values]


def _unsaid(answer: Answer) -> Unavailable:
    return Unavailable(f"HubSpot answered {answer.call} without a word on this write; it is looked for later")
