"""Changing many jobs at once, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from millrace.contracts import job_bulk as contract
from millrace.contracts.wire import Accepted, Context, Reply
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog
from millrace.testing.refusals import Refusal

Execute = Callable[[str, object, Context], Reply]


def change_many(
    log: MemoryLog, execute: Execute, wish: contract.CancelMany | contract.RetryMany, context: Context
) -> dict[str, Any]:
    """The answer to `job.cancel_many` or `job.retry_many`.

    Raises:
        Refusal: the cursor is not one that an answer carried.
    """
    after, until = _places(wish.cursor) if wish.cursor else (0, log.head)
    found = [job for job in _fitting(log, wish, context.tenant) if after < job.first_position <= until]
    if wish.dry_run:
        return {"matched": len(found)}
    page = found[: wish.limit]
    command = "job.cancel" if isinstance(wish, contract.CancelMany) else "job.retry"
    reason = {} if wish.reason is None else {"reason": wish.reason}
    answers = [
        execute(command, {"job_id": job.id, **reason}, context._replace(message_id=f"{context.message_id}/{job.id}"))
        for job in page
    ]
    changed = sum(isinstance(answer, Accepted) for answer in answers)
    cursor = f"{page[-1].first_position}-{until}" if len(found) > len(page) else None
    return {"matched": len(page), "changed": changed, "refused": len(page) - changed, "cursor": cursor}


def _fitting(log: MemoryLog, wish: contract.CancelMany | contract.RetryMany, tenant: str) -> list[JobState]:
    cancels = isinstance(wish, contract.CancelMany)
    jobs = [
        job
        for stream, job in log.states.items()
        if stream.tenant == tenant and isinstance(job, JobState) and not job.removed
    ]
    found = [job for job in jobs if (not job.ended if cancels else job.dead_lettered) and _fits(job, wish)]
    return sorted(found, key=lambda job: job.first_position)


def _fits(job: JobState, wish: contract.CancelMany | contract.RetryMany) -> bool:
    error = job.view()["error"]
    return (
        wish.name in (None, job.name)
        and wish.queue in (None, job.queue)
        and wish.status in (None, job.status)
        and wish.batch in (None, job.batch)
        and (wish.created_after is None or job.created_at >= wish.created_after)
        and (wish.created_before is None or job.created_at < wish.created_before)
        and (wish.error is None or (error is not None and wish.error in error))
    )


def _places(cursor: str) -> tuple[int, int]:
    after, _, until = cursor.partition("-")
    if not (cursor.isascii() and after.isdigit() and until.isdigit()):
        raise Refusal("invalid", "cursor: take it from the answer before, as it is")
    return int(after), int(until)
