"""The folder of text files: edited by hand, shared by processes, cut off by kills, and its own quirks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge import (
    Absent,
    CursorExpired,
    Delivery,
    Found,
    Hint,
    Json,
    Link,
    MappingError,
    Page,
    Person,
    Record,
    Rejected,
    Request,
    Skip,
    Unavailable,
    Write,
)
from bridge.testing.context import CaptureRules, Clock, make_context
from bridge_memory import SPEC, Memory, open_folder
from bridge_memory.client import Folder
from bridge_memory.receiver import HEADER, sign
from bridge_memory.sandbox import DifficultFolder, Levers

KEY = "open sesame"
NOW = datetime(2026, 11, 18, 14, 2, tzinfo=UTC)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Memory]:
    def open_it(capture: CaptureRules | None = None, page_size: int = 100) -> Memory:
        context = make_context(capture=capture, clock=Clock(NOW))
        settings = {"directory": str(tmp_path / "crm"), "key": KEY, "page_size": page_size}
        return open_folder(settings, context)

    return open_it


@pytest.fixture
def memory(opened: Callable[..., Memory]) -> Memory:
    return opened()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "crm"
    made.mkdir()
    return made


def write_lines(folder: Path, stream: str, *lines: object) -> None:
    with (folder / f"{stream}.jsonl").open("a") as file:
        file.writelines(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)


def pulled(memory: Memory, stream: str, cursor: object = None) -> list[Page]:
    return list(memory.pull(stream, "live", cursor, []))


def only(pages: Sequence[Page]) -> Record:
    (record,) = [item for page in pages for item in page.records]
    assert isinstance(record, Record)
    return record


def thing(record: Record) -> dict[str, Json]:
    assert isinstance(record.data, dict)
    return record.data


def test_nothing_is_made_before_the_first_call(memory: Memory, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    memory.check()
    assert (tmp_path / "crm" / "account.json").exists()


def test_the_key_itself_is_not_in_the_folder(memory: Memory, tmp_path: Path) -> None:
    memory.check()
    assert KEY not in (tmp_path / "crm" / "account.json").read_text()


def test_a_line_written_by_hand_is_a_record(memory: Memory, folder: Path) -> None:
    write_lines(folder, "contacts", {"id": "7", "name": "Ana Souza", "email": "ana@padarialima.com.br"})
    record = only(pulled(memory, "contacts"))
    assert (record.stream, record.id, record.modified_at, record.deleted) == ("contacts", "7", None, False)
    assert thing(record)["name"] == "Ana Souza"


def test_a_second_line_with_an_id_is_a_new_version(memory: Memory, folder: Path) -> None:
    write_lines(folder, "contacts", {"id": "7", "name": "Ana"})
    pages = pulled(memory, "contacts")
    write_lines(folder, "contacts", {"id": "7", "name": "Ana Souza"})
    again = only(pulled(memory, "contacts", pages[-1].cursor))
    assert again.id == "7"
    assert again.version != only(pages).version


@pytest.mark.parametrize("page_size", [1, 100])
def test_a_line_that_is_no_object_with_an_id_is_kept_and_says_what_is_wrong(
    page_size: int, opened: Callable[..., Memory], folder: Path
) -> None:
    odd = ['{"id": "3"\n', '["1"]\n', '{"id": 7}\n']
    write_lines(folder, "contacts", '{"id": "1"}\n', odd[0], '{"id": "2"}\n', *odd[1:])
    with (folder / "contacts.jsonl").open("ab") as file:
        file.write(b'{"id": "\xff"}\n')
    records = [item for page in pulled(opened(page_size=page_size), "contacts") for item in page.records]
    assert [record.id for record in records if not record.id.startswith("line-")] == ["1", "2"]
    broken = [thing(record) for record in records if isinstance(record, Record) and record.id[:5] == "line-"]
    assert [one["unreadable"] + "\n" for one in broken[:3]] == odd
    assert [one["because"].removeprefix(f"{folder}/") for one in broken] == [
        "contacts.jsonl:2 is no JSON: Expecting ',' delimiter at column 11.",
        "contacts.jsonl:4 is no JSON object.",
        'contacts.jsonl:5 has no "id", or one that is no text.',
        "contacts.jsonl:6 is no text in UTF-8.",
    ]


def test_half_a_line_is_not_read_before_it_is_whole(memory: Memory, folder: Path) -> None:
    write_lines(folder, "contacts", '{"id": "1"}\n', '{"id": "2", "na')
    pages = pulled(memory, "contacts")
    assert only(pages).id == "1"
    write_lines(folder, "contacts", 'me": "Rui"}\n')
    assert only(pulled(memory, "contacts", pages[-1].cursor)).data == {"id": "2", "name": "Rui"}


def test_a_writer_drops_the_half_line_that_a_kill_left(memory: Memory, folder: Path) -> None:
    write_lines(folder, "contacts", '{"id": "1"}\n', '{"id": "2", "na')
    list(memory.push([Write(key="K1", op="create", stream="contacts", fields={"name": "Rui"})]))
    lines = (folder / "contacts.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1", "2"]


def test_pages_have_the_set_size_and_only_the_last_tells_a_watermark(
    opened: Callable[..., Memory], folder: Path
) -> None:
    write_lines(folder, "owners", *({"id": str(number)} for number in range(5)))
    pages = pulled(opened(page_size=2), "owners")
    assert [len(page.records) for page in pages] == [2, 2, 1]
    assert [page.watermark for page in pages] == [None, None, NOW]


def test_a_folder_restored_from_yesterday_is_read_again_from_the_start(memory: Memory, folder: Path) -> None:
    write_lines(folder, "owners", {"id": "1"}, {"id": "2"})
    cursor = pulled(memory, "owners")[-1].cursor
    (folder / "owners.jsonl").write_text('{"id": "1"}\n')
    with pytest.raises(CursorExpired, match="no line ends at"):
        pulled(memory, "owners", cursor)
    (folder / "owners.jsonl").unlink()
    with pytest.raises(CursorExpired, match="is gone"):
        pulled(memory, "owners", cursor)
    with pytest.raises(CursorExpired, match="not of this connector"):
        pulled(memory, "owners", "somebody else's")


def test_capture_rules_leave_a_trace_of_what_they_keep_out(
    opened: Callable[..., Memory], folder: Path
) -> None:
    write_lines(
        folder,
        "messages",
        {"id": "1", "from": "ana@one.example", "text": "Oi", "at": "2026-11-18T14:02:00Z"},
        {"id": "2", "from": "doc@lawyer.example", "text": "private", "at": "2026-11-18T14:02:00Z"},
        {"id": "3", "from": "ana@one.example", "text": "old", "at": "2025-01-01T00:00:00Z"},
    )
    rules = CaptureRules(never=["*@lawyer.example"], since=datetime(2026, 1, 1, tzinfo=UTC))
    first, second, third = pulled(opened(rules), "messages")[0].records
    assert isinstance(first, Record)
    assert isinstance(second, Skip)
    assert isinstance(third, Skip)
    assert (second.id, second.rule, third.rule) == ("2", "never", "since")


def test_a_lesser_detail_leaves_the_text_out(opened: Callable[..., Memory], folder: Path) -> None:
    write_lines(folder, "messages", {"id": "1", "from": "ana@one.example", "text": "private"})
    record = only(pulled(opened(CaptureRules(detail="metadata")), "messages"))
    assert record.data == {"id": "1", "from": "ana@one.example"}


def test_two_processes_write_one_folder_without_losing_a_line(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from bridge_memory.client import Folder\n"
        "folder = Folder(Path(sys.argv[1]), 'open sesame', lambda: datetime.now(UTC))\n"
        "for number in range(100):\n"
        "    folder.append('contacts', {'name': sys.argv[2]})\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "ab"]
    assert [one.wait() for one in running] == [0, 0]
    latest = Folder(tmp_path, KEY, lambda: NOW).latest("contacts")
    assert len(latest) == 200
    assert [thing["name"] for thing in latest.values()].count("a") == 100


def test_each_version_is_later_than_the_one_before_though_the_clock_stands(memory: Memory) -> None:
    (made,) = memory.push([Write(key="K1", op="create", stream="contacts", fields={"name": "Ana"})])
    for name in ("Ana S", "Ana Souza"):
        list(
            memory.push([Write(key="K2", op="update", stream="contacts", id=made.id, fields={"name": name})])
        )
    times = [item.modified_at for item in pulled(memory, "contacts")[0].records if isinstance(item, Record)]
    assert times == [NOW, NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=2)]


def test_a_receipt_shows_the_value_as_the_folder_keeps_it(memory: Memory) -> None:
    (receipt,) = memory.push([Write(key="K1", op="create", stream="contacts", fields={"name": " Ana "})])
    assert receipt.as_read == {"name": "Ana"}


def test_an_object_is_linked_unlinked_and_archived(memory: Memory) -> None:
    owner = Link(stream="owners", to="77")
    missing = Write(key="K0", op="create", stream="contacts", links=[owner])
    (refused,) = memory.push([missing])
    assert isinstance(refused.error, Rejected)
    assert refused.error.code == "missing"
    list(memory.push([Write(key="K1", op="create", stream="owners", fields={"name": "Rui"})]))
    (made,) = memory.push([Write(key="K2", op="create", stream="contacts")])
    owner = Link(stream="owners", to="1")
    link = Write(key="K3", op="link", stream="contacts", id=made.id, links=[owner])
    unlink = Write(key="K4", op="unlink", stream="contacts", id=made.id, links=[owner])
    archive = Write(key="K5", op="archive", stream="contacts", id=made.id)
    for write in (link, unlink, archive):
        assert list(memory.locate([write])) == [Absent(key=write.key)]
        (receipt,) = memory.push([write])
        assert receipt.error is None
        assert list(memory.locate([write])) == [Found(key=write.key, id=made.id or "")]
    (record,) = memory.read("contacts", [made.id or ""], [])
    assert record.deleted
    assert "owner" not in record.data


def test_an_update_is_located_by_the_values_it_left(memory: Memory) -> None:
    (made,) = memory.push([Write(key="K1", op="create", stream="contacts", fields={"name": "Ana"})])
    update = Write(key="K2", op="update", stream="contacts", id=made.id, fields={"name": "Ana Souza "})
    assert list(memory.locate([update])) == [Absent(key="K2")]
    list(memory.push([update]))
    assert list(memory.locate([update])) == [Found(key="K2", id=made.id or "")]


def test_writes_that_link_in_a_circle_are_refused_and_end(memory: Memory) -> None:
    one = Write(key="K1", op="create", stream="entries", links=[Link(stream="contacts", to="K2")])
    two = Write(key="K2", op="create", stream="entries", links=[Link(stream="contacts", to="K1")])
    errors = [receipt.error for receipt in memory.push([one, two])]
    assert [error.code for error in errors if isinstance(error, Rejected)] == ["parent", "parent"]


def test_a_person_is_found_by_any_spelling_and_not_when_deleted(memory: Memory, folder: Path) -> None:
    write_lines(
        folder,
        "contacts",
        {"id": "1", "email": "Ana@One.example"},
        {"id": "2", "phone": "11 97391-4862"},
        {"id": "3", "email": "rui@one.example"},
        {"id": "3", "deleted": True},
    )
    people = [
        Person(key="a", emails=["ana@one.example"], phones=["+5511973914862", "11 97391-4862"]),
        Person(key="b", emails=["rui@one.example"]),
    ]
    assert [(match.key, list(match.ids)) for match in memory.find(people)] == [("a", ["1", "2"]), ("b", [])]


def delivery(*events: object) -> Delivery:
    body = json.dumps({"events": events}).encode()
    return Delivery(id="d1", body=body, headers={}, received_at=NOW)


def test_an_event_without_its_object_is_a_hint(memory: Memory) -> None:
    assert list(memory.split(delivery({"stream": "contacts", "id": "7"}))) == [
        Hint(stream="contacts", ids=("7",))
    ]


def test_an_event_and_a_pull_give_the_same_version(memory: Memory, folder: Path) -> None:
    sent = {"id": "1", "from": "ana@one.example", "modified": "2026-11-18T14:02:00Z"}
    write_lines(folder, "messages", sent)
    (told,) = memory.split(delivery({"stream": "messages", "object": sent}))
    assert told == only(pulled(memory, "messages"))


def test_capture_rules_hold_for_events_too(opened: Callable[..., Memory]) -> None:
    memory = opened(CaptureRules(never=["*@lawyer.example"]))
    sent = {"id": "1", "from": "doc@lawyer.example", "text": "private"}
    (skip,) = memory.split(delivery({"stream": "messages", "object": sent}))
    assert isinstance(skip, Skip)
    assert "private" not in repr(skip)


def test_a_body_without_events_says_what_is_missing(memory: Memory) -> None:
    odd = Delivery(id="d1", body=b'{"event": []}', headers={}, received_at=NOW)
    with pytest.raises(MappingError, match=r'delivery d1: .*no JSON object with a list "events"'):
        list(memory.split(odd))


def test_a_request_is_fresh_for_five_minutes_either_way(memory: Memory) -> None:
    for seconds, status in ((-301, 403), (-300, 200), (300, 200), (301, 403)):
        signature = sign(b"{}", KEY, int(NOW.timestamp()) + seconds)
        request = Request(
            method="POST",
            url="https://bridge.example/",
            query={},
            headers={HEADER: signature},
            body=b"{}",
            received_at=NOW,
        )
        assert memory.verify(request).status == status, seconds


def test_a_file_outside_of_the_folder_is_not_opened(memory: Memory, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("private")
    (folder / "files").mkdir()
    for name in ("../../private.txt", str(tmp_path / "private.txt"), "missing.ogg", ""):
        with pytest.raises(Rejected, match="no file"):
            memory.open(name)


def test_a_disk_that_fails_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "crm").write_text("a file where the folder should be")
    settings = {"directory": str(tmp_path / "crm"), "key": KEY}
    with pytest.raises(Unavailable, match="File exists; check the disk"):
        open_folder(settings, make_context()).check()


def test_an_added_field_may_be_written_from_then_on(memory: Memory) -> None:
    write = Write(key="K1", op="create", stream="contacts", fields={"journey": "x"})
    (refused,) = memory.push([write])
    assert isinstance(refused.error, Rejected)
    memory.create("contacts", [field for field in memory.describe("entries") if field.name == "text"])
    write = Write(key="K1", op="create", stream="contacts", fields={"text": "x"})
    (receipt,) = memory.push([write])
    assert receipt.error is None


def test_a_lagging_index_hides_what_is_new_and_loses_nothing(tmp_path: Path) -> None:
    levers = Levers(Clock(NOW))
    levers.lag = 30.0
    folder = DifficultFolder(tmp_path, KEY, levers)
    memory = Memory(folder, KEY, 100, make_context(clock=levers.clock))
    folder.append("contacts", {"name": "old"})
    levers.clock.sleep(40)
    folder.append("contacts", {"name": "new"})
    pages = pulled(memory, "contacts")
    assert thing(only(pages))["name"] == "old"
    levers.clock.sleep(40)
    assert thing(only(pulled(memory, "contacts", pages[-1].cursor)))["name"] == "new"


def test_a_vendor_that_repeats_itself_says_the_same_versions(tmp_path: Path) -> None:
    levers = Levers(Clock(NOW))
    levers.twice = True
    folder = DifficultFolder(tmp_path, KEY, levers)
    folder.append("contacts", {"name": "Ana"})
    first, second = pulled(Memory(folder, KEY, 100, make_context()), "contacts")[0].records
    assert first == second


def test_the_entry_point_brings_this_connector() -> None:
    assert SPEC.name == "memory"
    assert [stream.name for stream in SPEC.streams] == ["owners", "contacts", "messages", "entries"]


def test_several_receivers_are_each_judged_by_the_capture_rules(
    opened: Callable[..., Memory], folder: Path
) -> None:
    sent = {"from": "rui@example.com", "text": "Oi", "at": "2026-11-18T14:00:00Z"}
    write_lines(folder, "messages", {"id": "1", **sent, "to": ["ana@one.example", "eva@lawyer.example"]})
    write_lines(folder, "messages", {"id": "2", **sent, "to": ["ana@one.example", 5]})
    memory = opened(CaptureRules(never=["*@lawyer.example"]))
    first, second = [item for page in pulled(memory, "messages") for item in page.records]
    assert (first.id, type(first)) == ("1", Skip)
    assert (second.id, type(second)) == ("2", Record)
