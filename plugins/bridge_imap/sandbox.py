"""A real IMAP server on loopback, without installing one: pymap with an empty mailbox in memory."""

from __future__ import annotations

import asyncio
import socket
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

import imapclient
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import DictBackend
from pymap.imap import IMAPServer
from pysasl.hashing import BuiltinHash

START_SECONDS = 60.0
FOLDERS = ("Sent", "Drafts", "Archive", "Junk", "Trash")


class ImapSandbox:
    """
    One mailbox with the usual folders.

    As a context it runs from `with` to the end, in a thread. It has IDLE, but no SPECIAL-USE and no CONDSTORE, like
    Exchange; its UIDs begin at 101.
    """

    host = "127.0.0.1"

    def __init__(self, user: str = "sales@example.com", password: str = "sandbox") -> None:  # noqa: S107
        self.user = user
        self.password = password
        self.port = 0
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="imap-sandbox", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def settings(self) -> dict[str, object]:
        """Return the settings of a connection to this mailbox."""
        return {
            "host": self.host,
            "port": self.port,
            "tls": "none",
            "user": self.user,
            "password": self.password,
        }

    def start(self) -> None:
        """Start the server and make the folders."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._failed is not None:
            raise RuntimeError(f"the IMAP sandbox did not start: {self._failed}")
        with self.session() as session:
            for folder in FOLDERS:
                session.create_folder(folder)

    def stop(self) -> None:
        """Stop the server; its mail is gone."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(START_SECONDS)

    def append(
        self, folder: str, *raws: bytes, flags: Sequence[str] = (), at: datetime | None = None
    ) -> None:
        """Put mails into a folder; `at` is when they came, now by default."""
        with self.session() as session:
            for raw in raws:
                session.append(folder, raw, flags, at or datetime.now().astimezone())

    @contextmanager
    def session(self) -> Iterator[imapclient.IMAPClient]:
        """Open a second connection, as the team's own mail program would."""
        with imapclient.IMAPClient(self.host, port=self.port, ssl=False, timeout=START_SECONDS) as session:
            session.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session.login(self.user, self.password)
            yield session

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # told to the thread that waits for the start
            self._failed = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_ignore)  # a client that hangs up is an exception to pymap
        self._stopping = asyncio.Event()
        options = Namespace(
            host=[self.host],
            port=0,
            debug=False,
            cert=None,
            key=None,
            tls=False,
            proxy_protocol=None,
            passlib_cfg=None,
            demo_data=False,
            demo_user=self.user,
            demo_password=self.password,
        )
        # one round of hashing: the password guards a mailbox that lives for one test
        backend, config = await DictBackend.init(options, hash_context=BuiltinHash(rounds=1))
        config.apply_context()
        serve = ProxyProtocolReader(config.proxy_protocol).get_callback(IMAPServer(backend.login, config))
        server = await asyncio.start_server(serve, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Take what a connection left behind without a word."""
