"""What the stand-in of HubSpot answers: the shape of a reply, of a refusal, and of the request it read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge import Json

VALIDATION = "VALIDATION_ERROR"
NOT_FOUND = "OBJECT_NOT_FOUND"
CONFLICT = "CONFLICT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply; `body` is JSON, or None for an empty one."""

    status: int
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """One refusal in HubSpot's words: `rows` are its `errors`, `context` and `links` as in the envelope."""

    def __init__(
        self,
        status: int,
        category: str,
        message: str,
        *,
        rows: Sequence[Mapping[str, Json]] = (),
        context: Mapping[str, Sequence[str]] | None = None,
        links: Mapping[str, str] | None = None,
        sub_category: str = "",
    ) -> None:
        self.status = status
        self.category = category
        self.message = message
        self.rows = list(rows)
        self.context = dict(context or {})
        self.links = dict(links or {})
        self.sub_category = sub_category
        super().__init__(message)

    def answer(self) -> Answer:
        """Return the whole reply (developers.hubspot.com, error handling)."""
        body: dict[str, Json] = {
            "status": "error",
            "message": self.message,
            "correlationId": str(uuid.uuid4()),
            "category": self.category,
        }
        if self.sub_category:
            body["subCategory"] = self.sub_category
        if self.rows:
            body["errors"] = self.rows
        if self.context:
            body["context"] = self.context
        if self.links:
            body["links"] = self.links
        return Answer(status=self.status, body=body)

    def row(self, trace: str | None) -> dict[str, Json]:
        """Return it as one row of a 207's `errors`; `trace` is the objectWriteTraceId of its input."""
        row: dict[str, Json] = {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "errors": self.rows,
            "links": self.links,
            "context": self.context | ({"objectWriteTraceId": [trace]} if trace is not None else {}),
        }
        if self.sub_category:
            row["subCategory"] = self.sub_category
        return row


def invalid(message: str, *, code: str = "", context: Mapping[str, Sequence[str]] | None = None) -> Refusal:
    """Return a 400 VALIDATION_ERROR; `code` names the one thing that is wrong in its `errors`."""
    rows = [{"message": message, "code": code, "context": dict(context or {})}] if code else []
    return Refusal(400, VALIDATION, message, rows=rows)


def not_found(message: str = "resource not found") -> Refusal:
    return Refusal(404, NOT_FOUND, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as its endpoint reads it: words of the path, query parameters, JSON body."""

    path: str
    words: Mapping[str, str]
    query: Mapping[str, str]
    body: Json = None
    size: int = 0

    def names(self, parameter: str) -> list[str]:
        """Return a comma-separated query parameter as a list."""
        return [word.strip() for word in self.query.get(parameter, "").split(",") if word.strip()]

    def flag(self, parameter: str) -> bool:
        return self.query.get(parameter, "").lower() == "true"


def obj(value: Json, where: str) -> Mapping[str, Json]:
    """Return `value` if it is a JSON object, else raise the Refusal HubSpot gives for an unreadable body."""
    if not isinstance(value, dict):
        raise invalid(f"Invalid input JSON: {where} must be an object")
    return value


def rows(body: Json, name: str, cap: int) -> list[Mapping[str, Json]]:
    """Return the list of objects called `name`, 1 to `cap` of them."""
    value = obj(body, "the body").get(name)
    if not isinstance(value, list) or not value:
        raise invalid(f"Invalid input JSON: {name} must be a list with at least one object")
    if len(value) > cap:
        raise invalid(f"The maximum number of inputs is {cap}, but {len(value)} were sent")
    return [obj(row, f"each of {name}") for row in value]


def words(value: Json, where: str) -> list[str]:
    """Return a list of strings; None is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise invalid(f"Invalid input JSON: {where} must be a list of strings")
    return value


def ident(value: Json, where: str) -> str:
    """Return an id, which HubSpot takes as a string or a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise invalid(f"Invalid input JSON: {where} must be an id")
    return value


def text(value: Json, where: str, default: str = "") -> str:
    if value is None:
        return default
    if not isinstance(value, str):
        raise invalid(f"Invalid input JSON: {where} must be a string")
    return value


def whole(value: Json, where: str, *, default: int, low: int, high: int) -> int:
    """Return a whole number, given as a number or as digits, between `low` and `high`."""
    if value is None or value == "":
        return default
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise invalid(f"Invalid input JSON: {where} must be a number")
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 19):
        raise invalid(f"{where} is not a valid number: {value[:50]}")
    number = int(value)
    if not low <= number <= high:
        raise invalid(f"{where} must be between {low} and {high}, but {number} was sent")
    return number


def link_type(spec: Json) -> int:
    """Return the type id of an association type as it is sent. Raises Refusal."""
    row = obj(spec, "each of types")
    category = row.get("associationCategory")
    if category != "HUBSPOT_DEFINED":
        raise invalid(f"associationCategory {str(category)[:50]} has no association types here")
    return whole(row.get("associationTypeId"), "associationTypeId", default=0, low=1, high=1_000_000)
