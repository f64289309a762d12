from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from millrace.cli.processes import describe_exit, end_child, start_child
from millrace.cli.rebuild import progress_line

PARENT = """
import asyncio, os, sys
from millrace.cli.processes import start_child
async def main():
    child = await start_child([sys.executable, "-c", "import time; time.sleep(60)"], os.environ)
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
async def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    descriptor = os.pidfd_open(int(await parent.stdout.readline()))
    try:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        parent.kill()
        await parent.wait()
        async with asyncio.timeout(60):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_a_child_that_ignores_the_request_to_end_is_killed() -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", stubborn, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    await child.stdout.readline()
    assert await end_child(child, grace=0.1) == -signal.SIGKILL


async def test_a_child_that_has_ended_keeps_its_exit_code() -> None:
    child = await start_child([sys.executable, "-c", "raise SystemExit(3)"], {})
    await child.wait()
    assert await end_child(child, grace=1) == 3


def test_exit_codes_are_told_in_words() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal SIGKILL"


def test_only_lines_of_progress_move_the_bar() -> None:
    assert progress_line(b'{"done": 1, "total": 2, "phase": "fill"}\n') == {"done": 1, "total": 2, "phase": "fill"}
    assert progress_line(b"starting\n") is None
    assert progress_line(b'{"ok": true}\n') is None
