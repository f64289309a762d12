"""What reads the log: the relay, and the rebuild of a read model."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import uvloop
from pydantic import SecretStr

from benchmarks.arena import Contender, StepFailed
from benchmarks.options import Options
from benchmarks.servers import Servers
from benchmarks.workloads.history import histories, store, storing
from infra.bootstrap import build
from infra.maintenance import rebuild_read_model
from infra.settings import Settings

EVENTS_OF_A_JOB = 3
POLL_SECONDS = 0.005
DEADLINE = 120.0


def relay_and_rebuild(_: Contender, servers: Servers, options: Options) -> dict[str, float]:
    """Events a second: published and confirmed by the relay, and digested into a new version of the read model `jobs`.

    A rebuild alternates between one process and one backend, so it uses one core at most.
    """
    servers.empty_broker()
    return uvloop.run(_measured(servers.database("log"), servers.amqp, options.events))


async def _measured(dsn: str, amqp: str, events: int) -> dict[str, float]:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DROP SCHEMA public CASCADE")
        await connection.execute("CREATE SCHEMA public")
        async with storing(dsn) as storage:
            for appends in histories(events // EVENTS_OF_A_JOB):
                await store(storage, appends)
            head = await storage.store.head()
        system = await build(Settings(rabbitmq_url=SecretStr(amqp)), dsn, ("relay",))
        system.start()
        try:
            relayed = await _relayed(connection, head)
        finally:
            await system.stop()
        await connection.execute("INSERT INTO readers (name) VALUES ('jobs') ON CONFLICT DO NOTHING")
        start, cpu = time.perf_counter(), time.process_time()
        rebuilt = await rebuild_read_model(dsn, "jobs", lambda done, total: None, verify=False)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    finally:
        await connection.close()
    return {"relay": relayed, "rebuild": rebuilt.events / seconds, "rebuild_python_cpu": cpu * 1e6 / rebuilt.events}


async def _relayed(connection: asyncpg.Connection, head: int) -> float:
    """Events a second from the first confirmed page to the last: making the connection is not in it."""
    first, start = 0, 0.0
    async with asyncio.timeout(DEADLINE):
        while True:
            position = await connection.fetchval("SELECT position FROM readers WHERE name = 'relay'") or 0
            if position and not first:
                first, start = position, time.perf_counter()
            if position == head:
                break
            await asyncio.sleep(POLL_SECONDS)
    if first == head:
        raise StepFailed("the relay was done before it could be watched; give it more events")
    return (head - first) / (time.perf_counter() - start)
