"""Batches of jobs over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.models.batch import BatchChanged
from adapters.http.operations import errors, takes
from adapters.http.paging import next_page
from adapters.http.respond import respond
from millrace.contracts.batch import Batch, CreateBatch, ListBatches
from millrace.contracts.wire import Message


class Cancellation(Message):
    """Why a batch is cancelled; an address carries less than a body."""

    reason: str | None = Field(None, max_length=500)


def batch_routes(door: Door) -> APIRouter:
    """The routes of the batches."""
    router = APIRouter(tags=["batches"], responses=errors())

    @router.post(
        "/api/batches",
        status_code=201,
        response_model=BatchChanged,
        operation_id="create_batch",
        openapi_extra=takes(CreateBatch),
    )
    async def create(request: Request) -> Response:
        """Creates an empty batch; jobs are enqueued with its id as `batch` until it is sealed."""
        call = call_of(request.scope)
        done = await door.execute(request, "batch.create", object_of(call))
        return respond(call, done.result, 201, position=done.position)

    @router.get("/api/batches", response_model=list[Batch], operation_id="list_batches")
    async def listing(request: Request, filters: Annotated[ListBatches, Query()]) -> Response:
        """Batches, newest first."""
        answer = await door.query(request, "batch.list", filters.model_dump(mode="json", exclude_none=True))
        headers = next_page(request, "cursor", answer.result.get("cursor"))
        return respond(call_of(request.scope), answer.result["batches"], headers=headers)

    @router.get("/api/batches/{id}", response_model=Batch, operation_id="get_batch")
    async def get(request: Request, id: str) -> Response:
        """How far a batch has got."""
        answer = await door.query(request, "batch.get", {"batch_id": id})
        return respond(call_of(request.scope), answer.result["batch"])

    @router.post("/api/batches/{id}/seal", response_model=BatchChanged, operation_id="seal_batch")
    async def seal(request: Request, id: str) -> Response:
        """The batch takes no more jobs, and completes when all that it has have ended."""
        done = await door.execute(request, "batch.seal", {"batch_id": id})
        return respond(call_of(request.scope), done.result, position=done.position)

    @router.delete("/api/batches/{id}", response_model=BatchChanged, operation_id="cancel_batch")
    async def cancel(request: Request, id: str, wish: Annotated[Cancellation, Query()]) -> Response:
        """Seals the batch and cancels its unfinished jobs."""
        done = await door.execute(request, "batch.cancel", {"batch_id": id, **wish.model_dump(exclude_none=True)})
        return respond(call_of(request.scope), done.result, position=done.position)

    return router
