"""Carries outcomes back to the service, many in one message, until it has them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from millrace import worker_outcomes
from millrace.batching import replies_of, wrapped
from millrace.errors import TEMPORARY, Unauthorized, error_from
from millrace.ids import uuid7
from millrace.link import Link
from millrace.logs import Log
from millrace.repeating import backoff
from millrace.transport import Reply
from millrace.worker_leases import Key

log = Log("millrace.worker")

UNSTORABLE = frozenset({"invalid", "malformed", "too-large"})
# What was uploaded is gone; the next attempt makes it again.
INCOMPLETE = "result-incomplete"
MAX_ITEMS = 500
MAX_BYTES = 524_288
MAX_IN_FLIGHT = 4


class Report(NamedTuple):
    """An attempt's outcome. Its id is a function of the attempt: an attempt has one outcome."""

    key: Key
    body: bytes
    tenant: str | None
    replaced: bool = False

    @property
    def id(self) -> str:
        return f"report:{self.key[0]}:{self.key[1]}" + ("/refused" if self.replaced else "")


class Reports:
    """Outcomes that the service does not have yet. `settled` is called for each when it has, or will never take it."""

    def __init__(self, link: Link, settled: Callable[[Key], None]) -> None:
        self._link = link
        # Taken here: later code runs in the context of whichever handler ended last.
        self._origin = link.origin()
        self._settled = settled
        self._pending: deque[Report] = deque()
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsettled = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return self._unsettled

    def add(self, key: Key, body: bytes, tenant: str | None) -> None:
        """Takes an outcome; it leaves with the others of its tenant and of this turn of the event loop."""
        self._pending.append(Report(key, body, tenant))
        self._unsettled += 1
        self._empty.clear()
        self._schedule()

    async def drained(self) -> None:
        """Returns when the service has everything."""
        await self._empty.wait()

    async def close(self) -> None:
        """Gives up what could not be delivered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        while self._pending and len(self._tasks) < MAX_IN_FLIGHT:
            task = asyncio.get_running_loop().create_task(self._deliver(self._take()))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._pending:
            self._schedule()

    def _take(self) -> list[Report]:
        reports = [self._pending.popleft()]
        size, tenant = len(reports[0].body), reports[0].tenant
        others: list[Report] = []
        while self._pending and len(reports) < MAX_ITEMS:
            if self._pending[0].tenant != tenant:
                others.append(self._pending.popleft())
                continue
            size += len(self._pending[0].body)
            if size > MAX_BYTES:
                break
            reports.append(self._pending.popleft())
        self._pending.extendleft(reversed(others))
        return reports

    async def _deliver(self, reports: list[Report]) -> None:
        failures = 0
        message_id = uuid7()
        origin = self._origin.in_name_of(reports[0].tenant)
        while reports:
            body = b"[" + b",".join(wrapped(report.id, report.body) for report in reports) + b"]"
            try:
                reply = await self._link.transport.execute(
                    "job.report", body, origin, message_id, timeout=self._link.settings.timeout
                )
                remaining = self._settle(reports, reply)
                if len(remaining) < len(reports):
                    # What is sent next is another message.
                    message_id, failures = uuid7(), 0
                reports = remaining
            except Exception as error:
                # Whatever it is: an outcome that is given up would leave its job running for ever.
                log.warning("outcomes could not be delivered; trying again", count=len(reports), error=repr(error))
            if reports:
                failures += 1
                await asyncio.sleep(backoff(failures))

    def _settle(self, reports: list[Report], reply: Reply) -> list[Report]:
        if not reply["ok"] and len(reports) > 1:
            # The message as a whole was refused. One by one, none can harm another.
            self._pending.extendleft(reversed(reports[1:]))
            return reports[:1]
        remaining: list[Report] = []
        for report, answer in zip(reports, replies_of(reply, len(reports)), strict=True):
            if not answer["ok"]:
                error, code = error_from(answer["error"]), answer["error"].get("code")
                if code in TEMPORARY or isinstance(error, Unauthorized):
                    remaining.append(report)
                    continue
                log.warning("an outcome was refused", job_id=report.key[0], attempt=report.key[1], error=str(error))
                if code in (*UNSTORABLE, INCOMPLETE) and not report.replaced:
                    # The attempt must end all the same, and in a way that says why.
                    reason, final = f"the outcome was refused: {error}", code in UNSTORABLE
                    instead = worker_outcomes.refused(*report.key, reason, final)
                    remaining.append(Report(report.key, instead, report.tenant, replaced=True))
                    continue
            self._unsettled -= 1
            self._settled(report.key)
        if not self._unsettled:
            self._empty.set()
        return remaining
