"""The inbound API: who may send, what is refused and why, and what a stored body holds."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from bridge import Account, Context, Delivery, Json, MappingError, Record, Reply, Request, Skip
from bridge_api.problems import Problem, problems_of
from bridge_api.schema import MAX_BYTES, openapi
from bridge_api.view import customer, instant, mapping, view
from bridge_api.words import LEAD_KINDS, STREAM

_CONTENT = frozenset({"text", "html", "attachments", "custom", "outcome"})
"""What the detail "subject" keeps out; "metadata" keeps out the subject as well."""

_JSON = "application/json"
_PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One inbound API; `tokens` holds the token of each source by the source's name."""

    tokens: Mapping[str, str] = field(repr=False)
    account: str
    context: Context

    def check(self) -> Account:
        """Tell the account's name; nobody is asked, since the callers come to us."""
        return Account(id=self.account, name="Inbound API")

    def verify(self, request: Request) -> Reply:
        """
        Answer `GET /v1/openapi.json`, or judge a POST of interactions.

        A body is stored only if all of it fits the schema; otherwise the answer is 422 with every
        fault (RFC 9457). The Idempotency-Key header names the request; without it the ids of the
        interactions do, so that a repeat is recognised either way.
        """
        if request.method == "GET" and urlsplit(request.url).path.endswith("/v1/openapi.json"):
            return Reply(body=orjson.dumps(openapi()), content_type=_JSON)
        if request.method != "POST":
            return _refused(405, "send a POST with a JSON body", headers={"Allow": "POST"})
        source = self._source(request.headers.get("authorization", ""))
        if source is None:
            return _refused(
                401,
                'send "Authorization: Bearer <token>" with the token of a configured source',
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not _is_json(request.headers.get("content-type", "")):
            return _refused(415, "send the header Content-Type: application/json")
        if len(request.body) > MAX_BYTES:
            return _refused(413, f"the body has {len(request.body)} bytes; send at most {MAX_BYTES} at once")
        try:
            body = _parsed(request.body)
        except MappingError as error:
            return _refused(400, str(error))
        return self._judged(body, request, source)

    def split(self, delivery: Delivery) -> Iterator[Record | Skip]:
        """
        Yield every interaction of a stored body, in its order.

        One without an id is named after its request and its place there. Raises MappingError
        where the body holds none.
        """
        source = delivery.sender or "unknown"
        key = delivery.headers.get("idempotency-key", "").strip() or _digest(delivery.body)[:16]
        for position, told in enumerate(_interactions(_parsed(delivery.body))):
            own = mapping(told).get("id")
            yield self._captured(told, source, f"{source}/{own or f'{key}.{position}'}")

    def decode(self, record: Record) -> Iterator[Record]:
        """Yield the one view that the mapping reads; pure, and whatever the record holds, no error."""
        yield replace(record, data=view(mapping(record.data)))

    def _source(self, header: str) -> str | None:
        """Return whose token this is; every token is compared, so that time tells nothing."""
        scheme, _, token = header.partition(" ")
        given = _digest(_octets(token.strip()))
        found = None
        for name, known in self.tokens.items():
            if hmac.compare_digest(given, _digest(_octets(known))):
                found = name
        return found if scheme.lower() == "bearer" else None

    def _judged(self, body: Mapping[str, Json], request: Request, source: str) -> Reply:
        problems = problems_of(body)
        key = request.headers.get("idempotency-key", "").strip()
        if len(key) > 200:
            problems.append(
                Problem(path="", message="Idempotency-Key is too long", remedy="send at most 200")
            )
        if problems:
            return _unprocessable(problems)
        told = _interactions(body)
        ids = [interaction.get("id") for interaction in told]
        several = "interactions" in body
        if not key and None in ids:
            path = f"/interactions/{ids.index(None)}/id" if several else "/id"
            remedy = "add your own id of it, or send the header Idempotency-Key with any unique text"
            message = "is missing, and so is the header Idempotency-Key"
            return _unprocessable([Problem(path=path, message=message, remedy=remedy)])
        named = {"ids": ids} if several else {"id": ids[0] or key}
        return Reply(
            status=202,
            body=orjson.dumps({**named, "status": "stored"}),
            content_type=_JSON,
            store=True,
            idempotency_key=f"key:{key}" if key else _key_of(ids),
            sender=source,
        )

    def _captured(self, told: Json, source: str, identifier: str) -> Record | Skip:
        """Ask the capture rules about one interaction; return it at the detail they allow."""
        interaction = mapping(told)
        at = instant(interaction.get("occurred_at"))
        decision = self.context.capture.decide(
            at=at, addresses=_addresses(interaction), from_lead=str(interaction.get("kind")) in LEAD_KINDS
        )
        if decision.rule is not None:
            return Skip(stream=STREAM, id=identifier, version=_written(at), rule=decision.rule)
        kept: Json = told
        if decision.detail != "full":
            left_out = _CONTENT if decision.detail == "subject" else _CONTENT | {"subject"}
            kept = {name: value for name, value in interaction.items() if name not in left_out}
        stored: dict[str, Any] = {"source": source, "interaction": kept, "detail": decision.detail}
        version = hashlib.blake2b(orjson.dumps(stored, option=orjson.OPT_SORT_KEYS), digest_size=8)
        return Record(
            stream=STREAM,
            id=identifier,
            version=version.hexdigest(),
            modified_at=None,
            data=stored,
            actor=source,
        )


def _interactions(body: Mapping[str, Json]) -> list[Json]:
    several = body.get("interactions")
    return several if isinstance(several, list) else [body]


def _parsed(body: bytes) -> dict[str, Json]:
    try:
        tree = orjson.loads(body)
        orjson.dumps(tree)
    except orjson.JSONDecodeError as error:
        raise MappingError(f"the body is no JSON in UTF-8: {error}") from None
    except orjson.JSONEncodeError as error:
        raise MappingError(f"the body cannot be kept: {error}") from None
    if not isinstance(tree, dict):
        raise MappingError("the body is no JSON object")
    return tree


def _addresses(interaction: Mapping[str, Json]) -> list[str]:
    person = customer(interaction)
    return [value for name in ("email", "phone", "id") if isinstance(value := person.get(name), str)]


def _key_of(ids: list[str]) -> str:
    """Return what names a request by its ids; its order counts, since the answer repeats it."""
    return f"id:{ids[0]}" if len(ids) == 1 else f"ids:{_digest(orjson.dumps(ids))}"


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == _JSON or (kind.startswith("application/") and kind.endswith("+json"))


def _unprocessable(problems: list[Problem]) -> Reply:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    told = [
        {"path": problem.path, "message": problem.message, "remedy": problem.remedy} for problem in problems
    ]
    return _refused(422, f"{count}; nothing was stored", problems=told)


def _refused(
    status: int, detail: str, *, problems: list[Json] | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    told: dict[str, Json] = {"type": "about:blank", "title": _TITLES[status], "status": status}
    told["detail"] = detail
    if problems is not None:
        told["problems"] = problems
    return Reply(status=status, body=orjson.dumps(told), content_type=_PROBLEM, headers=headers or {})


_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
}


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _written(at: datetime | None) -> str:
    return at.isoformat() if at else ""
