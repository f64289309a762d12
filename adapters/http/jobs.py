"""Jobs over REST, as the applications know them: `/api/jobs` and `/api/deadletters`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.models.job import ChangedJob, JobCreated, JobView
from adapters.http.models.log import AggregateState
from adapters.http.models.success import Success
from adapters.http.operations import errors, takes
from adapters.http.paging import next_page
from adapters.http.respond import respond
from adapters.http.results import RESULT, whole_result
from millrace.contracts.job import Enqueue, JobChange, JobStats, ListJobs, Stats
from millrace.contracts.job_bulk import Bulk, CancelMany, RetryMany
from millrace.contracts.job_graph import JobGraph
from millrace.contracts.job_logs import JobLog
from millrace.contracts.why import Why
from millrace.contracts.wire import Message, Text


class Reason(Message):
    """Why somebody intervenes, for the record."""

    reason: Text | None = None


class Deletion(Message):
    """Cancels a job; with `remove` it is taken out of the read models instead."""

    remove: bool = False
    # An address carries less than a body: the server reads 32 KiB of request line and headers.
    reason: str | None = Field(None, max_length=500)


class StateAt(Message):
    """A version, or a time in ISO 8601."""

    at: str | None = Field(None, max_length=64)


class OfAttempt(Message):
    """One attempt of a job."""

    attempt: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = None


class GraphSize(Message):
    """How many jobs of a graph are wanted at most."""

    limit: Annotated[int, Field(ge=1, le=2_000)] = 500


def job_routes(door: Door) -> APIRouter:
    """The routes of the jobs."""
    router = APIRouter(tags=["jobs"], responses=errors())

    @router.post(
        "/api/jobs",
        status_code=201,
        response_model=JobCreated,
        operation_id="enqueue_job",
        openapi_extra=takes(Enqueue),
    )
    async def enqueue(request: Request) -> Response:
        """Puts a job into a queue. The header `X-Position` tells where the log records it.

        Status 200 and `existing` tell that another job has the unique key and is the answer.
        """
        call = call_of(request.scope)
        done = await door.execute(request, "job.enqueue", object_of(call))
        told = {key: done.result[key] for key in ("job_id", "existing") if key in done.result}
        return respond(call, told, 200 if "existing" in told else 201, position=done.position)

    @router.get("/api/jobs", response_model=list[JobView], operation_id="list_jobs")
    async def listing(request: Request, filters: Annotated[ListJobs, Query()]) -> Response:
        """Jobs, newest first. `status=active` means `processing`."""
        page = (await door.query(request, "job.list", filters.model_dump(mode="json", exclude_none=True))).result
        jobs = [view(job) for job in page["jobs"]]
        return respond(call_of(request.scope), jobs, headers=next_page(request, "cursor", page.get("cursor")))

    @router.get("/api/jobs/stats", response_model=Stats, operation_id="job_stats")
    async def stats(request: Request, wish: Annotated[JobStats, Query()]) -> Response:
        """Counts by status, and the workers at work; with `details` also queues, ages, waits and run times."""
        body = wish.model_dump(mode="json", exclude_none=True)
        return respond(call_of(request.scope), (await door.query(request, "job.stats", body)).result)

    @router.post("/api/jobs/cancel", response_model=Bulk, operation_id="cancel_jobs", openapi_extra=takes(CancelMany))
    async def cancel_many(request: Request) -> Response:
        """Cancels the unfinished jobs that fit all filters, or counts them."""
        return await _many(request, "job.cancel_many")

    @router.post("/api/jobs/retry", response_model=Bulk, operation_id="retry_jobs", openapi_extra=takes(RetryMany))
    async def retry_many(request: Request) -> Response:
        """Takes the dead letters that fit all filters out of the dead letters, or counts them."""
        return await _many(request, "job.retry_many")

    @router.get("/api/jobs/{id}/graph", response_model=JobGraph, operation_id="job_graph")
    async def graph(request: Request, id: str, size: Annotated[GraphSize, Query()]) -> Response:
        """The jobs that this one comes after, and those that come after it, directly or not."""
        answer = await door.query(request, "job.graph", {"job_id": id, "limit": size.limit})
        return respond(call_of(request.scope), answer.result)

    @router.get("/api/jobs/{id}", response_model=JobView | AggregateState, operation_id="get_job")
    async def get(request: Request, id: str, wish: Annotated[StateAt, Query()]) -> Response:
        """One job; with `at` its state as of a version or a time."""
        call = call_of(request.scope)
        if wish.at is not None:
            state = await door.query(request, "log.state", {"kind": "job", "id": id, "at": wish.at})
            return respond(call, state.result)
        answer = await door.query(request, "job.get", {"job_id": id})
        return respond(call, view(answer.result["job"]))

    @router.get("/api/jobs/{id}/why", response_model=Why, operation_id="why_job")
    async def why(request: Request, id: str) -> Response:
        """Why a job has not started: one reason, as a code and in words."""
        return respond(call_of(request.scope), (await door.query(request, "job.why", {"job_id": id})).result)

    @router.get("/api/jobs/{id}/logs", response_model=JobLog, operation_id="get_job_logs")
    async def logs(request: Request, id: str, wish: Annotated[OfAttempt, Query()]) -> Response:
        """What an attempt has logged, by default the newest one that has; kept for seven days."""
        body = {"job_id": id, **wish.model_dump(exclude_none=True)}
        return respond(call_of(request.scope), (await door.query(request, "job.logs", body)).result)

    @router.get(
        "/api/jobs/{id}/result", response_class=Response, responses=RESULT, operation_id="get_job_result"
    )  # fmt: skip
    async def result(request: Request, id: str) -> Response:
        """The result of a completed job as it is, without an envelope, however large."""
        return await whole_result(door, request, id)

    @router.patch(
        "/api/jobs/{id}", response_model=ChangedJob, operation_id="change_job", openapi_extra=takes(JobChange)
    )
    async def change(request: Request, id: str) -> Response:
        """Gives a waiting job another priority, time, queue or arguments."""
        call = call_of(request.scope)
        done = await door.execute(request, "job.change", {**object_of(call), "job_id": id})
        return respond(call, done.result, position=done.position)

    @router.delete("/api/jobs/{id}", response_model=Success, operation_id="delete_job")
    async def delete(request: Request, id: str, wish: Annotated[Deletion, Query()]) -> Response:
        """Cancels a job, or removes a waiting or finished one."""
        body: dict[str, object] = {"job_id": id}
        if wish.reason is not None:
            body["reason"] = wish.reason
        done = await door.execute(request, "job.remove" if wish.remove else "job.cancel", body)
        return respond(call_of(request.scope), {"success": True}, position=done.position)

    @router.post(
        "/api/jobs/{id}/retry",
        response_model=ChangedJob,
        operation_id="retry_job",
        openapi_extra=takes(Reason, required=False),
    )
    async def retry(request: Request, id: str) -> Response:
        """Takes a job out of the dead letters and runs it again."""
        call = call_of(request.scope)
        done = await door.execute(request, "job.retry", {**object_of(call, optional=True), "job_id": id})
        return respond(call, done.result, position=done.position)

    async def _many(request: Request, command: str) -> Response:
        call = call_of(request.scope)
        return respond(call, (await door.execute(request, command, object_of(call))).result)

    return router


def view(job: dict[str, Any]) -> dict[str, Any]:
    """A job with both names of `data` and `started_at`."""
    return {**job, "payload": job["data"], "processed_at": job.get("started_at")}
