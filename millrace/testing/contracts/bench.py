"""What the client's contract suite stands on: an application, and a way to have its jobs run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from millrace import Job, JobFailed, Millrace, Worker
from millrace.testing import MillraceTest
from millrace.testing.contracts.eventually import eventually

T = TypeVar("T")
DEADLINE = 60.0  # seconds within which something that was asked for has happened


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between the services behind the client.

    Attributes:
        virtual_clock: time is moved by the test; elsewhere it passes, so that tests keep delays short.
    """

    virtual_clock: bool


class Bench(Protocol):
    """Attributes:
    app: an application of a tenant that nobody else uses.
    """

    app: Millrace
    capabilities: Capabilities

    def now(self) -> datetime:
        """The service's time, roughly."""
        ...

    async def run(self, *jobs: Job, seconds: float = 0.0) -> list[Job]:
        """Has the application's handlers run until these jobs have ended; delays and retries take `seconds`."""
        ...

    async def deliver(self, handled: asyncio.Event, seconds: float = 0.0) -> None:
        """Has the application's subscriptions delivered until `handled` is set."""
        ...

    async def until(self, look: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
        """What `look` finds once `holds` accepts it, while time passes."""
        ...

    def other(self, tenant: str, actor: str | None = None) -> Millrace:
        """Another tenant's application on the same service, or the same tenant's in the name of an actor."""
        ...


class MemoryBench:
    """The service in memory."""

    capabilities = Capabilities(virtual_clock=True)

    def __init__(self) -> None:
        self.app = MillraceTest()

    def now(self) -> datetime:
        return self.app.clock.now()

    async def run(self, *jobs: Job, seconds: float = 0.0) -> list[Job]:
        await self.app.run_jobs(advance=seconds)
        return [await seen(self.app, job.id) for job in jobs]

    async def deliver(self, handled: asyncio.Event, seconds: float = 0.0) -> None:
        await self.app.run_jobs(advance=seconds)
        assert handled.is_set()

    async def until(self, look: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
        for _ in range(round(DEADLINE)):
            if holds(found := await look()):
                return found
            self.app.clock.advance(1)
        raise AssertionError(f"after {DEADLINE} s still {await look()!r}")

    def other(self, tenant: str, actor: str | None = None) -> Millrace:
        return MillraceTest(tenant=tenant, memory=self.app.memory, actor=actor)


class ServiceBench:
    """A running service at a URL."""

    capabilities = Capabilities(virtual_clock=False)

    def __init__(self, url: str, tenant: str) -> None:
        self.app = Millrace(url, tenant=tenant, timeout=DEADLINE)
        self._url = url

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def run(self, *jobs: Job, seconds: float = 0.0) -> list[Job]:
        async with working(self.app):
            await asyncio.gather(*(self._ended(job) for job in jobs))
        return [await seen(self.app, job.id) for job in jobs]

    async def deliver(self, handled: asyncio.Event, seconds: float = 0.0) -> None:
        async with working(self.app), asyncio.timeout(DEADLINE + seconds):
            await handled.wait()

    async def until(self, look: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
        return await eventually(look, holds, DEADLINE)

    def other(self, tenant: str, actor: str | None = None) -> Millrace:
        return Millrace(self._url, tenant=tenant, timeout=DEADLINE, actor=actor)

    async def _ended(self, job: Job) -> None:
        try:
            await self.app.jobs.result(job.id, timeout=DEADLINE)
        except JobFailed:
            return


@asynccontextmanager
async def working(app: Millrace, **options: Any) -> AsyncIterator[Worker]:
    """A real worker, in any application; one job at a time unless `options` say otherwise."""
    worker = Worker(app, **{"concurrency": 1, **options})
    running = asyncio.create_task(worker.run(signals=False))
    try:
        yield worker
    finally:
        worker.stop()
        await running


async def seen(app: Millrace, job_id: str) -> Job:
    """The job, which must be there."""
    job = await app.jobs.get(job_id)
    assert job is not None
    return job


async def head(app: Millrace) -> str:
    """The position of everything that has happened so far."""
    return await app.events("#", "head").pin()


async def enqueued_since(app: Millrace, position: str) -> list[str]:
    """Names of the jobs that were enqueued after a position; what a service does by itself meanwhile does not count."""
    body = {"after": position, "pattern": "job.enqueued", "limit": 200, "wait": 0}
    return [str(event["data"]["name"]) for event in (await app.link.query("log.read", body))["events"]]


async def claim(app: Millrace, slots: int = 1, *queues: str) -> list[dict[str, Any]]:
    """What a worker is granted at once."""
    body = {"worker": "contract", "queues": queues or ("default",), "slots": slots}
    grants: list[dict[str, Any]] = (await app.execute("job.claim", body)).result["grants"]
    return grants
