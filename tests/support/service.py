"""The whole service in the test's own process: PostgreSQL below, HTTP and, with a broker, AMQP above."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from adapters.http.access import Access
from adapters.http.app import create_app
from adapters.http.server import serve
from domain.channels import Channel
from infra.bootstrap import System, build
from infra.health import SystemHealth
from infra.settings import Settings

READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RunningService:
    """Where the service answers. `amqp` is the broker's address, None without one."""

    http: str
    amqp: str | None
    system: System


@asynccontextmanager
async def running_service(
    database_url: str,
    rabbitmq_url: str | None = None,
    settings: Settings | None = None,
    *,
    channels: Sequence[Channel] = (),
) -> AsyncIterator[RunningService]:
    """All roles on a free port of the loopback interface, until the block ends."""
    settings = settings or Settings(rabbitmq_url=None if rabbitmq_url is None else SecretStr(rabbitmq_url))
    system = await build(settings, database_url, channels=channels)
    system.start()
    app = create_app(
        system.gateway,
        access=Access(),
        health=SystemHealth(system),
        metrics=lambda: b"",
        hub=system.hub,
        presence=system.presence,
        tickets=system.tickets,
        allowed_hosts=settings.allowed_hosts,
        version="0.0.0-test",
    )
    shutdown = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, shutdown, ready=port.set_result))
    try:
        async with asyncio.timeout(READY_SECONDS):
            either: set[asyncio.Future[Any]] = {serving, port}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield RunningService(f"http://127.0.0.1:{port.result()}", rabbitmq_url, system)
    finally:
        shutdown.set()
        await asyncio.gather(serving, return_exceptions=True)
        await system.stop()
