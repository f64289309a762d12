"""Every error that HTTP answers: problems after RFC 9457, none of which carries a stack trace or a caller's input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from millrace.contracts.wire import Problem, excerpt

MOST_ERRORS, MOST_SHOWN = 20, 128
CODES = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "timeout",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    429: "too-many",
    500: "internal",
    503: "unavailable",
    504: "behind",
}


class HttpProblem(Exception):
    """Raised where a request cannot be answered as it wished; becomes the response with `problem`'s status."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.headers = dict(headers or {})
        if problem.retry_after is not None:
            self.headers.setdefault("Retry-After", str(max(1, math.ceil(problem.retry_after))))


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    errors: Sequence[Mapping[str, Any]] = (),
    retry_after: float | None = None,
) -> Problem:
    """A problem with the title and the code that belong to its status; `retry_after` in seconds."""
    phrase = HTTPStatus(status).phrase
    return Problem(
        title=phrase,
        status=status,
        code=code or CODES.get(status) or phrase.lower().replace(" ", "-"),
        detail=detail,
        errors=[dict(error) for error in errors],
        retry_after=retry_after,
    )


def malformed(detail: str) -> HttpProblem:
    return HttpProblem(problem(400, detail))


def unauthorized(detail: str) -> HttpProblem:
    return HttpProblem(problem(401, detail), {"WWW-Authenticate": "Bearer"})


def forbidden(detail: str) -> HttpProblem:
    return HttpProblem(problem(403, detail))


def too_large(limit: int) -> HttpProblem:
    # The rest of the body is not read, so the connection cannot carry another request.
    return HttpProblem(problem(413, f"the body is larger than {limit} bytes"), {"Connection": "close"})


def unsupported(detail: str) -> HttpProblem:
    return HttpProblem(problem(415, detail))


def invalid(detail: str, errors: Sequence[Mapping[str, Any]] = ()) -> HttpProblem:
    return HttpProblem(problem(422, detail, errors=errors))


def unavailable(detail: str, retry_after: float = 1.0) -> HttpProblem:
    return HttpProblem(problem(503, detail, retry_after=retry_after))


def field_errors(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """Validation errors without the input that caused them, which may hold a secret."""
    return [
        {
            "loc": [excerpt(str(part), MOST_SHOWN) for part in error["loc"]],
            "msg": excerpt(error["msg"]),
            "type": error["type"],
        }
        for error in errors[:MOST_ERRORS]
    ]
