"""HubSpot's search: its limits, its filters, and an index that lags behind the records."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from bridge import Json
from bridge_hubspot.sandbox_answers import Asked, invalid, obj, text, whole, words
from bridge_hubspot.sandbox_catalog import Kind, Property, kind_of
from bridge_hubspot.sandbox_items import Item
from bridge_hubspot.sandbox_links import End
from bridge_hubspot.sandbox_portal import Portal
from bridge_hubspot.sandbox_values import instant_of

WALL = 10_000
_LONGEST_BODY = 3_000
_PAGE = 200
_GROUPS, _FILTERS, _ALL_FILTERS = 5, 6, 18

Found = tuple[Item, Mapping[str, str]]
"""A record and its properties as the index knows them."""

Test = Callable[[Item, Mapping[str, str]], bool]


def search(portal: Portal, kind: Kind, asked: Asked) -> tuple[list[Found], int, int | None]:
    """
    Return one page of what a search finds, how many there are in all, and the next offset or None.

    Limits as in developers.hubspot.com, search the CRM (read 2026-03-30). Raises Refusal.
    """
    if asked.size > _LONGEST_BODY:
        raise invalid(
            f"The request body is {asked.size} characters long; at most {_LONGEST_BODY} are allowed"
        )
    body = obj(asked.body, "the body")
    limit = whole(body.get("limit"), "limit", default=10, low=1, high=_PAGE)
    after = whole(body.get("after"), "after", default=0, low=0, high=10**18)
    if after + limit > WALL:
        raise invalid(
            f"A search pages through {WALL} results only; after {after} with limit {limit} is past that"
        )
    groups = _groups(portal, kind, body.get("filterGroups"))
    query = text(body.get("query"), "query").lower().split()
    order = _order(portal, kind, body.get("sorts"))
    found = [
        (item, held)
        for item, held in _index(portal, kind)
        if (not groups or any(all(test(item, held) for test in group) for group in groups))
        and _mentions(kind, held, query)
    ]
    found.sort(key=lambda one: int(one[0].id))
    if order is not None:
        name, descending = order
        definition = portal.setup.definition(kind, name)
        having = [one for one in found if name in one[1]]
        having.sort(key=lambda one: _rank(definition, one[1][name]), reverse=descending)
        found = having + [one for one in found if name not in one[1]]
    page = found[after : after + limit]
    return page, len(found), after + limit if after + limit < len(found) else None


def _index(portal: Portal, kind: Kind) -> list[Found]:
    """Return every live record as the index knows it: the state of `index_lag` seconds ago."""
    if not portal.levers.index_lag:
        return [(item, item.properties) for item in portal.items(kind)]
    moment = portal.clock() - timedelta(seconds=portal.levers.index_lag)
    return [(item, item.as_of(moment)) for item in portal.items(kind) if item.indexed_from <= moment]


def _groups(portal: Portal, kind: Kind, value: Json) -> list[list[Test]]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > _GROUPS:
        raise invalid(f"filterGroups must be a list of at most {_GROUPS} groups")
    groups = []
    for group in value:
        filters = obj(group, "each of filterGroups").get("filters")
        if not isinstance(filters, list) or len(filters) > _FILTERS:
            raise invalid(f"filters must be a list of at most {_FILTERS} filters in a group")
        groups.append([_filter(portal, kind, obj(row, "each of filters")) for row in filters])
    if sum(len(group) for group in groups) > _ALL_FILTERS:
        raise invalid(f"A search has at most {_ALL_FILTERS} filters in all")
    return groups


def _filter(portal: Portal, kind: Kind, row: Mapping[str, Json]) -> Test:
    name = text(row.get("propertyName"), "propertyName")
    operator = text(row.get("operator"), "operator")
    if name.startswith("associations."):
        return _association(portal, name, operator, row)
    definition = portal.setup.definition(kind, name)
    if definition is None:
        raise invalid(f'There was a problem with the request: property "{name}" does not exist')
    match operator:
        case "HAS_PROPERTY":
            return lambda item, held: name in held
        case "NOT_HAS_PROPERTY":
            return lambda item, held: name not in held
        case "IN" | "NOT_IN":
            wanted = set(words(row.get("values"), "values"))
            if not wanted:
                raise invalid(f"{operator} needs values")
            return _within(definition, wanted, operator == "IN")
        case "BETWEEN":
            low, high = _bound(definition, row.get("value")), _bound(definition, row.get("highValue"))
            return lambda item, held: name in held and low <= _rank(definition, held[name]) <= high
        case "EQ" | "NEQ" | "LT" | "LTE" | "GT" | "GTE":
            bound = _bound(definition, row.get("value"))
            compare = _COMPARISONS[operator]
            # A record without the property passes NEQ only.
            return lambda item, held: (
                compare(_rank(definition, held[name]), bound) if name in held else operator == "NEQ"
            )
        case "CONTAINS_TOKEN" | "NOT_CONTAINS_TOKEN":
            pattern = _tokens(text(row.get("value"), "value"))
            wanted_here = operator == "CONTAINS_TOKEN"
            return lambda item, held: bool(pattern.search(held.get(name, "").lower())) is wanted_here
    raise invalid(f"operator {operator[:30]!r} does not exist")


Rank = tuple[float, str]

_COMPARISONS: dict[str, Callable[[Rank, Rank], bool]] = {
    "EQ": lambda left, right: left == right,
    "NEQ": lambda left, right: left != right,
    "LT": lambda left, right: left < right,
    "LTE": lambda left, right: left <= right,
    "GT": lambda left, right: left > right,
    "GTE": lambda left, right: left >= right,
}


def _rank(definition: Property | None, value: str) -> Rank:
    """Return what a value is compared by: numbers and times by size, texts without regard to case."""
    if definition is not None and definition.type == "number":
        return float(value), ""
    if definition is not None and definition.type in ("date", "datetime"):
        return instant_of(value).timestamp(), ""
    return 0.0, value.lower()


def _bound(definition: Property, value: Json) -> Rank:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise invalid(f"value of the filter on {definition.name} must be a string or a number")
    try:
        return _rank(definition, str(value).strip())
    except (ValueError, OverflowError, OSError):
        raise invalid(
            f"{str(value)[:50]!r} can't be compared with {definition.type} {definition.name}"
        ) from None


def _within(definition: Property, wanted: set[str], inside: bool) -> Test:
    """
    Test a property against a list. Values of text properties must come in lower case, or they match nothing.

    developers.hubspot.com, search the CRM, operators IN and NOT_IN.
    """
    name = definition.name
    fold = definition.type == "string"

    def test(item: Item, held: Mapping[str, str]) -> bool:
        if name not in held:
            return not inside
        return ((held[name].lower() if fold else held[name]) in wanted) is inside

    return test


def _association(portal: Portal, name: str, operator: str, row: Mapping[str, Json]) -> Test:
    target = kind_of(name.removeprefix("associations."))
    if target is None or operator not in ("EQ", "IN"):
        raise invalid(f"There was a problem with the request: {name[:50]} {operator[:30]}")
    ids = [text(row.get("value"), "value")] if operator == "EQ" else words(row.get("values"), "values")
    ends = {item.end for item in (portal.get(target, id) for id in ids) if item is not None}
    kind = target.name

    def test(item: Item, held: Mapping[str, str]) -> bool:
        return any(end in ends for end in portal.links.of(End(item.kind.name, item.id), kind))

    return test


def _tokens(value: str) -> re.Pattern[str]:
    """Return the pattern of a token search: whole words, `*` for any letters."""
    pieces = [re.escape(piece) for piece in value.lower().split("*")]
    pattern = r"[^\s]*".join(pieces)
    return re.compile(rf"(?<!\w){pattern}(?!\w)" if "*" not in value else pattern)


def _order(portal: Portal, kind: Kind, value: Json) -> tuple[str, bool] | None:
    """Return the property to sort by and whether downwards: one rule, as an object or a name."""
    if value is None or value == []:
        return None
    if not isinstance(value, list) or len(value) > 1:
        raise invalid("sorts must be a list with one rule")
    rule = value[0]
    if isinstance(rule, str):
        name, descending = rule.removeprefix("-"), rule.startswith("-")
    else:
        row = obj(rule, "each of sorts")
        name = text(row.get("propertyName"), "propertyName")
        direction = text(row.get("direction"), "direction", "ASCENDING")
        if direction not in ("ASCENDING", "DESCENDING"):
            raise invalid(f"direction {direction[:30]!r} does not exist")
        descending = direction == "DESCENDING"
    if portal.setup.definition(kind, name) is None:
        raise invalid(f'There was a problem with the request: property "{name}" does not exist')
    return name, descending


def _mentions(kind: Kind, held: Mapping[str, str], query: list[str]) -> bool:
    haystack = " ".join(held.get(name, "").lower() for name in kind.searchable)
    return all(word in haystack for word in query)
