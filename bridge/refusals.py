"""What a vendor's refusal says: the wait, the words, the code, the missing scopes, the id in a conflict."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson
import requests

from bridge.model import Json

LONGEST_MESSAGE = 500
DAILY_RETRY = 3600.0
LONGEST_WAIT = 7 * 86_400.0
"""Seconds that a vendor can make us wait; what asks for more is a mistake."""


def rate_limit_wait(response: requests.Response) -> float | None:
    """
    Return the seconds until a refused budget is free again, None if the response does not say.

    Reads Retry-After (RFC 9110, 10.2.3: seconds or a date), then the headers of HubSpot
    (interval in milliseconds) and Pipedrive (seconds to the reset). HubSpot's daily limit, whose
    reset no header tells, is asked again each hour.
    """
    wait = retry_after(response)
    if wait is not None:
        return wait
    if code(json_body(response), "policyName") == "DAILY":
        return DAILY_RETRY
    for header, unit in (("X-HubSpot-RateLimit-Interval-Milliseconds", 1000.0), ("X-RateLimit-Reset", 1.0)):
        value = response.headers.get(header, "")
        if value.isdecimal():
            return min(float(value) / unit, LONGEST_WAIT)
    return None


def existing_id(body: Json) -> str | None:
    """Return the id that a conflict names at its end, as HubSpot words it: `Existing ID: 151`."""
    found = re.search(r"[Ee]xisting ID:? *([\w-]+)$", message(body))
    return found.group(1) if found else None


def retry_after(response: requests.Response) -> float | None:
    """Return the seconds that Retry-After asks for, measured by the vendor's own clock if it is a date."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return min(float(value), LONGEST_WAIT)
    when, now = _http_date(value), _http_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return min(max(0.0, (when - now).total_seconds()), LONGEST_WAIT) if when else None


def json_body(response: requests.Response) -> Json:
    """Return the JSON of a response, None where it is none."""
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None


def message(body: Json) -> str:
    """Return what the vendor says in its own words, at most 500 characters and without a full stop."""
    if not isinstance(body, dict):
        return ""
    parts = [body.get(name) for name in ("message", "error", "error_info", "error_description")]
    errors = body.get("errors")
    parts += errors if isinstance(errors, list) else []
    texts: list[str] = []
    for part in parts:
        text = part.get("message") if isinstance(part, dict) else part
        if isinstance(text, str) and text and not any(text in said for said in texts):
            texts.append(text)
    return "; ".join(texts)[:LONGEST_MESSAGE].rstrip(".")


def code(body: Json, *names: str) -> str:
    """Return the first of these fields that the body or its `error` object has, empty if none."""
    for part in (body, body.get("error") if isinstance(body, dict) else None):
        if isinstance(part, dict):
            for name in names:
                if isinstance(part.get(name), str | int):
                    return str(part[name])
    return ""


def missing_scopes(body: Json) -> tuple[str, ...]:
    """Return every scope listed under `requiredGranularScopes`, at any depth, each once."""
    found: dict[str, None] = {}
    rest = [body]
    while rest:
        value = rest.pop(0)
        if isinstance(value, dict):
            scopes = value.get("requiredGranularScopes")
            found.update(dict.fromkeys(str(scope) for scope in scopes) if isinstance(scopes, list) else {})
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
    return tuple(found)


def _http_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
