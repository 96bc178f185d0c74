"""What the tests of delivery have in common: a CRM that refuses writes, and trying them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bridge.engine import commands
from bridge.model import Receipt, Write
from bridge_memory import Memory
from tests.sync_world import World


def refuse(
    error: Exception, unless: Callable[[Write], bool] = lambda write: False
) -> Callable[[Memory, Sequence[Write]], Iterator[Receipt]]:
    """Return a push that refuses each write, but for some."""

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if unless(write):
                yield from Memory.push(memory, [write])
            else:
                yield Receipt(key=write.key, error=error)  # type: ignore[arg-type]

    return push


def replay(world: World, group: str | None = None) -> None:
    commands.replay(world.runtime, {"group": group})


def is_contact(write: Write) -> bool:
    return write.stream == "contacts"
