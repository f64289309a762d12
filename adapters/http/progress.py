"""Progress over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.models.success import Success
from adapters.http.operations import errors, takes
from adapters.http.paging import next_page
from adapters.http.respond import respond
from millrace.contracts import progress as contract
from millrace.contracts.wire import Message

ACTIONS: dict[str, tuple[type[Message], bool, str]] = {
    "advance": (contract.ProgressAdvance, False, "Completes the current stage and begins the next, or a named one."),
    "complete": (contract.ProgressResult, False, "Ends it with all stages at 100 percent."),
    "fail": (contract.ProgressError, False, "Ends it with an error; it can be resumed."),
    "cancel": (contract.ProgressReason, False, "Ends it because nobody wants it any more."),
    "resume": (contract.ProgressAttempt, False, "Goes on where it failed or was cancelled, or was left open."),
    "checkpoint": (contract.ProgressCheckpoint, True, "Stores what the caller needs to go on from here."),
}


def progress_routes(door: Door) -> APIRouter:
    """The routes of the progress module."""
    router = APIRouter(tags=["progress"], responses=errors())

    @router.post(
        "/api/progress",
        status_code=201,
        response_model=contract.Progress,
        operation_id="create_progress",
        openapi_extra=takes(contract.CreateProgress, required=False),
    )
    async def create(request: Request) -> Response:
        """Creates a progress; one that is there with the same values is the answer."""
        call = call_of(request.scope)
        done = await door.execute(request, "progress.create", object_of(call, optional=True))
        return respond(call, done.result["progress"], 201, position=done.position)

    @router.get("/api/progress", response_model=list[contract.Progress], operation_id="list_progress")
    async def listing(request: Request, filters: Annotated[contract.ListProgress, Query()]) -> Response:
        """The tenant's progress, newest first."""
        body = filters.model_dump(mode="json", exclude_none=True)
        page = (await door.query(request, "progress.list", body)).result
        headers = next_page(request, "cursor", page.get("cursor"))
        return respond(call_of(request.scope), page["progress"], headers=headers)

    @router.get("/api/progress/{id}", response_model=contract.Progress, operation_id="get_progress")
    async def get(request: Request, id: str) -> Response:
        """One progress, as it was recorded."""
        answer = await door.query(request, "progress.get", {"progress_id": id})
        return respond(call_of(request.scope), answer.result["progress"])

    @router.patch(
        "/api/progress/{id}",
        response_model=contract.ProgressUpdate,
        operation_id="update_progress",
        openapi_extra=takes(contract.ProgressChange),
    )
    async def update(request: Request, id: str) -> Response:
        """Takes a sample; `outcome` says whether it was recorded, and the rest is what is."""
        call = call_of(request.scope)
        done = await door.execute(request, "progress.update", {**object_of(call), "progress_id": id})
        told = {**done.result["progress"], "outcome": done.result["outcome"]}
        return respond(call, told, position=done.position)

    @router.delete("/api/progress/{id}", response_model=Success, operation_id="remove_progress")
    async def remove(request: Request, id: str) -> Response:
        """Takes it out of the read model; the log keeps it."""
        done = await door.execute(request, "progress.remove", {"progress_id": id})
        return respond(call_of(request.scope), {"success": True}, position=done.position)

    def add(action: str, model: type[Message], required: bool, description: str) -> None:
        async def act(request: Request, id: str) -> Response:
            call = call_of(request.scope)
            body = {**object_of(call, optional=not required), "progress_id": id}
            done = await door.execute(request, f"progress.{action}", body)
            return respond(call, done.result["progress"], position=done.position)

        router.add_api_route(
            f"/api/progress/{{id}}/{action}",
            act,
            methods=["POST"],
            response_model=contract.Progress,
            operation_id=f"{action}_progress",
            summary=f"{action.capitalize()} progress",
            description=description,
            openapi_extra=takes(model, required=required),
        )

    for action, (model, required, description) in ACTIONS.items():
        add(action, model, required, description)
    return router
