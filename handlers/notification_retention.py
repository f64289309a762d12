"""Retention: notifications that were read or sent long ago leave the read models, each by an event."""

from __future__ import annotations

import asyncio

import structlog

from domain.deliveries import ExpiredNotifications
from domain.notification import KIND
from domain.ports import StreamName
from handlers.notification_steps import Remove
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.retention import MORE_SECONDS, PAGE, REASON, SWEEP_SECONDS
from millrace.contracts.wire import Accepted, Context

log = structlog.get_logger("retention")


class NotificationRetention:
    """Removes old notifications in pages. Several processes may do so at once: one that is removed stays so.

    Args:
        read: seconds after which one goes that was read.
        unread: seconds after which one goes that never was.
    """

    def __init__(self, expired: ExpiredNotifications, pipeline: Pipeline, read: float, unread: float) -> None:
        self._expired, self._pipeline, self._read, self._unread = expired, pipeline, read, unread

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently("notification retention", self._often)

    async def sweep(self) -> int:
        """Removes a page of what has expired by now; returns how many."""
        page = await self._expired.find(self._read, self._unread, PAGE)
        return sum(await asyncio.gather(*(self._remove(tenant, id) for tenant, id in page)))

    async def _often(self) -> None:
        while True:
            removed = await self.sweep()
            if removed:
                log.info("old notifications removed", action="notifications_swept", notifications=removed)
            await asyncio.sleep(MORE_SECONDS if removed else SWEEP_SECONDS)

    async def _remove(self, tenant: str, id: str) -> bool:
        stream = StreamName(KIND, tenant, id)
        context = Context(tenant, f"{stream.text}/retention", principal="millrace")
        body = Remove(notification_id=id, reason=REASON)
        return isinstance(await self._pipeline.execute_internal("notification.remove", body, context), Accepted)
