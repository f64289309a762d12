"""The application in front of an in-memory gateway, and clients that reach it without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest
from fastapi import FastAPI

from adapters.http.access import Access
from adapters.http.app import create_app
from adapters.http.health import Part
from adapters.http.live_session import LiveLimits
from handlers.live import Hub
from handlers.presence import Presence
from tests.unit.http.memory_gateway import MemoryGateway
from tests.unit.http.memory_live import MemoryPresence, MemoryTickets, hub_of

MAX_BODY = 4_096


class Probe:
    """The parts of the service, as a test sets them."""

    def __init__(self) -> None:
        self.states: Sequence[Part] = [Part("store")]

    async def parts(self) -> Sequence[Part]:
        return self.states


@pytest.fixture
async def gateway() -> MemoryGateway:
    return MemoryGateway()


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def hub(gateway: MemoryGateway) -> AsyncIterator[Hub]:
    """A hub at work on the gateway's log."""
    made = hub_of(gateway)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def make_app(gateway: MemoryGateway, probe: Probe, hub: Hub) -> Callable[..., FastAPI]:
    def make(
        access: Access | None = None,
        body_deadline: float = 5.0,
        max_in_flight: int = 100,
        limits: LiveLimits | None = None,
    ) -> FastAPI:
        return create_app(
            gateway,
            access=access or Access(),
            health=probe,
            metrics=lambda: b"# HELP millrace_up Up\nmillrace_up 1\n",
            hub=hub,
            presence=Presence(MemoryPresence()),
            tickets=MemoryTickets(),
            limits=limits,
            allowed_hosts=["localhost", "127.0.0.1", "::1", "exact.example:8443"],
            allowed_origins=["https://app.example"],
            max_body=MAX_BODY,
            body_deadline=body_deadline,
            max_in_flight=max_in_flight,
            version="0.0.0-test",
        )

    return make


@pytest.fixture
def app(make_app: Callable[..., FastAPI]) -> FastAPI:
    return make_app()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as made:
        yield made


def client_of(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers)
