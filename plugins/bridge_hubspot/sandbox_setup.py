"""What an account of the stand-in has set up: properties, groups, owners, pipelines, and which values fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import orjson

from bridge import Json
from bridge_hubspot.sandbox_answers import VALIDATION, Refusal, invalid, obj
from bridge_hubspot.sandbox_catalog import DEAL_PIPELINE, OWNERS, Kind, Owner, Pipeline, Property
from bridge_hubspot.sandbox_derived import headers_fit
from bridge_hubspot.sandbox_properties import GROUPS, PROPERTIES
from bridge_hubspot.sandbox_values import Unfit, kept


class Setup:
    """Hold the settings of one account; `properties` and `groups` are by object type and name."""

    def __init__(self) -> None:
        self.owners: list[Owner] = list(OWNERS)
        self.pipelines: list[Pipeline] = [DEAL_PIPELINE]
        self.properties: dict[str, dict[str, Property]] = {
            kind: {definition.name: definition for definition in definitions}
            for kind, definitions in PROPERTIES.items()
        }
        self.groups: dict[str, dict[str, str]] = {kind: dict([group]) for kind, group in GROUPS.items()}

    def definition(self, kind: Kind, name: str) -> Property | None:
        """Return a property that is not archived, with the options that stand elsewhere filled in."""
        definition = self.properties[kind.name].get(name)
        if definition is None or definition.archived:
            return None
        options: list[tuple[str, str]] = []
        match definition.refers_to:
            case "OWNER":
                options = [
                    (owner.id, f"{owner.first_name} {owner.last_name}")
                    for owner in self.owners
                    if not owner.archived
                ]
            case "PIPELINE":
                options = [(pipeline.id, pipeline.label) for pipeline in self.pipelines]
            case "STAGE":
                options = [
                    (stage.id, stage.label) for pipeline in self.pipelines for stage in pipeline.stages
                ]
            case _:
                return definition
        return dataclasses.replace(definition, options=tuple(options))

    def require_unique(self, kind: Kind, name: str) -> None:
        """Raise Refusal unless `name` can stand for a record's id."""
        definition = self.properties[kind.name].get(name)
        if name not in kind.unique and not (definition and definition.unique and not definition.archived):
            raise invalid(f"Unable to perform update/upsert by non-unique {kind.type_id} property: {name}")

    def checked(self, kind: Kind, properties: Json, *, person: bool) -> dict[str, str | None]:
        """Return the values as they will be kept. Raises Refusal naming every property that does not fit."""
        values: dict[str, str | None] = {}
        wrong: list[tuple[str, str, str]] = []
        for name, value in obj(properties, "properties").items():
            definition = self.definition(kind, name)
            if definition is None:
                wrong.append((name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
            elif definition.read_only and not person:
                message = f'"{name}" is a read only property; its value cannot be set.'
                wrong.append((name, "READ_ONLY_VALUE", message))
            else:
                try:
                    values[name] = kept(definition, value)
                except Unfit as unfit:
                    wrong.append((name, unfit.code, str(unfit)))
        if values.get("hs_email_headers") and not headers_fit(values["hs_email_headers"] or ""):
            wrong.append(("hs_email_headers", "INVALID_JSON", "hs_email_headers is not a JSON object"))
        if wrong:
            listed = [
                {"isValid": False, "message": message, "error": code, "name": name}
                for name, code, message in wrong
            ]
            raise Refusal(
                400,
                VALIDATION,
                f"Property values were not valid: {orjson.dumps(listed).decode()}",
                rows=[
                    {"message": message, "code": code, "context": {"propertyName": [name]}}
                    for name, code, message in wrong
                ],
            )
        return values

    def unique_values(self, kind: Kind, values: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
        """Yield every (property, value) that only one record may hold; every address counts as `email`."""
        for name, value in values.items():
            if not value:
                continue
            if kind.name == "contacts" and name in ("email", "hs_additional_emails"):
                yield from (("email", email.strip().lower()) for email in value.split(";") if email.strip())
            elif (definition := self.properties[kind.name].get(name)) is not None and definition.unique:
                yield name, value.lower()
