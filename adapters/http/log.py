"""Any aggregate's past: its events, its state as of a version or a time, and what caused what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.jobs import StateAt
from adapters.http.models.log import AggregateState
from adapters.http.operations import errors
from adapters.http.paging import next_page
from adapters.http.respond import respond
from millrace.contracts.log import CloudEvent
from millrace.contracts.wire import Message

SINGULAR = {
    "jobs": "job",
    "batches": "batch",
    "notifications": "notification",
    "exports": "export",
    "documents": "document",
    "schedules": "schedule",
    "modules": "module",
    "subscriptions": "subscription",
    "events": "event",
    "queues": "queue",
}


class Slice(Message):
    """Which of the events of one aggregate."""

    after_version: Annotated[int, Field(ge=0, le=9_007_199_254_740_991)] = 0
    limit: Annotated[int, Field(ge=1, le=1_000)] = 1_000


def log_routes(door: Door) -> APIRouter:
    """The routes over the log. They match any kind, so they come after the routes of the modules."""
    router = APIRouter(tags=["log"], responses=errors())

    @router.get("/api/why/{id}", response_model=list[CloudEvent], operation_id="why")
    async def why(request: Request, id: str) -> Response:
        """Every event that shares the aggregate's correlation, oldest first."""
        answer = await door.query(request, "log.why", {"id": id})
        return respond(call_of(request.scope), answer.result["events"])

    @router.get("/api/{kind}/{id}/history", response_model=list[CloudEvent], operation_id="history")
    async def history(request: Request, kind: str, id: str, part: Annotated[Slice, Query()]) -> Response:
        """One aggregate's events, oldest first."""
        answer = await door.query(request, "log.history", {"kind": singular(kind), "id": id, **part.model_dump()})
        events = answer.result["events"]
        last = str(events[-1]["version"]) if len(events) == part.limit else None
        return respond(call_of(request.scope), events, headers=next_page(request, "after_version", last))

    @router.get("/api/{kind}/{id}", response_model=AggregateState, operation_id="state")
    async def state(request: Request, kind: str, id: str, wish: Annotated[StateAt, Query()]) -> Response:
        """One aggregate's state, now or as of a version or a time."""
        body: dict[str, object] = {"kind": singular(kind), "id": id}
        if wish.at is not None:
            body["at"] = wish.at
        return respond(call_of(request.scope), (await door.query(request, "log.state", body)).result)

    return router


def singular(kind: str) -> str:
    """The kind of an aggregate, from either form: `jobs` and `job` are both `job`."""
    return SINGULAR.get(kind, kind)
