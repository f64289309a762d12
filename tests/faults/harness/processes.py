"""Real processes of the system under test, on ports and folders of their own: started, paused, killed, looked at."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx

from tests.faults.harness.starter import ROOT, Child, Starter, bare_environment
from tests.faults.harness.waiting import until

READY_SECONDS = 30.0
END_SECONDS = 10.0
COMMAND_SECONDS = 60.0
SERVICE, WORKER = "infra.main", "millrace.cli.main"
SAFE_PATH = ("-P",)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One process in a session of its own; its output goes to `<folder>/<name>.log`."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = list(command)
        self._environment = {**bare_environment(), **environment}
        self._process: Child | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> Self:
        spawning = asyncio.ensure_future(self._spawned())
        try:
            self._process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            # A process that nobody knows of would outlive the run.
            self._process = await spawning
            raise
        return self

    async def kill(self) -> None:
        """kill -9; returns when the process is gone."""
        if self.running:
            self.send(signal.SIGKILL)
            await self.ended()

    async def close(self) -> None:
        """Leaves nothing of it behind."""
        await self.kill()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end; one that does not within ten seconds is killed, and that is an error."""
        if self.running:
            self.send(number)
            try:
                await self.ended(END_SECONDS)
            except TimeoutError:
                await self.kill()
                raise TimeoutError(f"{self.name} did not end within {END_SECONDS:g} s of {number.name}") from None
        return await self.ended()

    async def ended(self, seconds: float = END_SECONDS) -> int:
        assert self._process is not None
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    async def _spawned(self) -> Child:
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self._command, cwd=ROOT, env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Program(Server):
    """A Python program: forked by the starter of that program where there is one, else executed.

    Args:
        flags: of an interpreter that is executed.
    """

    def __init__(
        self, name: str, program: str, arguments: Sequence[str], folder: Path, environment: dict[str, str],
        starter: Starter | None, flags: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(name, [sys.executable, *flags, "-m", program, *arguments], folder, environment)
        self._arguments = list(arguments)
        self._starter = starter if starter is not None and starter.program == program else None

    async def _spawned(self) -> Child:
        if self._starter is None:
            return await super()._spawned()
        return await self._starter.fork(self._arguments, self._environment, self.log)


class Service(Program):
    """`serve` on a port of its own, on its embedded PostgreSQL or on a given one, with or without RabbitMQ."""

    def __init__(
        self, folder: Path, *, name: str = "service", database: str | None = None, broker: str | None = None,
        lease: float = 30.0, unconfirmed: float = 5.0, roles: str | None = None, program: str = SERVICE,
        extra: Mapping[str, str] | None = None, starter: Starter | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            program: the module that is run; one of a known-bad build takes the same arguments.
        """
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = folder / "data"
        self.database, self.broker, self.roles = database, broker, roles
        environment = {
            "MILLRACE_MODULES__JOBS__LEASES__DURATION": str(lease),
            "MILLRACE_MODULES__JOBS__LEASES__UNCONFIRMED": str(unconfirmed),
        }
        environment |= extra or {}
        if database is not None:
            environment["DATABASE_URL"] = database
        if broker is not None:
            environment["RABBITMQ_URL"] = broker
        where = ["--embedded"] if database is None else []
        arguments = ["serve", *where, "--data", str(self.data), "--port", str(self.port)]
        if roles is not None:
            arguments += ["--roles", roles]
        super().__init__(name, program, arguments, folder, environment, starter, SAFE_PATH)

    async def ready(self) -> None:
        """Returns when `/health/ready` says so, or without that role when it has started; fails where it ended."""

        async def answers() -> bool:
            if not self.running:
                raise ChildProcessError(f"{self.name} ended: {self.output()[-3_000:]}")
            if self.roles is not None and "api" not in self.roles:
                return '"action": "started"' in self.output()
            with suppress(httpx.TransportError):
                return (await client.get("/health/ready")).status_code == 200
            return False

        async with httpx.AsyncClient(base_url=self.url, timeout=2, trust_env=False) as client:
            await until(answers, READY_SECONDS, f"{self.name} is ready")

    async def command(self, *arguments: str, database: str | None = None) -> tuple[int, str]:
        """Runs one of the service's own commands (`rebuild jobs`) on this service's data.

        Args:
            database: its URL, where the service itself reaches it in a roundabout way.
        """
        environment = self._environment if database is None else {**self._environment, "DATABASE_URL": database}
        where = ["--data", str(self.data)] if self.database is None else []
        name = f"{self.name}-{'-'.join(arguments)}"
        run = Program(name, SERVICE, [*arguments, *where], self._folder, environment, self._starter, SAFE_PATH)
        run.log.unlink(missing_ok=True)
        await run.start()
        try:
            return await run.ended(COMMAND_SECONDS), run.output()
        finally:
            await run.kill()


class Worker(Program):
    """`millrace worker` for an application of these tests.

    Args:
        seen: file for the events that its subscriptions get.
    """

    def __init__(
        self, folder: Path, url: str, runs: Path, *, name: str = "worker", concurrency: int = 20, grace: float = 2.0,
        app: str = "tests.faults.app:app", tenant: str = "default", queues: str | None = None, seen: Path | None = None,
        extra: Mapping[str, str] | None = None, starter: Starter | None = None,
    ) -> None:  # fmt: skip
        arguments = ["worker", app, "--url", url]
        arguments += ["--concurrency", str(concurrency), "--grace", str(grace)]
        if queues is not None:
            arguments += ["--queues", queues]
        environment = {"FAULTS_RUNS": str(runs), "FAULTS_TENANT": tenant, **(extra or {})}
        if seen is not None:
            environment["FAULTS_SEEN"] = str(seen)
        super().__init__(name, WORKER, arguments, folder, environment, starter)
