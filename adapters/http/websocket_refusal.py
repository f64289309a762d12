"""How a WebSocket is refused before it is open: the answer that HTTP would have got, and one line in the log."""

from __future__ import annotations

import logging

from starlette.types import Receive, Scope, Send

from adapters.http.call import Call
from adapters.http.problems import HttpProblem
from adapters.http.respond import respond_problem

logger = logging.getLogger(__name__)


async def refuse_handshake(call: Call, error: HttpProblem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the handshake with the problem and its status."""
    # Not a warning: whoever reaches the port could fill the log with them.
    logger.info(
        "a WebSocket was not let in",
        extra={
            "action": "websocket_refused",
            "path": call.path,
            "status": error.problem.status,
            "detail": error.problem.detail,
            "correlation_id": call.correlation_id,
        },
    )
    await respond_problem(call, error)(scope, receive, send)
