"""What a client raises. Programs branch on the class or on `Refused.code`, never on text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.contracts.wire import Problem

if TYPE_CHECKING:
    from millrace.contracts.job import Job
    from millrace.contracts.notification import Notification


class MillraceError(Exception):
    """Base of everything that Millrace's client and worker raise on purpose."""


class Unavailable(MillraceError):
    """Raised when the service could not be reached, or said that it is overloaded; nothing was done.

    Attributes:
        retry_after: seconds that the service asked to wait, if it did.
    """

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class OutcomeUnknown(MillraceError):
    """Raised when a command was sent and no answer came in time: it may or may not have been carried out.

    Sending it again with the same `message_id` is safe and gives the answer.
    """

    def __init__(self, message_id: str, detail: str) -> None:
        super().__init__(f"no answer to message {message_id}: {detail}")
        self.message_id = message_id


class Refused(MillraceError):
    """Raised when the service answered that it will not do what was asked; nothing was changed.

    Attributes:
        problem: the answer, after RFC 9457.
        code: the stable part of it.
    """

    codes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.detail or problem.title} ({problem.code})")
        self.problem = problem

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def errors(self) -> Sequence[Mapping[str, Any]]:
        return self.problem.errors


class NotFound(Refused):
    """Raised when what was named does not exist for this tenant."""

    codes = ("not-found",)


class UnknownMessage(Refused):
    """Raised when the service does not know the command or query: it is older, or the module is off."""

    codes = ("unknown-command", "unknown-query")


class Invalid(Refused):
    """Raised when a field is missing, superfluous or out of range; `errors` names each."""

    codes = ("invalid", "malformed", "unsupported-media-type")


class TooLarge(Refused):
    """Raised when a message is larger than the service accepts."""

    codes = ("too-large",)


class Unauthorized(Refused):
    """Raised when the credentials are missing or wrong, or do not reach as far as the request."""

    codes: ClassVar[tuple[str, ...]] = ("unauthorized", "forbidden")


class ClaimsNotAllowed(Unauthorized):
    """Raised when a worker claims jobs of tenants that its credential may not work for."""

    codes = ("claims-not-allowed",)


class Conflict(Refused):
    """Raised when something else changed, or already is, what the command is about."""

    codes = ("conflict",)


class AlreadyExists(Refused):
    """Raised when something else has the id that was chosen."""

    codes = ("already-exists",)


class DuplicateJob(Refused):
    """Raised when another unfinished job has the unique key; `job_id` says which."""

    codes = ("duplicate-job",)

    @property
    def job_id(self) -> str:
        return str((self.problem.model_extra or {}).get("job_id", ""))


class UnknownParent(Refused):
    """Raised when a job is to run after jobs that neither exist nor are enqueued by the same call."""

    codes = ("unknown-parent", "unknown-ref")


class DependencyCycle(Refused):
    """Raised when jobs of one call come after each other in a circle, which `cycle` names; none was enqueued."""

    codes = ("dependency-cycle",)

    @property
    def cycle(self) -> Sequence[str]:
        return tuple((self.problem.model_extra or {}).get("cycle", ()))


class ProgressRing(Refused):
    """Raised when a progress is created as a part of one that it is itself a part of; `ring` is the way from it up to
    it again."""

    codes = ("progress-ring",)

    @property
    def ring(self) -> Sequence[str]:
        return tuple((self.problem.model_extra or {}).get("ring", ()))


class UnknownBatch(Refused):
    """Raised when a job names a batch that does not exist."""

    codes = ("unknown-batch",)


class BatchSealed(Refused):
    """Raised when a job is to be added to a batch that takes no more."""

    codes = ("batch-sealed",)


class IdempotencyMismatch(Refused):
    """Raised when a message id was used before with another content."""

    codes = ("idempotency-mismatch",)


class ResultIncomplete(Refused):
    """Raised when a report names parts of a result that its attempt has not uploaded, or in another size."""

    codes = ("result-incomplete",)


class StaleAttempt(Refused):
    """Raised when a report comes from an attempt that is no longer valid."""

    codes = ("stale-attempt",)


class LogReset(Refused):
    """Raised when a position belongs to another log: a restored backup or a new data folder. Start again."""

    codes = ("reset",)


class LogGone(Refused):
    """Raised when the events after a position have been archived; the detail names the first available one."""

    codes = ("gone",)


class Behind(Refused):
    """Raised when a read model did not reach the asked position in time; ask again."""

    codes = ("behind",)


class NonRetryable(MillraceError):
    """Raised by a job's handler when another attempt cannot help: the job goes to the dead letters at once."""


class RetryAfter(MillraceError):
    """Raised by a job's handler that has failed and knows when another attempt may help; the attempt counts.

    Args:
        seconds: wait before the next attempt, in place of the policy's.

    Raises:
        ValueError: the seconds are negative, or no number.
    """

    def __init__(self, seconds: float, message: str = "the handler asked for another attempt") -> None:
        super().__init__(message)
        self.seconds = _wait(seconds)

    def __reduce__(self) -> tuple[type[Self], tuple[float, str]]:
        return type(self), (self.seconds, str(self))


class Snooze(MillraceError):
    """Raised by a job's handler for which it is too early: the job waits, and the attempt does not count.

    Args:
        seconds: wait before the job is started again.

    Raises:
        ValueError: the seconds are negative, or no number.
    """

    def __init__(self, seconds: float, message: str = "snoozed by its handler") -> None:
        super().__init__(message)
        self.seconds = _wait(seconds)

    def __reduce__(self) -> tuple[type[Self], tuple[float, str]]:
        return type(self), (self.seconds, str(self))


class SoftTimeout(MillraceError):
    """Raised in a handler that has reached its soft time limit, to let it clean up; uncaught it is a failure."""


class ArgumentMismatch(NonRetryable, TypeError):
    """Raised when a job's data does not fit the parameters of its handler."""


class NotSerializable(MillraceError, ValueError):
    """Raised for a value that cannot be written into a message.

    Attributes:
        path: where it stands, like `data.items[3].price`.
        reason: what is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path.removeprefix("."), reason
        super().__init__(f"{self.path}: {reason}" if self.path else reason)

    def within(self, place: str) -> NotSerializable:
        """The same, told of the whole that the value is a part of."""
        return NotSerializable(_joined(place, self.path), self.reason)

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class NotReadable(NonRetryable, ValueError):
    """Raised for a value in a message that its serializer does not understand; another attempt would not, either.

    Attributes:
        path: where it stands.
        reason: what is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path.removeprefix("."), reason
        super().__init__(f"{self.path}: {reason}" if self.path else reason)

    def within(self, place: str) -> NotReadable:
        """The same, told of the whole that the value is a part of."""
        return NotReadable(_joined(place, self.path), self.reason)


class ResultRefused(NonRetryable):
    """Raised when a handler returned what cannot be stored: not JSON, or more of it than the service takes."""


class ResultDamaged(MillraceError):
    """Raised when a stored result that was read is not what the job returned; reading it again may help."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the result of job {job_id} does not have the SHA-256 that was recorded; read it again")
        self.job_id = job_id


class CheckpointRefused(MillraceError, ValueError):
    """Raised by `job.checkpoint`, and by that of `job.progress`, for a state that cannot be stored: not JSON, or more
    than 64 KiB of it."""


class HeartbeatRefused(MillraceError, ValueError):
    """Raised by `job.heartbeat` for details that cannot be stored: not JSON, or more than 4 KiB of it."""


class PluginUnusable(MillraceError):
    """Raised when a plug-in has no hooks, or an installed one cannot be loaded."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"plug-in {name!r} cannot be used: {reason}")
        self.name, self.reason = name, reason


class NoHandler(MillraceError):
    """Raised when a worker received a job whose name none of its handlers has."""

    def __init__(self, name: str, detail: str | None = None) -> None:
        super().__init__(detail or f"no handler for {name!r} in this worker")
        self.name = name


class NewerArguments(NoHandler):
    """Raised when a job's data has a newer version than the worker's handler takes; other workers may have it."""

    def __init__(self, name: str, version: int, known: int) -> None:
        super().__init__(name, f"the data of {name!r} has version {version}, this worker knows up to {known}")
        self.version, self.known = version, known


class UnknownCodec(NoHandler):
    """Raised for a value that a serializer wrote which this application does not have; other workers may have it."""

    def __init__(self, place: str, codec: str) -> None:
        super().__init__(
            codec, f"{place} was written by the serializer {codec!r}, which this application does not have"
        )
        self.codec = codec


class ProcessEnded(MillraceError):
    """Raised when the process that ran a handler ended in the middle of it: out of memory, a crash in a library."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"the handler's process ended with exit code {exit_code}")
        self.exit_code = exit_code


class ProcessFailed(MillraceError):
    """Raised for an error of a handler in a process that could not be carried over; the text names it."""


class JobFailed(MillraceError):
    """Raised when the awaited job ended without a result: dead-lettered, canceled or removed."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} ({job.name}) is {job.status.value}" + (f": {job.error}" if job.error else ""))
        self.job = job


class PartlyRefused(MillraceError):
    """Raised when some items of `enqueue_many` or `send_bulk` were not accepted; the others are durable.

    Attributes:
        outcomes: for each item in order the job or notification, or the error that it met.
    """

    def __init__(self, outcomes: Sequence[Job | Notification | MillraceError]) -> None:
        failed = [outcome for outcome in outcomes if isinstance(outcome, MillraceError)]
        super().__init__(f"{len(failed)} of {len(outcomes)} items were not accepted, the first because: {failed[0]}")
        self.outcomes = list(outcomes)


BY_CODE: Mapping[str, type[Refused]] = {
    code: kind
    for kind in (
        NotFound, UnknownMessage, Invalid, TooLarge, Unauthorized, ClaimsNotAllowed, Conflict, AlreadyExists,
        DuplicateJob, UnknownParent, DependencyCycle, ProgressRing, UnknownBatch, BatchSealed,
        IdempotencyMismatch, ResultIncomplete, StaleAttempt, LogReset, LogGone, Behind,
    )
    for code in kind.codes
}  # fmt: skip

LONGEST_WAIT = 31_536_000 * 10
TEMPORARY = frozenset({"unavailable", "too-many"})


def _joined(place: str, path: str) -> str:
    return f"{place}{path}" if not path or path.startswith("[") else f"{place}.{path}"


def _wait(seconds: float) -> float:
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ValueError(f"a job waits 0 to {LONGEST_WAIT} seconds, not {seconds!r}")
    return float(seconds)


def error_from(problem: Mapping[str, Any]) -> MillraceError:
    """The error that a problem on the wire stands for."""
    code = str(problem.get("code", "refused"))
    if code in TEMPORARY:
        return Unavailable(str(problem.get("detail") or problem.get("title")), problem.get("retry_after"))
    return BY_CODE.get(code, Refused)(
        Problem.model_validate({"title": code, "status": 400, "detail": "", **problem, "code": code})
    )
