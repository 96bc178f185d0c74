"""What the journey schema says of the field a mapping fills: its shape, its words, its fallback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bridge.journey.schema import Validator, entity_schema, resolved
from bridge.model import Json

FALLBACK_WORDS = ("unknown", "other")
"""What an unknown vendor word becomes: the first of these that the field's list of words has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    A field to be filled.

    `name` is its path in the entity, `participants.role`. `schema` is what it must look like,
    empty where anything may stand; `whole` the schema whose `$defs` it refers to.
    """

    name: str
    schema: Mapping[str, Json]
    whole: Mapping[str, Json]

    @classmethod
    def entity(cls, name: str) -> Target:
        """Return the target that an entity type is as a whole. KeyError if there is no such type."""
        schema = entity_schema(name)
        return cls(name="", schema=schema, whole=schema)

    @property
    def kind(self) -> str:
        """The JSON type that must stand here, empty where any may."""
        return str(self.schema.get("type", "string" if "enum" in self.schema else ""))

    @property
    def fields(self) -> Mapping[str, Json]:
        return self.schema.get("properties") or {}

    @property
    def closed(self) -> bool:
        """Whether only the fields of the schema may stand here."""
        return self.schema.get("additionalProperties") is False

    @property
    def words(self) -> tuple[str, ...]:
        """The only words allowed here, none where any text is."""
        return tuple(self.schema.get("enum", ()))

    @property
    def fallback(self) -> str | None:
        """What an unknown word becomes here, None where the schema has no word for that."""
        return next((word for word in FALLBACK_WORDS if word in self.words), None)

    def field(self, key: str) -> Target:
        """Return the field `key` of this object; anything goes where the schema does not know it."""
        name = f"{self.name}.{key}" if self.name else key
        other = self.schema.get("additionalProperties")
        node = self.fields.get(key, other if isinstance(other, dict) else {})
        return Target(name=name, schema=resolved(self.whole, node), whole=self.whole)

    @property
    def item(self) -> Target:
        """What one item of this list is."""
        node = self.schema.get("items", {})
        return Target(name=self.name, schema=resolved(self.whole, node), whole=self.whole)

    def missing(self, given: Iterable[str]) -> list[str]:
        """List required fields that are not among `given`."""
        present = set(given)
        return [key for key in self.schema.get("required", ()) if key not in present]

    def fault(self, value: Json) -> str:
        """Say what is wrong with a fixed value that is to stand here, nothing when it is fine."""
        if not self.schema:
            return ""
        schema = {**self.schema, "$defs": self.whole.get("$defs", {})}
        problems = Validator(schema, fast=False).check(value)
        return problems[0].message.rstrip(".") if problems else ""


ANYTHING = Target(name="", schema={}, whole={})
"""A field of the vendor's, of which we know nothing."""
