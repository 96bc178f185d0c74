"""A front before a mail server: it passes everything on, or plays the part of servers that cannot be installed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

Script = Mapping[str, str]
"""
What to answer to a command, by how it begins, without the tag; the first that fits counts, any other is BAD.

`{tag}` stands for the tag. "" closes the connection; GREETING is said first.
"""

GREETING = "greeting"
SILENT: Script = {}
"""Takes connections and never says a word."""

EVERYDAY: Script = {
    GREETING: "* OK ready",
    "CAPABILITY": "* CAPABILITY IMAP4rev1\r\n{tag} OK done",
    "LOGIN": "{tag} OK done",
    "LIST": '* LIST () "/" INBOX\r\n{tag} OK done',
    "STATUS": "* STATUS INBOX (UIDVALIDITY 7 UIDNEXT 3)\r\n{tag} OK done",
    "EXAMINE": "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] \r\n* OK [UIDNEXT 3] \r\n{tag} OK [READ-ONLY] done",
    "UID SEARCH": "* SEARCH 1 2\r\n{tag} OK done",
    "LOGOUT": "* BYE\r\n{tag} OK done",
}
"""A mailbox with the UIDs 1 and 2 in INBOX; a test adds what it is about."""


class Front:
    """
    Listens on 127.0.0.1:`port`; what comes goes to `target` while there is no `script`.

    `heard` are the commands a script was asked, without their tags. With `backwards`, fetches are answered
    two at a time, the later one first, as RFC 9051, section 5.5, allows.
    """

    def __init__(self, target: int = 0, script: Script | None = None, *, backwards: bool = False) -> None:
        self._target = target
        self._backwards = backwards
        self.script = script
        self.heard: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def settings(self) -> dict[str, object]:
        """Return the settings of a connection to the scripted mailbox."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "tls": "none",
            "user": "sales@example.com",
            "password": "sandbox",
        }

    def close(self) -> None:
        """Stop listening and cut every connection."""
        _shut(self._listener)
        for connection in self._open:
            _shut(connection)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(near)
            if self.script is not None:
                self._start(self._play, near, self.script)
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open.append(far)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(_relay, near, far)
            self._start(_relay, far, near)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        threading.Thread(target=work, args=given, daemon=True).start()

    def _play(self, near: socket.socket, script: Script) -> None:
        held: list[str] = []
        with near, near.makefile("rb") as lines:
            try:
                if GREETING in script:
                    near.sendall(script[GREETING].encode() + b"\r\n")
                for line in lines:
                    tag, _, command = line.decode().strip().partition(" ")
                    self.heard.append(command)
                    says = next((says for begins, says in script.items() if command.startswith(begins)), None)
                    if says == "":
                        return
                    if says is None:
                        says = "{tag} BAD unknown command"
                    held.insert(0, says.replace("{tag}", tag) + "\r\n")
                    if self._backwards and command.startswith("UID FETCH") and len(held) < 2:
                        continue
                    near.sendall("".join(held).encode("latin-1"))
                    held.clear()
            except OSError:
                pass  # the client hung up


def _relay(source: socket.socket, drain: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            drain.sendall(chunk)
    except OSError:
        pass  # one side hung up; so does the other
    finally:
        _shut(source)
        _shut(drain)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was closed already
    end.close()
