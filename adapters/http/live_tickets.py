"""Issues tickets for the live feed: an application's backend has the key, its pages get a ticket."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.operations import errors, takes
from adapters.http.problems import field_errors, invalid, unavailable
from adapters.http.respond import respond
from domain.ports import StoreUnavailable
from domain.tickets import Grant, Tickets
from millrace.contracts.wire import Fact, Identifier, Message


class TicketWish(Message):
    """What the ticket's connection may see; with neither, whatever the tenant has.

    Attributes:
        user_id: only what is about this user.
        progress_id: only this progress.
        seconds: until when it can be used.
    """

    user_id: Identifier | None = None
    progress_id: Identifier | None = None
    seconds: Annotated[float, Field(ge=1, le=300)] = 30.0


class Ticket(Fact):
    """A ticket: `?ticket=` in the address of one WebSocket, once, within `expires_in` seconds."""

    ticket: str
    expires_in: float


def digest_of(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()


def ticket_routes(door: Door, tickets: Tickets) -> APIRouter:
    """The route of the tickets."""
    router = APIRouter(tags=["live"], responses=errors())

    @router.post(
        "/api/live/tickets",
        status_code=201,
        response_model=Ticket,
        operation_id="issue_live_ticket",
        openapi_extra=takes(TicketWish),
    )
    async def issue(request: Request) -> Response:
        """Issues a ticket that lets one WebSocket in, for a page that must not have the API key."""
        call, context = call_of(request.scope), door.context(request)
        try:
            wish = TicketWish.model_validate(object_of(call))
        except ValidationError as error:
            raise invalid("the body is not valid", field_errors(error.errors())) from None
        text = secrets.token_urlsafe(32)
        grant = Grant(context.tenant, context.principal, wish.user_id, wish.progress_id)
        try:
            await tickets.issue(digest_of(text), grant, wish.seconds)
        except StoreUnavailable as error:
            raise unavailable(str(error)) from error
        return respond(call, {"ticket": text, "expires_in": wish.seconds}, 201)

    return router
