"""Chaos in small: whatever fails, dies and is changed by people meanwhile, everything stands once and in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos import chaos

SIZE = {"memory": (24, 6), "hubspot": (15, 5)}
"""Interactions and people of a run: `python -m benchmarks.chaos` does the same with many."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crm", "seed"),
    [
        *(("memory", seed) for seed in range(1, 6)),
        *(("hubspot", seed) for seed in range(1, 3)),
    ],
)
def test_chaos_leaves_everything_once_and_in_its_place(tmp_path: Path, crm: str, seed: int) -> None:
    interactions, contacts = SIZE[crm]
    store = f"sqlite:///{tmp_path / 'store.db'}"
    found = chaos(tmp_path, store, crm=crm, seed=seed, interactions=interactions, contacts=contacts)
    assert found.faults == [], "\n".join(found.trail)
    assert found.kills
