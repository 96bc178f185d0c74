"""What every sink promises: each write once, one receipt for each, nobody mistaken for another."""

from __future__ import annotations

from collections import Counter

from bridge.connector import Sink
from bridge.errors import Rejected, Unavailable
from bridge.model import Absent, Found, Person, Unknown, Write
from bridge.testing.bench import Bench, Check, key
from bridge.testing.kit import SinkKit

MANY = 130
"""More than the batches of the vendors we know (100)."""


def find_gives_one_match_per_person(bench: Bench[SinkKit]) -> None:
    """Each person gets one match: the contacts that carry a handle, several or none, never another's."""
    ana = bench.kit.add_contact("ana@one.example", "+5511973914862")
    rui = bench.kit.add_contact("rui@one.example", "+5511973914863")
    twins = {
        bench.kit.add_contact("twin1@one.example", "+5511973914864"),
        bench.kit.add_contact("twin2@one.example", "+5511973914864"),
    }
    people = [
        Person(key="by mail", emails=["ana@one.example"]),
        Person(key="by phone", phones=["+5511973914863", "11973914863", "5511973914863"]),
        Person(key="by both", emails=["ana@one.example"], phones=["+5511973914862"]),
        Person(key="several", phones=["+5511973914864", "11973914864", "5511973914864"]),
        Person(key="nobody", emails=["nobody@one.example"], phones=["+5511900000000"]),
        Person(key="no handle"),
    ]
    people += [Person(key=f"stranger {n}", emails=[f"stranger{n}@one.example"]) for n in range(MANY)]
    matches = list(bench.sink.find(people))
    counted = Counter(match.key for match in matches)
    assert counted == Counter(person.key for person in people), "find: not exactly one match per person"
    found = {match.key: set(match.ids) for match in matches}
    expected: dict[str, set[str]] = {person.key: set() for person in people}
    expected |= {"by mail": {ana}, "by phone": {rui}, "by both": {ana}, "several": twins}
    wrong = {name: ids for name, ids in found.items() if ids != expected[name]}
    assert not wrong, f"find: expected {[(name, expected[name]) for name in wrong]}, got {wrong}"


def each_write_gets_one_receipt(bench: Bench[SinkKit]) -> None:
    """A push larger than a batch of the vendor gives exactly one receipt for each write, good or bad."""
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    writes = [
        bench.kit.bad_write(key(n)) if n % 60 == 7 else bench.kit.entry_write(key(n), contact)
        for n in range(MANY)
    ]
    counted = Counter(receipt.key for receipt in bench.sink.push(writes))
    assert counted == Counter(write.key for write in writes), (
        f"push: {len(writes)} writes, {counted.total()} receipts for {len(counted)} of them"
    )


def a_bad_write_fails_alone(bench: Bench[SinkKit]) -> None:
    """One write that the vendor refuses is Rejected; its neighbours are carried out."""
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    good = [bench.kit.entry_write(key(n), contact) for n in (1, 3)]
    receipts = bench.push(good[0], bench.kit.bad_write(key(2)), good[1])
    refusal = receipts[key(2)].error
    assert isinstance(refusal, Rejected), f"push: the bad write gave {refusal!r} instead of Rejected"
    for write in good:
        receipt = receipts[write.key]
        assert receipt.error is None, f"push: the bad write made its neighbour fail: {receipt.error!r}"
        assert bench.kit.count(write.key) == 1, "push: a good write beside a bad one is not at the vendor"


def a_receipt_tells_the_id_of_what_was_made(bench: Bench[SinkKit]) -> None:
    """The id of a receipt is the vendor's: reading it gives that record, and its link goes to the contact."""
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    write = bench.kit.entry_write(key(1), contact)
    receipt = bench.push(write)[write.key]
    assert receipt.error is None, f"push: a good write failed: {receipt.error!r}"
    assert receipt.id, "push: the receipt of a create has no id"
    assert list(bench.kit.linked(receipt.id)) == [contact], "push: the entry is not linked to its contact"
    read = list(bench.sink.read(write.stream, [receipt.id], list(write.fields)))
    assert [record.id for record in read] == [receipt.id], "read: what was just made is not there"


def a_lost_receipt_creates_once(bench: Bench[SinkKit]) -> None:
    """The vendor creates and its answer is lost: the write is found again and not made twice."""
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    write = bench.kit.entry_write(key(1), contact)
    bench.kit.lose_receipt()
    _deliver(bench, write)
    assert bench.kit.count(write.key) == 1, f"a lost receipt: {bench.kit.count(write.key)} entries were made"


def a_late_commit_creates_once(bench: Bench[SinkKit]) -> None:
    """The vendor times out and creates afterwards, within `settle`: the write is found and not made twice."""
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    write = bench.kit.entry_write(key(1), contact)
    bench.kit.commit_late()
    _deliver(bench, write)
    bench.kit.wait(bench.spec.settle + 60.0)
    made = bench.kit.count(write.key)
    assert made == 1, f"a commit after our time-out: {made} entries, settle is {bench.spec.settle} s"


def what_was_never_sent_is_not_found(bench: Bench[SinkKit]) -> None:
    """Locate tells writes apart: the one that stands is Found, the one never sent is not."""
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    sent, never = bench.kit.entry_write(key(1), contact), bench.kit.entry_write(key(2), contact)
    id = bench.push(sent)[sent.key].id
    bench.reopen()
    located = {location.key: location for location in bench.sink.locate([never, sent])}
    assert set(located) == {sent.key, never.key}, "locate: not one answer for each write"
    assert located[sent.key] == Found(key=sent.key, id=id or ""), (
        f"locate: {located[sent.key]} stands as {id}"
    )
    assert isinstance(located[never.key], Absent | Unknown), f"locate: {located[never.key]} was never sent"


def a_link_to_a_write_of_the_same_plan_is_resolved(bench: Bench[SinkKit]) -> None:
    """A child given before its parent is linked to the id that the parent got."""
    child = bench.kit.entry_write(key(1), key(2))
    parent = bench.kit.contact_write(key(2), "new@one.example")
    receipts = bench.push(child, parent)
    for write in (parent, child):
        assert receipts[write.key].error is None, f"push: {receipts[write.key].error!r}"
    linked = list(bench.kit.linked(receipts[child.key].id or ""))
    assert linked == [receipts[parent.key].id], f"push: the child is linked to {linked}, not to its parent"


def a_child_of_a_failed_parent_is_rejected(bench: Bench[SinkKit]) -> None:
    """When the parent was refused, the child is Rejected with code "parent" and not made."""
    child = bench.kit.entry_write(key(1), key(2))
    receipts = bench.push(child, bench.kit.bad_write(key(2)))
    error = receipts[child.key].error
    assert isinstance(error, Rejected), f"push: the parent failed, the child gave {error!r}"
    assert error.code == "parent", f'push: the parent failed, the child has code "{error.code}"'
    assert bench.kit.count(child.key) == 0, "push: the parent failed, the child was made all the same"


def what_is_gone_is_read_as_deleted(bench: Bench[SinkKit]) -> None:
    """Read yields one record for each id, and one with deleted=True for what is gone."""
    stream = bench.spec.contact_stream
    there = bench.kit.add_contact("ana@one.example", "+5511973914862")
    gone = bench.kit.add_contact("rui@one.example", "+5511973914863")
    bench.kit.delete(stream, gone)
    read = {record.id: record.deleted for record in bench.sink.read(stream, [there, gone], [])}
    assert read == {there: False, gone: True}, f"read: {gone} was deleted; by id and deleted it gave {read}"


CHECKS = (
    Check(run=find_gives_one_match_per_person, of=(Sink,), levers=("add_contact",)),
    Check(run=each_write_gets_one_receipt, of=(Sink,), levers=("add_contact", "entry_write", "bad_write")),
    Check(
        run=a_bad_write_fails_alone,
        of=(Sink,),
        levers=("add_contact", "entry_write", "bad_write", "count"),
    ),
    Check(
        run=a_receipt_tells_the_id_of_what_was_made,
        of=(Sink,),
        levers=("add_contact", "entry_write", "linked"),
    ),
    Check(
        run=a_lost_receipt_creates_once,
        of=(Sink,),
        levers=("add_contact", "entry_write", "count", "lose_receipt", "wait"),
    ),
    Check(
        run=a_late_commit_creates_once,
        of=(Sink,),
        levers=("add_contact", "entry_write", "count", "commit_late", "wait"),
    ),
    Check(run=what_was_never_sent_is_not_found, of=(Sink,), levers=("add_contact", "entry_write")),
    Check(
        run=a_link_to_a_write_of_the_same_plan_is_resolved,
        of=(Sink,),
        levers=("contact_write", "entry_write", "linked"),
    ),
    Check(
        run=a_child_of_a_failed_parent_is_rejected,
        of=(Sink,),
        levers=("entry_write", "bad_write", "count"),
    ),
    Check(run=what_is_gone_is_read_as_deleted, of=(Sink,), levers=("add_contact", "delete")),
)


def _deliver(bench: Bench[SinkKit], write: Write) -> None:
    """
    Deliver one write, whose first outcome is unknown, as the engine does.

    It is located until Found; Absent counts once `settle` has passed, and only then is it sent again.
    """
    for attempt in range(2):
        error = bench.push(write)[write.key].error
        if error is None:
            assert attempt, "push: the answer never came, and yet the receipt has no error"
            return
        assert isinstance(error, Unavailable), (
            f"push: an answer that never came is {error!r} instead of Unavailable"
        )
        waited = 0.0
        while True:
            bench.reopen()
            (location,) = bench.sink.locate([write])
            if isinstance(location, Found):
                return
            if waited >= bench.spec.settle:
                break
            waited += bench.spec.settle / 4
            bench.kit.wait(bench.spec.settle / 4)
            bench.clock.sleep(bench.spec.settle / 4)
        assert not isinstance(location, Unknown), f"locate: still unknown after settle: {location.reason}"
