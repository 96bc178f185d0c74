"""What the tests of resolving have in common: collecting and resolving, and what then stands in the journeys."""

from __future__ import annotations

from typing import Any

from bridge.model import Page, Record
from bridge.store import entities
from bridge.store.tables import journey, node
from tests.sync_world import World


def waiting(world: World) -> list[str]:
    return sorted(row.name for row in world.rows(journey) if row.waiting_since is not None)


def interactions(world: World) -> dict[str, Any]:
    with world.runtime.database.read() as c:
        found = entities.load_interactions(c, [one.key for one in world.rows(node)])
    return {entity_id: one.body for entity_id, one in found.items()}


def take(world: World) -> None:
    """Collect and resolve, one record a page, so that the order of the folder is the order of everything."""
    assert world.collect() == []
    world.resolve()


def page_of(*items: Record) -> Page:
    return Page(records=items, cursor={"offset": 0})
