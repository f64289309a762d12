"""Results that are too large for the log, in memory."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from typing import Any

from pydantic_core import to_json

from millrace.contracts import job_result as contract
from millrace.contracts.job import Report
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.query import Query
from millrace.testing.refusals import Refusal

NOT_WHAT_IT_SAYS = "content: it is not base64 of at most 512 KiB that has the SHA-256 it is said to have; send it again"


class MemoryResults:
    """The parts of each attempt that may still need them.

    Attributes:
        max_bytes: of a result.
    """

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._parts: dict[Stream, dict[str, bytes]] = {}
        self.max_bytes = contract.DEFAULT_MAX_BYTES

    def __len__(self) -> int:
        """How many parts there are."""
        return sum(len(parts) for parts in self._parts.values())

    def query_routes(self) -> dict[str, Query]:
        return {"job.result": Query(contract.GetResult, self.read)}

    def recorded(self, stream: Stream, job: JobState) -> None:
        """Lets go what no job needs any more."""
        if job.removed or job.status not in ("processing", "completed"):
            self._parts.pop(stream, None)

    def upload(self, tenant: str, command: contract.Upload) -> dict[str, Any]:
        """The answer to `job.upload`.

        Raises:
            Refusal: the attempt is not valid, the part is damaged, or there would be too much.
        """
        self._check_size(command.total)
        try:
            content = b64decode(command.content, validate=True)
        except ValueError as error:
            raise Refusal("invalid", NOT_WHAT_IT_SAYS) from error
        if len(content) > contract.PART_BYTES or hashlib.sha256(content).hexdigest() != command.sha256:
            raise Refusal("invalid", NOT_WHAT_IT_SAYS)
        stream, job = self._job(tenant, command.job_id)
        if job.status != "processing" or job.attempt != command.attempt:
            newer = f" in attempt {job.attempt}" if job.attempt != command.attempt else ""
            detail = f"attempt {command.attempt} is not valid any more: the job is {job.status}{newer}"
            raise Refusal("stale-attempt", detail)
        parts = self._parts.setdefault(stream, {})
        self._check_size(sum(len(part) for sha256, part in parts.items() if sha256 != command.sha256) + len(content))
        parts[command.sha256] = content
        return {"sha256": command.sha256, "size": len(content)}

    def verify(self, stream: Stream, job: JobState, report: Report) -> None:
        """Looks whether what a valid attempt says to have uploaded is there.

        Raises:
            Refusal: parts are missing, or have another size.
        """
        if report.stored is None or job.status != "processing" or job.attempt != report.attempt:
            return
        held, parts = self._parts.get(stream, {}), report.stored.parts
        missing = [part.sha256 for part in parts if len(held.get(part.sha256, b"")) != part.size]
        if missing:
            detail = (
                f"{len(missing)} of the result's {len(parts)} parts are not in the storage in the size that is said, "
                f"first {missing[0]}; upload them with this attempt, then report it again"
            )
            raise Refusal("result-incomplete", detail)

    def read(self, tenant: str, query: contract.GetResult) -> dict[str, Any]:
        """The answer to `job.result`.

        Raises:
            Refusal: there is no such job, result or part.
        """
        stream, job = self._job(tenant, query.job_id)
        if job.status != "completed":
            raise Refusal("refused", f"the job has no result: it is {job.status}")
        stored = contract.stored_of(job.result)
        text = to_json(job.result)
        whole = {
            "parts": 1 if stored is None else len(stored.parts),
            "sha256": hashlib.sha256(text).hexdigest() if stored is None else stored.sha256,
            "size": len(text) if stored is None else stored.size,
            "content_type": "application/json",
        }
        if query.part >= (1 if stored is None else len(stored.parts)):
            raise Refusal("not-found", f"the result has no part {query.part}; it has {whole['parts']}, counted from 0")
        if stored is not None:
            sha256 = stored.parts[query.part].sha256
            if sha256 not in self._parts.get(stream, {}):
                raise Refusal("internal", f"part {sha256} of the result is not in the storage")
            text = self._parts[stream][sha256]
        return {**whole, "part": query.part, "content": b64encode(text).decode()}

    def _job(self, tenant: str, job_id: str) -> tuple[Stream, JobState]:
        stream = Stream("job", tenant, job_id)
        job = self._log.states.get(stream)
        if not isinstance(job, JobState) or job.removed:
            raise Refusal("not-found", f"there is no job {job_id!r}")
        return stream, job

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            detail = f"the result has {size} bytes, at most {self.max_bytes} are kept (modules.jobs.results.max_bytes)"
            raise Refusal("too-large", detail)
