"""What happened, worked out from the jobs as the read models show them, and from nothing else."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from millrace.contracts.job import Job, JobStatus

PARSE = "module.parse"
TOP = 5


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all files that were parsed."""

    files: int
    bytes: int
    lines: int
    functions: int
    classes: int
    documented: int
    documentable: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One file that could not be parsed: its job's id, how often it was tried and the last error."""

    job_id: str
    path: str
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, by the times in the read model: the first start to the last end of the files' jobs, and by group."""

    whole: float
    first_half_of_small: float
    first_half_of_rest: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The table at the end of the demo."""

    statuses: dict[str, int]
    totals: Totals
    biggest: list[tuple[str, int]]
    most_imported: list[tuple[str, int]]
    dead_letters: list[DeadLetter]
    timing: Timing


def summarize(jobs: Sequence[Job]) -> Summary:
    """Works the summary out of all jobs of the run."""
    parsed = [job for job in jobs if job.name == PARSE and job.status is JobStatus.COMPLETED]
    results = [job.result for job in parsed]
    imports = Counter(name for result in results for name in result["imports"])
    sizes = sorted(((result["path"], result["lines"]) for result in results), key=lambda item: (-item[1], item[0]))
    dead = [
        DeadLetter(job.id, str(job.data["path"]), job.attempts, job.error or "")
        for job in jobs
        if job.name == PARSE and job.dead_lettered
    ]
    return Summary(
        statuses=dict(sorted(Counter(job.status.value for job in jobs).items())),
        totals=Totals(
            files=len(results),
            **{
                key: sum(int(result[key]) for result in results)
                for key in ("bytes", "lines", "functions", "classes", "documented", "documentable")
            },
        ),
        biggest=sizes[:TOP],
        most_imported=sorted(imports.items(), key=lambda item: (-item[1], item[0]))[:TOP],
        dead_letters=sorted(dead, key=lambda letter: letter.path),
        timing=_timing(parsed),
    )


def digest(jobs: Sequence[Job]) -> str:
    """A fingerprint of every field of every job, independent of their order."""
    rows = sorted(json.dumps(job.model_dump(mode="json"), sort_keys=True) for job in jobs)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _timing(parsed: Sequence[Job]) -> Timing:
    starts = [job.started_at for job in parsed if job.started_at]
    if not starts:
        return Timing(0.0, 0.0, 0.0)
    first = min(starts)
    ends = [(job.priority, job.completed_at) for job in parsed if job.completed_at]
    return Timing(
        whole=_seconds(first, max(end for _, end in ends)),
        first_half_of_small=_half(first, [end for priority, end in ends if priority > 0]),
        first_half_of_rest=_half(first, [end for priority, end in ends if priority <= 0]),
    )


def _half(first: datetime, ends: list[datetime]) -> float:
    return _seconds(first, sorted(ends)[len(ends) // 2]) if ends else 0.0


def _seconds(begin: datetime, end: datetime) -> float:
    return round((end - begin).total_seconds(), 2)
