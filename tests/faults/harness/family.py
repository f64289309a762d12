"""A server with all its helper processes: frozen, woken, killed together, and really gone afterwards."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil

from tests.faults.harness.waiting import until

GONE_SECONDS = 15.0


def frozen(pid: int) -> list[psutil.Process]:
    """Stops a process and its descendants; returns them, the process itself first."""
    with suppress(psutil.NoSuchProcess):
        # The server first: a child that it makes meanwhile would go on.
        server = psutil.Process(pid)
        server.suspend()
        family = [server, *server.children(recursive=True)]
        for process in family[1:]:
            _send(process, signal.SIGSTOP)
        return family
    return []


def thaw(family: Iterable[psutil.Process]) -> None:
    """Lets stopped processes go on."""
    for process in family:
        _send(process, signal.SIGCONT)


async def killed(pid: int) -> None:
    """kill -9 for a process and its descendants; returns when every one of them is gone.

    Raises:
        TimeoutError: one is still there.
    """
    family = frozen(pid)
    for process in family:
        _send(process, signal.SIGKILL)
    await until(lambda: not any(map(_there, family)), GONE_SECONDS, f"{[each.pid for each in family]} are gone")


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _there(process: psutil.Process) -> bool:
    # One that is dead and whose parent has not asked yet holds neither files nor ports.
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE) and process.is_running()
    return False
