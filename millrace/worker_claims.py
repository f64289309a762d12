"""Asks for as many jobs as the worker has room for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from millrace.errors import MillraceError
from millrace.ids import uuid7
from millrace.link import Link, read_answer
from millrace.logs import Log
from millrace.repeating import LONGEST_PAUSE, backoff
from millrace.worker_leases import lease_clock
from millrace.worker_shares import Shares

log = Log("millrace.worker")

WAIT_SECONDS = 20.0
ANSWER_SECONDS = 10.0
WITHDRAW_SECONDS = 1.0
MAX_SLOTS = 1_000
MAX_CLAIMS = 2
EMPTY_PAUSE = 0.2


class Claims:
    """Keeps a claim waiting at the service for every free slot.

    Slots that become free while a claim waits gather for the next one. A second claim is sent beside it only for half
    of the worker's slots or more: enough to overlap its way with running what the first one brought, and never a
    message for each job.

    Args:
        slots: how many jobs the worker may hold at this moment.
        running: how many it holds.
        shares: what each queue gets of the slots while it has jobs; without it the order goes by priority alone.
        tenants: whose jobs to ask for; none for those of the worker's own tenant.
        accept: called with grants, the time at which their claim was sent, `held` and `lease`.
    """

    def __init__(
        self,
        link: Link,
        worker: str,
        queues: tuple[str, ...],
        slots: Callable[[], int],
        running: Callable[[], int],
        accept: Callable[[list[dict[str, Any]], float, float, float], None],
        shares: Shares | None = None,
        tenants: tuple[str, ...] = (),
    ) -> None:
        self._link = link
        # Taken here: later code runs in the context of whichever handler ended last.
        self._origin = link.origin()
        self._worker = worker
        self._queues = queues
        self._slots = slots
        self._running = running
        self._accept = accept
        self._shares = shares
        self._tenants = tenants
        self._asked = 0
        self._failures = 0
        self._scheduled = False
        self._stopped = False
        self._withdrawn = False
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Slots may have become free; looked at once in this turn of the event loop."""
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._ask)

    async def stop(self) -> None:
        """Withdraws the claims that wait."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._withdraw()

    async def _withdraw(self) -> None:
        """A broker keeps a claim that nobody waits for any more; the service is told, so that it grants it nothing."""
        if self._withdrawn:
            return
        self._withdrawn = True
        try:
            await self._link.transport.execute(
                "job.withdraw",
                to_json({"worker": self._worker}),
                self._origin,
                uuid7(),
                timeout=WITHDRAW_SECONDS,
                repeat=False,
            )
        except MillraceError as error:
            log.info("claims could not be withdrawn; they end by themselves", error=str(error))

    def _ask(self) -> None:
        self._scheduled = False
        slots = self._slots()
        free = min(slots - self._running() - self._asked, MAX_SLOTS)
        enough = 1 if not self._tasks else max(1, slots // 2)
        if free < enough or len(self._tasks) >= MAX_CLAIMS or self._stopped:
            return
        self._asked += free
        task = asyncio.get_running_loop().create_task(self._claim(free))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an answer to a claim could not be used", error=repr(error))
            asyncio.get_running_loop().call_later(LONGEST_PAUSE, self.wake)
        else:
            self.wake()

    async def _claim(self, slots: int) -> None:
        try:
            wanted = slots
            if self._shares is not None:
                # Each queue's part first; what is left goes to whichever has something, by priority.
                parts = self._shares.of(slots)
                asked = [self._asked_for((queue,), part, 0.0) for queue, part in parts.items()]
                # All are waited for, so that what one of them is granted is counted although another has failed.
                for answer in await asyncio.gather(*asked, return_exceptions=True):
                    if isinstance(answer, BaseException):
                        raise answer
                    wanted -= answer
            if wanted:
                sent = lease_clock()
                granted = await self._asked_for(self._queues, wanted, WAIT_SECONDS)
                if not granted and lease_clock() - sent < EMPTY_PAUSE:
                    # A service that does not hold claims, because it is stopping for example, is not asked in a
                    # tight loop.
                    await asyncio.sleep(EMPTY_PAUSE)
            self._failures = 0
        except MillraceError as error:
            if self._failures % 10 == 0:
                log.warning("no jobs can be claimed; trying again", error=str(error))
            self._failures += 1
            await asyncio.sleep(backoff(self._failures))
        finally:
            self._asked -= slots

    async def _asked_for(self, queues: tuple[str, ...], slots: int, wait: float) -> int:
        """Sends one claim; returns how many jobs it was granted.

        Raises:
            MillraceError: there is no answer.
        """
        wish = {"worker": self._worker, "queues": queues, "slots": slots, "wait": wait}
        body = to_json(wish | {"tenants": self._tenants} if self._tenants else wish)
        sent = lease_clock()
        # Not repeated: grants that get lost on the way lapse by themselves, and a new claim is as good.
        reply = await self._link.transport.execute(
            "job.claim", body, self._origin, uuid7(), timeout=ANSWER_SECONDS, hold=wait, repeat=False
        )
        answer = read_answer(reply).result
        if answer["grants"]:
            self._accept(answer["grants"], sent, answer["held"], answer["lease"])
        return len(answer["grants"])
