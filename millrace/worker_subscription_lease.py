"""Keeps one subscription to one worker at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from pydantic_core import to_json

from millrace.errors import MillraceError
from millrace.ids import uuid7
from millrace.link import Link, read_answer
from millrace.logs import Log
from millrace.worker_leases import RENEW_SHARE, SAFE_SHARE, TRY_AGAIN_AFTER, lease_clock

log = Log("millrace.worker")

TICK_SECONDS = 0.25
ANSWER_SECONDS = 5.0


class SubscriptionLease:
    """A worker's right to deliver a subscription, believed for four fifths of what the service granted.

    Args:
        seconds: how long another worker waits for one that died.
    """

    def __init__(self, link: Link, name: str, worker: str, seconds: float) -> None:
        self._link = link
        self._origin = link.origin()
        self._name, self._worker, self._seconds = name, worker, seconds
        self._deadline = 0.0
        self._renew_at = 0.0

    @property
    def held(self) -> bool:
        """Whether nobody else can be delivering."""
        return lease_clock() < self._deadline

    async def take(self) -> bool:
        """Asks for the lease, or renews it; false while another worker has it.

        Raises:
            NotFound: the subscription has not been created.
            MillraceError: the service did not answer.
        """
        sent = lease_clock()
        answer = await self._ask(self._seconds)
        self._deadline = sent + SAFE_SHARE * answer["lease"] if answer["held"] else 0.0
        self._renew_at = sent + RENEW_SHARE * answer["lease"]
        return self.held

    async def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` and renews the lease meanwhile; cancels `work` when the lease could not be renewed in time."""
        working, renewing = asyncio.create_task(work), asyncio.create_task(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            else:
                log.warning("a subscription's lease was lost", subscription=self._name)
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)

    async def release(self) -> None:
        """Lets another worker go on at once; without it that one waits until the lease has run out."""
        self._deadline = 0.0
        try:
            await self._ask(0.0)
        except MillraceError as error:
            log.info("a subscription's lease could not be given up", subscription=self._name, error=str(error))

    async def _renew(self) -> None:
        """Returns when the lease is lost. A renewal that hangs does not keep it from seeing that."""
        asking: asyncio.Task[None] | None = None
        try:
            while self.held:
                now = lease_clock()
                if now >= self._renew_at and (asking is None or asking.done()):
                    self._renew_at = now + TRY_AGAIN_AFTER
                    asking = asyncio.create_task(self._renew_once())
                await asyncio.sleep(TICK_SECONDS)
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def _renew_once(self) -> None:
        try:
            await self.take()
        except MillraceError as error:
            log.warning("a subscription's lease was not renewed", subscription=self._name, error=str(error))

    async def _ask(self, seconds: float) -> dict[str, Any]:
        # Sent by itself: an answer is worth nothing once it is late, and these commands cannot be in a batch.
        reply = await self._link.transport.execute(
            "subscription.lease",
            to_json({"name": self._name, "worker": self._worker, "seconds": seconds}),
            self._origin,
            uuid7(),
            timeout=ANSWER_SECONDS,
            repeat=False,
        )
        return read_answer(reply).result
