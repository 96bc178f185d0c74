"""What the tests of undo stand on: runs of their own, what the CRM shows, and a world in which all is due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bridge.engine import undo
from bridge.model import Receipt, Write
from bridge.store import runs
from bridge.store.tables import hold
from bridge.store.writer import Priority
from bridge.sync.reversal.undo_state import Scope
from bridge_memory import Memory
from tests.sync_world import World, party

ANA, BIA, DORA = "5511973914862", "5511973914863", "5511973914864"
TEAM = party("from", "rui@example.com", side="team")


def synced(world: World) -> int:
    """Do a whole sync as a run of its own, and return its number."""
    world.clock.sleep(60)
    world.run = world.runtime.writer.run(runs.start_run, "sync", world.clock(), priority=Priority.LIVE)
    world.settled()
    return world.run


def undone(world: World, run: int, person: str | None = None) -> dict[str, Any]:
    return undo.undo(world.runtime, Scope(run=run, person=person))


def released(world: World, *, of: int | None = None, keys: Sequence[str] = ()) -> int:
    some = [row.key for row in world.rows(hold) if row.key in keys or (of is not None and row.run == of)]
    return int(undo.release(world.runtime, {"crm": some})["released"])


def crm(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return what the CRM shows, without when it was changed."""
    return {
        stream: sorted(
            (
                {name: value for name, value in thing.items() if name != "modified" and value is not None}
                for thing in world.there(stream)
            ),
            key=lambda thing: int(thing["id"]),
        )
        for stream in ("contacts", "entries")
    }


def kinds(result: dict[str, Any]) -> Counter[str]:
    return Counter(step["kind"] for step in result["connections"].get("crm", ()))


def reasons(result: dict[str, Any]) -> list[str]:
    return [step["reason"] for step in result["connections"].get("crm", ()) if step["reason"]]


def refusing(error: Exception, of: Callable[[Write], bool]) -> Callable[..., Iterator[Receipt]]:
    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if of(write):
                yield Receipt(key=write.key, error=error)  # type: ignore[arg-type]
            else:
                yield from Memory.push(memory, [write])

    return push


def busy(world: World) -> None:
    """Fill a world in which every kind of write is due."""
    world.contact(name="Ana", phone=f"+{ANA}")
    world.contact(name="Carla", email="carla@x.com")
    world.message("m1", ANA)
    world.message("m2", {"whatsapp_bsuid": "BR.77"}, name="Bia")
    world.message("m3", DORA, name="Dora")
    world.mail("m4", TEAM, party("to", "carla@x.com"), party("cc", "eva@x.com"))
