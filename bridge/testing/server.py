"""The base of vendor stand-ins: an ASGI app on a free loopback port, in a thread, with a log of its calls."""

from __future__ import annotations

import asyncio
import socket
import threading
from types import TracebackType
from typing import NamedTuple, Self

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_PATIENCE = 60.0


class Call(NamedTuple):
    """One answered request: `path` without its query, `status` 0 where the connection was dropped."""

    method: str
    path: str
    status: int


class Dropped(BaseException):
    """
    Raised by an app to close the connection without a word of an answer.

    No Exception, so that a framework does not answer it with an error page.
    """


class LocalServer:
    """
    Serve an ASGI app on 127.0.0.1 from `start` until `stop`, or inside a `with` block.

    `port` 0 takes any free one; it is bound at once, so that `url` is known before the
    start. `calls` grows by one for each answered request (method, path, status), in the order of the answers.
    An exception of the app itself is kept and raised by `stop`, so that no test passes on it.
    """

    def __init__(self, app: ASGIApp, *, port: int = 0) -> None:
        self.calls: list[Call] = []
        self._app = app
        self._crash: Exception | None = None
        # Named TCP outright: only then does asyncio turn off Nagle's delay, which costs 40 ms a call.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"server-{self.port}", daemon=True)

    def start(self) -> None:
        """Return once requests are answered. Raises RuntimeError when the server does not come up."""
        self._thread.start()
        if not self._started.wait(_PATIENCE):
            raise RuntimeError(f"the server on port {self.port} did not start")

    def stop(self) -> None:
        """Close the port and every connection. Raises RuntimeError when the app crashed meanwhile."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join(_PATIENCE)
        self._socket.close()
        self._loop.close()
        if self._crash is not None:
            raise RuntimeError(f"the app on port {self.port} crashed: {self._crash!r}") from self._crash

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())

    async def _listen(self) -> None:
        # uvicorn's own loop looks for its end ten times a second, which would double the time of most tests.
        config = uvicorn.Config(
            self._serve, interface="asgi3", ws="none", lifespan="off", log_config=None, log_level="critical"
        )
        config.load()
        state = ServerState()
        listener = await self._loop.create_server(
            lambda: HttpToolsProtocol(config=config, server_state=state, app_state={}), sock=self._socket
        )
        self._started.set()
        await self._ending.wait()
        listener.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in state.tasks:
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await listener.wait_closed()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            # Logged before it is sent: whoever has the answer finds the call in the log.
            if message["type"] == "http.response.start":
                self.calls.append(Call(scope["method"], scope["path"], message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Dropped:
            self.calls.append(Call(scope["method"], scope["path"], 0))
            # ASGI has no word for hanging up; uvicorn's `send` is a method of what holds the socket.
            send.__self__.transport.abort()  # type: ignore[attr-defined]
            while (await receive())["type"] != "http.disconnect":
                pass
        except ClientDisconnect:  # whoever called was killed in the middle of it; that is no fault of the app
            self.calls.append(Call(scope["method"], scope["path"], 0))
        except Exception as error:
            self._crash = self._crash or error
