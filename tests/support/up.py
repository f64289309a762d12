"""`millrace up`, as somebody at a terminal starts it."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.installed import clean_environment

READY = re.compile(r"Millrace is ready\s+at\s+(http://\S+),")
READY_SECONDS = 60.0
STOP_SECONDS = 10.0


@asynccontextmanager
async def up(programs: Path, application: Path, data: Path) -> AsyncIterator[str]:
    """`millrace up` with a worker, for as long as the block lasts; its value is the service's address."""
    process = await asyncio.create_subprocess_exec(
        *(str(programs / "millrace"), "up", "--app", "tasks:app", "--data", str(data), "--port", "0"),
        cwd=application,
        env=clean_environment(programs) | {"COLUMNS": "500"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    output = asyncio.create_task(_drain(process, address := asyncio.get_running_loop().create_future()))
    try:
        await asyncio.wait({output, address}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        assert address.done(), f"it ended before it was ready:\n{output.result() if output.done() else '(running)'}"
        yield address.result()
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), STOP_SECONDS)
        assert code == 0, f"it ended with {code}:\n{await output}"
    finally:
        if process.returncode is None:
            process.kill()
        await output


async def _drain(process: asyncio.subprocess.Process, address: asyncio.Future[str]) -> str:
    assert process.stderr is not None
    text = ""
    async for line in process.stderr:
        text += line.decode()
        found = READY.search(text)
        if found and not address.done():
            address.set_result(found[1])
    return text
