"""What the Celery interface raises."""

from __future__ import annotations

import sys

from millrace.contracts.job import Job, JobStatus
from millrace.errors import MillraceError, NonRetryable, RetryAfter, SoftTimeout

SoftTimeLimitExceeded = SoftTimeout


class NotSupported(MillraceError, NotImplementedError):
    """Raised for a part of Celery's interface that has no counterpart here.

    Attributes:
        feature: what was asked for.
        instead: Millrace's own way.
    """

    def __init__(self, feature: str, instead: str) -> None:
        super().__init__(f"{feature} is not supported here: {instead}")
        self.feature, self.instead = feature, instead


class AttributeNotSupported(NotSupported, AttributeError):
    """Raised where the part is an attribute."""


class Retry(RetryAfter):
    """Raised by `self.retry`: the task is started again after `seconds`."""


class MaxRetriesExceededError(NonRetryable):
    """Raised by `self.retry` without `exc` when no attempt is left."""


class TaskRevokedError(MillraceError):
    """Raised by `AsyncResult.get` for a task that was revoked, or came after one that failed."""


class TaskFailed(MillraceError):
    """Raised by `AsyncResult.get` for a failed task whose own error cannot be raised here.

    Attributes:
        type: the class of that error, as text.
    """

    def __init__(self, type: str, message: str) -> None:
        super().__init__(f"{type}: {message}")
        self.type = type


class UnknownResult(MillraceError, LookupError):
    """Raised for an id that no job of this tenant has; Celery would call it PENDING for ever."""


class NotRegistered(MillraceError, LookupError):
    """Raised for a shared task while there is no `Celery` application."""


def failure_of(job: Job) -> Exception:
    """The error that a job without a result stands for: the task's own where its class is loaded here.

    Nothing is imported for it, and nothing but its message is given to it.
    """
    if job.status is JobStatus.CANCELLED:
        return TaskRevokedError(f"task {job.name} ({job.id}) was revoked")
    detail = job.error_detail
    if detail is None:
        return TaskFailed("Error", job.error or f"job {job.id} has no result")
    module, _, name = detail.type.rpartition(".")
    kind = getattr(sys.modules.get(module or "builtins"), name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(detail.message)
        except Exception:
            # Its constructor wants something else than a message.
            return TaskFailed(detail.type, detail.message)
    return TaskFailed(detail.type, detail.message)
