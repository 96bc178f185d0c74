"""The floor of the webhook benchmark: the daemon's server stack, answering 200 without looking or storing."""

from __future__ import annotations

import asyncio

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def answer(request: Request) -> Response:
    """Read the body and say 200."""
    await request.body()
    return Response()


async def main() -> None:
    config = uvicorn.Config(
        Starlette(routes=[Route("/hooks/{connection}", answer, methods=["POST"])]),
        port=0,
        http="httptools",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/hooks/whatsapp", flush=True)
    await serving


if __name__ == "__main__":
    uvloop.run(main())
