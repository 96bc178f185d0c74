"""No request makes the Pipedrive stand-in itself fail."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pipedrive_sandbox_client import World, world

from bridge_pipedrive.sandbox_kinds import KINDS


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        ana = {"person_id": int(running.crm.create("persons", {"name": "Ana"}))}
        running.crm.create("deals", {"title": "D", **ana})
        running.crm.create("notes", {"content": "Oi", **ana})
        running.crm.create("activities", {"subject": "x", "participants": [ana]})
        running.crm.create("organizations", {"name": "Lima"})
        yield running


LEAVES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63, 1.5, "", "x", "501", 501, "\u0000", "ÿ" * 50, "1e999", "9999-99-99", "24:00"),
    *("2026-02-30", "2026-11-20T09:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01 00:00:00", "١٢", [], {}),
)
WORDS = sorted(
    {
        *(name for kind in KINDS.values() for name in (*kind.writable, *kind.only_create, *kind.only_change)),
        *("custom_fields", "person_id", "value", "primary", "merge_with_id", "field_name", "field_type"),
        *("options", "label", "icon_key", "subscription_url", "event_action", "event_object", "amount"),
    }
)
WRITES = [
    *(("POST", f"/api/v2/{name}") for name in ("persons", "organizations", "deals", "activities")),
    *(("PATCH", f"/api/v2/{name}/501") for name in ("persons", "organizations", "deals", "activities")),
    *(("POST", f"/api/v2/{name}Fields") for name in ("person", "organization", "deal")),
    *(("POST", "/v1/notes"), ("PUT", "/v1/notes/501"), ("POST", "/v1/leads"), ("POST", "/v1/activityTypes")),
    *(("POST", "/v1/webhooks"), ("PUT", "/v1/persons/501/merge"), ("PUT", "/v1/deals/501/merge")),
]


def garbage(dice: random.Random, depth: int = 0) -> Any:
    choice = dice.random()
    if depth > 3 or choice < 0.4:
        return dice.choice(LEAVES)
    if choice < 0.6:
        return [garbage(dice, depth + 1) for _ in range(dice.randrange(3))]
    return {dice.choice(WORDS): garbage(dice, depth + 1) for _ in range(dice.randrange(4))}


def near(dice: random.Random) -> Any:
    """A body of the right outline with garbage in one or two places."""
    good = {"name": "A", "title": "T", "content": "C", "person_id": 501, "icon_key": "bell"}
    words = dice.sample(WORDS, dice.randrange(1, 3))
    return {**dict(dice.sample(sorted(good.items()), 3)), **{word: garbage(dice, 1) for word in words}}


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_no_body_makes_the_stand_in_itself_fail(crm: World, method: str, path: str) -> None:
    dice = random.Random(method + path)
    for n in range(32):
        body = garbage(dice) if n % 4 == 0 else near(dice)
        if n % 4 == 3 and isinstance(body, dict):
            body = {word: dice.choice(LEAVES) for word in dice.sample(WORDS, 1)}
        raw = orjson.dumps(body)
        answer = crm.session.request(method, crm.crm.url + path, data=raw, timeout=60)
        assert answer.status_code < 500, (body, answer.text)
    for listed in ("/api/v2/persons", "/api/v2/deals", "/api/v2/activities", "/v1/notes", "/v1/leads"):
        assert crm.get(listed).status_code == 200
    for page in ("/", "/persons/501", "/deals/501", "/organizations/501"):
        assert crm.get(page).status_code == 200
    crm.crm.take()


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 5000, b'{"name": NaN}']
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v2/persons"), ("PUT", "/v1/notes/501")])
def test_no_bytes_make_the_stand_in_itself_fail(crm: World, method: str, path: str, raw: bytes) -> None:
    assert crm.session.request(method, crm.crm.url + path, data=raw, timeout=60).status_code == 400


QUERIES = [
    *(
        "limit=x",
        "limit=-1",
        "limit=²",
        "limit=99999999999999999999",
        "cursor=%00",
        "cursor=١٢",
        "cursor=e30",
    ),
    *(
        "cursor=eyJmaWVsZCI6ImlkIiwiZmllbGRWYWx1ZSI6Ingi LCJzb3J0RGlyZWN0aW9uIjoiYXNjIiwiaWQiOiJ4In0",
        "ids=,",
        "ids=x",
    ),
    *(
        "owner_id=",
        "owner_id=x",
        "updated_since=9999-12-31T23:59:59-23:59",
        "sort=,",
        "sort=id",
        "sort=id UP",
    ),
    *(
        "start=x",
        "start=-1",
        "status=,",
        "done=1",
        "lead_id=x",
        "custom_fields=x",
        "term=",
        "term=%00&fields=,",
    ),
    *("sort_by=due_date", "sort_by=update_time&sort_direction=desc", "exact_match=maybe&term=x", "items=,"),
]
READS = [
    *("/api/v2/persons", "/api/v2/deals", "/api/v2/activities", "/api/v2/stages", "/api/v2/dealFields"),
    *("/api/v2/persons/search", "/api/v2/itemSearch", "/api/v2/itemSearch/field", "/v1/notes", "/v1/leads"),
    *("/v1/deals/501/flow", "/v1/deals/501/changelog", "/v1/users/²", "/api/v2/persons/²", "/v1/webhooks"),
]


@pytest.mark.parametrize("path", READS)
def test_no_query_makes_the_stand_in_itself_fail(crm: World, path: str) -> None:
    for query in QUERIES:
        assert crm.get(f"{path}?{query}").status_code in (200, 400, 404), query


def test_a_cursor_with_values_of_another_kind_is_refused(crm: World) -> None:
    place = {"field": "id", "fieldValue": "x", "sortDirection": "asc", "id": "y"}
    cursor = base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")
    for path in ("/api/v2/persons", "/api/v2/personFields"):
        assert crm.get(path, cursor=cursor).status_code == 400
