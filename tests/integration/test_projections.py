"""Read models equal a replay, whatever the pages, the crashes and the poison."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from infra.bootstrap import System
from infra.maintenance import rebuild_read_model, release_held
from millrace.contracts.wire import Refused, Token
from projections.projection import Projection, digest
from projections.registry import projections
from tests.support.eventually import eventually
from tests.support.systems import (
    TENANT,
    asked,
    batch,
    claimed,
    context,
    enqueued,
    executed,
    history,
    job,
    reported,
    system,
    told,
)


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as running:
        yield running


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


async def everything_happens(running: System) -> None:
    """Jobs, subscriptions and schedules in every state."""
    for _ in range(3):
        await enqueued(running)
        await enqueued(running, delay=3_600, queue="later")
        await told(running, "job.cancel", {"job_id": await enqueued(running)})
        await told(running, "job.remove", {"job_id": await enqueued(running)})
        for outcome in ("completed", "failed", "returned"):
            await enqueued(running, queue="work", max_attempts=2, retry={"kind": "fixed", "delay": 3_600})
            (grant,) = await claimed(running, queues=["work"])
            await reported(running, grant, outcome)
        await enqueued(running, queue="doomed", retry="none")
        (grant,) = await claimed(running, queues=["doomed"])
        await reported(running, grant, "failed")
        await told(running, "job.retry", {"job_id": grant["job_id"]})
        await claimed(running, queues=["doomed"])
        await mended(running)
    for name in ("billing", "audit"):
        made = await told(running, "subscription.create", {"name": name, "pattern": "job.#", "start": "beginning"})
        await told(running, "subscription.acknowledge", {"name": name, "position": made.position})
        for event_id in ("e-1", "e-2"):
            parked = {"name": name, "position": made.position, "event_id": event_id, "error": "broken", "attempts": 2}
            await told(running, "subscription.park", parked)
        await told(running, "subscription.release", {"name": name, "event_id": "e-1"})
        await told(running, "subscription.set_active", {"name": name, "active": False})
    for name in ("nightly", "hourly"):
        await told(running, "schedule.create", {"name": name, "cron": "@daily", "job": {"name": "report"}})
        await told(running, "schedule.trigger", {"name": name})
        await told(running, "schedule.pause", {"name": name})
        await told(running, "schedule.change", {"name": name, "cron": "@hourly"})
        await told(running, "schedule.resume", {"name": name})
    await told(running, "schedule.remove", {"name": "nightly"})


async def mended(running: System) -> None:
    """A dead letter that stays one, and one that is edited, retried, taken back and removed."""
    for removed in (False, True):
        job_id = await enqueued(running, queue="mended", data={"size": 2}, max_attempts=1)
        (grant,) = await claimed(running, queues=["mended"])
        await reported(running, grant, "failed")
        for size in (3, 4):
            patch = [{"op": "replace", "path": "/size", "value": size}]
            await told(running, "job.edit", {"job_id": job_id, "patch": patch})
        await told(running, "job.retry", {"job_id": job_id})
        await told(running, "job.undo", {"job_id": job_id})
        await told(running, "job.undo", {"job_id": job_id})
        if removed:
            await told(running, "job.remove", {"job_id": job_id, "reason": "obsolete"})


async def caught_up(running: System) -> int:
    head = await running.storage.store.head()
    for projection in projections():
        await eventually(lambda name=projection.name: running.storage.readers.position(name), lambda at: at >= head)  # type: ignore[misc]
    return head


async def live_digest(connection: asyncpg.Connection, projection: Projection) -> str:
    version = await connection.fetchval("SELECT version FROM readers WHERE name = $1", projection.name)
    return await digest(connection, projection.tables(version))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
async def test_rows_do_not_depend_on_the_size_of_the_pages(
    running: System, connection: asyncpg.Connection, size: int
) -> None:
    await everything_happens(running)
    await caught_up(running)
    events = await running.storage.store.read(0, 1_000)
    for projection in projections():
        await projection.create(connection, 17)
        for start in range(0, len(events), size):
            if start % 3 == 0:
                projection.forget()
            await projection.apply(connection, 17, events[start : start + size])
        assert await digest(connection, projection.tables(17)) == await live_digest(connection, projection)


async def test_a_rebuild_equals_the_live_model_and_replaces_it(running: System, fresh_database_url: str) -> None:
    await everything_happens(running)
    await caught_up(running)
    listed = await asked(running, "job.list", {"limit": 100})
    for name in ("jobs", "subscriptions", "schedules", "progress"):
        rebuilt = await rebuild_read_model(fresh_database_url, name, lambda done, total: None, True)
        assert rebuilt.equal
        assert rebuilt.version == 2
    assert await asked(running, "job.list", {"limit": 100}) == listed
    job_id = await enqueued(running)
    assert (await job(running, job_id))["status"] == "pending"


async def test_a_rebuild_finds_a_live_model_that_differs(
    running: System, connection: asyncpg.Connection, fresh_database_url: str
) -> None:
    job_id = await enqueued(running)
    await caught_up(running)
    await connection.execute("UPDATE jobs_v1 SET status = 'completed'")
    rebuilt = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)
    assert not rebuilt.equal
    assert (await job(running, job_id))["status"] == "pending"


class Interrupted(Exception):
    """Raised by a test in the middle of a rebuild."""


async def test_an_interrupted_rebuild_goes_on_where_it_was(running: System, fresh_database_url: str) -> None:
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 7_000)
    await caught_up(running)
    steps: list[int] = []

    def interrupt(done: int, total: int) -> None:
        steps.append(done)
        if done >= 2_000:
            raise Interrupted

    with pytest.raises(Interrupted):
        await rebuild_read_model(fresh_database_url, "jobs", interrupt, True)
    resumed: list[int] = []
    rebuilt = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: resumed.append(done), True)
    assert steps[0] == 0
    assert resumed[0] == steps[-1]
    assert rebuilt.equal
    assert (await asked(running, "job.stats", {}))["pending"] == 7_000


async def test_commands_go_on_during_a_rebuild_and_none_is_missed(running: System, fresh_database_url: str) -> None:
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 3_000)
    rebuilding = asyncio.create_task(rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True))
    made = 0
    while not rebuilding.done():
        grants = await claimed(running, slots=5)
        for grant in grants:
            await reported(running, grant)
        made += len(await batch(running, "job.enqueue", [{"name": "transcribe"}] * 5))
    assert (await rebuilding).equal
    assert made
    await caught_up(running)
    again = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)
    assert again.equal
    stats = await asked(running, "job.stats", {})
    assert stats["pending"] + stats["processing"] + stats["completed"] == 3_000 + made


async def poison(connection: asyncpg.Connection, job_id: str, version: int) -> int:
    """Stores an event that nobody can decode, as a broken writer would; returns its position."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(7270501)")
        position = await connection.fetchval("UPDATE store SET head = head + 1 RETURNING head")
        await connection.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, event_id,"
            " event_type, kind, subject, tenant, recorded_at) VALUES ($1, $2, 'job.completed', 'no JSON', $3,"
            " gen_random_uuid(), 'job.completed', 'job', $4, $5, clock_timestamp())",
            f"job:{TENANT}:{job_id}",
            version,
            position,
            job_id,
            TENANT,
        )
        await connection.execute("SELECT pg_notify('millrace', $1)", str(position))
    return int(position)


async def test_poison_holds_its_own_stream_and_nothing_else(
    running: System, connection: asyncpg.Connection, fresh_database_url: str
) -> None:
    poisoned, healthy = await enqueued(running, queue="a"), await enqueued(running, queue="b")
    await claimed(running, queues=["a"])
    position = await poison(connection, poisoned, 3)
    (other,) = await claimed(running, queues=["b"])
    await reported(running, other)
    assert (await job(running, healthy))["status"] == "completed"
    assert (await job(running, poisoned))["status"] == "processing"
    await caught_up(running)
    assert [held[:2] for held in await running.storage.readers.held()] == [("jobs", f"job:{TENANT}:{poisoned}")]

    reply = await executed(running, "job.cancel", {"job_id": poisoned}, context())
    assert isinstance(reply, Refused)
    assert await history(running, poisoned) == ["job.enqueued", "job.started", "job.completed"]

    rebuilt = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)
    assert rebuilt.equal, "a rebuild leaves out what the live model left out"

    state = '{"timestamp":"2026-02-03T04:05:06Z","attempt":1,"result":17}'
    await connection.execute("UPDATE stored_events SET state = $1 WHERE notification_id = $2", state.encode(), position)
    assert await release_held(fresh_database_url, "jobs", f"job:{TENANT}:{poisoned}") == 1
    found = await job(running, poisoned)
    assert (found["status"], found["result"]) == ("completed", 17)
    assert await running.storage.readers.held() == []
    assert (await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)).equal


async def test_a_stream_that_is_still_broken_stays_held(
    running: System, connection: asyncpg.Connection, fresh_database_url: str
) -> None:
    poisoned = await enqueued(running)
    await poison(connection, poisoned, 2)
    await eventually(running.storage.readers.held)
    with pytest.raises(Exception, match=f"event 2 of job:{TENANT}:{poisoned}"):
        await release_held(fresh_database_url, "jobs", f"job:{TENANT}:{poisoned}")
    assert len(await running.storage.readers.held()) == 1


async def test_a_reader_that_does_not_care_for_a_kind_is_not_held_by_it(
    running: System, connection: asyncpg.Connection
) -> None:
    await poison(connection, await enqueued(running), 2)
    await eventually(running.storage.readers.held)
    await caught_up(running)
    assert {reader for reader, _, _ in await running.storage.readers.held()} == {"jobs"}


@pytest.mark.parametrize("reader", ["schedules", "reaction:schedules"])
async def test_a_reader_that_nothing_concerns_saves_its_place_while_the_log_is_never_quiet(
    running: System, reader: str
) -> None:
    begun = await running.storage.readers.position(reader)

    async def busy() -> int:
        await asyncio.gather(*(enqueued(running) for _ in range(2)))
        return await running.storage.readers.position(reader)

    saved = await eventually(busy, lambda at: at > begun, seconds=30)
    assert saved - begun < 450, "a page that is full is saved in any case"


async def test_a_query_waits_for_the_position_it_names(running: System) -> None:
    for _ in range(20):
        reply = await told(running, "job.enqueue", {"name": "transcribe"})
        listed = await asked(running, "job.list", {"limit": 1}, reply.position)
        assert listed["jobs"][0]["id"] == reply.result["job_id"]


async def test_a_read_model_that_stays_behind_says_how_far_it_got(fresh_database_url: str) -> None:
    async with system(fresh_database_url, ["api"]) as alone:
        reply = await told(alone, "job.enqueue", {"name": "transcribe"})
        behind = await alone.gateway.query("job.list", {}, context(), reply.position)
        assert isinstance(behind, Refused)
        assert (behind.problem.code, behind.problem.status) == ("behind", 504)
        assert f"{alone.storage.epoch}-0" in behind.problem.detail


async def test_a_position_of_another_history_is_told_so(running: System) -> None:
    head = await running.storage.store.head()
    for token in (Token(epoch="0ther", position=0), Token(epoch=running.storage.epoch, position=head + 1)):
        reply = await running.gateway.query("job.list", {}, context(), str(token))
        assert isinstance(reply, Refused)
        assert (reply.problem.code, reply.problem.status) == ("reset", 409)


async def test_two_projectors_of_one_model_apply_each_event_once(
    running: System, connection: asyncpg.Connection, fresh_database_url: str
) -> None:
    """The second process leads once the first has lost its connection, and takes over where that one was."""
    async with system(fresh_database_url) as second:
        await asyncio.gather(everything_happens(running), *(enqueued(second) for _ in range(50)))
        await connection.execute(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND l.classid = 7270502 AND l.granted AND d.datname = current_database()"
        )
        await asyncio.gather(*(enqueued(one) for one in [running, second] * 25))
        await caught_up(second)
    rebuilt = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)
    assert rebuilt.equal
