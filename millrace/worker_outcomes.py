"""How an attempt ended, as the body of `job.report`."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from pydantic_core import to_json

from millrace.contracts.job_result import STORED, StoredResult
from millrace.encoding import encode
from millrace.errors import ArgumentMismatch, NoHandler, NonRetryable, ResultRefused, Snooze
from millrace.job_context import JobContext

LOOK_AGAIN = 5.0
LONGEST_LOOK = 60.0
MAX_MESSAGE_CHARS = 8_192
MAX_TRACEBACK_CHARS = 65_536


def result_text(job: JobContext, result: Any, written: Callable[[Any], Any] = lambda result: result) -> bytes:
    """A result as JSON text, empty where there is none.

    Args:
        written: makes JSON of the result.

    Raises:
        ResultRefused: the result is not JSON, or would pass for one that is in the storage.
    """
    if result is None:
        return b""
    try:
        value = written(result)
        text = encode(value)
    except (ValueError, RecursionError) as error:
        raise ResultRefused(f"the result of job {job.name!r} is not JSON: {error}") from error
    if isinstance(value, dict) and STORED in value:
        raise ResultRefused(f"the result of job {job.name!r} has a field {STORED!r}, which is kept for stored results")
    return text


def completed(job: JobContext, text: bytes) -> bytes:
    """The report of a success, with its result as JSON text."""
    return _report(job, b"completed", b',"result":' + text if text else b"")


def stored(job: JobContext, where: StoredResult) -> bytes:
    """The report of a success whose result was uploaded."""
    return _report(job, b"completed", b',"stored":' + to_json(where))


def failed(job: JobContext, error: BaseException, retry_after: float | bool | None = None) -> bytes:
    """The report of an exception, with its traceback from the handler on.

    Args:
        retry_after: seconds to the next attempt, where it is not the policy that decides; False where there is none.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        trace = "".join(traceback.format_exception(kind, error, _below_worker(error.__traceback__)))
    except Exception as unprintable:
        trace = f"the traceback cannot be shown: {type(unprintable).__name__}"
    detail = {"type": clean(name)[:256], "message": clean(_message(error))[:MAX_MESSAGE_CHARS]}
    if not isinstance(error, ArgumentMismatch):
        # Of data that does not fit, a trace through the worker would tell nobody anything.
        detail["traceback"] = clean(trace)[-MAX_TRACEBACK_CHARS:]
    final = retry_after is False or isinstance(error, NonRetryable)
    more = b',"retryable":false' if final else b""
    if retry_after is not None and retry_after is not False:
        more += b',"retry_after":' + to_json(retry_after)
    return _report(job, b"failed", b',"error":' + to_json(detail) + more)


def snoozed(job: JobContext, snooze: Snooze) -> bytes:
    """The report of a handler that wants to run later; it uses no attempt."""
    reason = to_json(clean(str(snooze))[:256])
    return _report(job, b"returned", b',"delay":%b,"reason":%b' % (to_json(snooze.seconds), reason))


def refused(job_id: str, attempt: int, reason: str, final: bool = True) -> bytes:
    """The report of an attempt whose outcome the service cannot take; unless that is `final`, another may try."""
    detail = {"type": "ResultRefused", "message": clean(reason)[:MAX_MESSAGE_CHARS]}
    return b'{"job_id":%b,"attempt":%d,"outcome":"failed","retryable":%b,"error":%b}' % (
        to_json(job_id),
        attempt,
        to_json(not final),
        to_json(detail),
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as unprintable:
        return f"the message cannot be shown: {type(unprintable).__name__}"


def timed_out(job: JobContext) -> bytes:
    """The report of an attempt that took longer than it may."""
    detail = {"type": "Timeout", "message": f"the attempt took longer than {job.timeout:g} s"}
    return _report(job, b"failed", b',"error":' + to_json(detail))


def unknown(job: JobContext, error: NoHandler) -> bytes:
    """The report that leaves a job to a worker which has a handler for it; it uses no attempt.

    The longer nobody has one, the longer the job waits between two looks.
    """
    reason = clean(str(error))[:256]
    delay = min(LONGEST_LOOK, LOOK_AGAIN * job.attempt)
    return _report(job, b"returned", b',"delay":%g,"reason":' % delay + to_json(reason))


def returned(job_id: str, attempt: int) -> bytes:
    """The report that hands a job back; it uses no attempt."""
    return b'{"job_id":%b,"attempt":%d,"outcome":"returned"}' % (to_json(job_id), attempt)


def continued(report: bytes, state: bytes) -> bytes:
    """A report together with the state that the next attempt continues from."""
    return report[:-1] + b',"checkpoint":' + state + b"}"


def _report(job: JobContext, outcome: bytes, rest: bytes) -> bytes:
    return b'{"job_id":%b,"attempt":%d,"outcome":"%b"%b}' % (to_json(job.id), job.attempt, outcome, rest)


def clean(text: str) -> str:
    """The text without what a database cannot store."""
    # Neither NUL nor half a surrogate pair can be stored.
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _below_worker(trace: TracebackType | None) -> TracebackType | None:
    here = trace
    while here is not None and here.tb_frame.f_globals.get("__name__", "").startswith("millrace."):
        here = here.tb_next
    return here or trace
