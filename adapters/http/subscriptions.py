"""Durable named subscriptions over REST."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.models.event import SubscriptionReply
from adapters.http.operations import errors, takes
from adapters.http.respond import respond
from millrace.contracts.event import Subscribe, Subscription
from millrace.contracts.wire import Identifier, Message, Text


class Acknowledgment(Message):
    """Everything up to `position` has been handled."""

    position: str


class Parking(Message):
    """An event that the subscriber could not handle."""

    position: str
    event_id: Identifier
    error: Text
    attempts: int = Field(1, ge=1, le=1_000_000)


class Releasing(Message):
    """A parked event that leaves the list."""

    event_id: Identifier


class Activation(Message):
    """Whether the subscription delivers."""

    active: bool


COMMANDS: dict[str, tuple[str, type[Message], str]] = {
    "acknowledge": ("subscription.acknowledge", Acknowledgment, "Moves the subscription on."),
    "park": ("subscription.park", Parking, "Sets an event aside and goes on behind it."),
    "release": ("subscription.release", Releasing, "Takes an event off the list of parked ones."),
}


def subscription_routes(door: Door) -> APIRouter:
    """The routes of the subscriptions."""
    router = APIRouter(tags=["subscriptions"], responses=errors())

    @router.post(
        "/api/subscriptions",
        status_code=201,
        response_model=SubscriptionReply,
        operation_id="create_subscription",
        openapi_extra=takes(Subscribe),
    )
    async def create(request: Request) -> Response:
        """Creates a subscription; repeating it with the same values changes nothing."""
        call = call_of(request.scope)
        done = await door.execute(request, "subscription.create", object_of(call))
        return respond(call, done.result, 201, position=done.position)

    @router.get("/api/subscriptions", response_model=list[Subscription], operation_id="list_subscriptions")
    async def listing(request: Request) -> Response:
        """All subscriptions of the tenant."""
        answer = await door.query(request, "subscription.list", {})
        return respond(call_of(request.scope), answer.result["subscriptions"])

    @router.get("/api/subscriptions/{name}", response_model=Subscription, operation_id="get_subscription")
    async def get(request: Request, name: str) -> Response:
        """One subscription, with the events that it set aside."""
        answer = await door.query(request, "subscription.get", {"name": name})
        return respond(call_of(request.scope), answer.result["subscription"])

    @router.patch(
        "/api/subscriptions/{name}",
        response_model=SubscriptionReply,
        operation_id="activate_subscription",
        openapi_extra=takes(Activation),
    )
    async def activate(request: Request, name: str) -> Response:
        """Pauses or resumes a subscription without losing its place."""
        return await _change(request, "subscription.set_active", name)

    def add(action: str, command: str, model: type[Message], summary: str) -> None:
        async def change(request: Request, name: str) -> Response:
            return await _change(request, command, name)

        router.add_api_route(
            f"/api/subscriptions/{{name}}/{action}",
            change,
            methods=["POST"],
            response_model=SubscriptionReply,
            operation_id=f"{action}_subscription",
            summary=f"{action.capitalize()} subscription",
            description=summary,
            openapi_extra=takes(model),
        )

    async def _change(request: Request, command: str, name: str) -> Response:
        call = call_of(request.scope)
        done = await door.execute(request, command, {**object_of(call), "name": name})
        return respond(call, done.result, position=done.position)

    for action, (command, model, summary) in COMMANDS.items():
        add(action, command, model, summary)
    return router
