"""What a job carries besides its arguments, under `$celery` in its data, and what a worker makes of it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from millrace.contracts.job import Parent
from millrace.errors import NonRetryable, NotFound
from millrace.job_context import JobContext
from millrace.job_middleware import Around, CallNext

if TYPE_CHECKING:
    from millrace.client import Millrace

KEY = "$celery"


def marked(data: dict[str, Any], fill: str | None, many: bool, expires: float | datetime | None) -> dict[str, Any]:
    """The data with its mark, where it needs one.

    Args:
        fill: the parameter that gets the result of the job before, or the list of them with `many`.
        expires: seconds from the enqueuing, or the time, after which the task is not started any more.
    """
    mark: dict[str, Any] = {} if fill is None else {"fill": fill, "many": many}
    if expires is not None:
        mark["expires"] = expires.isoformat() if isinstance(expires, datetime) else expires
    return {**data, KEY: mark} if mark else data


def arriving(app: Millrace) -> Around:
    """Middleware that fills in the results of the jobs before, and revokes what has expired."""

    async def around(job: JobContext, call_next: CallNext) -> Any:
        mark = job.data.get(KEY)
        if mark:
            job.data = {name: value for name, value in job.data.items() if name != KEY}
            if "expires" in mark:
                await _refuse_expired(app, job, mark["expires"])
            if "fill" in mark:
                results = await asyncio.gather(*(_result(app, parent) for parent in job.parents))
                job.data[mark["fill"]] = results if mark["many"] else results[0]
        return await call_next()

    return around


async def _result(app: Millrace, parent: Parent) -> Any:
    if not parent.left_out:
        return parent.result
    try:
        return await app.jobs.result(parent.job_id)
    except NotFound as error:
        raise NonRetryable(f"the result of job {parent.job_id} is not kept any more") from error


async def _refuse_expired(app: Millrace, job: JobContext, expires: float | str) -> None:
    """Cancels a job that was started too late, by the service's clock."""
    found = await app.jobs.get(job.id)
    if found is None or found.started_at is None:
        return
    if isinstance(expires, str):
        until = datetime.fromisoformat(expires)
    else:
        until = found.created_at + timedelta(seconds=expires)
    if found.started_at > until:
        await app.jobs.cancel(job.id, "expired")
        raise NonRetryable("expired")
