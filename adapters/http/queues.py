"""Queues over REST: how much waits in them, their order and limits, pausing and draining."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.jobs import Reason
from adapters.http.models.queue import QueueReply
from adapters.http.operations import errors, takes
from adapters.http.respond import respond
from millrace.contracts.queue import Drained, Queue, QueueSettings


def queue_routes(door: Door) -> APIRouter:
    """The routes of the queues."""
    router = APIRouter(tags=["queues"], responses=errors())

    @router.get("/api/queues", response_model=list[Queue], operation_id="list_queues")
    async def listing(request: Request) -> Response:
        """Every queue that was told something or has jobs that wait or run."""
        return respond(call_of(request.scope), (await door.query(request, "queue.list", {})).result["queues"])

    @router.get("/api/queues/{name}", response_model=Queue, operation_id="get_queue")
    async def get(request: Request, name: str) -> Response:
        """One queue as it is right now."""
        return respond(call_of(request.scope), (await door.query(request, "queue.get", {"name": name})).result["queue"])

    @router.patch(
        "/api/queues/{name}",
        response_model=QueueReply,
        operation_id="configure_queue",
        openapi_extra=takes(QueueSettings),
    )
    async def configure(request: Request, name: str) -> Response:
        """Changes order, weights and limits; what is not given stays as it is."""
        return await _tell(request, "queue.configure", name)

    @router.post(
        "/api/queues/{name}/pause",
        response_model=QueueReply,
        operation_id="pause_queue",
        openapi_extra=takes(Reason, required=False),
    )
    async def pause(request: Request, name: str) -> Response:
        """Has no further job of the queue started; those that run go on."""
        return await _tell(request, "queue.pause", name)

    @router.post("/api/queues/{name}/resume", response_model=QueueReply, operation_id="resume_queue")
    async def resume(request: Request, name: str) -> Response:
        """Has jobs of the queue started again."""
        return await _tell(request, "queue.resume", name)

    @router.post("/api/queues/{name}/drain", response_model=Drained, operation_id="drain_queue")
    async def drain(request: Request, name: str) -> Response:
        """Cancels all jobs that wait in the queue."""
        return await _tell(request, "queue.drain", name)

    async def _tell(request: Request, command: str, name: str) -> Response:
        call = call_of(request.scope)
        body: dict[str, Any] = {**object_of(call, optional=command != "queue.configure"), "name": name}
        done = await door.execute(request, command, body)
        return respond(call, done.result, position=done.position)

    return router
