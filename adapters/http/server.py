"""Runs the HTTP entry point on a port until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import uvicorn
from fastapi import FastAPI

from adapters.http.http_protocol import HEAD_SECONDS, BoundedHttpProtocol
from adapters.http.websocket_protocol import FramesProtocol

GRACE = 3
BACKLOG = 2_048
MESSAGE_BYTES = 65_536
PING_SECONDS = 20.0


class PortInUse(Exception):
    """Raised before anything is served where another program has the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is in use by another program; choose one with --port")
        self.host = host
        self.port = port


class AddressUnavailable(Exception):
    """Raised where this machine has no such address, or may not listen on it."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {reason}")
        self.host = host
        self.port = port
        self.reason = reason


def listen(host: str, port: int) -> list[socket.socket]:
    """Takes the port on every address of `host`; port 0 takes a free one.

    Raises:
        PortInUse: another program has the port.
        AddressUnavailable: there is no such address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise AddressUnavailable(host, port, error.strerror or str(error)) from error
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bind(family, str(address[0]), port or (sockets[0].getsockname()[1] if sockets else 0)))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                _close(sockets)
                raise PortInUse(host, port) from error
            # A name may stand for an address that this machine lacks, such as ::1 without IPv6.
            refused = error
    if not sockets:
        reason = refused.strerror if refused is not None and refused.strerror else "no address"
        raise AddressUnavailable(host, port, reason) from refused
    return sockets


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    shutdown: asyncio.Event,
    *,
    ready: Callable[[int], None] | None = None,
    message_bytes: int = MESSAGE_BYTES,
    head_seconds: float = HEAD_SECONDS,
) -> None:
    """Serves until `shutdown` is set, then ends within `GRACE` seconds even with clients connected.

    Installs no signal handlers; `ready` is called with the port once requests are accepted.

    Args:
        message_bytes: largest message over a WebSocket; a larger one closes it with 1009.
        head_seconds: within which the head of a request must have come.

    Raises:
        PortInUse, AddressUnavailable: before anything is served.
    """
    sockets = listen(host, port)
    app.state.shutdown = shutdown
    config = uvicorn.Config(
        app,
        access_log=False,
        backlog=BACKLOG,
        http=cast("type[asyncio.Protocol]", partial(BoundedHttpProtocol, head_seconds=head_seconds)),
        lifespan="off",
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        ws=FramesProtocol,
        ws_max_size=message_bytes,
        # Compressing each message for each client would be most of what a broadcast costs.
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
    )
    server = _Server(config, sockets[0].getsockname()[1], ready)
    stopper = asyncio.ensure_future(server.stop_on(shutdown))
    try:
        await server.serve(sockets)
    finally:
        stopper.cancel()
        _close(sockets)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, port: int, ready: Callable[[int], None] | None) -> None:
        super().__init__(config)
        self._port = port
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to whoever runs the server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None:
            self._ready(self._port)

    async def stop_on(self, shutdown: asyncio.Event) -> None:
        await shutdown.wait()
        self.should_exit = True


def _bind(family: int, address: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        # Two programs can bind a reusable port; only one can listen on it.
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
