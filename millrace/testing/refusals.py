"""The refusals of the in-memory service: the codes and statuses of the real one."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from millrace.contracts.wire import Problem, Refused

STATUS = {
    "malformed": 400,
    "not-found": 404,
    "unknown-command": 404,
    "unknown-query": 404,
    "refused": 409,
    "already-exists": 409,
    "duplicate-job": 409,
    "batch-sealed": 409,
    "no-storage": 409,
    "result-incomplete": 409,
    "stale-attempt": 409,
    "internal": 500,
    "reset": 409,
    "too-large": 413,
    "unknown-parent": 422,
    "unknown-ref": 422,
    "dependency-cycle": 422,
    "progress-ring": 422,
    "unknown-batch": 422,
    "invalid": 422,
    "idempotency-mismatch": 422,
}


class Refusal(Exception):
    """Raised by a decision that its rules do not allow; the caller is told, and nothing was changed."""

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code, self.extra = code, extra

    def answer(self) -> Refused:
        return refused(self.code, str(self), **self.extra)


def refused(code: str, detail: str, errors: list[dict[str, Any]] | None = None, **extra: Any) -> Refused:
    """The refusal of a known code."""
    title = code.replace("-", " ").capitalize()
    kind = f"urn:millrace:problem:{code}"
    known = Problem(type=kind, title=title, status=STATUS[code], code=code, detail=detail, errors=errors or [], **extra)
    return Refused(known)


def invalid(error: ValidationError) -> Refused:
    """What is wrong with a message, field by field."""
    errors: list[dict[str, Any]] = [
        {"loc": [str(part) for part in item["loc"]], "msg": item["msg"], "type": item["type"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    where = ".".join(errors[0]["loc"])
    return refused("invalid", f"{where}: {errors[0]['msg']}" if where else errors[0]["msg"], errors)
