"""`millrace up`: how it ends, what it leaves behind, and what it says when it cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Server, free_port
from tests.faults.harness.waiting import until

END_SECONDS = 5.0


class Up(Server):
    """`millrace up` with a worker for the application of these tests."""

    def __init__(self, folder: Path, runs: Path, *, name: str = "up", port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "millrace.cli.main", "up", "--port", str(self.port)]
        command += ["--data", str(folder / "data"), "--app", "tests.faults.app:app"]
        lease = {"MILLRACE_MODULES__JOBS__LEASES__DURATION": "4", "MILLRACE_MODULES__JOBS__LEASES__UNCONFIRMED": "2"}
        super().__init__(name, command, folder, {"FAULTS_RUNS": str(runs), **lease})

    async def ready(self) -> None:
        await until(lambda: "worker started" in self.output() or not self.running, 40, "millrace up is ready")
        assert self.running, self.output()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)


async def up(run: Bench, name: str = "up") -> Up:
    started = await run.start(Up(run.folder, run.runs, name=name))
    await started.ready()
    return started


@asynccontextmanager
async def held_connections(url: str) -> AsyncIterator[None]:
    """A reader of server-sent events and a claim that nothing answers."""
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        body = {"worker": "waits", "queues": ["nothing-here"], "slots": 1, "wait": 50}
        claim = asyncio.create_task(client.post("/api/commands/job.claim", json=body))
        async with client.stream("GET", "/api/events", params={"after": "beginning"}) as events:
            assert events.status_code == 200
            yield
        claim.cancel()
        await asyncio.gather(claim, return_exceptions=True)


def nobody_left(family: list[psutil.Process]) -> bool:
    return not any(map(works, family))


def works(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("to_group", [False, True], ids=["to the process alone", "to its whole group"])
async def test_ctrl_c_ends_it_in_time_with_clients_connected_and_a_job_running(run: Bench, to_group: bool) -> None:
    server = await up(run)
    family = server.family()
    async with Millrace(server.url) as client, held_connections(server.url):
        await run.enqueue(client, 1, longest=0.01)
        await client.jobs.enqueue("step", {"seconds": 30})
        await run.has_run(2)
        began = time.monotonic()
        if to_group:
            # what a terminal does: its foreground group, which the children must not be in
            os.killpg(server.pid, signal.SIGINT)
        else:
            server.send(signal.SIGINT)
        code = await server.ended(END_SECONDS + 2)
        took = time.monotonic() - began
    assert took < END_SECONDS, f"it took {took:.1f} s"
    assert code in (0, 130)
    assert nobody_left(family)
    assert "Traceback" not in server.output()


async def test_what_was_running_and_waiting_goes_on_after_kill_9_and_no_child_is_left(run: Bench) -> None:
    server = await up(run)
    family = server.family()
    assert len(family) > 2
    async with Millrace(server.url) as client:
        await run.enqueue(client, 300)
        await run.has_run(50)
        await run.kill(server)
        await until(lambda: nobody_left(family), 15, "every child of the killed process is gone")
        again = Up(run.folder, run.runs, name="up-again", port=server.port)
        await run.start(again)
        await again.ready()
        await run.all_ended(client)
        await run.verdict(client)


async def test_a_port_that_is_taken_is_one_line(run: Bench) -> None:
    with_port = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = with_port.sockets[0].getsockname()[1]
    server = await run.start(Up(run.folder, run.runs, port=port))
    assert await server.ended(20) != 0
    with_port.close()
    await with_port.wait_closed()
    assert one_line(server)
    assert str(port) in server.output()


async def test_a_second_instance_on_the_same_data_is_one_line(run: Bench) -> None:
    await up(run)
    second = await run.start(Up(run.folder, run.runs, name="second"))
    assert await second.ended(20) != 0
    assert one_line(second)


def one_line(server: Server) -> bool:
    lines = [line for line in server.output().splitlines() if line.strip()]
    assert len(lines) == 1, server.output()
    return True


async def test_a_service_or_worker_that_is_killed_below_it_is_started_again(run: Bench) -> None:
    server = await up(run)
    async with Millrace(server.url) as client:
        enqueuing = asyncio.create_task(run.enqueue(client, 600))
        for part in ("infra.main", "worker"):
            await run.has_run(run.ran() + 60)
            (victim,) = [child for child in psutil.Process(server.pid).children() if part in child.cmdline()]
            run.history.fault("kill -9", part=part)
            victim.kill()
        await enqueuing
        await run.all_ended(client)
        await run.verdict(client)
    assert server.running
