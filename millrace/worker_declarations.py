"""Tells the service what an application declares, schedules and rates, when its worker starts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from millrace.contracts.queue import Limit
from millrace.errors import MillraceError, Refused
from millrace.logs import Log
from millrace.repeating import backoff

if TYPE_CHECKING:
    from millrace.client import Millrace
    from millrace.registry import ScheduleDefinition

log = Log("millrace.worker")


async def declare(app: Millrace) -> None:
    """Declares limits, circuit breakers and schedules; tries again until the service answers."""
    queues = {queue for queue, _ in app.registry.rates}
    for queue in sorted(queues):
        await _told(partial(_limit, app, queue), f"rates in queue {queue}")
    for name, policy in app.registry.circuits.items():
        await _told(partial(app.circuits.configure, name, policy), f"circuit breaker of {name}")
    for definition in app.registry.schedules.values():
        await _told(partial(_schedule, app, definition), f"schedule {definition.name}")


async def _told(tell: Callable[[], Awaitable[None]], what: str) -> None:
    failures = 0
    while True:
        try:
            await tell()
            return
        except Refused as error:
            log.error("a declaration was refused", what=what, error=str(error))
            return
        except MillraceError as error:
            failures += 1
            log.warning("a declaration waits", what=what, error=str(error))
            await asyncio.sleep(backoff(failures))


async def _schedule(app: Millrace, definition: ScheduleDefinition) -> None:
    due = await app.jobs.schedules.create(definition.name, definition.job, **definition.settings)
    log.info("schedule declared", schedule=definition.name, next_due_at=due and due.isoformat())


async def _limit(app: Millrace, name: str) -> None:
    """Gives the queue the rates of its names; whatever else limits them stays."""
    queue = await app.queues.get(name)
    known = {} if queue is None else {each: limit.model_dump() for each, limit in queue.per_name.items()}
    wanted = {job: dict(rate) for (own, job), rate in app.registry.rates.items() if own == name}
    limits = known | {job: {**known.get(job, {}), "rate": rate} for job, rate in wanted.items()}
    if {job: Limit.model_validate(limit) for job, limit in limits.items()} != (queue.per_name if queue else {}):
        await app.queues.configure(name, per_name=limits)
    log.info("rates declared", queue=name, names=sorted(wanted))
