"""Fires what is due by the virtual clock, and starts the jobs of runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from millrace.contracts import job as job_contract
from millrace.contracts.job_fields import SCHEDULED_FOR
from millrace.contracts.schedule_events import ScheduleFired
from millrace.contracts.wire import Context, Identifier
from millrace.testing import schedule_decisions
from millrace.testing.clock import VirtualClock
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Origin, Recorded, Stream
from millrace.testing.schedule_state import ScheduleState

ENDED = ("completed", "failed", "cancelled")


class Start(job_contract.Enqueue):
    """Enqueues a job under an id that a run has given it."""

    job_id: Identifier


class Scheduler:
    """Every schedule of the service in memory.

    Args:
        execute: carries out a command that no caller can give.
    """

    def __init__(self, log: MemoryLog, clock: VirtualClock, execute: Callable[[str, object, Context], Any]) -> None:
        self._log, self._clock, self._execute = log, clock, execute
        self._schedules: dict[Stream, ScheduleState] = {}
        self._started: dict[Stream, int] = {}

    def recorded(self, stream: Stream, state: ScheduleState) -> None:
        """Starts the jobs of runs that were recorded."""
        self._schedules[stream] = state
        history = self._log.streams[stream]
        fresh = history[self._started.get(stream, 0) :]
        self._started[stream] = len(history)
        for recorded in fresh:
            if isinstance(recorded.fact, ScheduleFired):
                self._start(recorded, recorded.fact)

    def fire_due(self) -> bool:
        """Fires what is due now, the longest due first; false where nothing was."""
        fired = False
        now = self._clock.now()
        for due, stream, state in sorted(self._ready(now), key=lambda ready: ready[:2]):
            facts = schedule_decisions.fire(state, self._unfinished(stream, state), now)
            if facts:
                company = self._log.streams[stream][0].origin.company
                tick = f"{stream.id}/{due.isoformat()}"
                self._log.append(stream, facts, Origin(company, tick, tick, None), now)
                self.recorded(stream, state)
                fired = True
        return fired

    def next_due(self, tenant: str) -> datetime | None:
        """When the tenant's next run is due; one that waits for a job's end is due with that."""
        times = (
            state.next_due_at
            for stream, state in self._schedules.items()
            if stream.tenant == tenant and state.next_due_at is not None and not self._waits(stream, state)
        )
        return min(times, default=None)

    def _ready(self, now: datetime) -> list[tuple[datetime, Stream, ScheduleState]]:
        return [
            (state.next_due_at, stream, state)
            for stream, state in self._schedules.items()
            if state.next_due_at is not None and state.next_due_at <= now and not self._waits(stream, state)
        ]

    def _waits(self, stream: Stream, state: ScheduleState) -> bool:
        return state.plan["overlap"] == "queue" and self._unfinished(stream, state)

    def _unfinished(self, stream: Stream, state: ScheduleState) -> bool:
        job = self._log.states.get(Stream("job", stream.tenant, state.last_job_id or ""))
        return isinstance(job, JobState) and job.status not in ENDED

    def _start(self, recorded: Recorded, run: ScheduleFired) -> None:
        origin, tenant = recorded.origin, recorded.stream.tenant
        event_id = self._log.cloud_event(recorded)["id"]
        context = Context(
            tenant,
            f"{event_id}/schedules",
            company=origin.company,
            correlation_id=origin.correlation_id,
            causation_id=event_id,
            traceparent=origin.traceparent,
        )
        if run.replaces is not None:
            reason = f"the next run of schedule {recorded.stream.id} replaces it"
            cancel = {"job_id": run.replaces, "reason": reason}
            self._execute("job.cancel", cancel, context._replace(message_id=f"{event_id}/replace"))
        data = {**run.job.get("data", {}), SCHEDULED_FOR: run.due_at.isoformat()}
        self._execute("job.start", {**run.job, "data": data, "job_id": run.job_id}, context)
