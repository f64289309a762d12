"""What routes say about themselves in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

ERRORS = {
    400: "Malformed: not JSON, not UTF-8, or a header that cannot be read",
    401: "No valid API key",
    403: "The API key, the host or the origin does not reach this",
    404: "There is no such thing for this tenant",
    405: "The path has no such method",
    408: "The body did not arrive in time",
    409: "Refused: the state does not allow it, or the position is of another log",
    410: "The position lies before the oldest event that is kept",
    413: "The body is too large",
    415: "The body is not `application/json`",
    422: "Invalid, or the idempotency key was used with another body",
    429: "Too many requests",
    500: "The service made a mistake",
    503: "Not possible at the moment; the header `Retry-After` says when to try again",
    504: "The read model has not reached the wished position",
}
PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}


def errors() -> dict[int | str, Any]:
    """The error responses that every operation may give."""
    content = {"application/problem+json": {"schema": PROBLEM_REF}}
    return {status: {"description": text, "content": content} for status, text in ERRORS.items()}


def takes(model: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """The request body of a route that reads its JSON itself."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}
