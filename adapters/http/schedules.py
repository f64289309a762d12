"""Schedules over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.models.schedule import ScheduleReply, Triggered
from adapters.http.models.success import Success
from adapters.http.operations import errors, takes
from adapters.http.paging import next_page
from adapters.http.respond import respond
from millrace.contracts.schedule import CreateSchedule, ListSchedules, Schedule, ScheduleChanges, Upcoming
from millrace.contracts.wire import Message

ACTIONS = {
    "pause": "Has nothing due until the schedule is resumed.",
    "resume": "Goes on with the next due time; what was due during the pause is not made up for.",
}


class Count(Message):
    """How many due times."""

    count: Annotated[int, Field(ge=1, le=100)] = 5


def schedule_routes(door: Door) -> APIRouter:
    """The routes of the schedules."""
    router = APIRouter(tags=["schedules"], responses=errors())

    @router.post(
        "/api/schedules",
        status_code=201,
        response_model=ScheduleReply,
        operation_id="create_schedule",
        openapi_extra=takes(CreateSchedule),
    )
    async def create(request: Request) -> Response:
        """Creates a schedule; repeating it with the same values changes nothing, with others it changes them."""
        call = call_of(request.scope)
        done = await door.execute(request, "schedule.create", object_of(call))
        return respond(call, done.result, 201, position=done.position)

    @router.get("/api/schedules", response_model=list[Schedule], operation_id="list_schedules")
    async def listing(request: Request, filters: Annotated[ListSchedules, Query()]) -> Response:
        """The tenant's schedules, by name."""
        body = filters.model_dump(mode="json", exclude_none=True)
        page = (await door.query(request, "schedule.list", body)).result
        headers = next_page(request, "cursor", page.get("cursor"))
        return respond(call_of(request.scope), page["schedules"], headers=headers)

    @router.get("/api/schedules/{name}", response_model=Schedule, operation_id="get_schedule")
    async def get(request: Request, name: str) -> Response:
        """One schedule."""
        answer = await door.query(request, "schedule.get", {"name": name})
        return respond(call_of(request.scope), answer.result["schedule"])

    @router.patch(
        "/api/schedules/{name}",
        response_model=ScheduleReply,
        operation_id="change_schedule",
        openapi_extra=takes(ScheduleChanges),
    )
    async def change(request: Request, name: str) -> Response:
        """Changes what is given; the rest stays."""
        call = call_of(request.scope)
        done = await door.execute(request, "schedule.change", {**object_of(call), "name": name})
        return respond(call, done.result, position=done.position)

    @router.delete("/api/schedules/{name}", response_model=Success, operation_id="delete_schedule")
    async def delete(request: Request, name: str) -> Response:
        """Ends a schedule; the jobs that it started go on."""
        done = await door.execute(request, "schedule.remove", {"name": name})
        return respond(call_of(request.scope), {"success": True}, position=done.position)

    @router.get("/api/schedules/{name}/next", response_model=Upcoming, operation_id="next_runs")
    async def following(request: Request, name: str, wish: Annotated[Count, Query()]) -> Response:
        """The next due times, none while the schedule is paused."""
        answer = await door.query(request, "schedule.next", {"name": name, "count": wish.count})
        return respond(call_of(request.scope), answer.result)

    @router.post(
        "/api/schedules/{name}/trigger", status_code=201, response_model=Triggered, operation_id="trigger_schedule"
    )
    async def trigger(request: Request, name: str) -> Response:
        """Starts a run now, whatever the schedule, its pause and its overlap policy say."""
        done = await door.execute(request, "schedule.trigger", {"name": name})
        return respond(call_of(request.scope), done.result, 201, position=done.position)

    def add(action: str, description: str) -> None:
        async def act(request: Request, name: str) -> Response:
            done = await door.execute(request, f"schedule.{action}", {"name": name})
            return respond(call_of(request.scope), done.result, position=done.position)

        router.add_api_route(
            f"/api/schedules/{{name}}/{action}",
            act,
            methods=["POST"],
            response_model=ScheduleReply,
            operation_id=f"{action}_schedule",
            summary=f"{action.capitalize()} schedule",
            description=description,
        )

    for action, description in ACTIONS.items():
        add(action, description)
    return router
