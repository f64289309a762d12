"""What attempts have logged, in memory."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from millrace.contracts import job_logs as contract
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.refusals import Refusal

Line = dict[str, Any]


class MemoryJobLogs:
    """The newest lines of each attempt."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._lines: dict[tuple[str, str], dict[int, dict[int, Line]]] = {}

    def append(self, tenant: str, command: contract.Log) -> dict[str, Any]:
        """The answer to `job.log`."""
        kept = 0
        for each in command.attempts:
            job = self._log.states.get(Stream("job", tenant, each.job_id))
            if not isinstance(job, JobState) or each.attempt > job.attempt:
                continue
            lines = self._lines.setdefault((tenant, each.job_id), {}).setdefault(each.attempt, {})
            for line in each.lines:
                kept += line.n not in lines
                lines.setdefault(line.n, line.model_dump())
            _trim(lines)
        return {"kept": kept}

    def read(self, tenant: str, query: contract.GetLogs) -> dict[str, Any]:
        """The answer to `job.logs`.

        Raises:
            Refusal: `not-found` where there is no such job.
        """
        job = self._log.states.get(Stream("job", tenant, query.job_id))
        if not isinstance(job, JobState) or job.removed:
            raise Refusal("not-found", f"there is no job {query.job_id!r}")
        attempts = self._lines.get((tenant, query.job_id), {})
        wanted = query.attempt if query.attempt is not None else max(attempts, default=None)
        kept = attempts.get(wanted, {}) if wanted is not None else {}
        lines = [kept[n] for n in sorted(kept)]
        dropped = lines[-1]["n"] - len(lines) if lines else 0
        return {"attempt": wanted, "lines": lines, "dropped": dropped, "attempts": sorted(attempts)}


def _trim(lines: dict[int, Line]) -> None:
    size = 0
    for count, n in enumerate(sorted(lines, reverse=True), 1):
        size += len(lines[n]["message"].encode()) + len(to_json(lines[n]["fields"])) + contract.LINE_BYTES
        if count > contract.MAX_LINES or size > contract.MAX_BYTES:
            del lines[n]
