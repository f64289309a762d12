"""What a handler knows about the job that it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from millrace.contracts.job import Parent


class JobContext:
    """One attempt of a job, as its handler sees it.

    Attributes:
        attempt: fencing token: grows with every start of the job; pass it on to systems that can refuse older ones.
        attempts: attempts used so far, this one included.
        timeout: seconds that this attempt may take.
        parents: the jobs that this one came after, each with its `result`, in the order of `after`.
    """

    __slots__ = (
        "_created_at",
        "_stopped",
        "attempt",
        "attempts",
        "correlation_id",
        "data",
        "id",
        "max_attempts",
        "name",
        "parents",
        "priority",
        "queue",
        "timeout",
        "traceparent",
    )  # fmt: skip

    def __init__(self, grant: dict[str, Any]) -> None:
        self.id: str = grant["job_id"]
        self.name: str = grant["name"]
        self.data: dict[str, Any] = grant["data"]
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
        self._stopped = False

    @property
    def payload(self) -> dict[str, Any]:
        return self.data

    @property
    def created_at(self) -> datetime:
        return datetime.fromisoformat(self._created_at)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must end: canceled, timed out, lost, or the worker stops. Plain functions look at it."""
        return self._stopped

    def log(self, message: str, **fields: Any) -> None:
        """Writes a log line that names the job."""
        import structlog

        structlog.get_logger("millrace.job").info(
            message, job=self.name, job_id=self.id, attempt=self.attempt, correlation_id=self.correlation_id, **fields
        )

    def stop(self) -> None:
        """Asks the handler to end; called by the worker."""
        self._stopped = True

    def __repr__(self) -> str:
        return f"JobContext(id={self.id!r}, name={self.name!r}, attempt={self.attempt})"
