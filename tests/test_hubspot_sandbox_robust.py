"""No request makes the HubSpot stand-in itself fail."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hubspot_sandbox_client import V, World, world

CONTACTS = f"/crm/objects/{V}/contacts"


@pytest.fixture
def crm() -> Iterator[World]:
    with world() as running:
        yield running


WORDS = (
    "inputs",
    "id",
    "properties",
    "from",
    "to",
    "types",
    "filterGroups",
    "filters",
    "email",
    "objectWriteTraceId",
)
WORDS += (
    "associations",
    "idProperty",
    "propertyName",
    "operator",
    "value",
    "values",
    "sorts",
    "limit",
    "after",
    "name",
)
WORDS += (
    "options",
    "associationTypeId",
    "associationCategory",
    "HUBSPOT_DEFINED",
    "IN",
    "EQ",
    "BETWEEN",
    "hs_object_id",
)
LEAVES = (
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "501",
    "279",
    "\u0000",
    "ÿ" * 50,
    "1e999",
    "9999-99-99",
    [],
    {},
)
PATHS = [
    *(f"/crm/objects/{V}/contacts{end}" for end in ("", "/search", "/merge", "/gdpr-delete")),
    *(f"/crm/objects/{V}/deals/batch/{verb}" for verb in ("create", "read", "update", "upsert", "archive")),
    *(
        f"/crm/associations/{V}/contacts/companies/batch/{end}"
        for end in ("create", "read", "archive", "associate/default")
    ),
    f"/crm/associations/{V}/contacts/companies/batch/labels/archive",
    *(f"/crm/properties/{V}/contacts{end}" for end in ("", "/groups", "/batch/create", "/batch/read")),
]


def garbage(dice: random.Random, depth: int = 0) -> Any:
    choice = dice.random()
    if depth > 4 or choice < 0.25:
        return dice.choice([*LEAVES, *WORDS])
    if choice < 0.55:
        return [garbage(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {dice.choice(WORDS): garbage(dice, depth + 1) for _ in range(dice.randrange(5))}


def near(dice: random.Random) -> Any:
    """A body of the right outline with garbage where the values go."""
    row = {name: garbage(dice, 3) for name in dice.sample(WORDS, 5)}
    row |= {
        "id": "501",
        "from": {"id": "501"},
        "to": {"id": garbage(dice, 4)},
        "properties": garbage(dice, 3),
    }
    return {
        "inputs": [row],
        "filterGroups": [{"filters": [row]}],
        **{name: garbage(dice, 2) for name in WORDS[-8:]},
    }


@pytest.mark.parametrize("path", PATHS)
def test_no_body_makes_the_stand_in_itself_fail(crm: World, path: str) -> None:
    dice = random.Random(path)
    crm.hub.create("contacts", {"email": "ana@example.com"})
    crm.hub.create("deals", {"dealname": "Fornos"})
    for n in range(60):
        body = garbage(dice) if n % 2 else near(dice)
        answer = crm.session.post(crm.hub.url + path, data=json_of(body), timeout=60)
        assert answer.status_code < 500, (body, answer.text)


def json_of(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        return b'{"inputs": 1000000000000000000000000000000}'


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 5000, b'{"properties": {"email": NaN}}']
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_no_bytes_make_the_stand_in_itself_fail(crm: World, method: str, raw: bytes) -> None:
    ana = crm.hub.create("contacts", {"firstname": "Ana"})
    path = CONTACTS if method == "POST" else f"{CONTACTS}/{ana}"
    assert crm.session.request(method, crm.hub.url + path, data=raw, timeout=60).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=-1",
        "after=%00",
        "after=١٢",
        "limit=²",
        "associations=nothing",
        "archived=maybe&idProperty=x",
    ],
)
def test_no_query_makes_the_stand_in_itself_fail(crm: World, query: str) -> None:
    assert crm.get(f"{CONTACTS}?{query}").status_code in (200, 400)
    assert crm.get(f"{CONTACTS}/501?{query}").status_code in (400, 404)
