"""Who somebody is, asked in tasks: what is answered, what is not, and what becomes of the task."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.work import held_before, plan_all
from bridge.engine import commands, cycle, undo
from bridge.errors import Rejected
from bridge.store.decisions import all_decisions
from bridge.store.tables import decision, entity, hold, intent, question
from bridge.sync.delivery.plan_values import Action
from bridge.sync.identity.decide import revoke
from bridge.sync.identity.reasons import by_whom
from bridge.sync.identity.review import suggestions
from bridge.sync.reversal.undo_state import Scope
from tests.deliver_cases import refuse
from tests.sync_world import PUSH, World, dies
from tests.test_decided import ANA, SENDER, places, say

ASKING = {**PUSH, "ask": {"who": ["undecided", "probable"], "at_most": 2}}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, push=ASKING) as made:
        yield made


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path, push=ASKING) as made:
        yield made


def undecided(
    world: World, number: str = ANA, names: tuple[str, ...] = ("Ana Lima", "Bia Reis")
) -> list[str]:
    """Let several contacts have one number, and somebody write from it; return the contacts."""
    rui = world.put("crm", "owners", name="Rui Costa", email="rui@example.com")
    contacts = [world.contact(name=name, phone=f"+{number}", owner=rui) for name in names]
    world.message(f"m{number[-1]} Oi", number)
    world.settled()
    return contacts


def tasks(world: World) -> list[dict[str, Any]]:
    return [dict(one) for one in world.there("tasks")]


def answer(world: World, task: dict[str, Any], text: str | None, *, done: bool = True) -> None:
    """Write behind ANSWER what a rep writes, and complete the task."""
    changed = {} if text is None else {"text": task["text"].replace("ANSWER:", f"ANSWER: {text}")}
    world.clock.sleep(600)
    world.change("crm", "tasks", task["id"], done=done, changed_by="1", **changed)


def decided(world: World) -> list[tuple[str, str]]:
    with world.runtime.database.read() as c:
        return [(one.decision.kind, one.decision.author) for one in all_decisions(c)]


def said(world: World) -> list[str]:
    """Return what the last line of each suggestion says."""
    return [one.says[-1] for one in suggestions(world.runtime, "undecided")]


def held(world: World) -> list[Action]:
    """Return whom a plan goes on naming as held back."""
    found, count = held_before(world.runtime, world.crm, None)
    assert count == len(found)
    return found


def test_an_answer_is_a_decision_with_author_and_time_that_can_be_taken_back(world: World) -> None:
    ana, bia = undecided(world)
    (task,) = tasks(world)
    assert (task["contact"], task["owner"], task["due"]) == ([ana, bia], "1", "2026-11-22")
    assert said(world) == ["asked in crm: the task is open"]
    answer(world, task, "2")
    at = world.clock()
    world.settled()
    assert places(world) == {"m2": [bia]}
    with world.runtime.database.read() as c:
        (stated,) = all_decisions(c)
    assert stated.decision.records == {SENDER, world.crm.node_key("contacts", bia)}
    assert stated.decision.author == "Rui Costa in the CRM"
    assert stated.decision.reason == f'answered "2" in A folder of text files task {task["id"]}'
    assert abs(stated.decision.at - at.timestamp() * 1e6) < 1e6
    revoke(world.runtime, stated.decision.id, by="rui")
    world.resolve()
    assert world.settled().written == 0
    assert len(list(suggestions(world.runtime, "undecided"))) == len(tasks(world)) == 1
    assert world.rows(entity) and not [row for row in world.rows(entity) if row.stream == "tasks"]


def test_none_of_them_is_an_answer_too(small: World) -> None:
    ana, bia = undecided(small)
    answer(small, tasks(small)[0], "None.")
    small.settled()
    assert decided(small) == [("split", "Rui Costa in the CRM")]
    ((own,),) = places(small).values()
    assert own not in (ana, bia)


def test_whoever_completes_a_task_without_an_answer_links_nobody(small: World) -> None:
    undecided(small)
    answer(small, tasks(small)[0], None)
    small.settled()
    assert (places(small), decided(small)) == ({}, [])
    assert said(small) == ["asked in crm: the task was completed without an answer, by Rui Costa in the CRM"]
    small.contact(name="Caio Melo", phone=f"+{ANA}")
    small.settled()
    assert [one["done"] for one in tasks(small)] == [True, False], "with new evidence it is another question"
    assert small.sync().written == 0


@pytest.mark.parametrize("where", ["behind", "elsewhere"])
def test_what_is_no_answer_is_asked_once_more_and_then_left_to_review(small: World, where: str) -> None:
    _, bia = undecided(small)
    (task,) = tasks(small)
    if where == "behind":
        answer(small, task, "talvez a Ana")
    else:
        task["text"] = f"talvez a Ana\n{task['text']}"
        answer(small, task, "")
    small.settled()
    (again,) = tasks(small)
    assert again["text"].splitlines()[0] == '"talvez a Ana" is no answer.'
    assert (again["done"], places(small), decided(small)) == (False, {}, [])
    if where == "behind":
        assert "ANSWER: \n\nWrite" in again["text"] and again["text"].count("talvez") == 1
        answer(small, again, "3")
        small.settled()
        assert said(small) == [
            'asked in crm: the task was completed with "3", which is no answer, by Rui Costa in the CRM'
        ]
        assert (len(tasks(small)), small.sync().written) == (1, 0)
    else:
        answer(small, again, "2")
        small.settled()
        assert places(small) == {"m2": [bia]}


def test_who_deletes_a_task_dismisses_the_question_until_its_evidence_changes(small: World) -> None:
    undecided(small)
    small.change("crm", "tasks", tasks(small)[0]["id"], deleted=True)
    small.settled()
    assert (tasks(small), said(small)) == ([], [])
    (row,) = small.rows(decision)
    assert (row.author, row.reason) == ("in the CRM", "A folder of text files task 1 was deleted")
    small.contact(name="Caio Melo", phone=f"+{ANA}")
    small.settled()
    assert len(tasks(small)) == len(said(small)) == 1


def test_a_deleted_task_is_asked_anew_once_its_dismissal_is_taken_back(small: World) -> None:
    undecided(small)
    small.change("crm", "tasks", tasks(small)[0]["id"], deleted=True)
    small.settled()
    (one,) = small.rows(decision)
    commands.reopen_suggestion(
        small.runtime, {"key": one.id.split(":")[1], "by": "ada", "reason": "she asks"}
    )
    assert len(said(small)) == 1
    small.settled()
    (task,) = tasks(small)
    assert said(small) == ["asked in crm: the task is open"]
    answer(small, task, "2")
    small.settled()
    assert [kind for kind, _ in decided(small)] == ["link"]
    (one,) = (row for row in small.rows(decision) if row.kind == "dismiss")
    assert (one.author, one.revoked_by) == ("in the CRM", "ada")
    assert small.sync().written == 0


def test_what_was_dismissed_is_asked_again_once_other_evidence_points_to_the_same(small: World) -> None:
    _, bia = undecided(small)
    small.change("crm", "tasks", tasks(small)[0]["id"], deleted=True)
    small.settled()
    assert [one.reason.partition("; ")[2][:9] for one in held(small)] == ["dismissed"]
    small.change("crm", "contacts", bia, name="Ana Lima")
    small.settled()
    assert len(tasks(small)) == len(said(small)) == 1
    assert [one.reason for one in held(small)] == [
        "could be Ana Lima (1) or Ana Lima (2); decide which: crmbridge review"
    ]


@pytest.mark.parametrize("delivered", [False, True])
def test_a_task_is_closed_once_its_question_is_dismissed_here_and_asked_anew_once_taken_back(
    small: World, delivered: bool
) -> None:
    undecided(small)
    (one,) = suggestions(small.runtime, "undecided")
    stated = {"key": one.key, "evidence": one.digest, "records": one.records, "author": "ada"}
    commands.dismiss_suggestion(small.runtime, stated)
    if delivered:
        small.settled()
        (task,) = tasks(small)
        assert task["done"] and task["text"].startswith(
            "No longer asked: it was dismissed in crmbridge.\nWhatsApp"
        )
    commands.reopen_suggestion(small.runtime, {"key": one.key, "by": "ada"})
    small.settled()
    assert [task["done"] for task in tasks(small)] == ([True, False] if delivered else [False])
    assert small.sync().written == 0


@pytest.mark.parametrize("touched", [False, True])
def test_a_question_that_is_decided_otherwise_is_closed_unless_somebody_wrote_in_it(
    small: World, touched: bool
) -> None:
    ana, bia = undecided(small)
    (task,) = tasks(small)
    small.change("crm", "tasks", task["id"], owner="2", due="2026-12-01")
    if touched:
        answer(small, task, "2", done=False)
    say(small, "link", SENDER, ana)
    small.settled()
    assert places(small) == {"m2": [ana]}
    (now,) = tasks(small)
    if not touched:
        assert now["done"] and now["text"] == f"No longer asked: this is Ana Lima.\n{task['text']}"
    else:
        assert not now["done"] and now["text"].endswith(task["text"].partition("ANSWER:")[2])
        small.clock.sleep(600)
        small.change("crm", "tasks", now["id"], done=True)
        small.settled()
        assert places(small) == {"m2": [bia]}, "the newer word holds"
    assert small.sync().written == 0


def test_only_so_many_are_asked_at_once_and_none_any_more_once_it_is_turned_off(small: World) -> None:
    for turn in range(4):
        undecided(small, f"55119739148{turn}6", (f"Ana {'XYZW'[turn]}avier", f"Bia {'XYZW'[turn]}imenes"))
    assert len(tasks(small)) == 2
    answer(small, tasks(small)[0], "1")
    small.settled()
    assert [one["done"] for one in tasks(small)] == [True, False, False]
    small.push = PUSH
    small.start()
    small.settled()
    assert [one["done"] for one in tasks(small)] == [True, True, True]
    assert tasks(small)[1]["text"].startswith("No longer asked: what is known has changed.\n")


def test_the_plan_shows_no_more_tasks_than_are_written_however_many_people_wait(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for turn in range(4):
        for name in ("Ana", "Bia"):
            small.contact(name=f"{name} {'XYZW'[turn]}avier", phone=f"+55119739148{turn}6")
        small.message(f"m{turn}", f"55119739148{turn}6")
    small.collect()
    small.resolve()
    monkeypatch.setattr(cycle, "PEOPLE", 1)
    planned = [action.kind for action in plan_all(small.runtime, small.crm)]
    small.settled()
    assert planned.count("ask") == len(tasks(small)) == 2


def test_whether_somebody_is_a_contact_is_asked_and_a_no_parts_them(small: World) -> None:
    ana = small.contact(name="Ana Lima", phone=f"+{ANA}")
    small.message("m1", ANA)
    small.settled()
    assert places(small) == {"m1": [ana]}
    (task,) = tasks(small)
    assert task["subject"] == "Is WhatsApp +55 11 97391-4862 Ana Lima, contact 1?"
    answer(small, task, "no")
    small.settled()
    assert decided(small) == [("split", "in the CRM")]
    ((own,),) = places(small).values()
    assert own != ana


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_that_dies_at_any_transaction_asks_once_and_decides_once(small: World, after: bool) -> None:
    small.contact(name="Ana Lima", phone=f"+{ANA}")
    bia = small.contact(name="Bia Reis", phone=f"+{ANA}")
    small.message("m1", ANA)
    for at in range(1, 13, 2):
        with dies(small, at=at, after=after):
            small.sync()
    small.settled()
    (task,) = tasks(small)
    answer(small, task, "2")
    for at in range(1, 13, 2):
        with dies(small, at=at, after=after):
            small.sync()
    small.settled()
    assert (len(tasks(small)), len(decided(small)), places(small)) == (1, 1, {"m1": [bia]})


def test_a_restored_backup_recognises_its_task_and_hears_the_answer_again(
    small: World, tmp_path: Path
) -> None:
    small.contact(name="Ana Lima", phone=f"+{ANA}")
    bia = small.contact(name="Bia Reis", phone=f"+{ANA}")
    small.settled()
    small.stop()
    shutil.copytree(tmp_path, tmp_path.with_name("backup"), ignore=shutil.ignore_patterns("crm", "chat"))
    small.start()
    small.message("m1", ANA)
    small.settled()
    answer(small, tasks(small)[0], "2")
    small.settled()
    first = decided(small)
    small.stop()
    for file in tmp_path.with_name("backup").glob("store.db*"):
        shutil.copy(file, tmp_path / file.name)
    small.start()
    assert (decided(small), small.rows(question)) == ([], [])
    small.settled()  # recognises its task
    small.settled()  # reads what was answered there
    assert (len(tasks(small)), decided(small), places(small)) == (1, first, {"m1": [bia]})


def test_an_undo_takes_the_task_away_and_it_is_not_asked_again(small: World) -> None:
    undecided(small)
    undo.undo(small.runtime, Scope(run=small.run))
    assert tasks(small) == []
    assert (small.settled().written, tasks(small)) == (0, [])
    assert len(said(small)) == 1
    (held,) = small.rows(hold)
    undo.release(small.runtime, {"crm": [held.key]})
    small.settled()
    (task,) = tasks(small)
    assert held.key in task["text"]


def test_a_task_that_the_crm_refuses_takes_nobodys_place_once_it_is_asked_no_more(small: World) -> None:
    small.acts["crm"]["push"] = refuse(Rejected("no owner of that number"))
    ana, _ = (small.contact(name=name, phone=f"+{ANA}") for name in ("Ana Lima", "Bia Reis"))
    small.message("m2", ANA)
    small.sync()
    assert [row.state for row in small.rows(intent)] == ["rejected"]
    del small.acts["crm"]["push"]
    say(small, "link", SENDER, ana)
    small.settled()
    assert (small.rows(intent), [row.state for row in small.rows(question)], tasks(small)) == (
        [],
        ["settled"],
        [],
    )
    assert places(small) == {"m2": [ana]}


def test_whose_word_something_is_is_said_as_people_say_it() -> None:
    said = [by_whom(author) for author in ("ana", "Rui Costa in the CRM", "in the CRM", "")]
    assert said == ["by ana", "by Rui Costa in the CRM", "in the CRM", "by somebody"]
