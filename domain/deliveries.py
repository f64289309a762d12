"""Which deliveries are due: an index of what the notifications' streams say, which alone decide."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

SentLane = tuple[str, str, str | None]


class DueDelivery(NamedTuple):
    """A channel of a notification whose time has come.

    Attributes:
        position: of the notification, by which the older one is known.
        digest_key: what it is summed up by, where its sender said so.
        is_digest: whether it sums up others.
    """

    tenant: str
    notification_id: str
    channel: str
    user_id: str
    status: str
    attempts: int
    position: int
    throttle_key: str | None
    digest_key: str | None
    is_digest: bool

    @property
    def key(self) -> tuple[str, str, str]:
        return self.tenant, self.notification_id, self.channel

    @property
    def lane(self) -> tuple[str, str, str]:
        """Whom it goes to, and how: what is summed up or throttled is so within one lane."""
        return self.tenant, self.user_id, self.channel


class DueSnooze(NamedTuple):
    """A notification that was snoozed until a time that has come."""

    tenant: str
    notification_id: str
    until: datetime


class DueDeliveries(Protocol):
    """Looks for what is due, by the database's clock. Costs nothing worth speaking of while nothing is."""

    async def next_in(self) -> float | None:
        """Seconds until something is due, negative where it is; None where nothing ever is."""
        ...

    async def channels(self) -> list[str]:
        """The channels in which something is due."""
        ...

    async def due(self, channel: str, limit: int) -> list[DueDelivery]:
        """What is due in a channel, the longest due first."""
        ...

    async def deferred(self, lane: tuple[str, str, str], digest_key: str | None, limit: int) -> list[DueDelivery]:
        """What is deferred in a lane and due now, or has the digest key; oldest first.

        Nothing while a digest of the lane has not been tried yet: what it sums up may not be marked so.
        """
        ...

    async def sent_since(self, lane: tuple[str, str, str], throttle_key: str, seconds: float) -> int:
        """How many with the throttle key were sent in a lane in the last seconds."""
        ...

    async def snoozes(self, limit: int) -> list[DueSnooze]:
        """Notifications whose snooze is over, the longest over first."""
        ...


class InboxReads(Protocol):
    """Finds notifications that were read together with their whole inbox."""

    async def read_at(self, tenant: str, user_id: str, at: datetime, after: int, limit: int) -> list[tuple[str, int]]:
        """(notification id, position) of those that the user read at that time, oldest first, behind a position."""
        ...


class SentNotifications(Protocol):
    """Finds notifications that have gone out through a channel, or failed to, since a time.

    A lane is a tenant, a channel, and a user or None for all; positions are those of the notifications.
    """

    async def newest(self) -> int:
        """The newest position that there is; raises where the read model has not come that far in time."""
        ...

    async def find(self, lane: SentLane, since: datetime, after: int, until: int, limit: int) -> list[tuple[str, int]]:
        """(notification id, position), oldest first, behind `after` and not behind `until`."""
        ...

    async def count(self, lane: SentLane, since: datetime, after: int, until: int) -> int:
        """How many `find` would find in all."""
        ...


class ExpiredNotifications(Protocol):
    """Finds notifications in the read model by their age."""

    async def find(self, read: float, unread: float, limit: int) -> list[tuple[str, str]]:
        """(tenant, notification id) of those read `read` seconds ago, or sent `unread` seconds ago and never read."""
        ...
