"""Says for superseded attempts what a zombie would say, the moment they are superseded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from millrace import Millrace
from millrace.errors import MillraceError, Refused
from tests.faults.harness.history import History

SUPERSEDED = frozenset({"job.attempt_lost", "job.attempt_returned"})


@dataclass
class Forger:
    """Reports the completion of attempts that are over.

    Attributes:
        tried: how many such reports were answered.
        accepted: those that were not refused, which must be none.
    """

    history: History
    tried: int = 0
    accepted: list[str] = field(default_factory=list)
    _queue: asyncio.Queue[tuple[Millrace, str, int]] = field(default_factory=asyncio.Queue)

    def saw(self, client: Millrace, eventtype: str, job_id: str, attempt: int) -> None:
        if eventtype in SUPERSEDED:
            self._queue.put_nowait((client, job_id, attempt))

    @property
    def idle(self) -> bool:
        return self._queue.empty()

    async def run(self) -> None:
        while True:
            client, job_id, attempt = await self._queue.get()
            late = {"job_id": job_id, "attempt": attempt, "outcome": "completed", "result": {"attempt": attempt}}
            try:
                await client.execute("job.report", late)
            except Refused:
                self.tried += 1
            except MillraceError:
                self._queue.put_nowait((client, job_id, attempt))
                await asyncio.sleep(0.2)
            else:
                self.tried += 1
                self.accepted.append(f"a late report of attempt {attempt} of {job_id} was accepted")
                self.history.fault("late report accepted", job_id=job_id, attempt=attempt)
