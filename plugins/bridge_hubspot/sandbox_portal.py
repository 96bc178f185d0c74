"""The records of one HubSpot account: how they are read, checked, written, linked and merged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from bridge import Json
from bridge_hubspot.sandbox_answers import (
    CONFLICT,
    VALIDATION,
    Refusal,
    ident,
    invalid,
    link_type,
    not_found,
    obj,
)
from bridge_hubspot.sandbox_catalog import KINDS, LINK_TARGETS, Kind
from bridge_hubspot.sandbox_derived import backwards, derived
from bridge_hubspot.sandbox_faults import Levers
from bridge_hubspot.sandbox_items import API, WORKED_OUT, Change, Claims, Draft, Item, Origin
from bridge_hubspot.sandbox_links import End, Links
from bridge_hubspot.sandbox_setup import Setup
from bridge_hubspot.sandbox_values import instant_of, instant_text


class Portal:
    """Keep the records of one account; hold `lock` around every use, and call `settle` first."""

    def __init__(
        self, *, portal_id: str, clock: Callable[[], datetime], levers: Levers, time_zone: str, currency: str
    ) -> None:
        self.id = portal_id
        self.clock = clock
        self.levers = levers
        self.time_zone = time_zone
        self.currency = currency
        self.lock = threading.RLock()
        self.links = Links()
        self.setup = Setup()
        self._items: dict[str, dict[str, Item]] = {kind.name: {} for kind in KINDS}
        self._merged: dict[End, str] = {}
        self._claims: dict[str, dict[tuple[str, str], str]] = {kind.name: {} for kind in KINDS}
        self._held: dict[End, set[tuple[str, str]]] = {}
        # Every type counts from the same number: a client that forgets the type takes one for the other.
        self._last_id = {kind.name: 500 for kind in KINDS}
        self._late: list[tuple[datetime, Callable[[], object]]] = []

    def later(self, seconds: float, write: Callable[[], object]) -> None:
        """Make a write once `seconds` of the clock have passed."""
        self._late.append((self.clock() + timedelta(seconds=seconds), write))

    def settle(self) -> None:
        """Make the late writes whose time has come, oldest first."""
        now = self.clock()
        due = sorted((late for late in self._late if late[0] <= now), key=lambda late: late[0])
        self._late = [late for late in self._late if late[0] > now]
        for _, write in due:
            write()

    # Reading

    def items(self, kind: Kind, *, archived: bool = False) -> Iterator[Item]:
        """Yield the records of a type, lowest id first; archived ones or the others."""
        for item in self._items[kind.name].values():
            if (item.archived_at is not None) is archived:
                yield item

    def get(self, kind: Kind, id: str, *, by: str = "", archived: bool = False) -> Item | None:
        """Return a record by its id, by an id merged into it, or by the unique property `by`; else None."""
        if by and by != "hs_object_id":
            self.setup.require_unique(kind, by)
            id = self._claims[kind.name].get((by, id.strip().lower()), "")
        end = End(kind.name, id)
        while end in self._merged:
            end = End(kind.name, self._merged[end])
        item = self._items[kind.name].get(end.id)
        return item if item is not None and (item.archived_at is not None) is archived else None

    def demand(self, kind: Kind, id: str, *, by: str = "", archived: bool = False) -> Item:
        """Return a record as `get` does. Raises Refusal 404."""
        item = self.get(kind, id, by=by, archived=archived)
        if item is None:
            raise not_found()
        return item

    def activities(self, record: Item) -> list[Item]:
        """Return the activities linked to a contact, company or deal, newest first."""
        found = [
            item
            for kind in KINDS
            if kind.engagement
            for end in self.links.of(record.end, kind.name)
            if (item := self.get(kind, end.id)) is not None
        ]
        return sorted(
            found, key=lambda item: (instant_of(item.properties["hs_timestamp"]), item.end), reverse=True
        )

    # Writing

    def draft_create(
        self,
        kind: Kind,
        properties: Json,
        links: Json = None,
        *,
        person: bool = False,
        claims: Claims | None = None,
    ) -> Draft:
        """Check a new record; `claims` carries what the batch took before it. Raises Refusal."""
        values = self.setup.checked(kind, properties, person=person)
        self._last_id[kind.name] += 1
        draft = Draft(
            kind=kind,
            id=str(self._last_id[kind.name]),
            item=None,
            values=values,
            links=self._ends(kind, links),
        )
        self._enforce(draft, claims if claims is not None else {}, person=person)
        return draft

    def draft_update(
        self,
        kind: Kind,
        item: Item,
        properties: Json,
        *,
        person: bool = False,
        claims: Claims | None = None,
    ) -> Draft:
        """Check a change of a record. Raises Refusal."""
        values = self.setup.checked(kind, properties, person=person)
        if not person and backwards(item.properties.get("lifecyclestage"), values.get("lifecyclestage")):
            values.pop("lifecyclestage")
        draft = Draft(kind=kind, id=item.id, item=item, values=values)
        self._enforce(draft, claims if claims is not None else {}, person=person)
        return draft

    def commit(self, draft: Draft, *, origin: Origin = API) -> Item:
        """Make a write that was found good."""
        now = self.clock()
        item = draft.item
        values: dict[str, str | None] = dict(draft.values)
        if item is None:
            item = Item(kind=draft.kind, id=draft.id, created_at=now, updated_at=now, indexed_from=now)
            self._items[draft.kind.name][item.id] = item
            values |= {
                "hs_object_id": item.id,
                "hs_object_source": origin.type,
                "hs_object_source_label": origin.type,
                draft.kind.created: values.get(draft.kind.created) or instant_text(now),
            }
            if draft.kind.name == "deals":
                values["pipeline"] = values.get("pipeline") or self.setup.pipelines[0].id
        self.write(item, values, origin)
        for end, type_id in draft.links:
            self.link(item.end, end, type_id)
        return item

    def write(self, item: Item, values: Mapping[str, str | None], origin: Origin) -> None:
        """Set properties of a record, and what follows from them; nothing changes where nothing differs."""
        now = self.clock()
        changed = {name: value for name, value in values.items() if item.properties.get(name) != value}
        if not changed:
            return
        self._apply(item, changed, origin, now)
        self._apply(
            item, derived(item.kind, item.properties, changed, self.setup.pipelines, now), origin, now
        )
        item.updated_at = now
        self._apply(item, {item.kind.modified: instant_text(now)}, origin, now)
        self._claim(item)

    def link(self, source: End, target: End, type_id: int | None = None) -> None:
        """Link two records and keep the contact's primary company. Raises KeyError for an unknown type."""
        self.links.add(source, target, type_id)
        self._follow(source, target)

    def unlink(self, source: End, target: End, type_id: int | None = None) -> None:
        self.links.remove(source, target, type_id)
        self._follow(source, target)

    def archive(self, item: Item) -> None:
        """Put a record into the recycle bin; its unique values are free again."""
        item.archived_at = item.updated_at = self.clock()
        self._unclaim(item.end)

    def purge(self, item: Item) -> None:
        """Remove a record for good, as a privacy deletion does."""
        self._unclaim(item.end)
        self.links.drop(item.end)
        del self._items[item.kind.name][item.id]

    def merge(self, kind: Kind, primary: Item, other: Item, origin: Origin = API) -> Item:
        """
        Merge `other` into `primary` and return what results, under a new id unless the account preserves it.

        The primary's values win; both old ids resolve to the result.
        """
        now = self.clock()
        values: dict[str, str | None] = {**other.properties, **primary.properties}
        emails = [
            email
            for item in (primary, other)
            for name in ("email", "hs_additional_emails")
            for email in item.properties.get(name, "").split(";")
            if email
        ]
        if kind.name == "contacts":
            values["hs_additional_emails"] = ";".join(dict.fromkeys(emails[1:])) or None
        absorbed = [
            *primary.properties.get("hs_merged_object_ids", "").split(";"),
            *other.properties.get("hs_merged_object_ids", "").split(";"),
            *([] if self.levers.preserve_primary_id else [primary.id]),
            other.id,
        ]
        values["hs_merged_object_ids"] = ";".join(dict.fromkeys(id for id in absorbed if id))
        values[kind.created] = min(primary.properties[kind.created], other.properties[kind.created])
        if self.levers.preserve_primary_id:
            result = primary
        else:
            self._last_id[kind.name] += 1
            result = Item(
                kind=kind,
                id=str(self._last_id[kind.name]),
                created_at=min(primary.created_at, other.created_at),
                updated_at=now,
                indexed_from=now,
                history={name: list(changes) for name, changes in primary.history.items()},
                properties=dict(primary.properties),
            )
            self._items[kind.name][result.id] = result
        for old in (primary, other):
            if old is not result:
                self._unclaim(old.end)
                self.links.move(old.end, result.end)
                del self._items[kind.name][old.id]
                self._merged[old.end] = result.id
        values["hs_object_id"] = result.id
        seen = [item.properties.get("notes_last_updated", "") for item in (primary, other)]
        values["notes_last_updated"] = max(seen) or None
        self.write(result, values, origin)
        return result

    # Rules

    def _enforce(self, draft: Draft, claims: Claims, *, person: bool) -> None:
        """Hold a draft against what it would make of the record: required, fitting and unique values."""
        before = draft.item.properties if draft.item else {}
        after = {name: value for name, value in {**before, **draft.values}.items() if value}
        by_admin = () if person else self.levers.required.get(draft.kind.name, ())
        missing = [name for name in (*draft.kind.required, *by_admin) if name not in after]
        if missing:
            verb = "updating" if draft.item else "creating"
            raise Refusal(
                400,
                VALIDATION,
                f"Error {verb} {draft.kind.singular.upper()}. Some required properties were not set.",
                rows=[
                    {
                        "message": f'Property "{name}" is required',
                        "code": "REQUIRED_PROPERTY",
                        "context": {"propertyName": [name]},
                    }
                    for name in missing
                ],
                context={"properties": missing},
            )
        if draft.kind.name == "deals" and after.get("dealstage"):
            pipeline_id = after.get("pipeline") or self.setup.pipelines[0].id
            pipeline = next(one for one in self.setup.pipelines if one.id == pipeline_id)
            if after["dealstage"] not in [stage.id for stage in pipeline.stages]:
                raise invalid(
                    f"dealstage {after['dealstage']} is not a stage of pipeline {pipeline_id}",
                    code="INVALID_OPTION",
                    context={"propertyName": ["dealstage"]},
                )
        for name, value in self.setup.unique_values(draft.kind, draft.values):
            holder = self._claims[draft.kind.name].get((name, value)) or claims.get((name, value))
            if holder is not None and holder != draft.id:
                if draft.kind.name == "contacts" and name == "email":
                    raise Refusal(409, CONFLICT, f"Contact already exists. Existing ID: {holder}")
                raise invalid(
                    f"{holder} already has that value.",
                    code="CONFLICTING_UNIQUE_VALUE",
                    context={"propertyName": [name]},
                )
            claims[name, value] = draft.id

    def _ends(self, kind: Kind, links: Json) -> tuple[tuple[End, int], ...]:
        """Return the ends of inline associations, with their type ids. Raises Refusal."""
        if links is None:
            return ()
        if not isinstance(links, list):
            raise invalid("Invalid input JSON: associations must be a list")
        found: list[tuple[End, int]] = []
        for link in links:
            row = obj(link, "each of associations")
            id = ident(obj(row.get("to"), "to").get("id"), "to.id")
            types = row.get("types")
            if not isinstance(types, list) or not types:
                raise invalid("Invalid input JSON: types must be a list with at least one association type")
            for spec in types:
                type_id = link_type(spec)
                target = LINK_TARGETS.get((kind.name, type_id))
                if target is None:
                    raise invalid(f"association type id {type_id} doesn't exist from {kind.singular}")
                item = self.get(target, id)
                if item is None:
                    name = target.singular.upper()
                    raise Refusal(
                        400,
                        VALIDATION,
                        f"{name}={id} is not valid",
                        context={name: [id]},
                        sub_category="crm.associations.INVALID_OBJECT_IDS",
                    )
                found.append((item.end, type_id))
        return () if self.levers.ignore_inline_links else tuple(found)

    def _claim(self, item: Item) -> None:
        self._unclaim(item.end)
        held = set(self.setup.unique_values(item.kind, item.properties))
        self._held[item.end] = held
        for claim in held:
            self._claims[item.kind.name][claim] = item.id

    def _unclaim(self, end: End) -> None:
        for claim in self._held.pop(end, ()):
            del self._claims[end.kind][claim]

    def _apply(self, item: Item, values: Mapping[str, str | None], origin: Origin, now: datetime) -> None:
        for name, value in values.items():
            if value:
                item.properties[name] = value
            elif item.properties.pop(name, None) is None:
                continue
            item.history.setdefault(name, []).insert(0, Change(value or "", now, origin))

    def _follow(self, source: End, target: End) -> None:
        """Write what a link changes on its two records: the primary company, the last activity."""
        for end, other in ((source, target), (target, source)):
            item = self._items[end.kind].get(end.id)
            if item is None:
                continue
            if end.kind == "contacts" and other.kind == "companies":
                company = self.links.primary(end)
                self.write(item, {"associatedcompanyid": company.id if company else None}, WORKED_OUT)
            activity = self._items[other.kind].get(other.id)
            if activity is not None and activity.kind.engagement and not item.kind.engagement:
                latest = max(
                    item.properties.get("notes_last_updated", ""), activity.properties["hs_timestamp"]
                )
                self.write(item, {"notes_last_updated": latest}, WORKED_OUT)
