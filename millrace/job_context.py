"""What a handler knows about the job that it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from pydantic_core import from_json

from millrace.contracts.job import MAX_HEARTBEAT_BYTES, Parent
from millrace.contracts.job_fields import SCHEDULED_FOR
from millrace.encoding import encode
from millrace.errors import HeartbeatRefused
from millrace.progress_stages import listed


class Keeper(Protocol):
    """Where an attempt's checkpoints go."""

    def save(self, state: object, force: bool) -> Awaitable[None]: ...


class Writer(Protocol):
    """Where an attempt's log lines go."""

    def add(self, key: tuple[str, int], level: Level, message: str, fields: dict[str, Any]) -> None: ...


if TYPE_CHECKING:
    from millrace.contracts.job_logs import Level
    from millrace.job_progress import JobProgress
    from millrace.progress_stages import Stages


LEVELS = ("debug", "info", "warning", "error")


class JobContext:
    """One attempt of a job, as its handler sees it.

    Attributes:
        attempt: fencing token: grows with every start of the job; pass it on to systems that can refuse older ones.
        attempts: attempts used so far, this one included.
        timeout: seconds that this attempt may take.
        tenant: whose job it is.
        key: whom the job is for, as it was enqueued.
        untold: what it has told with `heartbeat` and the service does not have.
        cancel_reason: what was given as reason when the job was canceled, while it ran.
        soft_timed_out: whether the soft time limit has passed. Plain functions look at it.
        checkpoint_state: what an earlier attempt saved with `checkpoint`, or None.
        parents: the jobs that this one came after, each with its `result`, in the order of `after`.
    """

    __slots__ = (
        "_checkpoints",
        "_created_at",
        "_logs",
        "_progress",
        "_scheduled_for",
        "_stopped",
        "_told",
        "attempt",
        "attempts",
        "cancel_reason",
        "checkpoint_state",
        "correlation_id",
        "data",
        "id",
        "key",
        "max_attempts",
        "name",
        "parents",
        "priority",
        "queue",
        "soft_timed_out",
        "tenant",
        "timeout",
        "traceparent",
        "untold",
    )  # fmt: skip

    def __init__(self, grant: dict[str, Any]) -> None:
        self._checkpoints: Keeper | None = None
        self.untold: dict[str, Any] | None = None
        self._logs: Writer | None = None
        self._progress: Callable[[dict[str, Any]], JobProgress] | None = None
        self.checkpoint_state: Any = grant.get("checkpoint")
        self.id: str = grant["job_id"]
        self.name: str = grant["name"]
        self.tenant: str | None = grant.get("tenant")
        self.key: str | None = grant.get("key")
        self.data: dict[str, Any] = grant["data"]
        self._scheduled_for: str | None = None
        if SCHEDULED_FOR in self.data:
            self.data = {**self.data}
            self._scheduled_for = self.data.pop(SCHEDULED_FOR)
        self.queue: str = grant["queue"]
        self.priority: int = grant["priority"]
        self.attempt: int = grant["attempt"]
        self.attempts: int = grant["attempts"]
        self.max_attempts: int = grant["max_attempts"]
        self.timeout: float = grant["timeout"]
        self.correlation_id: str | None = grant.get("correlation_id")
        self.traceparent: str | None = grant.get("traceparent")
        self.parents = tuple(Parent.model_validate(parent) for parent in grant.get("parents") or ())
        self._created_at: str = grant["created_at"]
        self._stopped: str | None = None
        self._told: str | None = None
        self.cancel_reason: str | None = None
        self.soft_timed_out = False

    @property
    def payload(self) -> dict[str, Any]:
        return self.data

    @property
    def created_at(self) -> datetime:
        return datetime.fromisoformat(self._created_at)

    @property
    def scheduled_for(self) -> datetime | None:
        """The time for which a schedule has started the job, however late it runs; None where none has.

        Raises:
            ValueError: whoever enqueued the job has put something else into its place.
        """
        return None if self._scheduled_for is None else datetime.fromisoformat(self._scheduled_for)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must end: canceled, timed out, lost, or the worker stops. Plain functions look at it."""
        return self._stopped is not None

    @property
    def stopped_by(self) -> str | None:
        """Why the attempt must end: `cancelled`, `timeout`, `lost` (its lease), `shutdown`; None while it need not."""
        return self._stopped

    def log(self, message: str, *, level: Level = "info", **fields: Any) -> None:
        """Writes a log line that names the job, and keeps it with the job: see `app.jobs.logs`.

        Raises:
            ValueError: there is no such level.
        """
        from millrace.logs import Log

        check_level(level)
        if self._logs is not None:
            self._logs.add((self.id, self.attempt), level, message, fields)
        named = {"job": self.name, "job_id": self.id, "attempt": self.attempt, "correlation_id": self.correlation_id}
        Log("millrace.job").write(level, message, named | fields)

    def checkpoint(self, state: Any, *, force: bool = False) -> Awaitable[None]:
        """Saves what the next attempt finds as `checkpoint_state`, should this one fail or its worker die.

        A coroutine awaits it; in a plain function it is done when it returns. The newest state is sent once a second,
        and goes with the report of an attempt that fails; only a worker that is killed loses what it had not sent.

        Args:
            state: JSON of at most 64 KiB.
            force: send it now, and come back when it is durable.

        Raises:
            CheckpointRefused: the state cannot be stored.
            StaleAttempt: with `force`: another attempt has taken over, or the job was canceled.
            Unavailable, OutcomeUnknown: with `force`: the service could not be reached; the state is sent later.
            RuntimeError: no worker runs this attempt.
        """
        if self._checkpoints is None:
            raise RuntimeError("a checkpoint can only be saved while a worker runs the job")
        return self._checkpoints.save(state, force)

    def progress(
        self,
        stages: Stages = (),
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        type: str | None = None,
        parent_id: str | None = None,
        weight: float | None = None,
        stall_after: float | None = None,
    ) -> JobProgress:
        """How far the job has got: `async with job.progress(["load", "index"]) as progress`, `with` in plain functions.

        The next attempt goes on with the same progress. Its id is the job's.

        Args:
            stages: names in their order, or names with weights.
            name: tells several of one job apart; their ids end with it.
            parent_id: the progress that this one is a part of, and `weight` what it counts there.
            stall_after: seconds without an update after which an event says so.

        Raises:
            RuntimeError: no worker runs this attempt in its own process.
        """
        if self._progress is None:
            raise RuntimeError(
                "progress can be told while a worker runs the job, not from a process of its pool: use job.heartbeat"
            )
        given = {
            "user_id": user_id, "type": type, "parent_id": parent_id, "weight": weight, "stall_after": stall_after,
        }  # fmt: skip
        return self._progress(
            {
                "id": self.id if name is None else f"{self.id}.{name}",
                "stages": listed(stages),
                "metadata": {"job_id": self.id, "job": self.name, **(metadata or {})},
                **{key: value for key, value in given.items() if value is not None},
            }
        )

    def keep(
        self, checkpoints: Keeper, logs: Writer, progress: Callable[[dict[str, Any]], JobProgress] | None = None
    ) -> None:
        """Gives the attempt places for its checkpoints, log lines and progress; called by the worker."""
        self._checkpoints, self._logs, self._progress = checkpoints, logs, progress

    def heartbeat(self, **details: Any) -> None:
        """Tells what the attempt is at; it goes with the worker's next renewal, within 10 s, and stands in the job.

        Args:
            details: JSON of at most 4,096 bytes; the newest replace those of before.

        Raises:
            HeartbeatRefused: they cannot be stored.
        """
        try:
            text = encode(details)
        except (ValueError, RecursionError) as error:
            raise HeartbeatRefused(f"the details of a heartbeat must be JSON: {error}") from error
        if len(text) > MAX_HEARTBEAT_BYTES:
            raise HeartbeatRefused(
                f"the details of a heartbeat have at most {MAX_HEARTBEAT_BYTES} bytes of JSON, these have {len(text)}"
            )
        self.untold = from_json(text)

    def grant(self) -> dict[str, Any]:
        """What makes the same context in another process."""
        return {
            "job_id": self.id, "name": self.name, "data": self._marked(), "queue": self.queue,
            "priority": self.priority,
            "attempt": self.attempt, "attempts": self.attempts, "max_attempts": self.max_attempts,
            "timeout": self.timeout, "correlation_id": self.correlation_id, "traceparent": self.traceparent,
            "created_at": self._created_at, "checkpoint": self.checkpoint_state,
            "parents": [parent.model_dump() for parent in self.parents],
        }  # fmt: skip

    def _marked(self) -> dict[str, Any]:
        return self.data if self._scheduled_for is None else {**self.data, SCHEDULED_FOR: self._scheduled_for}

    def told(self, status: str | None, reason: str | None) -> None:
        """Notes what the service said of an attempt that is not valid any more; called by the worker."""
        self._told, self.cancel_reason = status, reason

    def stop(self, why: str) -> None:
        """Asks the handler to end; called by the worker."""
        self._stopped = self._told or why

    def __repr__(self) -> str:
        return f"JobContext(id={self.id!r}, name={self.name!r}, attempt={self.attempt})"


def check_level(level: str) -> None:
    """Refuses a level that there is not.

    Raises:
        ValueError: it is none of debug, info, warning and error.
    """
    if level not in LEVELS:
        raise ValueError(f"a log line's level is one of {', '.join(LEVELS)}, not {level!r}")
