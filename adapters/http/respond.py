"""Writes answers in the shape that the request asked for by its path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from pydantic_core import to_json
from starlette.responses import Response

from adapters.http import envelope
from adapters.http.call import Call, Shape
from adapters.http.problems import HttpProblem
from millrace.contracts.wire import Accepted, Batch, Refused, Reply

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"


def respond(
    call: Call, value: object, status: int = 200, headers: Mapping[str, str] | None = None, position: str | None = None
) -> Response:
    """A success: `value` as it is, or as the envelope's `data`. `position` becomes the header `X-Position`."""
    sent = dict(headers or {})
    if position is not None:
        sent["X-Position"] = position
    if call.shape is Shape.ENVELOPE:
        value = envelope.success(call.correlation_id, value)
    return Response(encode(value), status, sent, JSON)


def respond_problem(call: Call, error: HttpProblem) -> Response:
    """An error, in the shape of the request's answers."""
    problem = error.problem.model_dump(exclude_none=True)
    status = error.problem.status
    body: dict[str, Any]
    match call.shape:
        case Shape.BARE:
            body = {**problem, "correlation_id": call.correlation_id}
            return Response(encode(body), status, error.headers, PROBLEM_JSON)
        case Shape.REPLY:
            body = {"ok": False, "error": problem}
        case Shape.ENVELOPE:
            body = envelope.failure(call.correlation_id, problem)
        case _:
            assert_never(call.shape)
    return Response(encode(body), status, error.headers, JSON)


def respond_reply(call: Call, reply: Reply) -> Response:
    """A command's or a query's reply; a single refusal takes its problem's status, a batch is always 200."""
    match reply:
        case Refused():
            return respond_problem(call, HttpProblem(reply.problem))
        case Accepted():
            value = reply.result if call.shape is Shape.ENVELOPE else reply.to_wire()
            return respond(call, value, position=reply.position)
        case Batch():
            wire = reply.to_wire()
            return respond(call, {"results": wire["results"]} if call.shape is Shape.ENVELOPE else wire)
        case _:
            assert_never(reply)


def encode(value: object) -> bytes:
    """JSON in UTF-8. What JSON has no word for, such as a NaN, is null."""
    return to_json(value, inf_nan_mode="null")
