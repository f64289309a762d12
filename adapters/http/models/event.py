"""Answers about published events and the subscriptions to them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from millrace.contracts.event import Subscription


class Published(BaseModel):
    """Answer to `event.publish`."""

    event_id: str


class SubscriptionAnswer(BaseModel):
    """Answer to `subscription.get`."""

    subscription: Subscription


class SubscriptionPage(BaseModel):
    """Answer to `subscription.list`."""

    subscriptions: list[Subscription]


class SubscriptionReply(BaseModel):
    """Answer to the commands on a subscription."""

    model_config = ConfigDict(extra="allow")
