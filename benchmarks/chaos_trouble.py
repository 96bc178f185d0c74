"""What goes wrong with calls to a vendor's API in the chaos run."""

from __future__ import annotations

import random
from typing import Any


def http_trouble(
    levers: Any, chance: random.Random, late: float, *, writes: tuple[str, str]
) -> tuple[str, str]:
    """Aim one fault at calls to come, of every kind that a vendor's API has; its limits and its lag are its own."""
    kind = chance.choice(["late", "lost", "after", "before", "limit", "garbage", "gone", "lag"])
    method, path = chance.choice([writes, writes, ("PATCH", ""), ("", "")])
    if kind in ("late", "lost", "after") and method == "":
        method, path = writes
    aim = {"method": method, "path": path, "nth": chance.randint(1, 3), "times": chance.randint(1, 3)}
    if kind == "late":
        levers.drop(**aim, commits=late)
    elif kind == "lost":
        levers.drop(**aim, commits=0.0)
    elif kind == "after":
        levers.fail(chance.choice([500, 502, 504]), **aim, commits=0.0)
    elif kind == "before":
        levers.fail(chance.choice([500, 502, 503]), **aim)
    elif kind == "garbage":
        levers.fail(200, **aim, body="<html>maintenance</html>", commits=chance.choice([None, 0.0]))
    elif kind == "gone":
        levers.drop(**aim)
    return kind, f"{kind} {method} {path} {aim['nth']}x{aim['times']}"
