"""Jobs that had to wait for a time or for others and may run now: whoever looks sees them as waiting like any other."""

from __future__ import annotations

from typing import Any

from millrace import Job, JobStatus
from millrace.testing.contracts.bench import Bench, claim, head, seen
from millrace.testing.contracts.client_reading import failed_with


class DueJobsContract:
    async def test_a_job_whose_parents_are_all_done_is_pending(self, bench: Bench) -> None:
        parents = [await bench.app.jobs.enqueue("n", queue="parents") for _ in range(2)]
        child = await bench.app.jobs.enqueue("n", queue="children", after=parents)
        late = await bench.app.jobs.enqueue("n", queue="children", after=parents, delay=600)
        await claim(bench.app, 2, "parents")
        await completed(bench, parents[0])
        await everywhere(bench, {child.id: "delayed", late.id: "delayed"})
        assert (await bench.app.jobs.why(child.id)).code == "dependent"
        await completed(bench, parents[1])
        await everywhere(bench, {child.id: "pending", late.id: "delayed"})
        assert (await bench.app.jobs.why(child.id)).code == "no-worker-for-queue"
        assert (await bench.app.jobs.why(late.id)).code == "delayed"
        graph = {job.job_id: job.status for job in (await bench.app.jobs.graph(child.id)).jobs}
        assert (graph[child.id], graph[late.id]) == (JobStatus.PENDING, JobStatus.DELAYED)
        await claim(bench.app, 1, "children")
        await everywhere(bench, {child.id: "processing", late.id: "delayed"})

    async def test_a_job_whose_time_has_come_is_pending(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n", delay=1)
        later = await bench.app.jobs.enqueue("n", delay=600)
        found = await bench.until(lambda: seen(bench.app, job.id), lambda found: found.status is not JobStatus.DELAYED)
        assert found.status is JobStatus.PENDING
        await everywhere(bench, {job.id: "pending", later.id: "delayed"})

    async def test_a_retry_whose_time_has_come_is_pending(self, bench: Bench) -> None:
        job = await failed_with(bench, "no")
        await everywhere(bench, {job.id: "delayed"})
        await bench.app.jobs.change(job.id, run_at=bench.now())
        await everywhere(bench, {job.id: "pending"})

    async def test_many_are_cancelled_by_the_status_that_they_are_shown_with(self, bench: Bench) -> None:
        parent = await bench.app.jobs.enqueue("n", queue="parents")
        child = await bench.app.jobs.enqueue("n", after=parent)
        delayed = await bench.app.jobs.enqueue("n", delay=600)
        await claim(bench.app, 1, "parents")
        await completed(bench, parent)
        assert (await bench.app.jobs.cancel_many(status="delayed")).changed == 1
        await everywhere(bench, {child.id: "pending", delayed.id: "cancelled"})
        assert (await bench.app.jobs.cancel_many(status="pending")).changed == 1
        await everywhere(bench, {child.id: "cancelled", delayed.id: "cancelled"})


async def completed(bench: Bench, job: Job) -> None:
    await bench.app.execute("job.report", {"job_id": job.id, "attempt": 1, "outcome": "completed"})


async def everywhere(bench: Bench, expected: dict[str, str]) -> None:
    """One by one, in lists, by filter and in the counts of the tenant and of queues, these jobs have these statuses."""
    app, position = bench.app, await head(bench.app)
    jobs = await app.jobs.list(min_position=position, limit=100)
    assert {job.id: str(job.status) for job in jobs if job.id in expected} == expected
    for id, status in expected.items():
        assert str((await seen(app, id)).status) == status
        assert id in {job.id for job in await app.jobs.list(status=status)}
    counted: dict[str, int] = {}
    for job in jobs:
        counted[str(job.status)] = counted.get(str(job.status), 0) + 1
    body: dict[str, Any] = await app.query("job.stats", {"details": True})
    for whole in (body, summed(body["queues"])):
        assert {status: whole.get(status, 0) for status in JobStatus} == {
            status: counted.get(status, 0) for status in JobStatus
        }


def summed(queues: list[dict[str, Any]]) -> dict[str, int]:
    """The counts of all queues together."""
    return {status: sum(queue.get(status, 0) for queue in queues) for status in JobStatus}
