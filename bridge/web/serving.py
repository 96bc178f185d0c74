"""The HTTP server in a thread of the daemon."""

from __future__ import annotations

import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

from bridge.errors import ConfigError, Problem, StoreError

START_SECONDS = 10.0
STOP_SECONDS = 3
"""How long a stop waits for requests that are under way; who is cut off sends again."""

BACKLOG = 2048


class Server:
    """Uvicorn in a thread; it takes no signals, the daemon does."""

    def __init__(self, app: ASGIApp, *, host: str, port: int, file: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)  # at once: two that only bind could both have the port
        except OSError as error:
            self._socket.close()
            raise ConfigError(
                [
                    Problem(
                        path="web.listen",
                        file=file,
                        message=f"{host}:{port} cannot be used: {error.strerror}.",
                        remedy="Stop what uses it, or choose another port.",
                    )
                ]
            ) from error
        shown, port = self._socket.getsockname()[:2]
        self.address = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
        config = uvicorn.Config(
            app,
            http="httptools",
            loop="uvloop",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )

    def start(self) -> None:
        """Return once the server answers. Raises StoreError when it does not come up."""
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise StoreError(f"the webhook receiver at {self.address} did not start; see the log above")
            time.sleep(0.01)

    def failed(self) -> str | None:
        """Return why nothing is received any more, None while it is."""
        return None if self._thread.is_alive() else f"the webhook receiver at {self.address} has ended"

    def stop(self) -> None:
        """Finish the requests that are under way and stop."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
