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
from bridge.engine.cycle import waiting_for
from bridge.engine.opening import fault_of, learn_account, note_error
from bridge.engine.reading import is_behind, unread_streams
from bridge.errors import AuthError, BridgeError, RateLimited, StoreError
from bridge.model import Phase
from bridge.refusals import LONGEST_WAIT
from bridge.store import runs
from bridge.store.writer import Priority
from bridge.sync.delivery.mass import held_by
from bridge.sync.runtime import Connection, Runtime, log
from bridge.sync.views.totals import totals

SWEEP = 5.0
"""Seconds after which a step looks again although nobody woke it: a lost wake-up costs no more."""

STOP_SECONDS = 6.0
"""How long a stop waits for steps in the middle of something; service managers kill after ten seconds."""

RECEIVER_CHECK = 3600.0
"""Seconds between two looks whether the key of a connection still works that only receives."""

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
        self._lock = threading.Lock()
        self._troubled: dict[str, tuple[set[str], float]] = {}
        self._failed: list[str] = []
        self._pulled: dict[str, set[tuple[str, Phase]]] = {}
        self._read: set[str] = set()
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

    def begin_stop(self) -> None:
        """Tell every step to end after what it holds, and return at once."""
        self._stop.set()
        for event in self._wakes.values():
            event.set()

    def stop(self) -> None:
        """
        Let every step finish what it holds and end.

        One that hangs in a vendor's call is left behind: what it would have stored is read again, and what
        it may have written is looked for at the next start.
        """
        self.begin_stop()
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._end_run()

    def _end_run(self) -> None:
        """Close the run with what it came to: failed where the store did, partial where anything is left undone."""
        runtime = self._runtime
        outcome, counts = "failed", {}
        if not self._failed:
            found = totals(runtime, self._run)
            troubled = any(steps for steps, _ in self._troubled.values())
            outcome = "ok" if found.whole and not troubled else "partial"
            counts = found.counts()
        now = runtime.clock()
        runtime.writer.run(
            lambda c: runs.end_run(c, self._run, outcome=outcome, counts=counts, now=now),
            priority=Priority.LIVE,
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
            except (Exception, SystemExit) as error:  # it must not silence a channel
                failures += 1
                log.exception("%s: %s", name, self._runtime.message(error))
                self._stop.wait(_back_off(failures))

    def _sleep(self, step: str, seconds: float) -> bool:
        """Wait so long, or until the step is woken; tell whether it was."""
        event = self._wakes[step]
        woken = event.wait(max(0.0, seconds))
        event.clear()
        return woken

    def _say(self, step: str, connection: Connection, error: str | None) -> None:
        """Log an outage of a connection once when its first step begins to fail and once when its last is well."""
        name = connection.name
        with self._lock:
            steps, since = self._troubled.get(name, (set(), time.monotonic()))
            begins, ends = error is not None and not steps, error is None and steps == {step}
            steps = steps | {step} if error is not None else steps - {step}
            self._troubled[name] = (steps, time.monotonic() if begins else since)
        if begins:
            log.warning("%s", error)
        elif ends:
            log.warning("%s: works again after %.0f s", name, time.monotonic() - since)

    def _collect(self, connection: Connection) -> None:
        step = f"collect:{connection.name}"
        failures = 0
        asked = woken = False
        pulled: set[tuple[str, Phase]] = set()
        ailing: set[tuple[str, Phase]] = set()
        while not self._stop.is_set():
            if not asked:
                problem = learn_account(self._runtime, connection)
                if problem is not None:
                    failures += 1
                    self._say(step, connection, self._runtime.told(connection, problem))
                    self._sleep(step, AUTH_PAUSE if isinstance(problem, AuthError) else _back_off(failures))
                    continue
                asked = True
                self._runtime.wake("resolve")
            if not isinstance(connection.connector, Source):
                self._say(step, connection, None)
                failures = 0
                asked = self._sleep(step, RECEIVER_CHECK)
                continue
            if unread := cycle.unread_crms(self._runtime, connection):
                self._say(step, connection, waiting_for(connection, unread))
                self._sleep(step, SWEEP)
                continue
            force = woken or bool(unread_streams(connection, pulled))
            outcome = cycle.pull(
                self._runtime, connection, run=self._run, force=force, stopping=self._stop.is_set
            )
            pulled = self._pulled[connection.name] = pulled | outcome.worked
            ailing = (ailing | outcome.failed) - outcome.worked
            if outcome.errors:
                waits = connection.config.push is not None and unread_streams(connection, pulled)
                said = str(outcome.errors[0])
                if waits:
                    said = f"{said.rstrip('.')}. Nothing is written there before it was read"
                self._say(step, connection, said)
            elif not ailing:
                self._say(step, connection, None)
                failures = 0
            woken = False
            if outcome.failed and not outcome.worked:
                failures += 1
                asked = False
                self._sleep(step, _back_off(failures))
            elif not outcome.more:
                woken = self._wait_for_news(step, connection)

    def _wait_for_news(self, step: str, connection: Connection) -> bool:
        """Wait until a stream is due, somebody wakes the step or the vendor signals news; True for the last two."""
        seconds = self._until_due(connection)
        connector = connection.connector
        if not isinstance(connector, Waiter) or seconds < 1:
            return self._sleep(step, seconds)
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (rest := until - time.monotonic()) > 0:
            if self._wakes[step].is_set():
                return self._sleep(step, 0.0)
            try:
                if connector.wait(connection.spec.streams[0].name, min(rest, SWEEP)):
                    return True
            except BridgeError as error:
                self._say(step, connection, self._runtime.told(connection, error))
                return self._sleep(step, min(rest, SWEEP))
        return False

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
        step = f"deliver:{connection.name}"
        failures = held = 0
        while not self._stop.is_set():
            if not connection.asked or not self._may_write(connection):
                self._sleep(step, 1.0)
                continue
            wait = SWEEP
            held = self._say_held(connection, held)  # from before the start: it may be approved already
            try:
                done = cycle.deliver_all(
                    self._runtime, connection, run=None, rests=True, stopping=self._stop.is_set
                )
                if failures:
                    failures = 0
                    learn_account(self._runtime, connection)
                self._say(step, connection, None)
                held = self._say_held(connection, held)
                if done.wait is not None:
                    self._stop.wait(min(done.wait, LONGEST_WAIT))
                    continue
            except RateLimited as error:
                self._stop.wait(min(error.wait, LONGEST_WAIT))
                continue
            except StoreError:
                raise
            except (Exception, SystemExit) as fault:  # a connector's; its CRM is tried again later
                if not isinstance(fault, BridgeError):
                    log.exception("%s", connection.name)
                told = fault if isinstance(fault, BridgeError) else fault_of(connection, fault)
                failures += 1
                note_error(self._runtime, connection, told)
                self._say(step, connection, self._runtime.told(connection, told))
                wait = AUTH_PAUSE if isinstance(told, AuthError) else _back_off(failures)
            self._sleep(step, wait)

    def _say_held(self, connection: Connection, before: int) -> int:
        """Log once what is held as a mass change, and once when it is no more; returns its run, 0 for nothing."""
        hold = held_by(self._runtime, connection)
        now = hold.run if hold is not None else 0
        if now != before:
            log.warning("%s: %s", connection.name, hold or f"what run {before} held is released")
        return now

    def _may_write(self, connection: Connection) -> bool:
        """
        Tell whether what stands in a CRM was read since the start, so that nothing is written beside its twin.

        A store from a backup does not know what was written since, nor a new one what the CRM logged itself.
        """
        if connection.name in self._read:
            return True
        if unread_streams(connection, self._pulled.get(connection.name, ())):
            return False
        if is_behind(self._runtime, connection):
            return False
        self._read.add(connection.name)
        return True

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
        runtime.writer.run(runs.take_command, number, priority=Priority.LIVE)
        try:
            result = COMMANDS[name](runtime, arguments)
            failed = False
        except StoreError:
            raise
        except Exception as error:  # what another process asked for must not be carried out again and again
            result, failed = {"error": runtime.message(error)}, True
        runtime.writer.run(
            lambda c: runs.finish_command(c, number, result, failed=failed), priority=Priority.LIVE
        )
        self.wake("resolve")


def _back_off(failures: int) -> float:
    """Return seconds to wait after this many failures in a row, spread so that connections do not march in step."""
    return min(LONGEST_BACK_OFF, float(2 ** min(failures, 8))) * random.uniform(0.8, 1.2)
