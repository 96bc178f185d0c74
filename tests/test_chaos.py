"""Chaos in small: whatever fails, dies and is changed by people meanwhile, everything stands once and in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos import chaos

SIZE = {"memory": (20, 5), "hubspot": (12, 4), "pipedrive": (12, 4)}
"""Interactions and people of a run: `python -m benchmarks chaos` does the same with many, and kills real processes."""

RUNS = [
    *((1, "memory", "sqlite"), (2, "memory", "postgresql"), (3, "memory", "sqlite"), (4, "memory", "sqlite")),
    *((5, "hubspot", "sqlite"), (6, "hubspot", "postgresql"), (7, "hubspot", "sqlite")),
    *((8, "pipedrive", "sqlite"), (9, "pipedrive", "postgresql"), (10, "pipedrive", "sqlite")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "crm", "store"), RUNS)
def test_chaos_leaves_everything_once_and_in_its_place(
    request: pytest.FixtureRequest, tmp_path: Path, seed: int, crm: str, store: str
) -> None:
    interactions, contacts = SIZE[crm]
    url = f"sqlite:///{tmp_path / 'store.db'}"
    if store == "postgresql":
        url = request.getfixturevalue("postgres_server").new_store()
    found = chaos(tmp_path, url, crm=crm, seed=seed, interactions=interactions, contacts=contacts)
    assert found.faults == [], "\n".join(found.trail)
    assert found.kills
