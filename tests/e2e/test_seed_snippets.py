"""The usage snippets that Millrace was asked for, for the modules that have arrived, with only the imports changed."""

from __future__ import annotations

import pytest

from millrace import Job, JobStatus
from millrace.testing import MillraceTest


@pytest.fixture
def app() -> MillraceTest:
    return MillraceTest()


async def transcribe_file(file_id: str) -> dict[str, str]:
    return {"file_id": file_id, "text": "as spoken"}


async def test_a_handler_gets_the_payload_by_name(app: MillraceTest) -> None:
    queue = app.jobs

    @queue.handler("transcribe")
    async def transcribe_job(file_id: str) -> dict[str, str]:
        result = await transcribe_file(file_id)
        return result

    job = await queue.enqueue(name="transcribe", payload={"file_id": "123"}, priority=5)
    status = await queue.get_status(job.id)
    assert status == JobStatus.PENDING
    await app.run_jobs()
    assert await queue.get_status(job.id) == JobStatus.COMPLETED


async def test_a_worker_gets_the_job_and_the_queue_tells_its_numbers(app: MillraceTest) -> None:
    queue = app.jobs

    @queue.worker("transcription")
    async def process_transcription(job: Job) -> dict[str, str]:
        file_id = job.data["file_id"]
        result = await transcribe_file(file_id)
        return result

    async def start_transcription(file_id: str) -> str:
        job = await queue.enqueue("transcription", {"file_id": file_id}, priority=5)
        return job.id

    async def get_queue_stats() -> dict[str, int]:
        stats = await queue.get_stats()
        return {
            "pending": stats.pending,
            "processing": stats.processing,
            "completed": stats.completed,
            "failed": stats.failed,
            "workers": stats.workers,
        }

    job_id = await start_transcription("42")
    assert (await get_queue_stats())["pending"] == 1
    await app.run_jobs()
    done = await queue.get_job(job_id)
    assert done is not None
    assert done.result == {"file_id": "42", "text": "as spoken"}
    assert (await get_queue_stats())["completed"] == 1


async def test_jobs_are_scheduled_listed_cancelled_and_removed(app: MillraceTest) -> None:
    queue = app.jobs
    job = await queue.schedule("report", {"day": 1}, app.clock.now(), priority=1)
    later = await queue.enqueue("report", {"day": 2}, delay=60, max_attempts=3)
    assert {each.id for each in await queue.get_jobs()} == {job.id, later.id}
    await queue.cancel_job(later.id)
    assert await queue.get_status(later.id) == JobStatus.CANCELLED
    await queue.remove_job(later.id)
    assert await queue.get_job(later.id) is None
