"""Carries results that are too large for a report to the service, part by part."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode

from millrace.contracts.job_result import PART_BYTES, Part, StoredResult
from millrace.errors import OutcomeUnknown, Refused, ResultRefused, StaleAttempt, Unavailable
from millrace.job_context import JobContext
from millrace.link import Link
from millrace.logs import Log
from millrace.repeating import backoff
from millrace.transport import Origin

log = Log("millrace.worker")


class Results:
    """Uploads results of attempts that are still valid."""

    def __init__(self, link: Link, origin: Origin) -> None:
        self._link, self._origin = link, origin

    async def upload(self, job: JobContext, text: bytes) -> StoredResult:
        """Where the result is; returns when all of it is durable, and goes on while the service cannot be reached.

        Raises:
            ResultRefused: the service has no storage, or the result is larger than it takes.
            StaleAttempt: another attempt has taken over.
        """
        parts = []
        for start in range(0, len(text), PART_BYTES):
            part = text[start : start + PART_BYTES]
            digest = hashlib.sha256(part).hexdigest()
            body = {
                "job_id": job.id,
                "attempt": job.attempt,
                "total": len(text),
                "sha256": digest,
                "content": b64encode(part).decode(),
            }
            try:
                await self._send(job, body)
            except StaleAttempt:
                raise
            except Refused as error:
                raise ResultRefused(
                    f"the result of job {job.name!r} has {len(text)} bytes and was refused: {error}"
                ) from error
            parts.append(Part(sha256=digest, size=len(part)))
        return StoredResult(sha256=hashlib.sha256(text).hexdigest(), size=len(text), parts=tuple(parts))

    async def _send(self, job: JobContext, body: dict[str, object]) -> None:
        origin, failures = self._origin.in_name_of(job.tenant), 0
        while True:
            try:
                await self._link.execute("job.upload", body, origin=origin)
                return
            except (Unavailable, OutcomeUnknown) as error:
                failures += 1
                log.warning("a result waits", job_id=job.id, attempt=job.attempt, error=str(error))
            await asyncio.sleep(backoff(failures))
