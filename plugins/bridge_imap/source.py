"""What is new in a mailbox and what is old: folders, phases and cursors."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import TypedDict

from bridge import BridgeError, Context, CursorExpired, Json, Page, Phase, Record, Skip, Unavailable
from bridge_imap.client import Client, Folder, State
from bridge_imap.folders import choose
from bridge_imap.people import MailContext
from bridge_imap.reading import Batch, Reader
from bridge_imap.sign_in import Server

WINDOW = 80_000
"""Mails that one search may find, so that its answer stays below imaplib's line limit of a million octets."""

TRIES = 3
"""How often a mail is asked for alone, each time over a new connection, before it counts as unreadable."""

FIRST_LOOK_BACK = timedelta(days=1)
FIRST_MAILS = 1000
"""
How far back the first live pull reaches, and for how many mails of a folder at most. Backfill reads
what was there when it began; the overlap are repeats and leaves no gap whichever of the two begins first.
"""


class LiveState(TypedDict):
    """Of one folder: every UID below `uidnext` of the series `uidvalidity` is stored or left to backfill."""

    uidvalidity: int
    uidnext: int


class PastState(TypedDict):
    """Of one folder: of what was there when backfill began, every UID from `below` on is stored."""

    uidvalidity: int
    below: int


@dataclass(slots=True, kw_only=True)
class Mailbox:
    """
    The folders of one mailbox as a stream.

    Connections are kept between calls and used by one call at a time, so that a backfill and a wait
    for news never mix their answers.
    """

    server: Server
    context: Context
    named: Sequence[str]
    own: MailContext
    limit: int
    _spare: list[Client] = field(default_factory=list)
    _folders: Sequence[Folder] = ()
    _seen: dict[str, State] = field(default_factory=dict)
    _told: dict[str, State] = field(default_factory=dict)
    _closed: threading.Event = field(default_factory=threading.Event)

    def connect(self) -> tuple[Client, Sequence[Folder]]:
        """Sign in and return the connection with the folders to read."""
        client = Client(self.server, self.context.connection)
        try:
            self._folders = choose(
                client.folders(), self.named, gmail=client.gmail, connection=self.context.connection
            )
        except BaseException:
            client.close()
            raise
        return client, self._folders

    def begin(self) -> tuple[Client, Mapping[Folder, State]]:
        """Return a live connection, an old one if it still answers, with the present state of each folder."""
        while True:
            try:
                client, folders, fresh = self._spare.pop(), self._folders, False
            except IndexError:
                (client, folders), fresh = self.connect(), True
            try:
                return client, {folder: client.status(folder.name) for folder in folders}
            except BridgeError as error:
                client.close()
                if fresh or not isinstance(error, Unavailable):
                    raise

    def give_back(self, client: Client) -> None:
        """Keep a connection on which nothing is under way."""
        if self._closed.is_set():
            client.close()
        else:
            self._spare.append(client)

    def pull(self, phase: Phase, cursor: Json) -> Iterator[Page]:
        """
        Yield pages of mails: live oldest first, from the last UID seen; backfill newest first, down to the first.

        A new mail has a UID above all others of its folder (RFC 9051, section 2.3.1.1), so two numbers
        per folder tell all that is new, with CONDSTORE and without; changed flags and vanished mails are
        no events of a journey. When UIDVALIDITY changes the live pull reads the folder again from the start:
        its mails are known by their Message-ID and are repeats.
        """
        states = _states(cursor)
        client, told = self.begin()
        turn = _Turn(mailbox=self, client=client, states=states)
        try:
            for folder, state in told.items():
                yield from turn.live(folder, state) if phase == "live" else turn.past(folder)
        except BaseException:
            turn.client.close()  # answers may be under way that nobody will read
            raise
        self.give_back(turn.client)

    def wait(self, seconds: float) -> bool:
        """Block until a mail arrives or `seconds` pass; INBOX is watched, the others are looked at first."""
        client, told = self.begin()
        try:
            news = len([f for f, state in told.items() if self._is_news(f, state)]) > 0
            watched = min(told, key=lambda folder: folder.role not in ("inbox", "all"), default=None)
            if not news and watched is not None:
                news = client.idle(watched.name, partial(self._is_news, watched), seconds, self._closed.wait)
        except BaseException:
            client.close()
            raise
        self.give_back(client)
        return news

    def saw(self, folder: Folder, state: State) -> None:
        """Remember that everything up to `state` was pulled; what differs from it is news."""
        self._seen[folder.name] = state

    def _is_news(self, folder: Folder, state: State) -> bool:
        """Say whether a folder stands elsewhere than where it was pulled to; the same state is no news twice."""
        if state in (self._seen.get(folder.name, state), self._told.get(folder.name)):
            return False
        # a server whose STATUS and EXAMINE disagree would otherwise have us pull without end
        self._told[folder.name] = state
        return True

    def close(self) -> None:
        """End waiting and drop the connections."""
        self._closed.set()
        while self._spare:
            self._spare.pop().close()


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One pull: its connection, renewed when it breaks, and the states that become the cursor."""

    mailbox: Mailbox
    client: Client
    states: dict[str, Json]

    def live(self, folder: Folder, told: State) -> Iterator[Page]:
        known: LiveState | None = self.states.get(folder.name)
        if known is None or told != State(**known):
            state = self.client.examine(folder.name)
            if known is None:
                found = self._recent(state)
            elif known["uidvalidity"] != state.uidvalidity or state.uidnext < known["uidnext"]:
                found = self._search(_windows(1, state), since=self._since())
            else:
                found = self._search(_windows(known["uidnext"], state))
            for uids in found:
                for batch in self._read(folder, state, uids):
                    reached = LiveState(uidvalidity=state.uidvalidity, uidnext=batch.uids[-1] + 1)
                    yield self._page(folder, reached, batch.records)
            end = LiveState(uidvalidity=state.uidvalidity, uidnext=state.uidnext)
            if self.states.get(folder.name) != end:
                yield self._page(folder, end)
            told = State(**end)
        self.mailbox.saw(folder, told)

    def past(self, folder: Folder) -> Iterator[Page]:
        known: PastState | None = self.states.get(folder.name)
        if known is not None and known["below"] <= 1:
            return
        state = self.client.examine(folder.name)
        if known is not None and known["uidvalidity"] == state.uidvalidity:
            state = replace(state, uidnext=known["below"])
        windows = reversed(list(_windows(1, state)))
        for uids in self._search(windows, since=self._since()):
            for batch in self._read(folder, state, uids[::-1]):
                reached = PastState(uidvalidity=state.uidvalidity, below=batch.uids[-1])
                yield self._page(folder, reached, batch.records)
        end = PastState(uidvalidity=state.uidvalidity, below=1)
        if self.states.get(folder.name) != end:
            yield self._page(folder, end)

    def _page(
        self, folder: Folder, state: LiveState | PastState, records: Sequence[Record | Skip] = ()
    ) -> Page:
        self.states[folder.name] = state
        return Page(records=records, cursor={"folders": dict(self.states)})

    def _search(
        self, windows: Iterable[tuple[int, int]], *, since: date | None = None
    ) -> Iterator[list[int]]:
        for first, last in windows:
            yield self.client.search(first, last, since=since)

    def _recent(self, state: State) -> Iterator[list[int]]:
        """Yield what the first live pull reads: the last mails of the last day."""
        for first, last in list(_windows(1, state))[-1:]:
            yield self.client.search(first, last, since=self._first_day())[-FIRST_MAILS:]

    def _since(self) -> date | None:
        """Return a day surely not after `since`: the server counts days in its own time zone."""
        since = self.mailbox.context.capture.since
        return since.date() - timedelta(days=1) if since else None

    def _first_day(self) -> date:
        recent = (self.mailbox.context.clock() - FIRST_LOOK_BACK).date()
        return max(recent, self._since() or recent)

    def _read(self, folder: Folder, state: State, uids: Sequence[int]) -> Iterator[Batch]:
        """
        Yield all of `uids` in order, whatever the server makes of single mails.

        Where reading breaks off it goes on over a new connection with ever smaller parts, until a
        mail that always breaks it stands alone; that one is taken without its body.
        """
        parts = [uids]
        tries = 0
        while parts:
            part = parts.pop()
            try:
                for batch in self._reader(folder, state).read(part):
                    part = part[len(batch.uids) :]
                    tries = 0
                    yield batch
                continue
            except Unavailable as error:
                failure = error
            self._reopen(folder, state)
            middle = len(part) // 2
            if middle:
                parts += [part[middle:], part[:middle]]
            elif tries < TRIES - 1:
                tries += 1
                parts.append(part)
            else:
                tries = 0
                yield self._without_body(folder, state, part[0], failure)

    def _without_body(self, folder: Folder, state: State, uid: int, failure: Unavailable) -> Batch:
        """Return what the server gives out of a mail that it never gives out whole."""
        reader = self._reader(folder, state)
        try:
            return reader.read_header(uid, str(failure))
        except Unavailable:
            self._reopen(folder, state)
        try:
            others_come = self.client.gives_out_another(uid)
        except Unavailable:
            others_come = False
        if not others_come:
            raise failure
        return reader.lost(uid, str(failure))

    def _reader(self, folder: Folder, state: State) -> Reader:
        mailbox = self.mailbox
        return Reader(
            self.client,
            folder,
            state.uidvalidity,
            capture=mailbox.context.capture,
            own=mailbox.own,
            limit=mailbox.limit,
        )

    def _reopen(self, folder: Folder, state: State) -> None:
        self.client.close()
        self.client, _ = self.mailbox.connect()
        if self.client.examine(folder.name).uidvalidity != state.uidvalidity:
            raise Unavailable(
                f"{self.mailbox.context.connection}: {folder.name} was rebuilt while it was read", wait=1
            )


def _windows(first: int, state: State) -> Iterator[tuple[int, int]]:
    """Yield ranges of UIDs from `first` to the last one, each holding at most WINDOW mails."""
    step = WINDOW if state.exists > WINDOW else state.uidnext
    for low in range(first, state.uidnext, step):
        yield low, min(low + step, state.uidnext) - 1


def _states(cursor: Json) -> dict[str, Json]:
    if cursor is None:
        return {}
    try:
        return {name: dict(state) for name, state in cursor["folders"].items()}
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise CursorExpired(f"an IMAP cursor looks different: {cursor!r:.100}") from error
