"""What runs in a process ends with its attempt: `millrace worker` kills it, and goes on with the next job."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from millrace import JobStatus, Millrace
from tests.faults.harness.processes import Worker
from tests.support.running import until
from tests.support.service import running_service

DEADLINE = 60.0


@pytest.mark.parametrize(("how", "status"), [("cancel", JobStatus.CANCELLED), ("timeout", JobStatus.FAILED)])
async def test_an_attempt_that_is_over_leaves_no_process_at_work(
    fresh_database_url: str, tmp_path: Path, how: str, status: JobStatus
) -> None:
    mark = tmp_path / "mark"
    async with running_service(fresh_database_url) as service, Millrace(service.http) as app:
        worker = Worker(tmp_path, service.http, tmp_path / "runs", concurrency=1, app="tests.support.process_jobs:app")
        try:
            await worker.start()
            timeout = 3.0 if how == "timeout" else 3_600.0
            job = await app.jobs.enqueue("never_ends", {"mark": str(mark)}, timeout=timeout, max_attempts=1)
            await until(mark.exists, DEADLINE)
            process = int(mark.read_text())
            assert psutil.Process(process).ppid() == worker.pid
            if how == "cancel":
                assert await app.jobs.cancel(job.id, "not needed")
            await until(lambda: not psutil.pid_exists(process), DEADLINE)
            after = await app.jobs.enqueue("square", {"n": 3})
            result = await app.jobs.result(after.id, timeout=DEADLINE)
            assert (result["square"], result["process"] == process) == (9, False)
            ended = await app.jobs.get_job(job.id)
            assert ended is not None
            assert (ended.status, ended.attempts) == (status, 1)
            assert [error.type for error in ended.errors] == (["Timeout"] if how == "timeout" else [])
            assert await worker.stop() == 0, worker.output()
        finally:
            await worker.close()
