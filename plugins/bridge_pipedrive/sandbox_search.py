"""How Pipedrive searches: by words in named fields, over what its index has seen so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from bridge import Json
from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Answer, Asked, unfit
from bridge_pipedrive.sandbox_kinds import KINDS, Kind
from bridge_pipedrive.sandbox_lists import number_of, paged
from bridge_pipedrive.sandbox_rows import Row, Version
from bridge_pipedrive.sandbox_v2 import Endpoint

_ITEMS_AT_ONCE = 100
_SEARCHABLE = ("address", "varchar", "text", "varchar_auto", "double", "monetary", "phone")
_FIELDS = {
    "persons": ("custom_fields", "email", "notes", "phone", "name"),
    "organizations": ("address", "custom_fields", "notes", "name"),
    "deals": ("custom_fields", "notes", "title"),
    "leads": ("custom_fields", "notes", "title"),
}
_NOT_HERE = ("product", "file", "mail_attachment", "project")
_ITEM_FIELDS = (
    *("address", "code", "custom_fields", "email", "name", "notes", "phone", "title", "description"),
)
_LINKS = {"person_id": "person", "org_id": "organization", "organization_id": "organization"}
_FILTERS = {"person_id": ("person_id",), "organization_id": ("org_id", "organization_id")}

Texts = Mapping[str, list[str]]
"""Field of a search -> the texts it looks at."""


def searcher(kind: Kind) -> Endpoint:
    """Return the search for one type of object."""

    def search(account: Account, asked: Asked) -> Answer:
        wanted = _choice(asked, "fields", _FIELDS[kind.name])
        return _answer(asked, list(_hits(account, asked, kind, wanted)), most=500)

    return search


def search_items(account: Account, asked: Asked) -> Answer:
    """Search several types of objects; related items are not looked for."""
    entities = {KINDS[name].entity: KINDS[name] for name in _FIELDS}
    types = _choice(asked, "item_types", (*entities, *_NOT_HERE))
    wanted = _choice(asked, "fields", _ITEM_FIELDS)
    found = [
        hit
        for entity, kind in entities.items()
        if entity in types
        for hit in _hits(account, asked, kind, wanted)
    ]
    return _answer(asked, found, most=_ITEMS_AT_ONCE)


def search_field(account: Account, asked: Asked) -> Answer:
    """Search the values of one field, with respect to upper and lower case."""
    match = asked.query.get("match") or "exact"
    if match not in ("exact", "beginning", "middle"):
        raise unfit("match", "must be one of exact, beginning, middle")
    entities = {KINDS[name].entity: KINDS[name] for name in _FIELDS}
    entity, code = asked.query.get("entity_type", ""), asked.query.get("field", "")
    if entity not in entities:
        raise unfit("entity_type", f"must be one of {', '.join(entities)}")
    if not code:
        raise unfit("field", "is required")
    term = _term(asked, exact=match == "exact")
    fits: Callable[[str], bool] = {
        "exact": lambda text: text == term,
        "beginning": lambda text: text.startswith(term),
        "middle": lambda text: term in text,
    }[match]
    kind = entities[entity]
    found: list[Json] = []
    for row, version in _indexed(account, kind):
        value = version.custom.get(code) if code in version.custom else version.values.get(code)
        if value is not None and any(fits(text) for text in _words(value)):
            found.append({"result_score": 1.0, "item": {"id": row.id, code: value}})
    page, cursor = paged(asked, found)
    return Answer(body={"success": True, "data": page, "additional_data": {"next_cursor": cursor}})


def _answer(asked: Asked, found: list[Json], *, most: int) -> Answer:
    page, cursor = paged(asked, found, most=most)
    return Answer(body={"success": True, "data": {"items": page}, "additional_data": {"next_cursor": cursor}})


def _choice(asked: Asked, parameter: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(asked.names(parameter))
    if unknown := [word for word in chosen if word not in allowed]:
        raise unfit(parameter, f"{unknown[0][:20]} must be one of {', '.join(allowed)}")
    return chosen or allowed


def _term(asked: Asked, *, exact: bool) -> str:
    term = asked.query.get("term", "").strip()
    if len(term) < (1 if exact else 2):
        raise unfit("term", f"must have at least {1 if exact else 2} characters")
    return term


def _hits(account: Account, asked: Asked, kind: Kind, wanted: tuple[str, ...]) -> Iterator[Json]:
    exact = asked.flag("exact_match")
    term = _term(asked, exact=exact).casefold()
    status = asked.query.get("status")
    for row, version in _indexed(account, kind):
        texts = _texts(account, kind, row, version)
        words = [text.casefold() for name in wanted for text in texts.get(name, ())]
        if not any(term == word if exact else term in word for word in words):
            continue
        if status and version.values.get("status") != status:
            continue
        if any(
            parameter in asked.query
            and number_of(asked, parameter, 0) not in [version.values.get(name) for name in names]
            for parameter, names in _FILTERS.items()
        ):
            continue
        yield {"result_score": 1.0 if exact else 0.5, "item": _item(account, kind, row, version, texts)}


def _indexed(account: Account, kind: Kind) -> Iterator[tuple[Row, Version]]:
    """Yield the records as the index has them, which may be a while ago."""
    moment = account.clock() - timedelta(seconds=account.levers.index_lag)
    for row in account.rows(kind, deleted=None):
        version = row.as_of(moment)
        if version is not None and not version.deleted:
            yield row, version


def _texts(account: Account, kind: Kind, row: Row, version: Version) -> Texts:
    owner = "deals" if kind.name == "leads" else kind.name
    fields = account.setup.fields[owner]
    held = version.values
    return {
        kind.title: [str(held[kind.title])],
        "email": [one["value"] for one in held.get("emails") or ()],
        "phone": [one["value"] for one in held.get("phones") or ()],
        "address": [str(held["address"].get("value") or "")] if held.get("address") else [],
        "notes": [entry.name for entry in account.entries(row) if entry.kind.name == "notes"],
        "custom_fields": [
            word
            for code, value in version.custom.items()
            if code in fields and fields[code].type in _SEARCHABLE
            for word in _words(value)
        ],
    }


def _words(value: Json) -> list[str]:
    if isinstance(value, Mapping):
        return [str(value.get("value") or "")]
    if isinstance(value, list):
        return [word for one in value for word in _words(one)]
    return [str(value)]


def _item(account: Account, kind: Kind, row: Row, version: Version, texts: Texts) -> dict[str, Json]:
    held = version.values
    found: dict[str, Json] = {
        "id": row.id,
        "type": kind.entity,
        kind.title: held[kind.title],
        "visible_to": int(held["visible_to"]),
        "owner": {"id": held["owner_id"]},
        "custom_fields": texts["custom_fields"],
        "notes": texts["notes"],
    }
    if kind.name == "persons":
        found |= {"phones": texts["phone"], "emails": texts["email"]}
    for name, link in _LINKS.items():
        target = account.get(KINDS[f"{link}s"], held.get(name))
        if target is not None:
            found[link] = {"id": target.id, "name": target.name}
    if kind.name == "organizations":
        found["address"] = next(iter(texts["address"]), None)
    if kind.name == "deals":
        stage = account.get(KINDS["stages"], held["stage_id"])
        found |= {name: held[name] for name in ("value", "currency", "status", "is_archived")}
        found["stage"] = {"id": held["stage_id"], "name": stage.name if stage else ""}
    if kind.name == "leads":
        found["is_archived"] = held["is_archived"]
    return found
