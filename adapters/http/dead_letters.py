"""Dead letters over REST: `/api/deadletters`, and the changes to one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.jobs import Reason, view
from adapters.http.models.job import ChangedJob, DeadLetterView, Undone
from adapters.http.operations import errors, takes
from adapters.http.paging import next_page
from adapters.http.respond import respond
from millrace.contracts.deadletter import (
    DeadLetterDetail,
    FailureGroups,
    ListDeadLetters,
    ListFailures,
    Mended,
    Preview,
    PreviewEdit,
    PurgeDeadLetters,
    RetryDeadLetters,
)
from millrace.contracts.json_patch import Patch
from millrace.contracts.wire import Message, Text


class Edit(Message):
    """A JSON Patch (RFC 6902) on a job's data, and why."""

    patch: Patch
    reason: Text | None = None


def dead_letter_routes(door: Door) -> APIRouter:
    """The routes of the dead letters. Retrying and removing one are the job's own routes."""
    router = APIRouter(tags=["dead letters"], responses=errors())

    @router.get("/api/deadletters", response_model=list[DeadLetterView], operation_id="list_dead_letters")
    async def listing(request: Request, filters: Annotated[ListDeadLetters, Query()]) -> Response:
        """Jobs that used up their attempts, newest first."""
        body = filters.model_dump(mode="json", exclude_none=True)
        page = (await door.query(request, "deadletter.list", body)).result
        jobs = [view(job) for job in page["jobs"]]
        return respond(call_of(request.scope), jobs, headers=next_page(request, "cursor", page.get("cursor")))

    @router.get("/api/deadletters/groups", response_model=FailureGroups, operation_id="group_dead_letters")
    async def groups(request: Request, filters: Annotated[ListFailures, Query()]) -> Response:
        """The failures that dead letters have in common, the most frequent first."""
        body = filters.model_dump(mode="json", exclude_none=True)
        return respond(call_of(request.scope), (await door.query(request, "deadletter.groups", body)).result)

    @router.post(
        "/api/deadletters/preview",
        response_model=Preview,
        operation_id="preview_dead_letters",
        openapi_extra=takes(PreviewEdit),
    )
    async def preview(request: Request) -> Response:
        """What an edit or a retry would do, without doing it."""
        call = call_of(request.scope)
        return respond(call, (await door.query(request, "deadletter.preview", object_of(call))).result)

    @router.post(
        "/api/deadletters/retry",
        response_model=Mended,
        operation_id="retry_dead_letters",
        openapi_extra=takes(RetryDeadLetters),
    )
    async def retry(request: Request) -> Response:
        """Gives all dead letters that the filter leaves new attempts, or counts them."""
        return await _mend(request, "deadletter.retry")

    @router.post(
        "/api/deadletters/purge",
        response_model=Mended,
        operation_id="purge_dead_letters",
        openapi_extra=takes(PurgeDeadLetters),
    )
    async def purge(request: Request) -> Response:
        """Takes all dead letters that the filter leaves out of the read models, or counts them."""
        return await _mend(request, "deadletter.purge")

    async def _mend(request: Request, command: str) -> Response:
        call = call_of(request.scope)
        return respond(call, (await door.execute(request, command, object_of(call))).result)

    @router.get("/api/deadletters/{id}", response_model=DeadLetterDetail, operation_id="get_dead_letter")
    async def get(request: Request, id: str) -> Response:
        """One dead letter with its original data and everything that was done about it."""
        answer = await door.query(request, "deadletter.get", {"job_id": id})
        return respond(call_of(request.scope), answer.result)

    @router.patch(
        "/api/deadletters/{id}", response_model=ChangedJob, operation_id="edit_dead_letter", openapi_extra=takes(Edit)
    )
    async def edit(request: Request, id: str) -> Response:
        """Changes the data of a dead letter for its next attempt."""
        call = call_of(request.scope)
        done = await door.execute(request, "job.edit", {**object_of(call), "job_id": id})
        return respond(call, done.result, position=done.position)

    @router.post(
        "/api/jobs/{id}/undo",
        response_model=Undone,
        operation_id="undo_job",
        openapi_extra=takes(Reason, required=False),
    )
    async def undo(request: Request, id: str) -> Response:
        """Takes back the last retry of a job that has not started, else the last edit of a dead letter."""
        call = call_of(request.scope)
        done = await door.execute(request, "job.undo", {**object_of(call, optional=True), "job_id": id})
        return respond(call, done.result, position=done.position)

    return router
