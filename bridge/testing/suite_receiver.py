"""What every receiver promises: only the vendor gets in, and nothing of what it says is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from bridge.connector import Receiver
from bridge.errors import MappingError
from bridge.model import Delivery, Hint, Record, Request, Skip
from bridge.testing.bench import Bench, Check
from bridge.testing.kit import ReceiverKit

MANY = 1000
REFUSED = (401, 403)


def a_genuine_request_is_stored(bench: Bench[ReceiverKit]) -> None:
    """What the vendor signed is answered 2xx and stored."""
    reply = bench.receiver.verify(bench.kit.request(1, bench.clock()))
    assert 200 <= reply.status < 300, f"verify: a genuine request was answered {reply.status}"
    assert reply.store, "verify: a genuine request was not stored"


def a_forged_request_is_refused(bench: Bench[ReceiverKit]) -> None:
    """A wrong secret, or no signature at all, is refused."""
    genuine = bench.kit.request(2, bench.clock())
    plain = {
        name: value for name, value in genuine.headers.items() if name in ("content-type", "content-length")
    }
    wrong = bench.kit.request(2, bench.clock(), forged=True)
    _assert_refused(bench, wrong, "signed with a wrong secret")
    _assert_refused(bench, replace(genuine, headers=plain), "without the vendor's headers")


def a_request_with_another_body_is_refused(bench: Bench[ReceiverKit]) -> None:
    """A genuine signature over other bytes is refused: one byte more, another event, none at all."""
    genuine = bench.kit.request(2, bench.clock())
    other = bench.kit.request(3, bench.clock())
    _assert_refused(bench, replace(genuine, body=genuine.body + b" "), "with a blank more in its body")
    _assert_refused(bench, replace(genuine, body=other.body), "with the body of another one")
    _assert_refused(bench, replace(genuine, body=b""), "with its body cut off")


def a_stale_request_is_refused(bench: Bench[ReceiverKit]) -> None:
    """What was signed a day ago, or a day ahead, is refused."""
    for days, words in ((-1, "a day ago"), (1, "a day ahead")):
        request = bench.kit.request(1, bench.clock() + timedelta(days=days))
        _assert_refused(bench, replace(request, received_at=bench.clock()), f"signed {words}")


def a_replayed_request_is_recognised(bench: Bench[ReceiverKit]) -> None:
    """
    The same request again says the same: the same idempotency key, and the same ids and versions.

    So the core stores nothing twice, whenever and under whatever delivery it comes.
    """
    request = bench.kit.request(3, bench.clock())
    first = bench.receiver.verify(request)
    bench.clock.sleep(30.0)
    bench.reopen()
    again = bench.receiver.verify(replace(request, received_at=bench.clock()))
    if again.status not in REFUSED:
        assert again.idempotency_key == first.idempotency_key, "verify: a replay has another idempotency key"
    one = _split(bench, request, "delivery-1")
    bench.clock.sleep(86400.0 * 400)
    two = _split(bench, request, "delivery-2", later=timedelta(days=400))
    assert _versions(one) == _versions(two), "split: a replay gives other ids or versions"


def a_body_of_a_thousand_events_loses_none(bench: Bench[ReceiverKit]) -> None:
    """A thousand different events in one body come as a thousand different records or hints."""
    request = bench.kit.request(MANY, bench.clock())
    assert bench.receiver.verify(request).store, "verify: a large genuine request was not stored"
    items = _split(bench, request, "delivery-1")
    assert len(_versions(items)) == MANY, f"split: {MANY} events gave {len(_versions(items))} different items"


def an_odd_event_loses_no_other(bench: Bench[ReceiverKit]) -> None:
    """An event that makes no sense is kept, and all the others come as if it were not there."""
    others = _versions(_split(bench, bench.kit.request(4, bench.clock()), "delivery-1"))
    items = _split(bench, bench.kit.request(4, bench.clock(), odd=True), "delivery-1")
    lost = others - _versions(items)
    assert not lost, f"split: beside an event that makes no sense, {len(lost)} others were lost"
    assert len(_versions(items)) > len(others), "split: the event that makes no sense was not kept"


def nonsense_is_answered_and_not_stored(bench: Bench[ReceiverKit]) -> None:
    """Verify answers 4xx to whatever comes and never raises; split raises nothing but MappingError."""
    genuine = bench.kit.request(1, bench.clock())
    strange = dict.fromkeys(genuine.headers, "ÿ\u2028,=;t=v1=")
    for request in (
        replace(genuine, headers={}, body=b"\xff\xfe\x00"),
        replace(genuine, headers=strange),
        replace(genuine, headers={}, body=b"", method="PUT"),
        replace(genuine, headers={}, query={"hub.mode": "subscribe"}, method="GET"),
    ):
        reply = bench.receiver.verify(request)
        assert 400 <= reply.status < 500, f"verify: nonsense was answered {reply.status}"
        assert not reply.store, "verify: nonsense was stored"
    for body in (b"", b"\xff\xfe\x00", b"{", b"null", b"[]", b"{}", b'{"entry": 7}'):
        try:
            _split(bench, replace(genuine, body=body), "delivery-1")
        except MappingError:
            continue


CHECKS = (
    Check(run=a_genuine_request_is_stored, of=(Receiver,), levers=("request",)),
    Check(run=a_forged_request_is_refused, of=(Receiver,), levers=("request",)),
    Check(run=a_request_with_another_body_is_refused, of=(Receiver,), levers=("request", "signs_body")),
    Check(run=a_stale_request_is_refused, of=(Receiver,), levers=("request", "signs_time")),
    Check(run=a_replayed_request_is_recognised, of=(Receiver,), levers=("request",)),
    Check(run=a_body_of_a_thousand_events_loses_none, of=(Receiver,), levers=("request",)),
    Check(run=an_odd_event_loses_no_other, of=(Receiver,), levers=("request",)),
    Check(run=nonsense_is_answered_and_not_stored, of=(Receiver,), levers=("request",)),
)


def _assert_refused(bench: Bench[ReceiverKit], request: Request, words: str) -> None:
    reply = bench.receiver.verify(request)
    assert reply.status in REFUSED, f"verify: a request {words} was answered {reply.status}, not 401 or 403"
    assert not reply.store, f"verify: a request {words} was stored"


def _split(
    bench: Bench[ReceiverKit], request: Request, id: str, later: timedelta = timedelta(0)
) -> Sequence[Record | Skip | Hint]:
    reply = bench.receiver.verify(request)
    delivery = Delivery(
        id=id,
        body=request.body,
        headers=request.headers,
        received_at=request.received_at + later,
        sender=reply.sender,
    )
    return list(bench.receiver.split(delivery))


def _versions(items: Sequence[Record | Skip | Hint]) -> set[tuple[str, ...]]:
    return {
        (item.stream, *item.ids) if isinstance(item, Hint) else (item.stream, item.id, item.version)
        for item in items
    }
