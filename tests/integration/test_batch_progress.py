"""A batch's progress follows from its jobs, over processes and crashes, and costs one event a second."""

from __future__ import annotations

import asyncio
from typing import Any

from adapters.postgres.tracked_batches import PostgresTrackedBatches
from handlers.batch_progress import BatchProgress
from infra.bootstrap import System
from infra.maintenance import rebuild_read_model
from millrace.contracts.wire import Accepted, Refused
from tests.support.eventually import eventually
from tests.support.systems import (
    answered,
    asked,
    batch,
    claimed,
    context,
    enqueued,
    history,
    refused,
    reported,
    system,
    told,
)


async def made(running: System, progress: Any = True) -> str:
    answer = await told(running, "batch.create", {"name": "import", "progress": progress})
    return str(answer.result["batch_id"])


async def shown(running: System, id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await asked(running, "progress.get", {"progress_id": id}))["progress"]
    return found


async def standing(running: System, id: str, status: str, percent: float) -> dict[str, Any]:
    return await eventually(
        lambda: shown(running, id), lambda found: (found["status"], found["progress"]) == (status, percent)
    )


async def work(running: System, *outcomes: str) -> None:
    """Runs one job after the other."""
    for outcome in outcomes:
        [grant] = await claimed(running)
        await reported(running, grant, outcome)


async def percents(running: System, id: str) -> list[float]:
    events = (await asked(running, "log.history", {"kind": "progress", "id": id}))["events"]
    return [event["data"]["progress"] for event in events if "progress" in event["data"]]


async def test_it_follows_jobs_that_fail_are_retried_and_complete(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        id = await made(running, {"metadata": {"of": "kim"}, "user_id": "kim", "expected": 4})
        found = await shown(running, id)
        assert (found["status"], found["user_id"]) == ("pending", "kim")
        assert found["metadata"] == {"batch_id": id, "batch": "import", "of": "kim"}
        jobs = [await enqueued(running, batch=id, max_attempts=1) for _ in range(3)]
        await work(running, "completed")
        await standing(running, id, "processing", 25)
        jobs.append(await enqueued(running, batch=id, max_attempts=1))
        await told(running, "batch.seal", {"batch_id": id})
        await work(running, "completed", "completed", "failed")
        failed = await standing(running, id, "failed", 75)
        assert failed["error"] == "1 of 4 jobs did not complete"
        assert failed["error_detail"]["type"] == "ChildrenFailed"
        counts = {"total": 4, "open": 0, "completed": 3, "failed": 1, "cancelled": 0}
        assert failed["children"] == {"mode": "jobs", "expected": 4, **counts}
        await told(running, "job.retry", {"job_id": jobs[-1]})
        again = await standing(running, id, "processing", 75)
        assert (again["children"]["open"], again["children"]["failed"]) == (1, 0)
        await work(running, "completed")
        await standing(running, id, "completed", 100)
        assert (await history(running, id, "progress"))[-1] == "progress.completed"
        rose = await percents(running, id)
        assert rose == sorted(rose)
        rebuilt = await rebuild_read_model(fresh_database_url, "progress", lambda done, total: None, True)
        assert rebuilt.equal


async def test_a_retry_that_waits_changes_nothing_and_its_success_does(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        id = await made(running)
        await enqueued(running, batch=id, max_attempts=2, retry={"kind": "fixed", "delay": 0.2, "jitter": 0})
        await told(running, "batch.seal", {"batch_id": id})
        await work(running, "failed")
        grants = await eventually(lambda: claimed(running))
        assert (await standing(running, id, "processing", 0))["children"]["failed"] == 0
        await reported(running, grants[0])
        await standing(running, id, "completed", 100)
        assert "progress.failed" not in await history(running, id, "progress")


async def test_it_is_cancelled_with_its_batch(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        id = await made(running)
        for _ in range(3):
            await enqueued(running, batch=id)
        await work(running, "completed")
        await told(running, "batch.cancel", {"batch_id": id, "reason": "no more"})
        found = await eventually(lambda: shown(running, id), lambda found: found["status"] == "cancelled")
        assert (found["children"]["completed"], found["children"]["cancelled"]) == (1, 2)
        assert found["error"] == "its batch was cancelled"


async def test_of_thousands_of_jobs_it_records_an_event_a_look(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running, system(fresh_database_url) as other:
        id = await made(running)
        begun = asyncio.get_running_loop().time()
        bodies = [{"name": "n", "batch": id}] * 500
        for _ in range(4):
            assert all(isinstance(answer, Accepted) for answer in await batch(running, "job.enqueue", bodies))
        await told(running, "batch.seal", {"batch_id": id})
        for worker in (running, other) * 2:
            grants = await claimed(worker, slots=500)
            reports = [{"job_id": grant["job_id"], "attempt": 1, "outcome": "completed"} for grant in grants]
            await batch(worker, "job.report", reports)
        found = await standing(running, id, "completed", 100)
        assert found["children"]["completed"] == 2000
        looks = 2 * (asyncio.get_running_loop().time() - begun + 2)
        events = await history(running, id, "progress")
        assert events.count("progress.jobs_counted") <= looks
        assert (events.count("progress.completed"), events.count("progress.failed")) == (1, 0)


async def test_what_happened_while_nobody_looked_is_told_after_the_restart(fresh_database_url: str) -> None:
    async with system(fresh_database_url, ["api"]) as alone:
        id = await made(alone)
        await enqueued(alone, batch=id)
        await told(alone, "batch.seal", {"batch_id": id})
        await work(alone, "completed")
    async with system(fresh_database_url) as running:
        await standing(running, id, "completed", 100)


async def test_it_is_told_again_where_the_note_of_it_was_lost(fresh_database_url: str) -> None:
    async with system(fresh_database_url, ["api", "projector"]) as running:
        id = await made(running, {"expected": 2})
        await enqueued(running, batch=id)
        tracked = PostgresTrackedBatches(running.storage.pool, running.storage.commits)
        loop = BatchProgress(tracked, running.pipeline)
        old = await tracked.untold(10)
        await work(running, "completed")
        assert await loop.tell() == 1
        before = await history(running, id, "progress")
        await tracked.note_told(old)
        assert await loop.tell() == 1
        assert await history(running, id, "progress") == before
        assert await loop.tell() == 0
        assert (await shown(running, id))["progress"] == 50


async def test_it_may_be_a_part_of_a_whole_but_not_of_itself(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await told(running, "progress.create", {"id": "release", "children": {"expected": 1}})
        id = await made(running, {"parent_id": "release", "expected": 2})
        await enqueued(running, batch=id)
        await work(running, "completed")
        await standing(running, "release", "processing", 50)
        await told(running, "batch.seal", {"batch_id": id})
        await standing(running, "release", "completed", 100)


async def test_only_its_jobs_move_it(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        id = await made(running)
        assert await refused(running, "progress.update", {"progress_id": id, "progress": 5}) == "refused"
        assert await refused(running, "progress.create", {"id": id}) == "already-exists"
        for wrong in ({"expected": 0}, {"weight": -1}, {"no": 1}, "yes"):
            assert await refused(running, "batch.create", {"name": "x", "progress": wrong}) == "invalid"
        plain = await made(running, False)
        assert await refused_query(running, plain) == "not-found"


async def refused_query(running: System, id: str) -> str:
    answer = await answered(running, "progress.get", {"progress_id": id}, context())
    assert isinstance(answer, Refused)
    return answer.problem.code
