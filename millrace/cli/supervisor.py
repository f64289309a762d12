"""Keeps the service and its worker running until somebody asks for the end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import httpx
import typer

from millrace.cli.errors import WRONG_USAGE, CliError
from millrace.cli.processes import describe_exit, end_child, kill_child, start_child
from millrace.cli.service import service_command, service_environment

READY_TIMEOUT = 330.0
READY_POLL = 0.05
END_WITHIN = 4.8
WORKER_GRACE = 1.8
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
STABLE_AFTER = 30.0


class ServiceEnded(CliError):
    """Raised when the service ends before it is ready. After an exit of its own it has already said why."""

    def __init__(self, code: int) -> None:
        super().__init__("" if code > 0 else f"the service did not start ({describe_exit(code)})")
        self.code = code


class WorkerUnusable(CliError):
    """Raised when the worker ends at its first start for what it was given, such as an application that does not exist.
    It has already said why, and would say it again at every start."""

    def __init__(self) -> None:
        super().__init__("", WRONG_USAGE)


class Supervisor:
    """Runs the service and, once it is ready, the worker; restarts what crashes.

    A service that ends before it was ready ends everything, as does a worker that cannot use what it was given at its
    first start. What else ends is started again.
    """

    def __init__(
        self,
        root: Path,
        service: Sequence[str],
        worker: Sequence[str] | None,
        url: str,
        worker_variables: Mapping[str, str],
    ) -> None:
        self._service_command = service_command(service)
        self._service_environment = service_environment(root, os.environ)
        self._worker_command = worker
        self._worker_environment = {**os.environ, **worker_variables}
        self._url = url
        self._stop = asyncio.Event()
        self._service: Process | None = None
        self._worker: Process | None = None

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Returns after SIGINT or SIGTERM, with both children gone; a second signal kills them at once.

        Raises:
            ServiceEnded: the service ended before it was ready.
            WorkerUnusable: the application that was named cannot be used.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        stopping = asyncio.create_task(self._stop.wait())
        running = asyncio.create_task(self._supervise(on_ready))
        try:
            await asyncio.wait({stopping, running}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not running.done():
                running.cancel()
            await asyncio.wait({running})
            await self._end_children()
        if not running.cancelled() and (error := running.exception()) is not None:
            raise error

    def _on_signal(self) -> None:
        if self._stop.is_set():
            for child in (self._worker, self._service):
                if child is not None:
                    kill_child(child)
        self._stop.set()

    async def _end_children(self) -> None:
        begin = time.monotonic()
        if self._worker is not None:
            await end_child(self._worker, WORKER_GRACE)
        if self._service is not None:
            await end_child(self._service, END_WITHIN - (time.monotonic() - begin))

    async def _supervise(self, on_ready: Callable[[], None]) -> None:
        self._service = await self._start_service()
        on_ready()
        keepers = [asyncio.create_task(self._keep("service", self._service, self._start_service))]
        if self._worker_command is not None:
            keepers.append(asyncio.create_task(self._keep_worker(await self._start_worker())))
        try:
            await asyncio.gather(*keepers)
        finally:
            for keeper in keepers:
                keeper.cancel()

    async def _keep_worker(self, first: Process) -> None:
        if await first.wait() == WRONG_USAGE:
            raise WorkerUnusable()
        await self._keep("worker", first, self._start_worker)

    async def _keep(self, name: str, child: Process, restart: Callable[[], Awaitable[Process]]) -> None:
        backoff = FIRST_BACKOFF
        while True:
            started = time.monotonic()
            code = await child.wait()
            backoff = FIRST_BACKOFF if time.monotonic() - started > STABLE_AFTER else backoff
            _say(f"the {name} ended ({describe_exit(code)}); it is started again in {backoff:g} s")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            child = await restart()

    async def _start_worker(self) -> Process:
        self._worker = await start_child(self._worker_command or (), self._worker_environment)
        return self._worker

    async def _start_service(self) -> Process:
        self._service = child = await start_child(self._service_command, self._service_environment)
        ended = asyncio.create_task(child.wait())
        ready = asyncio.create_task(self._wait_until_ready())
        try:
            await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                await ready
                return child
            raise ServiceEnded(ended.result())
        finally:
            ended.cancel()
            ready.cancel()

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(READY_TIMEOUT), httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                while not await _is_ready(client, f"{self._url}/health/ready"):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(READY_POLL)
        except TimeoutError as error:
            raise CliError(f"the service is not ready after {READY_TIMEOUT:g} s; its output above says why") from error


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        answer = await client.get(url)
    except httpx.TransportError:
        return False
    return answer.status_code == 200


def _say(line: str) -> None:
    typer.echo(f"millrace: {line}", err=True)
