"""Faults aimed at single calls of a vendor's stand-in: refusals, lost answers, late writes, slow ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.model import Json


@dataclass(slots=True, kw_only=True)
class Fault:
    """
    What happens to the `nth` call that matches, and to the next ones up to `times`.

    `status` is answered in place of the true answer, with `retry_after` and `body` (a text is HTML, else JSON;
    default: what the vendor says); `drop` hangs up instead; with neither, the true answer is sent.
    `delay` real seconds pass first. `commits` says what becomes of the call itself: None, it
    is not carried out; 0, at once; N, after N seconds of the stand-in's clock.
    """

    method: str = ""
    path: str = ""
    nth: int = 1
    times: int = 1
    status: int | None = None
    drop: bool = False
    delay: float = 0.0
    commits: float | None = None
    retry_after: int | None = None
    body: Json = None
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a call and say whether this fault is for it."""
        if (self.method and self.method != method) or self.path not in path:
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times

    @property
    def spent(self) -> bool:
        return self.seen >= self.nth + self.times - 1


@dataclass(slots=True, kw_only=True)
class Faults:
    """The faults that wait for their calls; a stand-in asks `struck` before it carries one out."""

    faults: list[Fault] = field(default_factory=list)

    def fail(
        self,
        status: int,
        *,
        method: str = "",
        path: str = "",
        nth: int = 1,
        times: int = 1,
        commits: float | None = None,
        retry_after: int | None = None,
        body: Json = None,
    ) -> None:
        """Answer `status` to matching calls; `commits=0` stores first: "500 after storing"."""
        self.faults.append(
            Fault(
                method=method,
                path=path,
                nth=nth,
                times=times,
                status=status,
                commits=commits,
                retry_after=retry_after,
                body=body,
            )
        )

    def drop(
        self,
        *,
        method: str = "",
        path: str = "",
        nth: int = 1,
        times: int = 1,
        commits: float | None = None,
        delay: float = 0.0,
    ) -> None:
        """Hang up on matching calls after `delay` seconds; past the client's patience that is a time-out."""
        self.faults.append(
            Fault(method=method, path=path, nth=nth, times=times, drop=True, commits=commits, delay=delay)
        )

    def slow(self, delay: float, *, method: str = "", path: str = "", nth: int = 1, times: int = 1) -> None:
        """Carry out matching calls at once but answer `delay` seconds later."""
        self.faults.append(Fault(method=method, path=path, nth=nth, times=times, delay=delay, commits=0.0))

    def struck(self, method: str, path: str) -> Fault | None:
        """Count a call against every fault, and return the first that is for it."""
        hits = [fault for fault in self.faults if fault.strikes(method, path)]
        self.faults = [fault for fault in self.faults if not fault.spent]
        return hits[0] if hits else None
