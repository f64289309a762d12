"""One peer, empty, with its service and its workers as processes of their own, ended when the block ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import stamps
from benchmarks.options import OUT, ROOT
from benchmarks.peers.steps import READY, RESULT
from benchmarks.registry import Entry
from benchmarks.servers import Servers
from millrace.cli.processes import end_with_parent

STEP_SECONDS = 600.0
READY_SECONDS = 60.0
END_SECONDS = 5.0


class StepFailed(Exception):
    """Raised when a process of a peer ended without a result or did not end; its log says why."""


class NotEnded(Exception):
    """Raised when a process is there although it was killed: the kernel has not let go of it.

    Attributes:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid} is there although it was killed; ps -o wchan -p {pid} says what it waits for")
        self.pid = pid


@dataclass(slots=True)
class Contender:
    """A peer and the interpreter that it runs in."""

    entry: Entry
    python: Path


@dataclass(slots=True)
class Arena:
    """Runs a peer's steps. Entering empties what it keeps and starts its services.

    Attributes:
        keep: leaves the peer's database as it is; the broker is emptied all the same.
        variables: for the environment of every step.
    """

    contender: Contender
    servers: Servers
    services: int = 1
    keep: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    serving: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    _variables: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> str:
        return self.servers.database(self.contender.entry.name)

    def __enter__(self) -> Self:
        shared = Path("/dev/shm") if Path("/dev/shm").is_dir() else OUT
        path = str(shared / f"bench-{self.servers.run}.stamps")
        stamps.create(path)
        self.ports = [free_port() for _ in range(self.services)]
        self._variables = {
            "BENCH_DATABASE_URL": self.database,
            "BENCH_RABBITMQ_URL": self.servers.amqp,
            "BENCH_REDIS_URL": self.servers.redis,
            "BENCH_PORT": str(self.ports[0]),
            stamps.VARIABLE: path,
            "PYTHONWARNINGS": "ignore",
            **self.contender.entry.variables,
            **self.variables,
        }
        try:
            self.servers.empty_broker()
            if not self.keep:
                self.step("reset")
            if self.contender.entry.service:
                for port in self.ports:
                    self.serving.append(self.start("service", BENCH_PORT=str(port)))
                    self._until_ready(port)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end()

    def step(self, *arguments: object) -> dict[str, Any]:
        """Runs one step to its end; returns its result."""
        return self.finish(self.start(*arguments))

    def observer(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Starts a step and returns once it watches."""
        process = self.start(*arguments)
        assert process.stdout is not None
        if process.stdout.readline().decode().strip() != READY:
            raise StepFailed(self._said(arguments))
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """Starts a worker and returns at once."""
        process = self.start("worker")
        self.workers.append(process)
        return process

    def start(self, *arguments: object, **variables: str) -> subprocess.Popen[bytes]:
        entry = self.contender.entry
        long = arguments[0] in ("worker", "service")
        with self._log().open("ab") as log:
            process = subprocess.Popen(
                [self.contender.python, "-m", f"benchmarks.peers.{entry.module}", *map(str, arguments)],
                stdout=log if long else subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self._variables, **variables},
                start_new_session=True,
                preexec_fn=end_with_parent(),
            )
        self.running.append(process)
        return process

    def finish(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Waits for a step's result.

        Raises:
            StepFailed: there is none.
        """
        try:
            output, _ = process.communicate(timeout=STEP_SECONDS)
        except subprocess.TimeoutExpired:
            end(process)
            raise StepFailed(self._said(process.args)) from None
        for line in output.decode(errors="replace").splitlines():
            if line.startswith(RESULT):
                result: dict[str, Any] = json.loads(line.removeprefix(RESULT))
                return result
        raise StepFailed(self._said(process.args))

    def stop_workers(self) -> None:
        for process in self.workers:
            end(process)
        self.workers.clear()

    def _until_ready(self, port: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise StepFailed(f"the service was not ready within {READY_SECONDS:g} s: see {self._log()}")

    def _said(self, arguments: object) -> str:
        return f"no result from {arguments}: see {self._log()}"

    def _log(self) -> Path:
        folder = OUT / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.contender.entry.name}.log"

    def _end(self) -> None:
        for process in reversed(self.running):
            end(process)
        Path(self._variables[stamps.VARIABLE]).unlink(missing_ok=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process of ours and its session: asked first, killed if it has not within a few seconds.

    Raises:
        NotEnded: it is there even so.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            # It leads no group, or it has ended; then this does nothing.
            process.send_signal(number)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        raise NotEnded(process.pid)
