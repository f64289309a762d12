"""Creates the schedules that an application declares, when its worker starts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from millrace.errors import MillraceError, Refused
from millrace.repeating import backoff

if TYPE_CHECKING:
    from millrace.client import Millrace

log = structlog.get_logger("millrace.worker")


async def declare_schedules(app: Millrace) -> None:
    """Creates the declared schedules, or brings them up to date; tries again until the service answers."""
    for definition in app.registry.schedules.values():
        failures = 0
        while True:
            try:
                due = await app.jobs.schedules.create(definition.name, definition.job, **definition.settings)
            except Refused as error:
                log.error("a schedule was refused", schedule=definition.name, error=str(error))
            except MillraceError as error:
                failures += 1
                log.warning("a schedule waits", schedule=definition.name, error=str(error))
                await asyncio.sleep(backoff(failures))
                continue
            else:
                log.info("schedule declared", schedule=definition.name, next_due_at=due and due.isoformat())
            break
