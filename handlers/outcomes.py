"""How attempts ended, told in this process right after the commit, to whoever counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from domain import job as domain
from domain import job_events
from domain.aggregate import Aggregate, Event

Outcome = Literal["completed", "failed", "lost", "returned"]
OUTCOMES: dict[str, Outcome] = {
    job_events.Completed.TOPIC: "completed",
    job_events.AttemptFailed.TOPIC: "failed",
    job_events.AttemptLost.TOPIC: "lost",
    job_events.AttemptReturned.TOPIC: "returned",
}


class Ended(NamedTuple):
    """One attempt.

    Attributes:
        waited: seconds from when the job could run until it started.
        ran: seconds from its start to its end, as the service saw them.
        started_at: by the clock of the database.
    """

    tenant: str
    queue: str
    name: str
    outcome: Outcome
    waited: float
    ran: float
    started_at: datetime


def telling(tell: Callable[[Ended], None]) -> Callable[[str, Aggregate, Sequence[Event]], None]:
    """Takes what was stored of a job, and calls `tell` where an attempt has ended with it."""

    def watch(tenant: str, job: Aggregate, events: Sequence[Event]) -> None:
        event = events[0]
        outcome = OUTCOMES.get(event.TOPIC)
        if outcome is None or not isinstance(job, domain.Job) or job.started_at is None:
            return
        since = job.ready_at or job.started_at
        waited = (job.started_at - since).total_seconds()
        ran = (event.timestamp - job.started_at).total_seconds()
        tell(Ended(tenant, job.queue, job.name, outcome, waited, ran, job.started_at))

    return watch
