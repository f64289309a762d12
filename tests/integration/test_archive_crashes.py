"""An archiver that is killed at any of its steps loses nothing, and the next one finishes what it began."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from adapters.postgres.archive import PostgresArchivableLog
from adapters.postgres.mapper import EventMapper
from infra.bootstrap import System
from tests.integration.archive_process import STEPS
from tests.support.eventually import eventually
from tests.support.systems import asked, claimed, enqueued, history, reported, system, told

ROOT = Path(__file__).resolve().parents[2]
PROCESS = Path(__file__).with_name("archive_process.py")
JOBS = 6
LIFE = ["job.enqueued", "job.started", "job.completed", "job.removed"]


async def removed(running: System) -> list[str]:
    """Jobs that have completed and were removed, which every reader has passed."""
    jobs = [await enqueued(running, data={"n": n}) for n in range(JOBS)]
    for grant in await claimed(running, slots=JOBS):
        await reported(running, grant, result=grant["data"])
    for job_id in jobs:
        await told(running, "job.remove", {"job_id": job_id})
    log = PostgresArchivableLog(running.storage.pool, EventMapper())
    await eventually(lambda: log.candidates(-1.0, JOBS + 1), lambda streams: len(streams) == JOBS)
    return jobs


async def archived(dsn: str, folder: Path, step: str) -> int:
    """How a process ended that archives."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), dsn, str(folder), step, str(JOBS), env={"PYTHONPATH": str(ROOT)}
    )
    try:
        return await asyncio.wait_for(child.wait(), 60)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_archiver_loses_nothing(fresh_database_url: str, tmp_path: Path, step: str) -> None:
    folder = tmp_path / "objects"
    async with system(fresh_database_url, storage=folder) as running:
        jobs = await removed(running)
        before = {job_id: await asked(running, "log.history", {"kind": "job", "id": job_id}) for job_id in jobs}
    assert await archived(fresh_database_url, folder, step) == -signal.SIGKILL
    async with system(fresh_database_url, ["api"], storage=folder) as running:
        for job_id in jobs:
            assert await history(running, job_id) == LIFE
    assert await archived(fresh_database_url, folder, "never") == 0
    async with system(fresh_database_url, ["api"], storage=folder) as running:
        for job_id in jobs:
            after = await asked(running, "log.history", {"kind": "job", "id": job_id})
            assert after["events"] == before[job_id]["events"]
            assert "archived" in after
        pool = running.storage.pool
        assert await pool.fetchval("SELECT count(*) FROM stored_events WHERE kind = 'job'") == JOBS
        assert await pool.fetchval("SELECT count(*) FROM stored_events WHERE kind = 'archive'") == 1
    assert not list(folder.rglob(".unfinished-*"))
