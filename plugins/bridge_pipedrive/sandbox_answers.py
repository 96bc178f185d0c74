"""What the stand-in of Pipedrive answers: a reply, a refusal in the words of either version, a request as read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge import Json

UNFIT = "ERR_SCHEMA_VALIDATION_FAILED"
NOT_FOUND = "ERR_NOT_FOUND"
_ADVICE = "Please check developers.pipedrive.com for more information about Pipedrive API."


class Actor(NamedTuple):
    """Who does something: a user, through the API ("api") or by hand ("app")."""

    user: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply; `body` is JSON, or a text for HTML."""

    status: int = 200
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """
    One refusal: `code` is the word version 2 adds, `body` the whole reply where an endpoint has a shape of its own.
    """

    def __init__(self, status: int, message: str, *, code: str = "", body: Json = None) -> None:
        self.status = status
        self.message = message
        self.code = code
        self.body = body
        super().__init__(message)

    def answer(self) -> Answer:
        """Return the reply (pipedrive.readme.io, responses, read 2026-11-22; the code from published clients)."""
        body = self.body
        if body is None:
            body = {
                "success": False,
                "error": self.message,
                "error_info": _ADVICE,
                "data": None,
                "additional_data": None,
            }
            if self.code:
                body["code"] = self.code
            else:
                body["errorCode"] = self.status
        return Answer(status=self.status, body=body)


def unfit(name: str, message: str) -> Refusal:
    """Return the 400 for a parameter that does not fit."""
    return Refusal(400, f"Validation failed: {name}: {message}", code=UNFIT)


def not_found(what: str) -> Refusal:
    return Refusal(404, f"{what.capitalize()} not found", code=NOT_FOUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as its endpoint reads it: words of the path, query parameters, JSON body, who asks."""

    actor: Actor
    words: Mapping[str, str]
    query: Mapping[str, str]
    body: Json = None

    def names(self, parameter: str) -> list[str]:
        """Return a comma-separated query parameter as a list."""
        return [word.strip() for word in self.query.get(parameter, "").split(",") if word.strip()]

    def flag(self, parameter: str) -> bool:
        return self.query.get(parameter, "").lower() in ("true", "1")


def fields_of(body: Json) -> dict[str, Json]:
    """Return a body that is a JSON object. Raises Refusal 400."""
    if not isinstance(body, dict):
        raise Refusal(400, "Bad request: the body must be a JSON object", code=UNFIT)
    return dict(body)
