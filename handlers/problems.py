"""Every error that a caller can be told: its code, HTTP status and title, in one table."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from millrace.contracts.wire import Problem, Refused, excerpt

# Characters of the name of a field, which the caller may have chosen.
MOST_SHOWN = 128

PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The message cannot be read"),
    "unauthorized": (401, "The caller is not known"),
    "forbidden": (403, "The caller may not do this"),
    "claims-not-allowed": (403, "The caller may not claim jobs of these tenants"),
    "not-found": (404, "There is no such thing"),
    "unknown-command": (404, "There is no such command"),
    "unknown-query": (404, "There is no such query"),
    "conflict": (409, "Others changed it at the same time"),
    "refused": (409, "The rules do not allow this now"),
    "already-exists": (409, "Something else has this id"),
    "duplicate-job": (409, "Another job has the unique key"),
    "batch-sealed": (409, "The batch takes no more jobs"),
    "no-storage": (409, "There is no storage for what is this large"),
    "result-incomplete": (409, "Parts of the result are not in the storage"),
    "stale-attempt": (409, "The attempt is not valid any more"),
    "reset": (409, "The position belongs to another history"),
    "gone": (410, "That part of the log has been archived"),
    "archived": (410, "It has been archived"),
    "too-large": (413, "The message is too large"),
    "unknown-parent": (422, "A job to run after does not exist"),
    "unknown-ref": (422, "No job of the call has that ref"),
    "dependency-cycle": (422, "Jobs come after each other in a circle"),
    "progress-ring": (422, "Progress would be parts of each other"),
    "unknown-batch": (422, "The job's batch does not exist"),
    "invalid": (422, "The message does not fit its contract"),
    "idempotency-mismatch": (422, "The same id was used for another message"),
    "too-many": (429, "Too many requests"),
    "internal": (500, "Something went wrong inside"),
    "unavailable": (503, "The service cannot do this right now"),
    "behind": (504, "The read model has not caught up yet"),
}


def problem(
    code: str,
    detail: str,
    *,
    errors: list[dict[str, Any]] | None = None,
    retry_after: float | None = None,
    **extra: Any,
) -> Problem:
    """The problem of a known code; `extra` is what programs are told besides."""
    status, title = PROBLEMS[code]
    return Problem(
        type=f"urn:millrace:problem:{code}",
        title=title,
        status=status,
        code=code,
        detail=detail,
        errors=errors or [],
        retry_after=retry_after,
        **extra,
    )


def refused(code: str, detail: str, **extra: Any) -> Refused:
    """A refusal with the problem of a known code."""
    return Refused(problem(code, detail, **extra))


def invalid(error: ValidationError) -> Refused:
    """What is wrong with a message, field by field, without repeating its values."""
    errors: list[dict[str, Any]] = [
        {
            "loc": [excerpt(str(part), MOST_SHOWN) for part in item["loc"]],
            "msg": excerpt(item["msg"]),
            "type": item["type"],
        }
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ][:20]
    first = errors[0]
    where = ".".join(first["loc"])
    return refused("invalid", f"{where}: {first['msg']}" if where else first["msg"], errors=errors)
