"""Real processes of the system under test, on ports and folders of their own: started, paused, killed, looked at."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx

from tests.faults.harness.waiting import until

ROOT = Path(__file__).resolve().parents[3]
READY_SECONDS = 30.0
END_SECONDS = 10.0
# A parent of the tests may carry settings of its own; the system under test gets none but ours.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR")


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
        inherited = {key: os.environ[key] for key in KEPT if key in os.environ}
        self._environment = {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> Self:
        with self.log.open("ab") as log:
            spawning = asyncio.ensure_future(asyncio.create_subprocess_exec(
                *self._command, cwd=ROOT, env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            ))  # fmt: skip
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

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Service(Server):
    """`serve` on a port of its own, on its embedded PostgreSQL or on a given one, with or without RabbitMQ."""

    def __init__(
        self, folder: Path, *, name: str = "service", database: str | None = None, broker: str | None = None,
        lease: float = 30.0, unconfirmed: float = 5.0, roles: str | None = None, program: str = "infra.main",
        extra: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            program: the module that is run; one of a known-bad build takes the same arguments.
        """
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
        command = [sys.executable, "-P", "-m", program, "serve", *where]
        command += ["--data", str(self.data), "--port", str(self.port)]
        if roles is not None:
            command += ["--roles", roles]
        super().__init__(name, command, folder, environment)

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
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "infra.main", *arguments, *where, cwd=ROOT, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            output, _ = await child.communicate()
        return child.returncode or 0, output.decode()


class Worker(Server):
    """`millrace worker` for an application of these tests.

    Args:
        seen: file for the events that its subscriptions get.
    """

    def __init__(
        self, folder: Path, url: str, runs: Path, *, name: str = "worker", concurrency: int = 20, grace: float = 2.0,
        app: str = "tests.faults.app:app", tenant: str = "default", queues: str | None = None, seen: Path | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        command = [sys.executable, "-m", "millrace.cli.main", "worker", app, "--url", url]
        command += ["--concurrency", str(concurrency), "--grace", str(grace)]
        if queues is not None:
            command += ["--queues", queues]
        environment = {"FAULTS_RUNS": str(runs), "FAULTS_TENANT": tenant, **(extra or {})}
        if seen is not None:
            environment["FAULTS_SEEN"] = str(seen)
        super().__init__(name, command, folder, environment)
