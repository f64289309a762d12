"""A job's result as a body: one part after the other, so that no more of it than one is held."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from adapters.http.door import Door
from millrace.contracts.wire import Refused

RESULT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The result. `Repr-Digest` has the SHA-256 of the whole.",
        "content": {"application/json": {"schema": {}}},
    }
}


class ResultCutOff(Exception):
    """Raised when a part cannot be read after others were sent: the connection is closed before the promised length."""


async def whole_result(door: Door, request: Request, job_id: str) -> Response:
    """The response with a job's result. Raises `HttpProblem` where there is none."""
    first = (await door.query(request, "job.result", {"job_id": job_id})).result
    digest = b64encode(bytes.fromhex(first["sha256"])).decode()
    headers = {"Repr-Digest": f"sha-256=:{digest}:", "Content-Length": str(first["size"])}
    context = door.context(request)

    async def parts() -> AsyncIterator[bytes]:
        yield b64decode(first["content"])
        for part in range(1, first["parts"]):
            answer = await door.gateway.query("job.result", {"job_id": job_id, "part": part}, context)
            if isinstance(answer, Refused):
                raise ResultCutOff(answer.problem.detail)
            yield b64decode(answer.result["content"])

    return StreamingResponse(parts(), headers=headers, media_type=first["content_type"])
