"""`app.dead_letters`: jobs whose attempts are used up, by what they failed of, and what can be done about them."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from millrace.contracts.deadletter import DeadLetter, DeadLetterDetail, FailureGroup, Mended, Preview

if TYPE_CHECKING:
    from millrace.client import Millrace

Patch = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """Some dead letters, newest job first, and the cursor of the next page, if there is one."""

    jobs: list[DeadLetter]
    cursor: str | None


class DeadLetters:
    """Filters are `name`, `queue`, `fingerprint` (of a group), and the times `failed_after` and `failed_before`."""

    def __init__(self, app: Millrace) -> None:
        self._app = app

    async def page(self, *, min_position: str | None = None, **filters: Any) -> DeadLetterPage:
        """One page of dead letters; takes the filters, `limit`, and the `cursor` of the page before."""
        answer = await self._app.link.query("deadletter.list", _body(filters), min_position=min_position)
        return DeadLetterPage([DeadLetter.model_validate(job) for job in answer["jobs"]], answer.get("cursor"))

    async def list(self, **filters: Any) -> builtins.list[DeadLetter]:
        """The dead letters of one page; takes what `page` takes."""
        return (await self.page(**filters)).jobs

    async def iterate(self, **filters: Any) -> AsyncIterator[DeadLetter]:
        """All dead letters that the filters leave, page after page."""
        cursor: str | None = filters.pop("cursor", None)
        while True:
            page = await self.page(**filters, cursor=cursor)
            for job in page.jobs:
                yield job
            cursor = page.cursor
            if cursor is None:
                return

    async def groups(self, *, min_position: str | None = None, **filters: Any) -> builtins.list[FailureGroup]:
        """What the dead letters have in common, the most frequent failure first; takes the filters and `limit`."""
        answer = await self._app.link.query("deadletter.groups", _body(filters), min_position=min_position)
        return [FailureGroup.model_validate(group) for group in answer["groups"]]

    async def get(self, job_id: str) -> DeadLetterDetail:
        """One dead letter with the data that it was enqueued with, and who did what about it and why.

        Raises:
            NotFound: this tenant has no such job.
            Refused: it is not among the dead letters.
        """
        return DeadLetterDetail.model_validate(await self._app.link.query("deadletter.get", {"job_id": job_id}))

    async def preview(
        self, job_id: str | None = None, patch: Patch | None = None, *, min_position: str | None = None, **filters: Any
    ) -> Preview:
        """A dry run: how many jobs are meant, and for the newest of them the data that the next attempt would get.

        Raises:
            Invalid: the patch is none, or both a job and filters are given.
        """
        body = _body({"job_id": job_id, "patch": patch, **filters})
        return Preview.model_validate(await self._app.link.query("deadletter.preview", body, min_position=min_position))

    async def edit(self, job_id: str, patch: Patch, reason: str | None = None) -> None:
        """Changes the data of the job's next attempt by a JSON Patch (RFC 6902); the history keeps the original.

        Raises:
            Invalid: the patch is none.
            Refused: it does not fit the data, or the job is not among the dead letters.
        """
        await self._app.link.execute("job.edit", _body({"job_id": job_id, "patch": patch, "reason": reason}))

    async def retry(self, reason: str | None = None, *, dry_run: bool = False, **filters: Any) -> builtins.list[str]:
        """Gives all dead letters that the filters leave new attempts; returns the ids of those that got them.

        Args:
            dry_run: changes nothing, and returns the ids of those that would get them.

        Raises:
            Unavailable: not all of them; repeating goes on with the rest.
        """
        return await self._each("deadletter.retry", reason, dry_run, filters)

    async def undo(self, job_id: str, reason: str | None = None) -> Literal["retry", "edit"]:
        """Takes back the last retry while the job has not started, else the last edit; returns which it was.

        Raises:
            Refused: there is neither.
        """
        answer = await self._app.link.execute("job.undo", _body({"job_id": job_id, "reason": reason}))
        undone: Literal["retry", "edit"] = answer.result["undone"]
        return undone

    async def purge(self, reason: str | None = None, *, dry_run: bool = False, **filters: Any) -> builtins.list[str]:
        """Takes all dead letters that the filters leave out of what can be read; their history stays in the log.

        Args:
            dry_run: changes nothing.

        Returns:
            The ids of those that are gone, or in a dry run would be.

        Raises:
            Unavailable: not all of them; repeating goes on with the rest.
        """
        return await self._each("deadletter.purge", reason, dry_run, filters)

    async def _each(
        self, command: str, reason: str | None, dry_run: bool, filters: dict[str, Any]
    ) -> builtins.list[str]:
        done: builtins.list[str] = []
        body = _body({**filters, "reason": reason, "dry_run": dry_run or None})
        while True:
            answer = Mended.model_validate((await self._app.link.execute(command, body)).result)
            done += answer.job_ids
            if answer.cursor is None:
                return done
            body["cursor"] = answer.cursor


def _body(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
