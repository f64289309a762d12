"""Queues on the wire: their order and limits, pausing and draining them, and how much waits in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from millrace.contracts.job_fields import PositiveSeconds
from millrace.contracts.wire import Fact, Message, Name, Text

Order = Literal["strict", "aging", "fair"]
Concurrency = Annotated[int, Field(ge=1, le=100_000)]
Weight = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class Rate(Message):
    """How often jobs start: `limit` in each `period`, evenly, after at most `burst` at once.

    Attributes:
        period: seconds.
        burst: starts that may come at once after a quiet time; as many as `limit` unless given.
    """

    limit: Annotated[int, Field(ge=1, le=1_000_000)]
    period: PositiveSeconds = 1.0
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class Limit(Message):
    """How many jobs run at a time, and how often one starts; None is no limit."""

    concurrency: Concurrency | None = None
    rate: Rate | None = None


class QueueSettings(Message):
    """Order and limits of a queue: what is given replaces what was, `null` takes a limit away; the rest stays.

    Attributes:
        order: `strict` goes by priority, then by age; `aging` counts each point of priority as `aging` seconds of
            waiting, so that a job waits no longer for younger ones than that times the difference in priority; `fair`
            goes by priority, then shares among the jobs' keys.
        aging: seconds that a point of priority is worth.
        weights: shares of keys in a fair queue; 1 where a key has none, and for jobs without a key under the key "".
        concurrency, rate: limits of the queue as a whole.
        per_name: limits of jobs of a name.
        per_key: limits of the jobs of each key; jobs without a key have none.
    """

    order: Order | None = None
    aging: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    weights: Annotated[dict[str, Weight], Field(max_length=1_000)] | None = None
    concurrency: Concurrency | None = None
    rate: Rate | None = None
    per_name: Annotated[dict[Name, Limit], Field(max_length=1_000)] | None = None
    per_key: Limit | None = None

    @model_validator(mode="before")
    @classmethod
    def _what_cannot_be_null(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for name in ("order", "aging", "weights", "per_name"):
                if name in value and value[name] is None:
                    raise ValueError(f"`{name}` cannot be null; leave it out to keep it as it is")
        return value


class Configure(QueueSettings):
    """`queue.configure`: changes order and limits of a queue, for all processes at once."""

    name: Name


class Pause(Message):
    """`queue.pause`: no job of the queue starts any more; those that run go on."""

    name: Name
    reason: Text | None = None


class Resume(Message):
    """`queue.resume`: jobs of the queue start again."""

    name: Name


class Drain(Message):
    """`queue.drain`: cancels all jobs that wait in the queue, also for a time or a limit; those that run go on.

    Jobs that are enqueued meanwhile stay; pause the queue or stop its senders first where none shall.
    """

    name: Name


class Drained(Fact):
    """Answer to `queue.drain`: how many jobs were cancelled."""

    name: str
    cancelled: int


class GetQueue(Message):
    """Query `queue.get`."""

    name: Name


class ListQueues(Message):
    """Query `queue.list`: every queue that was told something or has jobs that wait or run."""


class Queue(Fact):
    """A queue as it is right now.

    Attributes:
        ready: jobs that a worker gets when it asks, or would if the queue were not paused.
        waiting: jobs that cannot run yet, by reason: `delayed` until its time, `capped` or `rate_limited` by a limit,
            `dependent` on other jobs.
        running: jobs that workers have.
        oldest: seconds that the oldest ready or limited job has existed; None where none waits.
    """

    name: str
    paused: bool = False
    order: Order = "strict"
    aging: float = 60.0
    weights: dict[str, float] = Field(default_factory=dict)
    concurrency: int | None = None
    rate: Rate | None = None
    per_name: dict[str, Limit] = Field(default_factory=dict)
    per_key: Limit | None = None
    ready: int = 0
    waiting: dict[str, int] = Field(default_factory=dict)
    running: int = 0
    oldest: float | None = None


class QueueOpened(Fact):
    """Somebody told the queue something for the first time."""

    name: str


class QueueConfigured(Fact):
    """All settings as they are from now on."""

    order: Order = "strict"
    aging: float = 60.0
    weights: dict[str, float] = Field(default_factory=dict)
    concurrency: int | None = None
    rate: Rate | None = None
    per_name: dict[str, Limit] = Field(default_factory=dict)
    per_key: Limit | None = None


class QueuePaused(Fact):
    reason: str | None = None


class QueueResumed(Fact):
    pass


COMMANDS: dict[str, type[Message]] = {
    "queue.configure": Configure,
    "queue.pause": Pause,
    "queue.resume": Resume,
    "queue.drain": Drain,
}
QUERIES: dict[str, type[Message]] = {"queue.get": GetQueue, "queue.list": ListQueues}
EVENTS: dict[str, type[Fact]] = {
    "queue.opened": QueueOpened,
    "queue.configured": QueueConfigured,
    "queue.paused": QueuePaused,
    "queue.resumed": QueueResumed,
}
