"""The example in Node: its dependencies, installed outside of the checkout, and its programs as processes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"
OLDEST = 18
INSTALL_SECONDS = 60
SECONDS = 30.0


def installed(folder: Path) -> Path:
    """A copy of the example with what its lock file names; skips the test where there is no Node to run it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not there; the example in Node needs Node {OLDEST} or newer, and npm")
    found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    if int(found.removeprefix("v").split(".")[0]) < OLDEST:
        pytest.skip(f"Node {found.strip()} is too old; the example in Node needs Node {OLDEST} or newer")
    copy = folder / "node"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"],
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return copy


async def enqueue(example: Path, url: str, *arguments: str) -> tuple[int, str, str]:
    """What `enqueue.mjs` ended with and printed."""
    return await _ran(example, url, "enqueue.mjs", *arguments)


async def cancel(example: Path, url: str, *arguments: str) -> tuple[int, str, str]:
    """What `cancel.mjs` ended with and printed."""
    return await _ran(example, url, "cancel.mjs", *arguments)


async def _ran(example: Path, url: str, program: str, *arguments: str) -> tuple[int, str, str]:
    process = await launched(example, url, program, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


class NodeWorker:
    """A running `worker.mjs`; what it prints is read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, pattern: str, times: int = 1) -> None:
        """Returns when so many more of its lines match."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while times > 0:
                line = (await self.process.stdout.readline()).decode()
                assert line, f"the worker ended before it said {pattern!r}"
                times -= re.search(pattern, line) is not None

    async def ended(self) -> int:
        """The exit code."""
        await asyncio.wait_for(self.process.wait(), SECONDS)
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def node_worker(example: Path, url: str, handlers: Path, *arguments: str) -> AsyncIterator[NodeWorker]:
    """A worker that has asked for jobs or is about to; killed at the end if it still runs."""
    process = await launched(example, url, "worker.mjs", "--handlers", str(handlers), *arguments)
    worker = NodeWorker(process)
    try:
        await worker.says("works on")
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        # Whatever it has printed is read, else it would not be seen to have ended.
        await process.communicate()


async def launched(example: Path, url: str, program: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "node",
        str(example / program),
        *arguments,
        cwd="/",
        env={"PATH": os.environ["PATH"], "RABBITMQ_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT if program == "worker.mjs" else asyncio.subprocess.PIPE,
    )
