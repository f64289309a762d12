"""What a WebSocket broadcast costs at least with the same server: `python -m benchmarks.workloads.live_bare PORT`.

Starlette sends each message to each client in a loop: no log, no patterns, no resumption, no limits.
"""

from __future__ import annotations

import sys

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


def application() -> Starlette:
    """Sends to all at `/ws` whatever is posted to `/say`."""
    clients: set[WebSocket] = set()

    async def say(request: Request) -> Response:
        text = (await request.body()).decode()
        for client in list(clients):
            await client.send_text(text)
        return Response()

    async def listen(socket: WebSocket) -> None:
        await socket.accept()
        clients.add(socket)
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            clients.discard(socket)

    return Starlette(routes=[Route("/say", say, methods=["POST"]), WebSocketRoute("/ws", listen)])


if __name__ == "__main__":
    config = uvicorn.Config(application(), log_level="error", lifespan="off", ws_per_message_deflate=False)
    config.port, config.backlog = int(sys.argv[1]), 2_048
    uvloop.run(uvicorn.Server(config).serve())
