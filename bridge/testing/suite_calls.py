"""What every call to the vendor promises: its result, or the error that says what happens next."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import cast

import pytest

from bridge.connector import Describer, Historian, Opener, Sink, Source
from bridge.errors import AuthError, BridgeError, RateLimited, Unavailable
from bridge.model import Created, Person, Unknown
from bridge.testing.bench import Bench, Check, Prepared, error_of, key
from bridge.testing.kit import DescriberKit, HistorianKit, Kit, OpenerKit, SinkKit, SourceKit

HANGING = (1.0, 0.3)
FAULTS = ("wrong_key", "rate_limit", "outage", "garbage")


def calls(bench: Bench[Kit]) -> Sequence[str]:
    """Return the names of the ways in which this connector reaches its vendor."""
    names = ["check"]
    if isinstance(bench.connector, Source):
        names += [f"pull {stream.name}" for stream in bench.spec.streams]
    if isinstance(bench.connector, Sink):
        names += ["find", "read", "push", "locate"]
    if isinstance(bench.connector, Historian):
        names += ["field_times"]
    if isinstance(bench.connector, Describer):
        names += ["describe"]
    if isinstance(bench.connector, Opener):
        names += ["open"]
    return names


def check_tells_whose_account_it_is(bench: Bench[Kit]) -> None:
    """Check gives the account's id, the same one each time: everything stored is keyed by it."""
    first = bench.connector.check()
    bench.reopen()
    second = bench.connector.check()
    assert first.id, "check: the account has no id"
    assert first.id == second.id, f"check: the account was {first.id}, then {second.id}"


def a_refused_key_is_an_auth_error(bench: Bench[Kit], call: str) -> None:
    """A key that the vendor refuses gives AuthError, so that the connection is paused and a person asked."""
    make = _prepare(bench, call)
    bench.kit.wrong_key()
    error = error_of(make)
    assert isinstance(error, AuthError), f"{call}: the vendor refused the key; it gave {error!r}"


def too_many_calls_tell_how_long_to_wait(bench: Bench[Kit], call: str) -> None:
    """A call too many gives RateLimited with the wait that the vendor stated."""
    make = _prepare(bench, call)
    stated = bench.kit.rate_limit()
    error = error_of(make)
    assert isinstance(error, RateLimited), f"{call}: the vendor said too many calls; it gave {error!r}"
    assert error.wait == pytest.approx(stated, abs=1.0), (
        f"{call}: the vendor said to wait {stated} s, the error says {error.wait}"
    )


def an_outage_is_unavailable(bench: Bench[Kit], call: str) -> None:
    """A 5xx gives Unavailable, so that it is tried again."""
    make = _prepare(bench, call)
    bench.kit.outage()
    error = error_of(make)
    assert isinstance(error, Unavailable), f"{call}: the vendor is down; it gave {error!r}"


def a_vendor_that_never_answers_is_unavailable(bench: Bench[Kit], call: str) -> None:
    """A time-out gives Unavailable."""
    make = _prepare(bench, call)
    bench.kit.hang()
    bench.reopen(timeouts=HANGING)
    error = error_of(make)
    assert isinstance(error, Unavailable), f"{call}: the vendor never answered; it gave {error!r}"


def an_answer_that_makes_no_sense_is_unavailable(bench: Bench[Kit], call: str) -> None:
    """An answer of 200 that is not what it should be gives Unavailable, never an empty result."""
    make = _prepare(bench, call)
    bench.kit.garbage()
    error = error_of(make)
    assert isinstance(error, Unavailable), f"{call}: the vendor answered nonsense; it gave {error!r}"


def no_secret_is_told_or_logged(bench: Bench[Kit], call: str) -> None:
    """No error, with all it was caused by, and no log line shows a secret, whatever the vendor does."""
    for fault in FAULTS:
        if fault in bench.kit.cannot or f"{fault} {call}" in bench.kit.cannot:
            continue
        with bench.another() as other:
            make = _prepare(other, call)
            getattr(other.kit, fault)()
            told = _told(make) + other.log.lines
        for line in told:
            assert bench.redactor.clean(line) == line, f"{call} with {fault}: a secret is shown: {line}"


def describe_names_each_field_once(bench: Bench[Kit]) -> None:
    """Each stream's fields have different names."""
    for stream in bench.spec.streams:
        names = [field.name for field in bench.describer.describe(stream.name)]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"describe {stream.name}: {twice} stand there more than once"


def a_field_is_created_once(bench: Bench[DescriberKit]) -> None:
    """Create makes a missing field, or says what a person must do; done again it finds it there."""
    stream, field = bench.kit.new_field
    first = bench.describer.create(stream, [field])
    assert field.name in first.created or first.manual, f"create: neither made nor a manual step: {first}"
    if field.name in first.created:
        bench.reopen()
        assert field.name in [known.name for known in bench.describer.describe(stream)]
        again = bench.describer.create(stream, [field])
        assert again == Created(existing=(field.name,)), f"create: done twice it says {again}"


def an_attachment_is_opened_whole(bench: Bench[OpenerKit]) -> None:
    """Open gives the bytes that are at the vendor, all of them."""
    content = bytes(range(256)) * 600
    reference = bench.kit.attach(content)
    opener = bench.connector
    assert isinstance(opener, Opener)
    with opener.open(reference) as file:
        assert file.read() == content, "open: other bytes than the vendor has"


CHECKS = (
    Check(run=check_tells_whose_account_it_is),
    Check(run=a_refused_key_is_an_auth_error, calls=True, levers=("wrong_key",)),
    Check(run=too_many_calls_tell_how_long_to_wait, calls=True, levers=("rate_limit",)),
    Check(run=an_outage_is_unavailable, calls=True, levers=("outage",)),
    Check(run=a_vendor_that_never_answers_is_unavailable, calls=True, levers=("hang",)),
    Check(run=an_answer_that_makes_no_sense_is_unavailable, calls=True, levers=("garbage",)),
    Check(run=no_secret_is_told_or_logged, calls=True),
    Check(run=describe_names_each_field_once, of=(Describer,)),
    Check(run=a_field_is_created_once, of=(Describer,), levers=("new_field",)),
    Check(run=an_attachment_is_opened_whole, of=(Opener,), levers=("attach",)),
)


def _prepare(bench: Bench[Kit], call: str) -> Prepared:
    """Put at the vendor what a call needs, and return the call, to be made once the vendor fails."""
    word, _, stream = call.partition(" ")
    if word == "pull":
        return _pull(cast("Bench[SourceKit]", bench), stream)
    if word in ("find", "read", "push", "locate"):
        return _sink_call(cast("Bench[SinkKit]", bench), word)
    if word == "field_times":
        return _field_times(cast("Bench[HistorianKit]", bench))
    if word == "describe":
        return lambda: bench.describer.describe(bench.spec.streams[0].name)
    if word == "open":
        return _open(cast("Bench[OpenerKit]", bench))
    return lambda: bench.connector.check()


def _pull(bench: Bench[SourceKit], stream: str) -> Prepared:
    phase = bench.spec.stream(stream).phases[0]
    return lambda: list(bench.pull(stream, phase))


def _sink_call(bench: Bench[SinkKit], word: str) -> Prepared:
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    write = bench.kit.entry_write(key(1), contact)

    def find() -> None:
        list(bench.sink.find([Person(key="ana", emails=["ana@one.example"])]))

    def read() -> None:
        list(bench.sink.read(bench.spec.contact_stream, [contact], []))

    def push() -> None:
        for receipt in bench.sink.push([write]):
            if receipt.error is not None:
                raise receipt.error

    def locate() -> None:
        for location in bench.sink.locate([write]):
            if isinstance(location, Unknown):
                raise Unavailable(location.reason)

    return {"find": find, "read": read, "push": push, "locate": locate}[word]


def _field_times(bench: Bench[HistorianKit]) -> Prepared:
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    return lambda: list(
        bench.historian.field_times(bench.spec.contact_stream, [contact], list(bench.kit.dated))
    )


def _open(bench: Bench[OpenerKit]) -> Prepared:
    reference = bench.kit.attach(b"content")

    def read() -> None:
        assert isinstance(bench.connector, Opener)
        with bench.connector.open(reference) as file:
            file.read()

    return read


def _told(make: Prepared) -> list[str]:
    try:
        make()
    except BridgeError as error:
        return [str(error), repr(error), *traceback.format_exception(error)]
    return []
