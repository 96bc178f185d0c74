"""Who is held back from a CRM: noted with each look, counted by reason, and told once they are queued no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bridge.cli import report
from bridge.store import looks
from bridge.store.database import Database
from bridge.store.held_back import held_people, held_reasons, note_held
from bridge.sync.delivery.plan_values import Action

CRM, OTHER = 3, 4


@pytest.fixture
def c(database_url: str, tmp_path: Path) -> Iterator[Connection]:
    database = Database(database_url, blobs=tmp_path / "blobs")
    database.migrate()
    with database.writer.connect() as connection:
        people = {f"p{number}": "no rule" for number in range(4)} | {"q": "could be 1 or 2"}
        note_held(connection, CRM, people, people)
        note_held(connection, OTHER, people, {})
        yield connection
    database.close()


def test_the_rarest_reasons_are_told_first_and_those_of_one_crm(c: Connection) -> None:
    reasons = held_reasons(c, CRM)
    assert list(reasons.items()) == [("could be 1 or 2", 1), ("no rule", 4)]
    assert [one.person_id for one in held_people(c, CRM, reasons)] == ["q", "p0", "p1", "p2", "p3"]
    assert [one.person_id for one in held_people(c, CRM, reasons, limit=3)] == ["q", "p0", "p1"]
    assert held_reasons(c, OTHER) == {}


def test_who_is_looked_at_again_is_held_back_only_if_that_look_says_so(c: Connection) -> None:
    looks.touch(c, CRM, ["p0", "q"], 1)
    assert held_reasons(c, CRM) == {"no rule": 3}, "who is queued is planned anew"
    assert [one.person_id for one in held_people(c, CRM, held_reasons(c, CRM), limit=1)] == ["p1"]
    looks.untouch(c, CRM, {"p0": 1, "q": 1})
    note_held(c, CRM, ["p0", "q"], {"p0": "no rule at all", "p1": "not looked at"})
    assert held_reasons(c, CRM) == {"no rule at all": 1, "no rule": 3}


def test_a_plan_names_some_of_many_who_are_held_back_and_counts_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    held = [Action(kind="hold", person_id=one, name=one, reason="no rule") for one in ("p1", "p2", "p2")]
    report.show_plan(held, more=1_234, details=False)
    said = capsys.readouterr().out.splitlines()
    assert said[0:2] == ["p1", "  ! held: no rule"]
    assert said[-2] == "1,234 more people held back: crmbridge plan --details"
    assert "1,236 people held back, for the reasons above." in said[-1]
