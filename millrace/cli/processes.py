"""Child processes that never outlive their parent."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence

PR_SET_PDEATHSIG = 1


async def start_child(command: Sequence[str], environment: Mapping[str, str]) -> Process:
    """Starts `command` with this process's terminal output, out of reach of the terminal's Ctrl-C.

    On Linux the child is asked to end (SIGTERM) when this process dies, even by SIGKILL.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=end_with_parent(),
    )


def end_with_parent() -> Callable[[], None] | None:
    """What a child runs before its program starts, so that the kernel ends it when its parent is gone."""
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind


async def end_child(child: Process, grace: float) -> int:
    """Asks a child to end and kills it when it has not within `grace` seconds; returns its exit code."""
    if child.returncode is None:
        _signal(child, signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                return await child.wait()
        except TimeoutError:
            _signal(child, signal.SIGKILL)
    return await child.wait()


def kill_child(child: Process) -> None:
    """Ends a child at once."""
    if child.returncode is None:
        _signal(child, signal.SIGKILL)


def _signal(child: Process, number: signal.Signals) -> None:
    try:
        child.send_signal(number)
    except ProcessLookupError:
        return


def describe_exit(code: int) -> str:
    """An exit code in words: `exit code 3`, or `signal SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
