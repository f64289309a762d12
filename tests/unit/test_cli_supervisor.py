"""The supervisor on a real child process that listens like the service and does nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from millrace.cli.up import usable_port
from millrace.worker_memory import EXIT_CODE

CHECKOUT = Path(__file__).resolve().parents[2]
SERVICE = """
import http.server, os, signal, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *arguments):
        pass
if sys.argv[1] == "fail":
    sys.exit("the data folder is in use")
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Ready)
print("service", os.getpid(), flush=True)
server.serve_forever()
"""
WORKER = "import os, time; print('worker', os.getpid(), flush=True); time.sleep(60)"
# Has outgrown its limit the first time.
OUTGROWN = """
import os, pathlib, sys, time
print("worker", os.getpid(), flush=True)
before = pathlib.Path({mark!r})
if not before.exists():
    before.touch()
    sys.exit({code})
time.sleep(60)
"""
# Crashes, finds its application broken, and the third time finds it mended.
BROKEN_MEANWHILE = """
import os, pathlib, sys, time
print("worker", os.getpid(), flush=True)
starts = pathlib.Path({mark!r})
before = starts.read_text() if starts.exists() else ""
starts.write_text(before + "x")
if len(before) < 2:
    sys.exit(1 + len(before))
time.sleep(60)
"""
DRIVER = """
import asyncio, sys
from pathlib import Path
from millrace.cli.errors import CliError
from millrace.cli.supervisor import Supervisor
root, mode, port, worker = sys.argv[1:]
command = [sys.executable, "-c", worker] if worker else None
supervisor = Supervisor(Path(root), [mode, port], command, f"http://127.0.0.1:{port}", {})
try:
    asyncio.run(supervisor.run(lambda: print("ready", 0, flush=True)))
except CliError as error:
    sys.exit(error.exit_code)
"""


@asynccontextmanager
async def supervised(folder: Path, mode: str, worker: str = "") -> AsyncIterator[Process]:
    (folder / "infra").mkdir()
    (folder / "infra" / "__init__.py").touch()
    (folder / "infra" / "main.py").write_text(SERVICE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DRIVER, str(folder), mode, str(usable_port("127.0.0.1", 0)), worker),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process, word: str) -> int:
    assert process.stdout is not None
    name, number = (await process.stdout.readline()).split()
    assert name.decode() == word
    return int(number)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_request_to_end_ends_worker_and_service(tmp_path: Path) -> None:
    async with supervised(tmp_path, "run", WORKER) as process:
        service = await said(process, "service")
        await said(process, "ready")
        worker = await said(process, "worker")
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        assert time.monotonic() - begin < 5
        assert gone(service)
        assert gone(worker)


@pytest.mark.parametrize("name", ["service", "worker"])
async def test_what_crashes_is_started_again(tmp_path: Path, name: str) -> None:
    async with supervised(tmp_path, "run", WORKER) as process:
        pids = {"service": await said(process, "service")}
        await said(process, "ready")
        pids["worker"] = await said(process, "worker")
        os.kill(pids[name], signal.SIGKILL)
        assert await said(process, name) != pids[name]
        process.terminate()
        assert await process.wait() == 0


async def test_a_worker_that_has_outgrown_its_limit_is_replaced(tmp_path: Path) -> None:
    worker = OUTGROWN.format(mark=str(tmp_path / "outgrown"), code=EXIT_CODE)
    async with supervised(tmp_path, "run", worker) as process:
        await said(process, "service")
        await said(process, "ready")
        first = await said(process, "worker")
        assert await said(process, "worker") != first
        process.terminate()
        assert await process.wait() == 0
        assert process.stderr is not None
        assert f"the worker ended (exit code {EXIT_CODE})" in (await process.stderr.read()).decode()


async def test_a_worker_that_cannot_use_what_it_was_given_ends_everything(tmp_path: Path) -> None:
    worker = "import sys; print('worker', 0, flush=True); sys.exit(2)"
    async with supervised(tmp_path, "run", worker) as process:
        service = await said(process, "service")
        await said(process, "ready")
        await said(process, "worker")
        assert await process.wait() == 2
        assert gone(service)
        assert process.stderr is not None
        assert "started again" not in (await process.stderr.read()).decode()


async def test_a_worker_that_has_once_begun_is_started_again_whatever_it_ends_with(tmp_path: Path) -> None:
    worker = BROKEN_MEANWHILE.format(mark=str(tmp_path / "starts"))
    async with supervised(tmp_path, "run", worker) as process:
        await said(process, "service")
        await said(process, "ready")
        pids = {await said(process, "worker") for _ in range(3)}
        assert len(pids) == 3
        process.terminate()
        assert await process.wait() == 0


async def test_a_service_that_cannot_start_has_the_last_word(tmp_path: Path) -> None:
    async with supervised(tmp_path, "fail", WORKER) as process:
        assert await process.wait() == 1
        _, errors = await process.communicate()
        assert errors.decode().strip() == "the data folder is in use"


async def test_a_second_request_to_end_kills_at_once(tmp_path: Path) -> None:
    async with supervised(tmp_path, "stubborn") as process:
        service = await said(process, "service")
        await said(process, "ready")
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        await process.wait()
        assert time.monotonic() - begin < 4
        assert gone(service)
