"""The commands that try again: rejects, replay, remap."""

from __future__ import annotations

import re
from pathlib import Path

from tests.outside import Office, running, until


def test_rejects_are_grouped_by_cause_and_replayed_once_mended(office: Office) -> None:
    for number in range(7):
        office.message("Oi", at=f"yesterday {number}")
    with (office.home / "chat" / "messages.jsonl").open("a") as file:
        file.write("{{ no JSON\n")
    said = office.run("sync")
    assert said.code == 1
    assert "8 rejected" in said.out
    assert said.out.endswith("Look at the rejects: crmbridge rejects\n")
    shown = office.run("rejects")
    assert shown.code == 0
    (group,) = re.findall(r"^(R\w+)  7 rejects in step map, chat messages$", shown.out, re.M)
    (message,) = re.findall(r"^  (.*\"yesterday \d\" is no ISO 8601 date and time.*)$", shown.out, re.M)
    assert len(re.findall(r"\S+memory\.yaml:\d+", message)) == 1, "the place stands in the message alone"
    assert f"  Once mended: crmbridge rejects replay {group}\n" in shown.out
    assert re.search(r"  Records: (\d+, ){5}\.\.\.\n", shown.out)
    (broken,) = re.findall(
        r"  1 reject in step map, chat messages\n"
        rf"  {office.home}/chat/messages\.jsonl:8 is no JSON: Expecting property name .* at column 2\.\n"
        r'  Append it to its file anew, mended\. The line {"id": "line-\.\.\.", "deleted": true} closes the reject\.\n'
        r"  Records: (line-\w+)\n(?!  Once mended)",
        shown.out,
    )
    office.put("chat", "messages", id=broken, deleted=True)
    as_json = office.run("rejects", "--json").json
    assert sorted(one["count"] for one in as_json) == [1, 7]
    unknown = office.run("rejects", "replay", "R999999")
    assert unknown.code == 2
    assert group in unknown.err
    mapping = (Path(__file__).parent.parent / "mappings" / "memory.yaml").read_text()
    (office.home / "mine.yaml").write_text(
        mapping.replace(
            "occurred_at: {from: at, using: instant}", "occurred_at: {from: modified, using: instant}"
        )
    )
    office.connections["chat"]["mapping"] = "mine.yaml"
    office.write()
    replayed = office.run("rejects", "replay", group)
    assert (replayed.code, replayed.out) == (
        0,
        "7 rejects will be tried again by the next: crmbridge sync\n",
    )
    office.run("sync")
    assert office.run("rejects", "--json").json == []


def test_a_replay_that_is_rejected_again_is_said_by_the_next_sync_and_by_no_later_one(office: Office) -> None:
    office.message("Oi", at="yesterday")
    assert office.run("sync").code == 1
    assert office.run("sync").code == 0
    assert office.run("rejects", "replay").code == 0
    again = office.run("sync")
    assert again.code == 1
    assert "Read 0 = 0 mapped + 0 skipped + 0 rejected\n" in again.out
    assert again.out.endswith("Look at the rejects: crmbridge rejects\n")
    assert office.run("sync").code == 0


def test_remap_previews_and_applies(synced: Office) -> None:
    mapping = (Path(__file__).parent.parent / "mappings" / "memory.yaml").read_text()
    (synced.home / "mine.yaml").write_text(
        mapping.replace("body_text: text\n      thread_id", "subject: text\n      thread_id")
    )
    synced.connections["chat"]["mapping"] = "mine.yaml"
    synced.write()
    shown = synced.run("remap", "chat")
    assert shown.code == 0
    assert "messages: 2 records\n" in shown.out
    assert "  renamed  body_text -> subject  in 2\n" in shown.out
    assert shown.out.endswith("Nothing changed yet. Apply with: crmbridge remap chat --apply\n")
    assert "subject" not in synced.run("journey", "ana", "--json").json["interactions"][0]
    applied = synced.run("remap", "chat", "--apply")
    assert applied.code == 0
    assert applied.out.endswith("2 records will be mapped again by the next: crmbridge sync\n")
    synced.run("sync")
    assert (
        synced.run("journey", "ana", "--json").json["interactions"][0]["subject"]
        == "Dá para parcelar em 12x?"
    )
    same = "Nothing would change: the mapping as it is now makes the same of every record.\n"
    assert synced.run("remap", "chat").out.endswith(same)
    again = synced.run("remap", "chat", "--apply")
    assert (again.code, again.out.splitlines()[-1]) == (
        0,
        "Nothing is to be mapped again: whatever was mapped was mapped as the mapping is now.",
    )


def test_remap_of_what_was_never_read_says_what_to_do(office: Office) -> None:
    said = office.run("remap", "chat")
    assert (said.code, said.err) == (1, "chat: nothing is stored yet. Collect first with: crmbridge sync\n")


def waiting(office: Office) -> int:
    """Return how many records wait to be mapped."""
    connections = office.run("status", "--json").json["connections"]
    return sum(stream["waiting"] for one in connections for stream in one["streams"])


def test_beside_a_daemon_it_is_the_daemon_that_tries_again_and_it_says_so(office: Office) -> None:
    office.message("Oi", at="yesterday")
    with running(office):
        until(lambda: office.run("rejects", "--json").json)
        replayed = office.run("rejects", "replay")
        assert (replayed.code, replayed.out) == (
            0,
            "The daemon tries 1 reject again now. What fails again is listed by: crmbridge rejects\n",
        )
        until(lambda: not waiting(office))
        applied = office.run("remap", "chat", "--apply")
        assert applied.code == 0
        assert applied.out.endswith("What was rejected is tried again by: crmbridge rejects replay\n")
        assert "Nothing would change" in office.run("remap", "chat").out, "it was rejected before"


def test_a_daemon_with_an_older_mapping_is_asked_for_nothing_that_needs_the_new_one(office: Office) -> None:
    office.message("Oi", at="yesterday")
    mapping = (Path(__file__).parent.parent / "mappings" / "memory.yaml").read_text()
    (office.home / "mine.yaml").write_text(mapping)
    office.connections["chat"]["mapping"] = "mine.yaml"
    office.write()
    with running(office):
        until(lambda: office.run("rejects", "--json").json)
        (office.home / "mine.yaml").write_text(mapping.replace("{from: at, using", "{from: modified, using"))
        for words in (["rejects", "replay"], ["remap", "chat", "--apply"]):
            refused = office.run(*words)
            assert (refused.code, refused.out) == (4, "")
            assert refused.err == (
                "the daemon could not do it: chat: the daemon was started with another mapping than mine.yaml"
                " holds now. Restart it, then do this again.\n"
            )
    with running(office):
        assert office.run("rejects", "replay").code == 0
        until(lambda: not office.run("rejects", "--json").json)
