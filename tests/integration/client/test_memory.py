"""A worker that has grown too large finishes what it runs and makes room for another one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from millrace import JobStatus, Worker
from millrace.testing import MillraceTest
from millrace.worker_memory import EXIT_CODE, resident_bytes
from tests.support.running import until

ROOT = Path(__file__).parents[3]
MIB = 1_048_576


def test_memory_that_is_used_is_counted() -> None:
    before = resident_bytes()
    used = bytearray(b"x" * 64 * MIB)
    assert resident_bytes() - before >= 32 * MIB
    assert len(used) == 64 * MIB


async def test_the_processes_of_handlers_count_and_those_that_have_ended_do_not() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    try:
        assert resident_bytes([process.pid]) > resident_bytes([])
    finally:
        process.kill()
        await process.wait()
    assert abs(resident_bytes([process.pid]) - resident_bytes([])) < MIB


async def test_a_worker_that_outgrows_its_limit_ends_after_what_it_runs() -> None:
    app = MillraceTest()
    worker = Worker(app, concurrency=1, max_memory=resident_bytes() + 32 * MIB)

    @app.job
    async def first() -> int:
        used = bytearray(b"x" * 128 * MIB)
        await until(lambda: worker.outgrown)
        return len(used)

    @app.job
    async def second() -> None: ...

    jobs = [await app.jobs.enqueue(name) for name in ("first", "second")]
    async with asyncio.timeout(60):
        await worker.run(signals=False)
    done, waiting = [await app.jobs.get(job.id) for job in jobs]
    assert done is not None
    assert waiting is not None
    assert (done.status, done.result) == (JobStatus.COMPLETED, 128 * MIB)
    assert (waiting.status, waiting.attempts) == (JobStatus.PENDING, 0)


async def test_the_command_says_by_its_exit_code_that_another_one_is_wanted() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "millrace.cli.main", "worker", "tests.support.process_jobs:app", "--max-memory", "1",
        cwd=ROOT, stderr=subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == EXIT_CODE, errors.decode()


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_memory"):
        Worker(MillraceTest(), max_memory=0)
