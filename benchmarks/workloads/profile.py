"""Where the time of a single job goes, from the client's clock and the times in the log: one machine, one clock."""

from __future__ import annotations

import statistics
import time
from typing import Any

import psycopg

EVENTS = """
SELECT subject, event_type, extract(epoch FROM recorded_at)::float8 FROM stored_events
 WHERE kind = 'job' AND subject = ANY (%s)
"""
ENQUEUED, STARTED, COMPLETED = "job.enqueued", "job.started", "job.completed"


def profile(database: str, jobs: list[list[Any]]) -> dict[str, float]:
    """Median milliseconds of each part of a job's way; the parts follow one another without a gap.

    An event's time is taken inside its transaction, so the commit itself belongs to the part that follows it.

    Args:
        jobs: id, enqueue call, handler's start and result seen (or None) of each, monotonic nanoseconds.
    """
    offset = time.time() - time.monotonic()
    with psycopg.connect(database, autocommit=True, application_name="bench-observer") as connection:
        rows = connection.execute(EVENTS, ([job[0] for job in jobs],)).fetchall()
    recorded: dict[str, dict[str, float]] = {}
    for job, event, at in rows:
        recorded.setdefault(job, {})[event] = at
    parts: dict[str, list[float]] = {}
    for job, called, started, seen in jobs:
        log = recorded.get(job, {})
        if seen is None or not {ENQUEUED, STARTED, COMPLETED} <= log.keys():
            continue
        places = {
            "profile_accepted": log[ENQUEUED],
            "profile_granted": log[STARTED],
            "profile_handler": started / 1e9 + offset,
            "profile_reported": log[COMPLETED],
            "profile_visible": seen / 1e9 + offset,
        }
        before = called / 1e9 + offset
        for part, at in places.items():
            parts.setdefault(part, []).append((at - before) * 1e3)
            before = at
    return {part: statistics.median(values) for part, values in parts.items()}
