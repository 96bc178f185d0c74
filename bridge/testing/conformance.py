"""
The conformance suite: the tests that every connector passes.

    from bridge.testing.conformance import suite
    from acme_sandbox import AcmeKit

    TestAcme = suite(AcmeKit)

A kit (`bridge.testing.kit`) is a stand-in of the vendor with levers. Which tests are collected
follows from the protocols that the connector satisfies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

SUITES = ("suite_spec", "suite_calls", "suite_source", "suite_receiver", "suite_sink", "suite_historian")
pytest.register_assert_rewrite(*(f"bridge.testing.{name}" for name in SUITES))

from bridge.testing import kit as kits  # noqa: E402  (after its suites are registered for rewriting)
from bridge.testing import (  # noqa: E402
    suite_calls,
    suite_historian,
    suite_receiver,
    suite_sink,
    suite_source,
    suite_spec,
)
from bridge.testing.bench import At, Bench, Check  # noqa: E402
from bridge.testing.kit import Kit  # noqa: E402

CHECKS: tuple[Check, ...] = (
    *suite_spec.CHECKS,
    *suite_calls.CHECKS,
    *suite_source.CHECKS,
    *suite_receiver.CHECKS,
    *suite_sink.CHECKS,
    *suite_historian.CHECKS,
)
NOT_METHODS = {"pages": "page_size"}


def suite(factory: Callable[[], Kit]) -> type:
    """
    Return a class of pytest tests for the connector that a kit opens.

    `factory` makes a new kit; it is called once here, to see what the connector can do, and once
    for each test. Raises TypeError when the kit lacks a lever that the connector's protocols need
    and does not say in `cannot` why.
    """
    with Bench(factory) as bench:
        cases = list(collect(bench))
    namespace: dict[str, Any] = {"bench": pytest.fixture(_bench(factory))}
    for check, parameters in cases:
        namespace[f"test_{check.name}"] = _test(check, parameters)
    return type(f"Test{getattr(factory, '__name__', 'Connector')}", (), namespace)


def collect(bench: Bench[Kit]) -> Iterator[tuple[Check, Sequence[At | str]]]:
    """Yield the checks that concern a connector, each with its parameters, if it takes any."""
    concerned = [check for check in CHECKS if all(isinstance(bench.connector, one) for one in check.of)]
    _require(bench.kit, concerned)
    for check in concerned:
        if any(_absent(bench.kit, lever) for lever in check.levers):
            continue
        parameters = _parameters(check, bench)
        if parameters or not (check.where or check.calls):
            yield check, parameters


def _parameters(check: Check, bench: Bench[Kit]) -> Sequence[At | str]:
    if check.calls:
        return [name for name in suite_calls.calls(bench) if not _excused(bench.kit, check, name)]
    if check.where is None:
        return ()
    places = [At(stream, phase) for stream in bench.spec.streams for phase in stream.phases]
    return [at for at in places if check.where(at) and not _excused(bench.kit, check, at.stream.name)]


def _excused(kit: Kit, check: Check, name: str) -> bool:
    return any(f"{lever} {name}" in kit.cannot for lever in check.levers)


def _absent(kit: Kit, lever: str) -> bool:
    return lever in kit.cannot or getattr(kit, NOT_METHODS.get(lever, lever), None) is False


def _require(kit: Kit, checks: Sequence[Check]) -> None:
    needed = dict.fromkeys(lever for check in checks for lever in check.levers)
    lacking = [
        f"  {name}{_meaning(name)}"
        for name in needed
        if name not in kit.cannot and not hasattr(kit, NOT_METHODS.get(name, name))
    ]
    if lacking:
        raise TypeError(
            f"{type(kit).__name__} lacks what the tests of this connector need:\n"
            + "\n".join(lacking)
            + "\nAdd each, or say in `cannot` why the vendor has no use for it."
        )
    known = {lever for check in CHECKS for lever in check.levers}
    unknown = [name for name in kit.cannot if name.split(" ")[0] not in known]
    if unknown:
        raise TypeError(f"{type(kit).__name__}.cannot: no lever {unknown}, only {sorted(known)}")


def _meaning(lever: str) -> str:
    for protocol in vars(kits).values():
        documented = getattr(protocol, lever, None) if isinstance(protocol, type) else None
        if documented is not None and documented.__doc__:
            return f": {documented.__doc__.strip().splitlines()[0]}"
    return ""


def _bench(factory: Callable[[], Kit]) -> Callable[[Any], Iterator[Bench[Kit]]]:
    def bench(self: Any) -> Iterator[Bench[Kit]]:
        with Bench(factory) as made:
            yield made

    return bench


def _test(check: Check, parameters: Sequence[At | str]) -> Callable[..., None]:
    def plain(self: Any, bench: Bench[Kit]) -> None:
        check.run(bench)

    def with_one(self: Any, bench: Bench[Kit], one: At | str) -> None:
        check.run(bench, one)

    test: Callable[..., None] = plain
    if parameters:
        ids = [str(one).replace(" ", "-") for one in parameters]
        test = pytest.mark.parametrize("one", parameters, ids=ids)(with_one)
    test.__name__, test.__doc__ = f"test_{check.name}", check.run.__doc__
    return test
