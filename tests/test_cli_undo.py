"""The commands that take back: what they show, what they ask, what they do, also beside a daemon."""

from __future__ import annotations

import json

import pytest

from tests.outside import Office, running, until

ANA = "+5511973914862"


def standing(office: Office, stream: str) -> list[str]:
    return [id for id, thing in office.latest("crm", stream).items() if not thing.get("deleted")]


def test_a_sync_that_wrote_says_how_it_is_taken_back(office: Office) -> None:
    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    office.message("Quanto custa?", ANA)
    assert office.run("sync").out.endswith("SYNC 1 write\nUNDO: crmbridge undo 1\n")
    assert "UNDO" not in office.run("sync").out


def test_an_undo_says_that_what_somebody_decided_by_a_move_stays(office: Office) -> None:
    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    bia = office.put("crm", "contacts", name="Bia Reis")
    office.message("Quanto custa?", ANA)
    assert office.run("sync").code == 0
    ((id, entry),) = office.latest("crm", "entries").items()
    office.put("crm", "entries", **{**entry, "id": id, "contact": bia})
    assert office.run("sync").code == 0
    said = office.run("undo", "1", "--dry-run", "--json").json
    (move,) = said["stays_decided"]
    line = f"moving an entry in the CRM stays decided; to take it back: crmbridge decisions revoke {move}\n"
    assert line in office.run("undo", "1", "--dry-run").out
    taken = office.run("decisions", "revoke", move, "--yes")
    assert "goes with it: the same move in the CRM said both." in taken.out
    assert office.run("undo", "1", "--dry-run", "--json").json["stays_decided"] == []


def test_an_undo_shows_asks_and_takes_back_until_it_is_released(synced: Office) -> None:
    looked = synced.run("undo", "1", "--dry-run")
    assert (looked.code, looked.err) == (0, "")
    assert [line for line in looked.out.splitlines() if not line.startswith("  ")][-1] == (
        "UNDO 3 archived, 0 left alone, 2 calls. Nothing written yet."
    )
    assert "Ana Souza\n  - archived: entries 1: WhatsApp, " in looked.out
    assert "  - archived: contact 2\n" in looked.out
    asked = synced.run("undo", "1")
    assert (asked.code, asked.err) == (
        2,
        "Nobody is there to ask: add --yes to do it, or --dry-run to look.\n",
    )
    assert (len(standing(synced, "entries")), len(standing(synced, "contacts"))) == (2, 2)
    said = synced.run("undo", "1", "--yes")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-2:] == [
        "UNDONE 3 writes of run 1.",
        "It stays so until: crmbridge undo 2 (all as it was), or: crmbridge release 2 (as is right then)",
    ]
    assert (standing(synced, "entries"), standing(synced, "contacts")) == ([], ["1"])
    assert "SYNC 0 writes\n" in synced.run("sync").out
    listed = synced.run("runs").out.splitlines()
    assert [line.split()[:2] for line in listed] == [["3", "sync"], ["2", "undo"], ["1", "sync"]]
    assert listed[0].endswith("wrote nothing")
    assert listed[1].endswith("3 writes taken back")
    assert listed[2].endswith("1 contact made, 2 entries; taken back")
    held = synced.run("holds")
    assert held.out.count("undone by run 2") == 3
    assert "Ana Souza: entries 1, WhatsApp, " in held.out
    assert synced.run("release", "Ana Souza").out == (
        "Released 1 hold. See what is written again: crmbridge plan.\n"
    )
    assert synced.run("release", "1").out.startswith("Released 2 holds.")
    assert "SYNC 3 writes\n" in synced.run("sync").out
    assert (len(standing(synced, "entries")), len(standing(synced, "contacts"))) == (2, 2)
    assert synced.run("holds").out == "Nothing is held.\n"


def test_a_program_looks_and_takes_back(synced: Office) -> None:
    refused = synced.run("undo", "1", "--json")
    assert refused.code == 2
    assert "--dry-run to look, or --yes to do it" in refused.err
    looked = synced.run("undo", "1", "--json", "--dry-run").json
    assert sorted(step["kind"] for step in looked["connections"]["crm"]) == ["archive"] * 3
    done = synced.run("undo", "1", "--json", "--yes").json
    assert (done["undo"], done["written"], done["left"], done["finished"]) == (2, 3, 0, True)
    runs = synced.run("runs", "--json", "-n", "1").json
    assert (runs[0]["kind"], runs[0]["written"], runs[0]["counts"]["of"]) == ("undo", {"undo": 3}, 1)
    holds = synced.run("holds", "--json").json
    assert {one["reason"] for one in holds} == {"undone"}
    assert synced.run("release", "--json", holds[0]["key"]).json == {"released": 1}


def test_what_somebody_changed_is_shown_with_both_values(synced: Office) -> None:
    entry = synced.latest("crm", "entries")["1"]
    synced.put("crm", "entries", **{**entry, "text": entry["text"].replace("12x", "10x")})
    said = synced.run("undo", "1", "--yes")
    assert said.code == 1
    (line,) = [line for line in said.out.splitlines() if line.startswith("  !")]
    assert "12x" in line and "10x" in line and line.endswith("; left alone")
    assert "UNDONE 2 writes of run 1, 1 left alone.\n" in said.out
    assert standing(synced, "entries") == ["1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("undo", "77"), "run 77: there is none. The latest: crmbridge runs\n"),
        (
            ("undo", "1", "--person", "Nobody"),
            "'Nobody': nobody is known by that name, address, number or id.\n",
        ),
        (
            ("undo", "--mapping", "nothing"),
            "'nothing': no connection, no mapping file and no version of one that wrote anything."
            " Connections that are written to: crm. Versions that wrote, the latest first: ",
        ),
        (("release", "nothing"), "'nothing': nothing of it is held. What is: crmbridge holds\n"),
        (("release", "77"), "'77': nothing of it is held. What is: crmbridge holds\n"),
    ],
)
def test_what_is_not_there_is_said(synced: Office, arguments: tuple[str, ...], said: str) -> None:
    result = synced.run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(said)


def test_what_is_no_number_of_a_run_is_said_with_where_to_find_one(synced: Office) -> None:
    for command in ("undo", "approve"):
        for word in ("abc", "0", "9" * 5000, "²"):
            result = synced.run(command, word)
            assert (result.code, result.out) == (2, "")
            assert f"{word!r} is no number of a run; those are listed by: crmbridge runs" in result.err


def test_a_run_that_wrote_nothing_or_was_taken_back_is_said_so(synced: Office) -> None:
    synced.run("sync")
    assert synced.run("undo", "2").err == "run 2 (sync): wrote nothing, so there is nothing to take back.\n"
    synced.run("undo", "1", "--yes")
    assert synced.run("undo", "1").err == (
        "run 1: was taken back already, by run 3. To bring it back: crmbridge undo 3\n"
    )


def test_a_run_of_a_connection_that_is_gone_is_said_so(synced: Office) -> None:
    account = json.loads((synced.home / "crm" / "account.json").read_text())["id"]
    del synced.connections["crm"]
    synced.write()
    assert synced.run("undo", "1", "--yes").err == (
        f"run 1: wrote to memory {account}, which no connection of the configuration leads to."
        " Add it to `connections:` again, then: crmbridge undo 1\n"
    )


def test_one_mapping_is_taken_back_over_all_its_runs(synced: Office) -> None:
    shipped = "mine.yaml"
    assert synced.run("mapping", "copy", "memory", shipped).code == 0
    mine = (synced.home / shipped).read_text().replace("source, owns: if_empty", "source, owns: always")
    (synced.home / shipped).write_text(mine)
    synced.connections["crm"]["mapping"] = shipped
    synced.write()
    for text, at in (("E para amanhã?", 1), ("E depois?", 2)):
        synced.message(text, "+5531977776666")
        synced.run("sync")
        assert len(standing(synced, "entries")) == 3, at
    looked = synced.run("undo", "--mapping", "crm", "--dry-run", "--json").json
    kinds = sorted(step["kind"] for step in looked["connections"]["crm"])
    assert kinds == ["archive", "archive"], "its contact, and its entry that grew in a later run"
    by_file = synced.run("undo", "--mapping", shipped, "--dry-run", "--json").json
    assert by_file == looked
    done = synced.run("undo", "--mapping", looked["mapping"][:8], "--yes")
    assert (done.code, done.err) == (0, "")
    assert f"UNDONE 2 writes of mapping {looked['mapping'][:8]}.\n" in done.out
    assert (len(standing(synced, "entries")), len(standing(synced, "contacts"))) == (2, 2)
    assert "SYNC 0 writes\n" in synced.run("sync").out
    undone = synced.run("runs").out.splitlines()[1].split()
    assert undone[1:3] == ["undo", "mapping"]
    assert "was taken back already, by run " in synced.run("undo", "--mapping", "crm", "--dry-run").err
    released = synced.run("release", undone[0])
    assert released.out.startswith("Released 2 holds.")
    assert "SYNC 2 writes\n" in synced.run("sync").out


def test_only_one_person_is_taken_back(synced: Office) -> None:
    assert synced.run("undo", "1", "--person", "Ana Souza", "--yes").code == 0
    assert standing(synced, "entries") == ["2"]


def test_beside_a_daemon_each_delivery_is_a_run_and_the_daemon_takes_it_back(synced: Office) -> None:
    with running(synced):
        until(lambda: "daemon" in synced.run("runs").out)
        synced.message("E para amanhã?", "+5531977776666")
        synced.run("sync")
        until(lambda: len(standing(synced, "entries")) == 3)
        run = until(
            lambda: [
                one
                for one in synced.run("runs", "--json").json
                if one["kind"] == "delivery" and one["outcome"]
            ]
        )[0]
        assert run["written"] == {"contact": 1, "entry": 1}
        said = synced.run("undo", str(run["run"]), "--yes")
        assert (said.code, said.err) == (0, "")
        assert "UNDONE 2 writes" in said.out
        assert len(standing(synced, "entries")) == 2
        released = synced.run("release", str(run["run"]))
        assert released.out == "Released 2 holds. The daemon writes it now.\n"
        until(lambda: len(standing(synced, "entries")) == 3)
        assert len(standing(synced, "contacts")) == 3


@pytest.mark.parametrize("who", ["", "  ", "x" * 100_000, "Ana\udcff"])
def test_an_undo_for_nobody_takes_nothing_back(synced: Office, who: str) -> None:
    said = synced.run("undo", "1", "--yes", "--person", who)
    assert said.code == 2
    assert "nobody is known by that name" in said.err
    assert len(standing(synced, "entries")) == 2


def test_numbers_beyond_every_run_are_runs_that_are_not_there(synced: Office) -> None:
    huge = "9" * 20
    assert synced.run("undo", huge).code == 2
    assert synced.run("release", "9" * 5000).code == 2
    listed = synced.run("runs", "-n", huge)
    assert (listed.code, listed.err, len(listed.out.splitlines())) == (0, "", 1)
