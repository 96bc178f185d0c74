"""The base of vendor stand-ins: an ASGI app on a free loopback port, in a thread, with a log of its calls."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import NamedTuple, Self

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PATIENCE = 10.0


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
    start. `calls` grows by one for each answered request, in the order of the answers.
    An exception of the app itself is kept and raised by `stop`, so that no test passes on it.
    """

    def __init__(self, app: ASGIApp, *, port: int = 0) -> None:
        self.calls: list[Call] = []
        self._app = app
        self._crash: Exception | None = None
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._serve,
                loop="asyncio",
                http="h11",
                ws="none",
                interface="asgi3",
                proxy_headers=False,
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name=f"server-{self.port}", daemon=True
        )

    def start(self) -> None:
        """Return once requests are answered. Raises RuntimeError when the server does not come up."""
        self._thread.start()
        deadline = time.monotonic() + _PATIENCE
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"the server on port {self.port} did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Close the port and every connection. Raises RuntimeError when the app crashed meanwhile."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        self._socket.close()
        if self._crash is not None:
            raise RuntimeError(f"the app on port {self.port} crashed: {self._crash!r}") from self._crash

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

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
        except Exception as error:
            self._crash = self._crash or error
