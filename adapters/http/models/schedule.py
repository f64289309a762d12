"""Answers about schedules."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from millrace.contracts.schedule import Schedule


class ScheduleReply(BaseModel):
    """Answer to the commands that make or change a schedule."""

    name: str
    paused: bool
    next_due_at: datetime | None = None


class ScheduleRemovedReply(BaseModel):
    """Answer to `schedule.remove`."""

    name: str
    success: Literal[True] = True


class Triggered(BaseModel):
    """Answer to `schedule.trigger`."""

    name: str
    job_id: str


class ScheduleAnswer(BaseModel):
    """Answer to `schedule.get`."""

    schedule: Schedule


class SchedulePage(BaseModel):
    """Answer to `schedule.list`."""

    schedules: list[Schedule]
    cursor: str | None = None
