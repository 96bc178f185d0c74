"""The daemon: threads of one process that collect, resolve and deliver until they are told to stop."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial

from bridge.connector import Source, Waiter
from bridge.engine import cycle
from bridge.engine.commands import COMMANDS
from bridge.engine.opening import learn_account
from bridge.errors import AuthError, BridgeError, RateLimited, StoreError
from bridge.store import collected, runs
from bridge.store.writer import Priority
from bridge.sync.runtime import Connection, Runtime, log

SWEEP = 5.0
"""Seconds after which a step looks again although nobody woke it: a lost wake-up costs no more."""

LONGEST_BACK_OFF = 300.0
AUTH_PAUSE = 600.0
"""Seconds between two tries of a refused key; a person renews it, more often would lock the account."""


class Daemon:
    """
    Runs every step in threads of its own, each on its schedule and when it is woken.

    A step that fails is tried again with growing pauses; the others go on. An outage is logged
    once when it begins and once when it ends.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stop = threading.Event()
        self._wakes: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        self._troubled: set[str] = set()
        self._failed: list[str] = []
        self._run = 0
        runtime.wake = self.wake

    def start(self) -> None:
        """Start the threads and return."""
        runtime = self._runtime
        now = runtime.clock()
        self._run = runtime.writer.run(runs.start_run, "daemon", now, priority=Priority.LIVE)
        for connection in runtime.connections.values():
            self._spawn(f"collect:{connection.name}", partial(self._collect, connection))
            if connection.config.push is not None:
                self._spawn(f"deliver:{connection.name}", partial(self._deliver, connection))
        self._spawn("resolve", self._resolve)
        self._spawn("commands", self._commands)

    def stop(self) -> None:
        """Let every step finish what it holds and end."""
        self._stop.set()
        for event in self._wakes.values():
            event.set()
        for thread in self._threads:
            thread.join()
        runtime = self._runtime
        now = runtime.clock()
        outcome = "failed" if self._failed else "ok"
        runtime.writer.run(
            lambda c: runs.end_run(c, self._run, outcome=outcome, counts={}, now=now), priority=Priority.LIVE
        )

    def alive(self) -> list[str]:
        """Return which steps have died, nothing when all run."""
        dead = [thread.name for thread in self._threads if not thread.is_alive()]
        return [f"the step {name} has ended" for name in dead] + self._failed

    def wake(self, step: str) -> None:
        """Wake a step: resolve, deliver, or collect:<connection>."""
        for name, event in self._wakes.items():
            same = name == step or name.startswith(f"{step}:") or step.startswith(f"{name}:")
            if same or (step == "project" and name.startswith("deliver:")):
                event.set()

    def failed(self) -> str | None:
        """Return why the daemon cannot go on, None while it can."""
        return self._failed[0] if self._failed else None

    def _spawn(self, name: str, loop: Callable[[], None]) -> None:
        self._wakes[name] = threading.Event()
        thread = threading.Thread(target=self._guard, args=(name, loop), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, name: str, loop: Callable[[], None]) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                loop()
                return
            except StoreError as error:
                if not self._stop.is_set():
                    self._failed.append(self._runtime.message(error))
                return
            except (
                Exception
            ) as error:  # a fault of ours must not silence a channel: it is logged, then tried again
                failures += 1
                log.exception("%s: %s", name, self._runtime.message(error))
                self._stop.wait(_back_off(failures))

    def _sleep(self, name: str, seconds: float) -> None:
        event = self._wakes[name]
        event.wait(max(0.0, seconds))
        event.clear()

    def _say(self, name: str, error: str | None) -> None:
        """Log an outage once when it starts and once when it ends."""
        if error is not None and name not in self._troubled:
            self._troubled.add(name)
            log.warning("%s", error)
        elif error is None and name in self._troubled:
            self._troubled.discard(name)
            log.info("%s: works again", name)

    def _collect(self, connection: Connection) -> None:
        name = f"collect:{connection.name}"
        failures = 0
        while not self._stop.is_set():
            if connection.account is None or failures:
                problem = learn_account(self._runtime, connection)
                self._say(name, f"{connection.name}: {self._runtime.message(problem)}" if problem else None)
                if problem is not None and (connection.account is None or isinstance(problem, AuthError)):
                    failures += 1
                    pause = AUTH_PAUSE if isinstance(problem, AuthError) else _back_off(failures)
                    self._sleep(name, pause)
                    continue
                if connection.account is not None:
                    self._runtime.wake("resolve")
            if not isinstance(connection.connector, Source):
                self._sleep(name, SWEEP * 12)
                continue
            outcome = cycle.pull(self._runtime, connection, run=self._run, stopping=self._stop.is_set)
            failures = failures + 1 if outcome.errors else 0
            self._say(name, outcome.errors[0] if outcome.errors else None)
            if outcome.wait == 0.0:
                continue
            self._wait_for_news(name, connection, _back_off(failures) if failures else None)

    def _wait_for_news(self, name: str, connection: Connection, pause: float | None) -> None:
        if pause is not None:
            self._sleep(name, pause)
            return
        seconds = self._until_due(connection)
        connector = connection.connector
        if not isinstance(connector, Waiter) or seconds < 1:
            self._sleep(name, seconds)
            return
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (rest := until - time.monotonic()) > 0:
            try:
                if connector.wait(connection.spec.streams[0].name, min(rest, SWEEP)):
                    self._make_due(connection)
                    return
            except BridgeError as error:
                self._say(name, f"{connection.name}: {self._runtime.message(error)}")
                self._sleep(name, min(rest, SWEEP))

    def _make_due(self, connection: Connection) -> None:
        """Forget when the live streams were last pulled, since the vendor says there is news."""
        account_pk = connection.account_pk
        assert account_pk is not None
        self._runtime.writer.run(collected.make_due, account_pk, priority=Priority.LIVE)

    def _until_due(self, connection: Connection) -> float:
        every = connection.config.every
        shortest = min(
            (
                spec.every.get(phase, 60.0)
                for spec in connection.spec.streams
                for phase in spec.phases
                if phase != "backfill"
            ),
            default=60.0,
        )
        return every if every is not None else shortest

    def _resolve(self) -> None:
        while not self._stop.is_set():
            cycle.settle_inbox(self._runtime, run=self._run, stopping=self._stop.is_set)
            self._sleep("resolve", SWEEP)

    def _deliver(self, connection: Connection) -> None:
        name = f"deliver:{connection.name}"
        failures = 0
        while not self._stop.is_set():
            if connection.account is None:
                self._sleep(name, 1.0)
                continue
            wait = SWEEP
            try:
                done = cycle.deliver_all(self._runtime, connection, run=self._run, stopping=self._stop.is_set)
                failures = 0
                self._say(name, None)
                if done.wait is not None:
                    self._stop.wait(done.wait)
                    continue
            except RateLimited as error:
                self._stop.wait(error.wait)
                continue
            except BridgeError as error:
                failures += 1
                self._say(name, f"{connection.name}: {self._runtime.message(error)}")
                wait = AUTH_PAUSE if isinstance(error, AuthError) else _back_off(failures)
            self._sleep(name, wait)

    def _commands(self) -> None:
        """Carry out what other crmbridge processes ask for, since only this one may write."""
        while not self._stop.is_set():
            with self._runtime.database.read() as c:
                found = runs.open_commands(c)
            for number, name, arguments in found:
                self._carry_out(number, name, arguments)
            self._sleep("commands", 1.0)

    def _carry_out(self, number: int, name: str, arguments: dict[str, object]) -> None:
        runtime = self._runtime
        try:
            result = COMMANDS[name](runtime, arguments)
            failed = False
        except (BridgeError, KeyError) as error:
            result, failed = {"error": runtime.message(error)}, True
        runtime.writer.run(
            lambda c: runs.finish_command(c, number, result, failed=failed), priority=Priority.LIVE
        )
        self.wake("resolve")


def _back_off(failures: int) -> float:
    """Return seconds to wait after this many failures in a row, spread so that connections do not march in step."""
    return min(LONGEST_BACK_OFF, float(2 ** min(failures, 8))) * random.uniform(0.8, 1.2)
