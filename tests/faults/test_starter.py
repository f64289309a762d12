"""What a process that has imported everything forks behaves like what is executed, and ends with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.postgres import Postgres
from tests.faults.harness.processes import SERVICE, WORKER, Service, Worker
from tests.faults.harness.starter import Starter, StarterGone
from tests.faults.harness.waiting import until


@pytest_asyncio.fixture
async def postgres(run: Bench) -> Postgres:
    return await run.start(Postgres(run.folder))


@pytest_asyncio.fixture
async def starter(passable: Path) -> AsyncIterator[Starter]:
    made = await Starter(passable, SERVICE).start()
    yield made
    await made.close()


async def test_a_forked_service_is_ready_killed_started_again_and_stopped(
    run: Bench, postgres: Postgres, starter: Starter
) -> None:
    service = await run.start(Service(run.folder, database=postgres.url, starter=starter))
    await service.ready()
    first = service.pid
    assert os.getsid(first) == first
    assert psutil.Process(first).cwd() == psutil.Process().cwd()
    await service.kill()
    assert await service.ended() == -9
    assert not service.running
    await service.start()
    await service.ready()
    assert service.pid != first
    assert await service.stop() == 0
    assert '"action": "stopped"' in service.output()


async def test_forked_services_and_workers_do_the_work(run: Bench, postgres: Postgres, starter: Starter) -> None:
    workers = await Starter(run.folder, WORKER).start()
    try:
        service = await run.start(Service(run.folder, database=postgres.url, starter=starter))
        await service.ready()
        await run.start(Worker(run.folder, service.url, run.runs, starter=workers))
        async with Millrace(service.url) as client:
            await run.enqueue(client, 20)
            await run.all_ended(client)
            await run.verdict(client)
        code, output = await service.command("rebuild", "jobs")
        assert code == 0, output
        assert "equal to the live one: yes" in output
    finally:
        await workers.close()


async def test_a_starter_that_is_closed_leaves_nothing_behind(passable: Path, run: Bench, postgres: Postgres) -> None:
    starter = await Starter(passable, SERVICE).start()
    service = Service(run.folder, database=postgres.url, starter=starter)
    await service.start()
    await service.ready()
    await starter.close()
    assert not psutil.pid_exists(service.pid)
    assert not service.running
    with pytest.raises(StarterGone):
        await service.start()


async def test_a_starter_that_is_killed_takes_its_children_with_it(
    passable: Path, run: Bench, postgres: Postgres
) -> None:
    starter = await Starter(passable, SERVICE).start()
    service = Service(run.folder, database=postgres.url, starter=starter)
    await service.start()
    psutil.Process(service.pid).parent().kill()  # type: ignore[union-attr]
    assert await service.ended() == -9
    await until(lambda: not psutil.pid_exists(service.pid), 10, "the service is gone")
    await starter.close()


async def test_a_module_that_starts_threads_is_not_forked(passable: Path) -> None:
    starter = await Starter(passable, "tests.faults.harness.waiting", ["tests.faults.threaded"]).start()
    with pytest.raises(StarterGone, match="started 1 threads"):
        async with asyncio.timeout(20):
            await starter.fork([], {}, passable / "log")
    await starter.close()
