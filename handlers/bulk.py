"""Changing many jobs at once: page after page of ordinary commands, whose ids derive from the call's and the job's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from domain.errors import Refusal
from domain.ports import JobFinder, StoreUnavailable
from handlers.job_repair import Purge
from handlers.pipeline import Pipeline
from handlers.routes import OperationRoute
from millrace.contracts import job_bulk as contract
from millrace.contracts.deadletter import PurgeDeadLetters, RetryDeadLetters
from millrace.contracts.job import Cancel, RetryDead
from millrace.contracts.wire import Accepted, Context

PAGE = 500
UNFINISHED = ("pending", "delayed", "processing")
Wish: TypeAlias = contract.CancelMany | contract.RetryMany | RetryDeadLetters | PurgeDeadLetters
# What happens to each job.
COMMANDS: Mapping[str, type[Cancel | RetryDead | Purge]] = {
    "job.cancel": Cancel,
    "job.retry": RetryDead,
    "job.purge": Purge,
}
TEMPORARY = frozenset({"unavailable", "conflict"})


class UnreadableBulkCursor(Refusal):
    """Raised when the cursor of a call is not one that an answer carried."""

    code = "invalid"

    def __init__(self) -> None:
        super().__init__("cursor: take it from the answer before, as it is")


class Bulk:
    """Carries out one kind of command on whatever fits a filter.

    Args:
        always: filters that hold whatever the caller asks for.
        named: whether the answer names the jobs.
    """

    def __init__(
        self,
        finder: JobFinder,
        pipeline: Pipeline,
        command: str,
        always: Mapping[str, object],
        named: bool = False,
    ) -> None:
        self._finder, self._pipeline, self._command, self._always = finder, pipeline, command, always
        self._named = named

    async def perform(self, wish: Wish, context: Context) -> dict[str, Any]:
        """Changes at most `limit` jobs; those that came after the first call of a row of calls are left alone.

        Raises:
            StoreUnavailable: the rest was not done; repeating the call is harmless.
        """
        after, until = places(wish.cursor) if wish.cursor else (0, await self._finder.newest())
        filters = {**wish.model_dump(include=FILTERS, exclude_none=True), **self._always}
        if wish.dry_run:
            return await self._counted(wish, context.tenant, filters, after, until)
        matched, changed = 0, list[str]()
        more = True
        while more and matched < wish.limit:
            size = min(PAGE, wish.limit - matched)
            found = await self._finder.find(context.tenant, filters, after, until, size + 1)
            more, page = len(found) > size, found[:size]
            if page:
                changed += await self._change([job.job_id for job in page], wish.reason, context)
                matched += len(page)
                after = page[-1].position
        cursor = f"{after}-{until}" if more else None
        told = {"matched": matched, "changed": len(changed), "refused": matched - len(changed), "cursor": cursor}
        return {**told, "job_ids": changed} if self._named else told

    async def _counted(
        self, wish: Wish, tenant: str, filters: Mapping[str, object], after: int, until: int
    ) -> dict[str, Any]:
        """What a dry run answers: how many fit, and where jobs are named the first of them."""
        told = {"matched": await self._finder.count(tenant, filters, after, until)}
        if not self._named:
            return told
        found = await self._finder.find(tenant, filters, after, until, wish.limit + 1)
        page = found[: wish.limit]
        cursor = f"{page[-1].position}-{until}" if len(found) > len(page) else None
        return {**told, "cursor": cursor, "job_ids": [job.job_id for job in page]}

    async def _change(self, job_ids: list[str], reason: str | None, context: Context) -> list[str]:
        """The jobs whose command was accepted."""
        model = COMMANDS[self._command]
        answers = await self._pipeline.execute(
            self._command,
            [
                (model(job_id=job_id, reason=reason), context._replace(message_id=f"{context.message_id}/{job_id}"))
                for job_id in job_ids
            ],
        )
        for answer in answers:
            if not isinstance(answer, Accepted) and answer.problem.code in TEMPORARY:
                raise StoreUnavailable(answer.problem.detail)
        return [job_id for job_id, answer in zip(job_ids, answers, strict=True) if isinstance(answer, Accepted)]


FILTERS = {
    "name", "queue", "status", "created_after", "created_before", "error", "batch", "fingerprint", "failed_after",
    "failed_before",
}  # fmt: skip


def operation_routes(finder: JobFinder, pipeline: Pipeline) -> dict[str, OperationRoute]:
    """Commands that lead to many others."""
    cancel = Bulk(finder, pipeline, "job.cancel", {"among": UNFINISHED})
    retry = Bulk(finder, pipeline, "job.retry", {"dead_lettered": True})
    dead = {"dead_lettered": True}
    return {
        "deadletter.retry": OperationRoute(
            RetryDeadLetters, Bulk(finder, pipeline, "job.retry", dead, named=True).perform
        ),
        "deadletter.purge": OperationRoute(
            PurgeDeadLetters, Bulk(finder, pipeline, "job.purge", dead, named=True).perform
        ),
        "job.cancel_many": OperationRoute(contract.CancelMany, cancel.perform),
        "job.retry_many": OperationRoute(contract.RetryMany, retry.perform),
    }


def places(cursor: str) -> tuple[int, int]:
    """Where a row of calls goes on, and where it ends."""
    after, _, until = cursor.partition("-")
    if not (cursor.isascii() and after.isdigit() and until.isdigit() and max(len(after), len(until)) <= 18):
        raise UnreadableBulkCursor
    return int(after), int(until)
