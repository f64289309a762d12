"""Notifications over REST: sending, the inbox, preferences and contact points."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import json_of, object_of
from adapters.http.call import call_of
from adapters.http.door import Door
from adapters.http.models.notification import BulkSent, SentNotification, Unread
from adapters.http.models.success import Success
from adapters.http.operations import errors, takes
from adapters.http.paging import next_page
from adapters.http.problems import invalid
from adapters.http.respond import respond
from millrace.contracts.inbox import ContactChanges, Contacts, NotificationPreferences, Preferences
from millrace.contracts.job import PositiveSeconds, Time
from millrace.contracts.notification import ChannelName, ListNotifications, Notification, Send, UserId
from millrace.contracts.notification_resend import ResendSince, Resent
from millrace.contracts.wire import Batch, Message, Name


class OfUser(Message):
    """Whose notification it must be; without it, whoever's it is."""

    user_id: UserId | None = None


class Whose(Message):
    """The user that is meant; `*` stands for the tenant's defaults."""

    user_id: UserId


class Cancelling(OfUser):
    """Why it is cancelled; an address carries less than a body."""

    reason: str | None = Field(None, max_length=500)


class Snoozing(OfUser):
    """Until when, or for how many seconds, the inbox hides it."""

    until: Time | None = None
    seconds: PositiveSeconds | None = None


class ReceiptBody(Message):
    """What a provider has told later about a message that it had taken."""

    channel: ChannelName
    status: Literal["delivered", "bounced", "failed"]
    reason: str = Field("", max_length=2_000)
    provider: Name | None = None
    provider_message_id: str | None = Field(None, max_length=500)


class Many(Message):
    """Notifications to be sent, each on its own: one that is refused keeps none of the others from being sent."""

    notifications: list[Send] = Field(max_length=10_000)


def notification_routes(door: Door) -> APIRouter:
    """The routes of the notifications."""
    router = APIRouter(tags=["notifications"], responses=errors())

    @router.post(
        "/api/notifications",
        status_code=201,
        response_model=SentNotification,
        operation_id="send_notification",
        openapi_extra=takes(Send),
    )
    async def send(request: Request) -> Response:
        """Tells a user something; `deliveries` says what is done in each channel."""
        call = call_of(request.scope)
        done = await door.execute(request, "notification.send", object_of(call))
        return respond(call, done.result, 201, position=done.position)

    @router.post(
        "/api/notifications/bulk",
        status_code=200,
        response_model=BulkSent,
        operation_id="send_notifications",
        openapi_extra=takes(Many),
    )
    async def send_many(request: Request) -> Response:
        """Sends many; the results stand in the order of the notifications. A bare array is taken too."""
        call = call_of(request.scope)
        body = json_of(call)
        items = body.get("notifications") if isinstance(body, dict) else body
        if not isinstance(items, list):
            raise invalid("notifications: must be an array of notifications")
        reply = await door.command(request, "notification.send", items)
        if not isinstance(reply, Batch):
            return respond(call, reply.to_wire())
        results = [each.to_wire() for each in reply.items]
        sent = sum(result["ok"] for result in results)
        return respond(call, {"sent": sent, "refused": len(results) - sent, "results": results})

    @router.get("/api/notifications", response_model=list[Notification], operation_id="list_notifications")
    async def listing(request: Request, filters: Annotated[ListNotifications, Query()]) -> Response:
        """A user's inbox, newest first; with `scope=all` whatever was sent through any channel."""
        body = filters.model_dump(mode="json", exclude_none=True)
        page = (await door.query(request, "notification.list", body)).result
        headers = next_page(request, "cursor", page.get("cursor"))
        return respond(call_of(request.scope), page["notifications"], headers=headers)

    @router.get("/api/notifications/unread", response_model=Unread, operation_id="count_unread_notifications")
    async def unread(request: Request, whose: Annotated[Whose, Query()]) -> Response:
        """How many unread notifications the user's inbox shows."""
        answer = await door.query(request, "notification.unread_count", {"user_id": whose.user_id})
        return respond(call_of(request.scope), answer.result)

    @router.post("/api/notifications/read", response_model=Success, operation_id="read_all_notifications")
    async def read_all(request: Request, whose: Annotated[Whose, Query()]) -> Response:
        """Marks everything in the user's inbox as read."""
        done = await door.execute(request, "notification.mark_all_read", {"user_id": whose.user_id})
        return respond(call_of(request.scope), {"success": True}, position=done.position)

    @router.post(
        "/api/notifications/resend",
        response_model=Resent,
        operation_id="resend_notifications",
        openapi_extra=takes(ResendSince),
    )
    async def resend(request: Request) -> Response:
        """Sends once more what has gone out through a channel since a time, or counts it."""
        call = call_of(request.scope)
        done = await door.execute(request, "notification.resend_since", object_of(call))
        return respond(call, Resent(**done.result).model_dump(mode="json"))

    @router.get("/api/notifications/preferences", response_model=Preferences, operation_id="get_preferences")
    async def preferences(request: Request, whose: Annotated[Whose, Query()]) -> Response:
        """What the user wants to be told, and how."""
        answer = await door.query(request, "notification.preferences", {"user_id": whose.user_id})
        return respond(call_of(request.scope), Preferences(**answer.result).model_dump(mode="json"))

    @router.put(
        "/api/notifications/preferences",
        response_model=Preferences,
        operation_id="set_preferences",
        openapi_extra=takes(NotificationPreferences),
    )
    async def set_preferences(request: Request, whose: Annotated[Whose, Query()]) -> Response:
        """Sets the user's preferences, all of them."""
        call = call_of(request.scope)
        done = await door.execute(
            request, "notification.set_preferences", {**object_of(call), "user_id": whose.user_id}
        )
        return respond(call, done.result, position=done.position)

    @router.get("/api/notifications/contacts/{user_id}", response_model=Contacts, operation_id="get_contacts")
    async def contacts(request: Request, user_id: str) -> Response:
        """Where the user is reached."""
        answer = await door.query(request, "notification.contacts", {"user_id": user_id})
        return respond(call_of(request.scope), answer.result)

    @router.put(
        "/api/notifications/contacts/{user_id}",
        response_model=Contacts,
        operation_id="set_contacts",
        openapi_extra=takes(ContactChanges),
    )
    async def set_contacts(request: Request, user_id: str) -> Response:
        """Changes the contact points that are given; a null takes one away, the rest stays."""
        call = call_of(request.scope)
        done = await door.execute(request, "notification.set_contacts", {**object_of(call), "user_id": user_id})
        return respond(call, done.result, position=done.position)

    @router.get("/api/notifications/{id}", response_model=Notification, operation_id="get_notification")
    async def get(request: Request, id: str, whose: Annotated[OfUser, Query()]) -> Response:
        """One notification, and what became of it in each channel."""
        body = {"notification_id": id, **whose.model_dump(exclude_none=True)}
        answer = await door.query(request, "notification.get", body)
        return respond(call_of(request.scope), answer.result["notification"])

    @router.post("/api/notifications/{id}/read", response_model=Success, operation_id="read_notification")
    async def read(request: Request, id: str, whose: Annotated[OfUser, Query()]) -> Response:
        """Marks one as read."""
        call = call_of(request.scope)
        told = object_of(call) if call.body else {}
        wish = {**told, **whose.model_dump(exclude_none=True), "notification_id": id}
        return await _change(request, "mark_read", wish)

    @router.post(
        "/api/notifications/{id}/snooze",
        response_model=Success,
        operation_id="snooze_notification",
        openapi_extra=takes(Snoozing),
    )
    async def snooze(request: Request, id: str) -> Response:
        """Hides it in the inbox for a time; then it is there again, as unread."""
        return await _change(request, "snooze", {**object_of(call_of(request.scope)), "notification_id": id})

    @router.post(
        "/api/notifications/{id}/receipt",
        response_model=Success,
        operation_id="acknowledge_notification",
        openapi_extra=takes(ReceiptBody),
    )
    async def receipt(request: Request, id: str) -> Response:
        """Notes what a provider has told later about a message that it had taken."""
        return await _change(request, "receipt", {**object_of(call_of(request.scope)), "notification_id": id})

    @router.delete("/api/notifications/{id}", response_model=Success, operation_id="cancel_notification")
    async def cancel(request: Request, id: str, wish: Annotated[Cancelling, Query()]) -> Response:
        """Keeps what has not gone out from going out, and takes it out of the inbox."""
        return await _change(request, "cancel", {"notification_id": id, **wish.model_dump(exclude_none=True)})

    async def _change(request: Request, command: str, body: dict[str, object]) -> Response:
        done = await door.execute(request, f"notification.{command}", body)
        return respond(call_of(request.scope), {"success": True}, position=done.position)

    return router
