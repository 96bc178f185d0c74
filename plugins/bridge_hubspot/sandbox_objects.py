"""The object endpoints of HubSpot: one record, lists, search, merge, and batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bridge import Json
from bridge_hubspot.sandbox_answers import (
    NOT_FOUND,
    Answer,
    Asked,
    Refusal,
    ident,
    invalid,
    obj,
    rows,
    text,
    whole,
    words,
)
from bridge_hubspot.sandbox_catalog import PRIMARY_TYPES, Kind, kind_of
from bridge_hubspot.sandbox_items import Change, Claims, Draft, Item
from bridge_hubspot.sandbox_portal import Portal
from bridge_hubspot.sandbox_search import search
from bridge_hubspot.sandbox_values import instant_text

BATCH = 100
_HISTORY_BATCH = 50
_HISTORY = 20
# Read only with a scope of its own; without it the text of mails is withheld.
_MAIL_TEXT = {"hs_email_html", "hs_email_text", "hs_email_subject", "hs_body_preview"}

Row = Mapping[str, Json]


def kind_in(word: str) -> Kind:
    """Return the object type of a path. Raises Refusal."""
    kind = kind_of(word)
    if kind is None:
        raise invalid(f"Unable to infer object type from: {word[:50]}")
    return kind


def shown(
    portal: Portal,
    item: Item,
    *,
    names: Sequence[str] = (),
    everything: bool = False,
    history: Sequence[str] = (),
    held: Mapping[str, str] | None = None,
) -> dict[str, Json]:
    """
    Return a record as HubSpot prints it: the asked properties, null where it has none, and three of its own.

    `everything` adds all it has, `held` replaces its values (the search index's view).
    Unknown names are left out.
    """
    kind = item.kind
    held = item.properties if held is None else held
    asked = [*(names or kind.shown), kind.created, kind.modified, "hs_object_id"]
    if everything:
        asked += held
    withheld = (
        _MAIL_TEXT if kind.name == "emails" and "sales-email-read" in portal.levers.missing_scopes else ()
    )
    known = [name for name in dict.fromkeys(asked) if portal.setup.definition(kind, name)]
    body: dict[str, Json] = {
        "id": item.id,
        "properties": {name: None if name in withheld else held.get(name) for name in sorted(known)},
        "createdAt": instant_text(item.created_at),
        "updatedAt": instant_text(item.updated_at),
        "archived": item.archived_at is not None,
        "url": f"https://app.hubspot.com/contacts/{portal.id}/record/{kind.type_id}/{item.id}",
    }
    if item.archived_at is not None:
        body["archivedAt"] = instant_text(item.archived_at)
    if history:
        body["propertiesWithHistory"] = {
            name: [_entry(change) for change in item.history.get(name, [])[:_HISTORY]]
            for name in history
            if portal.setup.definition(kind, name)
        }
    return body


def _entry(change: Change) -> dict[str, Json]:
    """Return one entry of a property's history as HubSpot prints it, without what it does not know."""
    entry: dict[str, Json] = {
        "value": change.value,
        "timestamp": instant_text(change.at),
        "sourceType": change.origin.type,
    }
    if change.origin.id:
        entry["sourceId"] = change.origin.id
    if change.origin.user_id is not None:
        entry["updatedByUserId"] = change.origin.user_id
    return entry


def _with_links(portal: Portal, item: Item, body: dict[str, Json], targets: Sequence[str]) -> dict[str, Json]:
    """Add the inline associations; a link with two types stands there twice, as at HubSpot."""
    found = {}
    for word in targets:
        target = kind_in(word)
        listed = [
            {"id": end.id, "type": name}
            for end, types in portal.links.of(item.end, target.name).items()
            if portal.get(target, end.id) is not None
            for name in _type_names(item.kind, target, types)
        ]
        if listed:
            found[target.name] = {"results": listed}
    return body | ({"associations": found} if found else {})


def _type_names(kind: Kind, target: Kind, types: set[int]) -> list[str]:
    """Return what a link's types are called: the plain name is the primary one, where a pair knows one."""
    name = f"{kind.singular}_to_{target.singular}"
    primary = PRIMARY_TYPES.get((kind.name, target.name))
    if primary is None:
        return [name]
    return [name, f"{name}_unlabeled"] if primary[0] in types else [f"{name}_unlabeled"]


def list_objects(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    history = asked.names("propertiesWithHistory")
    limit = whole(
        asked.query.get("limit"), "limit", default=10, low=1, high=_HISTORY_BATCH if history else 100
    )
    after = whole(asked.query.get("after"), "after", default=0, low=0, high=10**18)
    targets = asked.names("associations")
    found = [item for item in portal.items(kind, archived=asked.flag("archived")) if int(item.id) >= after]
    found.sort(key=lambda item: int(item.id))
    page, rest = found[:limit], found[limit:]
    body: dict[str, Json] = {
        "results": [
            _with_links(
                portal,
                item,
                shown(portal, item, names=asked.names("properties"), history=history),
                targets,
            )
            for item in page
        ]
    }
    if rest:
        link = f"https://api.hubapi.com{asked.path}?limit={limit}&after={rest[0].id}"
        body["paging"] = {"next": {"after": rest[0].id, "link": link}}
    return Answer(status=200, body=body)


def get_object(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    item = portal.demand(
        kind, asked.words["id"], by=asked.query.get("idProperty", ""), archived=asked.flag("archived")
    )
    history = asked.names("propertiesWithHistory")
    body = shown(portal, item, names=asked.names("properties"), history=history)
    return Answer(status=200, body=_with_links(portal, item, body, asked.names("associations")))


def create_object(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    body = obj(asked.body, "the body")
    item = portal.commit(portal.draft_create(kind, body.get("properties"), body.get("associations")))
    return Answer(status=201, body=shown(portal, item, everything=True))


def update_object(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    properties = obj(asked.body, "the body").get("properties")
    item = portal.demand(kind, asked.words["id"], by=asked.query.get("idProperty", ""))
    item = portal.commit(portal.draft_update(kind, item, properties))
    return Answer(status=200, body=shown(portal, item, names=list(properties or {})))


def archive_object(portal: Portal, asked: Asked) -> Answer:
    """Archive a record; one that is not there counts as archived."""
    kind = kind_in(asked.words["type"])
    item = portal.get(kind, asked.words["id"])
    if item is not None:
        portal.archive(item)
    return Answer(status=204)


def search_objects(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    names = words(obj(asked.body, "the body").get("properties"), "properties")
    page, total, after = search(portal, kind, asked)
    body: dict[str, Json] = {
        "total": total,
        "results": [shown(portal, item, names=names, held=held) for item, held in page],
    }
    if after is not None:
        body["paging"] = {"next": {"after": str(after)}}
    return Answer(status=200, body=body)


def merge_objects(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    if kind.engagement:
        raise invalid(f"{kind.name} can't be merged")
    body = obj(asked.body, "the body")
    primary = portal.demand(kind, ident(body.get("primaryObjectId"), "primaryObjectId"))
    other = portal.demand(kind, ident(body.get("objectIdToMerge"), "objectIdToMerge"))
    if primary is other:
        raise invalid(f"A {kind.singular} can't be merged with itself: {primary.id}")
    return Answer(status=200, body=shown(portal, portal.merge(kind, primary, other), everything=True))


def gdpr_delete(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    body = obj(asked.body, "the body")
    by = text(body.get("idProperty"), "idProperty")
    item = portal.get(kind, ident(body.get("objectId"), "objectId"), by=by)
    if item is not None:
        portal.purge(item)
    return Answer(status=204)


def batch_read(portal: Portal, asked: Asked) -> Answer:
    """Read records by id or unique property; 207 where some are not there."""
    kind = kind_in(asked.words["type"])
    body = obj(asked.body, "the body")
    by = text(body.get("idProperty"), "idProperty")
    if by:
        portal.setup.require_unique(kind, by)
    names = words(body.get("properties"), "properties")
    history = words(body.get("propertiesWithHistory"), "propertiesWithHistory")
    inputs = rows(body, "inputs", BATCH)
    if history and len(inputs) > _HISTORY_BATCH:
        raise invalid(
            "The maximum number of inputs supported in a batch request for property histories is"
            f" {_HISTORY_BATCH}. Please reduce the number of items and try again"
        )
    found: dict[str, Item] = {}
    missing: list[str] = []
    for row in inputs:
        id = ident(row.get("id"), "id")
        item = portal.get(kind, id, by=by, archived=asked.flag("archived"))
        if item is None:
            missing.append(id)
        else:
            found[item.id] = item
    errors = []
    if missing:
        message = (
            f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist. "
            "Check that ids are valid."
        )
        errors = [Refusal(207, NOT_FOUND, message, context={"ids": missing}).row(None)]
    results = [shown(portal, item, names=names, history=history) for item in found.values()]
    return batch_answer(portal, results, errors, good=200)


def batch_archive(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    ids = [ident(row.get("id"), "id") for row in rows(asked.body, "inputs", BATCH)]
    for id in ids:
        item = portal.get(kind, id)
        if item is not None:
            portal.archive(item)
    return Answer(status=204)


def batch_create(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    inputs = rows(asked.body, "inputs", BATCH)

    def draft(row: Row, claims: Claims) -> Draft:
        return portal.draft_create(kind, row.get("properties"), row.get("associations"), claims=claims)

    return _write_batch(portal, inputs, draft, good=201)


def batch_update(portal: Portal, asked: Asked) -> Answer:
    kind = kind_in(asked.words["type"])
    inputs = rows(asked.body, "inputs", BATCH)
    _refuse_repeats(inputs)

    def draft(row: Row, claims: Claims) -> Draft:
        by = text(row.get("idProperty"), "idProperty")
        if by in kind.unique:
            # Batch updates take custom unique properties only, though a single update takes the address too.
            raise invalid(f"Unable to perform update/upsert by non-unique {kind.type_id} property: {by}")
        item = portal.demand(kind, ident(row.get("id"), "id"), by=by)
        return portal.draft_update(kind, item, row.get("properties"), claims=claims)

    return _write_batch(portal, inputs, draft, good=200)


def batch_upsert(portal: Portal, asked: Asked) -> Answer:
    """Create or update by a unique property; inputs have no associations."""
    kind = kind_in(asked.words["type"])
    inputs = rows(asked.body, "inputs", BATCH)
    _refuse_repeats(inputs)
    if any("associations" in row for row in inputs):
        raise invalid("Invalid input JSON: an upsert has no associations")

    def draft(row: Row, claims: Claims) -> Draft:
        by = text(row.get("idProperty"), "idProperty")
        id = ident(row.get("id"), "id")
        properties = obj(row.get("properties"), "properties")
        if by == "hs_object_id":
            raise invalid(f"Unable to perform update/upsert by non-unique {kind.type_id} property: {by}")
        if not by:
            return portal.draft_update(kind, portal.demand(kind, id), properties, claims=claims)
        portal.setup.require_unique(kind, by)
        if by in kind.unique and by not in properties:
            # "Partial upserts are not supported when using email as the idProperty for contacts."
            raise invalid(f"Partial upserts are not supported by {by}; send {by} among the properties")
        item = portal.get(kind, id, by=by)
        properties = {by: id, **properties}
        if item is None:
            return portal.draft_create(kind, properties, claims=claims)
        return portal.draft_update(kind, item, properties, claims=claims)

    return _write_batch(portal, inputs, draft, good=200, upsert=True)


def _refuse_repeats(inputs: Sequence[Row]) -> None:
    seen: set[tuple[str, str]] = set()
    for row in inputs:
        key = (text(row.get("idProperty"), "idProperty"), ident(row.get("id"), "id").strip().lower())
        if key in seen:
            raise invalid(f"Duplicate IDs found in batch input: [{key[1][:50]}]. IDs must be unique")
        seen.add(key)


def _write_batch(
    portal: Portal,
    inputs: Sequence[Row],
    draft: Callable[[Row, Claims], Draft],
    *,
    good: int,
    upsert: bool = False,
) -> Answer:
    """
    Check every input, then write the good ones.

    One bad input fails the whole call, unless every input carries its own objectWriteTraceId:
    then it is a row of a 207. Results come in another order than the inputs.
    """
    traces = [row.get("objectWriteTraceId") for row in inputs]
    named = [trace for trace in traces if isinstance(trace, str) and trace]
    traced = len(set(named)) == len(inputs)
    if upsert and portal.levers.whole_upserts:
        traced = False
    claims: Claims = {}
    drafts: list[tuple[Draft, Json]] = []
    errors = []
    for row, trace in zip(inputs, traces, strict=True):
        try:
            drafts.append((draft(row, claims), trace))
        except Refusal as refusal:
            if not traced:
                raise
            errors.append(refusal.row(str(trace)))
    results = []
    for one, trace in drafts:
        item = portal.commit(one)
        body = shown(portal, item, names=list(one.values), everything=one.item is None)
        if upsert:
            body["new"] = one.item is None
        if isinstance(trace, str):
            body["objectWriteTraceId"] = trace
        results.append(body)
    return batch_answer(portal, results, errors, good=good)


def batch_answer(portal: Portal, results: list[Json], errors: list[Json], *, good: int) -> Answer:
    """Return the envelope of a batch: `good`, or 207 with errors; results come backwards."""
    now = instant_text(portal.clock())
    body: dict[str, Json] = {
        "status": "COMPLETE",
        "results": results[::-1],
        "startedAt": now,
        "completedAt": now,
    }
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return Answer(status=207 if errors else good, body=body)
