"""PostgreSQL that says nothing, or is gone: bounded answers meanwhile, and everything goes on by itself afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from adapters.postgres.database import Database, Pool
from adapters.postgres.mapper import EventMapper
from handlers.persistence import end
from infra.bootstrap import System
from infra.embedded_postgres import EmbeddedPostgres
from infra.opening import PostgresUnreachable, connected, opened, place_of
from infra.settings_jobs import Jobs
from millrace.contracts.wire import Accepted, Refused
from tests.support.eventually import eventually
from tests.support.postgres import embedded_postgres, frozen, killed
from tests.support.systems import asked, claimed, context, enqueued, reported, system, told

ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
JOB = {"name": "transcribe", "data": {"file": "a-17.wav"}}


@pytest.fixture
async def embedded() -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    async with embedded_postgres() as embedded:
        yield embedded


async def looking_for_long(pool: Pool) -> asyncio.Task[None]:
    """A statement that the server is at."""
    looking = asyncio.create_task(pool.fetchval("SELECT pg_sleep(20)"))
    await eventually(lambda: pool.fetchval(ASLEEP))
    return looking


async def within(seconds: float, system: System, command: str, body: object) -> str:
    """The code of the first answer, which comes in so many seconds."""
    async with asyncio.timeout(seconds):
        reply = await system.gateway.execute(command, body, context())
    assert isinstance(reply, Refused), reply
    return reply.problem.code


async def test_a_postgresql_that_stands_still_is_a_bounded_answer_and_recovers_by_itself(
    embedded: tuple[EmbeddedPostgres, str],
) -> None:
    server, dsn = embedded
    async with system(dsn) as running:
        job_id = await enqueued(running)
        held = asyncio.create_task(claimed(running, wait=60, queues=["later"]))
        await eventually(lambda: asked(running, "job.stats", {}), lambda stats: stats["workers"] == 1)
        async with frozen(server):
            codes = await asyncio.gather(
                within(6.0, running, "job.enqueue", JOB),
                within(6.0, running, "job.enqueue", JOB),
                within(6.0, running, "job.cancel", {"job_id": job_id}),
                within(6.0, running, "job.claim", {"worker": "w-6"}),
                within(6.0, running, "job.renew", {"worker": "w-6", "attempts": [{"job_id": job_id, "attempt": 1}]}),
            )
            assert set(codes) == {"unavailable"}
            reply = await running.gateway.query("job.list", {}, context())
            assert isinstance(reply, Refused)
            assert reply.problem.code == "unavailable"
            assert reply.problem.retry_after

        async def works() -> bool:
            return isinstance(await running.gateway.execute("job.enqueue", JOB, context()), Accepted)

        await eventually(works)
        later = await enqueued(running, queue="later")
        (grant,) = await asyncio.wait_for(held, 30)
        assert grant["job_id"] == later


async def test_a_postgresql_that_is_gone_is_a_bounded_answer_and_recovers_by_itself(
    embedded: tuple[EmbeddedPostgres, str],
) -> None:
    server, dsn = embedded
    async with system(dsn) as running:
        await enqueued(running, "m-before")
        await killed(server)
        codes = await asyncio.gather(*(within(6.0, running, "job.enqueue", JOB) for _ in range(20)))
        assert set(codes) == {"unavailable"}
        assert await server.start() == dsn

        async def works() -> bool:
            return isinstance(await running.gateway.execute("job.enqueue", JOB, context("m-after")), Accepted)

        await eventually(works)
        assert await running.storage.store.head() == 2


async def test_a_loop_that_met_a_postgresql_that_stands_still_goes_on(
    embedded: tuple[EmbeddedPostgres, str],
) -> None:
    server, dsn = embedded
    async with system(dsn) as running:
        made = await told(running, "batch.create", {"name": "import", "progress": True})
        batch_id = made.result["batch_id"]
        with capture_logs() as logs:
            async with frozen(server):
                await eventually(lambda: paused(logs, "batch progress"))
        await enqueued(running, batch=batch_id)
        await told(running, "batch.seal", {"batch_id": batch_id})
        (grant,) = await claimed(running, wait=10)
        await reported(running, grant)
        await eventually(
            lambda: asked(running, "progress.get", {"progress_id": batch_id}),
            lambda found: found["progress"]["status"] == "completed",
        )


async def paused(logs: Sequence[Mapping[str, Any]], loop: str) -> bool:
    return any((entry.get("action"), entry.get("loop")) == ("loop_paused", loop) for entry in logs)


async def test_a_service_stops_although_postgresql_stands_still(embedded: tuple[EmbeddedPostgres, str]) -> None:
    server, dsn = embedded
    async with asyncio.timeout(60), AsyncExitStack() as afterwards, system(dsn) as running:
        await enqueued(running)
        await afterwards.enter_async_context(frozen(server))
    async with system(dsn) as running:
        assert await running.storage.store.head() == 1


async def test_a_statement_that_is_cancelled_while_postgresql_stands_still_is_cancelled_and_nothing_else(
    embedded: tuple[EmbeddedPostgres, str],
) -> None:
    server, dsn = embedded
    pool = await Database(dsn).pool(seconds=30)
    looking = await looking_for_long(pool)
    async with asyncio.timeout(60), frozen(server):
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
    assert await pool.fetchval("SELECT 1") == 1
    pool.terminate()


async def test_a_service_that_starts_before_its_postgresql_waits_for_it(
    embedded: tuple[EmbeddedPostgres, str],
) -> None:
    server, dsn = embedded
    await killed(server)
    with capture_logs() as logs:
        starting = asyncio.create_task(opened(dsn, EventMapper(), Jobs()))
        await eventually(lambda: waited(logs))
    assert await server.start() == dsn
    storage = await starting
    assert await storage.store.head() == 0
    await storage.stop()


async def waited(logs: Sequence[Mapping[str, Any]]) -> bool:
    return any(entry.get("action") == "waiting_for_postgres" for entry in logs)


async def test_a_migration_that_is_cancelled_while_postgresql_stands_still_ends(
    embedded: tuple[EmbeddedPostgres, str],
) -> None:
    server, dsn = embedded
    # In its transaction `other` would see the activities of its first look for ever.
    other, looking = await connected(dsn), await connected(dsn)
    # The migration waits for it, and would say goodbye to a server that says nothing.
    await other.execute("BEGIN; CREATE TABLE migrations ()")
    opening = asyncio.create_task(opened(dsn, EventMapper(), Jobs()))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    await eventually(lambda: looking.fetchval(waiting))
    async with asyncio.timeout(60), frozen(server):
        await end(opening)
    assert opening.cancelled()
    other.terminate()
    looking.terminate()


async def test_a_statement_that_is_cancelled_is_cancelled_in_the_server(
    embedded: tuple[EmbeddedPostgres, str],
) -> None:
    _, dsn = embedded
    pool = await Database(dsn).pool(seconds=30)
    looking = await looking_for_long(pool)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    await eventually(lambda: pool.fetchval(ASLEEP), lambda count: count == 0, seconds=10)
    pool.terminate()


@pytest.mark.parametrize(
    ("dsn", "place"),
    [
        ("postgresql://kim:secret@db.example:5433/millrace", "db.example:5433"),
        ("postgresql://kim:secret@db.example/millrace", "db.example"),
        ("postgresql://kim:secret@/millrace?host=/run/postgresql", "/run/postgresql"),
        ("postgresql:///millrace", "its usual place"),
        # A password in which a character is not escaped; what is before it is taken for the host.
        ("postgresql://kim:12#34@db.example:5433/millrace", "the address in DATABASE_URL"),
        ("postgresql://kim:12/34@db.example:5433/millrace", "the address in DATABASE_URL"),
        ("postgresql://kim:12?34@db.example:5433/millrace", "the address in DATABASE_URL"),
    ],
)
def test_a_place_has_neither_user_nor_password(dsn: str, place: str) -> None:
    assert place_of(dsn) == place


async def test_a_postgresql_that_does_not_come_is_named_without_what_gets_in(unused_tcp_port: int) -> None:
    dsn = f"postgresql://kim:secret@127.0.0.1:{unused_tcp_port}/millrace"
    for reaching in (opened(dsn, EventMapper(), Jobs(), patience=0), connected(dsn)):
        with pytest.raises(PostgresUnreachable, match="see that it runs") as caught:
            await reaching
        assert caught.value.place == f"127.0.0.1:{unused_tcp_port}"
        assert "secret" not in str(caught.value)


async def test_what_postgresql_refuses_is_not_waited_for(embedded: tuple[EmbeddedPostgres, str]) -> None:
    _, dsn = embedded
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await opened(dsn.replace("@/millrace?", "@/elsewhere?"), EventMapper(), Jobs())
    with pytest.raises(ValueError, match="invalid"):
        await opened("mysql://127.0.0.1/millrace", EventMapper(), Jobs())


async def test_a_process_that_waits_for_its_postgresql_ends_when_it_is_told_to(unused_tcp_port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.main", "serve", "--port", "0"),
        env={**os.environ, "DATABASE_URL": f"postgresql://kim:secret@127.0.0.1:{unused_tcp_port}/millrace"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"waiting_for_postgres" not in (line := await process.stdout.readline()):
            assert line, "it has ended by itself"
        process.terminate()
        rest, _ = await process.communicate()
    assert (process.returncode, b"secret" in line + rest, b"Traceback" in rest) == (0, False, False)
