"""One connection to an IMAP server: reach it, sign in, list folders, see what is new (RFC 9051)."""

from __future__ import annotations

import imaplib
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import imapclient

from bridge import BridgeError, __version__
from bridge_imap.failures import told
from bridge_imap.sign_in import Server, sign_in
from bridge_imap.wire import Value, Wire, number, pairs, uid_set
from bridge_imap.words import role_of

CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0
IDLE_SECONDS = 540.0
"""Servers end IDLE after 29 minutes (RFC 2177), home routers forget a quiet connection after ten."""

POLL_SECONDS = 60.0
"""How often to look where the server has no IDLE."""

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that can be opened and its role: inbox, sent, archive, all, drafts, junk, trash or ""."""

    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Which UIDs a folder gives out: `uidnext` is the next of the series `uidvalidity`."""

    uidvalidity: int
    uidnext: int
    exists: int = field(default=0, compare=False)


class Client:
    """
    A signed-in connection; folders are only ever opened with EXAMINE, so that nothing gets \\Seen.

    Raises AuthError when the server refuses the sign-in, RateLimited when it says "not now", else
    Unavailable, for a refused command as well; after that the client is of no more use.
    """

    def __init__(self, server: Server, connection: str) -> None:
        self._place = f"{connection}: {server.host}:{server.port}"
        self._examined = ""
        self._exists = 0
        with told(self._place, "cannot be reached"):
            self._imap = imapclient.IMAPClient(
                server.host,
                port=server.port,
                ssl=server.tls == "implicit",
                timeout=imapclient.SocketTimeout(CONNECT_SECONDS, READ_SECONDS),
            )
            # several small commands follow each other: Nagle's algorithm would hold the second one back
            self._imap.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with told(self._place, "failed to start TLS"):
                if server.tls == "starttls":
                    self._imap.starttls()
            sign_in(self._imap, server, connection)
            with told(self._place, "failed after the sign-in"):
                self.capabilities = {c.decode("ascii", "replace") for c in self._imap.capabilities()}
                if "ID" in self.capabilities:
                    # Gmail asks for it, NetEase refuses folders to clients without a name
                    self._imap.id_({"name": "crmbridge", "version": __version__})
        except BridgeError:
            self.close()
            raise
        # IMAPClient offers no way to have several commands under way; its connection does
        self._wire = Wire(self._imap._imap)

    @property
    def gmail(self) -> bool:
        """Whether the server has Gmail's extensions (X-GM-LABELS and the like)."""
        return "X-GM-EXT-1" in self.capabilities

    def folders(self) -> list[Folder]:
        """Return the folders that can be opened."""
        with told(self._place, "failed to list its folders"):
            listed = self._imap.list_folders()
        found = []
        for attributes, delimiter, name in listed:
            words = [a.decode("ascii", "replace") for a in attributes]
            if not {"\\noselect", "\\nonexistent"} & {word.lower() for word in words}:
                delimiter = (delimiter or b"").decode("utf-8", "replace")
                found.append(Folder(name=name, role=role_of(words, name, delimiter)))
        return found

    def status(self, folder: str) -> State:
        """Return what UIDs a folder gives out; one or two round trips however large it is."""
        if folder == self._examined:
            # STATUS is not for the folder that is open (RFC 9051, section 6.3.11)
            if "UNSELECT" not in self.capabilities:
                return self.examine(folder)
            with told(self._place, f"failed to close {folder}"):
                self._imap.unselect_folder()
            self._examined = ""
        with told(self._place, f"failed to tell the state of {folder}"):
            answer = self._imap.folder_status(folder, ["UIDVALIDITY", "UIDNEXT"])
            return State(uidvalidity=answer[b"UIDVALIDITY"], uidnext=answer[b"UIDNEXT"])

    def examine(self, folder: str) -> State:
        """Open a folder for reading only."""
        with told(self._place, f"failed to open {folder}"):
            answer = self._imap.select_folder(folder, readonly=True)
            self._examined = folder
            exists, uidvalidity, uidnext = answer[b"EXISTS"], answer[b"UIDVALIDITY"], answer.get(b"UIDNEXT")
        self._exists = exists
        if uidnext is None:  # RFC 3501 lets a server leave it out
            uidnext = max((uid for uid, _ in self.fetched(self.send_fetch([], b"UID"))), default=0) + 1
        return State(uidvalidity=uidvalidity, uidnext=uidnext, exists=exists)

    def search(self, first: int, last: int, *, since: date | None = None) -> list[int]:
        """
        Return the UIDs from `first` to `last` of the open folder, ascending.

        `since` leaves out what arrived before that day, in the server's time zone. Both ends are stated: `9:*` would
        name the last mail even where that is 8 (RFC 9051, section 9, seq-range).
        """
        command = b"UID SEARCH UID %d:%d" % (first, last)
        if since is not None:
            command += f" SINCE {since.day}-{_MONTHS[since.month - 1]}-{since.year:04}".encode()
        with told(self._place, "failed to search"):
            found = {number(uid) for answer in self._wire.run(command, b"SEARCH") for uid in answer[1:]}
        return sorted(uid for uid in found if first <= uid <= last)

    def send_fetch(self, uids: Sequence[int], items: bytes) -> bytes:
        """Ask for `items` of these mails, of the last one if none are named, without waiting; return the tag."""
        with told(self._place, "failed to fetch mail"):
            return self._wire.send(b"UID FETCH " + (uid_set(uids) or b"*") + b" (" + items + b")")

    def fetched(self, tag: bytes) -> list[tuple[int, dict[bytes, Value]]]:
        """Return (UID, items) of all that comes up to the end of a fetch, of those still under way as well."""
        with told(self._place, "failed to fetch mail"):
            came = map(pairs, self._wire.wait(tag, b"FETCH"))
            return [(number(items[b"UID"]), items) for items in came if b"UID" in items]

    def gives_out_another(self, uid: int) -> bool:
        """Say whether a header of another mail of the open folder can be read: then it is not the server that fails."""
        places = b",".join(
            b"%d" % place for place in sorted({1, (self._exists + 1) // 2, self._exists} - {0})
        )
        with told(self._place, "failed to fetch mail"):
            others = self._wire.run(b"SEARCH %s NOT UID %d" % (places or b"1", uid), b"SEARCH")
            numbers = [number(place) for answer in others for place in answer[1:]]
            if not numbers:
                return False
            command = b"FETCH %d (UID BODY.PEEK[HEADER.FIELDS (DATE)])" % numbers[-1]
            return any(b"BODY[HEADER.FIELDS" in pairs(came) for came in self._wire.run(command, b"FETCH"))

    def idle(
        self, folder: str, is_news: Callable[[State], bool], seconds: float, stop: Callable[[float], bool]
    ) -> bool:
        """
        Wait for a new mail in `folder` for at most `seconds`; True as soon as there is one.

        `is_news` says whether a state of the folder has mail that nobody has pulled. `stop(seconds)` waits no longer
        than that and says whether to give up; it is asked every second. Without IDLE (RFC 2177) the
        folder is looked at once a minute.
        """
        end = time.monotonic() + seconds
        if is_news(self.examine(folder)):
            return True
        while (left := end - time.monotonic()) > 0 and not stop(0):
            if "IDLE" not in self.capabilities:
                if stop(min(left, POLL_SECONDS)):
                    return False
                if is_news(self.status(folder)):
                    return True
            elif self._idle_once(min(left, IDLE_SECONDS), stop):
                return True
        return False

    def close(self) -> None:
        """Drop the connection; the server is not waited for."""
        try:
            self._imap.shutdown()
        except (OSError, imaplib.IMAP4.error):
            pass  # it was dead already

    def _idle_once(self, seconds: float, stop: Callable[[float], bool]) -> bool:
        end = time.monotonic() + seconds
        with told(self._place, "broke off while waiting for mail"), selectors.DefaultSelector() as selector:
            tag, news = self._wire.begin_idle()
            selector.register(self._imap.socket(), selectors.EVENT_READ)
            while not news and (left := end - time.monotonic()) > 0 and not stop(0):
                if selector.select(min(left, 1.0)):
                    lines, news = self._wire.idled()
                    if not lines:
                        break  # readable, yet nothing to read: DONE will tell whether it is closed
            return self._wire.end_idle(tag) or news
