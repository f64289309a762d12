"""The real service inside the test's own process: PostgreSQL, HTTP on a free port, and RabbitMQ where one is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from adapters.channels.callback import CallbackReader
from adapters.http.access import Access
from adapters.http.app import create_app
from adapters.http.live_session import LiveLimits
from adapters.http.server import serve
from adapters.metrics import Metrics
from adapters.tracing import Tracing
from domain.channels import Channel
from handlers.gateway import Gateway
from infra.bootstrap import System, build
from infra.channel_callbacks import build_callbacks
from infra.health import SystemHealth
from infra.settings import Settings
from tests.support.patience import PatientTransport

READY_SECONDS = 60.0


@dataclass(slots=True)
class Running:
    """A running service. `url` is empty where it has no HTTP server; `known` are the names that its gateway routes."""

    system: System
    known: frozenset[str]
    url: str = ""

    def client(self, tenant: str = "default") -> httpx.AsyncClient:
        """A client that repeats what cannot be done right now."""
        headers = {"X-Tenant-Id": tenant}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=20, trust_env=False, transport=PatientTransport()
        )


@asynccontextmanager
async def running(
    database_url: str,
    rabbitmq_url: str | None = None,
    *,
    http: bool = True,
    tracing: Tracing | None = None,
    events_log: bool = False,
    channels: Sequence[Channel] = (),
    modules: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, CallbackReader] | None = None,
) -> AsyncIterator[Running]:
    """The service with all roles, once it can work.

    Args:
        modules: settings in their canonical shape.
        callbacks: read what providers tell, besides those of the settings.
    """
    names: list[frozenset[str]] = []

    def noted(gateway: Gateway, known: frozenset[str]) -> Gateway:
        names.append(known)
        return gateway

    given = {"database_url": database_url, "rabbitmq_url": rabbitmq_url, "events_log": events_log, "modules": modules}
    settings = Settings.model_validate({name: value for name, value in given.items() if value is not None})
    system = await build(settings, database_url, measured=noted, tracing=tracing, channels=channels)
    system.start()
    service = Running(system, names[0])
    try:
        if system.bus is not None:
            bus = system.bus
            await until(lambda: bus.healthy and bus.publisher.connected)
        if http:
            async with listening(app_of(system, callbacks=callbacks)) as port:
                service.url = f"http://127.0.0.1:{port}"
                yield service
        else:
            yield service
    finally:
        await system.stop()


def app_of(
    system: System,
    *,
    access: Access | None = None,
    origins: Sequence[str] = (),
    limits: LiveLimits | None = None,
    callbacks: Mapping[str, CallbackReader] | None = None,
) -> FastAPI:
    """The HTTP entry point in front of a system; without an access of its own open as on a developer's machine."""
    return create_app(
        system.gateway,
        access=access or Access(),
        health=SystemHealth(system),
        metrics=Metrics().text,
        hub=system.hub,
        presence=system.presence,
        tickets=system.tickets,
        allowed_hosts=["localhost", "127.0.0.1", "testserver"],
        allowed_origins=origins,
        limits=limits,
        unserved=system.settings.modules.unserved(),
        live_paths=system.settings.modules.live_paths(),
        callbacks={**build_callbacks(system.settings), **(callbacks or {})},
        version="0.0.0-test",
    )


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[int]:
    """The port on which an application answers."""
    shutdown = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(app, "127.0.0.1", 0, shutdown, ready=port.set_result))
    try:
        yield await asyncio.wait_for(port, READY_SECONDS)
    finally:
        shutdown.set()
        await server


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = READY_SECONDS) -> None:
    """Waits for a condition that nothing signals, such as the state of a broker."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.02)
