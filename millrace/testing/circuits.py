"""Circuit breakers in memory: attempts are counted as they end, and circuits judged at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from millrace.contracts.wire import Context
from millrace.testing.circuit_state import CircuitState
from millrace.testing.clock import VirtualClock
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Stream

OUTCOMES = {"job.completed": True, "job.attempt_failed": False, "job.attempt_lost": False}


class Attempt(NamedTuple):
    started_at: datetime
    ended_at: datetime
    completed: bool


class Circuits:
    """Which names may start jobs.

    Args:
        execute: carries out a command.
    """

    def __init__(self, log: MemoryLog, clock: VirtualClock, execute: Callable[[str, object, Context], object]) -> None:
        self._log, self._clock, self._execute = log, clock, execute
        self._attempts: dict[tuple[str, str], deque[Attempt]] = {}
        self._counted: dict[Stream, int] = {}

    def of(self, tenant: str, name: str) -> CircuitState | None:
        """The circuit of a name."""
        found = self._log.states.get(Stream("circuit", tenant, name))
        return found if isinstance(found, CircuitState) else None

    def all(self, tenant: str) -> list[CircuitState]:
        """The tenant's circuits by name."""
        found = [state for stream, state in self._log.states.items() if stream.tenant == tenant]
        return sorted((each for each in found if isinstance(each, CircuitState)), key=lambda each: each.name)

    def holds(self, tenant: str, name: str) -> bool:
        """Whether no job of the name may start."""
        circuit = self.of(tenant, name)
        return circuit is not None and (
            circuit.state == "open" or (circuit.state == "half_open" and circuit.trials <= 0)
        )

    def started(self, tenant: str, name: str) -> None:
        """A job of the name has started."""
        if (circuit := self.of(tenant, name)) is not None:
            circuit.trials -= 1

    def recorded(self, stream: Stream, job: JobState) -> None:
        """Counts the attempt that has ended with the newest events, if one has."""
        if self.of(stream.tenant, job.name) is None:
            return
        for entry in self._log.streams[stream][-3:]:
            if entry.event_type in OUTCOMES and entry.version > self._counted.get(stream, 0):
                self._counted[stream] = entry.version
                attempts = self._attempts.setdefault((stream.tenant, job.name), deque(maxlen=100_000))
                attempts.append(Attempt(job.started_at or entry.at, entry.at, OUTCOMES[entry.event_type]))

    def look(self) -> None:
        """Has circuits judged, and those whose pause is over let the first through."""
        now = self._clock.now()
        for tenant, name in list(self._attempts):
            circuit = self.of(tenant, name)
            if circuit is None or circuit.state == "open":
                continue
            since = circuit.since
            counts = [
                each.completed
                for each in self._attempts[tenant, name]
                if each.ended_at > now - timedelta(seconds=circuit.policy.window)
                and (since is None or (each.started_at if circuit.state == "half_open" else each.ended_at) >= since)
            ]
            body = {"name": name, "failed": counts.count(False), "completed": counts.count(True)}
            self._tell("circuit.judge", tenant, body)
        for stream, state in list(self._log.states.items()):
            if isinstance(state, CircuitState) and state.until is not None and state.until <= now:
                self._tell("circuit.half_open", stream.tenant, {"name": state.name})

    def next_due(self, tenant: str) -> datetime | None:
        """When the next open circuit lets jobs through."""
        return min((each.until for each in self.all(tenant) if each.until is not None), default=None)

    def _tell(self, command: str, tenant: str, body: dict[str, object]) -> None:
        self._execute(command, body, Context(tenant, f"{command}:{self._log.head}"))
