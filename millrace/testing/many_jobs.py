"""Changing many jobs at once, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

from millrace.contracts import job_bulk as contract
from millrace.contracts.deadletter import PurgeDeadLetters, RetryDeadLetters
from millrace.contracts.job import words_of
from millrace.contracts.wire import Accepted, Context, Reply
from millrace.testing.dead_letters import dead_letters
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog
from millrace.testing.refusals import Refusal

Wish: TypeAlias = contract.CancelMany | contract.RetryMany | RetryDeadLetters | PurgeDeadLetters
Execute = Callable[[str, object, Context], Reply]
Shown: TypeAlias = Callable[[str, JobState], str]


def change_many(log: MemoryLog, execute: Execute, status: Shown, wish: Wish, context: Context) -> dict[str, Any]:
    """The answer to a command that changes many jobs.

    Args:
        status: what a tenant's job is shown with.

    Raises:
        Refusal: the cursor is not one that an answer carried.
    """
    after, until = places(wish.cursor) if wish.cursor else (0, log.head)
    found = [job for job in _fitting(log, status, wish, context.tenant) if after < job.first_position <= until]
    page = found[: wish.limit]
    cursor = f"{page[-1].first_position}-{until}" if len(found) > len(page) else None
    named = isinstance(wish, RetryDeadLetters | PurgeDeadLetters)
    if wish.dry_run:
        more = {"cursor": cursor, "job_ids": [job.id for job in page]} if named else {}
        return {"matched": len(found), **more}
    reason = {} if wish.reason is None else {"reason": wish.reason}
    changed = []
    for job in page:
        own = context._replace(message_id=f"{context.message_id}/{job.id}")
        if isinstance(execute(_command(wish), {"job_id": job.id, **reason}, own), Accepted):
            changed.append(job.id)
    told = {"matched": len(page), "changed": len(changed), "refused": len(page) - len(changed), "cursor": cursor}
    return {**told, "job_ids": changed} if named else told


def _command(wish: Wish) -> str:
    match wish:
        case contract.CancelMany():
            return "job.cancel"
        case contract.RetryMany() | RetryDeadLetters():
            return "job.retry"
        case PurgeDeadLetters():
            return "job.remove"
        case _:
            assert_never(wish)


def _fitting(log: MemoryLog, status: Shown, wish: Wish, tenant: str) -> list[JobState]:
    if isinstance(wish, RetryDeadLetters | PurgeDeadLetters):
        found = dead_letters(log, tenant, wish)
    else:
        cancels = isinstance(wish, contract.CancelMany)
        jobs = [
            job
            for stream, job in log.states.items()
            if stream.tenant == tenant and isinstance(job, JobState) and not job.removed
        ]
        found = [
            job
            for job in jobs
            if (not job.ended if cancels else job.dead_lettered)
            and wish.status in (None, status(tenant, job))
            and _fits(job, wish)
        ]
    return sorted(found, key=lambda job: job.first_position)


def _fits(job: JobState, wish: contract.CancelMany | contract.RetryMany) -> bool:
    wanted = set(words_of(wish.error or ""))
    return (
        wish.name in (None, job.name)
        and wish.queue in (None, job.queue)
        and wish.batch in (None, job.batch)
        and (wish.created_after is None or job.created_at >= wish.created_after)
        and (wish.created_before is None or job.created_at < wish.created_before)
        and (not wanted or any(wanted <= set(words_of(f"{each['type']} {each['message']}")) for each in job.errors))
    )


def places(cursor: str) -> tuple[int, int]:
    """Where a row of calls goes on, and where it ends. Raises `Refusal` for a cursor of nobody."""
    after, _, until = cursor.partition("-")
    if not (cursor.isascii() and after.isdigit() and until.isdigit()):
        raise Refusal("invalid", "cursor: take it from the answer before, as it is")
    return int(after), int(until)
