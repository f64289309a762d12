"""PostgreSQL killed under load, its sessions ended, frozen: the service answers meanwhile and recovers by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import asyncpg
import httpx
import psutil

from infra.maintenance import database_dsn
from infra.settings import Settings
from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Service, Worker

JOBS = 2_000
ANSWER_SECONDS = 3.0
END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL
"""
QUESTIONS: dict[str, dict[str, object]] = {
    "/api/commands/job.enqueue": {"name": "probe", "queue": "nobody-works-here"},
    "/api/commands/job.claim": {"worker": "probe", "queues": ["nobody-works-here"]},
    "/api/commands/job.renew": {"worker": "probe", "attempts": [{"job_id": "none", "attempt": 1}]},
    "/api/queries/job.get": {"job_id": "none"},
    "/api/queries/job.stats": {},
    "/api/queries/log.read": {},
}


def postmaster(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])


async def refused_in_time(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> str | None:
    """A complaint, or None where the service says in time that it cannot."""
    began = time.monotonic()
    try:
        response = await client.post(path, json=body)
    except httpx.TransportError as error:
        return f"{path}: no answer ({error!r}) after {time.monotonic() - began:.1f} s"
    took = time.monotonic() - began
    if took > ANSWER_SECONDS or response.status_code != 503:
        return f"{path}: {response.status_code} after {took:.1f} s: {response.text[:200]}"
    return None


async def test_a_killed_postgres_is_started_again_and_nothing_is_lost(run: Bench) -> None:
    service = await run.start(Service(run.folder, lease=6, unconfirmed=2))
    await service.ready()
    await run.start(Worker(run.folder, service.url, run.runs))
    before = service.pid
    async with Millrace(service.url) as client:
        enqueuing = asyncio.create_task(run.enqueue(client, JOBS))
        killed, ended = sorted(run.random.sample(range(100, JOBS - 400), 2))
        await run.has_run(killed)
        run.history.fault("kill -9", server="postmaster")
        os.kill(postmaster(service.data), signal.SIGKILL)
        await run.has_run(ended)
        run.history.fault("sessions ended")
        connection = await asyncpg.connect(database_dsn(Settings(), service.data))
        await connection.execute(END_SESSIONS)
        await connection.close()
        await enqueuing
        await run.all_ended(client)
        await run.verdict(client)
    assert service.pid == before
    assert service.running


async def test_without_postgres_every_question_gets_a_503_in_time(run: Bench) -> None:
    service = await run.start(Service(run.folder))
    await service.ready()
    server = psutil.Process(postmaster(service.data))
    async with httpx.AsyncClient(base_url=service.url, timeout=20, trust_env=False) as client:
        # frozen, not dead: connections stay open and say nothing, which is what a lost network looks like
        # the server first: a child that it makes meanwhile would go on
        server.suspend()
        family = [server, *server.children()]
        for process in family[1:]:
            process.suspend()
        try:
            for round_ in range(3):
                complaints = await asyncio.gather(
                    *(refused_in_time(client, path, body) for path, body in QUESTIONS.items())
                )
                assert not any(complaints), (round_, [each for each in complaints if each])
            live = await client.get("/health/live")
            began = time.monotonic()
            ready = await client.get("/health/ready")
            assert (live.status_code, ready.status_code) == (200, 503)
            assert time.monotonic() - began < ANSWER_SECONDS
        finally:
            for process in family:
                process.resume()
        answer = await client.post("/api/commands/job.enqueue", json={"name": "after"})
        assert answer.status_code == 200, answer.text
