"""The association endpoints of HubSpot: batches, single links, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge import Json
from bridge_hubspot.sandbox_answers import (
    NOT_FOUND,
    Answer,
    Asked,
    Refusal,
    ident,
    invalid,
    link_type,
    not_found,
    obj,
    rows,
    whole,
)
from bridge_hubspot.sandbox_catalog import LINK_TYPES, PRIMARY_TYPES, Kind
from bridge_hubspot.sandbox_items import Item
from bridge_hubspot.sandbox_objects import batch_answer, kind_in
from bridge_hubspot.sandbox_portal import Portal

_CREATES = 2_000
_READS = 1_000
_ARCHIVES = 100


def _kinds(asked: Asked) -> tuple[Kind, Kind]:
    source, target = kind_in(asked.words["type"]), kind_in(asked.words["to"])
    if (source.name, target.name) not in LINK_TYPES:
        raise invalid(f"No association types between {source.singular} and {target.singular}")
    return source, target


def _id(row: Mapping[str, Json], name: str) -> str:
    return ident(obj(row.get(name), name).get("id"), f"{name}.id")


def _pair(portal: Portal, kinds: tuple[Kind, Kind], source_id: str, target_id: str) -> tuple[Item, Item]:
    """Return the two records of a link. Raises Refusal that names the one which is not there."""
    found = []
    for kind, id in zip(kinds, (source_id, target_id), strict=True):
        item = portal.get(kind, id)
        if item is None:
            raise Refusal(
                404,
                NOT_FOUND,
                f"No {kind.singular} with ID {id} exists",
                context={"objectId": [id], "objectType": [kind.singular]},
                sub_category="crm.associations.OBJECT_NOT_FOUND",
            )
        found.append(item)
    return found[0], found[1]


def _types(specs: Json) -> list[int]:
    if not isinstance(specs, list) or not specs:
        raise invalid("Invalid input JSON: types must be a list with at least one association type")
    return [link_type(spec) for spec in specs]


def _link(portal: Portal, source: Item, target: Item, types: Sequence[int]) -> None:
    for type_id in types:
        try:
            portal.link(source.end, target.end, type_id)
        except KeyError:
            kinds = f"{source.kind.singular} and {target.kind.singular}"
            raise invalid(f"association type id {type_id} doesn't exist between {kinds}") from None


def _specs(kinds: tuple[Kind, Kind], types: set[int]) -> list[dict[str, Json]]:
    primary = PRIMARY_TYPES.get((kinds[0].name, kinds[1].name), (0, 0))[0]
    return [
        {
            "category": "HUBSPOT_DEFINED",
            "typeId": type_id,
            "label": "Primary" if type_id == primary else None,
        }
        for type_id in sorted(types)
    ]


def _pairing(source: Item, target: Item) -> dict[str, Json]:
    return {
        "fromObjectTypeId": source.kind.type_id,
        "fromObjectId": source.id,
        "toObjectTypeId": target.kind.type_id,
        "toObjectId": target.id,
        "labels": [],
    }


def _default(source: Item, target: Item) -> list[dict[str, Json]]:
    there, back = LINK_TYPES[source.kind.name, target.kind.name]
    return [
        {
            "from": {"id": one.id},
            "to": {"id": other.id},
            "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id},
        }
        for one, other, type_id in ((source, target, there), (target, source, back))
    ]


def batch_create(portal: Portal, asked: Asked) -> Answer:
    """Link pairs; a pair that cannot be linked is a row of a 207 beside the others."""
    kinds = _kinds(asked)
    inputs = [
        (_id(row, "from"), _id(row, "to"), _types(row.get("types")))
        for row in rows(asked.body, "inputs", _CREATES)
    ]
    results, errors = [], []
    for source_id, target_id, types in inputs:
        try:
            source, target = _pair(portal, kinds, source_id, target_id)
            _link(portal, source, target, types)
            results.append(_pairing(source, target))
        except Refusal as refusal:
            errors.append(refusal.row(None))
    return batch_answer(portal, results, errors, good=201)


def batch_default(portal: Portal, asked: Asked) -> Answer:
    kinds = _kinds(asked)
    inputs = [(_id(row, "from"), _id(row, "to")) for row in rows(asked.body, "inputs", _CREATES)]
    results: list[Json] = []
    errors = []
    for source_id, target_id in inputs:
        try:
            source, target = _pair(portal, kinds, source_id, target_id)
            portal.link(source.end, target.end)
            results += _default(source, target)
        except Refusal as refusal:
            errors.append(refusal.row(None))
    return batch_answer(portal, results, errors, good=200)


def batch_read(portal: Portal, asked: Asked) -> Answer:
    """Read the links of many records; one that has none, or is not there, is a row of a 207."""
    kinds = _kinds(asked)
    inputs = [
        (ident(row.get("id"), "id"), whole(row.get("after"), "after", default=0, low=0, high=10**18))
        for row in rows(asked.body, "inputs", _READS)
    ]
    results, errors = [], []
    for id, after in inputs:
        item = portal.get(kinds[0], id)
        page, rest = _page(portal, kinds, item, after, portal.levers.association_page) if item else ([], None)
        if not page:
            message = f"No {kinds[1].singular} is associated with {kinds[0].singular} {id}."
            sub_category = "crm.associations.NO_ASSOCIATIONS_FOUND"
            context = {
                "fromObjectId": [id],
                "fromObjectType": [kinds[0].singular],
                "toObjectType": [kinds[1].singular],
            }
            errors.append(
                Refusal(404, NOT_FOUND, message, context=context, sub_category=sub_category).row(None)
            )
            continue
        result: dict[str, Json] = {"from": {"id": id}, "to": page}
        if rest is not None:
            result["paging"] = {"next": {"after": rest}}
        results.append(result)
    return batch_answer(portal, results, errors, good=200)


def _page(
    portal: Portal, kinds: tuple[Kind, Kind], item: Item, after: int, limit: int
) -> tuple[list[Json], str | None]:
    """Return one page of a record's links from id `after` on, and the id the next one starts with."""
    found = [
        (end, types)
        for end, types in portal.links.of(item.end, kinds[1].name).items()
        if int(end.id) >= after and portal.get(kinds[1], end.id) is not None
    ]
    page = [{"toObjectId": end.id, "associationTypes": _specs(kinds, types)} for end, types in found[:limit]]
    return page, found[limit][0].id if len(found) > limit else None


def batch_archive(portal: Portal, asked: Asked) -> Answer:
    kinds = _kinds(asked)
    pairs: list[tuple[str, str]] = []
    for row in rows(asked.body, "inputs", _ARCHIVES):
        source_id = _id(row, "from")
        pairs += [(source_id, ident(to.get("id"), "to.id")) for to in rows(row, "to", _CREATES)]
    for source_id, target_id in pairs:
        _unlink(portal, kinds, source_id, target_id, None)
    return Answer(status=204)


def batch_labels_archive(portal: Portal, asked: Asked) -> Answer:
    kinds = _kinds(asked)
    inputs = [
        (_id(row, "from"), _id(row, "to"), _types(row.get("types")))
        for row in rows(asked.body, "inputs", _CREATES)
    ]
    for source_id, target_id, types in inputs:
        for type_id in types:
            _unlink(portal, kinds, source_id, target_id, type_id)
    return Answer(status=204)


def _unlink(
    portal: Portal, kinds: tuple[Kind, Kind], source_id: str, target_id: str, type_id: int | None
) -> None:
    source, target = portal.get(kinds[0], source_id), portal.get(kinds[1], target_id)
    if source is not None and target is not None:
        portal.unlink(source.end, target.end, type_id)


def read_labels(portal: Portal, asked: Asked) -> Answer:
    kinds = _kinds(asked)
    pair = (kinds[0].name, kinds[1].name)
    types = {LINK_TYPES[pair][0]} | ({PRIMARY_TYPES[pair][0]} if pair in PRIMARY_TYPES else set())
    return Answer(status=200, body={"results": _specs(kinds, types)})


def put_link(portal: Portal, asked: Asked) -> Answer:
    kinds = _kinds(asked)
    source, target = _pair(portal, kinds, asked.words["id"], asked.words["to_id"])
    _link(portal, source, target, _types(asked.body))
    return Answer(status=201, body=_pairing(source, target))


def put_default(portal: Portal, asked: Asked) -> Answer:
    kinds = _kinds(asked)
    source, target = _pair(portal, kinds, asked.words["id"], asked.words["to_id"])
    portal.link(source.end, target.end)
    return batch_answer(portal, list(_default(source, target)), [], good=200)


def list_links(portal: Portal, asked: Asked) -> Answer:
    kinds = _kinds(asked)
    item = portal.get(kinds[0], asked.words["id"])
    if item is None:
        raise not_found()
    after = whole(asked.query.get("after"), "after", default=0, low=0, high=10**18)
    limit = whole(asked.query.get("limit"), "limit", default=500, low=1, high=500)
    page, rest = _page(portal, kinds, item, after, min(limit, portal.levers.association_page))
    body: dict[str, Json] = {"results": page}
    if rest is not None:
        body["paging"] = {"next": {"after": rest}}
    return Answer(status=200, body=body)


def delete_link(portal: Portal, asked: Asked) -> Answer:
    _unlink(portal, _kinds(asked), asked.words["id"], asked.words["to_id"], None)
    return Answer(status=204)
