"""Stops the server that a killed process left behind, so that the next one finds the folder its own."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import psutil

POLL_SECONDS = 0.05


async def stop_leftovers(cluster: Path, *, patience: float = 10.0) -> None:
    """Return when no process works in `cluster` any more and no stale `postmaster.pid` is left.

    Processes are recognized by what they are (a postgres whose working folder is the cluster), never by a recorded
    number, which may belong to anybody by now. They get `patience` seconds for each of: fast shutdown, immediate
    shutdown, kill.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        running = _processes(cluster)
        if not running:
            break
        _send(running, number)
        if await _gone(cluster, patience):
            break
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _processes(cluster: Path) -> list[psutil.Process]:
    place = str(cluster.resolve())
    found = []
    for process in psutil.process_iter(["name"]):
        if not str(process.info["name"]).startswith("postgres"):
            continue
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == place:
                found.append(process)
    return found


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    numbers = {process.pid for process in processes}
    for process in processes:
        with suppress(psutil.Error):
            # a server process passes its signal on; to a child a shutdown signal means something else
            if number is signal.SIGKILL or process.ppid() not in numbers:
                process.send_signal(number)


async def _gone(cluster: Path, patience: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while _processes(cluster):
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True
