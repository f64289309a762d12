"""Sending once more whatever has gone out through a channel: page after page of ordinary commands."""

from __future__ import annotations

from typing import Any

from domain.deliveries import SentNotifications
from domain.ports import StoreUnavailable
from handlers.bulk import PAGE, TEMPORARY, places
from handlers.pipeline import Pipeline
from handlers.routes import OperationRoute
from millrace.contracts.notification_resend import Resend, ResendSince
from millrace.contracts.wire import Accepted, Context


class ResendingSince:
    """Carries out `notification.resend_since`. The ids of its commands derive from the call's: it may be repeated."""

    def __init__(self, found: SentNotifications, pipeline: Pipeline) -> None:
        self._found, self._pipeline = found, pipeline

    async def perform(self, wish: ResendSince, context: Context) -> dict[str, Any]:
        """Sends at most `limit` of them once more.

        Raises:
            UnreadableBulkCursor: the cursor is none of an answer.
            StoreUnavailable: the rest was not done; repeating the call is harmless.
        """
        after, until = places(wish.cursor) if wish.cursor else (0, await self._found.newest())
        lane = context.tenant, wish.channel, wish.user_id
        if wish.dry_run:
            return {"matched": await self._found.count(lane, wish.since, after, until)}
        matched = changed = 0
        more = True
        while more and matched < wish.limit:
            size = min(PAGE, wish.limit - matched)
            found = await self._found.find(lane, wish.since, after, until, size + 1)
            more, page = len(found) > size, found[:size]
            if page:
                changed += await self._resend([id for id, _ in page], wish.channel, context)
                matched, after = matched + len(page), page[-1][1]
        cursor = f"{after}-{until}" if more else None
        return {"matched": matched, "changed": changed, "refused": matched - changed, "cursor": cursor}

    async def _resend(self, ids: list[str], channel: str, context: Context) -> int:
        answers = await self._pipeline.execute(
            "notification.resend",
            [
                (Resend(notification_id=id, channel=channel), context._replace(message_id=f"{context.message_id}/{id}"))
                for id in ids
            ],
        )
        for answer in answers:
            if not isinstance(answer, Accepted) and answer.problem.code in TEMPORARY:
                raise StoreUnavailable(answer.problem.detail)
        return sum(isinstance(answer, Accepted) for answer in answers)


def operation_routes(found: SentNotifications, pipeline: Pipeline) -> dict[str, OperationRoute]:
    """The command that leads to many others."""
    return {"notification.resend_since": OperationRoute(ResendSince, ResendingSince(found, pipeline).perform)}
