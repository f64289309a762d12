"""One run: its seed, folder, processes, client history, and the verdict at the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from millrace import Millrace
from millrace.errors import MillraceError
from tests.faults.harness.checkers import everything_wrong
from tests.faults.harness.history import History
from tests.faults.harness.processes import Server
from tests.faults.harness.waiting import until
from tests.faults.seeds import chosen

S = TypeVar("S", bound=Server)
PAGE = 1_000
QUIET_SECONDS = 45.0
DUPLICATES = 0.05
SENDERS = 40
AHEAD = 400


class Bench:
    """Holds a run together. `random` is seeded: the same seed gives the same workload and the same faults.

    Attributes:
        runs: the file to which handlers add a line for each attempt.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.random = random.Random(seed)
        self.history = History(folder / "history.jsonl")
        self.runs = folder / "runs"
        self.servers: list[Server] = []
        self.sent = 0

    async def start(self, server: S) -> S:
        """Starts a server that is killed when the run is over."""
        self.servers.append(server)
        await server.start()
        return server

    async def kill(self, server: Server) -> None:
        self.history.fault("kill -9", server=server.name, accepted=len(self.history.accepted), ran=self.ran())
        await server.kill()

    def ran(self) -> int:
        """How many attempts handlers have begun so far."""
        return self.runs.read_bytes().count(b"\n") if self.runs.exists() else 0

    def run_lines(self) -> list[tuple[str, int]]:
        lines = self.runs.read_text().splitlines() if self.runs.exists() else []
        return [(job, int(attempt)) for job, attempt in (line.split() for line in lines)]

    async def has_run(self, count: int, seconds: float = 40.0) -> None:
        await until(lambda: self.ran() >= count, seconds, f"{count} attempts have begun ({self.ran()} had at first)")

    async def enqueue(
        self, client: Millrace, count: int, *, name: str = "step", longest: float = 0.05, ahead: int = AHEAD,
        **options: Any,
    ) -> None:  # fmt: skip
        """Enqueues jobs as a client should: with ids of its own, repeating each until it is answered.

        It keeps a few hundred ahead of the workers, so that every fault hits both what is being sent and what waits.
        Some commands are sent twice at the same time.
        """
        slots = asyncio.Semaphore(SENDERS)

        async def send(command: str, data: dict[str, Any]) -> None:
            async with slots:
                await self._insist(client, command, name, data, options)

        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                await until(lambda: self.sent - self.ran() < ahead, QUIET_SECONDS, "the workers have caught up")
                self.sent += 1
                command = f"{self.seed}-{self.sent}"
                data = {"seconds": self.random.uniform(0, longest)} if longest else {}
                for _ in range(2 if self.random.random() < DUPLICATES else 1):
                    group.create_task(send(command, data))

    async def _insist(
        self, client: Millrace, command: str, name: str, data: dict[str, Any], options: dict[str, Any]
    ) -> None:
        while True:
            self.history.sent(command)
            try:
                job = await client.jobs.enqueue(name, data, message_id=command, **options)
            except MillraceError as error:
                self.history.failed(command, error)
                await asyncio.sleep(0.05)
            else:
                self.history.answered(command, job.id)
                return

    async def all_ended(self, client: Millrace, seconds: float = QUIET_SECONDS, *, left: int | None = None) -> None:
        """Returns when no job waits or runs any more.

        Args:
            left: how many jobs must have ended and be there at least, where some are removed; else all that were sent.
        """
        wanted = self.sent if left is None else left

        async def quiet() -> bool:
            try:
                stats = await client.query("job.stats", {})
            except MillraceError:
                return False
            await asyncio.sleep(0.1)
            ended = int(stats["completed"]) + int(stats["failed"]) + int(stats["cancelled"])
            return ended >= wanted and not (stats["pending"] or stats["processing"] or stats["delayed"])

        await until(quiet, seconds, "every job has ended")

    async def log(self, client: Millrace) -> list[dict[str, Any]]:
        """The whole log, read as any client reads it."""
        events: list[dict[str, Any]] = []
        after = "beginning"
        while True:
            page = await client.query("log.read", {"after": after, "limit": PAGE})
            events += page["events"]
            after = page["position"]
            if page["caught_up"] and not page["events"]:
                return events

    async def verdict(self, client: Millrace) -> list[dict[str, Any]]:
        """Returns the log, after all checkers are content with it.

        Raises:
            AssertionError: they are not; says which, and where everything lies.
        """
        log = await self.log(client)
        findings = everything_wrong(self.history.accepted, log, self.run_lines())
        assert not findings, f"seed {self.seed}, files in {self.folder}: {findings}"
        commands = {each["command"] for each in self.history.accepted}
        assert len(commands) == self.sent, f"only {len(commands)} of {self.sent} commands were ever accepted"
        return log

    async def close(self) -> None:
        # The last one first: workers stand on services.
        for server in reversed(self.servers):
            await server.close()
        self.history.close()


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    """A run with the seed in `FAULTS_SEED`, or a new one; it is printed, which pytest shows where the run fails."""
    seed = chosen()
    print(f"FAULTS_SEED={seed}")
    run = Bench(folder, seed)
    try:
        yield run
    finally:
        await run.close()
