"""Answers about notifications and inboxes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from millrace.contracts.notification import DeliveryStatus, HeldBack, Notification


class SentNotification(BaseModel):
    """Answer to `notification.send`: what is done in each channel, and why nothing is in some, or not yet."""

    notification_id: str
    deliveries: dict[str, DeliveryStatus] = Field(default_factory=dict)
    held_back: dict[str, HeldBack] = Field(default_factory=dict)


class NotificationChanged(BaseModel):
    """Answer to the commands on a notification."""

    notification_id: str
    success: Literal[True] = True


class BulkSent(BaseModel):
    """Answer to `POST /api/notifications/bulk`: a reply for each notification."""

    sent: int
    refused: int
    results: list[dict[str, Any]]


class Unread(BaseModel):
    """Answer to `notification.unread_count`."""

    user_id: str
    unread: int


class InboxRead(BaseModel):
    """Answer to `notification.mark_all_read`."""

    user_id: str
    success: Literal[True] = True


class NotificationAnswer(BaseModel):
    """Answer to `notification.get`."""

    notification: Notification


class NotificationPage(BaseModel):
    """Answer to `notification.list`."""

    notifications: list[Notification]
    cursor: str | None = None
