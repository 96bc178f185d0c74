"""Remapping: shown before it is done, and then the same as if the records had come under the new mapping."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from bridge.engine import commands
from bridge.store import entities
from bridge.store.tables import entity, node
from bridge.sync.intake.remap import Preview, preview
from tests.sync_world import MAPPING, World

ANA, BIA = "5511973914862", "5511973914863"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


def change(world: World, old: str, new: str) -> dict[str, Preview]:
    """Change the mapping, start again, and return the preview by stream."""
    assert old in MAPPING
    world.remap_to(MAPPING.replace(old, new))
    world.start()
    return {one.stream: one for one in preview(world.runtime, world.crm)}


def apply(world: World, connection: str = "crm") -> int:
    count = commands.apply_remap(world.runtime, {"connection": connection})["records"]
    world.resolve()
    return int(count)


def names(world: World) -> dict[str, dict[str, str]]:
    return {row.ext_id: orjson.loads(row.body) for row in world.rows(entity) if row.stream == "contacts"}


def test_a_preview_tells_renamed_added_vanished_and_changed_fields_and_changes_nothing(world: World) -> None:
    world.contact(name="Ana Souza", email="ana@x.com", phone=f"+{ANA}", job="baker")
    world.contact(name="Bia", email="bia@x.com", phone=f"+{BIA}")
    world.sync()
    before = names(world)
    found = change(
        world,
        "display_name: name\n      emails: {each: email, using: split_semicolon}",
        "given_name: name\n      emails: {each: email, using: [split_semicolon, upper]}\n      job_title: job",
    )["contacts"]
    assert found.records == 2
    assert dict(found.renamed) == {("display_name", "given_name"): 2}
    assert dict(found.added) == {"job_title": 1}
    assert dict(found.vanished) == {}
    assert dict(found.changed) == {"emails": 2}
    assert names(world) == before
    assert apply(world) == 2
    assert names(world)["1"]["job_title"] == "baker"
    assert apply(world) == 0, "what the present mapping made was put in the queue again"


def test_a_preview_counts_each_object_once_however_many_versions_it_had(world: World) -> None:
    ana = world.contact(name="Ana")
    world.sync()
    for number in range(3):
        world.change("crm", "contacts", ana, name=f"Ana {number}")
        world.sync()
    found = change(world, "display_name: name", "given_name: name")["contacts"]
    assert (found.records, found.newly_mapped) == (1, 0)
    assert apply(world) == 1
    assert names(world) == {ana: {**names(world)[ana], "given_name": "Ana 2"}}


def test_a_preview_counts_what_would_be_refused_and_what_could_be_used_at_last(world: World) -> None:
    world.contact(name="Ana", created="yesterday")
    world.contact(name="Bia")
    world.sync()
    assert world.stream("contacts", "crm")["rejected"] == 1
    found = change(world, "created_at: created", "created_at: {const: '2026-01-01T00:00:00Z'}")["contacts"]
    assert (found.records, found.newly_mapped) == (2, 1)
    assert dict(found.added) == {"created_at": 1}
    worse = change(world, "display_name: name", "updated_at: name")["contacts"]
    assert sum(worse.rejected.values()) == 2


def test_our_own_entries_are_no_news_to_a_preview(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    world.settled()
    found = change(world, "kind: {const: note}", "kind: {const: post}")
    assert "entries" not in found
    apply(world)
    world.settled()
    assert world.told() == {"m1": 1}
    assert world.stream("entries", "crm")["mapped"] == 0


def test_a_stream_that_gets_a_rule_later_is_mapped_from_what_is_stored(world: World) -> None:
    start, end = MAPPING.index("  messages:\n"), MAPPING.index("  entries:\n    to: interaction")
    world.remap_to(MAPPING[:start] + MAPPING[end:])
    world.start()
    world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    world.sync()
    assert world.stream("messages")["rules"] == {"no mapping for this stream": 1}
    world.remap_to(MAPPING)
    world.start()
    (found,) = preview(world.runtime, world.chat)
    assert (found.stream, found.newly_mapped) == ("messages", 1)
    assert apply(world, "chat") == 1
    world.settled()
    assert world.told() == {"m1": 1}


def test_what_a_rule_made_that_is_gone_leaves_the_journeys(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    world.sync()
    start, end = MAPPING.index("  messages:\n"), MAPPING.index("  entries:\n    to: interaction")
    world.remap_to(MAPPING[:start] + MAPPING[end:])
    world.start()
    assert apply(world, "chat") == 1
    with world.runtime.database.read() as c:
        assert entities.load_interactions(c, [one.key for one in world.rows(node)]) == {}
    assert world.stream("messages")["skipped"] == 1


def test_a_handle_that_the_new_mapping_reads_joins_and_one_it_no_longer_reads_parts(world: World) -> None:
    world.contact(name="Ana", email="ana@x.com", whats=f"+{ANA}")
    world.message("m1", ANA)
    world.collect()
    world.resolve()
    assert len({one.person_id for one in world.rows(node)}) == 2
    reads = ("phones: {each: phone, using: split_semicolon}", "phones: {each: whats}")
    change(world, *reads)
    apply(world)
    assert len({one.person_id for one in world.rows(node)}) == 1
    world.remap_to(MAPPING)
    world.start()
    apply(world)
    assert len({one.person_id for one in world.rows(node)}) == 2
