"""Large results are in the storage as long as their jobs need them, whoever dies when."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic_core import to_json

from adapters.postgres.result_parts import PostgresResultParts
from adapters.storage.local_folder import LocalFolder
from handlers.result_cleaner import ResultCleaner
from infra.bootstrap import System
from millrace import Millrace
from millrace.contracts.wire import Refused
from millrace.worker_reports import Reports
from tests.integration.results_process import STEPS
from tests.support.results import (
    CONTENT,
    damage,
    everything_in,
    files,
    lose,
    parts_of,
    reference_to,
    result_of,
    upload_of,
    uploaded,
)
from tests.support.running import app_of, listening
from tests.support.systems import answered, claimed, context, enqueued, executed, job, refused, reported, system, told

ROOT = Path(__file__).resolve().parents[2]
PROCESS = Path(__file__).with_name("results_process.py")
OLD = -1.0  # seconds: whatever was uploaded is older
SOON = {"kind": "fixed", "delay": 0.05, "jitter": 0}


def cleaner(running: System, folder: Path) -> ResultCleaner:
    return ResultCleaner(running.storage.store, LocalFolder(folder), PostgresResultParts(running.storage.pool), OLD)


def named(attempt: int) -> set[str]:
    """The objects of an attempt that has uploaded all."""
    return {f"{attempt}/{part['sha256']}" for part in reference_to(CONTENT)["parts"]}


async def problem_of(running: System, part: int, job_id: str) -> Any:
    answer = await answered(running, "job.result", {"job_id": job_id, "part": part}, context())
    assert isinstance(answer, Refused)
    return answer.problem


async def killed(dsn: str, folder: Path, step: str) -> int | None:
    """How a process ended that uploads a result and never reports it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), dsn, str(folder), step, env={"PYTHONPATH": str(ROOT)}
    )
    try:
        return await asyncio.wait_for(child.wait(), 60)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.parametrize("step", STEPS)
async def test_what_a_killed_attempt_had_uploaded_goes_and_the_next_one_s_result_is_read(
    fresh_database_url: str, tmp_path: Path, step: str
) -> None:
    async with system(fresh_database_url, ["api"], storage=tmp_path) as running:
        job_id = await enqueued(running, retry=SOON)
    assert await killed(fresh_database_url, tmp_path, step) == -signal.SIGKILL
    stored = {"before an object": 1, "after an object": 2, "before the report": 3}[step]
    assert len(files(tmp_path)) == stored
    async with system(fresh_database_url, storage=tmp_path, lease=2, unconfirmed=2) as running:
        (grant,) = await claimed(running, wait=30)
        assert (grant["job_id"], grant["attempt"]) == (job_id, 2)
        await reported(running, grant, stored=await uploaded(running, grant))
        assert len(files(tmp_path)) == stored + 3
        await cleaner(running, tmp_path).sweep()
        assert files(tmp_path) == named(2)
        assert await result_of(running, job_id) == CONTENT


async def test_what_an_attempt_uploads_stays_while_it_may_be_reported(running: System, tmp_path: Path) -> None:
    job_id = await enqueued(running, retry=SOON)
    (grant,) = await claimed(running)
    await uploaded(running, grant)
    assert await cleaner(running, tmp_path).sweep() == 0
    await reported(running, grant, stored=reference_to(CONTENT))
    assert await cleaner(running, tmp_path).sweep() == 0
    assert await result_of(running, job_id) == CONTENT


async def test_what_the_result_does_not_need_goes(running: System, tmp_path: Path) -> None:
    await enqueued(running)
    (grant,) = await claimed(running)
    await told(running, "job.upload", upload_of(grant, b"[0]"))
    await reported(running, grant, stored=await uploaded(running, grant))
    assert await cleaner(running, tmp_path).sweep() == 1
    assert files(tmp_path) == named(1)


async def test_with_the_job_its_result_goes(running: System, tmp_path: Path) -> None:
    jobs = [await enqueued(running) for _ in range(2)]
    for grant in await claimed(running, slots=2):
        await reported(running, grant, stored=await uploaded(running, grant))
    assert await cleaner(running, tmp_path).sweep() == 0
    await told(running, "job.remove", {"job_id": jobs[0]})
    assert await refused_to_read(running, jobs[0]) == "not-found"
    assert await cleaner(running, tmp_path).sweep() == 3
    assert await result_of(running, jobs[1]) == CONTENT
    await told(running, "job.remove", {"job_id": jobs[1]})
    assert await cleaner(running, tmp_path).sweep() == 3
    assert everything_in(tmp_path) == []


async def refused_to_read(running: System, job_id: str) -> str:
    return str((await problem_of(running, 0, job_id)).code)


async def test_with_the_attempt_its_uploads_go(running: System, tmp_path: Path) -> None:
    failing, cancelled = await enqueued(running, max_attempts=1), await enqueued(running)
    for grant in await claimed(running, slots=2):
        await uploaded(running, grant)
        if grant["job_id"] == failing:
            await reported(running, grant, "failed")
    await told(running, "job.cancel", {"job_id": cancelled})
    assert await cleaner(running, tmp_path).sweep() == 6
    assert files(tmp_path) == set()


async def test_what_was_damaged_or_lost_is_not_read(running: System, tmp_path: Path) -> None:
    job_id = await enqueued(running)
    (grant,) = await claimed(running)
    reference = await uploaded(running, grant)
    await reported(running, grant, stored=reference)
    damage(tmp_path, reference["parts"][1]["sha256"])
    lose(tmp_path, reference["parts"][2]["sha256"])
    for part, reason in ((1, "is damaged"), (2, "is not in the storage")):
        problem = await problem_of(running, part, job_id)
        assert problem.code == "internal"
        assert reason in problem.detail


async def test_an_attempt_whose_upload_got_lost_ends_and_the_next_one_makes_it_again(
    running: System, tmp_path: Path
) -> None:
    """A worker cannot know: it had been told that the part was stored."""
    job_id = await enqueued(running, retry=SOON)
    (grant,) = await claimed(running)
    reference = await uploaded(running, grant)
    lose(tmp_path, reference["parts"][1]["sha256"])
    body = {"job_id": job_id, "attempt": 1, "outcome": "completed", "stored": reference}
    async with listening(app_of(running)) as port, Millrace(f"http://127.0.0.1:{port}", tenant="acme") as app:
        reports = Reports(app.link, lambda key: None)
        reports.add((job_id, 1), to_json(body), None)
        await asyncio.wait_for(reports.drained(), 30)
        await reports.close()
    (again,) = await claimed(running, wait=30)
    assert (again["job_id"], again["attempt"]) == (job_id, 2)
    [error] = (await job(running, job_id))["errors"]
    assert (error["type"], "1 of the result's 3 parts" in error["message"]) == ("ResultRefused", True)
    await reported(running, again, stored=await uploaded(running, again))
    assert await result_of(running, job_id) == CONTENT


async def test_a_report_of_a_stored_result_without_a_storage_is_refused(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await enqueued(running)
        (grant,) = await claimed(running)
        body = {"job_id": grant["job_id"], "attempt": 1, "outcome": "completed", "stored": reference_to(CONTENT)}
        assert await refused(running, "job.report", body) == "no-storage"


async def test_without_a_storage_or_beyond_the_limit_an_upload_is_refused(
    fresh_database_url: str, tmp_path: Path
) -> None:
    async with system(fresh_database_url) as running:
        await enqueued(running)
        (grant,) = await claimed(running)
        reply = await executed(running, "job.upload", upload_of(grant, b"[1]"), context())
        assert isinstance(reply, Refused)
        assert reply.problem.code == "no-storage"
        assert "modules.jobs.storage.path" in reply.problem.detail
    async with system(fresh_database_url, storage=tmp_path, results={"max_bytes": 1_100_000}) as running:
        await enqueued(running)
        (grant,) = await claimed(running)
        # One that understates its size is found out by what it has sent.
        first, second, third = parts_of(CONTENT)
        for part in (first, second, second):
            await told(running, "job.upload", upload_of(grant, part, total=9))
        assert await refused(running, "job.upload", upload_of(grant, third, total=9)) == "too-large"
        assert await refused(running, "job.upload", upload_of(grant, first)) == "too-large"


async def test_over_http_a_large_result_is_one_body_that_is_whole_or_cut_off(running: System, tmp_path: Path) -> None:
    job_id = await enqueued(running)
    (grant,) = await claimed(running)
    await reported(running, grant, stored=await uploaded(running, grant))
    assert (await job(running, job_id))["result"]["$stored"]["size"] == len(CONTENT)
    async with listening(app_of(running)) as port, httpx.AsyncClient(trust_env=False, timeout=20) as client:
        url, headers = f"http://127.0.0.1:{port}/api/jobs/{job_id}/result", {"X-Tenant-Id": "acme"}
        answer = await client.get(url, headers=headers)
        assert answer.content == CONTENT
        assert answer.headers["Content-Type"] == "application/json"
        digest = b64encode(hashlib.sha256(CONTENT).digest()).decode()
        assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
        assert (await client.get(url)).status_code == 404
        damage(tmp_path, reference_to(CONTENT)["parts"][2]["sha256"])
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url, headers=headers)


@pytest.fixture(name="running")
async def _running(fresh_database_url: str, tmp_path: Path) -> Any:
    async with system(fresh_database_url, ["api", "projector", "timers"], storage=tmp_path) as running:
        yield running
