"""Answers about progress."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from millrace.contracts.progress import Outcome, Progress


class ProgressAnswer(BaseModel):
    """Answer to `progress.get` and to the commands on a progress."""

    progress: Progress


class ProgressSampled(BaseModel):
    """Answer to `progress.update`: what is recorded, and whether the update was."""

    progress: Progress
    outcome: Outcome


class ProgressRemovedReply(BaseModel):
    """Answer to `progress.remove`."""

    progress_id: str
    success: Literal[True] = True


class ProgressPage(BaseModel):
    """Answer to `progress.list`."""

    progress: list[Progress]
