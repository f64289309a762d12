"""Changing many jobs at once: `app.jobs.cancel_many` and `app.jobs.retry_many`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.contracts.job import JobStatus
from millrace.contracts.job_bulk import Bulk

if TYPE_CHECKING:
    from millrace.client import Millrace


class ManyJobs:
    """The part of `JobQueue` that works by filter."""

    _app: Millrace

    async def cancel_many(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        status: JobStatus | str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        error: str | None = None,
        batch: str | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> Bulk:
        """Cancels the unfinished jobs that fit all filters, of which there must be one.

        The service does it in pages; jobs that are enqueued after the call began are left alone. Where the connection
        is lost on the way, some are cancelled: call again.

        Args:
            error: part of the text of the last error.
            batch: id of their batch.
            dry_run: only counts them.

        Raises:
            Invalid: no filter was given.
        """
        return await self._many(
            "job.cancel_many", name=name, queue=queue, status=status, created_after=created_after,
            created_before=created_before, error=error, batch=batch, reason=reason, dry_run=dry_run,
        )  # fmt: skip

    async def retry_many(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        status: JobStatus | str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        error: str | None = None,
        batch: str | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> Bulk:
        """Takes the dead letters that fit all filters out of the dead letters; else like `cancel_many`."""
        return await self._many(
            "job.retry_many", name=name, queue=queue, status=status, created_after=created_after,
            created_before=created_before, error=error, batch=batch, reason=reason, dry_run=dry_run,
        )  # fmt: skip

    async def _many(self, command: str, **wish: Any) -> Bulk:
        body = {key: value for key, value in wish.items() if value is not None}
        total = Bulk(matched=0)
        while True:
            done = Bulk.model_validate((await self._app.link.execute(command, body)).result)
            total = Bulk(
                matched=total.matched + done.matched,
                changed=total.changed + done.changed,
                refused=total.refused + done.refused,
            )
            if done.cursor is None:
                return total
            body["cursor"] = done.cursor
