"""Fires what is due. Any number of schedulers may run at once: each due time is decided on once, in its own stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from domain.errors import Refusal
from domain.ports import DueSchedule, DueSchedules, StreamName
from domain.schedule import KIND
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.schedule import Fire
from millrace.contracts.wire import Accepted, Context, Token

PAGE = 500
POLL_SECONDS = 0.5
SHORTEST_SECONDS = 0.02
log = structlog.get_logger("scheduler")


class Scheduler:
    """Looks for due schedules and has them decide.

    Args:
        due: what is due, by the database's clock.
        shown: waits until what is due shows the effects of everything up to a position token.
    """

    def __init__(self, due: DueSchedules, pipeline: Pipeline, shown: Callable[[str], Awaitable[None]]) -> None:
        self._due, self._pipeline, self._shown = due, pipeline, shown

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently("scheduler", self._watch)

    async def _watch(self) -> None:
        while True:
            found = await self._due.due(PAGE)
            if found:
                await self._fire(found)
            following = await self._due.next_in()
            # What is due all the time waits for a job's end.
            idle = following is None or (following <= 0 and not found)
            await asyncio.sleep(POLL_SECONDS if idle else min(max(following or 0.0, SHORTEST_SECONDS), POLL_SECONDS))

    async def _fire(self, found: Sequence[DueSchedule]) -> None:
        answers = await self._pipeline.execute("schedule.fire", [_command(schedule) for schedule in found])
        for schedule, answer in zip(found, answers, strict=True):
            if not isinstance(answer, Accepted):
                log.warning(
                    "schedule not fired",
                    action="schedule_not_fired",
                    schedule=schedule.name,
                    due_at=schedule.due_at.isoformat(),
                    problem=answer.problem.code,
                )
        positions = [answer.position for answer in answers if isinstance(answer, Accepted) and answer.position]
        if positions:
            try:
                await self._shown(max(positions, key=lambda position: Token.parse(position).position))
            except Refusal:
                # What is not shown yet is found due again, and deciding again changes nothing.
                return


def _command(schedule: DueSchedule) -> tuple[Fire, Context]:
    stream = StreamName(KIND, schedule.tenant, schedule.name)
    context = Context(
        schedule.tenant, f"{stream.text}/{schedule.due_at.isoformat()}", principal="millrace", company=schedule.company
    )
    command = Fire(
        name=schedule.name,
        due_at=schedule.due_at,
        now=schedule.now,
        last_job_id=schedule.last_job_id,
        unfinished=schedule.unfinished,
    )
    return command, context
