"""Answers about queues."""

from __future__ import annotations

from pydantic import BaseModel

from millrace.contracts.queue import Queue


class QueueReply(BaseModel):
    """Answer to the commands on a queue."""

    name: str
    paused: bool


class QueueAnswer(BaseModel):
    """Answer to `queue.get`."""

    queue: Queue


class QueuePage(BaseModel):
    """Answer to `queue.list`."""

    queues: list[Queue]
