"""Reads results that are in the service's storage."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from typing import Any

from pydantic_core import from_json

from millrace.contracts.job_result import stored_of
from millrace.errors import ResultDamaged
from millrace.link import Link


async def whole(link: Link, job_id: str, result: Any) -> Any:
    """The job's result, fetched where it is only said where it is.

    Raises:
        ResultDamaged: what came is not what was stored.
        NotFound: the job was removed meanwhile.
        Refused: the storage has lost it.
        Unavailable: it cannot be read now.
    """
    stored = stored_of(result)
    if stored is None:
        return result
    text = bytearray()
    for part in range(len(stored.parts)):
        answer = await link.query("job.result", {"job_id": job_id, "part": part})
        text += b64decode(answer["content"])
    if hashlib.sha256(text).hexdigest() != stored.sha256:
        raise ResultDamaged(job_id)
    return from_json(text)
