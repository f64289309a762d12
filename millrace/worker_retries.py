"""How long a failed attempt waits for the next one, where the handler's own code decides."""

from __future__ import annotations

from millrace.errors import LONGEST_WAIT, RetryAfter
from millrace.job_context import JobContext
from millrace.logs import Log
from millrace.registry import JobDefinition

log = Log("millrace.worker")


def chosen_wait(definition: JobDefinition | None, job: JobContext, error: BaseException) -> float | bool | None:
    """Seconds that the handler's error or its job's `retry` function asks for, False for no other attempt.

    None leaves it to the policy.
    """
    if isinstance(error, RetryAfter):
        return error.seconds
    if definition is None or definition.backoff is None or not isinstance(error, Exception):
        return None
    try:
        seconds = definition.backoff(job, error)
        if seconds is None or seconds is False:
            return seconds
        if seconds is True or not 0 <= seconds <= LONGEST_WAIT:
            raise ValueError(f"it gave {seconds!r} instead of 0 to {LONGEST_WAIT} seconds")
        return float(seconds)
    except Exception as failure:
        log.error("a retry function failed; the policy decides", job=job.name, job_id=job.id, error=repr(failure))
        return None
