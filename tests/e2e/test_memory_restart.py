"""`millrace up --max-memory`: a worker that has grown too large ends, and another one goes on with the jobs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace import Millrace
from millrace.worker_memory import EXIT_CODE
from tests.faults.harness.processes import Server, free_port
from tests.support.running import until

DEADLINE = 60.0
LIMIT_MIB = 400
TASKS = """
import os

from millrace import Millrace

app = Millrace()
kept = []


@app.job
async def grow(mib: int) -> int:
    kept.append(bytearray(b"x" * mib * 1_048_576))
    return os.getpid()


@app.job
async def process() -> int:
    return os.getpid()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: the path of the embedded server's socket must be short.
    with tempfile.TemporaryDirectory(prefix="millrace-memory-") as made:
        (Path(made) / "tasks.py").write_text(TASKS)
        yield Path(made)


async def test_a_worker_that_outgrows_its_limit_is_replaced_and_no_job_is_lost(folder: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "millrace.cli.main", "up", "--port", str(port), "--data", str(folder / "data")]
    command += ["--app", "tasks:app", "--concurrency", "1", "--max-memory", str(LIMIT_MIB)]
    server = Server("up", command, folder, {"PYTHONPATH": str(folder)})
    try:
        await server.start()
        await until(lambda: "worker started" in server.output() or not server.running, DEADLINE)
        assert server.running, server.output()
        async with Millrace(f"http://127.0.0.1:{port}") as app:
            before = await app.jobs.enqueue("process")
            first = await app.jobs.result(before.id, timeout=DEADLINE)
            grown = await app.jobs.enqueue("grow", {"mib": LIMIT_MIB})
            assert await app.jobs.result(grown.id, timeout=DEADLINE) == first
            await until(lambda: f"the worker ended (exit code {EXIT_CODE})" in server.output(), DEADLINE)
            after = await app.jobs.enqueue("process")
            second = await app.jobs.result(after.id, timeout=DEADLINE)
            assert second != first
            done = await app.jobs.get_job(after.id)
            assert done is not None
            assert done.attempts == 1
        assert await server.stop() == 0, server.output()
    finally:
        await server.close()
