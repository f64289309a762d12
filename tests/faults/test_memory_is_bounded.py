"""While a server says nothing and clients keep sending, a service refuses or stores: it never piles up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.faults.harness import family
from tests.faults.harness.bench import Bench
from tests.faults.harness.bounds import MEGABYTE, MOST_GROWTH, grown
from tests.faults.harness.observers import Scales
from tests.faults.harness.postgres import Postgres
from tests.faults.harness.processes import Server, Service
from tests.faults.harness.waiting import until

BODY = {"name": "step", "data": {"text": "x" * 500_000}}
# Together far more than a service may grow by.
REQUESTS = 3 * MOST_GROWTH // 500_000
SENDERS = 40


@asynccontextmanager
async def weighed(run: Bench, service: Service) -> AsyncIterator[None]:
    """Fails where the service came to hold too much meanwhile."""
    scales = asyncio.create_task(Scales([service], run.history).run())
    try:
        yield
    finally:
        scales.cancel()
        await asyncio.gather(scales, return_exceptions=True)
    most = max(each["resident"] for each in run.history.memory)
    print(f"from {run.history.memory[0]['resident'] // MEGABYTE} to {most // MEGABYTE} MB")
    assert not grown(run.history.memory)


@asynccontextmanager
async def frozen(server: Server) -> AsyncIterator[None]:
    stopped = family.frozen(server.pid)
    try:
        yield
    finally:
        family.thaw(stopped)


async def answered(service: Service, wanted: Callable[[httpx.Response], bool]) -> list[httpx.Response]:
    """Sends from many clients at once, until all requests have an answer; those that are wanted."""
    limits = httpx.Limits(max_connections=SENDERS)
    async with httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False, limits=limits) as http:
        left = iter(range(REQUESTS))

        async def send() -> list[httpx.Response]:
            return [await http.post("/api/commands/job.enqueue", json=BODY) for _ in left]

        answers = [answer for each in await asyncio.gather(*(send() for _ in range(SENDERS))) for answer in each]
    return [answer for answer in answers if wanted(answer)]


@pytest.mark.timeout(300)
async def test_with_a_frozen_postgres_clients_are_told_to_come_back_and_nothing_piles_up(run: Bench) -> None:
    postgres = await run.start(Postgres(run.folder))
    service = await run.start(Service(run.folder, database=postgres.url))
    await service.ready()
    async with weighed(run, service):
        async with frozen(postgres):
            refused = await answered(service, lambda answer: answer.status_code == 503)
        assert len(refused) == REQUESTS
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        await until(accepts(service), 30, "commands are accepted again")


def accepts(service: Service) -> Callable[[], Awaitable[bool]]:
    async def accepted() -> bool:
        async with httpx.AsyncClient(base_url=service.url, timeout=5, trust_env=False) as http:
            return (await http.post("/api/commands/job.enqueue", json=BODY)).is_success

    return accepted
